"""Every value prints in one short line, which contains no secret and, for a strategy, can be read back."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, is_dataclass
from typing import Any

import numpy as np
import pytest

import widthwise as ww
from widthwise.core.backend import Delta, TokenStats
from widthwise.core.brief import Brief, brief
from widthwise.core.conversation import Conversation
from widthwise.core.secrets import keep_secret
from widthwise.core.session.journal import request_digest
from widthwise.core.strategy.composition import parse_strategy
from widthwise.core.trace.recording import Recording, Sample
from widthwise.evals.suites.suites import load_suite
from widthwise.opening import open_backend

HUGE = "x" * 1_000_000
LONG = np.zeros(100_000, np.int64)
SEGMENT = ww.Segment("sampled", LONG, HUGE, TokenStats(np.zeros(100_000, np.float32)), "stop")
TRACE = ww.Trace((0, 3), SEGMENT)
NODE = ww.Node(TRACE, score=0.5)
PROBLEM = ww.Problem("one", HUGE, metadata={"hints": ("x",) * 100})

VALUES: list[Any] = [
    SEGMENT,
    TRACE,
    NODE,
    PROBLEM,
    ww.StepTree([NODE] * 1000, 1000, [(NODE, 3)]),
    ww.Answer(HUGE, TRACE, tuple([ww.AnswerClass(HUGE, (TRACE,) * 100, 3.0)] * 100)),
    ww.AnswerClass(HUGE, (TRACE,) * 100, 3.0),
    ww.Result(HUGE, (TRACE,) * 1000, ww.Ledger(sampled=10**9), ww.Answer(HUGE), errors=(HUGE,) * 9),
    ww.Ledger(*range(1, 19)),
    ww.SamplingParams(stop=(HUGE,) * 9, temperature=0.123456789),
    ww.Solution((HUGE,) * 100),
    ww.StepScores((0.1,) * 100_000),
    ww.PromptFormat("family", system=HUGE, prompts={"one": HUGE, "two": HUGE}),
    ww.Frontier((NODE,) * 1000, 5),
    ww.Selection({NODE: 3}, {NODE: HUGE}),
    ww.Decision(),
    ww.Suite("own", (PROBLEM,) * 5, load_suite("arithmetic", limit=1).grader, HUGE),
    ww.RunSettings.of("best_of_n(n=3)", template_args={"system": HUGE}),
    Delta(LONG, TokenStats(np.zeros((3, 4), np.float32))),
    Conversation(({"role": "user", "content": HUGE},) * 100),
    Recording(PROBLEM, (Sample(HUGE),) * 100),
]


@pytest.mark.parametrize("value", VALUES, ids=[type(value).__name__ for value in VALUES])
def test_a_value_prints_in_a_line_however_much_it_holds(value: Any) -> None:
    line = repr(value)
    assert line.startswith(f"{type(value).__name__}(")
    assert "\n" not in line
    assert len(line) < 300
    assert len(str(value)) < 300


def test_all_public_values_print_briefly() -> None:
    """Covers every dataclass that the package exports, including new ones."""
    values = [part for name in ww.__all__ if is_dataclass(part := getattr(ww, name)) and inspect.isclass(part)]
    assert len(values) > 50
    assert [value for value in values if not issubclass(value, Brief)] == []


async def test_what_is_made_of_functions_prints_briefly() -> None:
    graders = [load_suite(name, limit=1).grader for name in ("arithmetic", "countdown", "recorded_math")]
    backend = ww.FunctionBackend(lambda prompt: "1")
    for value in (*graders, backend, ww.FunctionRewardModel(lambda problem, steps: [1.0])):
        assert repr(value).startswith(f"{type(value).__name__}(")
        assert len(repr(value)) < 300
        assert " at 0x" not in repr(value)


@pytest.mark.parametrize(
    "spelled",
    [
        "best_of_n(n=16) | majority_vote()",
        "best_of_n(n=4, temperature=0.5) | esc() | budget(tokens=500) | weighted_vote(by='reward_model')",
        "tree_search(n=8, select=distinct_steps() | top_k(children=4))",
    ],
)
def test_a_strategy_prints_as_the_text_that_reads_back(spelled: str) -> None:
    strategy = parse_strategy(spelled)
    assert repr(strategy) == spelled
    assert parse_strategy(repr(strategy)) == strategy
    assert [eval(repr(str(strategy)))] == [str(strategy)]
    assert repr(strategy.sampler) == spelled.split(" | ")[0] or "select" in spelled


def test_parts_of_ones_own_print_like_the_built_in_ones() -> None:
    @dataclass(frozen=True)
    class Mine(ww.Part):
        n: int = 3
        word: str = "yes"

    assert repr(Mine(word="no")).endswith("Mine(n=3, word='no')")
    assert "word" not in repr(Mine())

    class Told(Mine):
        def __repr__(self) -> str:
            return "told"

    class Heir(Told): ...

    assert [repr(Told()), repr(Heir())] == ["told", "told"]


def test_no_repr_shows_a_secret() -> None:
    keep_secret("sk-a-secret-of-mine-0123456789")
    arguments = {"api_key": "another-0123456789", "headers": {"Authorization": "Bearer third-0123456789"}}
    settings = ww.RunSettings(model="http://user:fourth-pass@host/v1?token=fifth-token", backend_args=arguments)
    problem = ww.Problem("one", "what is sk-a-secret-of-mine-0123456789?")
    cut = ww.Problem("two", "x" * 20 + "sk-a-secret-of-mine-0123456789" + "x" * 100)
    said = " ".join(map(repr, [settings, problem, cut]))
    assert "***" in said
    for secret in ("sk-a-secret", "another-0", "third-0", "fourth-pass", "fifth-token"):
        assert secret not in said


async def test_a_backend_prints_its_name() -> None:
    assert repr(await open_backend("embedded:reasoner")).startswith("EmbeddedBackend('embedded:")


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (np.zeros((2, 3), np.float32), "<float32 [2, 3]>"),
        ([1, 2.0], "[1, 2]"),
        ((1,), "(1,)"),
        (set(), "set()"),
        (list(range(1000)), "<1,000 items>"),
        (b"abc", "<3 bytes>"),
        ({"token": "abcdef", "n": 1}, "{'token': ***, 'n': 1}"),
        (len, "len"),
        ("\x1b[2J\u202e", r"'\x1b[2J\u202e'"),
    ],
)
def test_what_is_inside_of_values_prints_briefly(value: object, line: str) -> None:
    assert brief(value) == line


def test_a_recorded_request_is_found_whatever_its_parameters_print_like() -> None:
    """Older run files contain digests that were computed from the dataclass's own ``repr``."""
    prompt = np.arange(5)
    assert request_digest(prompt, ww.SamplingParams()) == "95606a2afb6015e8f418d386"
    penalised = ww.SamplingParams(temperature=0.6, stop=("a",), presence_penalty=0.5)
    assert request_digest(prompt, penalised) == "4fb58a1749e1c94607c4fa4d"
