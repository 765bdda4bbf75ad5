"""Training data of the scorer, a process reward model: solutions with a label after each step.

Most are attempts of the reasoner (`attempts.py`); others are drawn from exact solvers, right and wrong.

`python scripts/scorer_data.py models/reasoner/tokenizer.model attempts.jsonl scorer.npz`

The layout is Math-Shepherd's (arXiv 2312.08935): after each step stands a tag, `<step>`, and the model's next-token
distribution there, restricted to `+` and `-`, is the score. Labels are exact: is the solution still right, and can
the target still be reached? One forward pass scores all steps of a solution, and a longer solution only adds to it.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, islice, takewhile
from operator import eq
from pathlib import Path

import sentencepiece
from attempts import NUMBERS, Attempted, read
from documents import IGNORED, Corpus, encode_text, turn
from labels import Task, step_labels, steps_of, true_result
from solutions import arithmetic_solution, countdown_solution, expressions, games, played, solving_moves

from widthwise.evals import arithmetic

TAG = "<step>"
LABELS = ("+", "-")
EQUALS = " = "
Tokenizer = sentencepiece.SentencePieceProcessor
Row = tuple[list[int], list[int]]


def rows(attempted: Attempted, tokenizer: Tokenizer, *, throughout: bool = False) -> Iterator[Row]:
    """Tokens and targets of every different attempt at a problem, and of its right solution.

    `throughout` also teaches what stands between the tags: the true result where a step states one, and the label
    from there on. From the tags alone a model does not learn which of its own results are wrong.
    """
    prompt = encode_text(turn(attempted.task.question), tokenizer)
    tag = tokenizer.piece_to_id(TAG)
    for text in dict.fromkeys(filter(None, (*attempted.texts, attempted.solution))):
        steps = steps_of(text)
        ids, targets = list(prompt), [IGNORED] * len(prompt)
        for step, good in zip(steps, step_labels(attempted.task, steps), strict=True):
            piece = encode_text(step, tokenizer)
            label = tokenizer.piece_to_id(LABELS[not good])
            ids += [*piece, tag]
            targets += [*(between(step, piece, label, tokenizer) if throughout else [IGNORED] * len(piece)), label]
        yield ids, targets


def between(step: str, piece: Sequence[int], label: int, tokenizer: Tokenizer) -> list[int]:
    """Targets of a step's tokens: the true result digit by digit, as far as the stated one agrees, then the label."""
    found, (equals,) = true_result(step), encode_text(EQUALS, tokenizer)
    if found is None or equals not in piece:
        return [IGNORED] * len(piece)
    said = piece.index(equals)
    true = encode_text(found[0], tokenizer)[said + 1 :]
    agreed = sum(takewhile(bool, map(eq, piece[said + 1 :], true)))
    learned = true[: agreed + 1]
    return [*([IGNORED] * said), *learned, *([label] * (len(piece) - said - len(learned)))]


# --- Solutions that no model wrote -------------------------------------------------------------------------------


def walks(rng: random.Random) -> Iterator[Attempted]:
    """Endless countdown games, solved by moves of every quality: far more of them than a model can attempt."""
    boards = {n: games(rng, n) for n in set(NUMBERS)}
    while True:
        game = next(boards[rng.choice(NUMBERS)])
        moves = played(game.numbers, game.target, rng, sharpness=rng.choice((0, 1, 2)))
        task = Task(game.key, game.question, game.target, game.numbers)
        right = countdown_solution(game.numbers, solving_moves(game.numbers, game.target, rng))
        yield Attempted(task, right, (countdown_solution(game.numbers, moves),))


def slips(rng: random.Random) -> Iterator[Attempted]:
    """Endless arithmetic solutions with slips, which go on from a wrong result as a model does, and the right ones."""
    for problem in expressions(rng, range(2, 11)):
        task = Task(problem.key, problem.question, arithmetic.value(problem.tree))
        slipped = arithmetic_solution(problem.tree, partial(worked_out, rng))
        yield Attempted(task, arithmetic_solution(problem.tree), (slipped,))


def worked_out(rng: random.Random, op: str, a: int, b: int) -> int:
    """The result of an operation, wrong as often as a small model gets it wrong: near the truth, or a digit off."""
    true = arithmetic.apply(op, a, b) if b or op != "/" else a
    if rng.random() >= (0.3 if op in "*/" and min(a, b) > 9 else 0.03):
        return max(0, min(true, arithmetic.LARGEST))
    off = rng.choice((1, 2, 3, 4, 6, 8, 10, 20, 30, 50, 100, a, b)) * rng.choice((1, -1))
    return true + off if 0 < true + off <= arithmetic.LARGEST else min(true + 10, arithmetic.LARGEST)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("attempts", type=Path, help="what attempts.py drew")
    parser.add_argument("out", type=Path)
    parser.add_argument("--walks", type=int, default=60000, help="countdown games solved by chance")
    parser.add_argument("--slips", type=int, default=60000, help="arithmetic problems solved with slips")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(options.tokenizer))
    rng = random.Random(options.seed)
    sources = (read(options.attempts), islice(walks(rng), options.walks), islice(slips(rng), options.slips))
    learned = (row for attempted in chain(*sources) for row in rows(attempted, tokenizer, throughout=True))
    corpus = Corpus.of(learned)
    corpus.save(options.out)
    print(f"{len(corpus)} solutions, {len(corpus.tokens)} tokens, {(corpus.targets != IGNORED).sum()} labels")


if __name__ == "__main__":
    main()
