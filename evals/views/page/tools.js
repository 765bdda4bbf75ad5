"use strict";
// The report of widthwise: draws what the data blocks of this page hold. Model text is only ever set as text.

const PALETTE = 7;
const MARKS = { r: "right", w: "wrong", "-": "no answer", p: "stopped", b: "cut by the budget", e: "failed", s: "right in part", u: "not graded" };
const CELLS = { r: "●", w: "○", "-": "·", p: "×", b: "‖", e: "!", s: "◐", u: "?" };
const CLASSES = { r: "r", w: "w", "-": "n-", p: "p", b: "p", e: "e", s: "u", u: "u" };
const NARROW = matchMedia("(max-width: 640px)");

function el(name, given = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(given)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function svg(name, given = {}, text = "") {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(given)) node.setAttribute(key, value);
  node.textContent = text;
  return node;
}

async function block(id) {
  const packed = Uint8Array.from(atob(document.getElementById(id).textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

const percent = (share) => (share === null ? "–" : (100 * share).toFixed(2));
const interval = (of) => (of.low === null ? "–" : `${percent(of.low)} to ${percent(of.high)}`);
const digitsOf = (value, digits) => (Math.abs(value) < 1 ? { maximumSignificantDigits: 4 } : { maximumFractionDigits: digits });  // money may be tiny
const number = (value, digits = 1) => (value === null || value === undefined ? "–" : Number(value).toLocaleString("en", digitsOf(value, digits)));
const shown = (value) => (value === null || value === undefined ? "–" : typeof value === "string" ? value : JSON.stringify(value));
const address = (at) => "#" + new URLSearchParams(Object.entries(at).filter(([, value]) => value !== null && value !== undefined)).toString();
const go = (at) => { location.hash = address(at); };

// A table whose rows become blocks on a narrow page, the first cell above the others with the names of their columns.
// Groups are `[heading, rows]`.
function table(columns, rows, groups = [[null, rows]]) {
  const all = groups.flatMap(([, of]) => of);
  const numeric = columns.map((_, i) => all.length > 0 && all.every((row) => /^[–<]?[-\d., %]*$/.test(row[i])));
  const kind = (i) => (numeric[i] ? "n" : null);
  const head = el("tr", { role: "row" }, ...columns.map((name, i) => el("th", { class: kind(i), scope: "col", role: "columnheader" }, name)));
  const line = (row) => el("tr", { role: "row" }, ...row.map((value, i) => el("td", { class: kind(i), role: "cell", "data-name": columns[i] }, value)));
  const body = ([heading, of]) => el("tbody", { role: "rowgroup" },
    heading ? el("tr", { role: "row", class: "group" }, el("th", { colspan: columns.length, scope: "rowgroup", role: "rowheader" }, heading)) : null, ...of.map(line));
  return el("table", { role: "table" }, el("thead", { role: "rowgroup" }, head), ...groups.map(body));
}

// A list of any length, of which only the rows in view exist. `height` tells the pixels of a row at the box's width.
function list(label, count, height, draw, open, chosen = 0) {
  const space = el("div", { role: "presentation" });
  const box = el("div", { class: "list", tabindex: "0", role: "listbox", "aria-label": label }, space);
  const name = (i) => `${label.replace(/\W+/g, "-")}-${i}`;
  let tall = height(360);
  function measure() {
    tall = height(box.clientWidth || 360);
    space.style.height = `${count * tall}px`;
    box.style.height = `${Math.min(Math.max(count, 1) * tall + 2, 416)}px`;
  }
  function render() {
    const first = Math.max(0, Math.floor(box.scrollTop / tall) - 10);
    const last = Math.min(count, Math.ceil((box.scrollTop + (box.clientHeight || 420)) / tall) + 10);
    const rows = [];
    for (let i = first; i < last; i++) {
      const row = el("div", { class: "row", role: "option", id: name(i), "aria-selected": String(i === chosen), "aria-setsize": count, "aria-posinset": i + 1,
        onclick: () => { choose(i); open(i); } }, ...draw(i));
      row.style.top = `${i * tall}px`;
      row.style.height = `${tall}px`;
      rows.push(row);
    }
    space.replaceChildren(...rows);
    if (count) box.setAttribute("aria-activedescendant", name(chosen));
  }
  function choose(i) {
    chosen = Math.max(0, Math.min(count - 1, i));
    const top = chosen * tall;
    if (top < box.scrollTop) box.scrollTop = top;
    else if (top + tall > box.scrollTop + box.clientHeight) box.scrollTop = top + tall - box.clientHeight;
    render();
  }
  box.addEventListener("scroll", render);
  box.addEventListener("keydown", (event) => {
    const page = Math.max(1, Math.floor(box.clientHeight / tall) - 1);
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -count, End: count }[event.key];
    if (step) choose(chosen + step);
    else if (event.key === "Enter" && count) open(chosen);
    else return;
    event.preventDefault();
  });
  measure();
  render();
  new ResizeObserver(() => { measure(); choose(chosen); }).observe(box);
  return box;
}
