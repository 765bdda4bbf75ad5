"""Recursive self-aggregation: populations and groups."""

from __future__ import annotations

import re

import pytest

from tests.samplers.talker import Talker, talk
from widthwise import RecursiveSelfAggregation


async def test_every_member_is_written_from_a_random_group_of_the_population_before() -> None:
    def reply(prompt: str, index: int) -> str:
        return f"m{len(backend.asked)} = 2"

    backend = Talker(reply)
    session = talk(backend)
    population = await RecursiveSelfAggregation(population=6, group=3, loops=2)(session)
    assert len(population) == 6
    assert session.ledger.samples == 6 * 3
    loops = [set(), set(), set()]  # type: list[set[str]]
    for number, prompt in enumerate(backend.asked):
        loops[number // 6].add(prompt)
    assert loops[0] == {"1+1?"}
    for loop, members in ((1, range(1, 7)), (2, range(7, 13))):
        groups = [re.findall(r"m(\d+) =", prompt) for prompt in loops[loop]]
        assert len(groups) > 2
        assert all(len(set(group)) == 3 and {int(n) for n in group} <= set(members) for group in groups)


async def test_members_are_shown_whole_their_thinking_included() -> None:
    long = "<think>" + "x" * 9000 + "</think>so = 2"
    backend = Talker(lambda p, i: long)
    await RecursiveSelfAggregation(population=3, group=2, loops=1)(talk(backend))
    assert backend.begun("refine") == [f"refine 1+1? [1: {long}][2: {long}]"]
    trimmed = Talker(lambda p, i: long)
    small = RecursiveSelfAggregation(population=3, group=2, loops=1, workspace_tokens=20, show_thinking=False)
    await small(talk(trimmed))
    assert trimmed.begun("refine") == ["refine 1+1? [1: so = 2][2: so = 2]"]


async def test_the_paper_s_ten_steps_are_the_first_population_and_nine_loops() -> None:
    session = talk(lambda p, i: "= 1")
    await RecursiveSelfAggregation()(session)
    assert session.ledger.samples == 16 * 10


async def test_without_loops_it_is_best_of_n() -> None:
    backend = Talker(lambda p, i: "= 1")
    assert len(await RecursiveSelfAggregation(population=4, group=2, loops=0)(talk(backend))) == 4
    assert backend.asked == ["1+1?"] * 4


@pytest.mark.parametrize("arguments", [{"population": 0}, {"group": 17}, {"group": 0}, {"loops": -1}])
def test_impossible_arguments(arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        RecursiveSelfAggregation(**arguments)
