// The front as a chart: every network a mark, by size and accuracy, both logarithmic. Hover, or focus and arrow keys, tell which
// it is; a click or Enter opens its page. Of each size, a bar shows the interval of its mean. The goals stand out among the levels.
// Returns the function that draws it at the width that there is.
function makeChart(box, word, { marks: points, sizes, unit }, goals) {
  const inside = (accuracy) => Math.min(accuracy, 0.99999); // 1 has no place on a logarithmic scale of errors
  points = points.map((p) => ({ ...p, accuracy: inside(p.accuracy) }));
  sizes = sizes.map((s) => ({ ...s, mean: inside(s.mean), low: inside(s.low), high: inside(s.high) }));
  const pad = { left: 52, right: 20, top: 26, bottom: 46 };
  let marked = -1, places = [], width = 0;

  function draw() {
    const W = (width = Math.max(300, Math.min(1040, box.clientWidth || 1040))), H = Math.round(Math.min(520, Math.max(360, W * 0.52)));
    const logs = points.map((p) => Math.log10(p.size)), errors = [...points.map((p) => p.accuracy), ...goals].map((a) => Math.log10(1 - a));
    const [x0, x1] = [Math.min(...logs) - 0.08, Math.max(...logs) + 0.12], [y0, y1] = [Math.max(...errors) + 0.03, Math.min(...errors) - 0.06];
    const X = (n) => pad.left + ((Math.log10(n) - x0) / (x1 - x0)) * (W - pad.left - pad.right);
    const Y = (a) => pad.top + ((y1 - Math.log10(1 - a)) / (y1 - y0)) * (H - pad.top - pad.bottom);
    const parts = [`<svg viewBox="0 0 ${W} ${H}" aria-hidden="true" focusable="false">`];
    const sized = []; // of each size that is written below: its place, and half of its width
    const tens = [10, 100, 1000, 10_000, 100_000, 1_000_000], between = Array.from({ length: 90 }, (_, k) => 1 + k / 10);
    const [telling, others] = [[1, 2, 5, 3, 1.5, 6, 8], between].map((all) => all.flatMap((k) => tens.map((ten) => Math.round(k * ten))));
    const place = (n) => {
      const told = n >= 1e6 ? `${n / 1e6} M` : n.toLocaleString("en"), half = 4 * told.length;
      if (Math.log10(n) < x0 || Math.log10(n) > x1 || sized.some(([x, other]) => Math.abs(x - X(n)) < half + other + 6)) return;
      sized.push([X(n), half]);
      parts.push(`<line class="grid" x1="${X(n)}" x2="${X(n)}" y1="${pad.top}" y2="${H - pad.bottom}"/><text x="${X(n)}" y="${H - pad.bottom + 18}" text-anchor="middle">${told}</text>`);
    };
    telling.forEach(place); // the most telling first, and others where few of them are near
    if (sized.length < 3) others.forEach(place);
    const levels = new Set([0.8, 0.9, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.995, 0.99999, ...goals]);
    const within = (a) => Math.log10(1 - a) <= y0 && Math.log10(1 - a) >= y1;
    for (const step of [0.01, 0.005, 0.002, 0.001]) // of marks close together
      for (let k = 1; [...levels].filter(within).length < 3 && k * step < 1; k++) levels.add(+(k * step).toFixed(3));
    for (const a of levels)
      if (within(a)) {
        const goal = goals.includes(a);
        parts.push(`<line class="${goal ? "goal" : "grid"}" x1="${pad.left}" x2="${W - pad.right}" y1="${Y(a)}" y2="${Y(a)}"/><text ${goal ? 'class="goal-name"' : ""} x="${pad.left - 7}" y="${Y(a) + 4}" text-anchor="end">${+(100 * a).toFixed(1)} %</text>`);
      }
    parts.push(`<text x="${(pad.left + W - pad.right) / 2}" y="${H - 8}" text-anchor="middle">${unit}, logarithmic</text>`);
    // The staircase of what is best so far among the entries that chose nothing on test images.
    let best = 0, path = "";
    for (const p of points.filter((p) => p.ours && !p.hollow).sort((a, b) => a.size - b.size || b.accuracy - a.accuracy))
      if (p.accuracy > best) {
        path += path ? `H${X(p.size)}V${Y(p.accuracy)}` : `M${X(p.size)} ${H - pad.bottom}V${Y(p.accuracy)}`;
        best = p.accuracy;
      }
    if (path) parts.push(`<path class="staircase" d="${path}H${W - pad.right}"/>`);
    for (const s of sizes) {
      const [x, low, high] = [X(s.size), Math.min(Y(s.low), H - pad.bottom), Math.max(Y(s.high), pad.top)];
      parts.push(`<path class="mean${s.held ? " held" : ""}" d="M${x} ${low}V${high}M${x - 6} ${Y(s.mean)}h12"/>`);
    }
    places = points.map((p) => [X(p.size), Y(p.accuracy)]);
    const behind = (p) => (p.ours && p.hollow ? 0 : 1); // entries and records over the rest
    for (const [k, p] of [...points.entries()].sort(([, a], [, b]) => behind(a) - behind(b))) {
      const [x, y] = places[k];
      const css = `mark ${p.ours ? "ours" : "theirs"}${p.hollow ? " hollow" : ""}`;
      parts.push(p.ours ? `<circle class="${css}" data-k="${k}" cx="${x}" cy="${y}" r="${p.hollow ? 3.5 : 5}"/>` : `<path class="${css}" data-k="${k}" d="M${x} ${y - 7}l2 5 5 .3-4 3.4 1.4 5-4.4-2.8-4.4 2.8 1.4-5-4-3.4 5-.3z"/>`);
    }
    box.innerHTML = `${parts.join("")}<text class="tip"></text></svg>`;
    if (marked >= 0) mark(marked);
  }

  function mark(k) {
    marked = k;
    for (const shape of box.querySelectorAll(".mark")) shape.classList.toggle("on", Number(shape.dataset.k) === k);
    const [x, y] = places[k], tip = box.querySelector(".tip"), right = x > width / 2;
    tip.textContent = `${points[k].name}: ${points[k].size.toLocaleString("en")}`;
    tip.setAttribute("x", x + (right ? -10 : 10));
    tip.setAttribute("y", Math.max(14, y - 10));
    tip.setAttribute("text-anchor", right ? "end" : "start");
    word.textContent = points[k].text;
  }

  function near(event) {
    const area = box.firstChild.getBoundingClientRect(), scale = width / area.width;
    const at = [(event.clientX - area.left) * scale, (event.clientY - area.top) * scale];
    const far = places.map(([x, y]) => Math.hypot(x - at[0], y - at[1]));
    const k = far.indexOf(Math.min(...far));
    return far[k] < 26 ? k : -1;
  }
  const open = (k) => { if (points[k]?.href) location.href = `${root}${points[k].href}`; };
  box.addEventListener("pointermove", (event) => {
    const k = near(event);
    if (k >= 0 && k !== marked) mark(k);
    box.style.cursor = points[k]?.href ? "pointer" : "";
  });
  box.addEventListener("click", (event) => open(near(event)));
  box.addEventListener("focus", () => { if (marked < 0) mark(0); });
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter") open(marked);
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    mark((marked + step + points.length) % points.length);
    event.preventDefault();
  });
  return draw;
}

if ($("chart") && data.chart?.marks.length) {
  const chart = makeChart($("chart"), $("chart-word"), data.chart, data.goals);
  chart();
  dark.addEventListener("change", chart);
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; chart(); } });
}
