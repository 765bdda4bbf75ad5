"""Beam search and DVTS against independent implementations of search-and-learn's algorithms."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest

from tests.samplers.steps import Rewards, searching
from widthwise import DVTS, BeamSearch

SEEDS = range(12)


def luck_of(*of: object) -> float:
    """A number in [0, 1) that its arguments determine."""
    return int(hashlib.sha256(repr(of).encode()).hexdigest()[:8], 16) / 16**8


class Policy:
    """Writes a step for a prefix and a child's number; each two children say the same, so that there are copies."""

    def __init__(self, seed: int, *, boxed: bool = False) -> None:
        self._seed, self._boxed = seed, boxed

    def __call__(self, said: str, index: int) -> str:
        luck = luck_of(self._seed, said, index // 2)
        if luck < 0.25:
            return f"done {luck:.6f}"
        ending = " \\boxed{1}" if self._boxed and luck > 0.7 else ""
        return f"step {luck:.6f}{ending}\n\n"


def score(step: str) -> float:
    return luck_of("score", step.strip().strip("\0"))


def last(text: str) -> float:
    return score(text.strip().split("\n\n")[-1])


def beam_search(policy: Policy, n: int, width: int, distinct: bool) -> list[str]:
    """Rounds of n continuations: copies of open beams are dropped; the n/width best are repeated in turn up to n."""
    completed: list[str] = []
    active = [""]
    for number in range(40):
        if number == 0:
            grown = [policy("", child) for child in range(n)]
        else:  # one beam's children are adjacent: the order decides only which one is repeated once more
            times = [len(range(i, n, len(active))) for i in range(len(active))]
            asked: Counter[str] = Counter()
            grown = []
            for beam, copies in zip(active, times, strict=True):
                grown += [beam + policy(beam, asked[beam] + copy) for copy in range(copies)]
                asked[beam] += copies
        completed += [text for text in grown if not text.endswith("\n\n")]
        active = [text for text in grown if text.endswith("\n\n")]
        if distinct:
            active = list(dict.fromkeys(active))
        best = sorted(active, key=last)[-(n // width) :]
        active = [text for text in active if text in best]
        if not active or len(completed) >= n:
            break
    return sorted(completed)  # the release keeps the first n of them


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("n", "width"), [(8, 2), (16, 4)])
async def test_beam_search_that_is_refilled_finds_what_the_release_finds(seed: int, n: int, width: int) -> None:
    policy = Policy(seed)
    traces = await BeamSearch(n, width, refill=True)(searching(policy, Rewards(score)))
    found = sorted(t.completion.removesuffix("\0") for t in traces)
    assert found == beam_search(policy, n, width, distinct=True)


@pytest.mark.parametrize("distinct", [True, False])
async def test_copies_fill_the_beam_unless_they_are_filtered(distinct: bool) -> None:
    """A prefix's children say one of two things: without the filter, the beam holds copies of the better one."""
    kept = []
    for seed in SEEDS:
        s = searching(Policy(seed), Rewards(score))
        await BeamSearch(8, 4, distinct=distinct)(s)
        second = {t.parent.id for t in s.traces.values() if t.parent is not None and len(t.id) == 3}
        kept += [len({s.traces[i].completion for i in second}) == len(second)]
    assert all(kept) == distinct


def dvts(policy: Policy, n: int, width: int) -> list[str]:
    """Separate trees: each continues from its best step until that ends the text or states an answer; the result is all
    candidates of a tree's last round."""
    out = []
    for tree in range(n // width):
        beam, first = "", tree * width
        for _ in range(40):
            grown = [beam + policy(beam, first + child) for child in range(width)]
            beam, first = max(grown, key=last), 0
            if not beam.endswith("\n\n") or "boxed{" in beam:
                break
        out += grown
    return out


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("boxed", [False, True])
async def test_dvts_gives_all_candidates_of_each_subtrees_last_round(seed: int, boxed: bool) -> None:
    policy = Policy(seed, boxed=boxed)
    s = searching(policy, Rewards(score))
    traces = await DVTS(12, 3)(s)
    assert sorted(t.completion.removesuffix("\0") for t in traces) == sorted(dvts(policy, 12, 3))
    assert len(traces) == 12
    assert s._shared.accounts.residency.resident == 0
