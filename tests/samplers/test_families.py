"""The refining samplers with the prompts of real model families, and on the bundled model."""

from __future__ import annotations

import pytest

import widthwise as ww
from tests.samplers.talker import Talker, talk
from widthwise.core.strategy.composition import parse_strategy
from widthwise.models.formats import GENERIC, REASONER

STRATEGIES = [
    "parallel_distill_refine(drafts=(3, 2, 1))",
    "parallel_distill_refine(drafts=(4, 2), distill='top_k', k=2) | majority_vote()",
    "parallel_distill_refine(drafts=(4, 2), distill='top_k', k=2, by='mean_logprob') | majority_vote()",
    "parallel_distill_refine(drafts=(4, 2), distill='per_sample', k=2, free=1) | best_by(score='mean_logprob')",
    "sequential_refinement(rounds=3, chains=2, memory=2, keep='all') | majority_vote()",
    "recursive_self_aggregation(population=4, group=2, loops=2) | majority_vote()",
    "outlined(n=4, free=1, worker=best_of_n(n=2) | majority_vote()) | majority_vote()",
]


@pytest.mark.slow
@pytest.mark.parametrize("text", STRATEGIES)
async def test_the_bundled_model_is_asked_in_its_own_words(text: str) -> None:
    results = [await ww.solve_async("Use the numbers 12, 7, 3, 20 to reach 35.", text) for _ in range(2)]
    for result in results:
        assert result.errors == ()
        assert result.traces
        assert result.ledger.total == result.ledger.sampled + result.ledger.judging
        assert result.ledger.sequential < result.ledger.total
        assert result.ledger.sequential >= max(t.sequential for t in result.traces)
    assert [t.token_ids.tolist() for t in results[0].traces] == [t.token_ids.tolist() for t in results[1].traces]


@pytest.mark.parametrize(
    "text", [*STRATEGIES, "parallel_distill_refine(drafts=(4, 2), distill='top_k', k=2, by='self')"]
)
async def test_chat_models_are_asked_in_words(text: str) -> None:
    backend = Talker(lambda p, i: "[2, 1]" if "JSON" in p else "1. one way\n2. another" if "Propose" in p else "so = 2")
    session = talk(backend, format=GENERIC)
    result = await parse_strategy(text).run(session)
    assert result.answer == "2"
    assert all(prompt.startswith("1+1?") for prompt in backend.asked)
    assert all("{" not in prompt.replace("\\boxed{}", "") for prompt in backend.asked)


async def test_the_reasoner_has_no_question_for_the_best_numbers_and_says_which_it_has() -> None:
    session = talk(Talker(lambda p, i: "= 2"), format=REASONER)
    with pytest.raises(ww.UsageError, match=r"no prompt 'select'; it has: .*mixture, outline.*: --prompt select=FILE"):
        await ww.ParallelDistillRefine((4, 2), distill="top_k", k=2, by="self")(session)


async def test_what_stands_in_front_of_the_reasoners_solution_is_no_part_of_a_draft() -> None:
    backend = Talker(lambda p, i: "<Parallel>\n= 7</Parallel>\nso = 2")
    await ww.SequentialRefinement(rounds=2)(talk(backend, format=REASONER))
    assert backend.asked == ["1+1?", "1+1?<draft>so = 2<refine>"]
