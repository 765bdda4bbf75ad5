"""The report: one self-contained HTML page on a run, or on several of the same problems.

The page holds its data as compressed JSON blocks, one per problem for the traces, unpacked when they are viewed: it
opens quickly however many traces there are. Model text reaches the page only as data, never as markup, and the page's
content policy allows no script but its own.
"""

from __future__ import annotations

import base64
import hashlib
import html
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from shlex import quote
from string import Template
from typing import Any

import numpy as np

from widthwise.core.arrays import DoubleArray
from widthwise.core.errors import UsageError
from widthwise.core.session.ledger import Ledger
from widthwise.core.session.prices import Prices
from widthwise.core.strategy.composition import shortened
from widthwise.evals.measure.axes import AXES, labelled
from widthwise.evals.measure.curves import METHODS, Curve, CurveLine, arguments, curve
from widthwise.evals.measure.equal_budgets import common_problems
from widthwise.evals.measure.matched import Matched
from widthwise.evals.measure.reliability import measure
from widthwise.evals.measure.run_names import told_apart
from widthwise.evals.measure.standings import standings
from widthwise.evals.measure.summary import Summary, summarise
from widthwise.evals.measure.trials import MEASURES
from widthwise.evals.replacement import replacement
from widthwise.evals.store.foreign import RECORDINGS
from widthwise.evals.store.outcome import Outcome
from widthwise.evals.store.store import Store
from widthwise.evals.views.packing import packed
from widthwise.evals.views.trace_blocks import mark, trace_blocks

_SCRIPTS = ("tools", "curves", "runs", "traces", "page")
"""The parts of the page's script, in the order in which they run."""

_LINE_POINTS = 100
"""How many points of a line are drawn; more cannot be distinguished."""


def write_report(
    runs: Sequence[str | Path],
    out: str | Path,
    *,
    methods: Sequence[str] = METHODS,
    traces: bool = True,
    compared: Matched | None = None,
    prices: Prices | None = None,
) -> int:
    """Write the page on these run files to ``out``; returns its size in bytes.

    ``methods`` are those of ``curve``; ``traces`` False leaves the texts out. The curves of ``compared`` are shown
    instead of the runs' own (a sweep's, which are read from several of its runs). ``prices`` are laid over those of
    the runs. Raises ``UsageError`` for runs that cannot be measured, or compared with one another.
    """
    for run in runs:
        if Path(run).suffix in RECORDINGS:
            raise UsageError(
                f"{run} holds recorded generations: make a run of them with `widthwise import {quote(str(run))} RUN.db`"
            )
    drawn = told_apart([curve(run, methods=methods, prices=prices) for run in runs])
    common_problems(drawn)
    sections, blocks = _sections(runs, drawn, traces, prices or {})
    matched = compared or (Matched.of(drawn) if len(drawn) > 1 else None)
    curves = drawn if matched is None else matched.curves
    main = {
        "axes": {axis: labelled(axis) for axis in (*AXES, *arguments(curves))},
        "runs": sections,
        "problems": [{"id": i} for i in dict.fromkeys(p["id"] for section in sections for p in section["problems"])],
        "curves": [{"label": c.label, "lines": [_line(line) for line in c.lines.values()]} for c in curves],
        "comparison": matched and _comparison(matched),
        "gains": _gains(runs, drawn, _reliability(methods)) if compared is None else [],
    }
    return _written(Path(out), _page(_title(drawn), [_block("main", packed(main)), *blocks]))


def _sections(
    runs: Sequence[str | Path], drawn: Sequence[Curve], traces: bool, prices: Prices
) -> tuple[list[dict[str, Any]], list[str]]:
    """What the page says of each run, and the blocks that hold their traces."""
    sections, blocks = [], []
    for number, (run, of_run) in enumerate(zip(runs, drawn, strict=True)):
        with Store.read(run) as store:
            made: dict[str, str] = {}
            for place, (problem, content) in enumerate(trace_blocks(store) if traces else ()):
                made[problem] = f"r{number}-{place}"
                blocks.append(_block(made[problem], packed(content)))
            sections.append(_run(store, of_run, made, prices))
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
    parts = {kind: (folder / f"report.{kind}").read_text(encoding="utf-8") for kind in ("html", "css")}
    script = "\n".join((folder / f"{name}.js").read_text(encoding="utf-8") for name in _SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    filled = Template(parts["html"]).substitute(
        title=html.escape(title),
        style=parts["css"],
        script=script,
        script_hash=f"sha256-{digest}",
        data="\n".join(blocks),
    )
    return filled.encode()


def _block(block_id: str, content: str) -> str:
    return f'<script type="application/octet-stream" id="{html.escape(block_id)}">{content}</script>'


# -- a run -----------------------------------------------------------------------------------------------------


def _run(store: Store, of_run: Curve, blocks: Mapping[str, str], prices: Prices) -> dict[str, Any]:
    outcomes, summary = list(store.outcomes()), summarise(store, prices)
    spent = Ledger.sum_of(outcome.ledger for outcome in outcomes)
    return {
        "label": of_run.label,
        "accuracy": summary.accuracy,
        "tokens": spent.sampled / max(summary.problems, 1),
        "money": None if summary.money is None else summary.money / max(summary.problems, 1),
        "notes": of_run.notes,
        "summary": _figures(summary),
        "costs": [
            *spent.asdict().items(),
            *_by_model(spent),
            *[("money", summary.money)] * (summary.money is not None),
        ],
        "events": _events(outcomes),
        "manifest": store.manifest,
        "lines": [_line(line) for line in of_run.lines.values()],
        "problems": [_problem(outcome, blocks) for outcome in outcomes],
    }


def _by_model(spent: Ledger) -> list[tuple[str, int]]:
    """What each model cost, in a run with several."""
    return [(f"{name}: {kind}", n) for name, each in spent.models.items() for kind, n in asdict(each).items()]


def _figures(summary: Summary) -> list[tuple[str, Any]]:
    """The summary's figures in words."""
    shares = {"accuracy": summary.accuracy, "one sample": summary.mean_accuracy, "pass@n": summary.pass_at_n}
    shares["selection efficiency"] = summary.efficiency
    return [
        ("suite", summary.suite),
        ("model", summary.model),
        ("strategy", shortened(summary.strategy)),
        ("problems", f"{summary.problems} finished, {summary.errors} failed"),
        *((word, "–" if share is None else f"{100 * share:.2f} %") for word, share in shares.items()),
        ("wall-clock", f"{summary.wall_seconds:,.1f} s"),
        ("money", f"not known: {summary.no_money}" if summary.money is None else f"{summary.money:,.6g}"),
        ("run", Path(summary.run).name),
    ]


def _problem(outcome: Outcome, blocks: Mapping[str, str]) -> dict[str, Any]:
    return {
        "id": outcome.problem.id,
        "state": outcome.state,
        "answer": outcome.answer,
        "correct": outcome.correct,
        "tied": outcome.tied,
        "cells": "".join(mark(leaf) for leaf in outcome.leaves if leaf.finish != "joined"),
        "block": blocks.get(outcome.problem.id),
    }


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


def _line(line: CurveLine) -> dict[str, Any]:
    chosen = _spread(len(line.k))
    bounds = {"accuracy": line.accuracy, "low": line.low, "high": line.high, "error": line.sampling_error}
    bounds["efficiency"] = line.efficiencies
    return {
        "method": line.method,
        "k": line.k[chosen],
        "budgets": {axis: _rounded(values[chosen]) for axis, values in line.budgets.items()},
        **{key: np.round(values[chosen], 6) for key, values in bounds.items()},
    }


def _rounded(values: DoubleArray) -> list[float]:
    """Six significant digits: of tokens these are enough, and of money, which may be tiny, not all of them zeros."""
    return [float(f"{value:.6g}") for value in values]


def _spread(n: int) -> Any:
    """At most ``_LINE_POINTS`` positions, dense at the beginning, including all powers of two."""
    if n <= _LINE_POINTS:
        return np.arange(n)
    powers = 2 ** np.arange(int(math.log2(n)) + 1)
    return np.unique(np.r_[powers, n, np.round(np.geomspace(1, n, _LINE_POINTS - len(powers)))].astype(int)) - 1


# -- comparisons -----------------------------------------------------------------------------------------------


def _comparison(matched: Matched) -> dict[str, Any] | None:
    """None for a single method, of which there is nothing to compare."""
    if len(matched.curves) < 2 and matched.limited:
        return None
    rows = matched.asdict()
    marked = [{**row, "method": p.marked} for row, (_, p) in zip(rows["points"], matched.points, strict=True)]
    return {**rows, "limited": matched.limited, "points": marked}


def _reliability(methods: Sequence[str]) -> list[str]:
    """The measures of reliability among ``methods``; the usual ones if there is none."""
    return [name for name in methods if measure(name)] or list(MEASURES)


def _gains(runs: Sequence[str | Path], drawn: Sequence[Curve], reliability: Sequence[str]) -> list[dict[str, Any]]:
    """What each run's samples and answers reach, the parts of its difference from the first run, its reliability.

    Nothing if there is only one run, or if a run has no answers of its own.
    """
    if len(runs) < 2 or not all("run" in each.lines for each in drawn):
        return []
    return [
        {
            "label": of_run.label,
            **{name: getattr(each, name) for name in ("one_sample", "coverage", "accuracy")},
            "efficiency": each.efficiency and asdict(each.efficiency),
            "split": each.split and asdict(each.split),
            "reliability": [{**asdict(of), "name": of.name} for of in each.reliability],
            "no_reliability": each.no_reliability,
        }
        for each, of_run in zip(standings(runs, reliability=reliability), drawn, strict=True)
    ]
