"""Stopping rules: the worked examples of their papers, and their effect on a draw."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.scripted import Scripted, session
from widthwise import ESC, AdaptiveConsistency, Anytime, BestOfN, MajorityVote, StopWhenDecided
from widthwise.core.posterior import beta, dirichlet
from widthwise.core.strategy.result import Result
from widthwise.pruning.anytime import density_at_half
from widthwise.pruning.stopping_rule import StoppingRule, Votes

RULES = [ESC(window=3), ESC(window=3, sliding=True), AdaptiveConsistency(), AdaptiveConsistency(0.9, "dirichlet")]


def labels(spelled: str) -> list[int | None]:
    """``AAB-`` as classes; a dash is a trace without an answer."""
    return [None if c == "-" else ord(c) for c in spelled]


def stop_of(rule: StoppingRule, spelled: str, total: int = 1000) -> int | None:
    """The number of answers after which the rule stops; None if it does not."""
    found = rule.first_stop(labels(spelled), total)
    return None if found is None else len(found[0].labels)


# -- the papers' numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spelled", "following", "sliding"),
    [
        ("AAAAA", 5, 5),
        ("AAABAAAAAA", 10, 9),
        ("BAAAAA", None, 6),
        ("AAAA-AAAAA", 10, 10),
        ("-----", None, None),
        ("AAAA", None, None),
    ],
)
def test_esc_stops_at_a_unanimous_window(spelled: str, following: int | None, sliding: int | None) -> None:
    assert stop_of(ESC(), spelled) == following
    assert stop_of(ESC(sliding=True), spelled) == sliding


def test_esc_needs_as_many_samples_as_its_formula_says() -> None:
    shares, w, windows = {0: 0.7, 1: 0.2, 2: 0.1}, 3, 4
    u = sum(p**w for p in shares.values())
    expected = w * (sum(i * u * (1 - u) ** (i - 1) for i in range(1, windows)) + windows * (1 - u) ** (windows - 1))
    exact = 0.0
    rule = ESC(window=w)
    first_windows = w * (windows - 1)  # the last window is drawn whatever its answers are
    for answers in itertools.product(shares, repeat=first_windows):
        probability = 1.0
        for a in answers:
            probability *= shares[a]
        found = rule.first_stop(answers, w * windows)
        exact += probability * (w * windows if found is None else len(found[0].labels))
    assert exact == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("first", "second", "probability"),
    [
        *[(1, 0, 0.75), (2, 0, 0.875), (3, 0, 0.9375), (4, 0, 0.96875)],
        *[(5, 1, 0.9375), (7, 1, 0.98047), (8, 2, 0.9673), (10, 3, 0.9713)],
    ],
)
def test_the_beta_posterior(first: int, second: int, probability: float) -> None:
    assert beta(first, second) == pytest.approx(probability, abs=5e-5)


@pytest.mark.slow
def test_the_beta_posterior_of_large_counts_does_not_overflow() -> None:
    assert beta(3000, 2990) == pytest.approx(0.5514, abs=1e-3)
    assert beta(5000, 10) == 1.0


def test_the_dirichlet_posterior_is_the_beta_of_two_and_a_share_of_equals() -> None:
    for first, second in [(1, 0), (4, 0), (5, 1), (8, 2), (60, 40)]:
        assert dirichlet((first, second)) == pytest.approx(beta(first, second), abs=1e-6)
    assert dirichlet((3, 3, 3)) == pytest.approx(1 / 3, abs=1e-6)


def test_the_dirichlet_posterior_agrees_with_a_simulation() -> None:
    rng = random.Random(0)
    draws = 40_000
    wins = sum((g := [rng.gammavariate(n + 1, 1) for n in (6, 3, 2)])[0] == max(g) for _ in range(draws))
    assert dirichlet((6, 3, 2)) == pytest.approx(wins / draws, abs=0.01)


def test_adaptive_consistency_stops_at_four_equal_answers_at_the_earliest() -> None:
    assert stop_of(AdaptiveConsistency(), "AAAAAAA") == 4
    assert stop_of(AdaptiveConsistency(prior="dirichlet"), "AAAAAAA") == 4
    assert stop_of(AdaptiveConsistency(), "AABAAAAAA") == 7  # (6, 1): 0.965; (5, 1) is 0.9375
    assert stop_of(AdaptiveConsistency(), "--AAAA") == 6
    assert stop_of(AdaptiveConsistency(), "ABABABABAB") is None


def test_the_density_of_the_anytime_rule() -> None:
    assert density_at_half(4, 0) == 0.3125
    assert density_at_half(5, 0) == 0.1875
    assert density_at_half(7, 0) == 0.0625
    assert density_at_half(8, 2) == pytest.approx(0.4834, abs=5e-5)


def test_the_anytime_rule_needs_eight_unanimous_answers_and_more_where_more_are_possible() -> None:
    assert stop_of(Anytime(), "A" * 20) == 8
    assert stop_of(Anytime(answers=11), "A" * 20) == 12  # (12 + 1) / 2**12 <= 0.05 / 10
    assert stop_of(Anytime(), "B" + "A" * 20) > 10  # type: ignore[operator]


def test_the_anytime_rule_also_stops_when_nothing_can_change() -> None:
    assert stop_of(Anytime(), "AAAB", total=5) == 3


@pytest.mark.slow
def test_the_anytime_rule_errs_as_seldom_as_it_says() -> None:
    rng, runs = random.Random(1), 200
    drawn = [rng.choices([0, 1, 2], [0.55, 0.3, 0.15], k=200) for _ in range(runs)]
    found = [Anytime(epsilon=0.1, answers=3).first_stop(answers, 10**6) for answers in drawn]
    wrong = [f is not None and Counter(f[0].labels).most_common(1)[0][0] != 0 for f in found]
    assert sum(f is not None for f in found) > runs / 2, "the rule hardly ever stops: the test would show nothing"
    assert sum(wrong) / runs <= 0.1


def test_completion_order_is_an_order_and_others_are_not() -> None:
    for make in (ESC, AdaptiveConsistency, Anytime):
        assert make(order="completion").order == "completion"
        with pytest.raises(ValueError, match="launch"):
            make(order="sideways")


@given(st.lists(st.sampled_from([None, 0, 1, 2]), max_size=24), st.sampled_from([*RULES, Anytime(0.2)]))
def test_a_rule_is_a_function_of_the_shortest_prefix(answers: list[int | None], rule: StoppingRule) -> None:
    found = rule.first_stop(answers, 64)
    if found is not None:
        votes, _ = found
        k = len(votes.labels)
        assert votes == Votes(tuple(answers[:k]), 64 - k)
        assert rule.first_stop(answers[: k - 1], 64) is None
        assert rule.first_stop(answers[:k], 64) == found
        assert rule.voters(votes) <= k


# -- in a draw -----------------------------------------------------------------------------------------------


async def drawn(texts: Sequence[str], *pruners: StoppingRule, deterministic: bool = True, **of_n: int) -> Result:
    s = session(Scripted(texts, deterministic=deterministic), pruners=pruners)
    return await (BestOfN(len(texts), **of_n) | MajorityVote()).run(s)


@pytest.mark.parametrize("deterministic", [True, False])
async def test_a_rule_ends_the_draw_and_the_rest_is_aborted(deterministic: bool) -> None:
    texts = ["= 1"] * 4 + ["= 2 " + "x" * 300] * 4
    result = await drawn(texts, AdaptiveConsistency(), deterministic=deterministic)
    assert result.answer == "1"
    assert [t.finish for t in result.traces[:4]] == ["stop"] * 4
    assert {t.finish for t in result.traces[4:]} <= {"pruned"}
    assert all("mode with probability" in str(t.segment.reason) for t in result.traces[4:])
    assert result.ledger.sampled < 200


async def test_only_the_unanimous_window_votes() -> None:
    texts = ["= 1", "= 1", "= 2", "= 1", "= 1", "= 2", "= 2", "= 2", "= 2"]
    assert (await drawn(texts, width=1)).answer == "2"
    result = await drawn([*texts, "= 1", "= 1", "= 1"], ESC(window=3), width=1)
    assert result.answer == "2"
    assert len(result.traces) == 9
    assert [len(c.traces) for c in result.election.classes] == [3]


@pytest.mark.parametrize("deterministic", [True, False])
async def test_in_order_of_launch_quick_answers_have_to_wait_for_slow_ones(deterministic: bool) -> None:
    texts = ["x" * 400 + "= 2"] + ["= 1"] * 4 + ["x" * 900 + "= 3"]
    launch = await drawn(texts, AdaptiveConsistency(0.9), deterministic=deterministic)
    completion = await drawn(texts, AdaptiveConsistency(0.9, order="completion"), deterministic=deterministic)
    assert launch.answer == completion.answer == "1"
    assert launch.traces[0].finish == "stop"
    assert completion.traces[0].finish == "pruned"


@pytest.mark.parametrize("width", [1, 2, 4, 8])
@pytest.mark.parametrize("rule", [*RULES, Anytime(0.2), StopWhenDecided()], ids=str)
async def test_the_answer_does_not_depend_on_how_many_grow_at_once(rule: StoppingRule, width: int) -> None:
    rng = random.Random(5)
    texts = ["x" * rng.randrange(40) + f"= {rng.choice([1, 1, 1, 2, 3])}" for _ in range(16)]
    narrow, wide = await drawn(texts, rule, width=width), await drawn(texts, rule)
    assert narrow.answer == wide.answer
    if not isinstance(rule, StopWhenDecided):
        voters = [{t.id for c in r.election.classes for t in c.traces} for r in (narrow, wide)]
        assert voters[0] == voters[1]
