// -- a problem and its traces ----------------------------------------------------------------------------------

async function problemView(data, at) {
  const run = data.runs[at.run ?? 0];
  const brief = run.problems[run.place[at.problem]];
  const choice = el("select", { "aria-label": "run", onchange: () => go({ ...at, run: Number(choice.value), trace: null }) },
    ...data.runs.map((other, i) => el("option", { value: i, selected: other === run ? "" : null }, `${i + 1} ${other.label}`)));
  const head = [el("p", {}, el("a", { href: "#" }, "← all problems")), el("h2", {}, at.problem), data.runs.length > 1 ? choice : null];
  if (!brief || !brief.block) return el("section", {}, ...head, el("p", {}, brief ? "This page holds no traces of the problem." : "This run does not have the problem."));
  const full = await block(brief.block);
  const place = el("div", { id: "trace" });
  const nodes = full.nodes.filter((node) => node.origin !== "prompt");
  const show = (i) => { place.replaceChildren(traceView(full, nodes[i])); history.replaceState(null, "", address({ ...at, trace: nodes[i].id })); };
  const wanted = nodes.findIndex((node) => node.id === at.trace);
  const body = el("section", {}, ...head, el("pre", {}, full.text), facts(brief, full), timeline(full.lanes, at),
    list("traces", nodes.length, () => 48, (i) => traceRow(nodes[i]), show, Math.max(wanted, 0)), place);
  if (wanted >= 0) place.replaceChildren(traceView(full, nodes[wanted]));
  return body;
}

function facts(brief, full) {
  const said = [["reference", shown(full.reference)], ["answer", shown(brief.answer)], ["verdict", brief.tied ? `${MARKS[verdict(brief)]}, by a tie` : MARKS[verdict(brief)] ?? "–"], ...full.errors.map((e) => ["failed", e])];
  return el("div", {}, table(["fact", "value"], said), el("details", {}, el("summary", {}, "what it cost"), table(["account", "amount"], full.costs.map(([name, value]) => [name, number(value)]))));
}

const LANES = 300;  // drawn at most

// Threads, rounds and whole traces against sequential tokens.
function timeline(lanes, at) {
  const whole = Math.max(...lanes.map((lane) => lane.bars.at(-1).end), 0);
  if (!whole || lanes.length < 2) return null;
  const several = lanes.some((lane) => lane.depth > 0 || lane.round > 1);
  const drawn = lanes.slice(0, LANES).map((lane) => laneView(lane, whole, at));
  return el("details", { class: "timeline", open: several ? "" : null }, el("summary", {}, `timeline: ${lanes.length} sequences of tokens over ${number(whole)} sequential tokens`),
    el("div", { class: "lane dim" }, el("span", { class: "who" }, "sequence"), el("span", { class: "scale" }, el("span", {}, "0"), el("span", {}, number(whole / 2, 0)), el("span", {}, number(whole))), el("span", { class: "how" }, "tokens")),
    el("ol", { class: "lanes" }, ...drawn), lanes.length > LANES ? el("p", { class: "dim" }, `${lanes.length - LANES} more are not drawn`) : null);
}

function laneView(lane, whole, at) {
  const kind = lane.thread !== null ? `thread ${lane.thread}` : lane.question && lane.question !== "solve" ? lane.question : "trace";
  const track = el("span", { class: "track", role: "img", "aria-label": `${kind} ${lane.id}: ${lane.bars.map((bar) => `tokens ${bar.start} to ${bar.end}, ended by ${bar.finish ?? "nothing"}`).join("; ")}` });
  for (const bar of lane.bars) {
    const drawn = el("span", { class: `f-${bar.finish ?? "none"}`, title: `${bar.trace}: ${bar.start} to ${bar.end}, ${[bar.finish, bar.reason].filter(Boolean).join(": ")}${bar.waited ? `, waited for ${bar.waited}` : ""}` });
    drawn.style.left = `${(100 * bar.start) / whole}%`;
    drawn.style.width = `${(100 * (bar.end - bar.start)) / whole}%`;
    track.append(drawn);
  }
  const who = el("span", { class: "who" }, el("a", { href: address({ ...at, trace: lane.bars.at(-1).trace }) }, `${kind} ${lane.id}`), lane.round > 1 ? ` round ${lane.round}` : "");
  who.style.paddingLeft = `${Math.min(lane.depth, 6) * 0.7}rem`;
  return el("li", { class: "lane", title: [lane.outline, ...lane.notes].filter(Boolean).join("; ") || null }, who, track, el("span", { class: "how dim" }, number(lane.tokens)));
}

const firstWords = (text) => text.trim().replace(/\s+/g, " ").slice(0, 200);
const scoreOf = (node) => (typeof node.metadata.score === "number" ? `score ${node.metadata.score.toFixed(3)}` : node.metadata.unscored ? "unscored" : null);

function traceRow(node) {
  const depth = Math.max(node.id.split(".").length - 2, 0);
  const mark = node.mark ?? " ";
  const why = node.origin === "inserted" ? "inserted" : [node.finish, node.reason].filter(Boolean).join(": ");
  const facts = [scoreOf(node), `${number(node.tokens)} tokens`, `${number(node.sequential)} sequential`, why].filter(Boolean).join(", ");
  const said = el("span", { class: `answer ${CLASSES[node.mark] ?? ""}` }, `${CELLS[mark] ?? " "} ${node.answer ?? ""}`);
  const lines = [el("span", { class: "line" }, el("span", { class: "node" }, `${depth ? "└ " : ""}${node.id}`), said, el("span", { class: "dim rest" }, facts)), el("span", { class: "line words" }, firstWords(node.text))];
  for (const line of lines) line.style.paddingLeft = `${Math.min(depth, 8) * 0.6}rem`;
  return lines;
}

function traceView(full, leaf) {
  const byId = new Map(full.nodes.map((node) => [node.id, node]));
  const path = [];
  for (let parts = leaf.id.split("."); parts.length; parts = parts.slice(0, -1)) if (byId.has(parts.join("."))) path.unshift(byId.get(parts.join(".")));
  const counter = { step: 0, scores: leaf.metadata.step_scores };
  const recorded = Object.entries(leaf.metadata).map(([name, value]) => [name, shown(value)]);
  return el("article", { "aria-label": `trace ${leaf.id}` }, el("h3", {}, `trace ${leaf.id}`),
    el("p", { class: "dim" }, "The darker a token's background, the less likely the model thought it."),
    recorded.length ? table(["recorded", "value"], recorded) : null,
    ...path.map((node) => segmentView(node, counter)));
}

function segmentView(node, counter) {
  if (node.origin === "prompt") return el("details", { class: "segment prompt" }, el("summary", {}, "prompt"), el("pre", {}, node.text));
  const ended = node.finish ? `, ended by ${node.finish}` : "", reason = node.reason ? ` (${node.reason})` : "", score = scoreOf(node);
  const box = el("div", { class: `segment ${node.origin}` }, el("div", { class: "dim" }, `${node.id} ${node.origin}${ended}${reason}${score ? `, ${score}` : ""}`));
  let begin = 0;
  const pieces = pieceEnds(node);
  for (const text of node.text.split(/(?<=\n\n)(?!\n)/)) {
    const of = counter.scores?.[counter.step];
    const label = node.origin === "sampled" ? `${++counter.step}${typeof of === "number" ? ` ${of.toFixed(2)}` : ""}` : "";
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
