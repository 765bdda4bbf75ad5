"""rStar: the walk against one written anew, the moves and what each is asked, and the whole on a scripted model."""

from __future__ import annotations

import itertools
import math
import random
from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from tests.samplers.talker import Talker, talk
from tests.samplers.test_search_as_released import luck_of
from widthwise import MutualConsistency, RStar
from widthwise.core.prompting.prompt import PromptFormat
from widthwise.core.session.limits import Limits
from widthwise.core.session.session import Session
from widthwise.core.strategy.strategy import Strategy
from widthwise.models.formats import GENERIC
from widthwise.samplers.action_search import Place, walk
from widthwise.samplers.human_actions import Actions, Thought

FORMAT = PromptFormat(
    "human",
    template="{problem}",
    prompts={
        "each_thought": "[{n} {text}]",
        "next_step": "step:{problem}{progress}",
        "finish": "finish:{problem}{progress}",
        "sub_question": "ask:{problem}{progress}",
        "sub_answer": "answer:{problem}{progress}{asked}",
        "rephrase": "rephrase:{problem}",
    },
)
BOTH = pytest.mark.parametrize("deterministic", [True, False])


# -- the walk --------------------------------------------------------------------------------------------------


def grown(seed: int, name: str) -> list[tuple[str, float | None]]:
    """The children of a place by name, with the rewards of those that are ends."""
    found: list[tuple[str, float | None]] = []
    for child in range(int(luck_of(seed, name) * 4)):
        luck = luck_of(seed, name, child)
        found.append((f"{name}{child}", luck if luck < 0.3 else None))
    return found


def walked(seed: int, rollouts: int, most: int, c: float, chance: np.random.Generator) -> list[str]:
    """The ends of the walks, with tables as in the released code."""
    total, visits = defaultdict[str, float](float), defaultdict[str, int](int)
    children: dict[str, list[tuple[str, float | None]]] = {}
    ends = []

    def pick(names: list[Any]) -> Any:
        return names[int(chance.integers(len(names)))]

    for _ in range(rollouts):
        path: list[tuple[str, float | None]] = [("r", None)]
        while children.get(path[-1][0]):
            below = children[path[-1][0]]
            new = [child for child in below if visits[child[0]] == 0]
            if new:
                path.append(pick(new))
                break
            log = math.log(visits[path[-1][0]])
            path.append(max(below, key=lambda n: total[n[0]] / visits[n[0]] + c * math.sqrt(log / visits[n[0]])))
        while path[-1][1] is None and len(path) - 1 < most:
            name = path[-1][0]
            if name not in children:
                children[name] = grown(seed, name)
            if not children[name]:
                break
            path.append(pick(children[name]))
        for name, _ in path:
            visits[name] += 1
            total[name] += path[-1][1] or 0.0
        ends.append(path[-1][0])
    return ends


@pytest.mark.parametrize("seed", range(20))
async def test_walks_as_the_released_code_has_them(seed: int) -> None:
    async def enter(place: Place[str]) -> list[Place[str]]:
        return [Place(name, place, value) for name, value in grown(seed, place.content)]

    root, chance = Place("r"), np.random.default_rng(seed)
    ends = [(await walk(root, enter, 5, 2.0, chance)).content for _ in range(40)]
    assert ends == walked(seed, 40, 5, 2.0, np.random.default_rng(seed))


async def test_a_worked_example() -> None:
    """Two children that end with 1 and 0: each is tried once, then c decides how soon the better one is tried again."""

    async def enter(place: Place[str]) -> list[Place[str]]:
        return [Place("good", place, 1.0), Place("poor", place, 0.0)]

    root, chance = Place("root"), np.random.default_rng(0)
    for _ in range(3):
        await walk(root, enter, 5, 0.0, chance)
    assert root.children is not None
    assert [(child.visits, child.total) for child in root.children] == [(2, 2.0), (1, 0.0)]
    # 1 + 2 sqrt(ln 3 / 2) is below 2 sqrt(ln 3 / 1).
    assert (await walk(root, enter, 5, 4.0, chance)).content == "poor"


# -- the moves -------------------------------------------------------------------------------------------------


def solver(prompt: str, index: int) -> str:
    """Two of three solutions say 7, sub-questions are numbered, and their answers say which try they are."""
    move = prompt.partition(":")[0]
    said = {
        "step": f"step {index}",
        "finish": f"so = {[7, 8, 7][index % 3]}",
        "ask": ["what is a?", "Now we can answer.", "what is b?"][index % 3],
        "answer": f"it = {[5, 6, 6][index % 3]}",
        "rephrase": "given: all",
    }
    return said[move]


def acting(session: Session) -> Actions:
    return Actions(session, steps=2, asked=3, votes=3, solutions=3)


def told(places: list[Place[Thought]]) -> list[tuple[Any, str, str, float | None]]:
    return [(p.content.action, p.content.question, p.content.text, p.value) for p in places]


@BOTH
async def test_the_moves_that_may_follow_the_problem(deterministic: bool) -> None:
    s = talk(Talker(solver, delays=None if deterministic else random.Random(1)), format=FORMAT)
    places = await acting(s).enter(Place(Thought()))
    assert told(places) == [
        ("next_step", "", "step 0", None),
        ("next_step", "", "step 1", None),
        ("rephrase", "", "given: all", None),
        ("finish", "", "so = 7", 2 / 3),
        ("finish", "", "so = 7", 2 / 3),  # one more where the model says that it can answer
        ("sub_question", "what is a?", "it = 6", None),
        ("sub_question", "what is b?", "it = 6", None),
    ]
    assert s.ledger.samples == 6  # solutions; the rest is what the search asked
    assert s.ledger.judging > 0


async def test_what_a_move_is_shown() -> None:
    backend = Talker(solver)
    s = talk(backend, format=FORMAT)
    actions, root = acting(s), Place(Thought())
    first = await actions.enter(root)
    step, rephrased, asked = first[0], first[2], first[5]
    after = len(backend.asked)
    assert [p.content.action for p in await actions.enter(step)] == ["next_step", "next_step", "finish"]
    again = (await actions.enter(asked))[-1]
    assert (again.content.action, again.content.question) == ("sub_answer", "what is a?")
    await actions.enter(again)
    await actions.enter(rephrased)
    assert list(dict.fromkeys(backend.asked[after:])) == [
        "step:1+1?[1 step 0]",
        "finish:1+1?[1 step 0]",
        "step:1+1?[1 what is a?\nit = 6]",
        "ask:1+1?[1 what is a?\nit = 6]",
        "finish:1+1?[1 what is a?\nit = 6]",
        "answer:1+1?[1 what is a?\nit = 6]what is a?",
        "answer:1+1?[1 what is a?\nit = 6]what is b?",
        "answer:1+1?what is a?",
        "step:given: all",
        "ask:given: all",
        "finish:given: all",
        "answer:given: allwhat is a?",
        "answer:given: allwhat is b?",
    ]


# -- the whole -------------------------------------------------------------------------------------------------


@BOTH
async def test_solutions_come_out_with_what_the_search_thinks_of_them(deterministic: bool) -> None:
    s = talk(Talker(solver, delays=None if deterministic else random.Random(1)), format=FORMAT)
    traces = await RStar(rollouts=6, solutions=3, votes=3)(s)
    assert traces
    assert {s.answer(trace) for trace in traces} == {"7"}
    shares = [trace.metadata["score"] / (2 / 3) for trace in traces]
    assert all(share == pytest.approx(round(share)) for share in shares)
    assert sum(round(share) - 1 for share in shares) <= 6
    assert max(shares) > 1
    assert [trace.metadata["frequency"] for trace in traces] == [round(share) for share in shares]


async def test_the_check_of_the_paper_follows_it() -> None:
    """Solutions say 7 or 8 by the number of the prompt; completions of their beginnings confirm 8."""
    numbers = itertools.count()

    def reply(prompt: str, index: int) -> str:
        if prompt.startswith("finish"):
            return f"we go on and on so = {7 + next(numbers) % 2}"
        question, _, begun = prompt.partition("\n")
        return f"{begun} then = 8" if question == "1+1?" else solver(prompt, index)

    s = talk(Talker(reply), format=FORMAT)
    strategy = Strategy(RStar(rollouts=4, solutions=1, votes=1), aggregator=MutualConsistency(by="score"))
    result = await strategy.run(s)
    assert result.answer == "8"


@pytest.mark.parametrize("samples", [1, 40])
async def test_a_budget_ends_the_search_and_what_there_is_comes_out(samples: int) -> None:
    s = talk(Talker(solver), format=FORMAT, budget=Limits(samples=samples))
    result = await Strategy(RStar(rollouts=50)).run(s)
    assert result.ledger.samples == samples
    assert result.traces


async def test_moves_that_yield_nothing_are_left_out() -> None:
    s = talk(Talker(lambda prompt, index: solver(prompt, index) if prompt.startswith("finish") else ""), format=FORMAT)
    assert len(await RStar(rollouts=3, solutions=3)(s)) == 1


def test_any_chat_model_can_be_asked() -> None:
    assert all(GENERIC.prompt(name) for name in RStar().questions)


@pytest.mark.parametrize(
    ("make", "said"),
    [(lambda: RStar(rollouts=0), "rollouts"), (lambda: RStar(depth=0), "depth"), (lambda: RStar(c=-1.0), "c must be")],
)
def test_wrong_arguments(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()
