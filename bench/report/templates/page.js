"use strict";

const gapsLast = (one, other, order) => (one === null) - (other === null) || order;

function sort(table, heads, column) {
  const rows = [...table.tBodies[0].rows];
  const numeric = rows.some((row) => "value" in row.cells[column].dataset);
  const key = (cell) => (numeric ? ("value" in cell.dataset ? Number(cell.dataset.value) : null) : cell.textContent);
  const keys = new Map(rows.map((row) => [row, key(row.cells[column])]));
  const before = heads[column].getAttribute("aria-sort");
  const rising = before ? before === "descending" : !numeric;
  const compare = numeric ? (a, b) => a - b : (a, b) => a.localeCompare(b);
  rows.sort((a, b) => {
    const [one, other] = [keys.get(a), keys.get(b)];
    return gapsLast(one, other, one === null ? 0 : (rising ? 1 : -1) * compare(one, other));
  });
  table.tBodies[0].append(...rows);
  heads.forEach((head) => head.removeAttribute("aria-sort"));
  heads[column].setAttribute("aria-sort", rising ? "ascending" : "descending");
}

for (const table of document.querySelectorAll("table:not(.grouped)")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(table, heads, column));
    head.append(button);
  });
}

const tools = document.getElementById("tools");
const filters = [...tools.querySelectorAll("select")];
const pieces = [...document.querySelectorAll("[data-about]")];
const groups = [...document.querySelectorAll("[data-group]")];

function filter() {
  const chosen = filters.filter((select) => select.value !== "");
  for (const piece of pieces) {
    const about = JSON.parse(piece.dataset.about);
    piece.hidden = chosen.some((select) => !about[select.name].includes(select.value));
  }
  for (const group of groups) {
    group.hidden = !group.querySelector("[data-about]:not([hidden])");
    document.querySelectorAll(`nav a[href="#${group.id}"]`).forEach((link) => (link.parentElement.hidden = group.hidden));
  }
  const boards = pieces.filter((piece) => piece.matches("section"));
  const shown = boards.filter((board) => !board.hidden).length;
  tools.querySelector("[role=status]").textContent = chosen.length ? `${shown} of ${boards.length} tables` : "";
}

filters.forEach((select) => select.addEventListener("change", filter));
filter();

const theme = document.getElementById("theme");
const dark = matchMedia("(prefers-color-scheme: dark)");
const show = (pressed) => theme.setAttribute("aria-pressed", String(pressed));

theme.addEventListener("click", () => {
  const now = theme.getAttribute("aria-pressed") !== "true";
  document.documentElement.dataset.theme = now ? "dark" : "light";
  show(now);
});
dark.addEventListener("change", () => "theme" in document.documentElement.dataset || show(dark.matches));
show(dark.matches);
tools.hidden = false;
