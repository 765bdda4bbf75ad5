// -- accuracy against budget, and methods at equal budgets ------------------------------------------------------

const lineName = (data, of, line) => (data.curves.length === 1 ? line.method : `${of.label}${line.method === "run" ? "" : ` ${line.method}`}`);

const chance = (p) => (p < 0.001 ? "< 0.001" : p.toFixed(3));

function curves(data) {
  const axes = Object.keys(data.axes).filter((axis) => data.curves.some((of) => of.lines.some((line) => line.budgets[axis])));
  if (!axes.length) return el("p", { class: "dim" }, "No curve could be drawn.");
  const place = el("figure", {});
  const choice = el("select", { id: "axis", onchange: draw }, ...axes.map((axis) => el("option", { value: axis }, data.axes[axis])));
  function draw() {
    const axis = choice.value;
    const lines = data.curves.flatMap((of) => of.lines.filter((line) => line.budgets[axis]).map((line) => ({ ...line, x: line.budgets[axis], name: lineName(data, of, line) })));
    place.replaceChildren(chart(lines, data.axes[axis]), key(lines));
  }
  NARROW.addEventListener("change", draw);
  draw();
  return el("div", {}, el("div", { class: "bar" }, el("label", { for: "axis" }, "budget"), choice), place);
}

const colour = (i) => `var(--c${i % PALETTE})`;
const dash = (i) => ["none", "7 4", "2 3", "9 3 2 3"][Math.floor(i / PALETTE) % 4];

function chart(lines, label) {
  const [width, height, left, bottom] = NARROW.matches ? [380, 300, 34, 36] : [760, 340, 48, 36];
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
  for (const x of ticks(Math.exp(low), Math.exp(high), NARROW.matches ? 5 : 9)) drawn.append(svg("text", { x: X(x), y: height - bottom + 16, "text-anchor": "middle" }, number(x)));
  drawn.append(svg("text", { x: (left + width) / 2, y: height - 4, "text-anchor": "middle" }, label), svg("text", { x: 4, y: 12 }, "%"));
  lines.forEach((line, i) => drawn.append(...marks(line, i, X, Y, lines.length <= BANDS)));
  return drawn;
}

const BANDS = 8;  // lines above which their bands would hide one another

function marks(line, i, X, Y, banded) {
  const at = (x, y) => `${X(x).toFixed(1)},${Y(y).toFixed(1)}`;
  const bound = line.low.every((y) => y !== null);
  if (line.x.length === 1) {
    const dot = svg("circle", { cx: X(line.x[0]), cy: Y(line.accuracy[0]), r: 4, fill: colour(i) });
    return bound ? [svg("line", { x1: X(line.x[0]), x2: X(line.x[0]), y1: Y(line.low[0]), y2: Y(line.high[0]), stroke: colour(i) }), dot] : [dot];
  }
  const path = svg("polyline", { points: line.x.map((x, j) => at(x, line.accuracy[j])).join(" "), fill: "none", stroke: colour(i), "stroke-width": 2, "stroke-dasharray": dash(i) });
  if (!bound || !banded) return [path];
  const edge = [...line.x.map((x, j) => at(x, line.high[j])), ...line.x.map((x, j) => at(x, line.low[j])).reverse()];
  return [svg("polygon", { class: "band", points: edge.join(" "), fill: colour(i) }), path];
}

function ticks(low, high, most) {
  const found = [];
  if (high / low < 1.001) return [low];
  for (let x = 2 ** Math.ceil(Math.log2(low) - 1e-9); x <= high * 1.0001; x *= 2) found.push(x);
  const every = Math.ceil(found.length / most);
  return found.filter((_, i) => i % every === 0);
}

function key(lines) {
  return el("figcaption", { class: "key" }, ...lines.map((line, i) => {
    const sample = svg("svg", { width: 24, height: 8, "aria-hidden": "true" });
    sample.append(svg("line", { x1: 0, x2: 24, y1: 4, y2: 4, stroke: colour(i), "stroke-width": 3, "stroke-dasharray": dash(i) }));
    return el("span", {}, sample, line.name);
  }));
}

function comparison(data) {
  const { points, differences, pareto } = data.comparison;
  const groups = new Map();
  const priced = [...points, ...pareto].some((p) => p.money !== null), lacking = [...points, ...pareto].some((p) => p.money === null);
  const paid = (p) => (priced ? [number(p.money, 4)] : []), column = priced ? ["money"] : [];
  for (const p of points) groups.set(p.budget, [...(groups.get(p.budget) ?? []), [p.method, number(p.spent), ...paid(p), percent(p.accuracy), interval(p)]]);
  const unit = data.axes[data.comparison.axis] ?? data.comparison.axis;
  return el("section", {}, el("h2", {}, data.comparison.limited ? "At equal budgets" : `By ${data.comparison.axis}`),
    lacking ? el("p", { class: "dim" }, `What ${priced ? "some of these" : "these"} cost in money is not known: the notes of the runs say why.`) : null,
    table(["method", "spent", ...column, "accuracy, %", "95 % interval"], [], [...groups].map(([budget, rows]) => [data.comparison.limited ? `budget ${number(budget)} (${unit})` : `${data.comparison.axis} = ${budget}`, rows])),
    el("h3", {}, `Differences ${data.comparison.limited ? "at the largest budget" : "from the best"}, paired by problem`),
    differences.length === 0 ? el("p", { class: "dim" }, "None: a paired test needs several problems, and two methods that the budget buys a whole trace on most of them.") : table(["better", "than", "by, points", "95 % interval", "p (Holm)", "detectable, points"], differences.map((d) => [d.better, d.than, percent(d.difference), interval(d), chance(d.p), percent(d.detectable)])),
    el("h3", {}, "Pareto set"),
    table(["method", "spent", ...column, "accuracy, %", "95 % interval"], pareto.map((p) => [p.method, number(p.spent), ...paid(p), percent(p.accuracy), interval(p)])));
}

function gains(data) {
  const part = (share) => (share ? `${percent(share.mean)} (${interval(share)})` : "–");
  return el("section", {}, el("h2", {}, "Where the differences come from"),
    el("p", { class: "dim" }, "Sampling: what one sample is worth more than one of the first run. Coverage: how much further the best of the samples is ahead of one. "
      + "Selection: how much less the answer falls short of the best. The three add up to the difference. Efficiency: the share of what lies between one sample and coverage that the answers have got."),
    table(["run", "accuracy, %", "one sample, %", "coverage, %", "efficiency, %", "by sampling, points", "by coverage, points", "by selection, points"],
      data.gains.map((g) => [g.label, percent(g.accuracy), percent(g.one_sample), percent(g.coverage), part(g.efficiency), part(g.split?.sampling), part(g.split?.coverage), part(g.split?.selection)])),
    ...reliability(data));
}

function reliability(data) {
  const gap = (d) => (d ? [percent(d.mean), interval(d), chance(d.p)] : ["–", "–", "–"]);
  const rows = data.gains.flatMap((g) => g.reliability.map((r) => [g.label, r.name, percent(r.mean), interval(r), ...gap(r.difference)]));
  const lacking = data.gains.filter((g) => g.no_reliability).map((g) => el("p", { class: "dim" }, `${g.label}: its reliability is not known: ${g.no_reliability}.`));
  return [el("h2", {}, "Reliability of single samples"),
    rows.length ? table(["run", "of its samples", "%", "95 % interval", "against the first, points", "95 % interval", "p (Holm)"], rows) : null, ...lacking];
}
