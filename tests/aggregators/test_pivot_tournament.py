"""The probabilistic pivot tournament against an independent implementation of the paper's rule (arXiv 2607.05391)."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.aggregators.judges import SURE, Judge, asked, trace
from widthwise import PivotTournament, UsageError

Prefers = Callable[[int, int], bool]


def preferred(seed: int, first: int, second: int) -> bool:
    """Whether a judge without order prefers the first of two candidates: no ranking explains it."""
    return random.Random(f"{seed} {first} {second}").random() < 0.5


def pairs(judge: Judge) -> list[tuple[int, int]]:
    """What was compared, in order: which candidate was shown first, and which second."""
    texts = [judge.tokenizer.decode(request.prompt) for request in judge.requests]
    shown = [[int(part.split()[0]) for part in text.split("candidate ")[1:]] for text in texts]
    return [(first, second) for first, second in shown]


def published(
    n: int, ring: list[tuple[int, int]], pivots: int, prefers: Prefers, answers: int | None = None
) -> tuple[int, list[float]]:
    """The winner and the mean preferences, by win mass and counts, as in the paper's five steps.

    With ``answers``, candidate i states answer ``i % answers``, and equal answers are not compared.
    """
    mass, count = [0.0] * n, [0] * n

    def mean(i: int) -> float:
        return round(mass[i] / count[i], 9) if count[i] else 0.5

    def score(a: int, b: int) -> None:
        if answers and a % answers == b % answers:
            return
        won = SURE if prefers(a, b) else 1 - SURE  # the probability of a verdict's token is SURE
        mass[a] += won
        mass[b] += 1 - won
        count[a] += 1
        count[b] += 1

    for a, b in ring:
        score(a, b)
    leaders = sorted(range(n), key=lambda i: (-mean(i), i))[:pivots]
    for i in range(n):
        for pivot in sorted(leaders):
            if i not in leaders or i < pivot:
                score(i, pivot)
    means = [mean(i) for i in range(n)]
    return means.index(max(means)), means


async def held(part: PivotTournament, seed: int, n: int, answers: int | None = None) -> tuple[Any, Judge]:
    def says(prompt: str, index: int) -> str:
        first, second = (int(text.split()[0]) for text in prompt.split("candidate ")[1:])
        return "1" if preferred(seed, first, second) else "2"

    judge = Judge(says)
    traces = [trace(i, f"candidate {i} says = {i % (answers or n)}") for i in range(n)]
    return await part(asked(judge, seed=seed), traces), judge


@pytest.mark.parametrize("pivots", [1, 2, 3, 8, 20])
async def test_the_winner_is_that_of_the_papers_algorithm(pivots: int) -> None:
    n = 9
    for seed in range(25):
        answer, judge = await held(PivotTournament(pivots=pivots, k=1), seed, n)
        ring = pairs(judge)[:n]
        assert [ring[i][1] for i in range(n)] == [ring[(i + 1) % n][0] for i in range(n)], "each meets the next one"
        assert {first for first, _ in ring} == set(range(n))
        winner, means = published(n, ring, min(pivots, n), partial(preferred, seed))
        weights = {int(c.answer): c.weight for c in answer.classes}
        assert [weights[i] for i in range(n)] == pytest.approx(means), seed
        assert int(answer.text) == winner, seed


@pytest.mark.parametrize("pivots", [1, 2, 12])
async def test_equal_answers_that_are_not_compared_count_for_neither(pivots: int) -> None:
    n, answers = 12, 3
    for seed in range(25):
        _, judge = await held(PivotTournament(pivots=pivots, k=1), seed, n, answers)
        ring = pairs(judge)[:n]
        answer, judge = await held(PivotTournament(pivots=pivots, k=1, skip_equal=True), seed, n, answers)
        assert all(a % answers != b % answers for a, b in pairs(judge))
        winner, means = published(n, ring, pivots, partial(preferred, seed), answers)
        weights = {c.traces[0].path[-1]: c.weight for c in answer.classes}
        assert sorted(weights.values()) == pytest.approx(sorted(means)), seed
        assert int(answer.text) == winner % answers, seed


@pytest.mark.parametrize(("n", "pivots", "k"), [(9, 2, 4), (9, 1, 1), (9, 8, 2), (9, 9, 2), (4, 20, 3), (2, 1, 1)])
async def test_there_are_exactly_as_many_comparisons_as_documented(n: int, pivots: int, k: int) -> None:
    _, judge = await held(PivotTournament(pivots=pivots, k=k), 1, n)
    p = min(pivots, n)
    assert len(judge.requests) == k * (n + p * (n - p) + p * (p - 1) // 2)


async def test_n_minus_one_pivots_are_the_round_robin() -> None:
    """Whoever the one other is, each pair meets once after the ring, and the result is that of all as pivots."""
    n = 7
    for seed in range(10):
        almost, judge = await held(PivotTournament(pivots=n - 1, k=2), seed, n)
        every, _ = await held(PivotTournament(pivots=n, k=2), seed, n)
        met = [frozenset(pair) for pair in pairs(judge)[2 * n :: 2]]
        assert sorted(map(sorted, met)) == [[i, j] for i in range(n) for j in range(i + 1, n)]
        assert {c.answer: c.weight for c in almost.classes} == {c.answer: c.weight for c in every.classes}
        assert almost.text == every.text


async def test_comparisons_grow_with_n_times_pivots() -> None:
    costs = [len((await held(PivotTournament(k=1), 0, n))[1].requests) for n in (10, 20, 40)]
    assert costs == [10 + 2 * 8 + 1, 20 + 2 * 18 + 1, 40 + 2 * 38 + 1]


async def test_probabilities_weigh_the_comparisons() -> None:
    """A judge that always says 1 with P(1) = 0.7: everybody has 0.7 as the first and 0.3 as the second."""
    judge = Judge(lambda prompt, index: "1", right=0.7, words="12")
    session = asked(judge)
    answer = await PivotTournament(pivots=1, k=1)(session, [trace(i, f"candidate {i} says = {i}") for i in range(3)])
    weights = sorted(c.weight for c in answer.classes)
    # The pivot is the second in two more meetings; the others are the first in one more each.
    assert weights == pytest.approx([(0.7 + 0.3 + 0.3 + 0.3) / 4, (0.7 + 0.3 + 0.7) / 3, (0.7 + 0.3 + 0.7) / 3])


@pytest.mark.parametrize("wrong", [{"pivots": 0}, {"k": 0}, {"entry": "x"}, {"tie": "x"}, {"pivots": 1.5}])
def test_impossible_tournaments_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="pivot_tournament"):
        PivotTournament(**wrong)
