// Draws the charts in the colours of the reader's theme, sorts tables, copies code. Fetches nothing.
"use strict";

const dark = window.matchMedia("(prefers-color-scheme: dark)");

function drawCharts() {
  const data = JSON.parse(document.getElementById("data").textContent);
  const theme = dark.matches ? "dark" : "light";
  const config = data.themes[theme];
  for (const place of document.querySelectorAll(".chart")) {
    const columns = place.clientWidth < 430 ? 2 : 4;
    const spec = { ...data.charts[Number(place.dataset.chart)], config: { ...config, legend: { ...config.legend, columns } } };
    window.vegaEmbed(place, spec, { actions: false, renderer: "svg", tooltip: { theme } });
  }
}

// Numbers before texts, empty cells last whichever the direction.
function compare(a, b, direction) {
  if (a === "" || b === "") return (a === "") - (b === "");
  const difference = Number(a) - Number(b);
  return direction * (Number.isNaN(difference) ? a.localeCompare(b) : difference);
}

function sortBy(head) {
  const table = head.closest("table");
  const column = [...head.parentNode.children].indexOf(head);
  const direction = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
  const body = table.tBodies[0];
  const key = (row) => row.cells[column].dataset.key;
  body.append(...[...body.rows].sort((a, b) => compare(key(a), key(b), direction)));
}

async function copy(button) {
  const code = button.closest(".code").querySelector("code");
  try {
    await navigator.clipboard.writeText(code.textContent);
  } catch {
    getSelection().selectAllChildren(code); // no clipboard here: leave the text selected
    button.textContent = "Selected";
    return;
  }
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = "Copy"), 1500);
}

if (document.getElementById("data")) {
  drawCharts();
  dark.addEventListener("change", drawCharts);
}
for (const head of document.querySelectorAll("th")) head.addEventListener("click", () => sortBy(head));
for (const button of document.querySelectorAll(".copy")) button.addEventListener("click", () => copy(button));
