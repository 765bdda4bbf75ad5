"""short-m@k, and the guards against loops and length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.scripted import Scripted, session
from widthwise import BestOfN, MajorityVote, Repetition, Short, TooLong
from widthwise.core.strategy.part import Part
from widthwise.core.strategy.result import Result


async def drawn(texts: Sequence[str], *pruners: Part, tie: str = "first", **of_n: int) -> Result:
    s = session(Scripted(texts), pruners=pruners)  # type: ignore[arg-type]
    return await (BestOfN(len(texts), **of_n) | MajorityVote(tie=tie)).run(s)  # type: ignore[arg-type]


# -- short-m@k -----------------------------------------------------------------------------------------------

LENGTHS = [90, 20, 70, 40, 60, 50]
TEXTS = [f"{'x' * (length - 4)}= {i % 3}" for i, length in enumerate(LENGTHS)]


async def test_the_m_shortest_vote_and_the_others_get_as_far_as_the_longest_of_them() -> None:
    result = await drawn(TEXTS, Short(m=3, every=1))
    assert [t.finish for t in result.traces] == ["pruned", "stop", "pruned", "stop", "pruned", "stop"]
    assert result.ledger.sampled == sum(min(length, 50) for length in LENGTHS)
    assert {t.id[-1] for c in result.election.classes for t in c.traces} == {1, 3, 5}


@pytest.mark.parametrize("width", [1, 2, 3, 6])
@pytest.mark.parametrize("every", [1, 16])
async def test_the_voters_are_the_same_one_after_another(width: int, every: int) -> None:
    result = await drawn(TEXTS, Short(m=2, every=every), width=width)
    assert {t.id[-1] for c in result.election.classes for t in c.traces} == {1, 3}


async def test_a_trace_that_was_cut_never_counts_as_finished() -> None:
    result = await drawn(["= 2 " + "x" * 900, "x" * 10 + "= 1"], Short(m=1), max_tokens=16, width=1)
    assert [t.finish for t in result.traces] == ["length", "stop"]
    assert result.answer == "1"


async def test_ties_go_to_the_shortest_with_the_tie_rule_of_the_paper() -> None:
    texts = ["x" * 30 + "= 1", "= 2", "x" * 900]
    assert (await drawn(texts, Short(m=2), tie="shortest")).answer == "2"


THOUGHT = [
    "x" * 30 + "</think>" + "y" * 200 + "= 1",
    "x" * 80 + "</think>= 2",
    "x" * 40 + "</think>" + "y" * 150 + "= 1",
    "x" * 60 + "</think>= 2",
]
"""They think for 38, 88, 48 and 68 tokens; as whole texts, the second and the fourth are the shortest."""


@pytest.mark.parametrize("width", [1, 2, 4])
async def test_what_counts_is_the_thinking_and_not_the_answer_behind_it(width: int) -> None:
    result = await drawn(THOUGHT, Short(m=2, every=1), width=width)
    assert result.answer == "1"
    assert {t.id[-1] for c in result.election.classes for t in c.traces} == {0, 2}
    if width == 4:
        # As in the paper: all others have thought for as long as the second trace to close its thinking.
        assert [t.tokens for t in result.traces] == [len(THOUGHT[0]) + 1, 48, len(THOUGHT[2]) + 1, 48]


async def test_ties_go_to_the_shortest_thinking() -> None:
    texts = ["x" * 30 + "</think>" + "y" * 90 + "= 1", "x" * 60 + "</think>= 2"]
    assert (await drawn(texts, Short(m=2), tie="shortest")).answer == "1"


async def test_the_worked_example_of_the_paper() -> None:
    """Thinking lengths L of k traces in lockstep: sum_i min(L_i, L_(m)) tokens of thinking; the m shortest vote."""
    rng = np.random.default_rng(4)
    for m in (1, 3):
        lengths = rng.permutation(np.arange(10, 130, 12)).tolist()
        texts = ["x" * (n - len("</think>")) + "</think>" + f"= {i % 4}" for i, n in enumerate(lengths)]
        result = await drawn(texts, Short(m=m, every=1))
        last = sorted(lengths)[m - 1]
        thinking = sum(min(t.tokens, n) for t, n in zip(result.traces, lengths, strict=True))
        assert thinking == sum(min(n, last) for n in lengths)
        voters = {t.id[-1] for c in result.election.classes for t in c.traces}
        assert voters == {i for i, n in enumerate(lengths) if n <= last}


# -- loops ---------------------------------------------------------------------------------------------------


def of(text: str) -> np.ndarray:
    return np.array([ord(c) for c in text], np.int64)


@pytest.mark.parametrize(
    ("text", "period"),
    [
        ("abc" * 4, 3),
        ("so " + "wait, " * 4, 6),
        ("abc" * 3, None),  # three times
        ("ab" * 4, None),  # too few tokens
        ("ab" * 6, 2),
        ("0" * 12, 1),
        ("abc" * 4 + "d", None),
        ("abcabcabcabd", None),
        ("", None),
        ("a", None),
    ],
)
def test_a_circle_at_the_end_is_found(text: str, period: int | None) -> None:
    assert Repetition(times=4, tokens=12).period(of(text)) == period


def test_circles_longer_than_the_longest_are_not_looked_for() -> None:
    assert Repetition(times=2, tokens=2, longest=5).period(of("abcdef" * 4)) is None
    assert Repetition(times=2, tokens=2, longest=6).period(of("abcdef" * 4)) == 6


@given(st.lists(st.integers(0, 2), max_size=40), st.integers(2, 4), st.integers(1, 12))
def test_it_agrees_with_the_definition(ids: list[int], times: int, tokens: int) -> None:
    def circles(p: int) -> bool:
        span = max(times * p, tokens)
        return span <= len(ids) and all(ids[-i] == ids[-i - p] for i in range(1, span - p + 1))

    found = Repetition(times=times, tokens=tokens, longest=8).period(np.array(ids, np.int64))
    assert found == next((p for p in range(1, 9) if circles(p)), None)


async def test_a_looping_trace_is_stopped_with_the_reason() -> None:
    result = await drawn(["= 1", "but wait, " * 400], Repetition())
    assert result.traces[1].finish == "pruned"
    assert result.traces[1].segment.reason == "repeats itself every 10 tokens"
    assert result.traces[1].tokens <= 96


# -- length --------------------------------------------------------------------------------------------------


async def test_a_trace_much_longer_than_the_others_is_stopped() -> None:
    texts = ["x" * 16 + "= 1", "x" * 18 + "= 1", "x" * 20 + "= 2", "y" * 300 + "= 2"]
    result = await drawn(texts, TooLong(factor=2.0, least=3, every=1))
    assert [t.finish for t in result.traces] == ["stop", "stop", "stop", "pruned"]
    assert result.traces[3].tokens == 2 * 22  # the median is 18 + 3 characters and the end token
    assert (await drawn(texts, TooLong(factor=2.0, least=4))).traces[3].finish == "stop"


async def test_a_fixed_limit_holds_from_the_beginning() -> None:
    result = await drawn(["y" * 300, "= 1"], TooLong(tokens=50, every=10))
    assert result.traces[0].tokens == 50
    assert result.answer == "1"


@pytest.mark.parametrize("wrong", [lambda: Short(m=0), lambda: Repetition(times=1), lambda: TooLong(factor=0)])
def test_impossible_arguments_are_refused(wrong) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="must be"):
        wrong()
