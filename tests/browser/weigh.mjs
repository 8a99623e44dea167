// Opens a page of the site several times in a headless Chromium; prints the files that it reads and the times to its first paint.
// node weigh.mjs CHROMIUM SITE PAGE TIMES FOLDER, where the folder is for the browser's profiles.
import { createRequire } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";

const { chromium } = createRequire(import.meta.url)("playwright-core");
const [browser, site, page, times, folder] = process.argv.slice(2);
const files = new Set(), paints = [];
for (let k = 0; k < Number(times); k++) {
  const context = await chromium.launchPersistentContext(`${folder}/${k}`, { executablePath: browser, headless: true, args: ["--no-sandbox", "--disable-gpu"] });
  const tab = await context.newPage();
  tab.on("request", (request) => request.url().startsWith("file:") && files.add(fileURLToPath(request.url().split("#")[0])));
  await tab.goto(pathToFileURL(`${site}/${page}`).href);
  await tab.waitForFunction(() => performance.getEntriesByName("first-contentful-paint").length);
  paints.push(await tab.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0].startTime));
  await context.close();
}
console.log(JSON.stringify({ files: [...files], paints }));
