// What can be read from an ONNX file without running it: its operators, inputs and numbers. ONNX files are protocol buffers.

// The fields of a message: [number, value], where a value is a number or a piece of the file.
function* fields(bytes) {
  let at = 0;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const whole = () => {
    let value = 0, factor = 1;
    for (let k = 0; k < 10; k++) {
      const byte = bytes[at++];
      if (byte === undefined) throw new Error("it is no whole ONNX file");
      value += (byte & 127) * factor;
      factor *= 128;
      if (byte < 128) return value;
    }
    throw new Error("it is no ONNX file");
  };
  while (at < bytes.length) {
    const key = whole(), number = Math.floor(key / 8), kind = key % 8;
    if (kind === 0) yield [number, whole()];
    else if (kind === 2) {
      const length = whole();
      if (at + length > bytes.length) throw new Error("it is no whole ONNX file");
      yield [number, bytes.subarray(at, (at += length))];
    } else if (kind === 5 && at + 4 <= bytes.length) {
      yield [number, view.getFloat32(at, true)];
      at += 4;
    } else if (kind === 1 && at + 8 <= bytes.length) {
      yield [number, view.getFloat64(at, true)];
      at += 8;
    } else throw new Error("it is no ONNX file");
  }
}
const textOf = (bytes) => new TextDecoder().decode(bytes);
function* packedWhole(value) { // whole numbers, packed or single
  if (typeof value === "number") return yield value;
  let number = 0, factor = 1;
  for (const byte of value) {
    number += (byte & 127) * factor;
    factor *= 128;
    if (byte < 128) {
      yield number;
      [number, factor] = [0, 1];
    }
  }
}

// Bytes of a number of a tensor, by its type; those that stand for shapes and places do not count.
const WIDTHS = { 1: 4, 2: 1, 3: 1, 10: 2, 11: 8, 16: 2 };

function tensor(bytes) {
  let type = 0, name = "", raw = null, nonzero = 0, total = 1, told = 0, outside = false;
  for (const [field, value] of fields(bytes)) {
    if (field === 1) for (const side of packedWhole(value)) total *= side;
    else if (field === 2) type = value;
    else if (field === 8) name = textOf(value);
    else if (field === 9) raw = value;
    else if (field === 13 || (field === 14 && value === 1)) outside = true;
    else if (field === 4 || field === 10) { // float_data, double_data
      if (typeof value === "number") [nonzero, told] = [nonzero + Number(value !== 0), told + 1];
      else {
        const width = field === 4 ? 4 : 8, view = new DataView(value.buffer, value.byteOffset, value.length);
        for (let k = 0; k + width <= value.length; k += width) nonzero += Number((width === 4 ? view.getFloat32(k, true) : view.getFloat64(k, true)) !== 0);
      }
    } else if (field === 5) for (const one of packedWhole(value)) nonzero += Number(one !== 0);
  }
  if (outside) throw new Error("its numbers stand in another file");
  const width = WIDTHS[type];
  if (raw && width) {
    nonzero = 0;
    for (let k = 0; k + width <= raw.length; k += width) {
      let any = 0;
      for (let b = 0; b < width; b++) any |= b === width - 1 && type !== 2 && type !== 3 ? raw[k + b] & 127 : raw[k + b]; // −0 is 0
      if (type === 3) any = raw[k];
      nonzero += Number(any !== 0);
    }
  }
  return { name, counts: Boolean(width), nonzero: width ? nonzero : 0, total };
}

// The graph: its operators with their domains, and how many numbers it has and how many are not zero. Numbers that no node reads
// do not count. This is not what the referee does, which also finds what a graph makes of its numbers.
function readOnnx(bytes) {
  const graphs = [...fields(bytes)].filter(([field, value]) => field === 7 && value instanceof Uint8Array).map(([, value]) => value);
  if (!graphs.length) throw new Error("it is no ONNX file: there is no graph in it");
  const stored = new Map(), read = new Set(), operators = [];
  let loose = 0;
  for (const graph of graphs)
    for (const [field, value] of fields(graph)) {
      if (field === 5) {
        const one = tensor(value);
        stored.set(one.name, one);
      } else if (field === 1) {
        const node = { type: "", domain: "", subgraph: false }, outputs = [], attributes = [];
        for (const [part, content] of fields(value)) {
          if (part === 1) read.add(textOf(content));
          else if (part === 2) outputs.push(textOf(content));
          else if (part === 4) node.type = textOf(content);
          else if (part === 7) node.domain = textOf(content);
          else if (part === 5) attributes.push([...fields(content)]);
        }
        for (const attribute of attributes) {
          node.subgraph ||= attribute.some(([part]) => part === 6 || part === 11);
          if (node.type !== "Constant") continue;
          for (const [part, content] of attribute) {
            if (part === 5 && content instanceof Uint8Array) stored.set(outputs[0], { ...tensor(content), name: outputs[0] });
            else if (part === 2) loose += Number(content !== 0); // value_float
          }
        }
        operators.push(node);
      }
    }
  const used = [...stored.values()].filter((one) => one.counts && read.has(one.name));
  const sum = (of) => used.reduce((total, one) => total + of(one), 0);
  return { operators, nonzero: sum((one) => one.nonzero) + loose, parameters: sum((one) => one.total) + loose };
}

// The file's own bytes, and after them a second piece of its graph that names more outputs. Protocol buffers merge repeated pieces
// of one field, so this is the same network that also shows its layers.
function withOutputs(file, names) {
  const text = new TextEncoder();
  const field = (tag, body) => {
    const head = [tag];
    let n = body.length;
    for (; n > 127; n >>= 7) head.push((n & 127) | 128);
    return [...head, n, ...body];
  };
  const outputs = names.flatMap((name) => field(0x62, field(0x0a, [...text.encode(name)])));
  const more = Uint8Array.from(field(0x3a, outputs));
  const whole = new Uint8Array(file.length + more.length);
  whole.set(file);
  whole.set(more, file.length);
  return whole;
}
