// A drawing, prepared as MNIST was: scaled into a box of 20 of 28 parts with its proportions kept, grey from anti-aliasing, then
// moved so that the centre of mass is in the middle. ink: long rows of `side` values, 0 to 255. Returns H by W values.
function preparedAsMnist(ink, side, long, W, H) {
  let left = side, right = -1, top = long, bottom = -1;
  for (let y = 0; y < long; y++)
    for (let x = 0; x < side; x++)
      if (ink[y * side + x] > 0) {
        left = Math.min(left, x); right = Math.max(right, x);
        top = Math.min(top, y); bottom = Math.max(bottom, y);
      }
  const out = new Uint8ClampedArray(W * H);
  if (right < 0) return out;
  const w = right - left + 1, h = bottom - top + 1;
  const scale = (20 / 28) * Math.min(W / w, H / h); // new pixels per old pixel
  const columns = Math.max(1, Math.round(w * scale)), rows = Math.max(1, Math.round(h * scale));
  const small = shrink(columns, rows);
  let mass = 0, mx = 0, my = 0;
  for (let y = 0; y < rows; y++)
    for (let x = 0; x < columns; x++) {
      const v = small[y * columns + x];
      mass += v; mx += v * x; my += v * y;
    }
  const dx = Math.round(W / 2 - mx / mass), dy = Math.round(H / 2 - my / mass);
  for (let y = 0; y < rows; y++)
    for (let x = 0; x < columns; x++) {
      const X = x + dx, Y = y + dy;
      if (X >= 0 && X < W && Y >= 0 && Y < H) out[Y * W + X] = Math.round(small[y * columns + x]);
    }
  return out;

  // Mean over areas: each new pixel is the average of the part of the old ones that it covers.
  function shrink(columns, rows) {
    const overlap = (from, to, k) => Math.max(0, Math.min(to, k + 1) - Math.max(from, k));
    const out = new Float64Array(columns * rows);
    for (let y = 0; y < rows; y++) {
      const y0 = (y * h) / rows, y1 = ((y + 1) * h) / rows;
      for (let x = 0; x < columns; x++) {
        const x0 = (x * w) / columns, x1 = ((x + 1) * w) / columns;
        let sum = 0;
        for (let sy = Math.floor(y0); sy < y1; sy++)
          for (let sx = Math.floor(x0); sx < x1; sx++)
            sum += ink[(top + Math.min(sy, h - 1)) * side + left + Math.min(sx, w - 1)] * overlap(y0, y1, sy) * overlap(x0, x1, sx);
        out[y * columns + x] = sum / ((y1 - y0) * (x1 - x0));
      }
    }
    return out;
  }
}

