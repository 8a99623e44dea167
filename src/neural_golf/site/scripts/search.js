// The search over the documents; its index is read when somebody begins to type. Each word must stand in a section.
const query = $("query"), most = 12;
async function search() {
  const words = query.value.toLowerCase().split(/\s+/).filter((word) => word.length > 1);
  if (!words.length) {
    $("hits").replaceChildren();
    $("found").textContent = "";
    return;
  }
  try {
    await load("data/search.js");
  } catch {
    $("found").textContent = "The index of the search is not there.";
    return;
  }
  const hits = [];
  for (const [page, title, place, heading, text] of carried.search) {
    const [head, body] = [`${title} ${heading}`.toLowerCase(), text.toLowerCase()];
    const marks = words.map((word) => 8 * head.split(word).length + Math.min(6, body.split(word).length) - 9);
    if (marks.every((mark) => mark > 0)) hits.push({ page, title, place, heading, text, mark: marks.reduce((a, b) => a + b) });
  }
  hits.sort((a, b) => b.mark - a.mark);
  $("found").textContent = hits.length ? `${hits.length} section${hits.length > 1 ? "s" : ""}` : "Nothing has all these words.";
  $("hits").replaceChildren(...hits.slice(0, most).map(({ page, title, place, heading, text }) => {
    const at = Math.max(0, text.toLowerCase().indexOf(words[0]) - 40);
    const link = made("a", { href: `${root}${page}#${place}`, textContent: heading === title ? title : `${title}: ${heading}` });
    return made("li", {}, link, made("span", { textContent: ` ${at ? "…" : ""}${text.slice(at, at + 130)}…` }));
  }));
}
query.addEventListener("input", search);
query.addEventListener("focus", () => load("data/search.js").catch(() => {}), { once: true });
