"""Revisions: attempts divided between chains and revisions, and the vote in two levels over them."""

from __future__ import annotations

import random
import re
from collections import defaultdict

import pytest

import widthwise as ww
from tests.samplers.talker import Talker, talk
from widthwise import HierarchicalVote, MajorityVote, Revisions, UsageError, WeightedVote
from widthwise.aggregators.hierarchical_vote import chains
from widthwise.core.trace.trace import Trace


def counting(prompt: str, index: int) -> str:
    """The first attempts are ``c0 = 1``; later ones repeat the chain's name and increment its number."""
    drafts = re.findall(r"\[\d+: (c\d+) = (\d+)", prompt)
    return f"{drafts[-1][0]} = {int(drafts[-1][1]) + 1}" if drafts else f"c{index} = 1"


@pytest.mark.parametrize(
    ("n", "ratio", "chains", "length"),
    [
        (16, 16, 1, 16),
        (16, 4, 2, 8),
        (16, 1, 4, 4),
        (16, 1 / 4, 8, 2),
        (16, 1 / 16, 16, 1),
        (8, 2, 2, 4),
        (8, 0.5, 4, 2),
        (12, 0.3333, 6, 2),
        (12, 3, 2, 6),
        (1, 1, 1, 1),
        (128, 32, 2, 64),
    ],
)
def test_a_ratio_divides_the_attempts(n: int, ratio: float, chains: int, length: int) -> None:
    made = Revisions(n, ratio)
    assert (made.chains, made.length) == (chains, length)


@pytest.mark.parametrize("given", [{"n": 0}, {"ratio": 0}, {"ratio": -1.0}, {"ratio": 2}, {"n": 7}, {"memory": 0}])
def test_impossible_arguments(given: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=r"^revisions: "):
        Revisions(**given)  # type: ignore[arg-type]


def test_what_cannot_be_divided_says_what_can() -> None:
    with pytest.raises(UsageError, match=r"8 attempts .* a ratio of 0\.125, 0\.5, 2, 8, not 1"):
        Revisions(8)


async def test_each_attempt_sees_the_last_four_of_its_own_chain() -> None:
    """Two chains of six, by hand: the sixth attempt of a chain sees its attempts 2 to 5."""
    backend = Talker(counting)
    session = talk(backend)
    attempts = await Revisions(n=12, ratio=3)(session)
    assert [t.completion for t in attempts] == [f"c{c} = {n}\0" for c in range(2) for n in range(1, 7)]
    assert "refine 1+1? [1: c0 = 2][2: c0 = 3][3: c0 = 4][4: c0 = 5]" in backend.asked
    assert session.ledger.sequential == 6 * len("c0 = 1\0")
    assert [[t.completion for t in chain] for chain in chains(session, attempts[::-1])] == [
        [f"c{c} = {n}\0" for n in range(6, 0, -1)] for c in (1, 0)
    ]


async def test_the_ends_are_best_of_n_and_a_single_chain() -> None:
    parallel = await Revisions(n=4, ratio=1 / 4)(talk(counting))
    assert [t.completion for t in parallel] == [f"c{i} = 1\0" for i in range(4)]
    serial = await Revisions(n=4, ratio=4)(talk(counting))
    assert [t.completion for t in serial] == [f"c0 = {n}\0" for n in range(1, 5)]


async def test_workers_attempts_are_one_chain() -> None:
    session = talk(counting)
    attempts = await Revisions(n=4, ratio=1, worker=ww.BestOfN(2) | MajorityVote())(session)
    assert [len(chain) for chain in chains(session, attempts)] == [2, 2]
    everything = session.leaves
    assert sorted(len(chain) for chain in chains(session, everything)) == [1, 1, 3, 3]  # the losers saw none of a chain


# -- the vote in two levels ------------------------------------------------------------------------------------


def scored(answers: dict[int, list[tuple[int, float]]]) -> Talker:
    """Chain c says ``answers[c][i]`` in attempt i; the score stands in the text."""

    def say(prompt: str, index: int) -> str:
        found = re.findall(r"chain (\d+) attempt (\d+)", prompt)
        chain, attempt = (int(found[-1][0]), int(found[-1][1]) + 1) if found else (index, 0)
        answer, score = answers[chain][attempt]
        return f"chain {chain} attempt {attempt} score {score!r} = {answer}"

    return Talker(say)


async def voted(answers: dict[int, list[tuple[int, float]]], vote: HierarchicalVote | WeightedVote) -> ww.Answer:
    session = talk(scored(answers))
    n, length = sum(map(len, answers.values())), len(answers[0])
    traces = await Revisions(n, length / len(answers), memory=1)(session)
    return await vote(session, [session.annotate(t, rated=_rated(t)) for t in traces])


def _rated(trace: Trace) -> float:
    return float(trace.completion.split("score ")[1].split(" =")[0])


def by_the_paper(answers: dict[int, list[tuple[int, float]]]) -> int:
    """Best-of-N weighted within each chain, its best member kept, and best-of-N weighted across chains."""

    def best_of_n_weighted(attempts: list[tuple[int, float]]) -> tuple[int, float]:
        sums: dict[int, float] = defaultdict(float)
        for answer, score in attempts:
            sums[answer] += score
        winner = max(sums, key=lambda answer: sums[answer])
        return winner, max(score for answer, score in attempts if answer == winner)

    return best_of_n_weighted([best_of_n_weighted(attempts) for attempts in answers.values()])[0]


async def test_two_levels_by_hand() -> None:
    """Flat sums are 7: 0.6 + 0.5 = 1.1 and 5: 0.9 + 0.9 = 1.8; but each chain elects one of them, once.

    Chain 0 keeps 7 (0.6 + 0.5 against 0.9 + 0.0) with its better score 0.6, chain 1 keeps 5 with 0.9, chain 2 keeps 7
    with 0.4: 1.0 against 0.9.
    """
    answers = {0: [(7, 0.6), (5, 0.9), (7, 0.5)], 1: [(5, 0.9), (1, 0.1), (1, 0.1)], 2: [(7, 0.4), (3, 0.1), (2, 0.1)]}
    found = await voted(answers, HierarchicalVote(by="rated"))
    assert found.text == "7"
    assert {c.answer: c.weight for c in found.classes} == pytest.approx({"7": 1.0, "5": 0.9})
    assert found.trace is not None
    assert "score 0.6" in found.trace.completion
    assert (await voted(answers, WeightedVote("rated", weight="identity"))).text == "5"


async def test_the_papers_rule_on_random_scores() -> None:
    rng, differ = random.Random(5), 0
    for _ in range(60):
        count, length = rng.choice([(1, 4), (2, 3), (4, 4), (5, 2), (6, 1)])
        drawn = {c: [(rng.randrange(4), rng.random()) for _ in range(length)] for c in range(count)}
        expected = by_the_paper(drawn)
        assert (await voted(drawn, HierarchicalVote(by="rated"))).text == str(expected)
        differ += (await voted(drawn, WeightedVote("rated", weight="identity"))).text != str(expected)
    assert differ > 5  # the flat vote is another rule


async def test_votes_without_scores_count_chains_not_attempts() -> None:
    answers = {0: [(7, 0.0)] * 3, 1: [(5, 0.0), (5, 0.0), (7, 0.0)], 2: [(5, 0.0), (5, 0.0), (7, 0.0)]}
    assert (await voted(answers, HierarchicalVote(by=None))).text == "5"
    assert {c.answer: c.weight for c in (await voted(answers, HierarchicalVote(by=None))).classes} == {"5": 2, "7": 1}


async def test_independent_samples_are_chains_of_one_and_the_vote_is_flat() -> None:
    session = talk(lambda prompt, index: f"= {index % 3}")
    traces = [session.annotate(t, rated=0.1 * i) for i, t in enumerate(await session.sample(session.root, 7))]
    flat = await WeightedVote("rated", weight="identity")(session, traces)
    assert await HierarchicalVote(by="rated")(session, traces) == flat
    assert await HierarchicalVote(by=None)(session, traces) == await MajorityVote()(session, traces)
    assert (await HierarchicalVote(by="rated")(session, [])).text is None


async def test_an_unscored_attempt_is_neither_kept_nor_counted() -> None:
    session = talk(scored({0: [(7, 0.2), (5, 0.9)], 1: [(5, 0.3), (5, 0.1)]}))
    traces = await Revisions(4, memory=1)(session)
    unscored = "chain 0 attempt 1"
    rated = [t if unscored in t.completion else session.annotate(t, rated=0.5) for t in traces]
    found = await HierarchicalVote(by="rated")(session, rated)
    assert {c.answer: c.weight for c in found.classes} == {"7": 0.5, "5": 0.5}


def test_without_a_reward_model_the_vote_is_refused_before_the_first_token() -> None:
    with pytest.raises(UsageError, match=r"hierarchical_vote.*reward model"):
        ww.solve("1+1?", "revisions(n=4) | hierarchical_vote()")
