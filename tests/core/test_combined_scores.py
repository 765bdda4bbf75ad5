"""Several scores as one: how they are spelled, against independent arithmetic, and in votes, sweeps and curves."""

from __future__ import annotations

import math
import random
import statistics
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import widthwise as ww
from tests.aggregators.judges import Judge, asked, trace
from widthwise.core.errors import UsageError
from widthwise.core.scores.combination import combination
from widthwise.core.scores.trace_score import logprobs_for, trace_scores
from widthwise.core.strategy.composition import parse_strategy
from widthwise.core.trace.trace import Trace
from widthwise.evals.measure.curves import method
from widthwise.evals.measure.sharing import why_not_shared
from widthwise.evals.suites.suites import load_suite

Known = float | None


def scored(a: list[Known], b: list[Known]) -> list[Trace]:
    """Traces whose recorded numbers are ``a`` and ``b``; None for a number that is missing."""
    facts = [{name: v for name, v in (("a", x), ("b", y)) if v is not None} for x, y in zip(a, b, strict=True)]
    return [trace(i, f"= {i % 3}", **each) for i, each in enumerate(facts)]


def ranked(values: list[Known]) -> list[Known]:
    known = [v for v in values if v is not None]
    others = len(known) - 1

    def share(v: float) -> float:
        return (sum(o < v for o in known) + (known.count(v) - 1) / 2) / others if others else 0.5

    return [None if v is None else share(v) for v in values]


def standardised(values: list[Known]) -> list[Known]:
    known = [v for v in values if v is not None]
    spread = statistics.pstdev(known) if len(set(known)) > 1 else math.inf
    return [None if v is None else (v - statistics.fmean(known)) / spread for v in values]


def combined(parts: list[list[Known]], of: Any) -> list[Known]:
    return [None if None in row else of(*row) for row in zip(*parts, strict=True)]


RULES: dict[str, Any] = {
    "a * b": lambda a, b: combined([a, b], lambda x, y: x * y),
    "2 * a + b": lambda a, b: combined([a, b], lambda x, y: 2 * x + y),
    "0.5 * a - 0.25 * b": lambda a, b: combined([a, b], lambda x, y: 0.5 * x - 0.25 * y),
    "a + -1 * b": lambda a, b: combined([a, b], lambda x, y: x - y),
    "-a * 3": lambda a, b: combined([a], lambda x: -3 * x),
    "a * a * b + b": lambda a, b: combined([a, b], lambda x, y: x * x * y + y),
    "rank(a) + rank(b)": lambda a, b: combined([ranked(a), ranked(b)], lambda x, y: x + y),
    "rank(a)": lambda a, b: ranked(a),
    "rank(-b) * a": lambda a, b: combined([ranked([None if v is None else -v for v in b]), a], lambda x, y: x * y),
    "0.7 * z(a) + 0.3 * z( b )": lambda a, b: combined(
        [standardised(a), standardised(b)], lambda x, y: 0.7 * x + 0.3 * y
    ),
}

NUMBERS = st.lists(st.tuples(*[st.none() | st.integers(-5, 5).map(float)] * 2), min_size=1, max_size=8)


@given(NUMBERS, st.sampled_from(list(RULES)))
async def test_combined_as_independent_arithmetic_says(numbers: list[tuple[Known, Known]], source: str) -> None:
    a, b = [list(column) for column in zip(*numbers, strict=True)]
    if all(v is None for v in a) or all(v is None for v in b):
        return
    found = await trace_scores(asked(Judge(lambda prompt, index: "")), scored(a, b), source)
    for value, expected in zip(found, RULES[source](a, b), strict=True):
        assert (value is None) == (expected is None)
        assert expected is None or value == pytest.approx(expected, abs=1e-9)


async def test_worked_example() -> None:
    """Confidence alone elects 1, the reward alone 2 (its two traces have 0.5); their product 0, their ranks 0."""
    traces = [
        trace(0, "= 0", reward=0.9, sure=0.8),
        trace(1, "= 1", reward=0.1, sure=0.9),
        trace(2, "= 2", reward=0.5, sure=0.2),
        trace(3, "= 2", reward=0.5, sure=0.1),
    ]
    elected = {}
    for by in ("sure", "reward", "reward * sure", "rank(reward) + rank(sure)"):
        answer = await ww.WeightedVote(by=by, weight="identity")(asked(Judge(lambda prompt, index: "")), traces)
        elected[by] = (answer.text, [round(c.weight, 9) for c in answer.classes])
    assert elected == {
        "sure": ("1", [0.9, 0.8, 0.3]),
        "reward": ("2", [1.0, 0.9, 0.1]),
        "reward * sure": ("0", [0.72, 0.15, 0.09]),
        # ranks of the rewards 1, 0, 1/2, 1/2, and of the confidences 2/3, 1, 1/3, 0
        "rank(reward) + rank(sure)": ("0", [round(5 / 3, 9), round(4 / 3, 9), 1.0]),
    }


@pytest.mark.parametrize("make", [ww.BestBy, ww.BordaVote, ww.WeightedVote])
def test_a_strategy_with_a_combination_reads_back(make: Any) -> None:
    by = "0.7 * z(reward_model:min) + 0.3 * z(lowest_group_confidence(window=64))"
    strategy = ww.BestOfN(4) | make(by)
    assert parse_strategy(str(strategy)) == strategy
    assert strategy.aggregator is not None
    assert logprobs_for(by) == 20
    assert logprobs_for("reward_model * mean_logprob") is None
    assert logprobs_for("rank(tail_confidence(k=5)) + self_certainty") == 20


@pytest.mark.parametrize("source", ["reward", "-mean_ppl", "reward_model:min", "lowest_group_confidence(window=64)"])
def test_a_single_score_is_no_combination(source: str) -> None:
    assert combination(source) is None


@pytest.mark.parametrize(
    "source",
    [
        *("a *", "* a", "a + ", "a ** b", "rank(a", "rank(rank(a))", "z(a) z(b)", "1 + 2", "a * (b + c)", "a + b; c"),
        *("a * 1e999", "a * nan(", "__import__('os') + a.b", "a*" * 600 + "a", "rank(a)b", "a * lambda: 0"),
    ],
)
def test_what_is_no_combination_is_refused_in_one_sentence(source: str) -> None:
    with pytest.raises(UsageError, match=r"in the score|characters|is only a number"):
        ww.WeightedVote(by=source)


def test_every_score_of_a_combination_is_checked_before_the_first_token() -> None:
    for by, said in (("reward_model * mean_logprob", "reward model"), ("mean_logprob + rank(nonsense)", "nonsense")):
        with pytest.raises(UsageError, match=said):
            ww.solve("1+1?", ww.BestOfN(2) | ww.BestBy(by))


def test_a_run_has_what_its_combination_needs() -> None:
    result = ww.solve("Compute 3 + 4.", ww.BestOfN(2) | ww.BestBy("rank(mean_logprob) + rank(self_certainty)"))
    assert result.answer == "7"


def test_ranks_are_not_shared_between_budgets_and_products_are() -> None:
    def why(by: str) -> str:
        return why_not_shared(ww.BestOfN(8) | ww.WeightedVote(by=by, weight="exp"), "samples")

    assert why("mean_logprob * 0.5 + sum_logprob") == ""
    assert "more than stored answers and scores" in why("rank(mean_logprob) * 0.5")
    with pytest.raises(UsageError, match="depend on which samples are drawn"):
        method("best:z(mean_logprob) + rank(sum_logprob)")


def test_a_shared_sweep_answers_as_runs_of_their_own(tmp_path: Any) -> None:
    """At the largest budget the curve's point is what the vote itself answers."""
    strategy = ww.BestOfN(6) | ww.BestBy("0.5 * mean_logprob + 0.1 * sum_logprob")
    suite = load_suite("arithmetic", limit=4)
    swept = ww.sweep([strategy], [suite], [2, 6], axis="samples", folder=tmp_path)
    run = ww.evaluate(strategy, suite, run=tmp_path / "own.db")
    assert len(list(tmp_path.glob("*.db"))) == 2, "one run has the samples of both budgets"
    assert swept.table()["accuracy"][-1] == pytest.approx(run.accuracy)


async def test_random_scores_elect_as_an_independent_vote() -> None:
    for seed in range(40):
        chance = random.Random(seed)
        a, b = ([float(chance.randrange(1, 9)) for _ in range(8)] for _ in range(2))
        votes: dict[str, float] = {}
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            votes[str(i % 3)] = votes.get(str(i % 3), 0.0) + x * y
        vote = ww.WeightedVote(by="a * b", weight="identity")
        answer = await vote(asked(Judge(lambda prompt, index: "")), scored(list(a), list(b)))
        assert votes[str(answer.text)] == max(votes.values())
