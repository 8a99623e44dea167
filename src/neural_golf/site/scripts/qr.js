// QR codes of bytes (ISO/IEC 18004), with the lowest error correction, as the smallest square that holds them.
function qrModules(bytes) {
  const PER_BLOCK = [0, 7, 10, 15, 20, 26, 18, 20, 24, 30, 18, 20, 24, 26, 30, 22, 24, 28, 30, 28, 28, 28, 28, 30, 30, 26, 28, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30];
  const BLOCKS = [0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 4, 4, 6, 6, 6, 6, 7, 8, 8, 9, 9, 10, 12, 12, 12, 13, 14, 15, 16, 17, 18, 19, 19, 20, 21, 22, 24, 25];
  const raw = (v) => {
    let n = (16 * v + 128) * v + 64;
    if (v > 1) {
      const marks = Math.floor(v / 7) + 2;
      n -= (25 * marks - 10) * marks - 55;
      if (v > 6) n -= 36;
    }
    return Math.floor(n / 8);
  };
  const room = (v) => raw(v) - PER_BLOCK[v] * BLOCKS[v];
  let version = 1;
  while (version <= 40 && bytes.length + (version < 10 ? 2 : 3) > room(version)) version++;
  if (version > 40) throw new Error("it is too long for a QR code");

  // The data: mode, length, bytes, an end, and what fills it up.
  const bits = [];
  const put = (value, length) => { for (let k = length - 1; k >= 0; k--) bits.push((value >>> k) & 1); };
  put(4, 4);
  put(bytes.length, version < 10 ? 8 : 16);
  for (const byte of bytes) put(byte, 8);
  put(0, Math.min(4, 8 * room(version) - bits.length));
  while (bits.length % 8) bits.push(0);
  const words = [];
  for (let k = 0; k < bits.length; k += 8) words.push(bits.slice(k, k + 8).reduce((a, b) => 2 * a + b, 0));
  for (let pad = 0xec; words.length < room(version); pad ^= 0xec ^ 0x11) words.push(pad);

  // Reed and Solomon's words for each block, then all blocks interleaved.
  const times = (a, b) => {
    let product = 0;
    for (let k = 7; k >= 0; k--) product = ((product << 1) ^ ((product >>> 7) * 0x11d) ^ (((b >>> k) & 1) * a)) & 255;
    return product;
  };
  const degree = PER_BLOCK[version], divisor = new Array(degree).fill(0);
  divisor[degree - 1] = 1;
  for (let k = 0, power = 1; k < degree; k++, power = times(power, 2))
    for (let j = 0; j < degree; j++) divisor[j] = times(divisor[j], power) ^ (divisor[j + 1] ?? 0);
  const blocks = BLOCKS[version], short = blocks - (raw(version) % blocks), length = Math.floor(raw(version) / blocks);
  const parts = [];
  for (let k = 0, at = 0; k < blocks; k++) {
    const own = words.slice(at, (at += length - degree + (k < short ? 0 : 1))), rest = new Array(degree).fill(0);
    for (const word of own) {
      const factor = word ^ rest.shift();
      rest.push(0);
      divisor.forEach((one, j) => (rest[j] ^= times(one, factor)));
    }
    parts.push({ own, rest });
  }
  const stream = [];
  for (let k = 0; k <= length - degree; k++) for (const { own } of parts) if (k < own.length) stream.push(own[k]);
  for (let k = 0; k < degree; k++) for (const { rest } of parts) stream.push(rest[k]);

  // The square: what is fixed, then the data in their zigzag, then the mask that looks least like a pattern.
  const size = 17 + 4 * version, dark = Array.from({ length: size }, () => new Array(size).fill(false)), fixed = dark.map((row) => [...row]);
  const set = (x, y, on) => {
    if (x < 0 || y < 0 || x >= size || y >= size) return;
    dark[y][x] = on;
    fixed[y][x] = true;
  };
  for (let k = 0; k < size; k++) { set(6, k, k % 2 === 0); set(k, 6, k % 2 === 0); }
  for (const [cx, cy] of [[3, 3], [size - 4, 3], [3, size - 4]])
    for (let dy = -4; dy <= 4; dy++) for (let dx = -4; dx <= 4; dx++) {
      const far = Math.max(Math.abs(dx), Math.abs(dy));
      set(cx + dx, cy + dy, far !== 2 && far !== 4);
    }
  const marks = [];
  if (version > 1) {
    const n = Math.floor(version / 7) + 2, step = Math.floor((version * 8 + n * 3 + 5) / (n * 4 - 4)) * 2;
    for (let k = 0, at = size - 7; k < n - 1; k++, at -= step) marks.unshift(at);
    marks.unshift(6);
  }
  marks.forEach((x, i) => marks.forEach((y, j) => {
    if ((i === 0 && j === 0) || (i === 0 && j === marks.length - 1) || (i === marks.length - 1 && j === 0)) return;
    for (let dy = -2; dy <= 2; dy++) for (let dx = -2; dx <= 2; dx++) set(x + dx, y + dy, Math.max(Math.abs(dx), Math.abs(dy)) !== 1);
  }));
  const format = (mask) => {
    const value = (1 << 3) | mask; // 01: the lowest error correction
    let rest = value;
    for (let k = 0; k < 10; k++) rest = (rest << 1) ^ ((rest >>> 9) * 0x537);
    const code = ((value << 10) | rest) ^ 0x5412, bit = (k) => ((code >>> k) & 1) === 1;
    for (let k = 0; k <= 5; k++) set(8, k, bit(k));
    set(8, 7, bit(6)); set(8, 8, bit(7)); set(7, 8, bit(8));
    for (let k = 9; k < 15; k++) set(14 - k, 8, bit(k));
    for (let k = 0; k < 8; k++) set(size - 1 - k, 8, bit(k));
    for (let k = 8; k < 15; k++) set(8, size - 15 + k, bit(k));
    set(8, size - 8, true);
  };
  format(0);
  if (version > 6) {
    let rest = version;
    for (let k = 0; k < 12; k++) rest = (rest << 1) ^ ((rest >>> 11) * 0x1f25);
    const code = (version << 12) | rest;
    for (let k = 0; k < 18; k++) {
      const on = ((code >>> k) & 1) === 1, a = size - 11 + (k % 3), b = Math.floor(k / 3);
      set(a, b, on);
      set(b, a, on);
    }
  }
  let at = 0;
  for (let right = size - 1; right >= 1; right -= 2) {
    if (right === 6) right = 5;
    for (let step = 0; step < size; step++)
      for (let j = 0; j < 2; j++) {
        const x = right - j, y = ((right + 1) & 2) === 0 ? size - 1 - step : step;
        if (fixed[y][x]) continue;
        if (at < 8 * stream.length) dark[y][x] = ((stream[at >>> 3] >>> (7 - (at & 7))) & 1) === 1;
        at++;
      }
  }
  const MASKS = [(x, y) => (x + y) % 2, (x, y) => y % 2, (x) => x % 3, (x, y) => (x + y) % 3, (x, y) => (Math.floor(x / 3) + Math.floor(y / 2)) % 2,
    (x, y) => ((x * y) % 2) + ((x * y) % 3), (x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2, (x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2];
  const flip = (mask) => { for (let y = 0; y < size; y++) for (let x = 0; x < size; x++) if (!fixed[y][x] && MASKS[mask](x, y) === 0) dark[y][x] = !dark[y][x]; };
  const odd = () => { // runs, squares and imbalance; the finders' likeness matters little to readers of today
    let sum = 0, on = 0;
    for (let a = 0; a < size; a++)
      for (const of of [(b) => dark[a][b], (b) => dark[b][a]])
        for (let b = 0, run = 0; b < size; b++) {
          run = b && of(b) === of(b - 1) ? run + 1 : 1;
          sum += run === 5 ? 3 : run > 5 ? 1 : 0;
        }
    for (let y = 0; y < size; y++) for (let x = 0; x < size; x++) {
      on += Number(dark[y][x]);
      if (y && x && dark[y][x] === dark[y - 1][x] && dark[y][x] === dark[y][x - 1] && dark[y][x] === dark[y - 1][x - 1]) sum += 3;
    }
    return sum + 10 * Math.floor(Math.abs((20 * on) / (size * size) - 10));
  };
  let best = 0, least = Infinity;
  for (let mask = 0; mask < 8; mask++) {
    flip(mask);
    format(mask);
    const found = odd();
    if (found < least) [least, best] = [found, mask];
    flip(mask);
  }
  flip(best);
  format(best);
  return dark;
}

// A QR code of text as a picture, dark on white with the margin that readers need.
function qrPicture(text) {
  const dark = qrModules(new TextEncoder().encode(text)), margin = 4, side = dark.length + 2 * margin;
  const canvas = made("canvas", { role: "img", ariaLabel: "QR code of the link" });
  paint(canvas, dark, side, side, (some, k) => {
    const on = some[Math.floor(k / side) - margin]?.[(k % side) - margin];
    return on ? [0, 0, 0] : [255, 255, 255];
  });
  canvas.style.width = `${side * (side > 100 ? 3 : 4)}px`;
  return canvas;
}
