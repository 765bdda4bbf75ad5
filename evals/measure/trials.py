"""How reliably single samples are right, run beside run: pass^k and G-Pass@k with paired intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from widthwise.core.arrays import DoubleArray
from widthwise.core.brief import Brief
from widthwise.core.errors import UsageError
from widthwise.evals.measure.dependence import dependence
from widthwise.evals.measure.intervals import Difference, adjusted, bayesian_bootstrap, paired
from widthwise.evals.measure.reliability import measure
from widthwise.evals.store.outcome import Outcome, credit

MEASURES = ("all", "gpass:0.75")
"""What comparisons show by default: pass^k, and G-Pass@k of three quarters."""

MOST = 8
"""How many samples are looked at unless it is said, if there are as many."""


@dataclass(frozen=True, slots=True)
class Reliability(Brief):
    """One measure of k samples of each problem, averaged over problems, with its 95 % interval.

    ``measure`` is "all" (pass^k, arXiv 2406.12045), "gpass:SHARE" (G-Pass@k, arXiv 2412.13147) or "mgpass" (its mean).
    ``difference`` is its distance from the first run's, paired by problem, its p adjusted for the number of runs
    (Holm); None for the first run, and beside a first run that has none.
    """

    measure: str
    k: int
    mean: float
    low: float
    high: float
    difference: Difference | None = None

    @property
    def name(self) -> str:
        """What papers call it."""
        kind, _, share = self.measure.partition(":")
        name = {"all": f"pass^{self.k}", "gpass": f"G-Pass@{self.k}", "mgpass": f"mG-Pass@{self.k}"}[kind]
        return f"{name}, {100 * float(share):g} % right" if share else name


@dataclass(frozen=True, slots=True, eq=False)
class Trials(Brief):
    """A run's samples as independent trials of each problem, ``values`` from 0 to 1; ``why_not`` if they are none."""

    values: tuple[DoubleArray, ...]
    why_not: str = ""

    @classmethod
    def of(cls, strategy: str, outcomes: Sequence[Outcome], other: str) -> Trials:
        """The trials of a run, in the order of its ``outcomes``; see ``dependence``."""
        leaves = [[leaf for leaf in outcome.leaves if leaf.finish != "joined"] for outcome in outcomes]
        return cls(
            tuple(np.array([credit(leaf.correct) for leaf in each], np.float64) for each in leaves),
            dependence(strategy, outcomes, other),
        )

    @property
    def least(self) -> int:
        """How many samples each problem has that has any; 0 if they are no trials."""
        return 0 if self.why_not else min((len(each) for each in self.values if len(each)), default=0)

    def scores(self, name: str, k: int) -> DoubleArray | str:
        """A measure of k samples, one number per problem (0 if all its requests failed); or why it is not known."""
        found = _measure(name)
        if lacking := self.lack(k):
            return lacking
        try:
            return np.array([found(each)[k - 1] if len(each) else 0.0 for each in self.values])
        except ValueError as error:
            return str(error)

    def lack(self, k: int) -> str:
        """Why they do not tell what k samples are; empty if they do."""
        if self.why_not or self.least >= k:
            return self.why_not
        return f"some problem has only {self.least} of the {k} samples"


@dataclass(frozen=True, slots=True)
class Reliabilities(Brief):
    """What is ``known`` of one run's reliability; ``why_not`` says why the rest is not, and is empty if all is."""

    known: tuple[Reliability, ...] = ()
    why_not: str = ""

    def also(self, name: str, k: int, scores: DoubleArray | str, gap: Difference | None) -> Reliabilities:
        """The same with one more measure, of these ``scores``."""
        if isinstance(scores, str):
            return replace(self, why_not=self.why_not or scores)
        band = bayesian_bootstrap(scores)
        more = Reliability(name, k, float(band.mean), float(band.low), float(band.high), gap)
        return replace(self, known=(*self.known, more))


def reliabilities(
    runs: Sequence[Trials], measures: Sequence[str] = MEASURES, k: int | None = None
) -> list[Reliabilities]:
    """The measures of each run, each against the first one's; the runs have the same problems in the same order.

    Raises ``UsageError`` for an unknown measure, or k below 1.
    """
    if k is not None and k < 1:
        raise UsageError(f"reliability is of at least 1 sample, not {k}")
    of, found = _usual_k(runs) if k is None else k, [Reliabilities()] * len(runs)
    for name in dict.fromkeys(measures):
        scores = [trials.scores(name, of) for trials in runs]
        each = zip(found, scores, _gaps(scores), strict=True)
        found = [before.also(name, of, values, gap) for before, values, gap in each]
    return found


def _usual_k(runs: Sequence[Trials]) -> int:
    """As many samples as all runs with several have, at most ``MOST``; 2 if none has several."""
    several = [trials.least for trials in runs if trials.least > 1]
    return min([MOST, *several]) if several else 2


def _gaps(scores: Sequence[DoubleArray | str]) -> list[Difference | None]:
    """The distance of each from the first; None for the first itself, and where one of the two is not known."""
    first = scores[0]
    gaps = {
        number: paired(each, first)
        for number, each in enumerate(scores)
        if number and not isinstance(each, str) and not isinstance(first, str)
    }
    tested = dict(zip(gaps, adjusted(list(gaps.values())), strict=True))
    return [tested.get(number) for number in range(len(scores))]


def _measure(name: object) -> Callable[[DoubleArray], DoubleArray]:
    if not isinstance(name, str) or (found := measure(name)) is None:
        raise UsageError(f"unknown measure {name!r}: write all, gpass:SHARE (a share above 0 and at most 1) or mgpass")
    return found
