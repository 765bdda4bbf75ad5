"""Voting, weighting and choosing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.core.scripted import Scripted, session
from widthwise import BestBy, FirstValid, MajorityVote, UsageError, WeightedVote
from widthwise.core.backend import TokenStats
from widthwise.core.problem import Problem
from widthwise.core.rewards.reward import StepScores
from widthwise.core.session.session import Session
from widthwise.core.trace.trace import Segment, Trace


@pytest.fixture
def s() -> Session:
    return session(Scripted([""]))


def trace(i: int, text: str, *, finish: Any = "stop", logprob: float | None = None, **metadata: Any) -> Trace:
    ids = np.arange(max(len(text), 1))
    stats = None if logprob is None else TokenStats(np.full(len(ids), logprob, np.float32))
    return Trace((0, i), Segment("sampled", ids, text, stats=stats, finish=finish, metadata=metadata))


async def test_equivalent_spellings_vote_together_and_silence_does_not_vote(s: Session) -> None:
    traces = [trace(0, "= 3"), trace(1, "= 2.0"), trace(2, "= 2"), trace(3, "?"), trace(4, "?"), trace(5, "?")]
    answer = await MajorityVote()(s, traces)
    assert (answer.text, answer.tied) == ("2.0", False)
    assert [(c.answer, c.weight) for c in answer.classes] == [("2.0", 2.0), ("3", 1.0)]
    assert answer.trace is traces[1]


async def test_pruned_aborted_and_failed_traces_have_no_vote(s: Session) -> None:
    cut = [trace(i, "= 9", finish=finish) for i, finish in enumerate(("pruned", "aborted", "error"))]
    answer = await MajorityVote()(s, [*cut, trace(3, "= 1", finish="length"), trace(4, "= 1", finish="budget")])
    assert answer.text == "1"
    assert len(answer.classes) == 1


async def test_no_parsed_answer_no_answer(s: Session) -> None:
    for aggregator in (MajorityVote(), WeightedVote(), BestBy(), FirstValid()):
        assert (await aggregator(s, [trace(0, "?"), trace(1, "")])).text is None
        assert (await aggregator(s, [])).text is None


async def test_ties_are_broken_as_asked_and_reported(s: Session) -> None:
    traces = [trace(0, "long = 1"), trace(1, "= 2"), trace(2, "longer = 1"), trace(3, "longish = 2")]
    first, shortest = await MajorityVote("first")(s, traces), await MajorityVote("shortest")(s, traces)
    assert (first.text, shortest.text) == ("1", "2")
    assert first.tied
    assert shortest.tied
    draws = set()
    for seed in range(20):
        drawn = session(Scripted([""]), seed=seed)
        one, again = await MajorityVote("random")(drawn, traces), await MajorityVote("random")(drawn, traces)
        assert one.text == again.text
        draws.add(one.text)
    assert draws == {"1", "2"}


async def test_weights_add_up_within_a_class(s: Session) -> None:
    traces = [trace(0, "= 1", reward=0.5), trace(1, "= 2", reward=0.4), trace(2, "= 2", reward=0.2), trace(3, "= 3")]
    answer = await WeightedVote("reward", weight="identity")(s, traces)
    assert answer.text == "2"
    assert [c.weight for c in answer.classes] == pytest.approx([0.6, 0.5])


async def test_log_probabilities_weigh_by_their_exponential(s: Session) -> None:
    traces = [trace(0, "= 1", logprob=-0.1), trace(1, "= 2", logprob=-0.9), trace(2, "= 2", logprob=-1.5)]
    answer = await WeightedVote()(s, traces)
    assert answer.text == "1"
    assert answer.classes[1].weight == pytest.approx(math.exp(-0.8) + math.exp(-1.4))
    assert (await WeightedVote(temperature=100)(s, traces)).text == "2"


async def test_a_whole_traces_likelihood_counts_every_token(s: Session) -> None:
    long, short = trace(0, "a long way = 1", logprob=-0.1), trace(1, "= 2", logprob=-0.3)
    assert (await BestBy("mean_logprob")(s, [long, short])).text == "1"
    assert (await BestBy("sum_logprob")(s, [long, short])).text == "2"
    answer = await WeightedVote("sum_logprob")(s, [long, short])
    assert [c.weight for c in answer.classes] == pytest.approx([1, math.exp(-1.4 + 0.9)])


async def test_huge_scores_do_not_overflow(s: Session) -> None:
    traces = [trace(0, "= 1", reward=5e3), trace(1, "= 2", reward=5.001e3)]
    assert (await WeightedVote("reward")(s, traces)).text == "2"


async def test_perplexities_weigh_inversely(s: Session) -> None:
    traces = [trace(0, "= 1", mean_ppl=1.25), trace(1, "= 2", mean_ppl=2.0)]
    answer = await WeightedVote("mean_ppl", weight="inverse")(s, traces)
    assert [c.weight for c in answer.classes] == pytest.approx([0.8, 0.5])


async def test_a_negative_weight_is_refused(s: Session) -> None:
    with pytest.raises(UsageError, match="gives no weight"):
        await WeightedVote("reward", weight="identity")(s, [trace(0, "= 1", reward=-1.0)])


async def test_best_by_takes_the_highest_that_states_an_answer(s: Session) -> None:
    traces = [trace(0, "= 1", reward=1.0), trace(1, "?", reward=9.0), trace(2, "= 3", reward=3.5), trace(3, "= 4")]
    answer = await BestBy("reward")(s, traces)
    assert (answer.text, answer.trace) == ("3", traces[2])
    lowest = await BestBy("-reward")(s, traces)
    assert lowest.text == "1"


async def test_an_unknown_score_names_the_known_ones(s: Session) -> None:
    with pytest.raises(UsageError, match=r"mean_logprob, sum_logprob, reward_model, .*, reward$"):
        await BestBy("rewrad")(s, [trace(0, "= 1", reward=1.0)])
    with pytest.raises(UsageError, match="no reward model"):
        await BestBy("reward_model")(s, [trace(0, "= 1")])


async def test_a_reward_model_scores_and_is_charged() -> None:
    class Lengths:
        name, kind = "lengths", "outcome"

        async def score(self, problem: Problem, solutions: Any) -> list[StepScores]:
            texts = [solution.text() for solution in solutions]
            scored = [StepScores((len(t) / 100,), tokens=len(t)) for t in texts[:-1]]
            return [*scored, StepScores(None, error="would not read it")]

    s = session(Scripted([""]), reward_model=Lengths())
    traces = [trace(0, "= 1"), trace(1, "longer = 2"), trace(2, "the very longest = 3")]
    answer = await BestBy("reward_model")(s, traces)
    assert answer.text == "2"
    assert s.ledger.scoring == 13


async def test_first_valid_passes_over_what_fails_the_check(s: Session) -> None:
    answer = await FirstValid()(s, [trace(0, "?"), trace(1, "= -1"), trace(2, "= 5"), trace(3, "= 6")])
    assert answer.text == "5"
