"""The table of published effects: one half chooses settings, the other half gives the figures, bars are applied."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench import effects
from bench import published_effects as claims
from widthwise.core.problem import Problem
from widthwise.core.session.ledger import Ledger
from widthwise.evals.store.outcome import Outcome
from widthwise.evals.store.store import Store

SAVING = claims.Effect("x", "p", "2 times", "base", ("a", "b"), bar=2.0, saves=claims.tokens)
GAIN = replace(SAVING, saves=None, bar=5.0)


def outcomes(right: str, tokens: list[int]) -> list[Outcome]:
    """A run: `1` for a problem that is answered correctly, and the cost of each."""
    return [
        Outcome(Problem(f"q-{i:03d}", "?", "1"), "done", correct=each == "1", ledger=Ledger(sampled=cost))
        for i, (each, cost) in enumerate(zip(right, tokens, strict=True))
    ]


BASE = outcomes("1110" * 25, [100] * 100)
CHEAP = outcomes("1110" * 25, [40, 60, 50, 50] * 25)
WORSE = outcomes("1100" * 25, [10] * 100)
BETTER = outcomes("1111" * 25, [100] * 100)


def found(effect: Any, run: list[Outcome], name: str = "a") -> Any:
    return effects.Found.of(effect, name, run, BASE)


def test_ratios_are_of_summed_costs_and_their_interval_holds_them() -> None:
    ratio, low, high = found(SAVING, CHEAP).ratio
    assert ratio == 2.0
    assert low < 2.0 < high
    spread = effects.ratio_of(np.array([1.0, 100.0]), np.array([1.0, 1.0]))
    assert spread == (50.5, 1.0, 100.0)


def test_a_saving_is_chosen_within_the_margin_and_a_gain_by_accuracy() -> None:
    cheap, worse, better = found(SAVING, CHEAP, "a"), found(SAVING, WORSE, "b"), found(SAVING, BETTER, "c")
    assert effects.chosen(SAVING, [worse, cheap, better]).strategy == "a", "b saves more, at 25 points"
    assert effects.chosen(SAVING, [worse]).strategy == "b", "where none is near, the most accurate"
    near = found(SAVING, outcomes("1110" * 23 + "1100" * 2, [20] * 100), "d")
    assert near.difference[0] == -2 == -SAVING.margin
    assert effects.chosen(SAVING, [near, cheap]).strategy == "d", "the margin may be lost"
    assert effects.chosen(replace(SAVING, margin=1.9), [near, cheap]).strategy == "a"
    assert effects.chosen(GAIN, [cheap, better, worse]).strategy == "c"


def test_bars() -> None:
    assert found(SAVING, CHEAP).reaches(SAVING)
    assert not found(SAVING, CHEAP).reaches(replace(SAVING, bar=2.1))
    near = found(SAVING, outcomes("1110" * 23 + "1100" * 2, [20] * 100))
    assert not near.reaches(SAVING), "by its interval, it may lose more"
    assert near.reaches(replace(SAVING, surely=False))
    assert not found(SAVING, WORSE).reaches(SAVING), "ten times fewer tokens, at 25 points"
    assert found(GAIN, BETTER).reaches(GAIN)
    assert not found(GAIN, CHEAP).reaches(GAIN)


def test_the_table_claims_nothing_that_was_not_run() -> None:
    saving = effects.Measured(found(SAVING, CHEAP), (found(SAVING, CHEAP),))
    lines = list(effects.rows([SAVING, GAIN, SAVING], [saving, effects.Measured(found(GAIN, BETTER)), None]))
    assert "| 100, 100 |" in lines[2]
    assert "2.00 times fewer tokens (" in lines[2]
    assert "+0.0 (+0.0 to +0.0), 75.0 against 75.0 %" in lines[2]
    assert "| 0, 100 |" in lines[3]
    assert "100.0 against 75.0 %" in lines[3]
    assert lines[4] == "| x (p) | | 2 times | not measured | | |"


def test_what_was_found_is_kept_by_effect(tmp_path: Path) -> None:
    measured = effects.Measured(found(SAVING, CHEAP), (found(SAVING, CHEAP), found(SAVING, WORSE, "b")))
    effects.keep(tmp_path, "x", measured)
    effects.keep(tmp_path, "y", effects.Measured(found(GAIN, BETTER)))
    assert effects.kept(tmp_path, "x") == measured
    assert effects.kept(tmp_path, "y").here.ratio is None
    assert effects.kept(tmp_path, "z") is None


def test_the_figure_shows_what_was_measured_in_the_unit_of_each_effect(tmp_path: Path) -> None:
    saved = replace(SAVING, reported=(1.5, 4.0))
    panels = [found(saved, CHEAP).panel(saved), found(GAIN, BETTER).panel(GAIN)]
    assert panels[0].here[0] == 2.0
    assert (panels[0].unit, panels[0].published) == ("times fewer tokens", (1.5, 4.0))
    assert panels[1].here[0] == 25.0
    assert (panels[1].unit, panels[1].published) == ("points gained", None)
    assert [(panel.none, panel.cost) for panel in panels] == [(1, ", at +0.0 (+0.0 to +0.0) points"), (0, "")]
    figure = effects.draw(panels)
    named = [[label.get_text() for label in plot.get_yticklabels()] for plot in figure.axes]
    assert named == [["here", "published"], ["here", "(no figure)"]]
    effects.save(figure, tmp_path / "effects.svg")
    assert (tmp_path / "effects.svg").read_text().endswith("</svg>\n")


def test_every_effect_names_strategies_that_can_be_read() -> None:
    from widthwise.core.strategy.composition import parse_strategy

    made = [make() for make in claims.EFFECTS]
    assert len({effect.name for effect in made}) == len(made) >= 9
    for effect in made:
        for strategy in (effect.baseline, *effect.methods):
            parse_strategy(strategy)


def test_effects_are_measured_on_other_problems_than_they_are_chosen_on_and_a_run_goes_on(tmp_path: Path) -> None:
    effect = claims.Effect(
        "vote", "p", "more", "best_of_n(n=1) | majority_vote()",
        ("best_of_n(n=3) | majority_vote()", "best_of_n(n=2) | majority_vote()"), bar=0.0,
    )  # fmt: skip
    bench = effects.Bench(tmp_path, "arithmetic", 3, 2, "embedded:reasoner", "scorer")
    measured = effects.measure(effect, bench)
    assert measured.choosing == 2
    assert measured.here.problems == 3
    seeds = sorted(file.name.partition("seed-")[2][0] for file in tmp_path.glob("*.db"))
    assert seeds == ["7", "7", "8", "8", "8"], "all settings on some problems, the chosen one on others"
    assert {file.name[:16] for file in tmp_path.glob("*seed-8*")} == {"arithmetic-n-2-s"}
    alone = replace(effect, name="again", methods=(measured.here.strategy,))
    assert effects.measure(alone, bench) == effects.Measured(measured.here), "nothing to choose"
    assert len(list(tmp_path.glob("*.db"))) == 5, "effects share runs"
    assert effects.measure(effect, bench) == measured


def test_a_method_that_stops_samples_replays_those_of_its_baseline(tmp_path: Path) -> None:
    effect = claims.deep_confidence()
    effect = replace(effect, methods=effect.methods[-1:])
    measured = effects.measure(effect, effects.Bench(tmp_path, "arithmetic", 2, 1, "embedded:reasoner", "scorer"))
    (vote,), (stopped,) = (list(tmp_path.glob(f"*seed-7*{name}*.db")) for name in ("best-of-n-n-64--maj", "deepconf"))
    with Store.read(stopped) as store:
        assert str(vote) in str(store.manifest["configuration"])
    assert measured.here.ratio[0] >= 1
