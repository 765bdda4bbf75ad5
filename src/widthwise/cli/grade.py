"""The command ``grade``: a run's answers graded again, compared with math-verify's verdicts, or one pair explained."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from widthwise.cli.display import marked, not_of_samples, percent, rows_table
from widthwise.cli.settings_options import AsJson
from widthwise.cli.terminal import say, say_json
from widthwise.core.errors import UsageError
from widthwise.core.event_loop import run_loop
from widthwise.core.registry import register
from widthwise.core.trace.trace import name

if TYPE_CHECKING:
    from widthwise.core.problem import Grader
    from widthwise.evals.grading.explanation import Explanation, Side
    from widthwise.evals.store.outcome import Leaf, Outcome
    from widthwise.evals.store.store import Store

_log = logging.getLogger(__name__)

MATH_VERIFY = "math-verify"
_FIGURES = ("accuracy", "mean_accuracy", "pass_at_n")


@register("command", "grade")
def grade(
    run: Annotated[Path | None, typer.Argument(help="A run file whose answers to grade again.")] = None,
    gold: Annotated[str | None, typer.Option(help="The reference answer for --prediction.")] = None,
    prediction: Annotated[str | None, typer.Option(help="An answer, or a text that states one.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show what was read, and which rule decided.")] = False,
    grader: Annotated[
        str | None, typer.Option(help="The grader, with arguments: 'math(percent=False)'; see `widthwise graders`.")
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(help="List where the verdicts of a run and of this grader differ.", metavar=MATH_VERIFY),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Grade a run's answers again and show what changed, or grade one answer by another.

    A run is graded as before, by the grader and the arguments in its file, unless --grader says otherwise; the file
    then keeps those.
    """
    pair = gold is not None and prediction is not None
    if (run is None) != pair or (run is not None and (gold is not None or prediction is not None or explain)):
        raise UsageError(
            "grade a run (widthwise grade RUN.db) or a pair (--gold ANSWER --prediction ANSWER [--explain])"
        )
    if against is not None and (run is None or grader is not None):
        raise UsageError(
            f"--against compares the verdicts in a run's file: widthwise grade RUN.db --against {MATH_VERIFY}"
        )
    if against not in (None, MATH_VERIFY):
        raise UsageError(f"a run can be compared with {MATH_VERIFY}, not {against!r}")
    if run is None:
        _grade_pair(str(gold), str(prediction), grader, explain, as_json)
    elif against is None:
        _grade_run(run, grader, as_json)
    else:
        _compare_run(run, as_json)


# --- One pair -------------------------------------------------------------------------------------------------------


def _grade_pair(gold: str, prediction: str, grader: str | None, explain: bool, as_json: bool) -> None:
    from widthwise.evals.grading.explanation import explained

    found = explained(gold, prediction, _for_pairs(grader))
    if as_json:
        say_json({"gold": gold, "prediction": prediction, "equal": found.equal} | (found.asdict() if explain else {}))
    elif explain:
        rows_table(
            ["", "read", "by", "understood as"], [_row("gold", found.gold), _row("prediction", found.prediction)]
        )
        say(f"\n{_outcome(found)}: {found.verdict.rule}")
    else:
        say(_outcome(found))


def _for_pairs(grader: str | None) -> Any:
    from widthwise.evals.grading.graders import MathGrader
    from widthwise.given_grader import grader_named

    found = None if grader is None else grader_named(grader)
    if not isinstance(found, MathGrader | None):
        raise UsageError(f"{grader} grades answers to a problem, not pairs: use it on a run")
    return found


def _row(name: str, side: Side) -> list[str]:
    form = side.form if side.whole or not side.answer else f"{side.form} (as spelled)"
    return [name, side.answer or "–", side.reader, form or "–"]


def _outcome(found: Explanation) -> str:
    return "equal" if found.equal else found.verdict.outcome


# --- A run again ----------------------------------------------------------------------------------------------------


def _grade_run(run: Path, grader: str | None, as_json: bool) -> None:
    from widthwise.evals.measure.summary import summarise
    from widthwise.evals.store.store import Store

    with Store.read(run) as store:  # a run that cannot be graded is left as it is
        before = summarise(store)
        judge = _grader(store, grader)
        graded, changes = run_loop(_regraded(store, judge))
    said = {"grader": judge.name, "grading": dict(judge.settings)}
    with Store.edit(run) as store:
        for outcome in graded:
            store.regrade(outcome)
        store.note({"graded": said})
        after = summarise(store)
    if as_json:
        say_json({"run": str(run), **said, "changes": changes, "before": before.asdict(), "after": after.asdict()})
        return
    rows = [[c["problem"], c["trace"] or "answer", *_change(c)] for c in changes]
    if rows:
        rows_table(["problem", "trace", "read before", "read now", "verdict before", "verdict now"], rows)
    for what in _FIGURES:
        old, new = getattr(before, what), getattr(after, what)
        changed = "" if old == new else f" (was {percent(old)})"
        say(f"{what.replace('_', ' ')}: {(what != 'accuracy' and not_of_samples(after)) or percent(new)}{changed}")


def _grader(store: Store, named: str | None) -> Grader:
    """The grader for a run: the named one, else the one that graded it. ``UsageError`` if that is unknown."""
    from widthwise.evals.grading.function_grader import grader_or
    from widthwise.evals.suites.suites import grader_of
    from widthwise.given_grader import grader_named

    if named is None:
        return grader_of(store, anew=True)
    return grader_or(grader_named(named), lambda: grader_of(store))


async def _regraded(store: Store, grader: Grader) -> tuple[list[Outcome], list[dict[str, Any]]]:
    """Grade every problem again; returns those whose grades changed, and the changes, one entry per answer."""
    from widthwise.evals.runner import regraded
    from widthwise.evals.store.recorded_saying import saying_in

    saying = saying_in(store.manifest)
    graded: list[Outcome] = []
    changes: list[dict[str, Any]] = []
    for old in store.outcomes():
        if old.state == "open":
            _log.warning("problem %s is not finished, so it is not graded", old.problem.id)
            continue
        new = await regraded(grader, old, store.traces(old.problem.id), saying)
        found = [_changed(old, "", (old.answer, old.correct), (new.answer, new.correct))]
        for a, b in zip(old.leaves, new.leaves, strict=True):
            found.append(_changed(old, name(a.id), (a.answer, a.correct), (b.answer, b.correct)))
        if any(found):
            graded.append(new)
            changes += filter(None, found)
    return graded, changes


def _changed(outcome: Outcome, trace: str, before: tuple[Any, Any], after: tuple[Any, Any]) -> dict[str, Any]:
    if before == after:
        return {}
    return {
        "problem": outcome.problem.id,
        "trace": trace,
        "answer_before": before[0],
        "answer": after[0],
        "correct_before": before[1],
        "correct": after[1],
    }


def _change(change: dict[str, Any]) -> list[str]:
    answers = [change["answer_before"] or "–", change["answer"] or "–"]
    return [*answers, marked(change["correct_before"]), marked(change["correct"])]


# --- A run against math-verify ----------------------------------------------------------------------------------------


def _compare_run(run: Path, as_json: bool) -> None:
    from widthwise.evals.grading.second_opinion import math_verify
    from widthwise.evals.store.store import Store

    with Store.read(run) as store:
        judged = list(_judged(store))
    if not judged:
        raise UsageError(f"{run} has no graded trace of a problem with a reference answer")
    pairs = [(str(outcome.problem.answer), text) for outcome, _, text in judged]
    distinct = list(dict.fromkeys(pairs))
    theirs = dict(zip(distinct, math_verify(distinct), strict=True))
    rows = [_opinion(outcome, leaf, theirs[pair]) for (outcome, leaf, _), pair in zip(judged, pairs, strict=True)]
    differing = [row for row in rows if row["math_verify"] not in (None, row["correct"])]
    undecided = sum(row["math_verify"] is None for row in rows)
    if as_json:
        counts = {"traces": len(rows), "differ": len(differing), "math_verify_undecided": undecided}
        say_json({"run": str(run), **counts, "differing": differing})
        return
    if differing:
        cells = [
            [row["problem"], row["trace"], row["reference"], row["answer"] or "–", marked(row["correct"]),
             marked(row["math_verify"])]
            for row in differing
        ]  # fmt: skip
        rows_table(["problem", "trace", "reference", "read", "verdict", MATH_VERIFY], cells)
    say(f"{len(differing)} of {len(rows)} traces are graded differently; {MATH_VERIFY} gave no verdict on {undecided}")


def _judged(store: Store) -> Iterator[tuple[Outcome, Leaf, str]]:
    """The graded traces with what they say; a trace that states no answer counts as wrong."""
    from widthwise.evals.store.recorded_saying import saying_in

    saying = saying_in(store.manifest)
    for outcome in store.outcomes():
        if outcome.problem.answer is None or outcome.state == "open":
            continue
        for trace, leaf in zip(store.traces(outcome.problem.id), outcome.leaves, strict=True):
            if leaf.finish in ("stop", "length", None):
                yield outcome, leaf, saying.said(trace)


def _opinion(outcome: Outcome, leaf: Leaf, theirs: bool | None) -> dict[str, Any]:
    return {
        "problem": outcome.problem.id,
        "trace": name(leaf.id),
        "reference": outcome.problem.answer,
        "answer": leaf.answer,
        "correct": leaf.correct is True,
        "math_verify": theirs,
    }
