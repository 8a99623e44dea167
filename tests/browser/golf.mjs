// Reads networks in the format .golf with the page's golf.js, and runs them; prints what happened as JSON.
// node golf.mjs GOLF.js CASES.json, where the cases are { tables, images, texts }: files as they stand in links, and for shapes of
// images, such as "1,28,28", some images, 0 to 255.
import { readFileSync } from "node:fs";

const [script, cases] = process.argv.slice(2);
const makeGolf = new Function(`${readFileSync(script, "utf8")}; return makeGolf;`)();
const { tables, images, texts } = JSON.parse(readFileSync(cases, "utf8"));
const golf = makeGolf(tables);
const found = texts.map((text) => {
  let network;
  try {
    network = golf.read(golf.bytesOf(text));
  } catch (error) {
    return { refused: error.message, type: error.constructor.name };
  }
  const { form, shape, layers, numbers, nonzero, bytes } = network;
  const logits = (images[shape] ?? []).map((image) => [...golf.run(network, image.map((v) => v / 255)).at(-1)]);
  const steps = golf.steps(network);
  return { form, shape, steps, spec: layers.map((layer) => layer.text), numbers: [...numbers], nonzero, text: golf.textOf(bytes), logits };
});
console.log(JSON.stringify(found));
