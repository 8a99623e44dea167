// The place to draw. makePad({ shape, samples, changed, say }) gives { show, clear, values, prepared, empty }; `changed` is called
// whenever something else is on it, and `begun` once, when somebody draws for the first time.
function makePad({ shape: [, H, W], sample, changed, begun, say }) {
  const paper = $("paper"), zoom = Math.max(1, Math.floor(280 / Math.max(H, W)));
  const [wide, high] = [W * zoom, H * zoom], most = Math.max(wide, high);
  [paper.width, paper.height] = [wide, high];
  paper.style.aspectRatio = `${wide} / ${high}`;
  const pen = paper.getContext("2d", { willReadFrequently: true });
  let exact = true; // the paper shows an image of H by W pixels, enlarged: taken as it is
  let empty = true, started = false;

  const start = () => {
    if (!started) begun();
    started = true;
  };
  function clear() {
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, wide, high);
    empty = exact = true;
    changed();
  }
  function stroke(from, to) {
    start();
    exact = empty = false;
    pen.strokeStyle = "#000";
    pen.lineWidth = 0.075 * most;
    pen.lineCap = pen.lineJoin = "round";
    pen.beginPath();
    pen.moveTo(from.x, from.y);
    pen.lineTo(to.x + 0.01, to.y);
    pen.stroke();
    changed();
  }
  // H by W values, 0 to 255, onto the paper.
  function show(values) {
    start();
    const image = pen.createImageData(wide, high);
    const pixels = new Uint32Array(image.data.buffer); // one grey pixel each, opaque
    for (let k = 0; k < H * W; k++) {
      const corner = Math.floor(k / W) * zoom * wide + (k % W) * zoom;
      const grey = 0xff000000 | ((255 - values[k]) * 0x010101);
      for (let row = 0; row < zoom; row++) pixels.fill(grey, corner + row * wide, corner + row * wide + zoom);
    }
    pen.putImageData(image, 0, 0);
    exact = true;
    empty = values.every((v) => v === 0);
    changed();
  }
  // The paper as a network sees it.
  function prepared() {
    const raw = pen.getImageData(0, 0, wide, high).data;
    return preparedAsMnist(Float64Array.from({ length: wide * high }, (_, k) => 255 - raw[4 * k]), wide, high, W, H);
  }
  function values() {
    if (!exact) return prepared();
    const raw = pen.getImageData(0, 0, wide, high).data;
    return Uint8ClampedArray.from({ length: H * W }, (_, k) => 255 - raw[4 * (Math.floor(k / W) * zoom * wide + (k % W) * zoom)]);
  }

  const spot = (event) => {
    const box = paper.getBoundingClientRect();
    return { x: ((event.clientX - box.left) / box.width) * wide, y: ((event.clientY - box.top) / box.height) * high };
  };
  let last = null;
  paper.addEventListener("pointerdown", (event) => {
    paper.setPointerCapture(event.pointerId);
    if (exact && !empty) clear(); // drawing over an image starts anew
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

  const cursor = { x: wide / 2, y: high / 2, down: false }, step = most / 35, edge = most / 14;
  paper.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    if (event.key in moves) {
      const from = { ...cursor };
      cursor.x = Math.min(wide - edge, Math.max(edge, cursor.x + moves[event.key][0]));
      cursor.y = Math.min(high - edge, Math.max(edge, cursor.y + moves[event.key][1]));
      if (cursor.down) stroke(from, cursor);
      say(`pen ${cursor.down ? "down" : "up"}, ${Math.round((100 * cursor.x) / wide)} across, ${Math.round((100 * cursor.y) / high)} down`);
    } else if (event.key === " ") {
      cursor.down = !cursor.down;
      if (cursor.down && exact && !empty) clear();
      if (cursor.down) stroke(cursor, cursor);
      say(cursor.down ? "pen down" : "pen up");
    } else if (event.key === "Delete" || event.key === "Backspace") clear();
    else return;
    event.preventDefault();
  });
  $("clear").addEventListener("click", () => { clear(); paper.focus(); });
  $("sample").addEventListener("click", async () => show(await sample()));
  clear();
  return { show, clear, values, prepared, isEmpty: () => empty };
}

// The held-out images that the site brings, one after the other; of a shape [channels, height, width].
let turn = 0;
async function nextSample([c, h, w] = data.shape) {
  const all = await brought("samples"), size = c * h * w, n = all.length / size, k = turn++ % n;
  return all.subarray(k * size, (k + 1) * size);
}
