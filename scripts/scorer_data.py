"""Training data of the scorer, a process reward model: solutions with a label after each step.

`python scripts/scorer_data.py models/reasoner/tokenizer.model attempts.jsonl scorer.npz`

The layout is Math-Shepherd's (arXiv 2312.08935): after each step stands a tag, `<step>`, and the model's next-token
distribution there, restricted to `+` and `-`, is the score. Labels are exact: is the solution still right, and can
the target still be reached? One forward pass scores all steps of a solution, and a longer solution only adds to it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import sentencepiece
from attempts import Attempted, read
from documents import IGNORED, Corpus, encode_text, turn
from labels import step_labels, steps_of, true_result

TAG = "<step>"
LABELS = ("+", "-")
EQUALS = " = "
Tokenizer = sentencepiece.SentencePieceProcessor
Row = tuple[list[int], list[int]]


def rows(attempted: Attempted, tokenizer: Tokenizer, *, throughout: bool = False) -> Iterator[Row]:
    """Tokens and targets of every different attempt at a problem, and of its right solution.

    `throughout` also teaches what stands between the tags: the true result where a step states one, and the label
    from there on. The tags alone teach far more slowly.
    """
    prompt = encode_text(turn(attempted.task.question), tokenizer)
    tag = tokenizer.piece_to_id(TAG)
    for text in dict.fromkeys((*attempted.texts, attempted.solution)):
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
    stated = [token for token, _ in zip(piece[said + 1 :], true, strict=False)]
    agreed = next((n for n, (one, other) in enumerate(zip(stated, true, strict=False)) if one != other), len(stated) - 1)
    learned = true[: agreed + 1]
    return [*([IGNORED] * said), *learned, *([label] * (len(piece) - said - len(learned)))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("attempts", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(options.tokenizer))
    corpus = Corpus.of(row for attempted in read(options.attempts) for row in rows(attempted, tokenizer, throughout=True))
    corpus.save(options.out)
    print(f"{len(corpus)} solutions, {len(corpus.tokens)} tokens, {(corpus.targets != IGNORED).sum()} labels")


if __name__ == "__main__":
    main()
