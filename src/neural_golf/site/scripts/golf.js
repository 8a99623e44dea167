// Networks in the format .golf: read as docs/bytes.md says, and run on images. It needs neither the page nor a library.
// makeGolf(tables) returns { bytesOf, textOf, read, run, steps }; the tables are those of site/links.py. A file is refused by an
// Error with one line, which holds nothing of the file but numbers. All arithmetic of the reader is on whole numbers below 2 ** 53.
function makeGolf(tables) {
  const MOST_BYTES = 65536, MOST_LAYERS = 64, MOST_NUMBERS = 262144, MOST_LEVEL = 255;
  const FULL = 2 ** 48, REFILL = 2 ** 40;
  const ORBITS = [1, 4, 8];
  const refuse = (why) => { throw new Error(why); };
  const product = (shape) => shape.reduce((a, b) => a * b, 1);
  const by = (shape) => shape.join(" × ");

  // ---------------------------------------------------------------- a file as the text of a link
  function textOf(bytes) {
    const text = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
    return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  }
  function bytesOf(text) {
    if (!text) refuse("it is empty");
    if (text.length > Math.ceil((MOST_BYTES * 4) / 3)) refuse(`it is longer than any .golf file (${MOST_BYTES.toLocaleString("en")} bytes)`);
    if (/[^A-Za-z0-9_-]/.test(text)) refuse("a character stands in it that is not one of A to Z, a to z, 0 to 9, - and _");
    if (text.length % 4 === 1) refuse("characters are missing at its end");
    const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
    if (textOf(bytes) !== text) refuse("its last character is not the one that this file has");
    return bytes;
  }

  // ---------------------------------------------------------------- the range decoder
  // It writes what it reads once more, so that it can tell at the end whether this is the network's one file.
  class Reader {
    constructor(bytes) {
      Object.assign(this, { bytes, at: 0, code: 0, low: 0, range: FULL, out: [], lists: new Map() });
      while (this.at < 6) this.code = this.code * 256 + this.next();
    }
    next() { return this.bytes[this.at++] ?? 0; }
    where(total) { // the length of a step, and which one it is; both quotients are below 2 ** 48, so floor is exact
      const step = Math.floor(this.range / total), place = Math.floor(this.code / step);
      if (place >= total) refuse("no symbol has this code");
      return [step, place];
    }
    narrow(step, start, size) {
      [this.code, this.low, this.range] = [this.code - step * start, this.low + step * start, step * size];
      while (this.range < REFILL) {
        this.range *= 256;
        this.code = this.code * 256 + this.next();
        this.carry();
        this.out.push(Math.floor(this.low / REFILL));
        this.low = (this.low % REFILL) * 256;
      }
    }
    carry() {
      if (this.low < FULL) return;
      let at = this.out.length - 1;
      while (this.out[at] === 255) this.out[at--] = 0;
      [this.out[at], this.low] = [this.out[at] + 1, this.low - FULL];
    }
    symbol(sizes, total = sizes.reduce((a, b) => a + b, 0)) {
      const [step, place] = this.where(total);
      let value = 0, start = 0;
      while (place >= start + sizes[value]) start += sizes[value++];
      this.narrow(step, start, sizes[value]);
      return value;
    }
    bit(ones, total) {
      if (ones === 0 || ones === total) return ones > 0;
      const [step, place] = this.where(total), zeros = total - ones, found = place >= zeros;
      this.narrow(step, found ? zeros : 0, found ? ones : zeros);
      return found;
    }
    uniform(total) {
      const [step, place] = this.where(total);
      this.narrow(step, place, 1);
      return place;
    }
    adaptive(name, first, more) { // first: a function that makes the sizes
      if (!this.lists.has(name)) {
        const sizes = first();
        this.lists.set(name, { sizes, total: sizes.reduce((a, b) => a + b, 0) });
      }
      const list = this.lists.get(name), value = this.symbol(list.sizes, list.total);
      list.sizes[value] += more;
      list.total += more;
      return value;
    }
    number(name, usual = {}) {
      const value = this.adaptive(name, () => Array.from({ length: 16 }, (_, k) => 1 + (usual[k] ?? 0)), 64);
      if (value < 15) return value;
      const length = this.uniform(17), rest = this.uniform(2 ** length);
      if (32 - Math.clz32(rest) !== length) refuse("it is not canonical: a number is told with more bits than it has");
      return 15 + rest;
    }
    // Whether a writer ends with these bytes: the fewest, and the smallest of them, that lie in the range.
    canonical() {
      this.carry();
      for (let unit = FULL; ; unit /= 256) {
        const rounded = Math.ceil(this.low / unit) * unit;
        if (rounded >= this.low + this.range) continue;
        this.low = rounded;
        break;
      }
      this.carry();
      for (let place = REFILL; place >= 1; place /= 256) this.out.push(Math.floor(this.low / place) % 256);
      while (this.out.length > 1 && this.out.at(-1) === 0) this.out.pop();
      return this.out.length === this.bytes.length && this.out.every((byte, k) => byte === this.bytes[k]);
    }
  }

  // ---------------------------------------------------------------- the contents of a file
  // A network: form (four numbers, or null), shape of an image, layers, tensors, and numbers, which are all the tensors' in a row.
  function read(bytes) {
    if (bytes.length < 1 || bytes.length > MOST_BYTES) refuse(`a .golf file has 1 to ${MOST_BYTES} bytes, not ${bytes.length}`);
    const file = new Reader(bytes);
    const version = 1 + file.symbol([15, 1]);
    if (version === 2 && file.symbol([15, 1])) refuse("it is of a later version");
    const form = readForm(file), shape = readShape(file), network = { bytes, form, shape, layers: [], tensors: [] };
    readLayers(file, network, version);
    readNumbers(file, network);
    if (!file.canonical()) refuse("it is not canonical: this network has another file");
    return network;
  }

  function readForm(file) {
    const kind = file.symbol([12, 10, 1, 1]);
    if (kind === 3) refuse("its images are in a form of a later version");
    if (kind === 0) return null;
    const found = kind === 1 ? tables.form : tables.form.map(() => file.number("form"));
    if (kind === 2 && found.every((value, k) => value === tables.form[k])) refuse("it is not canonical: the usual form is told");
    if (Math.max(...found) > 65535 || !found[0] || !found[1]) refuse("there is no such form of images");
    return found.map((value) => value / 1000);
  }

  function readShape(file) {
    if (!file.symbol([63, 1])) return [1, 28, 28];
    const shape = [0, 1, 2].map(() => file.number("shape"));
    if (by(shape) === by([1, 28, 28])) refuse("it is not canonical: the usual shape is told");
    return shape.every((side) => side > 0) ? shape : refuse(`there are no images of ${by(shape)}`);
  }

  function readLayers(file, network, version) {
    const { kinds, after, groups, fields } = tables, known = kinds.slice(0, tables.known[version - 1]);
    let before = "start", shape = network.shape, needed = 1; // the first version that can tell these layers
    for (;;) {
      const sizes = () => Array.from({ length: 16 }, (_, k) => 1 + (after[before][known[k]] ?? 0));
      const kind = known[file.adaptive(`after ${before}`, sizes, 64)];
      if (kind === undefined) refuse("it has a layer of a later version");
      if (kind === "end") break;
      if (network.layers.length === MOST_LAYERS) refuse(`it has more than ${MOST_LAYERS} layers`);
      const told = {}, number = 1 + network.layers.filter((layer) => layer.kind === kind).length;
      if (kinds.indexOf(kind) >= tables.known[0]) needed = 2;
      for (const [name, usual, since] of fields[kind] ?? []) {
        const plain = Number(name === "stride"); // what it is where it is not told
        told[name] = since > version ? plain : file.number(`${kind}.${name}`, usual);
        if (since > 1 && told[name] !== plain) needed = 2;
      }
      const layer = { kind, name: `${kind}${number}`, in: shape, out: shape, words: [] };
      network.layers.push(Object.assign(layer, KINDS[kind].made?.(told, shape, network)));
      layer.text = [kind, ...layer.words].filter(Boolean).join(" ");
      for (const tensor of [layer.weight, layer.bias]) if (tensor) tensor.name ??= `${layer.name}.${tensor.part}`;
      shape = layer.out;
      before = groups[kind] ?? kind;
    }
    if (!network.layers.length || shape[1] !== 1 || shape[2] !== 1) refuse("its last layer does not give one number for each class");
    if (needed < version) refuse("it is not canonical: version 1 has these layers");
    if (network.form && Math.min(network.shape[1], network.shape[2]) < 2) refuse("its images are too small for a form");
  }

  function readNumbers(file, network) {
    const { tensors } = network, size = tensors.reduce((sum, tensor) => sum + tensor.size, 0);
    if (size < 1 || size > MOST_NUMBERS) refuse(`it has ${size.toLocaleString("en")} numbers, not 1 to ${MOST_NUMBERS.toLocaleString("en")}`);
    for (const tensor of tensors) {
      const n = tensor.size, least = tensor.part === "bias" ? 1 : 0, middle = Math.floor(Math.sqrt(4 * n));
      tensor.count = least + file.symbol(Array.from({ length: n + 1 - least }, (_, k) => 1 + Math.floor((4096 * n) / (n + (k + least - middle) ** 2))));
    }
    network.numbers = new Float64Array(size);
    network.nonzero = 0;
    const places = tensors.map((tensor) => {
      const found = [];
      for (let k = 0; found.length < tensor.count; k++) if (file.bit(tensor.count - found.length, tensor.size - k)) found.push(tensor.offset + k);
      network.nonzero += found.length;
      return found;
    });
    if (network.nonzero) readLevels(file, network.numbers, places.flat());
    // Without biases, `norm` and `add`, a factor goes through the whole network, and no scale of weights decides anything.
    const scaled = tensors.some(({ part }) => part === "bias") || network.layers.some(({ kind }) => kind === "norm" || kind === "add");
    for (const [t, tensor] of tensors.entries())
      if (tensor.count && (scaled || tensor.part === "slope")) readScale(file, network.numbers, places[t]);
  }

  function readLevels(file, numbers, places) {
    const most = 1 + file.number("most", { 3: 32, 7: 32 });
    if (most > MOST_LEVEL) refuse(`it has a level above ${MOST_LEVEL}`);
    const first = () => Array.from({ length: most }, (_, k) => (k > 0 && k <= most >> 1 ? 4 : 1));
    let largest = 0;
    for (const place of places) {
      const size = 1 + file.adaptive("size", first, 1);
      numbers[place] = file.adaptive("sign", () => [4, 4], 1) ? -size : size;
      largest = Math.max(largest, size);
    }
    if (largest < most) refuse("it is not canonical: no number is as large as it says");
  }

  // The scale of a tensor is the largest of which all its numbers are multiples: (8 … 15) · 2 ** (−40 … 23).
  function readScale(file, numbers, places) {
    const told = file.uniform(512), common = (a, b) => (b ? common(b, a % b) : a), twos = (n) => 31 - Math.clz32(n & -n);
    const unit = (8 + (told % 8)) * places.reduce((a, place) => common(Math.abs(numbers[place]), a), 0); // times 2 ** exponent
    const exponent = Math.floor(told / 8) - 40, scale = (8 + (told % 8)) * 2 ** exponent;
    for (let mantissa = 8; mantissa < 16; mantissa++) {
      const power = Math.min(23, exponent + twos(unit) - twos(mantissa));
      const divides = unit % (mantissa / 2 ** twos(mantissa)) === 0 && power >= -40;
      if (divides && mantissa * 2 ** power > scale) refuse("it is not canonical: a scale could be larger");
    }
    for (const place of places) numbers[place] *= scale;
  }

  // ---------------------------------------------------------------- what a file may say about layers
  // From the fields of a kind: the words of its spec, the shape of its output, its tensors; or why there is no such layer.
  function tensorOf(network, part, shape) {
    const tensor = { part, shape, size: product(shape), offset: network.tensors.reduce((sum, { size }) => sum + size, 0) };
    network.tensors.push(tensor);
    return tensor;
  }

  // Rows and columns, of which the rows are told as one more than they are, or as 0 where they are as many as the columns.
  function sidesOf(told, name) {
    const columns = told[name], rows = told[`${name}_rows`] ?? 0;
    return rows === columns + 1 ? refuse("it is not canonical: equal sides are told twice") : [rows ? rows - 1 : columns, columns];
  }
  const inWords = ([rows, columns]) => (rows === columns ? rows : `${rows}x${columns}`);
  const orbitAt = (layers) => layers.filter((layer) => layer.kind === "conv").at(-1)?.orbit ?? 1;

  function madeConv(told, [c, h, w], network) {
    const { positions, channels, same, groups, bias, tied } = told, [kernel, dilation, stride] = ["kernel", "dilation", "stride"].map((name) => sidesOf(told, name));
    if (positions > 2 || same > 1 || bias > 1) refuse("it has a convolution of a later version");
    const orbit = ORBITS[positions], out = channels * orbit, odd = kernel.every((k) => k % 2);
    if (!out || !groups || !product([...kernel, ...dilation, ...stride]) || product(kernel) > 49 || (same && !odd)) refuse("it has an impossible convolution");
    if (c % groups || out % groups) refuse(`${groups} groups do not divide ${c} and ${out} channels`);
    const reach = kernel.map((k, n) => (k - 1) * dilation[n]), pad = reach.map((far) => (same ? far / 2 : 0));
    const free = [h, w].map((side, n) => side + 2 * pad[n] - reach[n] - 1), size = free.map((room, n) => Math.floor(room / stride[n]) + 1);
    if (Math.min(...free) < 0) refuse(`a kernel over ${by(reach.map((far) => far + 1))} pixels does not fit into ${h} × ${w}`);
    const before = network.layers.filter((layer) => layer.kind === "conv"), among = orbitAt(network.layers);
    const square = [kernel, dilation, stride].every(([rows, columns]) => rows === columns) && free[0] % stride[0] === 0;
    if (orbit > 1 && (groups > 1 || h !== w || !square || (among > 1 && among !== orbit))) refuse(`a kernel cannot stand in ${orbit} positions there`);
    const shape = [channels, c / groups, ...kernel], origin = before[tied - 1];
    if (tied && (!origin || origin.tied || by(origin.weight.shape) !== by(shape))) refuse(`no earlier convolution ${tied} has a kernel of ${by(shape)}`);
    const weight = tied ? origin.weight : tensorOf(network, "weight", shape);
    const words = [out, `k${inWords(kernel)}`, same && "same", Math.max(...stride) > 1 && `s${inWords(stride)}`,
      Math.max(...dilation) > 1 && `d${inWords(dilation)}`, groups > 1 && `g${groups}`, !bias && "nobias",
      tied && `tied=conv${tied}`, positions > 0 && "turns", positions > 1 && "mirrors"];
    return { words, out: [out, ...size], kernel, pad, dilation, stride, groups, orbit, among, tied, weight, bias: bias ? tensorOf(network, "bias", [out]) : null };
  }

  function madeLinear({ outputs, bias }, shape, network) {
    if (!outputs || bias > 1) refuse("it has an impossible linear layer");
    const weight = tensorOf(network, "weight", [outputs, product(shape)]);
    return { words: [outputs, !bias && "nobias"], out: [outputs, 1, 1], weight, bias: bias ? tensorOf(network, "bias", [outputs]) : null };
  }

  function madePool(told, [c, h, w]) {
    const [kernel, stride, pad] = ["size", "stride", "pad"].map((name) => sidesOf(told, name)), given = Math.max(...stride) > 0;
    if (!product(kernel) || (given && !product(stride)) || pad.some((p, n) => p > kernel[n] >> 1)) refuse("it has an impossible pool");
    if (by(stride) === by(kernel)) refuse("it is not canonical: a stride is told that is the size");
    const free = [h, w].map((side, n) => side + 2 * pad[n] - kernel[n]), step = given ? stride : kernel;
    if (Math.min(...free) < 0) refuse(`a window of ${by(kernel)} does not fit into ${h} × ${w}`);
    const words = [inWords(kernel), given && `s${inWords(stride)}`, Math.max(...pad) > 0 && `p${inWords(pad)}`];
    return { words, out: [c, ...free.map((room, n) => 1 + Math.floor(room / step[n]))], kernel, stride: step, pad };
  }

  function madeAdd({ back }, shape, { layers }) {
    const at = layers.length - back, other = layers[at];
    if (back < 2 || !other) refuse("it adds a layer that there is not, or its own input");
    if (by(other.out) !== by(shape)) refuse(`it adds maps of ${by(other.out)} to those of ${by(shape)}`);
    if (orbitAt(layers.slice(0, at + 1)) !== orbitAt(layers)) refuse("it adds channels that come in other positions");
    return { words: [other.name], back };
  }

  function madeLeaky({ digits, decimals }) {
    const slope = digits / 10 ** decimals;
    if (decimals > 6 || slope >= 1) refuse("it has a slope that is not from 0 to 1, or has too many digits");
    if (decimals && digits % 10 === 0) refuse("it is not canonical: a slope has a digit too many");
    return { words: [slope.toFixed(decimals)], slope };
  }

  // ---------------------------------------------------------------- what layers compute
  // Maps are [channels, height, width] in a row, in float64. `numbers` are those of the network.

  // The weights of a convolution that are not 0, in every position of their kernel: [output, input, row, column, value].
  // A kernel is mirrored, then turned; the channels that it reads change places as they would in an image so turned (net/orbits.py).
  function taps({ weight, orbit, among, groups, out }, numbers) {
    const [kernels, inputs, rows, k] = weight.shape, area = rows * k, found = []; // rows are k where a kernel is turned
    for (let o = 0; o < kernels * orbit; o++) {
      const turn = o % 4 % orbit, mirror = (o % orbit) >> 2, group = Math.floor((o * groups) / out[0]) * inputs;
      for (let n = 0; n < inputs * area; n++) {
        const i = Math.floor(n / area), row = Math.floor(n / k) % rows, column = n % k, h = i % orbit;
        let from = i, y = row, x = column;
        for (let r = 0; r < turn; r++) [y, x] = [x, k - 1 - y];
        if (mirror) x = k - 1 - x;
        if (among > 1) from += 4 * (mirror ^ (h >> 2)) + ((mirror ? turn - h : h - turn) & 3) - h;
        const value = numbers[weight.offset + ((Math.floor(o / orbit) * inputs + from) * rows + y) * k + x];
        if (value) found.push([o, group + i, row, column, value]);
      }
    }
    return found;
  }

  function conv(layer, x, numbers) {
    const [, h, w] = layer.in, [out, H, W] = layer.out, y = new Float64Array(out * H * W);
    if (layer.bias) for (let k = 0; k < y.length; k++) y[k] = numbers[layer.bias.offset + Math.floor(k / (H * W))];
    layer.taps ??= taps(layer, numbers);
    for (const [o, i, row, column, value] of layer.taps) {
      const down = row * layer.dilation[0] - layer.pad[0], right = column * layer.dilation[1] - layer.pad[1], [below, beside] = layer.stride;
      const first = Math.max(0, Math.ceil(-right / beside)), last = Math.min(W, Math.ceil((w - right) / beside));
      for (let r = Math.max(0, Math.ceil(-down / below)); r < Math.min(H, Math.ceil((h - down) / below)); r++) {
        const from = (i * h + r * below + down) * w + right, to = (o * H + r) * W;
        for (let c = first; c < last; c++) y[to + c] += value * x[from + c * beside];
      }
    }
    return y;
  }

  const linear = ({ weight, bias, out }, x, numbers) => Float64Array.from({ length: out[0] }, (_, o) =>
    x.reduce((sum, value, k) => sum + value * numbers[weight.offset + o * x.length + k], bias ? numbers[bias.offset + o] : 0));

  // A pool: `join` takes together what a window has inside the map.
  function pool({ in: [c, h, w], out: [, H, W], kernel, stride, pad }, x, start, join) {
    const y = new Float64Array(c * H * W).fill(start);
    for (let k = 0; k < y.length; k++) {
      const top = (Math.floor(k / W) % H) * stride[0] - pad[0], left = (k % W) * stride[1] - pad[1], map = Math.floor(k / (H * W)) * h;
      for (let row = Math.max(0, top); row < Math.min(h, top + kernel[0]); row++)
        for (let column = Math.max(0, left); column < Math.min(w, left + kernel[1]); column++) y[k] = join(y[k], x[(map + row) * w + column]);
    }
    return y;
  }

  const means = ({ in: [c, h, w] }, x) => Float64Array.from({ length: c }, (_, i) => x.subarray(i * h * w, (i + 1) * h * w).reduce((a, b) => a + b, 0) / (h * w));

  function norm(layer, x) {
    const size = x.length / layer.in[0], mean = means(layer, x), away = x.map((value, k) => value - mean[Math.floor(k / size)]);
    const variance = means(layer, away.map((value) => value ** 2));
    return away.map((value, k) => value / Math.sqrt(variance[Math.floor(k / size)] + tables.epsilon));
  }

  const prelu = ({ weight, in: [c] }, x, numbers) => x.map((v, k) => (v > 0 ? v : v * numbers[weight.offset + Math.floor((k * c) / x.length)]));

  const KINDS = {
    conv: { made: madeConv, run: conv },
    linear: { made: madeLinear, run: linear },
    relu: { run: (_, x) => x.map((v) => Math.max(v, 0)) },
    abs: { run: (_, x) => x.map(Math.abs) },
    leaky: { made: madeLeaky, run: ({ slope }, x) => x.map((v) => (v > 0 ? v : slope * v)) },
    prelu: { made: (_, [c], network) => ({ weight: tensorOf(network, "slope", [c]) }), run: prelu },
    maxpool: { made: madePool, run: (layer, x) => pool(layer, x, -Infinity, Math.max) },
    avgpool: {
      made: (told, shape) => (told.pad ? refuse("means have no padding") : madePool(told, shape)),
      run: (layer, x) => pool(layer, x, 0, (a, b) => a + b).map((v) => v / product(layer.kernel)),
    },
    gap: { made: (_, [c]) => ({ out: [c, 1, 1] }), run: means },
    add: { made: madeAdd, run: ({ back }, x, _, maps) => x.map((v, k) => v + maps.at(-back)[k]) },
    norm: { made: (_, [, h, w]) => (h * w === 1 ? refuse("a map of one pixel is its own mean") : {}), run: norm },
  };

  // The canonical form of an image, as engine/form.py has it: all from the moments of its ink, and read bilinearly.
  function formed({ shape: [c, h, w], form: [width, height, widthExponent, heightExponent] }, image) {
    const size = h * w, ink = new Float64Array(size).fill(tables.faint), middle = (k, side) => (2 * k + 1) / side - 1;
    image.forEach((value, k) => (ink[k % size] += value));
    const all = ink.reduce((a, b) => a + b, 0);
    const mean = (of) => ink.reduce((sum, value, k) => sum + value * of(middle(k % w, w), middle(Math.floor(k / w), h)), 0) / all;
    const x = mean((u) => u), y = mean((_, v) => v);
    const xx = mean((u) => (u - x) ** 2), xy = mean((u, v) => (u - x) * (v - y)), yy = mean((_, v) => (v - y) ** 2);
    const slant = xy / yy, ky = (Math.sqrt(yy) / height) ** heightExponent;
    const kx = (Math.sqrt(Math.max(xx - slant * xy, 0)) / width) ** widthExponent;
    const pixel = (map, row, column) => (row >= 0 && row < h && column >= 0 && column < w ? image[(map * h + row) * w + column] : 0);
    return Float64Array.from({ length: c * size }, (_, k) => {
      const map = Math.floor(k / size), u = middle(k % w, w), v = middle(Math.floor(k / w) % h, h);
      const across = ((kx * u + slant * ky * v + x + 1) * w - 1) / 2, down = ((ky * v + y + 1) * h - 1) / 2;
      const left = Math.floor(across), top = Math.floor(down), part = across - left;
      const row = (at) => pixel(map, at, left) * (1 - part) + pixel(map, at, left + 1) * part;
      return row(top) + (down - top) * (row(top + 1) - row(top));
    });
  }

  // The output of each layer for an image of the network's shape, 0 to 1; before them the image in its form, if there is one.
  function run(network, image) {
    let x = Float64Array.from(image);
    const maps = network.form ? [(x = formed(network, x))] : [];
    for (const layer of network.layers) maps.push((x = KINDS[layer.kind].run(layer, x, network.numbers, maps)));
    return maps;
  }

  // About how long `run` takes, so that nobody has to wait for a file made to be slow; a number that is kept counts as eight.
  function steps({ layers }) {
    const work = ({ kind, in: [c, h, w], out, weight, orbit, kernel }) => {
      if (kind === "conv") return orbit * (weight.size + weight.count * out[1] * out[2]);
      if (kind === "linear") return weight.size;
      return kind.endsWith("pool") ? product(out) * Math.min(kernel[0], h) * Math.min(kernel[1], w) : c * h * w;
    };
    return layers.reduce((sum, layer) => sum + work(layer) + 8 * product(layer.out), 0);
  }

  return { bytesOf, textOf, read, run, steps };
}

