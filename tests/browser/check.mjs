// Opens the page in a headless Chromium and does what a visitor does; prints what happened as JSON.
// node check.mjs CHROMIUM PAGE SHOWN.json PROFILE, where what is shown is { pictures, links: { good, foreign, wrong, bare } }:
// images, the ends of addresses, and a copy of the page without its runtime.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(import.meta.url);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const [browser, page, shown, profile] = process.argv.slice(2);
const { pictures, links } = JSON.parse(readFileSync(shown, "utf8"));
const address = pathToFileURL(page).href;
const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const context = await chromium.launchPersistentContext(profile, { executablePath: browser, headless: true, args: flags, bypassCSP: false });
context.setDefaultTimeout(240_000); // a busy machine is slow, not wrong
const seen = { complaints: [], requests: [] };

async function open(width, height, colorScheme, where = address) {
  const tab = await context.newPage();
  tab.on("console", (message) => ["error", "warning"].includes(message.type()) && seen.complaints.push(message.text()));
  tab.on("pageerror", (error) => seen.complaints.push(String(error)));
  tab.on("request", (request) => seen.requests.push(request.url().slice(0, 120)));
  await tab.setViewportSize({ width, height });
  await tab.emulateMedia({ colorScheme, reducedMotion: "reduce" });
  await tab.goto(where);
  await tab.evaluate(() => golf.ready);
  return tab;
}

try {
  const tab = await open(1440, 900, "light");
  const begun = await tab.evaluate(() => ({ which: document.querySelector("#which").value, portrait: document.querySelector("#portrait").value, card: document.querySelector("#which-card").innerText }));
  // Blitted digits: what the canvas holds, and what the chosen file answers.
  const blitted = await tab.evaluate(async (pictures) => {
    const held = pictures.map((picture) => {
      golf.show(picture);
      return golf.onPaper();
    });
    const same = pictures.every((picture, n) => picture.every((v, i) => v === held[n][i]));
    const found = [];
    for (let k = 0; k < golf.networks.length; k++) {
      const logits = [];
      for (const values of held) logits.push((await golf.answer(values, k, false)).logits);
      found.push({ onnx: golf.networks[k].onnx, logits, same });
    }
    return found;
  }, pictures);
  // The preparation, on digits that MNIST's makers prepared.
  const prepared = await tab.evaluate((pictures) => pictures.map((picture) => {
    golf.show(picture);
    return [...golf.prepared()];
  }), pictures);
  // The copy that shows its layers gives the same answer.
  const copies = await tab.evaluate(async (picture) => {
    const far = [];
    for (let k = 0; k < golf.networks.length; k++) {
      const { logits, maps } = await golf.answer(picture, k);
      far.push(Math.max(...logits.map((v, i) => Math.abs(v - maps.logits.data[i]))));
    }
    return far;
  }, pictures[0]);
  // What a visitor sees after a digit, and after another network is chosen.
  const switched = [];
  for (const value of await tab.$$eval("#which option", (options) => options.map((o) => o.value))) {
    await tab.selectOption("#which", value);
    await tab.evaluate((picture) => golf.show(picture), pictures[0]);
    await tab.waitForTimeout(400);
    switched.push(await tab.evaluate(() => ({
      verdict: document.querySelector("#verdict").textContent,
      words: document.querySelector("#verdict-text").textContent,
      card: document.querySelector("#which-card").innerText,
      layers: [...document.querySelectorAll("#layers .layer")].filter((layer) => layer.offsetHeight > 0).length,
      numbers: document.querySelector("#numbers > :not([hidden]) > .numbers").textContent.split(/\s+/).filter((word) => /^\u2212?[\d.]/.test(word)).length,
      picture: document.querySelector("#figure-flow img").src.length,
      complete: [...document.querySelectorAll("figure img")].every((image) => image.complete && image.naturalWidth > 1 && image.alt),
    })));
  }
  // A stroke with the mouse, and one with the keyboard.
  await tab.click("#clear");
  const box = await tab.locator("#paper").boundingBox();
  await tab.mouse.move(box.x + box.width * 0.7, box.y + box.height * 0.2);
  await tab.mouse.down();
  await tab.mouse.move(box.x + box.width * 0.7, box.y + box.height * 0.8, { steps: 12 });
  await tab.mouse.up();
  const mouse = await tab.evaluate(() => [...golf.onPaper()]);
  await tab.click("#clear");
  await tab.focus("#paper");
  await tab.keyboard.press(" ");
  for (let k = 0; k < 8; k++) await tab.keyboard.press("ArrowDown");
  await tab.waitForTimeout(400);
  const keyboard = await tab.evaluate(() => ({ ink: [...golf.onPaper()], words: document.querySelector("#verdict-text").textContent }));
  await tab.keyboard.press("Delete");
  const cleared = await tab.evaluate(() => golf.onPaper().every((v) => v === 0));
  // The chart, by keyboard and by mouse.
  await tab.focus("#chart");
  await tab.keyboard.press("ArrowRight");
  const first = await tab.textContent("#chart-word");
  const place = await tab.locator("#chart .mark").last().boundingBox();
  await tab.mouse.move(place.x + place.width / 2, place.y + place.height / 2);
  await tab.waitForTimeout(100);
  const hovered = await tab.textContent("#chart-word");
  await tab.close();
  // A link that has a network; its answers, with the runtime and without it.
  const linked = [];
  for (const where of [address, pathToFileURL(links.bare).href]) {
    const one = await open(1440, 900, "light", `${where}#golf=${links.good}`);
    const read = () => one.evaluate(() => ({
      which: document.querySelector("#which").selectedOptions[0].textContent,
      state: document.querySelector("#link-state").textContent,
      note: document.querySelector("#play-state").textContent,
      card: document.querySelector("#which-card").innerText,
      verdict: document.querySelector("#verdict").textContent,
      words: document.querySelector("#verdict-text").textContent,
      layers: [...document.querySelectorAll("#layers .layer")].filter((layer) => layer.offsetHeight > 0).length,
      numbers: document.querySelector("#numbers > :not([hidden]) > .numbers").textContent.split(/\s+/).filter((word) => /^\u2212?[\d.]/.test(word)).length,
      samples: document.querySelectorAll("#link-samples canvas").length,
    }));
    const told = (start, is = true) => one.waitForFunction(([start, is]) => document.querySelector("#verdict-text").textContent.startsWith(start) === is, [start, is]);
    const logits = await one.evaluate(async (pictures) => {
      const k = Number(document.querySelector("#which").value), found = [];
      for (const picture of pictures) found.push((await golf.answer(picture, k)).logits);
      golf.show(pictures[0]);
      return found;
    }, pictures);
    await told("It reads ");
    const found = { ...(await read()), logits };
    const [download] = await Promise.all([one.waitForEvent("download"), one.click("#link-file")]);
    found.file = [download.suggestedFilename(), readFileSync(await download.path()).toString("base64url")];
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    await one.click("#link-copy");
    await one.waitForFunction(() => document.querySelector("#link-copy").textContent === "Copied");
    found.copied = (await one.evaluate(() => navigator.clipboard.readText())).replace(where, "");
    // One for images of another shape, then wrong ones: a line of words, and the page goes on.
    await one.evaluate((text) => (location.hash = `golf=${text}`), links.foreign);
    await told("It does not answer here");
    found.foreign = await read();
    found.wrong = [];
    for (const text of links.wrong) {
      await one.evaluate((text) => (location.hash = `golf=${text}`), text);
      await one.waitForTimeout(50);
      found.wrong.push(await one.evaluate(() => [document.querySelector("#link-state").textContent, document.querySelectorAll("#link-state *").length]));
    }
    await one.selectOption("#which", "0");
    await told("It does not answer here", false);
    found.after = await read();
    found.table = await one.$$eval("#links tbody tr", (rows) => rows.map((row) => [row.cells[0].textContent, row.querySelector("a").hash, row.querySelector("button").dataset.copy]));
    found.again = []; // the link of a network twice, with another network chosen in between
    for (const link of found.table.length ? [0, 1] : []) {
      await one.selectOption("#which", String(link));
      await one.click("#links a");
      await one.waitForTimeout(200);
      found.again.push(await one.evaluate(() => document.querySelector("#which").selectedOptions[0].textContent));
    }
    linked.push(found);
    await one.close();
  }
  // Sizes and colours.
  const looks = [];
  const linkedLooks = [[360, 740, "light", `#golf=${links.good}`], [1440, 900, "dark", `#golf=${links.good}`]];
  for (const [width, height, scheme, end] of [[360, 740, "light", ""], [360, 740, "dark", ""], [1440, 900, "light", ""], [1440, 900, "dark", ""], ...linkedLooks]) {
    const one = await open(width, height, scheme, `${address}${end}`);
    await one.evaluate((picture) => golf.show(picture), pictures[1]);
    await one.waitForTimeout(400);
    const over = await one.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    await one.evaluate((source) => { const s = document.createElement("script"); s.textContent = source; document.head.append(s); }, axe);
    const report = await one.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
    looks.push({ width, scheme, end, over, violations: report.violations.map((v) => ({ id: v.id, impact: v.impact, nodes: v.nodes.slice(0, 3).map((n) => n.target.join(" ") + ": " + n.failureSummary) })) });
    await one.close();
  }
  console.log(JSON.stringify({ ...seen, begun, blitted, prepared, copies, switched, mouse, keyboard, cleared, first, hovered, linked, looks }));
} finally {
  await context.close();
}
