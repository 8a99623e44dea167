// Tables of the class sortable: a column's name is a button that sorts by it, and once more turns the order round.
for (const table of document.querySelectorAll("table.sortable, .paper table")) {
  const rows = [...table.tBodies[0]?.rows ?? []];
  if (rows.length < 3) continue;
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const words = head.textContent;
    if (!words.trim()) return;
    const button = made("button", { type: "button", className: "sort", textContent: words });
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const falling = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      const text = (row) => row.cells[column]?.textContent.trim() ?? "";
      const number = (row) => Number.parseFloat(text(row).replaceAll(",", "").replace(/^[<≤]\s*/, ""));
      const numbers = rows.every((row) => !text(row) || Number.isFinite(number(row)) || text(row) === "–");
      const order = numbers ? (a, b) => number(a) - number(b) : (a, b) => text(a).localeCompare(text(b), "en");
      const last = (row) => Number(!text(row) || (numbers && !Number.isFinite(number(row)))); // what is empty stays at the end
      const sorted = [...rows].sort((a, b) => last(a) - last(b) || (falling ? -1 : 1) * order(a, b) || rows.indexOf(a) - rows.indexOf(b));
      table.tBodies[0].append(...sorted);
    });
  });
}
