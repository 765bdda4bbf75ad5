"""Tree of thoughts against its two algorithms written anew, with a model that judges by a table or by chance."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from tests.core.scripted import PlainGrader, Replying
from tests.samplers.test_search_as_released import Policy, luck_of
from widthwise import TreeOfThoughts, UsageError
from widthwise.core.problem import Problem
from widthwise.core.prompting.prompt import PromptFormat
from widthwise.core.session.limits import Limits
from widthwise.core.session.scheduler import Scheduler
from widthwise.core.session.session import Session
from widthwise.core.session.setting import Setting
from widthwise.core.strategy.strategy import Strategy
from widthwise.models.formats import GENERIC, REASONER

FORMAT = PromptFormat(
    "thoughts",
    template="{problem}",
    prompts={"each_draft": "<{n}>{text}", "value": "value:{draft}", "vote": "vote {count}:{drafts}"},
)
WORTH = {"sure": 20.0, "likely": 1.0, "impossible": 0.001}

Write = Callable[[str, int], str]


def thinking(write: Write, judge: Write, **options: Any) -> Session:
    """A session whose model writes steps with ``write`` and replies to ``value`` and ``vote`` with ``judge``."""

    def reply(prompt: str, index: int) -> str:
        head, _, rest = prompt.partition(":")
        if head == "value" or head.startswith("vote"):
            return judge(rest.removesuffix("\n"), index)
        return write(prompt.partition("\n")[2], index)

    setting = Setting(Scheduler(Replying(reply)), PlainGrader(), options.pop("format", FORMAT))
    return Session(Problem("p1", "1+1?", "2"), setting, **options)


def texts(traces: Any) -> list[str]:
    return sorted(trace.completion.rstrip("\0") for trace in traces)


# -- against the algorithms ------------------------------------------------------------------------------------


def opinion(draft: str, index: int) -> str:
    luck = luck_of("opinion", draft, index)
    return "I say\n" + ["sure", "likely", "impossible", "impossible", "who knows"][int(luck * 5)]


def worth(text: str, k: int) -> float | None:
    said = [opinion(text.strip(), index).split("\n")[1] for index in range(k)]
    known = [WORTH[word] for word in said if word in WORTH]
    return sum(known) if known else None


def best_first(states: list[tuple[Any, str]], k: int) -> list[tuple[Any, str]]:
    """Sorted by value; those about which nothing was said come last, equal ones in the order of their ids."""
    return sorted(states, key=lambda s: (worth(s[1], k) is None, -(worth(s[1], k) or 0), s[0]))


def children(policy: Policy, state: tuple[Any, str], number: int) -> list[tuple[Any, str]]:
    return [((*state[0], i), state[1] + policy(state[1], i)) for i in range(number)]


def distinct(states: list[tuple[Any, str]]) -> list[tuple[Any, str]]:
    seen: dict[str, tuple[Any, str]] = {}
    for state in sorted(states):
        seen.setdefault(state[1], state)
    return list(seen.values())


def is_open(state: tuple[Any, str]) -> bool:
    return state[1].endswith("\n\n")


def in_breadth(policy: Policy, n: int, width: int, k: int) -> list[str]:
    states: list[tuple[Any, str]] = [((), "")]
    done: list[str] = []
    while states and len(done) < n:
        new = [child for state in states for child in children(policy, state, width)]
        done += [text for _, text in filter(lambda s: not is_open(s), new)]
        states = best_first(distinct(list(filter(is_open, new))), k)[: max(n - len(done), 0)]
    return sorted(done)


def in_depth(policy: Policy, n: int, width: int, k: int, threshold: float) -> tuple[list[str], list[str]]:
    """The solutions, and the steps in the order in which they were continued."""
    accepted: list[str] = []
    rejected: list[str] = []
    visited: list[str] = []

    def is_fine(state: tuple[Any, str]) -> bool:
        value = worth(state[1], k)
        return value is None or value > threshold

    def visit(state: tuple[Any, str]) -> None:
        visited.append(state[1])
        new = children(policy, state, width)
        for end in filter(lambda s: not is_open(s), new):
            (accepted if is_fine(end) else rejected).append(end[1])
        for child in best_first(list(filter(is_fine, distinct(list(filter(is_open, new))))), k):
            if len(accepted) < n:
                visit(child)

    visit(((), ""))
    return sorted(accepted or rejected), visited


@pytest.mark.parametrize("seed", range(12))
async def test_breadth_first_as_the_paper_has_it(seed: int) -> None:
    s = thinking(Policy(seed), opinion)
    assert texts(await TreeOfThoughts(n=4, children=4)(s)) == in_breadth(Policy(seed), 4, 4, 3)
    assert s._shared.accounts.residency.resident == 0


@pytest.mark.parametrize("seed", range(12))
async def test_depth_first_as_the_paper_has_it(seed: int) -> None:
    s = thinking(Policy(seed), opinion)
    sampler = TreeOfThoughts(n=2, children=3, order="depth", threshold=1.5)
    found = texts(await sampler(s))
    rounds = {t.metadata["round"]: t.stem.completion for t in s.traces.values() if "round" in t.metadata and t.stem}
    assert (found, [rounds[number] for number in sorted(rounds)]) == in_depth(Policy(seed), 2, 3, 3, 1.5)
    assert s._shared.accounts.residency.resident == 0


# -- worked examples -------------------------------------------------------------------------------------------

STEPS = {
    "": ["a\n\n", "b\n\n", "c\n\n"],
    "a": ["d\n\n", "e\n\n", "f\n\n"],
    "b": ["x = 1", "x = 2", "x = 3"],
}


def by_steps(said: str, index: int) -> str:
    return STEPS.get(said.strip().split("\n\n")[-1], ["= 0"] * 3)[index]


def says(table: dict[str, str]) -> Write:
    return lambda draft, index: table.get(draft.split("\n\n")[-1], "likely")


async def test_the_search_goes_back_from_a_step_without_a_way_on() -> None:
    s = thinking(
        by_steps, says({"a": "sure", "c": "impossible", "d": "impossible", "e": "impossible", "f": "impossible"})
    )
    traces = await TreeOfThoughts(n=3, children=3, order="depth")(s)
    assert texts(traces) == ["b\n\nx = 1", "b\n\nx = 2", "b\n\nx = 3"]
    drawn = [t.completion.strip() for t in s.traces.values() if t.segment.origin == "sampled" and t.id[0] == 0]
    assert drawn == ["a", "b", "c", "a\n\nd", "a\n\ne", "a\n\nf", "b\n\nx = 1\0", "b\n\nx = 2\0", "b\n\nx = 3\0"]
    [reason] = {t.segment.reason for t in s.traces.values() if t.completion == "c\n\n"}
    assert reason == "round 1: score 0.003 is not above the threshold"


async def test_a_solution_called_impossible_is_only_the_last_resort() -> None:
    table = {"a": "impossible", "c": "impossible", "x = 1\0": "impossible", "x = 2\0": "sure", "x = 3\0": "impossible"}
    judge = says({name.rstrip("\0"): word for name, word in table.items()})
    traces = await TreeOfThoughts(n=1, children=3, order="depth")(thinking(by_steps, judge))
    assert texts(traces) == ["b\n\nx = 2"]
    none = says(dict.fromkeys(["a", "c", "x = 1", "x = 2", "x = 3"], "impossible"))
    assert len(await TreeOfThoughts(n=1, children=3, order="depth")(thinking(by_steps, none))) == 3


async def test_votes_choose_among_the_new_steps() -> None:
    """Five replies choose b three times and c twice; a, which is first, gets no vote."""
    s = thinking(by_steps, lambda drafts, index: f"The best choice is\n{[2, 2, 2, 3, 3][index]}")
    traces = await TreeOfThoughts(n=1, children=3, by="vote")(s)
    assert texts(traces) == ["b\n\nx = 1", "b\n\nx = 2", "b\n\nx = 3"]
    first = {t.completion.strip(): t.metadata["score"] for t in s.traces.values() if "score" in t.segment.metadata}
    assert {name: first[name] for name in "abc"} == {"a": 0.0, "b": 3.0, "c": 2.0}
    assert s.ledger.judging > 0


async def test_what_cannot_be_read_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="widthwise")
    s = thinking(by_steps, lambda draft, index: "sure" if draft == "b" else "who can say")
    await TreeOfThoughts(n=1, children=3, k=2)(s)
    notes = [note.text for note in s.notes]
    assert any("10 of 12 judges' replies named no verdict" in note for note in notes)
    assert any("5 of 6 steps had no score" in note for note in notes)
    assert "named no verdict" in caplog.text


async def test_equal_beginnings_are_judged_once() -> None:
    s = thinking(lambda said, index: "= 0" if said else "a\n\n", lambda draft, index: "likely")
    await TreeOfThoughts(n=2, children=4, k=3)(s)
    asked = [t for t in s.traces.values() if t.metadata.get("question") == "value" and t.segment.origin == "prompt"]
    assert [t.segment.text for t in asked] == ["value:a\n", "value:a\n\n= 0\n"]


async def test_a_budget_ends_the_search_and_what_there_is_comes_out() -> None:
    s = thinking(Policy(3), opinion, budget=Limits(tokens=200))
    result = await Strategy(TreeOfThoughts(n=50, children=4)).run(s)
    assert result.ledger.total <= 210
    assert s._shared.accounts.residency.resident == 0


def test_the_question_must_be_known() -> None:
    for format, by in ((GENERIC, "value"), (GENERIC, "vote"), (REASONER, "value")):
        assert all(format.prompt(name) for name in TreeOfThoughts(by=by).questions)
    with pytest.raises(UsageError, match="no prompt 'vote'"):
        REASONER.prompt("vote")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: TreeOfThoughts(by="reward_model"), "by must be"),
        (lambda: TreeOfThoughts(order="best"), "order"),  # type: ignore[arg-type]
        (lambda: TreeOfThoughts(order="depth", by="vote"), "votes cannot"),
        (lambda: TreeOfThoughts(children=0), "children"),
        (lambda: TreeOfThoughts(threshold=-1.0), "threshold"),
        (lambda: TreeOfThoughts(refill=True), "refill"),
    ],
)
def test_wrong_arguments(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()
