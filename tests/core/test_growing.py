"""Sequences that grow token by token: views stay as they were, and text is as if decoded all at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from widthwise.backends.tokenizers.sentencepiece import SentencePieceTokenizer
from widthwise.core.backend import TokenStats
from widthwise.core.trace.growing import Rows, Spelling, Stats
from widthwise.opening import bundled_models

REASONER = SentencePieceTokenizer.from_folder(bundled_models()["reasoner"])


class Bytes:
    """One token per byte."""

    def decode(self, ids: Any) -> str:
        return bytes(int(i) for i in ids).decode(errors="replace")


@given(st.lists(st.integers(0, 5), max_size=30))
def test_rows_grow_and_old_views_stay(sizes: list[int]) -> None:
    rows, views, count = Rows(), [], 0
    for size in sizes:
        rows.extend(np.arange(count, count + size))
        count += size
        views.append((count, rows.view))
    assert all(view.tolist() == list(range(n)) for n, view in views)


@given(st.text(max_size=30), st.lists(st.integers(0, 6), max_size=20))
def test_a_growing_text_is_the_decoded_text(text: str, cuts: list[int]) -> None:
    for ids, decode in (
        (list(text.encode("utf-8", "ignore")), Bytes().decode),
        (REASONER.encode(text), REASONER.decode),
    ):
        spelling = Spelling(decode)
        for end in [*np.cumsum(cuts).tolist(), len(ids)]:
            seen = np.array(ids[:end], np.int64)
            assert spelling.of(seen) == decode(seen)
        if not cuts:
            assert spelling.of(np.array(ids, np.int64)) == decode(ids)


def test_a_long_text_is_not_decoded_again_and_again() -> None:
    decoded = 0

    def decode(ids: Any) -> str:
        nonlocal decoded
        decoded += len(ids)
        return "".join(chr(i) for i in ids)

    spelling, ids = Spelling(decode), np.full(10_000, ord("x"))
    for end in range(10, 10_001, 10):
        assert len(spelling.of(ids[:end])) == end
    assert decoded < 5 * len(ids)


def test_statistics_are_known_while_every_token_brought_some() -> None:
    def part(n: int, tops: bool) -> TokenStats:
        top = np.zeros((n, 2))
        return TokenStats(np.zeros(n, np.float32), top.astype(np.int64) if tops else None, top if tops else None)

    stats = Stats()
    assert stats.view is None
    stats.extend(part(3, tops=True))
    first = stats.view
    assert first is not None
    assert first.top_logprobs is not None
    stats.extend(part(2, tops=False))
    second = stats.view
    assert second is not None
    assert (len(second.logprobs), second.top_ids, second.top_logprobs) == (5, None, None)
    stats.extend(None)
    assert stats.view is None
    assert len(first.logprobs) == len(first.top_logprobs) == 3
