"""Training data of the scorer, a process reward model: solutions with a label after each step.

Most are attempts of the reasoner (`attempts.py`), whose mistakes are its own; the others are arithmetic problems worked
out with mistakes made here, and sums: the reasoner hardly ever gets a sum wrong, so its attempts teach nothing of it.

`python scripts/scorer_data.py models/reasoner/tokenizer.model attempts.jsonl scorer.npz`

The layout is Math-Shepherd's (arXiv 2312.08935): a tag, `<step>`, follows each step, and the model's next-token
distribution there, restricted to `+` and `-`, is the score. Labels are exact: is the solution still right, and can the
target still be reached? One forward pass scores all steps of a solution, and a longer solution only adds tokens to it.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain, count, islice, takewhile
from operator import eq
from pathlib import Path

import sentencepiece
from attempts import Attempted, read, scoring, task_of
from documents import IGNORED, Corpus, Document, Part, row
from labels import Task, step_labels, steps_of, true_result
from solutions import arithmetic_solution, arithmetic_step, expressions, trainable

from widthwise.evals.suites import arithmetic

TAG = "<step>"
LABELS = ("+", "-")
EQUALS = " = "
Tokenizer = sentencepiece.SentencePieceProcessor
Row = tuple[list[int], list[int]]


def rows(attempted: Attempted, tokenizer: Tokenizer, *, throughout: bool = False) -> Iterator[Row]:
    """Tokens and targets of every different attempt at a problem, and of its right solution."""
    for text in dict.fromkeys(filter(None, (*attempted.texts, attempted.solution))):
        yield row(scored(attempted.task, text, throughout=throughout), tokenizer)


def scored(task: Task, text: str, *, throughout: bool = False) -> Document:
    """A solution, and after each step its label; the layout is that of the reward format.

    `throughout` also trains the text between the tags: the true result where a step states one, and the label from
    there on. From the tags alone a model does not learn which of its own results are wrong.
    """
    steps = steps_of(text)
    parts: list[Part] = [(scoring(task), False)]
    for each, good in zip(steps, step_labels(task, steps), strict=True):
        label = LABELS[not good]
        parts += [*(between(each, label) if throughout else [(each, False)]), (TAG, label)]
    return Document(task.key, "score", tuple(parts))


def between(text: str, label: str) -> list[Part]:
    """A step, in which the true result is learned, digit by digit as far as the stated one agrees, then the label."""
    found = true_result(text)
    if found is None:
        return [(text, False)]
    head, equals, end = text.rpartition(EQUALS)
    said = "".join(takewhile(str.isdecimal, end))
    true = found[0].rpartition(EQUALS)[2]
    known = true[: 1 + sum(takewhile(bool, map(eq, said, true)))]
    aims = known + label * (1 + len(said) - len(known))
    return [(head, False), *zip((equals, *said), aims, strict=True), (end[len(said) :], label)]


# --- Solutions that no model wrote -------------------------------------------------------------------------------


def mistakes(rng: random.Random) -> Iterator[Attempted]:
    """Endless arithmetic solutions with mistakes, which go on from a wrong result as a model does, and the right ones.

    Mistakes are far more frequent than in the model's attempts, where hardly any sum is wrong.
    """
    for problem in expressions(rng, range(2, 11)):
        yield Attempted(task_of(problem), arithmetic_solution(problem.tree), (wrong(rng, problem.tree),))


def sums(rng: random.Random) -> Iterator[Attempted]:
    """Endless sums and differences of up to four numbers, three results in ten wrong.

    A model knows the true result only in its last layers, and did not learn to compare with it from whole solutions, in
    which few sums are wrong. From these examples it learns that in minutes, and then finds wrong sums in whole
    solutions.
    """
    for problem in trainable(sum_of(rng, rng.choice((1, 1, 2, 3))) for _ in count()):
        text = arithmetic_solution(problem.tree, partial(mistaken, rng, hard=0.3, easy=0.3))
        yield Attempted(task_of(problem), "", (text,))


def sum_of(rng: random.Random, operations: int) -> arithmetic.Tree:
    """An expression of so many additions and subtractions."""
    tree: arithmetic.Tree = rng.randint(1, arithmetic.LARGEST)
    for _ in range(operations):
        total, other = arithmetic.value(tree), rng.randint(1, rng.choice((20, 99, arithmetic.LARGEST)))
        if rng.random() < 0.5 and total + other <= arithmetic.LARGEST:
            tree = ("+", tree, other)
        else:
            tree = ("-", tree, other) if total >= other else ("-", other, tree)
    return tree


def wrong(rng: random.Random, tree: arithmetic.Tree) -> str:
    """A solution with mistakes; one in four also copies the rest wrongly."""
    result_of = partial(mistaken, rng, hard=0.2, easy=0.12)
    if rng.random() < 0.75:
        return arithmetic_solution(tree, result_of)
    steps = arithmetic.steps(tree, result_of)
    last = rng.randrange(len(steps) - 1)
    step, left = steps[last]
    left = miscopied(rng, left)
    before = [arithmetic_step(*each) for each in (*steps[:last], (step, left))]
    return "\n\n".join([*before, arithmetic_solution(left, result_of)])


def mistaken(rng: random.Random, op: str, a: int, b: int, *, hard: float, easy: float) -> int:
    """The result of an operation, wrong at these rates: near the truth, or a digit off.

    Products and quotients of two numbers with at least two digits are hard. The operands may contain earlier mistakes,
    so a result may be out of bounds or a quotient inexact; it is brought back to 0-999.
    """
    true = arithmetic.apply(op, a, b) if b or op != "/" else a
    if rng.random() >= (hard if op in "*/" and min(a, b) > 9 else easy):
        return max(0, min(true, arithmetic.LARGEST))
    off = rng.choice((1, 2, 3, 4, 6, 8, 10, 20, 30, 50, 100, a, b)) * rng.choice((1, -1))
    return true + off if 0 < true + off <= arithmetic.LARGEST else min(true + 10, arithmetic.LARGEST)


def miscopied(rng: random.Random, tree: arithmetic.Tree) -> arithmetic.Tree:
    """An expression with one number or sign changed, or a term lost."""
    if isinstance(tree, int):
        return max(1, rng.choice((tree + rng.choice((-10, -1, 1, 10)), int(str(tree)[::-1]), int(str(tree)[1:] or 1))))
    op, left, right = tree
    chance = rng.random()
    if chance < 0.1:
        return rng.choice((left, right))
    if chance < 0.2:
        return (rng.choice("+-*"), left, right)
    return (op, miscopied(rng, left), right) if rng.random() < 0.5 else (op, left, miscopied(rng, right))


def write_scored(tokenizer: Path, attempts: Path, out: Path, *others: Iterable[Attempted]) -> None:
    """Write attempts and other solutions with their labels, and say how many they are."""
    encoder = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer))
    # Countdown has labels at the tags only: more labels between them lowered its area from 0.93 to 0.82.
    learned = (
        made for one in chain(read(attempts), *others) for made in rows(one, encoder, throughout=not one.task.numbers)
    )
    corpus = Corpus.of(learned)
    corpus.save(out)
    print(f"{len(corpus)} solutions, {len(corpus.tokens)} tokens, {(corpus.targets != IGNORED).sum()} labels")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("attempts", type=Path, help="what attempts.py drew")
    parser.add_argument("out", type=Path)
    parser.add_argument("--mistakes", type=int, default=30000, help="arithmetic problems solved with mistakes")
    parser.add_argument("--sums", type=int, default=40000, help="sums and differences, three results in ten wrong")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    write_scored(options.tokenizer, options.attempts, options.out, islice(mistakes(rng), options.mistakes),
                 islice(sums(rng), options.sums))  # fmt: skip


if __name__ == "__main__":
    main()
