"""Knockout, league and self-verification against independent implementations of the papers' descriptions.

arXiv 2411.19477 and 2502.01839.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.aggregators.judges import SURE, Judge, asked, trace
from widthwise import Knockout, League, SelfVerification

SAMPLES = [0] * 34 + [1 + i % 16 for i in range(30)]
"""64 samples: 53 % are right (0), the others state one of 16 wrong answers."""

Compare = Callable[[int, int], int]


def noisy(p: float, rng: random.Random) -> Compare:
    """The position (0 or 1) preferred by a judge that finds the right one of two with probability ``p``."""

    def compare(first: int, second: int) -> int:
        if (first == 0) == (second == 0):
            return rng.randrange(2)
        better = int(second == 0)
        return better if rng.random() < p else 1 - better

    return compare


def knockout(samples: list[int], k: int, compare: Compare, rng: random.Random) -> int:
    """The paper's algorithm: random pairs, ``k`` comparisons each, ties broken at random, an odd one advances."""
    alive = list(samples)
    while len(alive) > 1:
        rng.shuffle(alive)
        left = alive[len(alive) // 2 * 2 :]
        for a, b in zip(alive[::2], alive[1::2], strict=False):
            votes = sum(compare(a, b) for _ in range(k))
            second = votes * 2 > k if votes * 2 != k else rng.random() < 0.5
            left.append(b if second else a)
        alive = left
    return alive[0]


def league(samples: list[int], opponents: int, compare: Compare, rng: random.Random) -> int:
    """The paper's algorithm: each meets opponents drawn with replacement, once each; the best mean, ties at random."""
    means = []
    for i, sample in enumerate(samples):
        others = [j for j in range(len(samples)) if j != i]
        met = [rng.choice(others) for _ in range(opponents)]
        means.append(sum(1 - compare(sample, samples[j]) for j in met) / opponents)
    best = [i for i, mean in enumerate(means) if mean == max(means)]
    return samples[rng.choice(best)]


def shown(prompt: str) -> tuple[int, int]:
    first, second = prompt.split("Solution 1:")[1].split("Solution 2:")
    return int(first.split("=")[1].split()[0]), int(second.split("=")[1].split()[0])


async def share_right(aggregator: Any, p: float, runs: int, seed: int) -> float:
    compare = noisy(p, random.Random(seed))
    judge = Judge(lambda prompt, index: str(1 + compare(*shown(prompt))))
    right = 0
    for run in range(runs):
        samples = random.Random(f"{seed} {run}").sample(SAMPLES, len(SAMPLES))
        answer = await aggregator(asked(judge, seed=run), [trace(i, f"= {a}") for i, a in enumerate(samples)])
        right += answer.text == "0"
    return right / runs


@pytest.mark.slow
@pytest.mark.parametrize(("p", "runs"), [(0.6, 60), (0.7, 40), (0.8, 40)])
@pytest.mark.parametrize(
    ("aggregator", "published"),
    [
        (Knockout(k=2), lambda samples, compare, rng: knockout(samples, 2, compare, rng)),
        (League(opponents=4), lambda samples, compare, rng: league(samples, 4, compare, rng)),
    ],
    ids=["knockout", "league"],
)
async def test_a_noisy_judge_is_right_as_often_as_with_the_papers_algorithm(
    aggregator: Any, published: Any, p: float, runs: int
) -> None:
    rng = random.Random(f"published {p}")
    compare = noisy(p, rng)
    expected = sum(published(list(SAMPLES), compare, rng) == 0 for _ in range(2000)) / 2000
    found = await share_right(aggregator, p, runs, seed=7)
    error = (expected * (1 - expected) * (1 / runs + 1 / 2000)) ** 0.5
    assert found == pytest.approx(expected, abs=3 * error)


@pytest.mark.slow
async def test_answers_that_enter_once_lose_what_their_frequency_says() -> None:
    """The variant is cheaper, but worse if the judge is hardly better than chance."""
    once = await share_right(Knockout(k=2, entry="answers"), 0.6, 80, seed=7)
    every = await share_right(Knockout(k=2, skip_equal=True), 0.6, 80, seed=7)
    assert every > once + 0.1


@pytest.mark.parametrize("skip_equal", [False, True])
async def test_what_each_variant_costs(skip_equal: bool) -> None:
    """k (N - 1) comparisons over N traces, k (A - 1) over A answers; fewer if equal answers are not compared."""
    traces = [trace(i, f"= {a}") for i, a in enumerate(SAMPLES)]
    costs = {}
    for entry in ("traces", "answers"):
        judge = Judge(lambda prompt, index: str(1 + (shown(prompt)[1] == 0)))
        await Knockout(k=2, entry=entry, skip_equal=skip_equal)(asked(judge), traces)
        costs[entry] = len(judge.requests)
    assert costs["answers"] == 2 * 16
    assert costs["traces"] == 2 * 63 if not skip_equal else 2 * 16 < costs["traces"] < 2 * 63


# -- self-verification -----------------------------------------------------------------------------------------------


def verdict(seed: int, candidate: int, index: int) -> bool:
    return random.Random(f"{seed} {candidate} {index}").random() < 0.3 + 0.1 * (candidate % 5)


def preferred(seed: int, first: int, second: int, index: int) -> int:
    return random.Random(f"{seed} {first} {second} {index}").choice([1, 2])


def self_verification(seed: int, answers: list[int], k: int, comparisons: int, band: float, closest: int) -> int:
    """The paper's algorithm: the best mean verdict; of close ones with other answers, the winner of most match-ups."""
    yes = [sum(verdict(seed, i, n) for n in range(k)) for i in range(len(answers))]
    score = [(n * SURE + (k - n) * (1 - SURE)) / k for n in yes]  # the probability of a verdict's token is SURE
    votes = [answers.count(a) for a in answers]
    ranked = sorted(range(len(answers)), key=lambda i: (-score[i], -votes[i]))
    close = [i for i in ranked[:closest] if score[i] >= score[ranked[0]] - band]
    won = dict.fromkeys(ranked, 0)
    for place, a in enumerate(close):
        for b in close[place + 1 :]:
            if answers[a] != answers[b]:
                there = [preferred(seed, a, b, n) for n in range(comparisons // 2)]
                back = [3 - preferred(seed, b, a, n) for n in range(comparisons // 2)]
                firsts = (there + back).count(1)
                if firsts * 2 != comparisons:
                    won[a if firsts * 2 > comparisons else b] += 1
    return answers[max(ranked, key=lambda i: (won[i], score[i], -ranked.index(i)))]


@pytest.mark.parametrize("closest", [1, 3, 6])
async def test_self_verification_answers_as_the_papers_algorithm(closest: int) -> None:
    compared = 0
    for seed in range(40):
        answers = [random.Random(seed * 100 + i).randrange(4) for i in range(9)]
        traces = [trace(i, f"candidate {i} says = {a}") for i, a in enumerate(answers)]

        def says(prompt: str, index: int, seed: int = seed) -> str:
            numbers = [int(part.split()[0]) for part in prompt.split("candidate ")[1:]]
            if len(numbers) == 2:
                return str(preferred(seed, numbers[0], numbers[1], index))
            return "yes" if verdict(seed, numbers[0], index) else "no"

        judge = Judge(says)
        part = SelfVerification(k=4, comparisons=4, band=0.25, closest=closest)
        answer = await part(asked(judge, seed=seed), traces)
        assert answer.text == str(self_verification(seed, answers, 4, 4, 0.25, closest)), seed
        compared += len(judge.requests) > 4 * len(answers)
    assert (compared > 10) == (closest > 1)
