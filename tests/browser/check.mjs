// Opens the site in a headless Chromium and does what a visitor does; prints what happened as JSON.
// node check.mjs CHROMIUM SITE SHOWN.json PROFILE, where what is shown is { entries, pictures, links: { golf, onnx, foreign, wrong },
// files, table, pages }: names of entries, images, ends of addresses, files to drop, a page with a table, and pages to look at.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(import.meta.url);
const { chromium } = require("playwright-core");
const readQr = require("jsqr");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const [browser, site, shown, profile] = process.argv.slice(2);
const { entries, pictures, links, files, pages, table } = JSON.parse(readFileSync(shown, "utf8"));
const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const context = await chromium.launchPersistentContext(profile, { executablePath: browser, headless: true, args: flags, bypassCSP: false });
context.setDefaultTimeout(240_000); // a busy machine is slow, not wrong
const seen = { complaints: [], requests: [] };
const address = (page) => pathToFileURL(`${site}/${page.split("#")[0]}`).href + (page.includes("#") ? page.slice(page.indexOf("#")) : "");

async function open(page, width = 1280, height = 900, colorScheme = "light") {
  const tab = await context.newPage();
  tab.on("console", (message) => ["error", "warning"].includes(message.type()) && seen.complaints.push(`${page}: ${message.text()}`));
  tab.on("pageerror", (error) => seen.complaints.push(`${page}: ${error}`));
  tab.on("request", (request) => seen.requests.push(request.url().slice(0, 160)));
  await tab.setViewportSize({ width, height });
  await tab.emulateMedia({ colorScheme, reducedMotion: "reduce" });
  await tab.goto(address(page));
  return tab;
}
const said = (tab, start) => tab.waitForFunction((start) => document.querySelector("#verdict-text").textContent.startsWith(start), start);

// What a pad answers to images: the canvas holds them, and the entry's file answers.
async function drawn(entry) {
  const tab = await open(`entry/${entry}.html`);
  const before = await tab.evaluate(() => ({ runtime: typeof globalThis.ort, scripts: document.scripts.length }));
  const found = await tab.evaluate(async (pictures) => {
    const held = pictures.map((picture) => { golf.show(picture); return [...golf.onPaper()]; });
    const same = pictures.every((picture, n) => picture.every((v, i) => v === held[n][i])), logits = [];
    for (const values of held) logits.push((await golf.answer(Uint8Array.from(values), false)).logits);
    const { logits: alone, maps } = await golf.answer(Uint8Array.from(pictures[0]));
    const far = maps?.logits ? Math.max(...alone.map((v, i) => Math.abs(v - maps.logits.data[i]))) : null;
    const prepared = pictures.map((picture) => { golf.show(picture); return [...golf.prepared()]; });
    golf.show(pictures[0]);
    const file = await golf.file();
    return { same, logits, far, prepared, file: btoa(Array.from(file, (b) => String.fromCharCode(b)).join("")) };
  }, pictures);
  await said(tab, "It reads ");
  await tab.click("#lights summary");
  const show = await tab.evaluate(() => ({
    verdict: document.querySelector("#verdict").textContent,
    words: document.querySelector("#verdict-text").textContent,
    layers: [...document.querySelectorAll("#layers .layer")].filter((layer) => layer.offsetHeight > 0).length,
  }));
  await tab.close();
  return { entry, before, ...found, show };
}

// A stroke with the mouse, and one with the keyboard.
async function strokes() {
  const tab = await open(`entry/${entries[0]}.html`);
  const box = await tab.locator("#paper").boundingBox();
  await tab.mouse.move(box.x + box.width * 0.7, box.y + box.height * 0.2);
  await tab.mouse.down();
  await tab.mouse.move(box.x + box.width * 0.7, box.y + box.height * 0.8, { steps: 12 });
  await tab.mouse.up();
  await said(tab, "It reads ");
  const mouse = await tab.evaluate(() => [...golf.onPaper()]);
  await tab.click("#clear");
  await tab.focus("#paper");
  await tab.keyboard.press(" ");
  for (let k = 0; k < 8; k++) await tab.keyboard.press("ArrowDown");
  await said(tab, "It reads ");
  const keyboard = await tab.evaluate(() => ({ ink: [...golf.onPaper()], words: document.querySelector("#verdict-text").textContent }));
  await tab.keyboard.press("Delete");
  const cleared = await tab.evaluate(() => golf.onPaper().every((v) => v === 0));
  await tab.close();
  return { mouse, keyboard, cleared };
}

// The chart, by keyboard and by mouse, and where a click leads.
async function charted() {
  const tab = await open("index.html");
  await tab.focus("#chart");
  await tab.keyboard.press("ArrowRight");
  const first = await tab.textContent("#chart-word");
  const place = await tab.locator("#chart .mark").last().boundingBox();
  await tab.mouse.move(place.x + place.width / 2, place.y + place.height / 2);
  await tab.waitForTimeout(100);
  const found = { first, hovered: await tab.textContent("#chart-word"), axes: {} };
  const pages = await tab.$$eval("a[href^='challenge/']", (links) => links.map((a) => a.getAttribute("href").split("#")[0]));
  for (const page of new Set(["index.html", ...pages])) {
    const other = await open(page);
    if (await other.locator("#chart svg").count())
      found.axes[page] = await other.$$eval("#chart svg text", (all) => ["end", "middle"].map((how) => all.filter((t) => t.getAttribute("text-anchor") === how).length));
    await other.close();
  }
  await tab.close();
  return found;
}

// A table, sorted by each of its columns, up and down.
async function sorted(page) {
  const tab = await open(page);
  const found = [];
  for (const name of ["non-zero", "entry", "correct"])
    for (const order of ["ascending", "descending"]) {
      await tab.locator("table.sortable").first().getByRole("button", { name, exact: true }).click();
      found.push(await tab.evaluate(([name, order]) => {
        const table = document.querySelector("table.sortable"), heads = [...table.tHead.rows[0].cells];
        const column = heads.findIndex((head) => head.textContent === name);
        return { name, order, is: heads[column].getAttribute("aria-sort"), cells: [...table.tBodies[0].rows].map((row) => row.cells[column].textContent.trim()) };
      }, [name, order]));
    }
  await tab.close();
  return found;
}

// A QR code, enlarged as a camera would see it.
function qrText({ width, grey }) {
  const zoom = 4, side = width * zoom, pixels = new Uint8ClampedArray(4 * side * side).fill(255);
  for (let y = 0; y < side; y++)
    for (let x = 0; x < side; x++) pixels.fill(grey[Math.floor(y / zoom) * width + Math.floor(x / zoom)], 4 * (y * side + x), 4 * (y * side + x) + 3);
  return readQr(pixels, side, side)?.data ?? "";
}

// Links that have a network, and links that have none: a line of words, and the page goes on.
async function linked() {
  const found = { opened: [], wrong: [] };
  for (const link of [links.golf, links.onnx].filter(Boolean)) {
    const tab = await open(`share.html#${link}`);
    await tab.evaluate(() => golf.ready);
    const logits = await tab.evaluate(async (pictures) => {
      const found = [];
      for (const picture of pictures.slice(0, 40)) found.push((await golf.answer(Uint8Array.from(picture), false)).logits);
      golf.show(pictures[0]);
      return found;
    }, pictures);
    await said(tab, "It reads ");
    const one = await tab.evaluate(() => ({
      state: document.querySelector("#link-state").textContent,
      text: document.querySelector("#link-text").textContent,
      verify: document.querySelector("#verify").textContent,
      verdict: document.querySelector("#verdict")?.textContent,
      words: document.querySelector("#verdict-text")?.textContent,
      numbers: document.querySelector("#link-numbers").textContent.split(/\s+/).filter((word) => /^\u2212?[\d.]/.test(word)).length,
      samples: document.querySelectorAll("#link-samples canvas").length,
      address: document.querySelector("#link-address").value,
      qr: document.querySelector("#link-qr").hidden ? null : (() => {
        const canvas = document.querySelector("#link-qr canvas"), { width } = canvas;
        const { data } = canvas.getContext("2d").getImageData(0, 0, width, width);
        return { width, grey: Array.from({ length: width * width }, (_, k) => data[4 * k]) };
      })(),
    }));
    if (one.qr) one.qr = qrText(one.qr);
    const [download] = await Promise.all([tab.waitForEvent("download"), tab.click("#link-file")]);
    one.file = [download.suggestedFilename(), readFileSync(await download.path()).toString("base64")];
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    await tab.click("#link-copy");
    await tab.waitForFunction(() => document.querySelector("#link-copy").textContent === "Copied");
    one.copied = await tab.evaluate(() => navigator.clipboard.readText());
    found.opened.push({ ...one, logits });
    await tab.close();
  }
  const tab = await open(`share.html#golf=${links.foreign}`);
  await tab.evaluate(() => golf.ready);
  await tab.waitForTimeout(400);
  found.foreign = await tab.evaluate(() => document.querySelector("#play-state").textContent);
  for (const end of links.wrong) {
    await tab.evaluate((end) => (location.hash = end), end);
    await tab.waitForTimeout(250);
    found.wrong.push(await tab.evaluate(() => [document.querySelector("#link-state").textContent, document.querySelectorAll("#link-state *").length, document.querySelector("#opened").hidden]));
  }
  await tab.close();
  return found;
}

// Files dropped on the page that runs them on the test images.
async function dropped() {
  const tab = await open("try.html"), found = [];
  for (const file of files) {
    await tab.evaluate(() => { // so that what the file before left is not taken for this one's
      for (const id of ["result", "opened"]) document.getElementById(id).hidden = true;
      document.getElementById("progress").textContent = "…";
    });
    await tab.setInputFiles("#file", file);
    await tab.waitForFunction(() => {
      const told = document.querySelector("#progress").textContent;
      return /is not run: /.test(told) || (told === "" && !document.querySelector("#result").hidden && !document.querySelector("#opened").hidden);
    });
    found.push(await tab.evaluate(() => ({
      told: document.querySelector("#progress").textContent,
      shown: !document.querySelector("#result").hidden,
      right: Number(document.querySelector("#figures").dataset.right),
      nonzero: Number(document.querySelector("#figures").dataset.nonzero),
      judged: document.querySelector("#judged").textContent,
      verify: document.querySelector("#verify").textContent,
      table: [...document.querySelectorAll("#confusion tbody tr")].map((row) => [...row.querySelectorAll("td")].map((cell) => Number(cell.textContent.replace("·", "0")))),
      mistakes: document.querySelectorAll("#mistakes canvas").length,
      address: document.querySelector("#link-address").value,
    })));
  }
  await tab.close();
  return found;
}

async function searched() {
  const tab = await open("docs/index.html");
  await tab.fill("#query", "canonical form");
  await tab.waitForSelector("#hits a");
  const found = await tab.$$eval("#hits a", (all) => all.map((one) => [one.textContent, one.getAttribute("href")]));
  await tab.locator("#hits a").first().click();
  await tab.waitForLoadState();
  const led = await tab.evaluate(() => [document.title, location.hash, document.querySelector(decodeURIComponent(location.hash) || "body") !== null]);
  await tab.close();
  return { found, led };
}

// Every page: what it reads before anybody draws, when something is first painted, overflow, links and axe's report.
async function looked() {
  const found = [];
  for (const page of pages)
    for (const [width, height, scheme] of [[360, 740, "light"], [1280, 900, "dark"]]) {
      const begin = seen.requests.length, tab = await open(page, width, height, scheme);
      await tab.waitForFunction(() => performance.getEntriesByName("first-contentful-paint").length);
      const look = await tab.evaluate(() => ({
        over: document.documentElement.scrollWidth - document.documentElement.clientWidth,
        paint: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? null,
        title: document.title,
        description: document.querySelector("meta[name=description]").content,
        image: document.querySelector("meta[property='og:image']").content,
        links: [...document.querySelectorAll("a[href]")].map((a) => a.getAttribute("href")),
        ids: [...document.querySelectorAll("[id]")].map((one) => one.id),
        broken: [...document.images].filter((image) => image.complete && !image.naturalWidth && image.loading !== "lazy").length,
        unnamed: [...document.images].filter((image) => !image.alt).length,
      }));
      const read = seen.requests.slice(begin);
      await tab.evaluate(`${axe}; undefined`);
      const report = await tab.evaluate(() => axe.run(document, { resultTypes: ["violations"], preload: false }));
      const violations = report.violations.map((v) => ({ id: v.id, impact: v.impact, nodes: v.nodes.slice(0, 3).map((n) => `${n.target.join(" ")}: ${n.failureSummary}`) }));
      found.push({ page, width, scheme, read, violations, ...look });
      await tab.close();
    }
  return found;
}

try {
  const result = { drawn: [] };
  for (const entry of entries) result.drawn.push(await drawn(entry));
  result.strokes = await strokes();
  result.chart = await charted();
  if (table) result.sorted = await sorted(table);
  result.linked = await linked();
  result.dropped = await dropped();
  if (pages.includes("docs/index.html")) result.searched = await searched();
  result.looks = await looked();
  console.log(JSON.stringify({ ...seen, ...result }));
} finally {
  await context.close();
}
