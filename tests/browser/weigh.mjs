// Opens pages of the site several times in a headless Chromium, each time with an empty cache; prints for each page the files that
// it reads and the times to its first paint.
// node weigh.mjs CHROMIUM SITE TIMES PAGE...
import { createRequire } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";

const { chromium } = createRequire(import.meta.url)("playwright-core");
const [executablePath, site, times, ...pages] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath, headless: true, args: ["--no-sandbox", "--disable-gpu"] });
const found = {};
for (const page of pages) {
  const files = new Set(), paints = [];
  for (let k = 0; k < Number(times); k++) {
    const context = await browser.newContext();
    const tab = await context.newPage();
    tab.on("request", (request) => request.url().startsWith("file:") && files.add(fileURLToPath(request.url().split("#")[0])));
    await tab.goto(pathToFileURL(`${site}/${page}`).href);
    await tab.waitForFunction(() => performance.getEntriesByName("first-contentful-paint").length);
    paints.push(await tab.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0].startTime));
    await context.close();
  }
  found[page] = { files: [...files], paints };
}
console.log(JSON.stringify(found));
await browser.close();
