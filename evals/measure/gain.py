"""Where accuracy comes from: what one sample is worth, what all of them cover, and what the choice makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from widthwise.core.arrays import DoubleArray
from widthwise.core.brief import Brief
from widthwise.evals.measure.intervals import LEVEL, REPLICATES, bootstrap, resampled_means
from widthwise.evals.store.outcome import Outcome, credit

PARTS = ("sampling", "coverage", "selection")
"""The parts of a difference, by their names in ``GainSplit``."""

_NOTHING = 1e-12


@dataclass(frozen=True, slots=True)
class BootstrapMean(Brief):
    """One figure with the 95 % interval of a bootstrap over problems."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class GainSplit(Brief):
    """How much of the difference between two runs' accuracies has which cause; the three parts add up to it.

    ``sampling``: one sample of this run is so much better than one sample of the other. ``coverage``: the best of a
    problem's samples is ahead of one of them by so much more. ``selection``: the answer that was chosen falls short of
    the best of the samples by so much less.
    """

    sampling: BootstrapMean
    coverage: BootstrapMean
    selection: BootstrapMean


@dataclass(frozen=True, slots=True, eq=False)
class Reached(Brief):
    """A run's grades, one row per problem, all ``float64 [problems]``.

    ``one`` is the mean grade of the samples that were allowed to state their answer (0 without any), ``covered`` the
    best grade among them (pass@n), ``answered`` that of the answer that the strategy chose.
    """

    one: DoubleArray
    covered: DoubleArray
    answered: DoubleArray

    @classmethod
    def of(cls, outcomes: Sequence[Outcome]) -> Self:
        """What a run's problems reached."""
        grades = [[credit(leaf.correct) for leaf in outcome.samples] for outcome in outcomes]
        return cls(
            np.array([np.mean(each) if each else 0.0 for each in grades], np.float64),
            np.array([max(each, default=0.0) for each in grades], np.float64),
            np.array([credit(outcome.correct) for outcome in outcomes], np.float64),
        )

    @property
    def mean_efficiency(self) -> float | None:
        """The selection efficiency: the share of what lies between one sample and coverage that the answers have got.

        ``(accuracy - one sample) / (coverage - one sample)``, of means over problems: 1 for a perfect choice, 0 for one
        at random. None if the samples cover no more than one of them is worth: there is nothing to choose.
        """
        room = float((self.covered - self.one).mean()) if len(self.one) else 0.0
        return float((self.answered - self.one).mean()) / room if room > _NOTHING else None

    def efficiency(self) -> BootstrapMean | None:
        """``mean_efficiency`` with its interval over problems."""
        if (mean := self.mean_efficiency) is None:
            return None
        rows = np.stack([self.answered - self.one, self.covered - self.one], axis=1)
        means = resampled_means(rows, replicates=REPLICATES)
        gained, room = means[means[:, 1] > _NOTHING].T
        low, high = np.quantile(gained / room, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return BootstrapMean(mean, float(low), float(high))

    def beyond(self, other: Reached) -> GainSplit:
        """The parts of this run's accuracy minus the other's, on the same problems in the same order, paired."""
        return GainSplit(
            _share(self.one - other.one),
            _share((self.covered - self.one) - (other.covered - other.one)),
            _share((self.answered - self.covered) - (other.answered - other.covered)),
        )


def _share(differences: DoubleArray) -> BootstrapMean:
    band = bootstrap(differences)
    return BootstrapMean(float(band.mean), float(band.low), float(band.high))


def efficiencies(accuracy: DoubleArray, coverage: DoubleArray) -> DoubleArray:
    """The selection efficiency at every k of two curves ``[points]`` that begin at one sample; NaN where undefined."""
    room = coverage - coverage[0]
    return np.where(room > _NOTHING, (accuracy - coverage[0]) / np.where(room > _NOTHING, room, 1.0), np.nan)
