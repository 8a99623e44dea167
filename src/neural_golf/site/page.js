// The page's behaviour without a drawing: the chart and the figures. No request is ever made.
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);

// ---------------------------------------------------------------- bytes
const bytesOf = (base64) => Uint8Array.from(atob(base64.trim()), (c) => c.charCodeAt(0));
async function unzipped(id) {
  const stream = new Blob([bytesOf($(id).textContent)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}


// ---------------------------------------------------------------- the networks that are looked into
const networks = [...data.networks]; // and behind them that of a link, which needs no runtime
let choose = portray; // where there is a drawing, play.js has more to do
const only = (place, variant) => document.querySelectorAll(`${place} [data-of]`).forEach((one) => (one.hidden = one.dataset.of !== variant));
function portray(k) {
  $("portrait").value = String(k);
  only("#inside", networks[k].variant);
  figures(k);
}
$("portrait").addEventListener("change", (event) => choose(Number(event.target.value)));

// ---------------------------------------------------------------- the figures
let drawn = null;
async function figures(k) {
  drawn ??= unzipped("figures-gz").then((bytes) => JSON.parse(new TextDecoder().decode(bytes)));
  const all = await drawn;
  for (const image of document.querySelectorAll("img[data-kind]")) {
    const kind = image.dataset.kind;
    const drawing = all[kind] ?? all[`${kind}-${networks[k].variant}`]; // a PNG as an address, or the text of an SVG
    if (!drawing) continue;
    image.src = drawing.startsWith("data:") ? drawing : `data:image/svg+xml;charset=utf-8,${encodeURIComponent(drawing)}`;
    const caption = image.closest("figure").querySelector("figcaption span").textContent;
    image.alt = kind in all ? caption : `${$("portrait").options[k].text}. ${caption}`;
  }
}

const inside = (accuracy) => Math.min(Number(accuracy), 0.99999); // 1 has no place on a logarithmic scale of errors
const points = [...document.querySelectorAll("#marks li")].map(({ dataset: mark, textContent }) => ({
  name: mark.name,
  nonzero: Number(mark.nonzero),
  accuracy: inside(mark.accuracy),
  ours: "ours" in mark,
  hollow: "hollow" in mark,
  text: textContent.trim(),
}));
const sizes = [...document.querySelectorAll("#sizes li")].map(({ dataset: size }) => ({
  nonzero: Number(size.nonzero), mean: inside(size.mean), low: inside(size.low), high: inside(size.high), held: "held" in size,
}));
const chart = makeChart($("chart"), $("chart-word"), points, sizes, data.goals);

// ---------------------------------------------------------------- start
const dark = matchMedia("(prefers-color-scheme: dark)");
dark.addEventListener("change", chart);
chart();
let width = innerWidth;
addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; chart(); } });
portray(data.first);
