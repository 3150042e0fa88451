/* A click on a head sorts its table: numbers as numbers, and what is no number after them.  Without this the page is whole. */
"use strict";
const numberOf = (cell) => parseFloat(cell.dataset.key ?? cell.textContent.replaceAll("\u2009", ""));

function compare(a, b, sign) {
  const x = numberOf(a), y = numberOf(b);
  if (isNaN(x) !== isNaN(y)) return isNaN(x) ? 1 : -1;
  if (x < y || x > y) return x < y ? -sign : sign;
  return sign * a.textContent.localeCompare(b.textContent, undefined, {numeric: true});
}

function sortBy(head) {
  const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  const body = head.closest("table").tBodies[0];
  const cell = (row) => row.cells[head.cellIndex];
  for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
  body.append(...[...body.rows].sort((a, b) => compare(cell(a), cell(b), sign)));
}

for (const head of document.querySelectorAll(".sortable thead th")) {
  const button = document.createElement("button");
  button.title = "sort";
  button.append(...head.childNodes);
  button.onclick = () => sortBy(head);
  head.append(button);
}
