"""The report: one self-contained HTML page on a run, or on several of the same problems.

The page holds its data as compressed JSON blocks, one per problem for the traces, unpacked when they are looked at:
it opens quickly however many traces there are. Model text reaches the page as data only, never as markup, and the
page's content policy allows no other script than its own.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from widthwise.core.errors import UsageError
from widthwise.core.session.ledger import Ledger
from widthwise.core.strategy.composition import shortened
from widthwise.core.trace.trace import Segment, Trace, name
from widthwise.evals.measure.curves import AXES, METHODS, Axis, Curve, Line, curve
from widthwise.evals.measure.equal_budgets import (
    Point,
    against_best,
    at_budget,
    common_problems,
    matched_budgets,
    pareto,
    points,
    shared_axis,
)
from widthwise.evals.measure.pools import RECORDINGS
from widthwise.evals.measure.summary import summarise
from widthwise.evals.replacement import replacement
from widthwise.evals.store.outcome import Leaf, Outcome
from widthwise.evals.store.store import Ends, Store

_LINE_POINTS = 100
"""Points of a line that are drawn; more cannot be told apart."""

_CUT = {"pruned": "p", "aborted": "p", "error": "e"}


def write_report(
    runs: Sequence[str | Path],
    out: str | Path,
    *,
    methods: Sequence[str] = METHODS,
    traces: bool = True,
    curves: Sequence[Curve] | None = None,
    axis: Axis | None = None,
    budgets: Sequence[float] | None = None,
) -> int:
    """Write the page on these run files to ``out``; its size in bytes.

    ``methods`` are those of ``curve``; ``traces`` False leaves the texts out. ``curves`` are compared in place of the
    runs' own, on ``axis`` and at ``budgets`` (a sweep's, which are read from several of its runs). Raises
    ``UsageError`` for runs that cannot be measured, or compared with one another.
    """
    for run in runs:
        if Path(run).suffix in RECORDINGS:
            raise UsageError(f"{run} holds recorded generations: `widthwise import {run} RUN.db` makes a run of them")
    drawn = [curve(run, methods=methods) for run in runs]
    common_problems(drawn)
    sections, blocks = _sections(runs, drawn, traces)
    compared = curves or drawn
    main = {
        "axes": AXES,
        "runs": sections,
        "problems": [{"id": i} for i in dict.fromkeys(p["id"] for section in sections for p in section["problems"])],
        "curves": [{"label": c.label, "lines": [_line(line) for line in c.lines.values()]} for c in compared],
        "comparison": _comparison(compared, axis, budgets) if len(compared) > 1 else None,
    }
    return _written(Path(out), _page(_title(drawn), [_block("main", _packed(main)), *blocks]))


def _sections(
    runs: Sequence[str | Path], drawn: Sequence[Curve], traces: bool
) -> tuple[list[dict[str, Any]], list[str]]:
    """What the page says of each run, and the blocks that hold their traces."""
    sections, blocks = [], []
    for number, (run, of_run) in enumerate(zip(runs, drawn, strict=True)):
        with Store.read(run) as store:
            made = dict(_trace_blocks(store, f"r{number}")) if traces else {}
            sections.append(_run(store, of_run, made))
            blocks += [_block(block_id, content) for block_id, content in made.values()]
    return sections, blocks


def _written(target: Path, page: bytes) -> int:
    with replacement(target) as file:
        return file.write_bytes(page)


def _title(drawn: Sequence[Curve]) -> str:
    suite = drawn[0].suite or Path(drawn[0].path).stem
    return f"{suite}: {drawn[0].label}" if len(drawn) == 1 else f"{suite}: {len(drawn)} runs"


# -- the page --------------------------------------------------------------------------------------------------


def _page(title: str, blocks: Sequence[str]) -> bytes:
    folder = files("widthwise.evals.views") / "page"
    parts = {kind: (folder / f"report.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js")}
    digest = base64.b64encode(hashlib.sha256(parts["js"].encode()).digest()).decode()
    filled = Template(parts["html"]).substitute(
        title=html.escape(title),
        style=parts["css"],
        script=parts["js"],
        script_hash=f"sha256-{digest}",
        data="\n".join(blocks),
    )
    return filled.encode()


def _block(block_id: str, packed: str) -> str:
    return f'<script type="application/octet-stream" id="{html.escape(block_id)}">{packed}</script>'


def _packed(value: Any) -> str:
    """JSON, compressed, as text that no HTML parser can misread."""
    text = json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode("utf-8", "replace"), 6, mtime=0)).decode()


def _plain(value: Any) -> Any:
    """``value`` as JSON holds it: what is no finite number becomes null."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)


# -- a run -----------------------------------------------------------------------------------------------------


def _run(store: Store, of_run: Curve, blocks: dict[str, tuple[str, str]]) -> dict[str, Any]:
    outcomes = list(store.outcomes())
    spent = Ledger()
    for outcome in outcomes:
        spent.add(outcome.ledger)
    return {
        "label": of_run.label,
        "notes": of_run.notes,
        "summary": _figures(store),
        "costs": list(spent.asdict().items()),
        "events": _events(outcomes),
        "manifest": store.manifest,
        "lines": [_line(line) for line in of_run.lines.values()],
        "problems": [_problem(outcome, blocks) for outcome in outcomes],
    }


def _figures(store: Store) -> list[tuple[str, Any]]:
    """The summary's figures in words."""
    summary = summarise(store)
    shares = {"accuracy": summary.accuracy, "one sample": summary.mean_accuracy, "pass@n": summary.pass_at_n}
    return [
        ("suite", summary.suite),
        ("model", summary.model),
        ("strategy", shortened(summary.strategy)),
        ("problems", f"{summary.problems} worked on, {summary.errors} failed"),
        *((word, "–" if share is None else f"{100 * share:.2f} %") for word, share in shares.items()),
        ("wall-clock", f"{summary.wall_seconds:,.1f} s"),
        ("run", Path(summary.run).name),
    ]


def _problem(outcome: Outcome, blocks: dict[str, tuple[str, str]]) -> dict[str, Any]:
    return {
        "id": outcome.problem.id,
        "state": outcome.state,
        "answer": outcome.answer,
        "correct": outcome.correct,
        "tied": outcome.tied,
        "cells": "".join(_mark(leaf) for leaf in outcome.leaves if leaf.finish != "joined"),
        "block": blocks.get(outcome.problem.id, (None,))[0],
    }


def _mark(leaf: Leaf) -> str:
    """One letter for a trace: right, wrong, no answer, stopped, cut by the budget, failed, ungraded."""
    if leaf.finish in _CUT:
        return _CUT[leaf.finish]
    if leaf.answer is None:
        return "b" if leaf.finish == "budget" else "-"
    return {True: "r", False: "w", None: "u"}[leaf.correct]


def _events(outcomes: Sequence[Outcome]) -> list[tuple[str, Any, int, int]]:
    """Traces that did not stop by themselves: finish, how many, how many tokens."""
    count: Counter[str] = Counter()
    tokens: Counter[str] = Counter()
    for leaf in (leaf for outcome in outcomes for leaf in outcome.leaves):
        if leaf.finish not in ("stop", "joined", None):
            count[leaf.finish] += 1
            tokens[leaf.finish] += leaf.tokens
    return [(finish, _WHY.get(finish), count[finish], tokens[finish]) for finish in sorted(count)]


_WHY = {
    "length": "the largest number of tokens of a sample, or the end of the context",
    "pruned": "a pruner stopped it; the trace says why",
    "budget": "the problem's budget was used up",
    "aborted": "the strategy went on without it",
    "error": "the request failed for good",
}


def _line(line: Line) -> dict[str, Any]:
    chosen = _spread(len(line.k))
    bounds = {"accuracy": line.accuracy, "low": line.low, "high": line.high, "error": line.sampling_error}
    return {
        "method": line.method,
        "k": line.k[chosen],
        "budgets": {axis: np.round(values[chosen], 3) for axis, values in line.budgets.items()},
        **{key: np.round(values[chosen], 6) for key, values in bounds.items()},
    }


def _spread(n: int) -> Any:
    """At most ``_LINE_POINTS`` positions, dense at the beginning, with all powers of two."""
    if n <= _LINE_POINTS:
        return np.arange(n)
    powers = 2 ** np.arange(int(math.log2(n)) + 1)
    return np.unique(np.r_[powers, n, np.round(np.geomspace(1, n, _LINE_POINTS - len(powers)))].astype(int)) - 1


# -- traces ----------------------------------------------------------------------------------------------------


def _trace_blocks(store: Store, prefix: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """Per problem worked on, its block's id and packed content; only one problem's traces are in memory at a time."""
    for number, outcome in enumerate(store.outcomes()):
        if outcome.state != "open":
            content = _traces(outcome, store.traces(outcome.problem.id), store.token_ends(outcome.problem.id))
            yield outcome.problem.id, (f"{prefix}-{number}", _packed(content))


def _traces(outcome: Outcome, traces: Sequence[Trace], ends: Ends) -> dict[str, Any]:
    leaves = {leaf.id: leaf for leaf in outcome.leaves if leaf.finish != "joined"}
    nodes: dict[Any, Trace] = {}
    for leaf in traces:
        node: Trace | None = leaf
        while node is not None:
            nodes[node.id] = node
            node = node.parent
    return {
        "text": outcome.problem.text,
        "reference": outcome.problem.answer,
        "errors": outcome.errors,
        "costs": list(outcome.ledger.asdict().items()),
        "nodes": [_node(node, leaves.get(node.id), ends.get(node.id)) for _, node in sorted(nodes.items())],
    }


def _node(trace: Trace, leaf: Leaf | None, ends: Any) -> dict[str, Any]:
    segment = trace.segment
    known = segment.origin == "sampled" and ends is not None and segment.stats is not None
    return {
        "id": name(trace.id),
        "origin": segment.origin,
        "text": segment.text,
        "tokens": len(segment),
        "sequential": trace.sequential,
        "finish": segment.finish,
        "reason": None if segment.reason is None else str(segment.reason),
        "ends": ends if known else None,
        "doubts": _doubts(segment) if known else None,
        "metadata": dict(segment.metadata),
        **({} if leaf is None else {"answer": leaf.answer, "mark": _mark(leaf)}),
    }


def _doubts(segment: Segment) -> list[int | None]:
    """Hundredths of a nat that each token lacks to certainty: short, and all that a colour needs."""
    assert segment.stats is not None
    nats = -np.asarray(segment.stats.logprobs, np.float64)
    return [round(100 * min(x, 99.0)) if math.isfinite(x) else None for x in nats.tolist()]


# -- comparisons -----------------------------------------------------------------------------------------------


def _comparison(drawn: Sequence[Curve], given: Axis | None, limits: Sequence[float] | None) -> dict[str, Any]:
    axis = given or shared_axis(drawn)
    found = points(drawn, axis)
    budgets = limits or matched_budgets(drawn, axis)
    rows = [(b, p) for b in budgets for p in at_budget(found, b, drawn, axis)]
    return {
        "axis": axis,
        "budgets": [{**_point(p), "name": p.marked, "spent": p.budget, "budget": b} for b, p in rows],
        "differences": [
            {
                "better": v.better.name,
                "other": v.other.name,
                **{key: getattr(v.difference, key) for key in ("mean", "low", "high", "p", "detectable")},
            }
            for v in against_best(at_budget(found, budgets[-1], drawn, axis))
        ],
        "pareto": [_point(p) for p in pareto(found)],
    }


def _point(point: Point) -> dict[str, Any]:
    return {
        "name": point.name,
        "budget": point.budget,
        "accuracy": point.accuracy,
        "low": point.low,
        "high": point.high,
    }
