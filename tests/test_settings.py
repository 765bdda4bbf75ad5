"""One value for everything that determines a run's results."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import get_type_hints

import pytest

import widthwise as ww
from widthwise.asking import Asking
from widthwise.cli.settings_options import settings_of
from widthwise.core.backend import SamplingParams
from widthwise.settings import Options, RunSettings


def test_what_python_callers_may_say_is_what_there_is() -> None:
    # The first two are separate arguments; the others are taken from fields.
    settled_apart = {"model", "strategy", "asking", "given"}
    known = {f.name for value in (RunSettings, Asking, SamplingParams) for f in fields(value)}
    assert set(get_type_hints(Options)) == (known - settled_apart) | {"system"}


def test_the_defaults_of_commands_and_functions_are_those_of_the_settings() -> None:
    assert settings_of() == RunSettings.of() == RunSettings()
    for function in (ww.solve, ww.solve_async, ww.sweep):
        parameters = inspect.signature(function).parameters.values()
        assert {p.default for p in parameters if p.name in ("strategy", "model")} <= {None}


def test_a_budget_of_ones_own_goes_before_the_strategys() -> None:
    settings = RunSettings.of("best_of_n(n=3) | budget(samples=2, tokens=1000)", budget=ww.Budget(samples=1))
    assert settings.configuration["budget_samples"] == 1
    assert settings.configuration["budget_tokens"] == 1000
    assert RunSettings.of("best_of_n(n=3)").budget is None


def test_equal_settings_are_equal_however_they_are_said() -> None:
    said = RunSettings.of("best_of_n(4)", model="reasoner", temperature=0.5, stop="x", limit=None)
    assert said == RunSettings.of(ww.BestOfN(4), model="embedded:reasoner", temperature=0.5, stop=("x",))
    assert "limit" in said.configuration
    assert said.configuration["model"] == "embedded:reasoner"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temprature": 1}, "no setting 'temprature'; did you mean 'temperature'"),
        ({"model": "resoner"}, "did you mean 'reasoner'"),
        ({"temperature": -1}, "temperature must be at least 0"),
        ({"grader": "mth"}, "unknown grader 'mth'; did you mean 'math'"),
        ({"grader": object()}, "a grader is an object, or a class without arguments, that derives from ww.Grader"),
    ],
)
def test_a_wrong_setting_is_one_sentence(options: dict[str, object], words: str) -> None:
    with pytest.raises(ww.UsageError) as caught:
        RunSettings.of(**options)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
