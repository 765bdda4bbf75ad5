"""Cascades and routes learned on one half of stored runs: against an independent search, and as strategies."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import widthwise as ww
from tests.evals.made_runs import made_run
from widthwise.cli.app import app
from widthwise.core.session.prices import Price
from widthwise.core.strategy.composition import parse_strategy
from widthwise.evals.measure.model_choice import _best, _cascades, _routes, cascaded, fit, orders, routed
from widthwise.evals.measure.stored_answers import StoredAnswers, stored_answers

VOTE = "best_of_n(n=4) | majority_vote()"


def table(chance: np.random.Generator, problems: int = 12, models: int = 3) -> StoredAnswers:
    names = tuple("abc"[:models])
    return StoredAnswers(
        names,
        "single()",
        "money",
        {name: chance.integers(0, 2, problems).astype(float) for name in names},
        {name: chance.integers(0, 5, problems) / 4 for name in names},
        {name: np.full(problems, cost) + chance.random(problems) for name, cost in zip(names, (1, 4, 9), strict=False)},
        chance.integers(0, 5, problems) / 4,
        np.full(problems, 0.5),
    )


def by_hand(known: StoredAnswers, order: Any, thresholds: Any, problem: int) -> tuple[float, float]:
    """One problem's grade and cost in a cascade, one model after another."""
    spent = 0.0
    for place, name in enumerate(order):
        spent += known.costs[name][problem]
        if place == len(order) - 1 or known.trusted[name][problem] >= thresholds[place]:
            return known.right[name][problem], spent
    raise AssertionError


@pytest.mark.parametrize("seed", range(6))
def test_a_cascade_is_the_best_of_all_within_the_budget(seed: int) -> None:
    known, problems, budget = table(np.random.default_rng(seed)), np.arange(6), 6.0
    found, cost = _best(known, _cascades(known, problems), "cascade", problems, budget)
    best = (-1.0, 0.0)
    levels = [0.0, 0.25, 0.5, 0.75, 1.0]
    for length in (1, 2, 3):
        for order in itertools.permutations("abc", length):
            for thresholds in itertools.product(levels, repeat=length - 1):
                each = [by_hand(known, order, thresholds, p) for p in problems]
                right, spent = (float(np.mean(column)) for column in zip(*each, strict=True))
                if spent <= budget:
                    best = max(best, (round(right, 12), -spent))
    grades, costs = cascaded(known, found, problems)
    assert (round(grades.mean(), 12), -costs.mean()) == pytest.approx(best)
    assert cost == pytest.approx(costs.mean())


@pytest.mark.parametrize("seed", range(4))
def test_a_route_is_the_best_of_all_and_its_probes_are_charged(seed: int) -> None:
    known, problems = table(np.random.default_rng(seed), models=2), np.arange(12)
    found, _ = _best(known, _routes(known, problems), "route", problems, None)
    levels = [0.0, 0.25, 0.5, 0.75, 1.0]
    shares = [np.where(known.easy >= least, known.right["a"], known.right["b"]).mean() for least in levels]
    alone = max(known.right[name].mean() for name in "ab")
    right, cost = routed(known, found, problems) if len(found[0]) > 1 else cascaded(known, found, problems)
    assert right.mean() == pytest.approx(max(alone, *shares))
    if len(found[0]) > 1:
        by_a = known.easy >= found[1][0]
        assert cost == pytest.approx(np.where(by_a, known.costs["a"], known.costs["b"]) + 0.5)


def test_of_many_scores_24_quantiles_are_tried_as_thresholds() -> None:
    known, problems = table(np.random.default_rng(0), problems=100, models=2), np.arange(100)
    known.trusted["a"][:] = np.random.default_rng(1).permutation(100)
    tried = sorted({thresholds[0] for order, thresholds in _cascades(known, problems) if order == ("a", "b")})
    assert len(tried) == 24
    assert (tried[0], tried[-1]) == (0, 99)
    assert set(np.diff(tried)) <= {4, 5}


def test_nothing_within_the_budget_says_what_the_cheapest_costs() -> None:
    known, problems = table(np.random.default_rng(0)), np.arange(12)
    with pytest.raises(ww.UsageError, match=r"nothing is within 0.1 money per problem: the cheapest model costs 1"):
        _best(known, _cascades(known, problems), "cascade", problems, 0.1)


@pytest.fixture
def runs(tmp_path: Path) -> dict[str, Path]:
    """A small model that is right where its samples agree, and a large one that is always right."""
    small = [["1"] * 4 if i % 2 else ["2", "2", "3", "1"] for i in range(24)]
    made_run(tmp_path / "s.db", small, strategy=VOTE)
    made_run(tmp_path / "l.db", [["1"] * 4] * 24, strategy=VOTE)
    return {"small": tmp_path / "s.db", "large": tmp_path / "l.db"}


PRICES = {"small": Price(0, 1), "large": Price(0, 10)}


@pytest.mark.parametrize("kind", ["cascade", "route"])
def test_what_is_learned_from_runs_can_be_read_as_a_strategy(runs: dict[str, Path], kind: Any) -> None:
    found = fit(runs, kind=kind, prices=PRICES)
    assert found.chosen.accuracy == 1
    assert found.chosen.cost < found.single[1].cost
    assert (found.learned_on, found.measured_on, found.unit) == (12, 12, "money")
    sampler: Any = parse_strategy(found.chosen.strategy).sampler
    assert sampler.models == ("small", "large")
    assert sampler.worker == ww.BestOfN(4) | ww.MajorityVote()
    assert 0.5 < sampler.thresholds[0] <= 1
    assert parse_strategy(found.single[0].strategy) == ww.BestOfN(4, model="small") | ww.MajorityVote()


def test_a_small_budget_leaves_the_small_model_alone(runs: dict[str, Path]) -> None:
    known = stored_answers(runs, by="agreement", probes=None, prices=PRICES)
    found = fit(runs, prices=PRICES, budget=float(known.costs["small"].max()) * 1.01)
    assert found.chosen.strategy == found.single[0].strategy


def test_without_prices_the_cost_is_in_tokens_and_a_half_depends_on_the_seed(runs: dict[str, Path]) -> None:
    assert fit(runs).unit == "tokens"
    assert len({fit(runs, seed=seed).single[0].accuracy for seed in range(4)}) > 1
    assert fit(runs).table()["strategy"][1] == "best_of_n(model='small', n=4) | majority_vote()"


def test_probes_by_a_score_are_the_first_samples(runs: dict[str, Path]) -> None:
    known = stored_answers(runs, by="reward", probes=2, prices={})
    assert known.easy == pytest.approx(0.05)  # the samples' rewards are 0, 0.1, 0.2 and 0.3
    assert known.probing == pytest.approx(known.costs["small"] / 2, rel=0.1)


def test_runs_that_do_not_fit_together_are_refused(runs: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ww.UsageError, match="needs a run of each"):
        fit({"small": runs["small"]})
    other = made_run(tmp_path / "o.db", [["1"]] * 4, strategy="single()")
    with pytest.raises(ww.UsageError, match="must have one strategy"):
        fit({**runs, "other": other})
    few = made_run(tmp_path / "f.db", [], strategy=VOTE, open_problems=2)
    with pytest.raises(ww.UsageError, match="no finished problem in common"):
        fit({**runs, "few": few})
    with pytest.raises(ww.UsageError, match="5 probes are too many"):
        fit(runs, kind="route", probes=5)
    with pytest.raises(ww.UsageError, match="a single probe agrees with itself"):
        fit(runs, kind="route", probes=1)
    with pytest.raises(ww.UsageError, match=r"a cascade has no probes: .*kind='route' \(--route\)"):
        fit(runs, probes=4)
    alone = {name: made_run(tmp_path / f"{name}1.db", [["1"]] * 4, strategy="single()") for name in "ab"}
    with pytest.raises(ww.UsageError, match=r"one sample of each problem, which agrees with itself.*--by mean_logprob"):
        fit(alone)
    with pytest.raises(ww.UsageError, match=r"NAME=RUN\.db"):
        orders(["a.db"])


def test_the_price_of_a_run_is_that_of_its_only_model_whatever_its_name(tmp_path: Path) -> None:
    for name in ("n1", "n2"):
        ww.evaluate("single()", "arithmetic", limit=2, model={"hot": "reasoner"}, run=tmp_path / f"{name}.db")
    found = CliRunner().invoke(
        app,
        [
            "fit",
            *(f"{n}={tmp_path / n}.db" for n in ("n1", "n2")),
            "--by",
            "mean_logprob",
            "--price",
            "n1=1,4",
            "--price",
            "n2=3,12",
        ],
    )
    assert "money" in found.output
    prices = {"n1": Price(1, 4), "n2": Price(3, 12)}
    known = stored_answers({n: tmp_path / f"{n}.db" for n in prices}, by="mean_logprob", probes=None, prices=prices)
    assert known.unit == "money"
    assert known.costs["n2"] == pytest.approx(3 * known.costs["n1"])


def test_a_run_of_several_models_has_no_single_price(tmp_path: Path) -> None:
    several = {"hot": "reasoner", "cold": "reasoner"}
    strategy = "cascade(models=('hot', 'cold'), thresholds=(0.5,), by='mean_logprob')"
    run = ww.evaluate(strategy, "arithmetic", limit=2, model=several, run=tmp_path / "c.db")
    with pytest.raises(ww.UsageError, match=r"the run a is of several models \(hot, cold\)"):
        fit({"a": run.path, "b": run.path}, prices={"a": Price(1, 4), "b": Price(1, 4)})


@pytest.mark.parametrize("by", ["nonsense", "reward_model"])
@pytest.mark.parametrize("route", [[], ["--route"]])
def test_a_score_that_no_answer_has_is_refused(runs: dict[str, Path], by: str, route: list[str]) -> None:
    found = CliRunner().invoke(app, ["fit", *(f"{n}={p}" for n, p in runs.items()), "--by", by, *route])
    assert found.exit_code == 2
    assert f"has a score '{by}': choose agreement" in " ".join(found.output.split())
    with pytest.raises(ww.UsageError, match="has a score 'typo'"):
        ww.fit_models(runs, by="typo")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["1,4"], "a price for a model without a name, but the models are: small, large"),
        (["warm=1,4"], "a price for 'warm', but the models are: small, large"),
        (["small=1,4"], "no price for large, but there is one for the others: give --price large=PROMPT,COMPLETION"),
    ],
)
def test_prices_of_other_models_or_of_only_some_are_refused(runs: dict[str, Path], given: list[str], said: str) -> None:
    prices = [word for each in given for word in ("--price", each)]
    found = CliRunner().invoke(app, ["fit", *(f"{n}={p}" for n, p in runs.items()), *prices, "--budget", "0.008"])
    assert found.exit_code == 2
    assert said in " ".join(found.output.split())


def test_prices_of_runs_without_counted_prompts_are_not_passed_over(runs: dict[str, Path]) -> None:
    both = {name: Price(1, 4) for name in runs}
    with pytest.raises(ww.UsageError, match="run small cost in money is not known: the tokens of its prompts were not"):
        fit(runs, prices=both)


def test_fit_knows_cascades_and_routes_alone(runs: dict[str, Path]) -> None:
    kind: Any = "typo"
    with pytest.raises(ww.UsageError, match="kind"):
        fit(runs, kind=kind)


def test_what_it_says_it_learned_on(runs: dict[str, Path]) -> None:
    given = [f"{name}={path}" for name, path in runs.items()]
    prices = [word for name in runs for word in ("--price", f"{name}=0,10")]
    for more, unit in ((prices, ""), ([], " tokens")):
        done = CliRunner().invoke(app, ["fit", *given, *more])
        assert re.match(
            rf"learned on 12 problems \(each cost [\d.]+{unit}\), measured on 12 others$", done.stdout.splitlines()[0]
        )
