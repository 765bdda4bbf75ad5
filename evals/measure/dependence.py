"""Whether traces are independent samples, so that a part of them is a smaller run of the same kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from widthwise.core.trace.recording import Recording
from widthwise.core.trace.trace import Finish
from widthwise.evals.store.outcome import Outcome
from widthwise.evals.store.recorded_rounds import (
    INDEPENDENT,
    SWITCHED,
    of_others,
    one_line,
    reason_in,
    sampler_of,
    switched,
)
from widthwise.evals.store.stopped_early import STOPPED, stopped_early

_NAMES = 180
"""How many characters of samplers' names a reason has: few enough that all of it is kept where it is recorded."""


def unfair(manifest: Mapping[str, Any], outcomes: Iterable[Outcome]) -> str:
    """Why a run's traces are not a fair sample of its strategy; empty if they are.

    Problems went on with other strategies, or what the samples were decided how many a problem got: a draw that ends
    when an answer is found has right ones more often than a draw of a fixed number.
    """
    return switched(manifest) or (STOPPED if stopped_early(manifest.get("configuration", {}), outcomes) else "")


def not_its_own(manifest: Mapping[str, Any], outcomes: Iterable[Outcome]) -> str:
    """Why more than the run's sampler decided on its samples, so that they are not independent; empty if not."""
    return of_others(manifest) or unfair(manifest, outcomes)


def dependence(strategy: str, outcomes: Sequence[Outcome], other: str) -> str:
    """Why parts of a run's samples are not smaller runs; empty if they are.

    ``other`` says it of a run in which more than its sampler decided on the samples (``not_its_own``). An imported run
    has no ``strategy`` of its own: its problems have what its source said.
    """
    said = _samplers([sampler_of(strategy)]) if strategy else _said(outcome.fields for outcome in outcomes)
    if said or other:
        return said or other
    if any(len(o.ledger.models) > 1 for o in outcomes):
        return "several models worked on a problem"
    return _stopped(leaf.finish for outcome in outcomes for leaf in outcome.leaves)


def dependence_of_run(manifest: Mapping[str, Any], outcomes: Iterable[Outcome]) -> str:
    """The same of the finished problems among the ``outcomes`` of a run file."""
    strategy = str(manifest["configuration"].get("strategy") or "")
    done = [outcome for outcome in outcomes if outcome.state != "open"]
    return dependence(strategy, done, not_its_own(manifest, done))


def dependence_of_recordings(recordings: Sequence[Recording]) -> str:
    """Why parts of recorded samples are not smaller runs, as far as the recordings say it; empty if they are."""
    said = _said(recording.fields for recording in recordings)
    return said or _stopped(sample.finish for recording in recordings for sample in recording.samples)


def _said(rows: Iterable[Mapping[str, Any]]) -> str:
    """What the rows of a recording say of the samplers, and of others that worked on problems."""
    rows = list(rows)
    if found := _samplers(name for row in rows for name in str(row.get("sampler") or "").split(", ")):
        return found
    if any(row.get("switched_to") for row in rows):
        return SWITCHED
    return next(filter(None, (reason_in(row.get("dependent")) for row in rows)), "")


def _samplers(names: Iterable[str]) -> str:
    dependent = sorted({name for name in names if name}.difference(INDEPENDENT))
    return f"the traces of {one_line(', '.join(dependent), _NAMES)} are not independent" if dependent else ""


def _stopped(finishes: Iterable[Finish | None]) -> str:
    """What traces that did not end by themselves say of the others."""
    found = set(finishes)
    if found & {"pruned", "aborted"}:
        return "traces were stopped online, so the rest is not a fair sample"
    if "budget" in found:
        return "the budget cut traces short, so the rest is not a fair sample"
    return ""
