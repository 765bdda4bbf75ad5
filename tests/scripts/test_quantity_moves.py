"""The moves of a human solver for `quantities`: every one is right, and `rstar` asks for it in the same words."""

import importlib
import random
import sys
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import sentencepiece

from tests.samplers.talker import Talker
from widthwise import RStar
from widthwise.core.backend import SamplingParams
from widthwise.core.session.scheduler import Scheduler
from widthwise.core.session.session import Session
from widthwise.core.session.setting import Setting
from widthwise.evals.suites.holdout import held_out
from widthwise.evals.suites.hub import INTEGER
from widthwise.evals.suites.quantities import generate
from widthwise.evals.suites.quantity_steps import QuantityPlan, QuantityStep, step_labels
from widthwise.evals.suites.quantity_system import QuantitySystem
from widthwise.models.formats import QUANTITIES

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "scripts"))
quantity_moves = importlib.import_module("quantity_moves")
LONGEST = 768  # tokens
TAGS = {"<next>": "next_step", "<ask>": "sub_question", "<rephrase>": "rephrase", "<Goal>": "sub_answer"}


@cache
def documents() -> list[Any]:
    return list(islice(quantity_moves.moves(random.Random(5), range(1, 17)), 500))


class Asked:
    """What a move is asked for with, read from the prompt."""

    def __init__(self, prompt: str) -> None:
        tag = next((tag for tag in TAGS if tag in prompt), "")
        before, _, self.question = prompt.partition(tag) if tag else (prompt, "", "")
        self.move = TAGS.get(tag, "finish")
        self.shown, *self.thoughts = before.split("<Path>")
        self.system = QuantitySystem.read(self.shown)

    def left(self, thoughts: int | None = None) -> QuantitySystem:
        """The problem in which what so many thoughts state is given."""
        steps = map(QuantityStep.read, "\n".join(self.thoughts[:thoughts]).split("\n"))
        stated = {step.name: step.value for step in steps if step}
        return QuantitySystem({**self.system.definitions, **stated}, self.system.target)


def halves(document: Any) -> tuple[Asked, str]:
    prompt, _, written = document.text.removeprefix("<user>").partition("<assistant>")
    return Asked(prompt), written.removesuffix("</s>")


def made(move: str) -> list[tuple[Asked, str]]:
    found = [halves(document) for document in documents() if document.skill == move]
    assert len(found) > 40
    assert all(asked.move == move for asked, _ in found)
    return found


def part(system: QuantitySystem, question: str) -> QuantitySystem:
    assert question.endswith("?")
    return QuantitySystem(system.definitions, question[:-1])


def is_solution(system: QuantitySystem, text: str) -> bool:
    """Whether it is a plan, sound steps, at most one of them for nothing, and the answer."""
    if system.target in system.given:
        return text == f"\\boxed{{{system.answer}}}"
    steps = text.split("\n\n")
    found = step_labels(system, steps)
    planned = QuantityPlan.read(steps[0]) == QuantityPlan.of(system)
    return planned and all(each.right and each.open for each in found) and [x.useful for x in found].count(False) <= 1


def is_step(system: QuantitySystem, text: str) -> bool:
    step = QuantityStep.read(text)
    return step is not None and step.follows(system, system.given) and step_labels(system, [text])[0].right


def test_no_problem_is_held_out_and_a_rephrased_one_has_the_key_of_the_first() -> None:
    assert not any(held_out(document.key) for document in documents())
    assert all(halves(document)[0].system.key == document.key for document in documents())
    assert 30 < sum(not halves(document)[0].system.given for document in documents()) < 200


def test_documents_fit_and_are_encoded_without_bytes() -> None:
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(ROOT / "models/reasoner/tokenizer.model"))
    for document in documents():
        ids = tokenizer.encode(document.text)
        assert len(ids) < LONGEST
        assert not any(tokenizer.is_byte(each) for each in ids)


@pytest.mark.parametrize("move", ["next_step", "finish", "sub_question", "sub_answer"])
def test_thoughts_are_sub_questions_with_right_answers_and_then_steps(move: str) -> None:
    kinds = [thoughts_of(asked) for asked, _ in made(move)]
    assert {answers for answers, _ in kinds} == {0, 1, 2, 3}
    assert {steps for _, steps in kinds} == ({0, 1, 2, 3, 4} if move in ("next_step", "finish") else {0})


def thoughts_of(asked: Asked) -> tuple[int, int]:
    """How many sub-questions are answered and how many steps follow; all of them are checked."""
    answers = 0
    for n, thought in enumerate(asked.thoughts):
        question, mark, answer = thought.partition("?\n")
        left = asked.left(n)
        if mark:
            assert answers == n
            assert question in left.needed
            assert 1 <= len(part(left, f"{question}?").needed) <= 5
            assert is_solution(part(left, f"{question}?"), answer)
            answers += 1
        elif n == answers and asked.system.given:
            assert QuantityPlan.read(thought) == QuantityPlan.of(left)
        else:
            assert is_step(left, thought)
    return answers, len(asked.thoughts) - answers


def test_a_next_step_is_a_plan_of_the_rest_first_and_the_answer_last() -> None:
    kinds = set()
    for asked, written in made("next_step"):
        left = asked.left()
        if left.target in left.given:
            assert is_solution(left, written)
            kinds.add("answer")
        elif asked.system.given and (not asked.thoughts or "?" in asked.thoughts[-1]):
            assert QuantityPlan.read(written) == QuantityPlan.of(left)
            kinds.add("plan")
        else:
            assert is_step(left, written)
            kinds.add("step")
    assert kinds == {"answer", "plan", "step"}


def test_the_rest_is_a_solution_of_what_is_left() -> None:
    assert all(is_solution(asked.left(), written) for asked, written in made("finish"))


def test_what_is_asked_for_is_needed_and_mostly_of_a_middle_size() -> None:
    sizes = []
    for asked, written in made("sub_question"):
        left = asked.left()
        assert (written == quantity_moves.ENOUGH) == (len(left.needed) <= 2)
        if written != quantity_moves.ENOUGH:
            assert written[:-1] in left.needed - {left.target}
            sizes.append(len(part(left, written).needed))
    assert set(sizes) <= {1, 2, 3, 4, 5}
    assert sum(2 <= size <= 4 for size in sizes) > 0.6 * len(sizes) > 20


def test_answers_to_sub_questions_are_solutions_of_that_part() -> None:
    assert all(is_solution(part(asked.left(), asked.question), written) for asked, written in made("sub_answer"))


def test_a_rephrased_problem_is_the_same_one_with_only_what_is_needed() -> None:
    for asked, written in made("rephrase"):
        system = QuantitySystem.read(written)
        assert (system.key, system.answer) == (asked.system.key, asked.system.answer)
        assert system.needed == system.definitions.keys()
        assert not system.given


# --- In a search --------------------------------------------------------------------------------------------------


class Solver:
    """Answers every prompt as a document would, and keeps what the document for it would ask."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []

    def __call__(self, prompt: str, index: int) -> str:
        self.asked.append(asked := Asked(prompt))
        work = quantity_moves.Work("moves", asked.system)
        for thought in asked.thoughts:
            work.think(thought)
        assert work.document(asked.move, "", asked.question).text == f"<user>{prompt}<assistant></s>"
        return written(work, asked, random.Random(f"{prompt} {index}"))


def written(work: Any, asked: Asked, rng: random.Random) -> str:
    if asked.move == "rephrase":
        return str(quantity_moves.rephrased(work.system, rng))
    if asked.move == "sub_question":
        return (
            quantity_moves.ENOUGH if quantity_moves.enough(work) else f"{quantity_moves.useful(work.left, rng).target}?"
        )
    text = str(quantity_moves.solution(part(work.left, asked.question) if asked.question else work.left, rng))
    if asked.move != "next_step":
        return text
    planned = not work.system.given or any("?" not in thought for thought in work.thoughts)
    steps = text.split("\n\n")
    return steps[1] if planned and len(steps) > 1 else steps[0]


async def test_rstar_asks_as_the_documents_do() -> None:
    """A search with a perfect solver: every prompt is one that a document could have, and every solution is right."""
    solver, problem = Solver(), generate(1, 3, levels=(14, 14))[0]
    setting = Setting(Scheduler(Talker(solver)), INTEGER, QUANTITIES, params=SamplingParams())
    session = Session(problem, setting)
    traces = await RStar(rollouts=40, steps=2, asked=2, votes=2, solutions=2)(session)
    assert {session.answer(trace) for trace in traces} == {problem.answer}
    assert {asked.move for asked in solver.asked} == set(RStar.questions)
    kinds = {thoughts_of(asked) for asked in solver.asked}
    assert max(answers for answers, _ in kinds) >= 2
    assert max(steps for _, steps in kinds) >= 2
    assert any(not asked.system.given for asked in solver.asked)
