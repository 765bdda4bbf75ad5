"""The entropy of a next-token distribution, from its most likely tokens."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from widthwise.core.backend import TokenStats
from widthwise.core.errors import UsageError
from widthwise.core.scores.entropy import token_entropy


def stats(probabilities: np.ndarray, k: int) -> TokenStats:
    """Those of the ``k`` most likely tokens of one distribution."""
    with np.errstate(divide="ignore"):
        top = np.log(np.sort(probabilities)[::-1][:k])[None].astype(np.float32)
    return TokenStats(top[:, 0], np.zeros(top.shape, np.int64), top)


def exact(probabilities: np.ndarray) -> float:
    return -sum(p * np.log(p) for p in probabilities.tolist() if p > 0)


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=40).filter(lambda weights: sum(weights) > 1e-3),
    st.integers(1, 40),
    st.floats(0.2, 8),
)
def test_the_estimate_never_overstates_and_falls_short_by_no_more_than_it_says(
    weights: list[float], k: int, sharpness: float
) -> None:
    p = np.array(weights) ** sharpness
    if p.sum() < 1e-9:
        return
    p /= p.sum()
    k = min(k, len(p))
    [estimate] = token_entropy(stats(p, k))
    top = np.sort(p)[::-1][:k]
    rest = max(1 - top.sum(), 0.0)
    least = min(rest, top[top > 0].min())
    gap = rest * np.log(len(p) * least / rest) if rest > 1e-6 else 0.0
    assert estimate <= exact(p) + 1e-4
    assert exact(p) - estimate <= gap + 1e-4


def test_by_hand() -> None:
    half = np.array([0.5, 0.25, 0.125, 0.125])
    assert token_entropy(stats(half, 4)) == pytest.approx([1.75 * np.log(2)])
    # The rest, 1/4, may be a single token, since the least likely known one has 1/4 too.
    assert token_entropy(stats(half, 2)) == pytest.approx([1.5 * np.log(2)])
    assert token_entropy(stats(np.array([1.0, 0.0]), 2)) == pytest.approx([0.0])
    assert token_entropy(stats(half, 4), top=1) == pytest.approx([np.log(2)])


@pytest.mark.parametrize("missing", [None, TokenStats(np.zeros(1, np.float32)), stats(np.array([0.5, 0.5]), 2)])
def test_without_the_most_likely_tokens_it_says_what_is_missing(missing: TokenStats | None) -> None:
    with pytest.raises(UsageError, match="logprobs=3"):
        token_entropy(missing, 3)
