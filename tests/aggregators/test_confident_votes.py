"""Votes weighted by the model's confidence: self-certainty with Borda, DeepConf's filters."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.aggregators.judges import certain, trace
from tests.core.scripted import Scripted, session
from widthwise import BestBy, BordaVote, MajorityVote, UsageError, WeightedVote
from widthwise.core.scores.trace_score import trace_scores
from widthwise.core.session.session import Session
from widthwise.core.trace.trace import Trace


@pytest.fixture
def s() -> Session:
    return session(Scripted([""]))


def ranked(*answers: str) -> list[Trace]:
    """Traces that state these answers, the most confident first."""
    return [trace(i, f"= {a}" if a else "?", tops=certain(20.0 - i)) for i, a in enumerate(answers)]


async def test_borda_by_hand(s: Session) -> None:
    """N = 4, p = 0.5: ranks 1..4 give 2, 1.732, 1.414, 1; the best is 1, so "2" has (1.414 + 1.732) / 2."""
    traces = ranked("1", "2", "2", "1")
    answer = await BordaVote(p=0.5)(s, [traces[3], traces[1], traces[2], traces[0]])
    assert {c.answer: c.weight for c in answer.classes} == pytest.approx(
        {"2": (math.sqrt(3) + math.sqrt(2)) / 2, "1": (2 + 1) / 2}
    )
    assert answer.text == "2"


async def test_the_power_leads_from_the_majority_to_the_best_trace(s: Session) -> None:
    traces = ranked("1", "2", "2", "3")
    assert (await BordaVote(p=0)(s, traces)).classes == (await MajorityVote()(s, traces)).classes
    assert (await BordaVote(p=0)(s, traces)).text == "2"
    assert (await BordaVote(p=1)(s, traces)).text == "2"  # 3 + 2 against 4
    assert (await BordaVote(p=5)(s, traces)).text == "1"  # 243 + 32 against 1024
    assert (await BordaVote(p=1e6)(s, traces)).text == "1"


async def test_who_states_no_answer_has_a_rank_but_no_votes_and_who_was_stopped_has_neither(s: Session) -> None:
    with_silent = await BordaVote(p=1)(s, ranked("", "1", "2"))
    assert {c.answer: c.weight for c in with_silent.classes} == pytest.approx({"1": 2 / 3, "2": 1 / 3})
    stopped = trace(9, "= 7", finish="pruned", tops=certain(50.0))
    assert {c.answer: c.weight for c in (await BordaVote(p=1)(s, [stopped, *ranked("1", "2")])).classes} == {
        "1": 1.0,
        "2": 0.5,
    }


async def test_any_score_can_rank(s: Session) -> None:
    traces = [trace(0, "= 1", reward=0.1), trace(1, "= 2", reward=0.9), trace(2, "= 3")]
    answer = await BordaVote(by="reward", p=1)(s, traces)
    assert [(c.answer, c.weight) for c in answer.classes] == [("2", 1.0), ("1", 0.5)]
    assert (await BordaVote()(s, [])).text is None


async def test_traces_without_alternatives_say_how_to_get_them(s: Session) -> None:
    for by in ("self_certainty", "lowest_group_confidence"):
        with pytest.raises(UsageError, match="logprobs=20"):
            await BordaVote(by=by)(s, [trace(0, "= 1"), trace(1, "= 2")])
    with pytest.raises(ValueError, match="at least 0"):
        BordaVote(p=-1)


async def test_self_certainty_is_the_divergence_from_uniform_where_the_whole_vocabulary_is_known(s: Session) -> None:
    p = np.array([[0.7, 0.2, 0.1], [1 / 3, 1 / 3, 1 / 3]])
    divergence = (np.log(1 / 3) - np.log(p)).mean(axis=1)  # KL(U || p) of each token
    (score,) = await trace_scores(s, [trace(0, "ab", tops=np.log(p))], "self_certainty")
    assert score == pytest.approx(divergence.mean(), abs=1e-6)
    assert divergence[1] == pytest.approx(0)


@settings(deadline=None)
@given(st.lists(st.lists(st.floats(1e-6, 1), min_size=5, max_size=5), min_size=1, max_size=6), st.integers(1, 5))
async def test_self_certainty_of_the_most_likely_is_never_negative(weights: list[list[float]], k: int) -> None:
    p = -np.sort(-np.array(weights) / np.sum(weights, axis=1, keepdims=True), axis=1)[:, :k]
    (score,) = await trace_scores(session(Scripted([""])), [trace(0, "x", tops=np.log(p))], "self_certainty")
    assert score is not None
    assert score >= -1e-6


async def test_with_few_alternatives_it_ranks_as_mean_confidence_does(s: Session) -> None:
    rng = np.random.default_rng(1)
    traces = [trace(i, "xyz", tops=-np.sort(rng.exponential(5, (3, 20)))) for i in range(8)]
    certainty = await trace_scores(s, traces, "self_certainty")
    confidence = await trace_scores(s, traces, "mean_confidence")
    assert np.argsort(np.array(certainty, float)).tolist() == np.argsort(np.array(confidence, float)).tolist()


async def test_what_a_strategy_inserted_does_not_count(s: Session) -> None:
    tops = np.full((4, 2), np.nan)
    tops[1:3] = -np.log(4)
    assert await trace_scores(s, [trace(0, "abcd", tops=tops)], "self_certainty") == pytest.approx([math.log(2)])
    assert await trace_scores(s, [trace(0, "ab", tops=np.full((2, 2), np.nan)), trace(1, "ab", tops=[[-1, -2]] * 2)],
                              "mean_confidence") == [None, pytest.approx(1.5)]  # fmt: skip


# -- filters -------------------------------------------------------------------------------------------------------


async def test_only_the_most_confident_share_votes(s: Session) -> None:
    """Scores 1..10: the 90th percentile is 9.1 (linear), so eta = 10 % keeps one trace and eta = 50 % keeps five."""
    traces = [trace(i, "= 1" if i < 8 else "= 2", reward=float(i + 1)) for i in range(10)]
    strict = await WeightedVote("reward", weight="identity", top=0.1)(s, traces)
    assert [(c.answer, c.weight) for c in strict.classes] == [("2", 10.0)]
    half = await WeightedVote("reward", weight="identity", top=0.5)(s, traces)
    assert {c.answer: c.weight for c in half.classes} == {"1": 6 + 7 + 8.0, "2": 9 + 10.0}
    counted = await WeightedVote("reward", weight="equal", top=0.5)(s, traces)
    assert {c.answer: c.weight for c in counted.classes} == {"1": 3.0, "2": 2.0}
    everybody = await WeightedVote("reward", weight="identity")(s, traces)
    assert sum(c.weight for c in everybody.classes) == 55


async def test_the_threshold_is_taken_among_those_who_state_an_answer(s: Session) -> None:
    traces = [trace(0, "= 1", reward=1.0), trace(1, "= 2", reward=2.0), trace(2, "?", reward=9.0)]
    answer = await WeightedVote("reward", weight="identity", top=0.5)(s, traces)
    assert [(c.answer, c.weight) for c in answer.classes] == [("2", 2.0)]


async def test_the_lowest_window_decides(s: Session) -> None:
    """Both traces have the same mean confidence; one has a weak stretch."""
    steady, shaky = [[-5.0] * 20] * 5_000, [[-7.0] * 20] * 2_500 + [[-3.0] * 20] * 2_500
    traces = [trace(0, "= 1", tops=shaky), trace(1, "= 2", tops=steady)]
    vote = WeightedVote("lowest_group_confidence", weight="identity", top=0.5)
    answer = await vote(s, traces)
    assert [(c.answer, round(c.weight, 6)) for c in answer.classes] == [("2", 5.0)]
    assert await trace_scores(s, traces, "lowest_group_confidence") == pytest.approx([3.0, 5.0])
    assert await trace_scores(s, traces, "tail_confidence") == pytest.approx([3.0, 5.0])
    assert await trace_scores(s, traces, "mean_confidence") == pytest.approx([5.0, 5.0])
    assert await trace_scores(s, traces, "bottom_confidence") == pytest.approx([3.0, 5.0])


async def test_windows_are_arguments_of_the_score(s: Session) -> None:
    """Six tokens with confidences 1 2 6 4 0 8: windows of two have means 1.5 4 5 2 4."""
    six = [trace(0, "= 1", tops=[[-c] * 20 for c in (1.0, 2.0, 6.0, 4.0, 0.0, 8.0)])]
    for source, expected in {
        "lowest_group_confidence(window=2)": 1.5,
        "lowest_group_confidence": 3.5,
        "tail_confidence(window=2)": 4.0,
        "bottom_confidence(window=2, percent=40)": (1.5 + 2.0) / 2,
        "mean_confidence(k=3)": 3.5,
        "mean_confidence(confidence='sampled')": (np.exp([-1.0, -2, -6, -4, 0, -8])).mean(),
    }.items():
        assert await trace_scores(s, six, source) == pytest.approx([expected]), source


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("lowest_group_confidence(windw=2)", "no argument 'windw'"),
        ("tail_confidence(window=0)", "above 0"),
        ("tail_confidence(window=2.5)", "whole number"),
        ("bottom_confidence(percent=101)", "at most 100"),
        ("mean_confidence(confidence='most')", "must be one of top"),
        ("mean_confidence(5)", "cannot read the argument '5'"),
    ],
)
async def test_wrong_arguments_of_a_score_are_named_when_the_part_is_made(source: str, words: str) -> None:
    for make in (WeightedVote, BordaVote, BestBy):
        with pytest.raises(UsageError, match=words):
            make(source)


def test_a_score_says_how_many_log_probabilities_it_needs() -> None:
    assert BestBy("lowest_group_confidence(window=64)").logprobs == 20
    assert BestBy("lowest_group_confidence(window=64, k=5)").logprobs == 5
    assert BestBy("lowest_group_confidence(confidence='sampled')").logprobs == 0
    assert BestBy("mean_logprob").logprobs is None


@settings(deadline=None)
@given(st.lists(st.floats(0.1, 9), min_size=1, max_size=30), st.floats(0.01, 1))
async def test_a_filter_keeps_its_share_and_never_nobody(scores: list[float], top: float) -> None:
    traces = [trace(i, f"= {i}", reward=x) for i, x in enumerate(scores)]
    answer = await WeightedVote("reward", weight="equal", top=top)(session(Scripted([""])), traces)
    kept = {int(c.answer) for c in answer.classes}
    assert kept
    least = np.quantile(scores, 1 - top)
    assert kept == {i for i, x in enumerate(scores) if x >= least}


def test_a_share_is_a_share() -> None:
    for top in (0.0, 1.5, -1):
        with pytest.raises(ValueError, match="share"):
            WeightedVote(top=top)
