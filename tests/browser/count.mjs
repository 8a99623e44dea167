// Counts the numbers of ONNX files with the site's onnx.js; prints [non-zero, all] of each as JSON.
// node count.mjs ONNX.js FILE...
import { readFileSync } from "node:fs";

const [script, ...files] = process.argv.slice(2);
const readOnnx = new Function(`${readFileSync(script, "utf8")}; return readOnnx;`)();
const counts = files.map((file) => readOnnx(new Uint8Array(readFileSync(file))));
console.log(JSON.stringify(counts.map(({ nonzero, parameters }) => [nonzero, parameters])));
