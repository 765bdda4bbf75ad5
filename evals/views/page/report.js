"use strict";
// The report of widthwise: draws what the data blocks of this page hold. Model text is only ever set as text.

const PALETTE = 7;
const ROW = 26;
const MARKS = { r: "right", w: "wrong", "-": "no answer", p: "stopped", b: "cut by the budget", e: "failed", u: "not graded" };
const CELLS = { r: "●", w: "○", "-": "·", p: "×", b: "‖", e: "!", u: "?" };
const CLASSES = { r: "r", w: "w", "-": "n-", p: "p", b: "p", e: "e", u: "u" };

// -- small tools ----------------------------------------------------------------------------------------------

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
const number = (value) => (value === null || value === undefined ? "–" : Number(value).toLocaleString("en", { maximumFractionDigits: 1 }));
const shown = (value) => (value === null || value === undefined ? "–" : typeof value === "string" ? value : JSON.stringify(value));

function table(columns, rows, caption) {
  const numeric = columns.map((_, i) => rows.length > 0 && rows.every((row) => /^[–<]?[-\d., %]*$/.test(row[i])));
  const cell = (kind) => (value, i) => el(kind, { class: numeric[i] ? "n" : null, scope: kind === "th" ? "col" : null }, value);
  return el("div", { class: "scroll" }, el("table", {},
    caption ? el("caption", { class: "dim" }, caption) : null,
    el("thead", {}, el("tr", {}, ...columns.map(cell("th")))),
    el("tbody", {}, ...rows.map((row) => el("tr", {}, ...row.map(cell("td")))))));
}

// -- a list of any length: only the rows in view exist ---------------------------------------------------------

function list(label, count, draw, open, chosen = 0) {
  const space = el("div", { role: "presentation" });
  const box = el("div", { class: "list", tabindex: "0", role: "listbox", "aria-label": label }, space);
  space.style.height = `${count * ROW}px`;
  function render() {
    const first = Math.max(0, Math.floor(box.scrollTop / ROW) - 10);
    const last = Math.min(count, Math.ceil((box.scrollTop + (box.clientHeight || 420)) / ROW) + 10);
    const rows = [];
    for (let i = first; i < last; i++) {
      const row = el("div", { class: "row", role: "option", id: `${label}-${i}`, "aria-selected": i === chosen, "aria-setsize": count, "aria-posinset": i + 1,
        onclick: () => { choose(i); open(i); } }, ...draw(i));
      row.style.top = `${i * ROW}px`;
      rows.push(row);
    }
    space.replaceChildren(...rows);
    box.setAttribute("aria-activedescendant", `${label}-${chosen}`);
  }
  function choose(i) {
    chosen = Math.max(0, Math.min(count - 1, i));
    const top = chosen * ROW;
    if (top < box.scrollTop) box.scrollTop = top;
    else if (top + ROW > box.scrollTop + box.clientHeight) box.scrollTop = top + ROW - box.clientHeight;
    render();
  }
  box.addEventListener("scroll", render);
  box.addEventListener("keydown", (event) => {
    const page = Math.max(1, Math.floor(box.clientHeight / ROW) - 1);
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -count, End: count }[event.key];
    if (step) choose(chosen + step);
    else if (event.key === "Enter" && count) open(chosen);
    else return;
    event.preventDefault();
  });
  if (count * ROW < 416) box.style.height = `${Math.max(count, 1) * ROW + 2}px`;
  render();
  requestAnimationFrame(() => choose(chosen));
  return box;
}

// -- curves ----------------------------------------------------------------------------------------------------

function curves(data) {
  const axes = Object.keys(data.axes).filter((axis) => data.curves.some((of) => of.lines.some((line) => line.budgets[axis])));
  if (!axes.length) return el("p", { class: "dim" }, "No curve could be drawn.");
  const place = el("figure", { style: "margin:0" });
  const choice = el("select", { id: "axis", onchange: () => draw(choice.value) }, ...axes.map((axis) => el("option", { value: axis }, data.axes[axis])));
  function draw(axis) {
    const lines = data.curves.flatMap((of) => of.lines.filter((line) => line.budgets[axis])
      .map((line) => ({ ...line, x: line.budgets[axis], name: data.curves.length > 1 ? `${of.label}${line.method === "run" ? "" : ` ${line.method}`}` : line.method })));
    place.replaceChildren(chart(lines, data.axes[axis]), key(lines));
  }
  draw(axes[0]);
  return el("div", {}, el("div", { class: "bar" }, el("label", { for: "axis" }, "budget"), choice), place);
}

function chart(lines, label) {
  const [width, height, left, bottom] = [760, 340, 48, 36];
  const xs = lines.flatMap((line) => line.x).filter((x) => x > 0);
  const least = Math.min(...xs, 1e9), free = lines.some((line) => line.x.some((x) => x <= 0));  // what is free stands at the left
  const low = Math.log(free ? least / 2 : least), high = Math.max(Math.log(Math.max(...xs, least)), low + 1e-6);
  const tops = lines.flatMap((line) => line.accuracy.map((y, i) => line.high[i] ?? y));
  const top = Math.min(1, Math.ceil(10 * Math.max(...tops) + 1e-9) / 10) || 1;
  const X = (x) => left + 8 + ((Math.log(Math.max(x, Math.exp(low))) - low) / (high - low)) * (width - left - 24);
  const Y = (y) => height - bottom - (y / top) * (height - bottom - 10);
  const drawn = svg("svg", { viewBox: `0 0 ${width} ${height}`, width: "100%", role: "img", "aria-label": `accuracy against ${label}` });
  for (let i = 0; i <= 5; i++) {
    const y = (top * i) / 5;
    drawn.append(svg("line", { class: "grid", x1: left, x2: width - 8, y1: Y(y), y2: Y(y) }), svg("text", { x: left - 6, y: Y(y) + 4, "text-anchor": "end" }, (100 * y).toFixed(0)));
  }
  for (const x of ticks(Math.exp(low), Math.exp(high))) drawn.append(svg("text", { x: X(x), y: height - bottom + 16, "text-anchor": "middle" }, number(x)));
  drawn.append(svg("text", { x: (left + width) / 2, y: height - 4, "text-anchor": "middle" }, label), svg("text", { x: 4, y: 12 }, "%"));
  lines.forEach((line, i) => drawn.append(...marks(line, `var(--c${i % PALETTE})`, X, Y)));
  return drawn;
}

function marks(line, colour, X, Y) {
  const at = (x, y) => `${X(x).toFixed(1)},${Y(y).toFixed(1)}`;
  const bound = line.low.every((y) => y !== null);
  if (line.x.length === 1) {
    const dot = svg("circle", { cx: X(line.x[0]), cy: Y(line.accuracy[0]), r: 4, fill: colour });
    return bound ? [svg("line", { x1: X(line.x[0]), x2: X(line.x[0]), y1: Y(line.low[0]), y2: Y(line.high[0]), stroke: colour }), dot] : [dot];
  }
  const path = svg("polyline", { points: line.x.map((x, i) => at(x, line.accuracy[i])).join(" "), fill: "none", stroke: colour, "stroke-width": 2 });
  if (!bound) return [path];
  const edge = [...line.x.map((x, i) => at(x, line.high[i])), ...line.x.map((x, i) => at(x, line.low[i])).reverse()];
  return [svg("polygon", { class: "band", points: edge.join(" "), fill: colour }), path];
}

function ticks(low, high) {
  const found = [];
  if (high / low < 1.001) return [low];
  for (let x = 2 ** Math.ceil(Math.log2(low) - 1e-9); x <= high * 1.0001; x *= 2) found.push(x);
  const every = Math.ceil(found.length / 9);
  return found.filter((_, i) => i % every === 0);
}

function key(lines) {
  return el("figcaption", { class: "key" }, ...lines.map((line, i) => {
    const swatch = el("i");
    swatch.style.background = `var(--c${i % PALETTE})`;
    return el("span", {}, swatch, line.name);
  }));
}

function points(run) {
  const rows = run.lines.flatMap((line) => line.k.map((k, i) => ({ line, k, i })).filter(({ line, k, i }) => Number.isInteger(Math.log2(k)) || i === line.k.length - 1)
    .map(({ line, k, i }) => [line.method, String(k), number(line.budgets.tokens?.[i]), number(line.budgets.sequential?.[i]), percent(line.accuracy[i]),
      line.low[i] === null ? "–" : `${percent(line.low[i])} to ${percent(line.high[i])}`, line.error[i] ? percent(line.error[i]) : "exact"]));
  return table(["method", "k", "tokens", "sequential", "accuracy, %", "95 % interval", "Monte-Carlo error"], rows);
}

// -- a run -----------------------------------------------------------------------------------------------------

function comparison(data) {
  const { budgets, differences, pareto } = data.comparison;
  return el("section", {}, el("h2", {}, "At equal budgets"),
    table(["budget", "method", "spent", "accuracy, %", "95 % interval"], budgets.map((b) => [number(b.budget), b.name, number(b.spent), percent(b.accuracy), b.low === null ? "–" : `${percent(b.low)} to ${percent(b.high)}`])),
    el("h3", {}, "Differences, paired by problem"),
    table(["better", "than", "by, points", "95 % interval", "p (Holm)", "detectable, points"], differences.map((d) => [d.better, d.other, percent(d.mean), `${percent(d.low)} to ${percent(d.high)}`, d.p < 0.001 ? "< 0.001" : d.p.toFixed(3), percent(d.detectable)])),
    el("h3", {}, "Pareto set"),
    table(["method", "budget", "accuracy, %"], pareto.map((p) => [p.name, number(p.budget), percent(p.accuracy)])));
}

function about(run, _, runs) {
  const box = runs.length > 1 ? el("details", {}, el("summary", {}, run.label)) : el("section", {}, el("h2", {}, run.label));
  box.append(...run.notes.map((note) => el("p", { class: "dim" }, note)),
    table(["figure", "value"], run.summary.map(([name, value]) => [name, shown(value)])),
    el("details", {}, el("summary", {}, "points of the curves"), points(run)),
    el("details", { open: "" }, el("summary", {}, "what it cost"), table(["account", "sum", "per problem"], run.costs.map(([name, value]) => [name, number(value), number(value / Math.max(run.problems.length, 1))]))),
    el("details", {}, el("summary", {}, "traces that did not come to their own end"), table(["finish", "why", "traces", "tokens"], run.events.map((e) => [e[0], shown(e[1]), number(e[2]), number(e[3])]))),
    el("details", {}, el("summary", {}, "manifest"), el("pre", {}, JSON.stringify(run.manifest, null, 2))));
  return box;
}

const colours = (cells) => [...cells].map((c) => el("span", { class: CLASSES[c] }, CELLS[c]));
const verdict = (p) => (p.state === "open" ? "–" : p.state === "error" ? "e" : p.correct === true ? "r" : p.correct === false ? "w" : p.answer === null ? "-" : "u");

function matrix(data) {
  const holder = el("div");
  const filter = el("input", { type: "search", id: "filter", placeholder: "problem id", oninput: () => draw() });
  const which = el("select", { id: "which", onchange: () => draw() }, ...[["", "all problems"], ["r", "answered right"], ["w", "answered wrong"], ["e", "failed"], ["mixed", "runs disagree"]].map(([value, text]) => el("option", { value }, text)));
  const rows = data.problems.map((problem) => ({ problem, of: data.runs.map((run) => run.problems[run.place[problem.id]] ?? null) }));
  function kept({ problem, of }) {
    const marks = of.filter(Boolean).map(verdict);
    const fits = !which.value || (which.value === "mixed" ? new Set(marks).size > 1 : marks.includes(which.value));
    return fits && problem.id.includes(filter.value);
  }
  function cells({ problem, of }) {
    const strip = (p) => el("span", { title: p ? `${[...p.cells].filter((c) => c === "r").length} of ${p.cells.length} right` : "" }, ...(p ? colours(p.cells.slice(0, data.runs.length > 1 ? 32 : 128)) : ["–"]), " ");
    const answers = of.map((p) => el("span", { class: p ? CLASSES[verdict(p)] : null }, p ? `${CELLS[verdict(p)] ?? "–"} ${p.answer ?? "–"}  ` : "–  "));
    return [el("span", { class: "id" }, problem.id), el("span", { class: "said" }, ...answers), el("span", { class: "cells" }, ...of.map(strip))];
  }
  function draw() {
    const chosen = rows.filter(kept);
    holder.replaceChildren(list("problems", chosen.length, (i) => cells(chosen[i]), (i) => go({ problem: chosen[i].problem.id })));
    holder.prepend(el("p", { class: "dim" }, `${chosen.length} of ${rows.length} problems`));
  }
  draw();
  const legend = Object.keys(CELLS).flatMap((c) => [el("span", { class: CLASSES[c] }, CELLS[c]), ` ${MARKS[c]}  `]);
  return el("section", {}, el("h2", {}, "Problems"), el("div", { class: "bar" }, el("label", { for: "filter" }, "find"), filter, which), holder, el("p", { class: "dim" }, ...legend, " – arrow keys move, Enter opens, Escape goes back"));
}

// -- a problem and its traces ----------------------------------------------------------------------------------

async function problemView(data, at) {
  const run = data.runs[at.run ?? 0];
  const brief = run.problems[run.place[at.problem]];
  const runs = data.runs.map((other, i) => el("option", { value: i, selected: other === run ? "" : null }, other.label));
  const choice = el("select", { "aria-label": "run", onchange: () => go({ ...at, run: Number(choice.value), trace: null }) }, ...runs);
  const head = [el("p", {}, el("a", { href: "#" }, "← all problems")), el("h2", {}, at.problem), data.runs.length > 1 ? choice : null];
  if (!brief || !brief.block) return el("section", {}, ...head, el("p", {}, brief ? "This page holds no traces of the problem." : "This run does not have the problem."));
  const full = await block(brief.block);
  const place = el("div", { id: "trace" });
  const nodes = full.nodes.filter((node) => node.origin !== "prompt");
  const show = (i) => { place.replaceChildren(traceView(full, nodes[i])); history.replaceState(null, "", address({ ...at, trace: nodes[i].id })); };
  const wanted = nodes.findIndex((node) => node.id === at.trace);
  const body = el("section", {}, ...head, el("pre", {}, full.text), facts(brief, full),
    list("traces", nodes.length, (i) => traceRow(nodes[i]), show, Math.max(wanted, 0)), place);
  if (wanted >= 0) place.replaceChildren(traceView(full, nodes[wanted]));
  return body;
}

function facts(brief, full) {
  const said = [["reference", shown(full.reference)], ["answer", shown(brief.answer)], ["verdict", brief.tied ? `${MARKS[verdict(brief)]}, by a tie` : MARKS[verdict(brief)] ?? "–"], ...full.errors.map((e) => ["failed", e])];
  return el("div", {}, table(["", ""], said), el("details", {}, el("summary", {}, "what it cost"), table(["account", "amount"], full.costs.map(([name, value]) => [name, number(value)]))));
}

function traceRow(node) {
  const depth = node.id.split(".").length - 2;
  const mark = node.mark ?? " ";
  const id = el("span", { class: "id" }, `${"   ".repeat(Math.max(depth, 0))}${depth > 0 ? "└ " : ""}${node.id}`);
  id.style.whiteSpace = "pre";
  const why = node.origin === "inserted" ? "inserted" : [node.finish, node.reason].filter(Boolean).join(": ");
  return [id, el("span", { class: `said ${CLASSES[node.mark] ?? ""}` }, `${CELLS[mark] ?? " "} ${node.answer ?? ""}`), el("span", {}, `${number(node.tokens)} tokens`), el("span", { class: "dim" }, `${number(node.sequential)} sequential`), el("span", { class: "dim cells" }, why)];
}

function traceView(full, leaf) {
  const byId = new Map(full.nodes.map((node) => [node.id, node]));
  const path = [];
  for (let parts = leaf.id.split("."); parts.length; parts = parts.slice(0, -1)) if (byId.has(parts.join("."))) path.unshift(byId.get(parts.join(".")));
  const counter = { step: 0, scores: leaf.metadata.step_scores };
  const scores = Object.entries(leaf.metadata).map(([name, value]) => [name, shown(value)]);
  return el("article", { "aria-label": `trace ${leaf.id}` }, el("h3", {}, `trace ${leaf.id}`),
    el("p", { class: "dim" }, "The darker a token's background, the less likely the model thought it."),
    scores.length ? table(["recorded", "value"], scores) : null,
    ...path.map((node) => segmentView(node, counter)));
}

function segmentView(node, counter) {
  if (node.origin === "prompt") return el("details", { class: "segment prompt" }, el("summary", {}, "prompt"), el("pre", {}, node.text));
  const box = el("div", { class: `segment ${node.origin}` }, el("div", { class: "dim" }, `${node.id} ${node.origin}${node.finish ? `, ended by ${node.finish}` : ""}${node.reason ? ` (${node.reason})` : ""}`));
  let begin = 0;
  const pieces = pieceEnds(node);
  for (const text of node.text.split(/(?<=\n\n)(?!\n)/)) {
    const score = counter.scores?.[counter.step];
    const label = node.origin === "sampled" ? `${++counter.step}${score === undefined ? "" : ` ${score.toFixed(2)}`}` : "";
    box.append(el("div", { class: "step" }, el("span", { class: "no" }, label), el("span", { class: "text" }, ...tokens(node, pieces, begin, begin + text.length))));
    begin += text.length;
  }
  return box;
}

// Token ends count characters as Python does, one for each code point; strings here count UTF-16 units.
function pieceEnds(node) {
  if (!node.ends) return null;
  if (!/[\ud800-\udfff]/.test(node.text)) return node.ends;
  const units = [0];
  for (const character of node.text) units.push(units[units.length - 1] + character.length);
  return node.ends.map((end) => units[end]);
}

function tokens(node, ends, begin, end) {
  if (!ends || !node.doubts) return [node.text.slice(begin, end)];
  const found = [];
  for (let i = firstAfter(ends, begin), at = begin; at < end && i < ends.length; i++) {
    const stop = Math.min(ends[i], end);
    if (stop === at) continue;
    const doubt = node.doubts[i];
    const span = el("span", { title: doubt === null ? null : `p = ${Math.exp(-doubt / 100).toPrecision(2)}` }, node.text.slice(at, stop));
    if (doubt > 5) span.style.background = `rgba(var(--doubt), ${Math.min(0.75, doubt / 500).toFixed(2)})`;
    found.push(span);
    at = stop;
  }
  return found;
}

function firstAfter(ends, begin) {
  let low = 0, high = ends.length;
  while (low < high) { const middle = (low + high) >> 1; if (ends[middle] <= begin) low = middle + 1; else high = middle; }
  return low;
}

// -- the page --------------------------------------------------------------------------------------------------

const address = (at) => "#" + new URLSearchParams(Object.entries(at).filter(([, value]) => value !== null && value !== undefined)).toString();
const go = (at) => { location.hash = address(at); };

async function main() {
  const page = document.getElementById("page");
  const data = await block("main");
  for (const run of data.runs) run.place = Object.fromEntries(run.problems.map((problem, i) => [problem.id, i]));
  const overview = el("div", {}, el("section", {}, el("h2", {}, "Accuracy against budget"), curves(data)), data.comparison ? comparison(data) : null, data.runs.length > 1 ? el("h2", {}, "Runs") : null, ...data.runs.map(about), matrix(data));
  async function route() {
    const at = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
    if (!at.problem) page.replaceChildren(overview);
    else { page.replaceChildren(await problemView(data, at)); scrollTo(0, 0); page.querySelector(".list")?.focus(); }
    page.setAttribute("aria-busy", "false");
  }
  addEventListener("hashchange", route);
  addEventListener("keydown", (event) => { if (event.key === "Escape" && location.hash.length > 1) location.hash = ""; });
  await route();
}

main().catch((error) => { document.getElementById("page").textContent = `This report cannot be shown here: ${error.message}`; });
