"""Odd values from outside: half characters, invalid numbers, errors that cannot describe themselves."""

from __future__ import annotations

import json
import math
import re
from typing import Any, get_args

import pytest

import widthwise as ww
from widthwise.core.answer import TieBreak
from widthwise.core.errors import UsageError, reason_of
from widthwise.core.plain_json import parse
from widthwise.core.problem import Problem
from widthwise.evals.store.segment_rows import to_json
from widthwise.evals.suites.suite import digest

HALF = "x\ud800y"


def test_problems_and_stop_strings_hold_no_half_characters() -> None:
    problem = Problem(HALF, HALF, HALF)
    assert (problem.id, problem.text, problem.answer) == ("x\ufffdy",) * 3
    assert ww.SamplingParams(stop=(HALF,)).stop == ("x\ufffdy",)
    assert ww.solve(Problem(HALF, HALF, HALF, {HALF: HALF}), "single()", max_tokens=2, stop=(HALF,)).traces


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["temperature", "top_p", "min_p", "repetition_penalty", "presence_penalty"])
def test_sampling_goes_by_numbers(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        ww.SamplingParams(**{name: value})


@pytest.mark.parametrize("metadata", [{"x": {1: 2, "a": 3}}, {"x": 10**400}, {"x": None}])
def test_metadata_that_no_run_file_could_keep_is_refused(metadata: dict[str, Any]) -> None:
    if metadata["x"] is None:
        metadata["x"] = deep = []  # type: ignore[var-annotated]
        for _ in range(100_000):
            deep.append(deep := [])
    with pytest.raises(UsageError, match="the metadata of problem p cannot be kept as JSON"):
        digest([Problem("p", "1+1?", "2", metadata)])


def test_numbers_that_no_reader_takes_are_not_written() -> None:
    with pytest.raises(ValueError, match="is too large"):
        to_json({"x": 10**400})
    assert parse(to_json({"x": 10**300})) == {"x": 10**300}
    assert json.loads(to_json({"x": math.nan})) == {"x": None}


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("why"), "ValueError: why"),
        (MemoryError(), "MemoryError"),
        (Mute(), "Mute"),
        (ExceptionGroup("several", [ExceptionGroup("one", [KeyError("k")])]), "KeyError: 'k'"),
        (ExceptionGroup("two", [ValueError(), ValueError()]), "ExceptionGroup: two (2 sub-exceptions)"),
    ],
)
def test_errors_of_others_say_what_they_can(error: BaseException, said: str) -> None:
    assert reason_of(error) == said


VOTES = [
    *(ww.MajorityVote, ww.WeightedVote, ww.BordaVote, ww.League, ww.Knockout, ww.GenerativeVerification),
    *(ww.SelfVerification, ww.ProgramCheck, ww.UniversalSelfConsistency, ww.GenSelect, ww.GenSynthesis),
    ww.PivotTournament,
]


@pytest.mark.parametrize("vote", VOTES)
@pytest.mark.parametrize("tie", ["x", "First", 3, None, ["first"]])
def test_a_tie_is_broken_in_a_known_way(vote: Any, tie: Any) -> None:
    with pytest.raises(UsageError, match="tie must be one of first, random, shortest, not"):
        vote(tie=tie)
    assert [vote(tie=each).tie for each in get_args(TieBreak)] == ["first", "random", "shortest"]


def test_a_tie_is_checked_in_text_and_in_elect() -> None:
    with pytest.raises(UsageError, match=r"^majority_vote: tie must be one of first, random, shortest, not 'x'"):
        ww.solve("1+1?", "best_of_n(n=2) | majority_vote(tie='x')")
    with pytest.raises(UsageError, match="tie must be one of first, random, shortest, not 'x'"):
        ww.elect([], "x")  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [3, ["mean_logprob"], None, b"reward"])
def test_the_name_of_a_score_is_a_text(value: Any) -> None:
    for make, name in ((ww.BestBy, "score"), (ww.WeightedVote, "by"), (ww.BordaVote, "by")):
        with pytest.raises(UsageError, match=f"{name} must be a text, not "):
            make(**{name: value})


@pytest.mark.parametrize("c", [math.nan, math.inf, -1])
def test_exploration_is_weighted_with_a_number(c: float) -> None:
    for policy in (ww.UCT, ww.PUCT):
        with pytest.raises(UsageError, match=f"^{policy.__name__}: .*c (not below 0|must be a number)"):
            policy(c=c)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("stop", [1], "stop must be a text or a list of texts, not [1]"),
        ("stop", 4, "stop must be a text or a list of texts, not 4"),
        ("stop", b"x", "stop must be a text or a list of texts, not b'x'"),
        ("stop", "", "an empty stop string would stop at once"),
        ("stop_token_ids", 4, "stop_token_ids must be a list of whole numbers, not 4"),
        ("stop_token_ids", ["a"], "a token of stop_token_ids must be a whole number of at least 0, not 'a'"),
        ("max_tokens", 3.5, "max_tokens must be a whole number, not 3.5 (float)"),
        ("max_tokens", 0, "max_tokens must be at least 1, not 0"),
        ("temperature", "hot", "temperature must be a number, not 'hot' (str)"),
        ("top_p", 2, "top_p must be in (0, 1], not 2"),
        ("logprobs", True, "logprobs must be a whole number, not True (bool)"),
    ],
)
def test_sampling_parameters_are_refused_alike_everywhere(name: str, value: Any, said: str) -> None:
    given: dict[str, Any] = {name: value}
    for make in (ww.SamplingParams, ww.SamplingParams().changed, lambda **given: ww.solve("1+1?", **given)):
        with pytest.raises(UsageError, match=f"^{re.escape(said)}$"):
            make(**given)


def test_a_single_stop_string_is_one() -> None:
    params: Any = ww.SamplingParams
    assert params(stop="four").stop == params().changed(stop="four").stop == ("four",)
    assert params(stop=["a", "b"], stop_token_ids=[1, 2]) == params(stop=("a", "b"), stop_token_ids=(1, 2))
