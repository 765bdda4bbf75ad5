"""The split of a gain into sampling, coverage and selection: worked examples, an identity, intervals, and commands."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import widthwise as ww
from tests.evals.made_runs import made_run
from widthwise.cli.app import app
from widthwise.evals.measure.gain import PARTS, Reached, efficiencies
from widthwise.evals.measure.standings import standings


def reached(one: list[float], covered: list[float], answered: list[float]) -> Reached:
    return Reached(np.array(one), np.array(covered), np.array(answered))


def test_worked_example(tmp_path: Path) -> None:
    """One sample against a vote over four, on four problems; 1 is right."""
    single = made_run(tmp_path / "single.db", [["1"], ["2"], ["2"], ["2"]])
    voted = made_run(
        tmp_path / "voted.db", [["1", "1", "2", "1"], ["2", "1", "1", "1"], ["2", "2", "2", "1"], ["2"] * 4]
    )
    first, second = ww.compare(single, voted)
    assert (first.one_sample, first.coverage, first.accuracy, first.efficiency) == (0.25, 0.25, 0.25, None)
    assert (second.one_sample, second.coverage, second.accuracy) == (7 / 16, 0.75, 0.5)
    assert second.efficiency is not None
    assert second.efficiency.mean == pytest.approx((0.5 - 7 / 16) / (0.75 - 7 / 16))
    assert first.split is None
    assert second.split is not None
    parts = [getattr(second.split, name).mean for name in PARTS]
    assert parts == pytest.approx([7 / 16 - 1 / 4, 0.75 - 7 / 16, 0.5 - 0.75])
    assert second.difference is not None
    assert sum(parts) == pytest.approx(second.difference.mean)


def test_the_parts_add_up_to_the_difference_whatever_the_grades_are() -> None:
    for seed in range(50):
        chance = random.Random(seed)
        a, b = (reached(*([chance.random() for _ in range(7)] for _ in range(3))) for _ in range(2))
        split = b.beyond(a)
        total = float((b.answered - a.answered).mean())
        assert sum(getattr(split, name).mean for name in PARTS) == pytest.approx(total)
        assert all(part.low <= part.mean <= part.high for part in (split.sampling, split.coverage, split.selection))


def test_the_intervals_are_paired_by_problem() -> None:
    """Problems differ widely, the runs by the same amount on each: the part is certain, its halves alone are not."""
    easy = [i / 20 for i in range(20)]
    a = reached(easy, [1.0] * 20, easy)
    b = reached([x + 0.05 for x in easy], [1.0] * 20, [x + 0.05 for x in easy])
    sampling = b.beyond(a).sampling
    assert [sampling.low, sampling.high] == pytest.approx([0.05, 0.05])
    assert b.efficiency() is not None


def test_the_efficiency_is_that_of_an_independent_bootstrap() -> None:
    chance = np.random.default_rng(5)
    one = chance.random(40)
    covered = one + (1 - one) * chance.random(40)
    answered = one + (covered - one) * chance.random(40)
    found = reached(list(one), list(covered), list(answered)).efficiency()
    assert found is not None
    drawn = chance.integers(0, 40, (4000, 40))
    ratios = (answered - one)[drawn].mean(axis=1) / (covered - one)[drawn].mean(axis=1)
    low, high = np.quantile(ratios, [0.025, 0.975])
    assert found.mean == pytest.approx((answered - one).mean() / (covered - one).mean())
    assert [found.low, found.high] == pytest.approx([low, high], abs=0.02)


@pytest.mark.parametrize(("answered", "expected"), [([0.5, 0.5], 0.0), ([1.0, 1.0], 1.0), ([0.0, 0.0], -1.0)])
def test_a_choice_at_random_has_no_efficiency_and_a_perfect_one_all(answered: list[float], expected: float) -> None:
    found = reached([0.5, 0.5], [1.0, 1.0], answered).efficiency()
    assert found is not None
    assert (found.mean, found.low, found.high) == (expected, expected, expected)


def test_traces_that_may_not_answer_are_no_samples(tmp_path: Path) -> None:
    [pruned] = standings([made_run(tmp_path / "pruned.db", [["1", "1"]], finish="pruned")])
    assert (pruned.one_sample, pruned.coverage, pruned.efficiency) == (0.0, 0.0, None)


def test_without_samples_nothing_is_reached(tmp_path: Path) -> None:
    [none] = standings([made_run(tmp_path / "none.db", [[], []])])
    assert (none.one_sample, none.coverage, none.efficiency) == (0.0, 0.0, None)


def test_a_curve_has_the_efficiency_of_each_method_at_each_k(tmp_path: Path) -> None:
    rows = [["1"] * n + ["2"] * (8 - n) for n in (1, 3, 5, 8)]
    curve = ww.curve(made_run(tmp_path / "a.db", rows), methods=["pass", "maj"])
    coverage, vote = curve.lines["pass"].accuracy, curve.lines["maj"].accuracy
    found = curve.lines["maj"].efficiency
    assert found is not None
    assert np.isnan(found[0])
    assert found[1:] == pytest.approx((vote[1:] - coverage[0]) / (coverage[1:] - coverage[0]))
    assert curve.lines["pass"].efficiency is None
    [run] = standings([tmp_path / "a.db"])
    assert run.efficiency is not None
    assert curve.lines["run"].efficiencies.tolist() == pytest.approx([run.efficiency.mean])
    column = curve.table()["efficiency"]
    assert len(column) == len(curve.table()["k"])
    own = curve.lines["run"].efficiencies.tolist()
    assert [value for value in column if not np.isnan(value)] == pytest.approx([*own, *found[1:].tolist()])


def test_nothing_between_one_sample_and_coverage_has_no_efficiency() -> None:
    assert np.isnan(efficiencies(np.full(3, 0.5), np.full(3, 0.5))).all()


def test_the_commands_say_it(tmp_path: Path) -> None:
    a = made_run(tmp_path / "a.db", [["1", "2", "2"]] * 3 + [["1"] * 3])
    b = made_run(tmp_path / "b.db", [["1", "1", "2"]] * 3 + [["1"] * 3])
    said = CliRunner().invoke(app, ["compare", str(a), str(b)])
    assert said.exit_code == 0, said.output
    assert all(word in said.stdout for word in ("by sampling", "by coverage", "by selection", "efficiency, %"))
    runs = json.loads(CliRunner().invoke(app, ["compare", str(a), str(b), "--json"]).stdout)["runs"]
    split = runs[1]["split"]
    assert sum(split[name]["mean"] for name in PARTS) == pytest.approx(runs[1]["difference"]["mean"])
    assert runs[0]["split"] is None
    drawn = CliRunner().invoke(app, ["curve", str(a)])
    assert "efficiency, %" in drawn.stdout
    table = ww.compare(a, b).table()
    assert [table[f"{name}_gain"][0] for name in PARTS] == [None] * 3
    assert sum(table[f"{name}_gain"][1] for name in PARTS) == pytest.approx(table["difference"][1])
