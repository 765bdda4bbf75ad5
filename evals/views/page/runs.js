// -- runs and their problems ------------------------------------------------------------------------------------

function points(run) {
  const priced = run.lines.some((line) => line.budgets.money);
  const rows = run.lines.flatMap((line) => line.k.map((k, i) => ({ line, k, i })).filter(({ line, k, i }) => Number.isInteger(Math.log2(k)) || i === line.k.length - 1)
    .map(({ line, k, i }) => [line.method, String(k), number(line.budgets.tokens?.[i]), number(line.budgets.sequential?.[i]), ...(priced ? [number(line.budgets.money?.[i], 4)] : []), percent(line.accuracy[i]),
      interval({ low: line.low[i], high: line.high[i] }), percent(line.efficiency[i]), line.error[i] ? percent(line.error[i]) : "exact"]));
  return table(["method", "k", "tokens", "sequential", ...(priced ? ["money"] : []), "accuracy, %", "95 % interval", "efficiency, %", "Monte-Carlo error"], rows);
}

function runs(data) {
  if (data.runs.length === 1) return el("section", {}, el("h2", {}, data.runs[0].label), ...about(data.runs[0], true));
  return el("section", {}, el("h2", {}, "Runs"), el("p", { class: "dim" }, "The numbers stand for the runs in the list of problems."),
    el("ol", { class: "runs" }, ...data.runs.map((run) => el("li", {}, el("details", {}, el("summary", {}, el("span", { class: "name" }, run.label),
      el("span", { class: "dim" }, ` ${percent(run.accuracy)} %, ${number(run.tokens)} tokens${run.money === null ? "" : ` and ${number(run.money, 4)} of money`} per problem`)), ...about(run, false))))));
}

function about(run, open) {
  const more = (title, content, opened = false) => el("details", { open: opened ? "" : null }, el("summary", {}, title), content);
  return [...run.notes.map((note) => el("p", { class: "dim" }, note)),
    table(["figure", "value"], run.summary.map(([name, value]) => [name, shown(value)])),
    more("points of the curves", points(run)),
    more("what it cost", table(["account", "sum", "per problem"], run.costs.map(([name, value]) => [name, number(value), number(value / Math.max(run.problems.length, 1))])), open),
    more("traces that did not come to their own end", table(["finish", "why", "traces", "tokens"], run.events.map((e) => [e[0], shown(e[1]), number(e[2]), number(e[3])]))),
    more("manifest", el("pre", {}, JSON.stringify(run.manifest, null, 2)))];
}

const colours = (cells) => [...cells].map((c) => el("span", { class: CLASSES[c] }, CELLS[c]));
const verdict = (p) => (p.state === "open" ? "o" : p.state === "error" ? "e" : p.correct === true ? "r" : p.correct === false ? "w" : typeof p.correct === "number" ? "s" : p.answer === null ? "-" : "u");
const TAG = 40;  // pixels of a run's mark
const TAIL = 10;  // characters that end an id; an id that is too long loses its middle, as the end distinguishes it

function idOf(problem) {
  const characters = [...problem.id], cut = Math.max(characters.length - TAIL, 0);
  return el("span", { class: "id", title: problem.id }, el("span", { class: "head" }, characters.slice(0, cut).join("")), el("span", { class: "tail" }, characters.slice(cut).join("")));
}

function problemRow(data, { problem, of }) {
  const id = idOf(problem);
  if (of.length === 1) {
    const [p] = of, strip = el("span", { class: "cells", title: `${[...p.cells].filter((c) => c === "r").length} of ${p.cells.length} right` }, ...colours(p.cells.slice(0, 256)));
    return [el("span", { class: "line" }, id, el("span", { class: `said ${CLASSES[verdict(p)] ?? ""}` }, `${CELLS[verdict(p)] ?? "–"} ${p.answer ?? "–"}`), strip)];
  }
  const there = of.filter(Boolean), right = there.filter((p) => verdict(p) === "r").length;
  const tag = (p, i) => {
    const mark = p ? verdict(p) : "o";
    const node = el("span", { class: `tag ${CLASSES[mark] ?? ""}`, title: `${data.runs[i].label}: ${p ? `${MARKS[mark] ?? "not worked on"}, ${p.answer ?? "–"}` : "does not have the problem"}` }, `${i + 1}${CELLS[mark] ?? "–"}`);
    node.style.width = `${TAG}px`;
    return node;
  };
  return [el("span", { class: "line" }, id, el("span", { class: "count dim" }, `${right} of ${there.length} runs right`)), el("span", { class: "tags" }, ...of.map(tag))];
}

function problemHeight(data) {
  const many = data.runs.length;
  return (width) => (many === 1 ? (NARROW.matches ? 48 : 26) : (NARROW.matches ? 51 : 28) + 22 * Math.ceil(many / Math.max(1, Math.floor((width - 22) / TAG))));
}

function problems(data) {
  const holder = el("div");
  const filter = el("input", { type: "search", id: "filter", placeholder: "problem id", oninput: () => draw() });
  const kinds = [["", "all problems"], ["r", "answered right"], ["w", "answered wrong"], ["e", "failed"], ["mixed", "runs disagree"]];
  const which = el("select", { id: "which", "aria-label": "which problems", onchange: () => draw() }, ...kinds.map(([value, text]) => el("option", { value }, text)));
  const rows = data.problems.map((problem) => ({ problem, of: data.runs.map((run) => run.problems[run.place[problem.id]] ?? null) }));
  function kept({ problem, of }) {
    const found = of.filter(Boolean).map(verdict);
    const fits = !which.value || (which.value === "mixed" ? new Set(found).size > 1 : found.includes(which.value));
    return fits && problem.id.includes(filter.value);
  }
  function draw() {
    const chosen = rows.filter(kept);
    holder.replaceChildren(el("p", { class: "dim" }, `${chosen.length} of ${rows.length} problems`),
      list("problems", chosen.length, problemHeight(data), (i) => problemRow(data, chosen[i]), (i) => go({ problem: chosen[i].problem.id })));
  }
  draw();
  const legend = Object.keys(CELLS).map((c) => el("span", { class: "mark" }, el("span", { class: CLASSES[c] }, CELLS[c]), ` ${MARKS[c]}`));
  return el("section", {}, el("h2", {}, "Problems"), el("div", { class: "bar" }, el("label", { for: "filter" }, "find"), filter, which), holder,
    el("p", { class: "dim legend" }, ...legend), el("p", { class: "dim" }, "Arrow keys move, Enter opens, Escape goes back."));
}
