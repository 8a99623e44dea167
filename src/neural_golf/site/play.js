// The drawing and the networks that answer to it; page.js stands before it.
const SIZE = 28, CANVAS = 280;

// The file's own bytes, and after them a second piece of its graph that names more outputs. Protocol
// buffers merge repeated pieces of one field, so this is the same network that also shows its layers.
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

// ---------------------------------------------------------------- the drawing
const paper = $("paper");
const pen = paper.getContext("2d", { willReadFrequently: true });
let exact = true; // the paper shows a 28 by 28 image, enlarged tenfold: taken as it is
let empty = true;

function clear() {
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, CANVAS, CANVAS);
  empty = exact = true;
  changed();
}

function stroke(from, to) {
  exact = empty = false;
  pen.strokeStyle = "#000";
  pen.lineWidth = 21;
  pen.lineCap = pen.lineJoin = "round";
  pen.beginPath();
  pen.moveTo(from.x, from.y);
  pen.lineTo(to.x + 0.01, to.y);
  pen.stroke();
  changed();
}

// 784 values, 0 to 255, onto the paper.
function show(values) {
  const image = pen.createImageData(CANVAS, CANVAS);
  const pixels = new Uint32Array(image.data.buffer); // one grey pixel each, opaque
  for (let k = 0; k < SIZE * SIZE; k++) {
    const corner = ((k / SIZE) | 0) * 10 * CANVAS + (k % SIZE) * 10;
    const grey = 0xff000000 | ((255 - values[k]) * 0x010101);
    for (let row = 0; row < 10; row++) pixels.fill(grey, corner + row * CANVAS, corner + row * CANVAS + 10);
  }
  pen.putImageData(image, 0, 0);
  exact = true;
  empty = values.every((v) => v === 0);
  changed();
}

// The paper as the network sees it.
function prepared() {
  const raw = pen.getImageData(0, 0, CANVAS, CANVAS).data;
  return preparedAsMnist(Float64Array.from({ length: CANVAS * CANVAS }, (_, k) => 255 - raw[4 * k]), CANVAS, SIZE);
}

function onPaper() {
  if (!exact) return prepared();
  const raw = pen.getImageData(0, 0, CANVAS, CANVAS).data;
  return Uint8ClampedArray.from({ length: SIZE * SIZE }, (_, k) => 255 - raw[4 * (((k / SIZE) | 0) * 10 * CANVAS + (k % SIZE) * 10)]);
}

const spot = (event) => {
  const box = paper.getBoundingClientRect();
  return { x: ((event.clientX - box.left) / box.width) * CANVAS, y: ((event.clientY - box.top) / box.height) * CANVAS };
};
let last = null;
paper.addEventListener("pointerdown", (event) => {
  paper.setPointerCapture(event.pointerId);
  if (exact && !empty) clear(); // drawing over a test digit starts anew
  last = spot(event);
  stroke(last, last);
});
paper.addEventListener("pointermove", (event) => {
  if (!last) return;
  for (const one of event.getCoalescedEvents?.() ?? [event]) {
    const next = spot(one);
    stroke(last, next);
    last = next;
  }
});
for (const name of ["pointerup", "pointercancel"]) paper.addEventListener(name, () => (last = null));

const cursor = { x: CANVAS / 2, y: CANVAS / 2, down: false };
paper.addEventListener("keydown", (event) => {
  const moves = { ArrowLeft: [-8, 0], ArrowRight: [8, 0], ArrowUp: [0, -8], ArrowDown: [0, 8] };
  if (event.key in moves) {
    const from = { ...cursor };
    cursor.x = Math.min(CANVAS - 20, Math.max(20, cursor.x + moves[event.key][0]));
    cursor.y = Math.min(CANVAS - 20, Math.max(20, cursor.y + moves[event.key][1]));
    if (cursor.down) stroke(from, cursor);
    say(`pen ${cursor.down ? "down" : "up"}, ${Math.round(cursor.x / 2.8)} across, ${Math.round(cursor.y / 2.8)} down`);
  } else if (event.key === " ") {
    cursor.down = !cursor.down;
    if (cursor.down && exact && !empty) clear();
    if (cursor.down) stroke(cursor, cursor);
    say(cursor.down ? "pen down" : "pen up");
  } else if (event.key === "Delete" || event.key === "Backspace") clear();
  else return;
  event.preventDefault();
});
const say = (text) => ($("play-state").textContent = text);
$("clear").addEventListener("click", () => { clear(); paper.focus(); });
let sampled = 0;
$("sample").addEventListener("click", () => show(bytesOf(data.samples[sampled++ % data.samples.length])));
$("sample").hidden = !data.samples.length;

// ---------------------------------------------------------------- the networks
const CLASSES = networks[0].layers.at(-1).shape.at(-1);
const sessions = new Map();
const packed = makeGolf(data.golf);
let current = data.first;
let runtime = null;
let note = $("play-state").textContent; // what is to be said of the runtime

async function start() {
  if (!globalThis.ort) return;
  const { env } = globalThis.ort;
  env.wasm.numThreads = 1;
  env.wasm.wasmBinary = (await unzipped("wasm-gz")).buffer;
  env.logLevel = "error";
  runtime = globalThis.ort;
  say((note = ""));
}

function session(k) {
  if (!sessions.has(k)) {
    const file = bytesOf(networks[k].onnx);
    const names = networks[k].layers.map((layer) => layer.name).filter((name) => name !== "logits");
    const options = { executionProviders: ["wasm"], graphOptimizationLevel: "disabled" };
    sessions.set(k, Promise.all([
      runtime.InferenceSession.create(file, options), // the scored file, byte for byte: it answers
      runtime.InferenceSession.create(withOutputs(file, names), options), // shows its layers
    ]));
  }
  return sessions.get(k);
}

async function answer(values, k = current, layers = true) {
  if (networks[k].golf) {
    const outputs = packed.run(networks[k].golf, Float64Array.from(values, (v) => v / 255));
    return { logits: [...outputs.at(-1)], maps: Object.fromEntries(networks[k].layers.map((layer, n) => [layer.name, { data: outputs[n] }])) };
  }
  const [judge, glass] = await session(k);
  const image = new runtime.Tensor("float32", Float32Array.from(values, (v) => v / 255), [1, 1, SIZE, SIZE]);
  const { logits } = await judge.run({ image });
  return { logits: [...logits.data], maps: layers ? await glass.run({ image }) : null };
}

let pending = false, busy = false;
function changed() {
  pending = true;
  if (busy) return;
  busy = true;
  requestAnimationFrame(async () => {
    while (pending) {
      pending = false;
      try {
        await update();
      } catch (error) {
        say(`This browser could not run the network: ${error.message ?? error}`);
      }
    }
    busy = false;
  });
}

async function update() {
  const values = onPaper(), network = networks[current];
  paint($("seen"), values, SIZE, SIZE, (v) => [255 - v, 255 - v, 255 - v]);
  if (network.why || empty || !(network.golf || runtime)) return blank(network.why || "Draw something.");
  const { logits, maps } = await answer(values);
  if (!logits.every(Number.isFinite)) return blank("It gives no number for this drawing.");
  const best = logits.indexOf(Math.max(...logits));
  const { shares, words, told } = network.golf ? scores(logits) : chances(logits, best);
  $("verdict").textContent = best;
  announce(told);
  bars(shares, words, best);
  light(maps);
}

function chances(logits, best) {
  const powers = logits.map((v) => Math.exp(v - logits[best]));
  const total = powers.reduce((a, b) => a + b);
  const shares = powers.map((v) => v / total);
  return { shares, words: shares.map(percent), told: `It reads ${best}, ${percent(shares[best])} sure.` };
}

// Most .golf files tell no scales, since the answer is the same with any. Their scores say what comes first, and not how surely.
function scores(logits) {
  const [low, top] = [Math.min(...logits), Math.max(...logits)];
  const [first, second] = logits.map((_, k) => k).sort((a, b) => logits[b] - logits[a]);
  const words = logits.map((v) => v.toLocaleString("en", { maximumSignificantDigits: 4 }));
  return { shares: logits.map((v) => (v - low) / (top - low || 1)), words, told: `It reads ${first}; ${second} comes next.` };
}

let timer = 0;
function announce(text) { // not while the pen moves
  clearTimeout(timer);
  timer = setTimeout(() => { if ($("verdict-text").textContent !== text) $("verdict-text").textContent = text; }, 250);
}
const percent = (p) => `${(100 * p).toFixed(p > 0.9995 || p < 0.0005 ? 0 : 1)} %`;

function blank(why) {
  $("verdict").textContent = "·";
  announce(why);
  bars(Array(CLASSES).fill(0), Array(CLASSES).fill(""), -1);
  light(null);
}

function bars(shares, words, best) {
  const list = $("bars");
  if (!list.children.length)
    for (let k = 0; k < CLASSES; k++) {
      const item = document.createElement("li");
      item.innerHTML = `<span>${k}</span><span class="track"><span class="fill"></span></span><span class="percent"></span>`;
      list.append(item);
    }
  [...list.children].forEach((item, k) => {
    item.className = k === best ? "top" : "";
    item.querySelector(".fill").style.width = `${100 * shares[k]}%`;
    item.querySelector(".percent").textContent = words[k];
  });
}

function paint(canvas, values, w, h, colour) {
  const context = canvas.getContext("2d");
  const image = context.createImageData(w, h);
  for (let k = 0; k < w * h; k++) image.data.set([...colour(values[k]), 255], 4 * k);
  context.putImageData(image, 0, 0);
}

dark.addEventListener("change", changed);
function tint(share) { // −1 orange … 0 ground … 1 blue
  const ground = dark.matches ? [26, 32, 42] : [255, 255, 255];
  const end = share > 0 ? (dark.matches ? [125, 180, 255] : [18, 62, 125]) : dark.matches ? [255, 164, 92] : [217, 114, 42];
  const a = Math.min(1, Math.abs(share));
  return ground.map((g, i) => Math.round(g + (end[i] - g) * a));
}

const MOST_MAPS = 64; // of a layer that are lit; a link may have a network of thousands
let lit = null; // the network of which rows stand there

function light(maps) {
  const box = $("layers"), network = networks[current];
  if (lit !== network) {
    lit = network;
    box.replaceChildren(...network.layers.map((layer) => {
      const [c, h, w] = layer.shape;
      const row = document.createElement("div");
      row.className = "layer";
      row.innerHTML = `<span class="name"><small></small></span><span class="maps" aria-hidden="true"></span>`;
      row.firstChild.prepend(layer.label);
      row.querySelector("small").textContent = `${layer.title}, ${h === 1 && c === 1 ? w : [c, h, w].join("\u00a0×\u00a0")}`;
      const zoom = h === 1 && w > 1 ? 20 : Math.max(2, Math.min(22, Math.round(64 / Math.max(h, w))));
      for (let k = 0; k < Math.min(c, MOST_MAPS); k++) {
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [w, h];
        canvas.style.width = `${w * zoom}px`;
        row.lastChild.append(canvas);
      }
      return row;
    }));
  }
  network.layers.forEach((layer, n) => {
    const [c, h, w] = layer.shape;
    const values = maps ? maps[layer.name].data : new Float32Array(c * h * w);
    const scale = values.reduce((a, v) => Math.max(a, Math.abs(v)), 1e-9);
    [...box.children[n].lastChild.children].forEach((canvas, k) =>
      paint(canvas, values.subarray(k * h * w, (k + 1) * h * w), w, h, (v) => tint(v / scale)));
  });
}

choose = (k) => {
  current = k;
  const { golf, variant } = networks[k];
  $("which").value = String(k);
  only("#play", variant);
  $("bars").setAttribute("aria-label", golf ? "Score of each class" : "Probability of each class");
  say(golf ? "" : note);
  changed();
  if (!golf) portray(k); // there are no figures of a link's network
};
$("which").addEventListener("change", (event) => choose(Number(event.target.value)));

const linked = makeLinks(packed, { titles: data.golf.titles, shape: [1, SIZE, SIZE], classes: CLASSES }, data.samples.map(bytesOf), paint);
const LINKED = networks.length;
function follow() {
  const network = linked();
  if (!network) return;
  networks[LINKED] = network;
  $("which").options[LINKED] = new Option(network.title, LINKED);
  choose(LINKED);
}
addEventListener("hashchange", follow);
$("links")?.addEventListener("click", ({ target }) => { if (target.hash && target.hash === location.hash) follow(); }); // the address stays as it is

// ---------------------------------------------------------------- start
clear();
choose(data.first);
follow();
const ready = start().then(changed);
ready.catch((error) => say((note = `This browser could not start the runtime: ${error.message ?? error}`)));
// For the tests, and for whoever looks into the console.
globalThis.golf = { ready, networks, show, choose, answer, prepared, onPaper, withOutputs };
