"""Sequential refinement: chains of attempts, and its equivalence to a case of parallel-distill-refine."""

from __future__ import annotations

import re

import pytest

import widthwise as ww
from tests.samplers.talker import Talker, talk
from widthwise import ParallelDistillRefine, SequentialRefinement

COUNTDOWN = "Use the numbers 12, 7, 3, 20 to reach 35."


def counting(prompt: str, index: int) -> str:
    """The first attempts are ``c0 = 1``; later ones repeat the chain's name and increment its number."""
    drafts = re.findall(r"\[\d+: (c\d) = (\d)", prompt)
    return f"{drafts[-1][0]} = {int(drafts[-1][1]) + 1}" if drafts else f"c{index} = 1"


async def test_one_chain_is_parallel_distill_refine_with_one_draft_a_round() -> None:
    chain = await ww.solve_async(COUNTDOWN, SequentialRefinement(rounds=3, keep="all"))
    rounds = await ww.solve_async(COUNTDOWN, ParallelDistillRefine(1, rounds=3, distill="random_k", k=1))
    assert [t.token_ids.tolist() for t in chain.traces] == [t.token_ids.tolist() for t in rounds.traces]
    assert len(chain.traces) == 3
    assert chain.ledger.sequential == chain.ledger.sampled == rounds.ledger.sampled


async def test_chains_do_not_see_each_other_and_remember_so_many_attempts() -> None:
    backend = Talker(counting)
    session = talk(backend)
    attempts = await SequentialRefinement(rounds=4, chains=3, memory=2, keep="all")(session)
    assert [t.completion for t in attempts] == [f"c{c} = {n}\0" for c in range(3) for n in range(1, 5)]
    assert "refine 1+1? [1: c1 = 2][2: c1 = 3]" in backend.asked
    assert session.ledger.sequential == 4 * len("c0 = 1\0")


async def test_the_last_of_each_chain_unless_none_of_them_answers() -> None:
    last = await SequentialRefinement(rounds=2, chains=2)(talk(counting))
    assert [t.completion for t in last] == ["c0 = 2\0", "c1 = 2\0"]
    silent = await SequentialRefinement(rounds=2)(talk(lambda p, i: "hm" if "refine" in p else "= 1"))
    assert [t.completion for t in silent] == ["= 1\0", "hm\0"]


@pytest.mark.parametrize("arguments", [{"rounds": 0}, {"chains": 0}, {"memory": 0}, {"keep": "some"}])
def test_impossible_arguments(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"must be"):
        SequentialRefinement(**arguments)  # type: ignore[arg-type]
