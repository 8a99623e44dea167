// A network that came from outside, in a file or in an address: { name, bytes, kind, nonzero, parameters, words, layers, numbers,
// shape, start, why }. All that a page shows of it are numbers and words that are made here. Whatever is no network is refused by
// an Error of one line.
const MOST_STEPS = 2 ** 26; // for an image, so that the pen need not wait for a file that was made to be slow
const MOST_FILE = data.bytes ?? 2 ** 20;
const golfReader = makeGolf(data.golf);
const by = (sides) => sides.join(" × ");

function opened(bytes, name) {
  if (bytes.length > MOST_FILE) throw new Error(`it has ${count(bytes.length)} bytes, and ${count(MOST_FILE)} are allowed`);
  return /\.golf$/i.test(name) ? openedGolf(bytes, name) : openedOnnx(bytes, name);
}

function openedGolf(bytes, name) {
  const network = golfReader.read(bytes), { layers, numbers, nonzero, form, tensors, shape } = network;
  const outputs = layers.at(-1).out[0];
  const found = layers.map((layer) => ({ name: layer.name, label: layer.name, title: data.golf.titles[layer.kind], shape: layer.out }));
  found.push({ ...found.pop(), name: "logits", shape: [1, 1, outputs] });
  if (form) found.unshift({ name: "form", label: "form", title: "the image brought into form", shape });
  const slow = golfReader.steps(network) > MOST_STEPS ? "it has too much to compute" : "";
  const why = unfit(shape, outputs) || slow;
  const run = (values) => golfReader.run(network, Float64Array.from(values, (v) => v / 255));
  const size = shape[0] * shape[1] * shape[2];
  return {
    name, bytes, kind: "golf", nonzero: nonzero + (form ? data.golf.own : 0), parameters: numbers.length, shape, sure: false,
    words: `${count(nonzero)} of ${count(numbers.length)} weights are not zero.${form ? ` It sees images in their canonical form, which brings about ${data.golf.own} more numbers that count.` : ""} ${layers.map((layer) => layer.text).join(", ")}.`,
    layers: why ? [] : found, why,
    numbers: tensors.map(({ name, offset, size }) => [name, numbers.subarray(offset, offset + size)]),
    start: async () => ({
      run: async (values, n = 1) => Array.from({ length: n }, (_, k) => run(values.subarray(k * size, (k + 1) * size)).at(-1)),
      maps: async (values) => Object.fromEntries(run(values).map((map, n) => [found[n].name, { data: map }])),
    }),
  };
}

// Why this site cannot let a network answer, or nothing. With one channel all layouts share their bytes.
function unfit(shape, outputs) {
  const [c, h, w] = data.shape;
  const taken = [by([c, h, w]), ...(c === 1 ? [by([h, w, 1]), by([h, w]), by([h * w])] : [])];
  if (!taken.includes(by(shape))) return `it is for images of ${by(shape)} and not of ${by(data.shape)}`;
  return outputs !== data.classes.length && typeof outputs === "number" ? `it has ${count(outputs)} classes and not ${data.classes.length}` : "";
}

function openedOnnx(bytes, name) {
  const { operators, nonzero, parameters } = readOnnx(bytes);
  if (!operators.length) throw new Error("it is no ONNX file: its graph is empty");
  const allowed = new Set(data.operators ?? []);
  for (const { type, domain, subgraph } of operators) {
    const shown = type.replace(/[^\w.]/g, "?").slice(0, 40);
    if (!["", "ai.onnx"].includes(domain)) throw new Error(`operator ${shown} is of another domain than ai.onnx`);
    if (subgraph) throw new Error(`operator ${shown} holds a graph of its own`);
    if (allowed.size && !allowed.has(type)) throw new Error(`operator ${shown} is not on the list of allowed ones`);
  }
  return {
    name, bytes, kind: "onnx", nonzero, parameters, shape: null, sure: true, layers: [], why: "", numbers: null,
    words: `About ${count(nonzero)} of ${count(parameters)} numbers are not zero.`,
    async start() {
      const ready = await session(bytes);
      const why = ready.input.isTensor ? unfit(ready.shape, ready.output.shape?.[1]) : "its input is no tensor";
      if (why) throw new Error(why);
      if (!["float32", "uint8"].includes(ready.input.type)) throw new Error(`its input is ${ready.input.type} and not float32`);
      const alone = ready.run;
      if (ready.batch > 1) ready.run = async (values, n = 1) => { // filled up to the one size that it takes
        const size = values.length / n, whole = new Uint8Array(ready.batch * size);
        whole.set(values);
        return (await alone(whole, ready.batch)).slice(0, n);
      };
      return ready;
    },
  };
}

// ---------------------------------------------------------------- links
const TAGS = { golf: ".golf", onnx: ".onnx" };
const textInLink = (bytes) => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
async function linkOf({ bytes, kind }) {
  const content = kind === "golf" ? bytes : await through(new CompressionStream("deflate-raw"), bytes);
  const page = new URL(`${root}share.html`, location.href.split("#")[0]);
  return `${page.href}#${kind}=${textInLink(content)}`;
}
// The network of an address, or null where it has none.
async function fromAddress() {
  const [, kind, text] = /^#(golf|onnx)=(.*)$/s.exec(location.hash) ?? [];
  if (!kind) return null;
  if (kind === "golf") return openedGolf(golfReader.bytesOf(text), "network.golf");
  if (!text) throw new Error("it is empty");
  if (text.length > 2 * MOST_FILE) throw new Error("it is longer than any file that is scored");
  if (/[^A-Za-z0-9_-]/.test(text)) throw new Error("a character stands in it that is not one of A to Z, a to z, 0 to 9, - and _");
  if (text.length % 4 === 1) throw new Error("characters are missing at its end");
  return openedOnnx(await inflated(bytesOf(text.replaceAll("-", "+").replaceAll("_", "/"))), "network.onnx");
}
async function inflated(bytes) { // no more than a file may have, so that a small link cannot fill the memory
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw")).getReader(), parts = [];
  let size = 0;
  try {
    for (let part; !(part = await reader.read()).done; parts.push(part.value))
      if ((size += part.value.length) > MOST_FILE) throw new Error(`it unpacks to more than ${count(MOST_FILE)} bytes`);
  } catch (error) {
    reader.cancel().catch(() => {});
    throw error instanceof TypeError ? new Error("it cannot be unpacked") : error;
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}
