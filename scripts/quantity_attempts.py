"""What a checkpoint answers to problems of `quantities`, and the skills that are learned from that.

`python scripts/quantity_attempts.py FOLDER attempts.jsonl --problems 3000 --samples 8` draws attempts at training
problems, `--test 300` at held-out ones. From them a model learns to refine drafts and distilled values, to verify, to
tell whether two beginnings end alike, and to score steps.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from attempts import TEST_SEED, Attempted, collect, listed, made, read, same_answer, verify
from documents import END, Document
from labels import Task, steps_of
from quantity_refining import mended
from quantity_solutions import quantities_solution, systems
from scorer_data import scored

from widthwise.evals.suites.quantities import generate
from widthwise.evals.suites.quantity_steps import QuantityStep
from widthwise.evals.suites.quantity_system import QuantitySystem

NONE = "none"
DRAFTS = (1, 2, 2, 2, 3, 4, 8)
ROOM = (300, 450, 600)
"""Characters of all drafts together; a token has one or two."""


# --- Drawing ------------------------------------------------------------------------------------------------------


def problems(seed: int, levels: Sequence[int]) -> Iterator[tuple[Task, str]]:
    """Endless training problems with a solution."""
    rng = random.Random(seed)
    for asked in systems(rng, levels):
        yield Task(asked.key, asked.question, asked.system.answer), quantities_solution(asked.system, rng)


def tests(number: int, seed: int, levels: tuple[int, int]) -> list[tuple[Task, str]]:
    """So many held-out problems, without solutions."""
    return [(Task(p.id, p.text, int(str(p.answer))), "") for p in generate(number, seed, levels)]


# --- Documents ----------------------------------------------------------------------------------------------------


def learned(path: Path, rng: random.Random) -> Iterator[Document]:
    """Endless documents of the skills that need attempts."""
    attempts = read(path)
    makers = {refine: 30, refine_notes: 3, notes: 2, verify: 4, same_answer: 5, score: 30}
    while True:
        for attempted in rng.sample(attempts, len(attempts)):
            (maker,) = rng.choices([*makers], [*makers.values()])
            yield from maker(attempted, rng)


def values_said(drafts: Sequence[str]) -> dict[str, list[int]]:
    """What drafts say about each quantity, in the order of the drafts; a draft's last value counts."""
    said: dict[str, list[int]] = {}
    for text in drafts:
        found = filter(None, map(QuantityStep.read, steps_of(text)))
        for name, value in {each.name: each.value for each in found}.items():
            said.setdefault(name, []).append(value)
    return said


def ends(attempted: Attempted, rng: random.Random) -> list[str]:
    """The ends of some attempts, as a workspace shows them: together they have so much room."""
    picked = rng.sample(attempted.texts, min(rng.choice(DRAFTS), len(attempted.texts)))
    room = rng.choice(ROOM) // len(picked)
    return [text.removesuffix(END).strip()[-room:] for text in picked]


def refine(attempted: Attempted, rng: random.Random) -> Iterator[Document]:
    """Drafts, then the best of them mended."""
    drafts = ends(attempted, rng)
    answer = mended(QuantitySystem.read(attempted.task.question), drafts, rng)
    yield made(attempted, "refine", answer, drafts=listed(drafts))


def notes(attempted: Attempted, rng: random.Random) -> Iterator[Document]:
    """Drafts, then how many of them agree on each value."""
    drafts = ends(attempted, rng)
    yield made(attempted, "summarise", table(values_said(drafts)), drafts=listed(drafts))


def refine_notes(attempted: Attempted, rng: random.Random) -> Iterator[Document]:
    """How many drafts agree on each value, then a right solution; all attempts are drafts, whole or their ends."""
    said = values_said(attempted.texts if rng.random() < 0.5 else ends(attempted, rng))
    yield made(attempted, "refine_summary", attempted.solution, summary=table(said))


def score(attempted: Attempted, rng: random.Random) -> Iterator[Document]:
    """An attempt or the right solution, and after each step its label."""
    yield scored(attempted.task, rng.choice([*attempted.texts, attempted.solution]), throughout=True)


def table(said: dict[str, list[int]]) -> str:
    """``A 308 7, 318 1``: the values that drafts state of a quantity, each with how many of them do."""
    return "\n".join(f"{name} {counted(values)}" for name, values in said.items()) or NONE


def counted(values: Sequence[int]) -> str:
    """Each value with its frequency, the most frequent first."""
    return ", ".join(f"{value} {times}" for value, times in Counter(values).most_common()) or NONE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of a checkpoint")
    parser.add_argument("out", type=Path)
    parser.add_argument("--problems", type=int, default=3000)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--levels", type=int, nargs=2, default=(2, 16), help="the fewest and the most operations")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--test", type=int, help="draw at so many held-out problems instead")
    options = parser.parse_args()
    low, high = options.levels
    training = islice(problems(options.seed, range(low, high + 1)), options.problems)
    drawn = tests(options.test, TEST_SEED, (low, high)) if options.test else list(training)
    asyncio.run(collect(f"embedded:{options.model}", options.out, drawn, options.samples))


if __name__ == "__main__":
    main()
