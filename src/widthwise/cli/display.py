"""Results as tables on a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from widthwise.cli.terminal import cell, fitting, say_table
from widthwise.core.brief import counted
from widthwise.core.strategy.composition import shortened

if TYPE_CHECKING:
    from widthwise.evals.measure.summary import Summary
    from widthwise.evals.store.outcome import Graded


def marked(correct: Graded, none: str = "–") -> str:
    """A verdict as tables show it: right, wrong, or how much of it is right."""
    if isinstance(correct, float):
        return f"{correct:.2f} right"
    return none if correct is None else "right" if correct else "wrong"


_LONGEST_CELL = 160


def summary_table(summary: Summary) -> None:
    """Print a run's figures."""
    from rich.table import Table

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    for name, value in _lines(summary):
        table.add_row(name, cell(value))
    say_table(table)


def rows_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows on stdout under the names of their columns; on a terminal, long cells are cut."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(cell(fitting(" ".join(text.split()), _LONGEST_CELL)) for text in row))
    say_table(table)


def chance(p: float) -> str:
    """A probability; a tiny one is shown as a bound, never as 0."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def span(low: float, high: float) -> str:
    """An interval of fractions of 1, in per cent; a dash if it is unknown."""
    return "–" if math.isnan(low) else f"{100 * low:z.2f} to {100 * high:z.2f}"


def percent(share: float | None) -> str:
    """A fraction of 1 in per cent; a dash for None."""
    return "–" if share is None else f"{100 * share:.2f} %"


def _lines(summary: Summary) -> Iterator[tuple[str, str]]:
    tokens = summary.tokens
    yield "suite", f"{summary.suite}, {counted(summary.problems, 'problem')}" + _failed(summary.errors)
    yield "model", summary.model
    if summary.server is not None:
        yield "server", summary.server
    yield "strategy", shortened(summary.strategy)
    if (pool := summary.suite_budget) is not None:
        shared = f"{pool['spent']:,} of {pool['tokens']:,} tokens in {counted(len(pool['rounds']), 'round')}"
        yield "suite budget", f"{shared}, shared out by {pool['allocator']}"
        for strategy, problems in pool["strategies"].items():
            yield "switched", f"{counted(problems, 'problem')} went on with {strategy}"
    yield from _asking(summary)
    if summary.accuracy_ci95 is not None:
        low, high = summary.accuracy_ci95
        yield "accuracy", f"{percent(summary.accuracy)}  (95 % interval {100 * low:.1f} to {100 * high:.1f})"
    if summary.chance is not None:
        yield "chance", f"{percent(summary.chance)} of guesses are right"
    yield "one sample", _one_sample(summary)
    if summary.efficiency is not None:
        yield "selection", f"{percent(summary.efficiency)} of what lies between one sample and pass@n"
    yield "sampled", f"{tokens.sampled:,} tokens in {summary.samples:,} samples, {tokens.discarded:,} discarded"
    for name, spent in summary.models.items():
        served = f"{spent.prompt_cached + spent.prompt_computed:,} tokens of prompts"
        yield f"of {name}", f"{spent.sampled + spent.judging:,} tokens in {spent.calls:,} calls, with {served}"
    yield "money", _money(summary)
    cached = f"{tokens.prompt_cached:,} cached, {tokens.prompt_computed:,} computed (at best {tokens.prompt_ideal:,})"
    yield "prompt", f"{cached}"
    if summary.flops:
        yield "FLOPs", f"{summary.flops:.3g} of the model that samples"
    by_content = f"{summary.kv_content_mean:,.0f} and {summary.kv_content_peak:,.0f} by content, per problem"
    yield "cache", f"{summary.kv_mean:,.0f} unique tokens held by node, at most {summary.kv_peak:,.0f}; {by_content}"
    if summary.kv_rounds:
        by_content = f"{summary.kv_content_rounds:,.0f} by content"
        yield "rounds", f"continue from {summary.kv_rounds:,.0f} tokens by node, summed over rounds; {by_content}"
    yield "critical path", _critical_path(summary.sequential_tokens)
    if summary.copies is not None and summary.copies.note:
        yield "copies", summary.copies.note
    for note, problems in summary.notes:
        yield "noted", f"in {problems} of {summary.problems} problems, such as: {note}"
    yield "wall-clock", f"{summary.wall_seconds:,.1f} s"
    yield "run", summary.run


def not_of_samples(summary: Summary) -> str:
    """Why it is not known what samples reach; empty if it is, or if there are none yet."""
    from widthwise.evals.store.recorded_rounds import SWITCHED
    from widthwise.evals.store.stopped_early import STOPPED

    if summary.mean_accuracy is not None or not summary.problems:
        return ""
    switched = summary.suite_budget is not None and summary.suite_budget["strategies"]
    return f"not known: {SWITCHED if switched else STOPPED}"


def _one_sample(summary: Summary) -> str:
    if why := not_of_samples(summary):
        return why
    return f"{percent(summary.mean_accuracy)} right on average, pass@n {percent(summary.pass_at_n)}"


def _money(summary: Summary) -> str:
    if summary.money is None:
        return f"not known: {summary.no_money}"
    return f"{summary.money:,.6g}, {summary.money / max(summary.problems, 1):,.3g} per problem"


def _critical_path(tokens: int | None) -> str:
    if tokens is None:
        return "unknown: the run was begun by an older version"
    return f"{tokens:,} tokens one after another"


def _asking(summary: Summary) -> Iterator[tuple[str, str]]:
    """How each model was asked, as far as the run file says; named where there are several."""
    for name, asking in (summary.asking_by_model or {"": summary.asking}).items():
        of = f" ({name})" if name else ""
        if asking is not None:
            yield f"asked as{of}", f"{asking['profile']}: {asking['why']}"
            yield f"sampling{of}", _sampling(asking)
            yield from ((f"note{of}", note) for note in asking.get("notes", ()))


def _sampling(asking: Mapping[str, Any]) -> str:
    """All settings, grouped by where they come from: ``temperature 0.6 (given); top_k 0 ... (by default)``."""
    if not asking["sampling"]:
        return "as it was recorded"
    sources: dict[str, list[str]] = {}
    for name, value in asking["sampling"].items():
        sources.setdefault(asking["sampling_from"].get(name, "by default"), []).append(f"{name} {value:g}")
    return "; ".join(f"{', '.join(said)} ({source})" for source, said in sources.items())


def _failed(errors: int) -> str:
    return f", {errors} failed" if errors else ""
