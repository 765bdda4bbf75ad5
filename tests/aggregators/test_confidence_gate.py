"""The gate between a vote and a verifier: when it opens, what is asked, what it costs, and what the result says."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from scipy import stats

import widthwise as ww
from tests.aggregators.judges import Judge, asked, trace
from widthwise.core.errors import UsageError
from widthwise.core.session.session import Session
from widthwise.core.strategy.composition import parse_strategy
from widthwise.core.trace.trace import Trace


def judge_of(answer: str) -> Judge:
    return Judge(lambda prompt, index: "yes" if f"= {answer}" in prompt else "no")


def voting(*answers: str) -> list[Trace]:
    return [trace(i, f"= {a}") for i, a in enumerate(answers)]


VERIFIED = ww.GenerativeVerification(k=2, votes=False)


@pytest.mark.parametrize(
    ("agreement", "answer", "requests"), [(0.59, "5", 0), (0.6, "5", 0), (0.61, "2", 6), (1.0, "2", 6)]
)
async def test_worked_example(agreement: float, answer: str, requests: int) -> None:
    """Three of five state 5: an agreement of 0.6. The judge likes 2."""
    judge = judge_of("2")
    session = asked(judge)
    gate = ww.ConfidenceGate(VERIFIED, agreement=agreement)
    found = await gate(session, voting("5", "5", "2", "7", "5"))
    assert (found.text, len(judge.requests)) == (answer, requests)
    assert (session.ledger.judging > 0) == (requests > 0)
    said = "the vote was clear" if answer == "5" else "the vote was not clear"
    decided = "was asked" if requests else "was not asked"
    [note] = session.notes
    assert note.text == (
        f"{said} (agreement 0.60, probability 0.81): generative_verification(k=2, votes=False) {decided}"
    )


@pytest.mark.parametrize("probability", [0.5, 0.75, 0.9, 0.98])
async def test_the_gate_opens_as_an_independent_posterior_says(probability: float) -> None:
    asked_of, cases = 0, 0
    for seed in range(60):
        answers = [str(random.Random(seed * 100 + i).choice([1, 1, 1, 1, 2, 3])) for i in range(9)]
        counts = [n for _, n in Counter(answers).most_common()]
        if len(counts) < 2:
            continue
        judge = judge_of("3")
        await ww.ConfidenceGate(VERIFIED, probability=probability)(asked(judge), voting(*answers))
        clear = 1 - stats.beta.cdf(0.5, counts[0] + 1, counts[1] + 1) >= probability
        assert (not judge.requests) == clear, seed
        asked_of, cases = asked_of + (not clear), cases + 1
    assert 0 < asked_of < cases or probability == 0.5


async def test_with_both_both_must_hold() -> None:
    traces = voting("5", "5", "5", "5", "2", "7", "8")  # an agreement of 0.57, a probability of 0.89
    for agreement, probability, clear in ((0.5, 0.8, True), (0.6, 0.8, False), (0.5, 0.95, False)):
        judge = judge_of("2")
        await ww.ConfidenceGate(VERIFIED, agreement, probability)(asked(judge), traces)
        assert (judge.requests == []) == clear


async def test_the_vote_may_be_weighted() -> None:
    """By weights 7 has 0.9 of 1.2 votes, though one trace of four states it."""
    traces = [*voting("5", "5", "5"), trace(3, "= 7", sure=0.9)]
    for each, sure in zip(traces, (0.1, 0.1, 0.1), strict=False):
        each.segment.metadata["sure"] = sure
    gate = ww.ConfidenceGate(VERIFIED, agreement=0.7, vote=ww.WeightedVote(by="sure", weight="identity"))
    assert (await gate(asked(judge_of("5")), traces)).text == "7"


async def test_where_nothing_is_to_be_decided_nobody_is_asked_and_nothing_is_noted() -> None:
    judge = judge_of("2")
    session = asked(judge)
    gate = ww.ConfidenceGate(VERIFIED, probability=0.99)
    assert (await gate(session, voting("5"))).text == "5"
    assert (await gate(session, voting("?"))).text is None
    assert (judge.requests, session.notes) == ([], [])


async def test_the_result_says_which_of_the_two_decided() -> None:
    async def given(session: Session) -> list[Trace]:
        return voting("5", "5", "2")

    gate = ww.ConfidenceGate(VERIFIED, agreement=0.9)
    result = await ww.Strategy(given, aggregator=gate).run(asked(judge_of("2")))
    assert result.answer == "2"
    assert any("the vote was not clear" in note.text for note in result.notes)


@pytest.mark.parametrize("text", ["agreement=0.75", "probability=0.95", "agreement=0.5, probability=0.9"])
def test_it_is_written_in_a_strategy(text: str) -> None:
    strategy = parse_strategy(f"best_of_n(n=8) | confidence_gate(otherwise=knockout(k=2), {text})")
    assert parse_strategy(str(strategy)) == strategy
    assert "confidence_gate(otherwise=knockout(), " in strategy.brief()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({}, "say when the vote is clear"),
        ({"agreement": 0.0}, "agreement must be above 0"),
        ({"probability": 1.5}, "probability must be above 0"),
        ({"agreement": "x"}, "agreement"),
        ({"otherwise": ww.BestOfN(2), "agreement": 0.5}, "does not fit"),
        ({"vote": "majority_vote", "agreement": 0.5}, "does not fit"),
    ],
)
def test_impossible_gates_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        ww.ConfidenceGate(**wrong)


def test_what_its_parts_need_is_checked_and_recorded() -> None:
    gate = ww.ConfidenceGate(ww.BestBy("self_certainty"), agreement=0.9)
    assert gate.logprobs == 20
    with pytest.raises(UsageError, match="reward model"):
        ww.solve("1+1?", ww.BestOfN(2) | ww.ConfidenceGate(ww.BestBy("reward_model"), agreement=0.9))


def test_a_clear_vote_saves_the_verifiers_tokens_and_the_run_says_so(tmp_path: Any) -> None:
    """On the bundled model: the gate spends no more than the verifier alone, and less where a vote is clear."""
    costs = {}
    for name, part in (
        ("always", ww.GenerativeVerification(k=1)),
        ("gated", ww.ConfidenceGate(ww.GenerativeVerification(k=1), agreement=0.6)),
    ):
        run = ww.evaluate(ww.BestOfN(5) | part, "arithmetic", limit=8, run=tmp_path / f"{name}.db")
        costs[name] = [outcome.ledger.judging for outcome in run.outcomes]
        sampled = [outcome.ledger.sampled for outcome in run.outcomes]
        costs[f"{name} sampled"] = sampled
        texts = [note for outcome in run.outcomes for note in outcome.fields.get("notes", ())]
        assert bool(texts) == (name == "gated")
    assert costs["always sampled"] == costs["gated sampled"]
    assert all(gated in (0, always) for gated, always in zip(costs["gated"], costs["always"], strict=True))
    assert 0 < sum(costs["gated"]) < sum(costs["always"])
