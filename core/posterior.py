"""How probable it is that the leading answer of a vote is the model's most common one."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from widthwise.core.arrays import DoubleArray


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


def _gamma_cdf(x: DoubleArray, shape: int) -> DoubleArray:
    """P(Gamma(shape) <= x): one minus the first ``shape`` terms of a Poisson law."""
    poisson = np.zeros_like(x)
    for i in range(shape):
        poisson += np.exp(i * np.log(x) - x - math.lgamma(i + 1))
    return 1 - poisson
