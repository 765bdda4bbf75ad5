"""What samples and answers cost, by axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from widthwise.core.arrays import DoubleArray
from widthwise.evals.measure.axes import Axis
from widthwise.evals.measure.estimators import largest_at_k
from widthwise.evals.measure.pools import Source
from widthwise.evals.measure.sample_pool import SamplePool
from widthwise.evals.measure.subsets import mth_rank_weights


def sample_budgets(pools: Sequence[SamplePool], points: int, waits_for: int | None) -> dict[Axis, DoubleArray]:
    """Mean cost of k samples by axis; token axes only if every sample's tokens are known.

    FLOPs are known only of samples that are all awaited.
    """
    k = np.arange(1, points + 1, dtype=np.float64)
    if any(np.isnan(pool.tokens).any() for pool in pools):
        return {"samples": k}
    costs = [_token_costs(pool.tokens, points, waits_for) for pool in pools if len(pool)]
    if not costs:
        return {"samples": k}
    tokens, sequential = (np.mean([c[i] for c in costs], axis=0) for i in (0, 1))
    found = {"samples": k, "tokens": tokens, "sequential": sequential}
    of_each = [(pool, each[0]) for pool, each in zip([p for p in pools if len(p)], costs, strict=True)]
    paid = {"money": [pool.expected_money(k, total) for pool, total in of_each]}
    if waits_for is None:
        paid["flops"] = [pool.expected_flops(k) for pool, _ in of_each]
    return found | {axis: np.mean(costs, axis=0) for axis, costs in paid.items() if not np.isnan(costs).any()}


def _token_costs(tokens: DoubleArray, points: int, waits_for: int | None) -> tuple[DoubleArray, DoubleArray]:
    """Expected total and sequential tokens of k traces side by side, all awaited or only the m shortest.

    When the m-th shortest trace ends, after t tokens, the m - 1 shorter ones have ended and all others have t tokens.
    """
    n, k = len(tokens), np.arange(1, points + 1)
    total, longest = k * tokens.mean(), largest_at_k(tokens)[:points]
    if waits_for is None or waits_for > n:
        return total, longest
    m, rising = waits_for, np.sort(tokens)
    ended = (m - 1) * (np.cumsum(rising) - rising) / np.maximum(np.arange(n), 1)
    weights = mth_rank_weights(n, m)[:, :points]
    stopped = ended @ weights + (k - m + 1) * (rising @ weights)
    return np.where(k < m, total, stopped), np.where(k < m, longest, rising @ weights)


def answered_budgets(source: Source) -> dict[Axis, DoubleArray]:
    """What the strategy's own answers cost on average, one element each; without axes that the run file lacks."""
    spent = [a.spent for a in source.answered]
    found: dict[Axis, list[float]] = {
        "samples": [s.samples for s in spent],
        "tokens": [s.total for s in spent],
        "seconds": [s.seconds for s in spent],
    }
    if source.sequential_known:
        found["sequential"] = [s.sequential for s in spent]
    if all(s.flops for s in spent):
        found["flops"] = [s.flops for s in spent]
    paid = [a.money for a in source.answered if a.money is not None]
    if len(paid) == len(spent):
        found["money"] = paid
    return {axis: np.array([np.mean(values)]) for axis, values in found.items()}
