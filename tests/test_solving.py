"""The shortest way in from Python."""

from __future__ import annotations

import asyncio

import pytest

import widthwise as ww
from widthwise.opening import open_backend

QUESTION = "Compute (17 + 5) * 3 - 48."


def test_the_readmes_lines() -> None:
    strategy = ww.BestOfN(64) | ww.StopWhenDecided() | ww.MajorityVote()
    result = ww.solve(QUESTION, strategy, model="reasoner")
    assert result.answer == "18"
    assert result.ledger.sampled == sum(trace.tokens for trace in result.traces)
    assert result.traces[0].completion.startswith("17 + 5 = 22")


def test_a_strategy_may_be_text_or_a_function_of_ones_own() -> None:
    async def doubling(session: ww.Session) -> ww.Answer:
        traces: list[ww.Trace] = []
        while len(traces) < 64:
            traces += await session.sample(session.root, max(4, len(traces)))
            classes = await session.classes(traces)
            if classes and max(len(c.traces) for c in classes) >= 2 / 3 * len(traces):
                break
        return ww.elect(classes)

    by_text = ww.solve(QUESTION, "best_of_n(n=4) | majority_vote()")
    by_function = ww.solve(QUESTION, doubling)
    assert by_text.answer == by_function.answer == "18"
    assert len(by_function.traces) in (4, 8, 16, 32, 64)


async def test_it_works_where_an_event_loop_is_running_already() -> None:
    waited, awaited = ww.solve(QUESTION, ww.Single()), await ww.solve_async(QUESTION, ww.Single())
    assert waited.answer == awaited.answer
    assert waited.traces[0].token_ids.tolist() == awaited.traces[0].token_ids.tolist()


def test_a_budget_and_sampling_parameters_reach_the_model() -> None:
    short = ww.solve(QUESTION, ww.BestOfN(4), budget=ww.Budget(tokens=20), temperature=0.5)
    assert 20 <= short.ledger.sampled < 24
    assert {trace.finish for trace in short.traces} == {"budget"}


def test_the_same_seed_gives_the_same_traces_and_another_does_not() -> None:
    def texts(seed: int) -> list[str]:
        result = ww.solve("Use the numbers 12, 7, 3, 20 to reach 35.", ww.BestOfN(8), seed=seed)
        return [trace.completion for trace in result.traces]

    assert texts(1) == texts(1) != texts(2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"model": "resoner"}, "did you mean 'reasoner'"),
        ({"strategy": "best_of(n=4)"}, "unknown part"),
        ({"strategy": ww.MajorityVote()}, "begin with a sampler"),
        ({"backend_args": {"max_seqs": 1}}, "max_num_seqs"),
        ({"temprature": 1.0}, "temprature"),
    ],
)
def test_wrong_arguments_are_one_sentence(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ww.UsageError, match=words):
        ww.solve(QUESTION, **arguments)  # type: ignore[arg-type]


def test_a_model_that_answers_nothing_is_an_error() -> None:
    """It was an answer of None, as if the model had found none."""
    backend = asyncio.run(open_backend("reasoner"))
    asyncio.run(backend.close())
    with pytest.raises(ww.BackendError, match=r"no sample could be had: embedded:.*reasoner was closed; open it again"):
        ww.solve(QUESTION, ww.BestOfN(2) | ww.MajorityVote(), backend)
