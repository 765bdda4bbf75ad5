"""Comparing methods at equal budgets: the Pareto set, and paired differences on the same problems."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from widthwise.core.arrays import DoubleArray
from widthwise.core.brief import Brief, counted
from widthwise.core.errors import UsageError
from widthwise.evals.measure.axes import FOLLOWS, MEASURED, Axis, cost, not_measured
from widthwise.evals.measure.buying import purchased
from widthwise.evals.measure.curves import REPLICATES, Curve, CurveLine, band, method
from widthwise.evals.measure.intervals import LEVEL, Difference, adjusted, paired

_log = logging.getLogger(__name__)

NEAR = 1.1
"""Budgets whose ratio is at most this count as equal: runs of one design spend a few percent more or less by chance."""

MOSTLY = 0.5
"""If one trace is longer than the budget on more than this share of problems, a method cannot follow the budget."""


@dataclass(frozen=True, slots=True, eq=False)
class Point(Brief):
    """One method at one budget; ``scores`` ``[problems]`` in the order of the comparison's problems.

    ``budget`` is what it spent, averaged over problems; ``limit`` what it was allowed on each of them (None: no limit).
    ``cut`` is the share of problems on which the limit did not allow a single whole trace. ``money`` is what that cost
    (NaN: not known).
    """

    label: str
    method: str
    k: int
    budget: float
    accuracy: float
    low: float
    high: float
    scores: DoubleArray
    limit: float | None = None
    cut: float = 0.0
    money: float = np.nan

    @property
    def within(self) -> float:
        """The smallest budget that it belongs to."""
        return self.budget if self.limit is None else self.limit

    @property
    def follows(self) -> bool:
        """Whether it can be compared at this budget: on most problems, the budget buys it one whole trace."""
        return self.cut <= MOSTLY

    @property
    def name(self) -> str:
        if self.method == "run":
            return self.label
        return f"{self.label} {self.method}" + (f"@{self.k}" if self.limit is None else "")

    @property
    def marked(self) -> str:
        """The name, with a remark if it does not follow the budget."""
        return self.name if self.follows else f"{self.name} (one trace alone is longer on {100 * self.cut:.0f} %)"


@dataclass(frozen=True, slots=True, eq=False)
class Versus:
    """A paired comparison; its ``difference.p`` is adjusted for all comparisons made together (Holm)."""

    better: Point
    other: Point
    difference: Difference


def points(curves: Sequence[Curve], axis: Axis) -> list[Point]:
    """Every point of every line of ``curves`` that has ``axis``, except those of methods that give no answer.

    If the axis is an argument, each of its values is a method of its own, and its budget are the tokens that it spent.
    Coverage (pass@k) needs an oracle to pick the right sample: it bounds the methods but is not one of them. Nor are
    the measures of reliability.

    Raises ``UsageError`` if the curves measure different problems, or none has the axis.
    """
    shared = common_problems(curves)
    found = [point for curve in curves for line in curve.lines.values() for point in _points(curve, line, axis, shared)]
    found = [point for point in found if point.method == "run" or method(point.method).answers]
    if not found:
        raise not_measured(axis)
    return found


def common_problems(curves: Sequence[Curve]) -> tuple[str, ...]:
    """The problems that all ``curves`` measure; raises ``UsageError`` if they are not the same ones."""
    first = curves[0]
    for other in curves[1:]:
        if set(other.problems) != set(first.problems):
            both = counted(len(set(other.problems) & set(first.problems)), "problem")
            raise UsageError(
                f"{first.path} ({first.suite}, {counted(len(first.problems), 'problem')}) and {other.path} "
                f"({other.suite}, {counted(len(other.problems), 'problem')}) have {both} in common: compare runs on "
                "the same problems"
            )
    return first.problems


def shared_axis(curves: Sequence[Curve]) -> Axis:
    """Total tokens if every run has counted them, else samples."""
    counted = all(any("tokens" in line.budgets for line in curve.lines.values()) for curve in curves)
    if not counted:
        _log.warning("not every run has counted its tokens: runs are compared by samples")
    return "tokens" if counted else "samples"


def matched_budgets(curves: Sequence[Curve], axis: Axis) -> list[float]:
    """Budgets at which runs are compared: what each run spent in full, in ascending order.

    Of those that are nearly equal (``NEAR``) the largest stands for all.
    """
    ends = [max(float(line.budgets[axis][-1]) for line in c.lines.values() if axis in line.budgets) for c in curves]
    merged: list[float] = []
    for end in sorted(ends, reverse=True):
        if not merged or end * NEAR < merged[-1]:
            merged.append(end)
    return merged[::-1]


def at_budget(
    found: Sequence[Point], budget: float, curves: Sequence[Curve] = (), axis: Axis = "samples"
) -> list[Point]:
    """For each method the best point within ``budget``; methods that start above it are left out.

    On the axes of tokens and FLOPs, a method read from the samples of one of ``curves`` gets what the budget buys of
    them for each problem, as in a run. If the axis is an argument, the budget is its value.
    """
    if axis not in MEASURED:
        return sorted([p for p in found if p.limit == budget], key=lambda p: (-p.accuracy, p.budget))
    if axis in ("tokens", "flops"):
        bought = [p for curve in curves for p in _bought(curve, budget, axis, common_problems(curves))]
        read = {(point.label, point.method) for point in bought}
        found = [*bought, *(p for p in found if (p.label, p.method) not in read)]
    largest: dict[tuple[str, str], Point] = {}
    for point in found:
        key = (point.label, point.method)
        if point.within <= budget * (1 + 1e-9) and (key not in largest or point.within > largest[key].within):
            largest[key] = point
    return sorted(largest.values(), key=lambda p: (-p.accuracy, p.budget))


def rivals(found: Sequence[Point], budget: float, curves: Sequence[Curve], axis: Axis) -> list[Point]:
    """The points that are compared in pairs: those within ``budget``, or all if the axis is an argument."""
    return at_budget(found, budget, curves, axis) if axis in MEASURED else list(found)


def pareto(found: Sequence[Point]) -> list[Point]:
    """The points that no other one beats: nothing is at least as accurate for less, or more accurate for the same.

    Of a method's points, those at doubled k and the last compete; the steps between them say little.
    """
    best, kept = -np.inf, []
    for point in sorted(_doublings(found), key=lambda p: (p.budget, -p.accuracy)):
        if point.accuracy > best + 1e-12:
            best = point.accuracy
            kept.append(point)
    return kept


def _doublings(found: Sequence[Point]) -> list[Point]:
    """Points measured by runs, and, for lines with a point for every k, those at powers of two and the last."""
    last = {(p.label, p.method): p.k for p in sorted(found, key=lambda p: p.k)}
    return [p for p in found if p.method == "run" or p.k & (p.k - 1) == 0 or p.k == last[p.label, p.method]]


def against_best(found: Sequence[Point], *, replicates: int = 2000, seed: int = 0) -> list[Versus]:
    """The most accurate point against each other one, paired by problem; those that do not follow it are left out."""
    found = [point for point in found if point.follows]
    if len(found) < 2 or len(found[0].scores) < 2:
        return []
    best, *others = sorted(found, key=lambda p: (-p.accuracy, p.budget))
    gaps = adjusted([paired(best.scores, other.scores, replicates=replicates, seed=seed) for other in others])
    return [Versus(best, other, gap) for other, gap in zip(others, gaps, strict=True)]


def _points(curve: Curve, line: CurveLine, axis: Axis, problems: Sequence[str]) -> Iterator[Point]:
    if axis not in line.budgets:
        return
    place = {problem: i for i, problem in enumerate(curve.problems)}
    rows = line.scores[[place[problem] for problem in problems]]
    for i, k in enumerate(line.k):
        yield Point(
            label=curve.label.replace(f"{axis}={FOLLOWS}", f"{axis}={line.budgets[axis][i]:g}"),
            method=line.method,
            k=int(k),
            budget=float(line.budgets[cost(axis)][i]),
            accuracy=float(line.accuracy[i]),
            low=float(line.low[i]),
            high=float(line.high[i]),
            scores=rows[:, i],
            limit=None if line.limits is None else float(line.limits[i]),
            cut=0.0 if line.cut is None else float(line.cut[i]),
            money=float(line.budgets["money"][i]) if "money" in line.budgets else np.nan,
        )


def _bought(curve: Curve, budget: float, axis: Axis, problems: Sequence[str]) -> Iterator[Point]:
    """What ``budget`` buys of each problem's samples, for each method that chooses among samples."""
    pools = {pool.problem: pool for pool in curve.pools}
    if not pools or any(axis not in line.budgets for line in curve.lines.values()):
        return
    for name in [name for name in curve.lines if name != "run" and method(name).answers]:
        made = [purchased(pools[problem], budget, method(name), axis) for problem in problems]
        scores = np.array([p.value for p in made])
        low, high = band(scores[:, None], REPLICATES, LEVEL, 0)
        yield Point(
            label=curve.label,
            method=name,
            k=max(round(float(np.mean([p.begun for p in made]))), 1),
            budget=float(np.mean([p.spent for p in made])),
            accuracy=float(scores.mean()),
            low=float(low[0]),
            high=float(high[0]),
            scores=scores,
            limit=budget,
            cut=float(np.mean([p.cut for p in made])),
            money=float(np.mean([p.money for p in made])),
        )
