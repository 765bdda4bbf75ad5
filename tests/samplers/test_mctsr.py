"""Monte Carlo tree self-refine against its loop written anew, with a model that grades by chance."""

from __future__ import annotations

import itertools
import logging
import math
import random
from dataclasses import replace
from typing import Any

import pytest

from tests.samplers.talker import Talker, talk
from tests.samplers.test_search_as_released import luck_of
from widthwise import MCTSr
from widthwise.core.prompting.prompt import PromptFormat
from widthwise.core.session.limits import Limits
from widthwise.core.strategy.strategy import Strategy
from widthwise.models.formats import GENERIC
from widthwise.pruning.self_refine import Attempt, chosen, qualities
from widthwise.samplers.mctsr import NOTHING

FORMAT = PromptFormat(
    "refining",
    template="{problem}",
    prompts={"grade": "grade:{draft}", "criticise": "criticise:{draft}", "rewrite": "rewrite:{draft}|{feedback}"},
)
BOTH = pytest.mark.parametrize("deterministic", [True, False])


def grade(seed: int, draft: str, number: int) -> int:
    return int(luck_of(seed, draft, number) * 201) - 100


class Model:
    """Answers a1, a2 ... and grades each of them by chance, differently each time."""

    def __init__(self, seed: int, silent: float = 0.0) -> None:
        self.seed, self.silent = seed, silent
        self.graded: dict[str, int] = {}
        self.answers = itertools.count(1)

    def __call__(self, prompt: str, index: int) -> str:
        kind, _, rest = prompt.partition(":")
        if kind == "criticise":
            return f"flaws of {rest}"
        if kind != "grade":
            return f"= a{next(self.answers)}"
        number = self.graded[rest] = self.graded.get(rest, 0) + 1
        if luck_of("silent", self.seed, rest, number) < self.silent:
            return "I would rather not say"
        return f"It is so so.\nScore: {grade(self.seed, rest, number)}"


def refined(seed: int, rollouts: int) -> tuple[list[str], dict[str, float]]:
    """The answers that are chosen, and every answer's Q, with dictionaries as in the released loop."""
    first = "= a1"
    order, rewards = [first, NOTHING], {first: [], NOTHING: []}
    father: dict[str, str | None] = {first: None, NOTHING: None}
    childs: dict[str, list[str]] = {first: [], NOTHING: []}

    def visit(answer: str) -> None:
        got = grade(seed, answer, len(rewards[answer]) + 1)
        rewards[answer].append(50 if got >= 95 else got)

    def base(answer: str) -> float:
        return (min(rewards[answer]) + sum(rewards[answer]) / len(rewards[answer])) / 2

    def value(answer: str) -> float:
        below = [value(child) for child in childs[answer]]
        return (base(answer) + max(below)) / 2 if below else base(answer)

    def ucb(answer: str) -> float:
        above = father[answer]
        visits = 0 if above is None else len(rewards[above])
        return value(answer) + 1.4 * math.sqrt(math.log(visits + 1) / (len(rewards[answer]) + 1e-5))

    visit(first)
    visit(NOTHING)
    picked = []
    for number in range(2, rollouts + 2):
        able = [a for a in order if len(childs[a]) < 3 or max(map(base, childs[a])) < base(a)]
        best = able[0]
        for answer in able[1:]:
            best = answer if ucb(answer) > ucb(best) else best
        picked.append(best)
        visit(best)
        new = f"= a{number}"
        order.append(new)
        rewards[new], father[new], childs[new] = [], best, []
        visit(new)
        childs[best].append(new)
    return picked, {answer: value(answer) for answer in order}


@pytest.mark.parametrize("seed", range(12))
async def test_as_its_description_says(seed: int) -> None:
    s = talk(Talker(Model(seed)), format=FORMAT)
    traces = await MCTSr(rollouts=12)(s)
    picked, values = refined(seed, 12)
    rewritten = [prompt.partition(":")[2].partition("|")[0] for prompt in _backend(s).begun("rewrite")]
    assert rewritten == [p for i, p in enumerate(picked) if p not in picked[:i]]
    found = {trace.completion.rstrip("\0"): trace.metadata["score"] for trace in traces}
    assert found == pytest.approx({name: (q + 100) / 200 for name, q in values.items() if name != NOTHING})
    assert len(traces) == 13


def _backend(session: Any) -> Talker:
    backend: Talker = session._shared.voices.first.setting.scheduler.backend
    return backend


def test_a_worked_example() -> None:
    """Grades 60 and 20 make 30; a child of 80 makes it 55. Grades above 95 are 50, and no grade is the worst."""
    first, other = Attempt("a"), Attempt("b")
    for got in (60, 20):
        first.graded(got)
    other.graded(None)
    assert (first.own, other.own) == (30.0, -100.0)
    child = first.refined("c")
    child.graded(80)
    assert qualities([first, other, child]) == {first: 55.0, other: -100.0, child: 80.0}
    grown = child.refined("d")
    grown.graded(97)
    assert qualities([first, other, child, grown])[child] == 65.0
    assert qualities([first, other, child, grown])[first] == 47.5
    # 80 and 50 make 65 for the child, plus 1.4 sqrt(ln 3 / 1); its parent and its own child have less.
    assert chosen([first, other, child, grown], 3, 1.4) is child


def test_an_answer_with_all_its_versions_is_left_out_unless_it_is_better() -> None:
    first = Attempt("a")
    first.graded(40)
    versions = [first.refined(name) for name in "bc"]
    for version in versions:
        version.graded(10)
    assert chosen([first, *versions], 2, 0.0) is first
    versions[1].rewards = [41.0]
    assert chosen([first, *versions], 2, 0.0) is versions[1]


@BOTH
async def test_grades_that_cannot_be_read_are_counted(deterministic: bool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="widthwise")
    model = Model(3, silent=0.5)
    s = talk(Talker(model, delays=None if deterministic else random.Random(1)), format=FORMAT)
    traces = await MCTSr(rollouts=6)(s)
    assert len(traces) == 7
    asked = sum(model.graded.values())
    silent = sum(luck_of("silent", 3, d, i) < 0.5 for d, n in model.graded.items() for i in range(1, n + 1))
    assert [note.text for note in s.notes] == [f"{silent} of {asked} judges' replies named no verdict"]
    assert "named no verdict" in caplog.text


async def test_an_answer_that_says_nothing_is_not_refined_and_not_returned() -> None:
    """The model writes nothing the first time; the search begins from the answer that says nothing."""
    model = Model(1)
    s = talk(Talker(lambda p, i: "" if not p.partition(":")[1] else model(p, i)), format=FORMAT)
    assert len(await MCTSr(rollouts=3)(s)) == 3


@pytest.mark.parametrize("samples", [1, 3])
async def test_a_budget_ends_the_search_and_what_there_is_comes_out(samples: int) -> None:
    s = talk(Talker(Model(1)), format=FORMAT, budget=Limits(samples=samples))
    result = await Strategy(MCTSr(rollouts=20)).run(s)
    assert result.ledger.samples == samples
    assert len(result.traces) == samples
    assert all("score" in trace.metadata for trace in result.traces)


async def test_a_reply_that_was_cut_off_is_no_grade() -> None:
    s = talk(Talker(Model(1)), format=FORMAT, budget=Limits(tokens=20))
    [trace] = (await Strategy(MCTSr(rollouts=20)).run(s)).traces
    assert trace.metadata["score"] == 0.0


async def test_a_model_that_was_trained_to_say_right_or_wrong_grades_by_that_word() -> None:
    """A reply with neither word is no grade, and a number still is one."""
    worth = {"+": 100.0, "-": -100.0, "Score: 7": 7.0, "it is so so": None}
    said, answers = itertools.cycle(worth), itertools.count(1)

    def says(prompt: str, index: int) -> str:
        return next(said) if prompt.startswith("grade:") else f"= {next(answers)}"

    s = talk(Talker(says), format=replace(FORMAT, grades={"+": 100.0, "-": -100.0}))
    await MCTSr(rollouts=4)(s)
    graded = [reply for reply in s.judgements if "grade" in reply.metadata]
    assert {reply.completion.strip("\0"): reply.metadata["grade"] for reply in graded} == worth


def test_any_chat_model_can_be_asked() -> None:
    assert all(GENERIC.prompt(name) for name in MCTSr().questions)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: MCTSr(rollouts=-1), "rollouts"),
        (lambda: MCTSr(children=0), "children"),
        (lambda: MCTSr(c=-1.0), "c not below"),
        (lambda: MCTSr(workspace_tokens=1), "workspace_tokens"),
    ],
)
def test_wrong_arguments(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()
