// What every page has: its data, and scripts that are read when they are needed. A script may be read from a file system too,
// where a browser lets no page fetch a file.
const $ = (id) => document.getElementById(id);
const data = JSON.parse($("page-data")?.textContent ?? "{}");
const root = document.body.dataset.root ?? ""; // the way up to the site's folder
const carried = {}; // what the scripts of the folder data bring, by its name
const dark = matchMedia("(prefers-color-scheme: dark)");
// Where the list of pages is above the page and not beside it, it is closed, so that the page begins on the first screen.
if (innerWidth < 900) for (const list of document.querySelectorAll(".side details")) list.open = false;
const reading = new Map();

function load(file) {
  if (!reading.has(file))
    reading.set(file, new Promise((done, fail) => {
      const script = document.createElement("script");
      script.src = `${root}${file}`;
      script.onload = done;
      script.onerror = () => {
        reading.delete(file);
        fail(new Error(`${file} is not there`));
      };
      document.head.append(script);
    }));
  return reading.get(file);
}

const bytesOf = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
async function through(stream, bytes) {
  return new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer());
}
// Bytes that a script of the folder data carries.
const kept = new Map();
function brought(name, file = `data/${name}.js`) {
  if (!kept.has(name)) {
    const found = load(file).then(() => through(new DecompressionStream("gzip"), bytesOf(carried[name])));
    found.catch(() => kept.delete(name));
    kept.set(name, found);
  }
  return kept.get(name);
}

const count = (n) => n.toLocaleString("en");
function made(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}
function paint(canvas, values, w, h, colour) {
  [canvas.width, canvas.height] = [w, h];
  const context = canvas.getContext("2d"), image = context.createImageData(w, h);
  for (let k = 0; k < w * h; k++) image.data.set([...colour(values, k), 255], 4 * k);
  context.putImageData(image, 0, 0);
}
// An image of a shape as a small picture: ink on paper, or colours, or the first channel of anything else.
function picture(values, [channels, h, w]) {
  const canvas = document.createElement("canvas"), area = h * w;
  const grey = (v, k) => [255 - v[k], 255 - v[k], 255 - v[k]], colours = (v, k) => [v[k], v[area + k], v[2 * area + k]];
  paint(canvas, values, w, h, channels === 3 ? colours : grey);
  if (h === 1) canvas.style.width = "96px";
  return canvas;
}
