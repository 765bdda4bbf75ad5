"""Training data of the scorer, a process reward model: solutions with a label after each step.

`python scripts/scorer_data.py models/reasoner/tokenizer.model attempts.jsonl scorer.npz`

The layout is Math-Shepherd's (arXiv 2312.08935): after each step stands a tag, `<step>`, and the model's next-token
distribution there, restricted to `+` and `-`, is the score. Labels are exact: is the solution still right, and can
the target still be reached? One forward pass scores all steps of a solution, and a longer solution only adds to it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import sentencepiece
from attempts import Attempted, read
from documents import IGNORED, Corpus, encode_text, turn
from labels import step_labels, steps_of

TAG = "<step>"
LABELS = ("+", "-")


def rows(
    attempted: Attempted, tokenizer: sentencepiece.SentencePieceProcessor
) -> Iterator[tuple[list[int], list[int]]]:
    """Tokens and targets of every different attempt at a problem, and of its right solution."""
    prompt = encode_text(turn(attempted.task.question), tokenizer)
    right, wrong = (tokenizer.piece_to_id(label) for label in LABELS)
    tag = tokenizer.piece_to_id(TAG)
    for text in dict.fromkeys((*attempted.texts, attempted.solution)):
        steps = steps_of(text)
        ids, targets = list(prompt), [IGNORED] * len(prompt)
        for step, good in zip(steps, step_labels(attempted.task, steps), strict=True):
            piece = encode_text(step, tokenizer)
            ids += [*piece, tag]
            targets += [*([IGNORED] * len(piece)), right if good else wrong]
        yield ids, targets


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("attempts", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(options.tokenizer))
    corpus = Corpus.of(row for attempted in read(options.attempts) for row in rows(attempted, tokenizer))
    corpus.save(options.out)
    print(f"{len(corpus)} solutions, {len(corpus.tokens)} tokens, {(corpus.targets != IGNORED).sum()} labels")


if __name__ == "__main__":
    main()
