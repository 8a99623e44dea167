// What a network answers, shown: the verdict, bars for the classes, and its layers lit up. makeLights(names) gives { show, blank }.
function makeLights(names) {
  const MOST_MAPS = 64; // of a layer that are lit; a link may have a network of thousands
  let lit = null; // the layers of which rows stand there

  function show(logits, maps, layers, sure) {
    const best = logits.indexOf(Math.max(...logits));
    const { shares, words, told } = sure ? chances(logits, best) : scores(logits);
    $("verdict").textContent = names[best] ?? best;
    announce(told);
    bars(shares, words, best);
    light(maps, layers);
  }
  function blank(why, layers = []) {
    $("verdict").textContent = "";
    announce(why);
    bars(names.map(() => 0), names.map(() => ""), -1);
    light(null, layers);
  }

  function chances(logits, best) {
    const powers = [...logits].map((v) => Math.exp(v - logits[best]));
    const total = powers.reduce((a, b) => a + b);
    const shares = powers.map((v) => v / total);
    return { shares, words: shares.map(percent), told: `It reads ${names[best] ?? best}, ${percent(shares[best])} sure.` };
  }
  // Most .golf files tell no scales, since the answer is the same with any. Their scores say what comes first, and not how surely.
  function scores(logits) {
    const all = [...logits], [low, top] = [Math.min(...all), Math.max(...all)];
    const [first, second] = all.map((_, k) => k).sort((a, b) => all[b] - all[a]);
    const words = all.map((v) => v.toLocaleString("en", { maximumSignificantDigits: 4 }));
    return { shares: all.map((v) => (v - low) / (top - low || 1)), words, told: `It reads ${names[first] ?? first}; ${names[second] ?? second} comes next.` };
  }
  const percent = (p) => `${(100 * p).toFixed(p > 0.9995 || p < 0.0005 ? 0 : 1)} %`;

  let timer = 0;
  function announce(text) { // not while the pen moves
    clearTimeout(timer);
    timer = setTimeout(() => { if ($("verdict-text").textContent !== text) $("verdict-text").textContent = text; }, 250);
  }

  function bars(shares, words, best) {
    const list = $("bars");
    if (!list.children.length)
      list.append(...names.map((name) => made("li", {}, made("span", { textContent: name, className: "name" }),
        made("span", { className: "track" }, made("span", { className: "fill" })), made("span", { className: "percent" }))));
    [...list.children].forEach((item, k) => {
      item.classList.toggle("top", k === best);
      item.querySelector(".fill").style.width = `${100 * (shares[k] ?? 0)}%`;
      item.querySelector(".percent").textContent = words[k] ?? "";
    });
  }

  function tint(share) { // −1 orange … 0 ground … 1 blue
    const ground = dark.matches ? [26, 32, 42] : [255, 255, 255];
    const end = share > 0 ? (dark.matches ? [125, 180, 255] : [18, 62, 125]) : dark.matches ? [255, 164, 92] : [217, 114, 42];
    const a = Math.min(1, Math.abs(share));
    return ground.map((g, i) => Math.round(g + (end[i] - g) * a));
  }

  function light(maps, layers) {
    const box = $("layers");
    $("lights").hidden = !layers.length;
    if (lit !== layers) {
      lit = layers;
      box.replaceChildren(...layers.map((layer) => {
        const [c, h, w] = layer.shape;
        const name = made("span", { className: "name" }, layer.label, made("small", { textContent: `${layer.title}, ${h === 1 && c === 1 ? w : [c, h, w].join("\u00a0×\u00a0")}` }));
        const row = made("div", { className: "layer" }, name, made("span", { className: "maps", ariaHidden: "true" }));
        const zoom = h === 1 && w > 1 ? 20 : Math.max(2, Math.min(22, Math.round(64 / Math.max(h, w))));
        for (let k = 0; k < Math.min(c, MOST_MAPS); k++) {
          const canvas = document.createElement("canvas");
          canvas.style.width = `${w * zoom}px`;
          row.lastChild.append(canvas);
        }
        return row;
      }));
    }
    layers.forEach((layer, n) => {
      const [c, h, w] = layer.shape;
      const values = maps?.[layer.name]?.data ?? new Float32Array(c * h * w);
      const scale = values.reduce((a, v) => Math.max(a, Math.abs(v)), 1e-9);
      [...box.children[n].lastChild.children].forEach((canvas, k) =>
        paint(canvas, values.subarray(k * h * w, (k + 1) * h * w), w, h, (some, at) => tint(some[at] / scale)));
    });
  }
  return { show, blank };
}
