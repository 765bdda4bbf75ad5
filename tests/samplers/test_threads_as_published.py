"""Threads as published: each family's limits, and Adaptive Parallel Reasoning from its prompt to a checked answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.core.scripted import Scripted
from tests.samplers.test_threads import STATE, TEXTS, replies, run, spawning
from widthwise import Threads, UsageError
from widthwise.core.problem import Problem
from widthwise.core.prompting.grammar import ThreadLimits
from widthwise.core.session.scheduler import Scheduler
from widthwise.core.session.session import Session
from widthwise.core.session.setting import Setting
from widthwise.evals.grading.countdown import CountdownGrader
from widthwise.evals.suites.search_path import expression_of_path
from widthwise.models.formats import APR
from widthwise.models.thread_grammars import GRAMMARS

COUNTDOWN = Problem("c1", "Use the numbers 5, 9, 2, 4 to reach 36.", None, {"numbers": [5, 9, 2, 4], "target": 36})


def of_apr(backend: Any) -> Session:
    return Session(COUNTDOWN, Setting(Scheduler(backend), CountdownGrader(), APR))


@pytest.mark.parametrize(("calls", "prefix"), [(None, ""), (10, "Sub Call Budget: 10 "), (0, "Sub Call Budget: 0 ")])
async def test_apr_is_asked_with_the_searchs_first_state_and_its_budget(calls: int | None, prefix: str) -> None:
    backend = replies({"\n": "\nNo solution found."})
    await run(Threads(calls=calls), of_apr(backend))
    assert backend.tokenizer.decode(backend.requests[0].prompt) == f"{prefix}{STATE}\n"
    with pytest.raises(UsageError, match="cannot be told how many threads"):
        await Threads(calls=3)(spawning("threadweaver", Scripted(TEXTS)))


async def test_the_papers_search_with_one_spawn_is_carried_to_its_answer() -> None:
    """A parent spawns two children, one of which finds 18 = 2 + (9 - 5) * 4: the clean path is the answer."""
    call = (
        "Exploring Operation: 9-5=4, Resulting Numbers: [2, 4, 4]\nGenerated Node #0,0: 36:[2, 4, 4] Operation: 9-5=4\n"
        "Exploring Operation: 9*4=36, Resulting Numbers: [5, 2, 36]\n"
        "Generated Node #0,1: 36:[5, 2, 36] Operation: 9*4=36\n"
    )
    spawn = (
        "<Calling Sub Searches>\n<Start Sub Search 0 at level 1> Moving to Node #0,1\n"
        "<Start Sub Search 1 at level 1> Moving to Node #0,0\n<End Calling Sub Searches>"
    )
    steps = [(9, "-", 5, [2, 4, 4]), (4, "*", 4, [2, 16]), (2, "+", 16, [18])]
    clean = "\nMoving to Node #0\nCurrent State: 18:[5, 9, 2, 4], Operations: []\n"
    made = [4, 16, 18]
    for (a, op, b, left), z in zip(steps, made, strict=True):
        clean += f"Exploring Operation: {a}{op}{b}={z}, Resulting Numbers: {left}\n"
    goal = "18,18 equal: Goal Reached"
    problem = replace(COUNTDOWN, metadata={"numbers": [5, 9, 2, 4], "target": 18})
    first = STATE.replace("36", "18") + "\n"
    table = {
        first: call.replace("36:", "18:") + spawn,
        "Current State: 18:[5, 2, 36], Operations: ['9*4=36']\n": "No solution found.",
        "Current State: 18:[2, 4, 4], Operations: ['9-5=4']\n": f"x {goal}\nMoving to Node #0,0\n{goal}",
        "<End Sub Searches>\n": f"{goal}{clean}{goal}",
    }
    backend = replies(table)
    session = Session(problem, Setting(Scheduler(backend), CountdownGrader(), APR))
    result = await run(Threads(), session)
    assert result.answer == "2 + ((9 - 5) * 4)"
    assert await CountdownGrader().correct(problem, result.answer)
    assert result.notes == ()


@pytest.mark.parametrize(
    ("wrong", "instead"),
    [
        ("9-5=4", "9-5=3"),
        ("[2, 4, 4]", "[2, 4, 5]"),
        ("2+16=18", "2+17=19"),
        ("Operations: []", "Operations: ['1+1=2']"),
    ],
)
def test_a_path_that_does_not_hold_is_no_answer(wrong: str, instead: str) -> None:
    path = (
        "18,18 equal: Goal Reached\nMoving to Node #0\nCurrent State: 18:[5, 9, 2, 4], Operations: []\n"
        "Exploring Operation: 9-5=4, Resulting Numbers: [2, 4, 4]\n"
        "Exploring Operation: 4*4=16, Resulting Numbers: [2, 16]\n"
        "Exploring Operation: 2+16=18, Resulting Numbers: [18]\n18,18 equal: Goal Reached"
    )
    assert expression_of_path(path) == "2 + ((9 - 5) * 4)"
    assert wrong in path
    assert expression_of_path(path.replace(wrong, instead)) is None
    assert CountdownGrader().extract(path.replace(wrong, instead)) is None
    assert expression_of_path(path.rpartition("Goal")[0]) is None


# -- the publications' limits ------------------------------------------------------------------------------------


def limits(family: str, **own: Any) -> ThreadLimits:
    return Threads(**own).within(GRAMMARS[family].limits)


def test_the_publications_limits_are_the_defaults_and_arguments_go_before_them() -> None:
    assert limits("parallel-r1") == ThreadLimits(width=2, rounds=4, tokens=4096, temperature=1.0)
    assert (limits("threadweaver").width, limits("threadweaver").rounds) == (50, 16)
    assert limits("multiverse").depth == 5
    assert limits("reasoner") == ThreadLimits(width=8, rounds=8, depth=1)
    own = limits("parallel-r1", width=6, rounds=1, thread_tokens=20, thread_temperature=0.7, depth=0)
    assert own == ThreadLimits(width=6, rounds=1, depth=0, tokens=20, temperature=0.7)


async def test_parallel_r1_spawns_two_paths_that_differ_though_the_trace_is_greedy() -> None:
    table = {"1+1?\n": "Plan.<Parallel>", "<Path>": " one</Path>", "<Summary>": " both</Summary> so = 2"}
    backend = replies(table)
    await run(Threads(temperature=0.0), spawning("parallel-r1", backend))
    ends = {r.seed: backend.tokenizer.decode(r.prompt).endswith("<Path>") for r in backend.requests}
    paths, others = ([r for r in backend.requests if ends[r.seed] == of_path] for of_path in (True, False))
    assert len(paths) == 2
    assert {(r.params.temperature, r.params.max_tokens) for r in paths} == {(1.0, 4096)}
    assert len({r.seed for r in paths}) == 2
    assert {r.params.temperature for r in others} == {0.0}


async def test_threadweaver_takes_fifty_outlines() -> None:
    for number in (50, 51):
        outlines = "".join(f"<Outline>{n}: x</Outline>\n" for n in range(1, number + 1))
        table = {
            "1+1?\n": f"<Parallel>\n<Outlines>\n{outlines}</Outlines>",
            ":": " x\n</Thread>",
            "\n": "</Parallel> = 2",
        }
        result = await run(Threads(), spawning("threadweaver", replies(table)))
        assert len(result.fragments) == 50
        assert len(result.notes) == (number == 51)
