"""Outline-guided exploration: one pass of outlines, a solution for each, always the requested number."""

from __future__ import annotations

import pytest

from tests.samplers.talker import Talker, talk
from widthwise import Budget, MajorityVote, Outlined


def under(outlines: str) -> Talker:
    return Talker(lambda p, i: outlines if p.startswith("outlines") else "work = 2")


async def test_a_solution_under_each_outline_and_the_rest_free() -> None:
    backend = under("1. add\n2) count up\n3: add\nnot this\n4. guess")
    session = talk(backend)
    traces = await Outlined(6, free=1)(session)
    assert backend.asked[0] == "outlines 5 1+1?"
    assert backend.begun("outline ") == [f"outline {o} 1+1?" for o in ("add", "count up", "guess")]
    assert backend.asked.count("1+1?") == 3
    assert len(traces) == 6
    proposal = session.ledger.judging
    assert session.ledger.sequential == proposal + len("work = 2\0")
    assert {t.sequential for t in traces} == {proposal + 9}  # free ones start with the others


@pytest.mark.parametrize("said", ["", "no idea", "<Outline></Outline>", "1. \n2. "])
async def test_without_outlines_it_is_best_of_n(said: str) -> None:
    backend = under(said)
    assert len(await Outlined(3)(talk(backend))) == 3
    assert backend.asked.count("1+1?") == 3


async def test_more_outlines_than_asked_for_are_left() -> None:
    backend = under("\n".join(f"<Outline>{n}: way {n}</Outline>" for n in range(1, 9)))
    await Outlined(2)(talk(backend))
    assert backend.begun("outline ") == ["outline way 1 1+1?", "outline way 2 1+1?"]


async def test_a_budget_that_ends_in_the_outlines_leaves_no_answer() -> None:
    session = talk(under("1. = 5\n2. = 6"), budget=Budget(tokens=12))
    result = await (Outlined(2) | MajorityVote()).run(session)
    assert (result.answer, result.traces) == (None, ())


@pytest.mark.parametrize("arguments", [{"n": 0}, {"n": 2, "free": 2}, {"free": -1}])
def test_impossible_arguments(arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="free below n"):
        Outlined(**arguments)
