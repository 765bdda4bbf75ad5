"""Refining: what a reasoner writes when it is shown drafts or notes on them.

It checks what drafts say before it copies it. The operations of a countdown draft are computed anew, up to the first
wrong result, with what they reach and whether the draft is right. A right draft is copied; without one the problem is
solved anew, at times from what is sound in a draft:

    12 * 7 = 84, 84 - 20 = 64, 64 - 3 = 61, 61 to reach 35 -
    12 - 7 = 5, 5 * 3 = 15, 20 + 15 = 35, 35 to reach 35 +

    12 - 7 = 5, left 5 3 20
    ...

Drafts of arithmetic do the same operations as long as they are right. So a step repeats the results that they state
before it states its own:

    22 * 3: 66 68 66 = 66, left 66 - 48

Notes are the same lines: the checks of all drafts, or the operations that are certain.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from attempts import Attempted, checked, chosen, is_right, listed, made, read, same_answer, verify
from documents import Document
from labels import Task, is_check, right_operations, stated, step_labels, steps_of
from solutions import countdown_solution, solving_moves

from widthwise.evals.suites import countdown

NONE = "none"
AGAIN = 0.15  # share of the drafts that are refinements themselves, as in a strategy's later rounds
SOUND = 0.5  # share of the new solutions that begin like the draft that is sound for longest
LONGEST_TEXT = {"countdown": 1300, "arithmetic": 1150}  # characters of a document, which are up to 768 tokens
Said = Mapping[str, Sequence[str]]


def learned(path: Path, rng: random.Random) -> Iterator[Document]:
    """Endless documents of the skills that need attempts."""
    attempts = read(path)
    makers = {refine: 10, notes: 3, refine_notes: 5, verify: 3, same_answer: 4}
    while True:
        for attempted in rng.sample(attempts, len(attempts)):
            (maker,) = rng.choices([*makers], [*makers.values()])
            yield from maker(some_again(attempted, rng), rng)


def refine(attempted: Attempted, rng: random.Random) -> Iterator[Document]:
    """Drafts, then their checks and a right solution."""
    drafts = chosen(attempted, rng)
    while drafts:
        answer = rewritten(attempted.task, solution(attempted, drafts, rng), drafts)
        asked = made(attempted, "refine", answer, drafts=listed(drafts))
        if fits(attempted.task, asked):
            yield flagged(asked, drafts, [is_right(attempted.task, text) for text in drafts])
            return
        drafts.pop()


def notes(attempted: Attempted, rng: random.Random) -> Iterator[Document]:
    """Drafts, then notes on them."""
    drafts = chosen(attempted, rng)
    asked = made(attempted, "summarise", summary(attempted.task, drafts), drafts=listed(drafts))
    if fits(attempted.task, asked):
        yield asked


def refine_notes(attempted: Attempted, rng: random.Random) -> Iterator[Document]:
    """Notes, which hold the checks, then a right solution; notes on countdown are short enough for all attempts."""
    some = rng.sample(attempted.texts, rng.randint(1, len(attempted.texts)))
    drafts = some if attempted.task.numbers else chosen(attempted, rng)
    answer, noted = solution(attempted, drafts, rng), summary(attempted.task, drafts)
    asked = made(attempted, "refine_summary", answer, summary=noted)
    if fits(attempted.task, asked):
        yield asked


def fits(task: Task, asked: Document) -> bool:
    """Whether a document is short enough to be learned whole."""
    return len(asked.text) <= LONGEST_TEXT[task.name]


# --- What is written ----------------------------------------------------------------------------------------------


def rewritten(task: Task, text: str, drafts: Sequence[str]) -> str:
    """A solution as it is written with drafts in view: after their checks, or with the results that they state."""
    if task.numbers:
        return "\n".join(checks(task, drafts)) + f"\n\n{text}"
    said = results(drafts)
    return "\n\n".join(beside(step, said) for step in steps_of(text))


def checks(task: Task, drafts: Sequence[str]) -> Iterator[str]:
    """The checks of countdown drafts, up to the first draft that is right."""
    for text in drafts:
        yield check(task, text)
        if is_right(task, text):
            return


def check(task: Task, text: str) -> str:
    """A countdown draft's operations computed anew, what they reach, and whether the draft is right."""
    done = checked(task, text).replace("\n", ", ") or NONE
    return f"{done} {'+' if is_right(task, text) else '-'}"


def results(drafts: Sequence[str]) -> Said:
    """The results that drafts state of each operation, in the order of the drafts."""
    said: dict[str, list[str]] = {}
    for text in drafts:
        for operation, result in dict(filter(None, map(stated, steps_of(text)))).items():
            said.setdefault(operation, []).append(result)
    return said


def beside(step: str, said: Said) -> str:
    """A step with the results that drafts state of its operation before its own."""
    operation, equals, end = step.partition(" = ")
    return f"{operation}: {' '.join(said[operation])}{equals}{end}" if said.get(operation) else step


def summary(task: Task, drafts: Sequence[str]) -> str:
    """Notes: the checks of countdown drafts; the operations of arithmetic drafts that are certain, each once."""
    if task.numbers:
        lines = [check(task, text) for text in drafts]
    else:
        said = results(drafts)
        lines = [beside(each, said) for text in drafts for each in right_operations(steps_of(text))]
    return "\n".join(dict.fromkeys(lines)) or NONE


def solution(attempted: Attempted, drafts: Sequence[str], rng: random.Random) -> str:
    """The first right draft; without one a new solution."""
    task = attempted.task
    right = next((text for text in drafts if is_right(task, text)), None)
    if right is not None:
        return bare(right)
    return anew(task, drafts, rng) if task.numbers else attempted.solution


def bare(text: str) -> str:
    """A solution without checks of drafts and without the results that they state."""
    kept = [step for step in steps_of(text) if not is_check(step)]
    return "\n\n".join(f"{found[0]} = {step.partition(' = ')[2]}" if (found := stated(step)) else step for step in kept)


def anew(task: Task, drafts: Sequence[str], rng: random.Random) -> str:
    """A right countdown solution, at times from the longest beginning of a draft that can still reach the target."""
    sound = max((sound_moves(task, text) for text in drafts), key=len) if rng.random() < SOUND else []
    rest = sound[-1].rest if sound else task.numbers
    return countdown_solution(task.numbers, [*sound, *solving_moves(rest, task.target, rng)])


def sound_moves(task: Task, text: str) -> list[countdown.Move]:
    """The first moves of a countdown draft, as long as the target can still be reached after them."""
    steps = [step for step in steps_of(text) if not is_check(step)]
    found: list[countdown.Move] = []
    for step, good in zip(steps, step_labels(task, steps), strict=True):
        numbers = found[-1].rest if found else task.numbers
        said = step.partition(", left ")[0]
        move = next((each for each in countdown.moves(numbers) if good and str(each) == said), None)
        if move is None:
            break
        found.append(move)
    return found


# --- Drafts -------------------------------------------------------------------------------------------------------


def some_again(attempted: Attempted, rng: random.Random) -> Attempted:
    """The attempts, some of them written as refinements of others."""
    texts = (again(attempted, text, rng) if rng.random() < AGAIN else text.strip() for text in attempted.texts)
    return replace(attempted, texts=tuple(texts))


def again(attempted: Attempted, text: str, rng: random.Random) -> str:
    """An attempt as if it had been written with up to three others in view; of countdown, only a copy is right."""
    others = rng.sample(attempted.texts, min(len(attempted.texts), rng.randint(1, 3)))
    if attempted.task.numbers:
        others = [each for each in others if not is_right(attempted.task, each)]
        others += [text] * (not others or is_right(attempted.task, text))
    return rewritten(attempted.task, text.strip(), others)


def flagged(asked: Document, drafts: Sequence[str], right: Sequence[bool]) -> Document:
    """The document with a verdict learned within each draft shown, on what follows its last blank line.

    A model must know which drafts are right before it copies one, and it did not learn that from the copies alone.
    """
    (question, _), answer = asked.parts
    shown: list[tuple[str, bool | str]] = []
    for text, good in zip(drafts, right, strict=True):
        head, cut, end = text.rpartition("\n\n")
        before, found, question = question.partition(text)
        assert found, "a draft that the question does not show"
        shown += [(before + head + cut, False), (end, "+" if good else "-")]
    return replace(asked, parts=(*shown, (question, False), answer))
