"""Confidence measures: checked by hand and against a plain loop over the definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widthwise.core.backend import TokenStats
from widthwise.core.errors import UsageError
from widthwise.core.scores.confidence import (
    ConfidenceBasis,
    SlidingConfidence,
    bottom_percent,
    group_confidence,
    lowest_group,
    mean,
    tail,
    token_confidence,
)

SIX = np.array([1.0, 2.0, 6.0, 4.0, 0.0, 8.0])


def stats(*rows: list[float]) -> TokenStats:
    top = np.array(rows, np.float32)
    return TokenStats(top[:, 0], np.zeros(top.shape, np.int64), top)


def test_a_token_is_as_sure_as_its_other_candidates_are_unlikely() -> None:
    peaked, flat = token_confidence(stats([-0.25, -7.75, -10.0], [-1.0, -1.25, -1.5]))
    assert (peaked, flat) == (6.0, 1.25)


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        ("top", [3.0, 3.0]),  # (1 + 3 + 5) / 3
        ("top_and_sampled", [3.0, 4.0]),  # the second sampled a token outside the top, at -7: (1 + 3 + 5 + 7) / 4
        ("top_but_sampled", [3.0, 3.0]),  # the first sampled the token at -3: (1 + 5) / 2
        ("sampled", [np.exp(-3.0), np.exp(-7.0)]),
    ],
)
def test_what_becomes_of_the_sampled_token(of: ConfidenceBasis, expected: list[float]) -> None:
    drawn = TokenStats(np.array([-3.0, -7.0], np.float32), None, np.array([[-1.0, -3.0, -5.0]] * 2, np.float32))
    assert token_confidence(drawn, of=of) == pytest.approx(expected)


def test_the_sampled_token_needs_no_others() -> None:
    assert token_confidence(TokenStats(np.zeros(2, np.float32)), of="sampled").tolist() == [1.0, 1.0]
    with pytest.raises(UsageError, match="logprobs=0"):
        token_confidence(None, of="sampled")


def test_candidates_that_a_filter_ruled_out_are_left_out() -> None:
    assert token_confidence(stats([-1.0, -3.0, -np.inf], [-1.0, -2.0, -3.0])).tolist() == [2.0, 2.0]
    assert token_confidence(stats([-np.inf, -np.inf])).tolist() == [0.0]


@pytest.mark.parametrize("missing", [None, TokenStats(np.zeros(2, np.float32))])
def test_without_the_most_likely_tokens_it_says_what_is_missing(missing: TokenStats | None) -> None:
    with pytest.raises(UsageError, match="logprobs=20"):
        token_confidence(missing)


def test_windows_by_hand() -> None:
    assert group_confidence(SIX, 2).tolist() == [1.5, 4.0, 5.0, 2.0, 4.0]
    assert lowest_group(SIX, 2) == 1.5
    assert bottom_percent(SIX, 2, 40) == (1.5 + 2.0) / 2
    assert bottom_percent(SIX, 2, 10) == 1.5  # at least one window
    assert tail(SIX, 2) == 4.0
    assert mean(SIX) == tail(SIX, 100) == 3.5


def test_a_trace_shorter_than_the_window_is_one_window() -> None:
    assert group_confidence(SIX, 7).tolist() == [3.5]
    assert lowest_group(SIX, 7) == bottom_percent(SIX, 7) == 3.5


def test_no_tokens_have_no_confidence() -> None:
    empty = np.zeros(0)
    assert np.isnan([mean(empty), tail(empty), lowest_group(empty), bottom_percent(empty)]).all()
    assert np.isnan(SlidingConfidence(3).score)


@given(
    st.lists(st.floats(0, 40, width=32), max_size=60),
    st.integers(1, 20),
    st.lists(st.integers(0, 30), max_size=20),
)
def test_a_growing_trace_has_the_same_confidence_to_the_bit(values: list[float], window: int, cuts: list[int]) -> None:
    confidence = np.array(values, np.float64)
    sliding, begin = SlidingConfidence(window), 0
    for end in [*np.cumsum(cuts).tolist(), len(values)]:
        sliding.take(confidence[begin:end])
        begin = max(begin, min(end, len(values)))
    assert sliding.tokens == len(values)
    if values:
        assert sliding.score == lowest_group(confidence, window)
        by_definition = [confidence[i : i + window].mean() for i in range(max(len(values) - window + 1, 1))]
        assert group_confidence(confidence, window) == pytest.approx(by_definition, abs=1e-9)
        assert sliding.lowest == (np.inf if len(values) < window else sliding.score)
