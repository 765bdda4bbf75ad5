"""Certaindex: probes of many traces end a draw, single traces, and those that get nowhere."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy

from tests.pruning.test_inside_thinking import CLOSED, LONG, Thinker, solved, texts_of
from widthwise import BestOfN, Certaindex, MajorityVote
from widthwise.pruning.certaindex import certaindex

FOUR = LONG.replace("2", "4")
BOTH = pytest.mark.parametrize("deterministic", [True, False])


@given(st.lists(st.one_of(st.none(), st.integers(0, 4)), min_size=2, max_size=30))
def test_the_index_is_one_minus_the_normalised_entropy(labels: list[int | None]) -> None:
    classes = Counter((label, i if label is None else 0) for i, label in enumerate(labels))
    expected = 1 - float(entropy(list(classes.values()), base=len(labels)))
    assert certaindex(labels) == pytest.approx(expected, abs=1e-9)
    assert -1e-9 <= certaindex(labels) <= 1 + 1e-9


def test_one_answer_is_no_agreement() -> None:
    assert certaindex([]) == certaindex([1]) == 0.0
    assert certaindex([1, 1]) == 1.0


@BOTH
async def test_traces_that_agree_state_their_answers_and_what_waited_does_not_begin(deterministic: bool) -> None:
    rule = Certaindex(every=16, stable=None, least=4)
    backend = Thinker([LONG], deterministic=deterministic)
    result = await solved(BestOfN(12, width=4) | rule | MajorityVote(), backend)
    # At 16 tokens all four say 2 and are asked; the first that has said so ends the draw, and eight do not begin.
    assert result.answer == "2"
    begun = texts_of(result)
    assert len(begun) == 4
    assert any(text.endswith(CLOSED + "Now = 2\0") and len(text) < len(LONG) for text in begun)
    if deterministic:
        assert begun[0] == LONG[:16] + CLOSED + "Now = 2\0"
        assert result.ledger.judging == 4 * 3
    ended = [t.segment.reason for t in result.traces if t.finish == "pruned"]
    assert all(str(reason).startswith("certain: certaindex 1.00 over") for reason in ended)


async def test_traces_that_differ_go_on() -> None:
    rule = Certaindex(every=16, stable=None)
    result = await solved(BestOfN(4) | rule | MajorityVote(), Thinker([LONG, FOUR]))
    assert texts_of(result) == [LONG + "\0", FOUR + "\0"] * 2


async def test_one_dissenter_of_many_does_not_keep_a_draw_open_but_one_of_four_does() -> None:
    for count, finished_early in ((4, False), (16, True)):
        rule = Certaindex(every=16, stable=None)
        result = await solved(BestOfN(count) | rule | MajorityVote(), Thinker([FOUR, *[LONG] * (count - 1)]))
        assert (result.ledger.sampled < count * 30) == finished_early
        assert result.answer == "2"


async def test_a_single_trace_may_be_certain_by_itself() -> None:
    rule = Certaindex(every=8, stable=3, least=4)
    result = await solved(BestOfN(2) | rule | MajorityVote(), Thinker([LONG, FOUR]))
    first, second = texts_of(result)
    assert first == LONG[:32] + CLOSED + "Now = 2\0"
    assert second == FOUR[:32] + CLOSED + "Now = 4\0"


async def test_what_gets_nowhere_is_pruned_but_never_everything() -> None:
    lost = "<think>" + "".join(f"maybe {i} " for i in range(1, 10)) * 2 + "</think>= 9"
    rule = Certaindex(every=16, stable=None, hopeless=3)
    result = await solved(BestOfN(3) | rule | MajorityVote(), Thinker([lost, lost, LONG]))
    assert [t.finish for t in result.traces] == ["pruned", "pruned", "stop"]
    assert result.traces[0].segment.reason == "hopeless: its last 3 probes hold no two equal answers"
    alone = await solved(BestOfN(2) | rule | MajorityVote(), Thinker([lost]))
    assert [t.finish for t in alone.traces] == ["stop", "pruned"]


async def test_at_its_defaults_nothing_is_hopeless() -> None:
    lost = "<think>" + "".join(f"maybe {i} " for i in range(1, 10)) * 4 + "</think>= 9"
    result = await solved(BestOfN(2) | Certaindex(every=8) | MajorityVote(), Thinker([lost, LONG]))
    assert result.traces[0].completion == lost + "\0"


async def test_a_trace_that_was_asked_is_asked_once() -> None:
    """A model that does not think apart goes on with what it was asked, however long that is."""
    backend = Thinker(["maybe 2 " * 20 + "= 2"])
    backend._reply = lambda prompt, index: _slow(prompt)
    result = await solved(BestOfN(4) | Certaindex(every=8, max_tokens=3) | MajorityVote(), backend, thinking=None)
    assert all(text.count("Now =") == 1 for text in texts_of(result))


def _slow(prompt: str) -> str:
    written = prompt.partition("\n")[2]
    if written.endswith("Now ="):
        return " 2" + " well" * 20
    script = "maybe 2 " * 20 + "= 2"
    return script[len(written) :]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"threshold": 0.0}, "threshold"),
        ({"every": 0}, "at least 1"),
        ({"hopeless": 1}, "alone"),
        ({"least": 1}, "alone"),
    ],
)
def test_wrong_arguments(wrong: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Certaindex(**wrong)  # type: ignore[arg-type]
