"""The moves of a human solver for `quantities`: every one is right, and `rstar` asks for it in the same words."""

import importlib
import random
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import sentencepiece

from widthwise.evals.suites.holdout import held_out
from widthwise.evals.suites.quantity_steps import QuantityPlan, QuantityStep, step_labels
from widthwise.evals.suites.quantity_system import QuantitySystem

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "scripts"))
quantity_moves = importlib.import_module("quantity_moves")
LONGEST = 768  # tokens
TAGS = {"<next>": "next_step", "<ask>": "sub_question", "<rephrase>": "rephrase", "<Goal>": "sub_answer"}
DOCUMENTS = list(islice(quantity_moves.moves(random.Random(5), range(1, 17)), 500))


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
    found = [halves(document) for document in DOCUMENTS if document.skill == move]
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
    assert not any(held_out(document.key) for document in DOCUMENTS)
    assert all(halves(document)[0].system.key == document.key for document in DOCUMENTS)
    assert 30 < sum(not halves(document)[0].system.given for document in DOCUMENTS) < 200


def test_documents_fit_and_are_encoded_without_bytes() -> None:
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(ROOT / "models/reasoner/tokenizer.model"))
    for document in DOCUMENTS:
        ids = tokenizer.encode(document.text)
        assert len(ids) < LONGEST
        assert not any(tokenizer.is_byte(each) for each in ids)


@pytest.mark.parametrize("move", ["next_step", "finish", "sub_question", "sub_answer"])
def test_thoughts_are_sub_questions_with_right_answers_and_then_steps(move: str) -> None:
    kinds: list[tuple[int, int]] = []
    for asked, _ in made(move):
        answers = 0
        for n, thought in enumerate(asked.thoughts):
            question, mark, answer = thought.partition("?\n")
            left = asked.left(n)
            if mark:
                assert question in left.needed
                assert 1 <= len(part(left, f"{question}?").needed) <= 5
                assert is_solution(part(left, f"{question}?"), answer)
                answers += 1
            elif n == answers and asked.system.given:
                assert QuantityPlan.read(thought) == QuantityPlan.of(left)
            else:
                assert is_step(left, thought)
        assert not any("?" in thought for thought in asked.thoughts[answers:])
        kinds.append((answers, len(asked.thoughts) - answers))
    assert {answers for answers, _ in kinds} == {0, 1, 2, 3}
    assert {steps for _, steps in kinds} == ({0, 1, 2, 3, 4} if move in ("next_step", "finish") else {0})


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
