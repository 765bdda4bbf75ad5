"""Adaptive-Consistency: stop when the leading answer is very probably the most common one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from widthwise.core.registry import register
from widthwise.pruning.stopping_rule import Order, StoppingRule, Votes, check_order

_ANSWERS = 5
"""How many of the most frequent answers the Dirichlet posterior covers, as in the authors' release."""


@register("pruner")
@dataclass(frozen=True)
class AdaptiveConsistency(StoppingRule):
    """Ends a draw when the leader is the model's most common answer with probability ``threshold``.

    Aggarwal et al., arXiv 2305.11860. The posterior is over a uniform ``prior``: "beta" considers the two most frequent
    answers, "dirichlet" the five most frequent. It is checked after every answer, so the threshold does not bound the
    error (``anytime`` has such a bound). At 0.95 it takes at least four equal answers.
    """

    threshold: float = 0.95
    prior: Literal["beta", "dirichlet"] = "beta"
    order: Order = "launch"

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise ValueError(f"threshold must be between 0 and 1, not {self.threshold}")
        if self.prior not in ("beta", "dirichlet"):
            raise ValueError(f"prior must be 'beta' or 'dirichlet', not {self.prior!r}")
        check_order(self.order)

    def decides(self, votes: Votes) -> str | None:
        if not votes.lead:
            return None
        first, second, *others = votes.counts
        if self.prior == "beta" or not any(others):
            probability = beta(first, second)
        else:
            probability = dirichlet(tuple(n for n in votes.counts if n)[:_ANSWERS])
        if probability < self.threshold:
            return None
        return f"decided: the leading answer is the mode with probability {probability:.3f}"


@lru_cache(4096)
def beta(first: int, second: int) -> float:
    """P(p > 1/2) for p ~ Beta(first + 1, second + 1): the incomplete beta function as a binomial sum, exact."""
    n = first + second + 1
    return float(sum(math.comb(n, i) for i in range(first + 1)) / 2**n)


@lru_cache(4096)
def dirichlet(counts: tuple[int, ...]) -> float:
    """P(p_1 is the largest) for p ~ Dirichlet(counts + 1).

    Shares of a Dirichlet are gamma variables over their sum, so this is the chance that the first of several
    independent gamma variables is the largest: one integral of smooth functions instead of a simulation.
    """
    shape = counts[0] + 1
    x, step = np.linspace(1e-9, shape + 12 * math.sqrt(shape) + 30, 4001, retstep=True)
    density = np.exp((shape - 1) * np.log(x) - x - math.lgamma(shape))
    below = np.prod([_gamma_cdf(x, n + 1) for n in counts[1:]], axis=0)
    return float(np.sum(density * below) * step)  # the integrand vanishes at both ends


def _gamma_cdf(x: NDArray[np.float64], shape: int) -> NDArray[np.float64]:
    """P(Gamma(shape) <= x): one minus the first ``shape`` terms of a Poisson law."""
    poisson = np.zeros_like(x)
    for i in range(shape):
        poisson += np.exp(i * np.log(x) - x - math.lgamma(i + 1))
    return 1 - poisson
