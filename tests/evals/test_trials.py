"""How reliable the samples of compared runs are: pass^k and G-Pass@k, paired by problem."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import widthwise as ww
from tests.evals.made_runs import made_run
from tests.evals.test_report import blocks
from widthwise.cli.app import app
from widthwise.evals.measure.intervals import paired
from widthwise.evals.measure.standings import Standing, standings
from widthwise.evals.measure.trials import Reliability, Trials, reliabilities
from widthwise.evals.views.report import write_report

SURE = [["1"] * 6, ["1"] * 5 + ["2"], ["2"] * 6, ["1"] * 6]
UNSURE = [["1"] * 4 + ["2"] * 2, ["1"] * 3 + ["2"] * 3, ["1", *["2"] * 5], ["1"] * 6]


def by_hand(rows: list[list[str]], k: int, least: int) -> np.ndarray:
    """The share of all sets of k samples in which at least so many are right, problem by problem."""
    sets = [list(combinations([answer == "1" for answer in row], k)) for row in rows]
    return np.array([np.mean([sum(each) >= least for each in of]) for of in sets])


def made(folder: Path) -> list[Path]:
    return [made_run(folder / "unsure.db", UNSURE), made_run(folder / "sure.db", SURE)]


def one(standing: Standing, measure: str) -> Reliability:
    return next(each for each in standing.reliability if each.measure == measure)


@pytest.mark.parametrize("k", [1, 2, 4, 6])
def test_reliability_counted_over_all_sets_of_samples(tmp_path: Path, k: int) -> None:
    first, second = standings(made(tmp_path), k=k)
    for measure, least in (("all", k), ("gpass:0.75", -(-3 * k // 4))):
        unsure, sure = by_hand(UNSURE, k, least), by_hand(SURE, k, least)
        assert one(first, measure).mean == pytest.approx(unsure.mean())
        assert one(first, measure).difference is None
        assert one(first, measure).low <= unsure.mean() <= one(first, measure).high
        found, wanted = one(second, measure).difference, paired(sure, unsure)
        assert found is not None
        assert (found.mean, found.low, found.high) == pytest.approx((wanted.mean, wanted.low, wanted.high))


def test_p_values_are_adjusted_and_the_measures_can_be_chosen(tmp_path: Path) -> None:
    base, *others = made(tmp_path)
    _, alone = standings([base, *others], reliability=["mgpass"])
    _, among, _ = standings([base, others[0], others[0]], reliability=["mgpass"])
    assert [each.measure for each in alone.reliability] == ["mgpass"]
    assert alone.reliability[0].difference is not None
    assert among.reliability[0].difference is not None
    assert among.reliability[0].difference.p == pytest.approx(min(2 * alone.reliability[0].difference.p, 1))
    with pytest.raises(ww.UsageError, match="unknown measure 'maj': write all, gpass:SHARE"):
        standings([base], reliability=["maj"])
    with pytest.raises(ww.UsageError, match="unknown measure 1: write all, gpass:SHARE"):
        ww.compare(base, reliability=[1])  # type: ignore[list-item]
    with pytest.raises(ww.UsageError, match="at least 1, not 0"):
        ww.compare(base, k=0)


def test_k_is_what_all_runs_have_and_at_most_eight(tmp_path: Path) -> None:
    wide = made_run(tmp_path / "wide.db", [["1"] * 20] * 2)
    some = made_run(tmp_path / "some.db", [["1"] * 6, ["2"] * 5])
    single = made_run(tmp_path / "one.db", [["1"], ["2"]], strategy="single() | majority_vote()")
    assert {each.k for of_run in standings([wide]) for each in of_run.reliability} == {8}
    first, second, third = standings([wide, some, single])
    assert {each.k for each in (*first.reliability, *second.reliability)} == {5}
    assert third.reliability == ()
    assert third.no_reliability == "some problem has only 1 of the 5 samples"
    assert standings([some], k=7)[0].no_reliability == "some problem has only 5 of the 7 samples"


@pytest.mark.parametrize(
    ("strategy", "finish", "why"),
    [
        ("tree_search(n=4) | majority_vote()", "stop", "the traces of tree_search are not independent"),
        ("best_of_n(n=4) | majority_vote()", "pruned", "traces were stopped online"),
    ],
)
def test_what_is_no_trial_says_so(tmp_path: Path, strategy: str, finish: str, why: str) -> None:
    searched = made_run(tmp_path / "a.db", UNSURE, strategy=strategy, finish=finish)  # type: ignore[arg-type]
    plain = made_run(tmp_path / "b.db", SURE)
    first, second = standings([searched, plain])
    assert first.reliability == ()
    assert why in first.no_reliability
    assert second.reliability
    assert one(second, "all").difference is None  # the first has nothing to be compared with
    said = CliRunner().invoke(app, ["compare", str(searched), str(plain)]).stdout
    assert f"a: its reliability is not known: {why}" in said


def test_samples_right_in_part_have_no_share_of_right_ones() -> None:
    half = Trials((np.array([0.5, 1.0, 1.0]), np.array([0.0, 1.0, 1.0])))
    [found] = reliabilities([half], k=2)
    assert [each.measure for each in found.known] == ["all"]
    assert found.known[0].mean == pytest.approx(np.mean([(0.5 + 0.5 + 1) / 3, 1 / 3]))
    assert "right in part" in found.why_not


def test_a_problem_whose_requests_all_failed_is_not_reliable() -> None:
    [found] = reliabilities([Trials((np.ones(4), np.empty(0)))], ["all"], 4)
    assert found.known[0].mean == 0.5


def test_commands_and_pages_show_reliability(tmp_path: Path) -> None:
    runs = made(tmp_path)
    said = CliRunner().invoke(app, ["compare", *map(str, runs), "--k", "4", "--reliability", "all"]).stdout
    assert said.count("pass^4") == 2
    assert "G-Pass" not in said
    printed = CliRunner().invoke(app, ["compare", *map(str, runs), "--json"]).stdout
    second = json.loads(printed)["runs"][1]
    assert [each["k"] for each in second["reliability"]] == [6, 6]
    assert second["reliability"][0]["difference"]["mean"] == pytest.approx(
        (by_hand(SURE, 6, 6) - by_hand(UNSURE, 6, 6)).mean()
    )
    table = ww.compare(*runs, k=4).table()
    assert table["all@4"] == pytest.approx([by_hand(UNSURE, 4, 4).mean(), by_hand(SURE, 4, 4).mean()])
    assert table["gpass:0.75@4_difference"][0] is None
    write_report(runs, tmp_path / "a.html", methods=["maj", "gpass:0.9"])
    told = blocks(tmp_path / "a.html")["main"]["gains"]
    assert [of["name"] for each in told for of in each["reliability"]] == ["G-Pass@6, 90 % right"] * 2
    assert told[1]["reliability"][0]["difference"]["mean"] > 0
