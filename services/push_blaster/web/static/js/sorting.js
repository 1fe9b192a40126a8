// Tables of rows: a click on a heading sorts by it, times by their instant, numbers by their size.
const inOrder = new Intl.Collator(undefined, { numeric: true });
const chosen = new Map(); // what is sorted how; a live part is drawn again and again

function keyOf(row, column, isNumber) {
  const cell = row.cells[column];
  const time = cell?.querySelector("time");
  if (time) return time.dateTime;
  const text = cell?.textContent.trim() ?? "";
  if (text === "—") return "";
  return isNumber ? (text.replace(/\u202f/g, "").match(/^[\d.]+/)?.[0] ?? "") : text;
}

// Rows without a value come last in both directions.
function sort(table, column, isDown) {
  const heading = table.tHead.rows[0].cells[column];
  const isNumber = heading.classList.contains("num");
  const rows = [...table.tBodies[0].rows].map((row) => [keyOf(row, column, isNumber), row]);
  const full = rows.filter(([key]) => key).sort(([a], [b]) => inOrder.compare(a, b));
  if (isDown) full.reverse();
  const empty = rows.filter(([key]) => !key);
  table.tBodies[0].append(...[...full, ...empty].map(([, row]) => row));
  for (const other of table.querySelectorAll("[aria-sort]")) other.ariaSort = "none";
  heading.ariaSort = isDown ? "descending" : "ascending";
}

function prepare(table, name) {
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    if (!heading.textContent.trim()) return;
    heading.ariaSort = "none";
    heading.tabIndex = 0;
    const choose = () => {
      const isDown = heading.ariaSort === "ascending";
      chosen.set(name, [column, isDown]);
      sort(table, column, isDown);
    };
    heading.addEventListener("click", choose);
    heading.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      choose();
    });
  });
  if (chosen.has(name)) sort(table, ...chosen.get(name));
}

export function makeSortable(root = document) {
  if (window.innerWidth < 832) return; // a phone shows no headings
  root
    .querySelectorAll("table[data-rows]:not(:has([aria-sort]))")
    .forEach((table, place) => prepare(table, `${root.dataset?.live ?? ""} ${place}`));
}
