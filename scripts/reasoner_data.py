"""Training data of the micro reasoner: problems with step-by-step solutions, as arrays of token ids.

`python scripts/reasoner_data.py models/reasoner/tokenizer.model data.npz --seed 2`

Every document is a prompt in the chat format and one direct solution. Problems of the held-out part are left out.
"""

import argparse
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import sentencepiece
from numpy.typing import NDArray

from widthwise.evals import arithmetic, countdown
from widthwise.evals.holdout import held_out

PROMPT = "<user>{}<assistant>"
TARGETS_PER_DRAW = 8  # solving once serves several targets
LEVELS = range(1, 8)


@dataclass(frozen=True, slots=True)
class Document:
    """A problem and one solution of it; `key` identifies the problem for the held-out split."""

    key: str
    problem: str
    solution: str


def arithmetic_documents(seed: int) -> Iterator[Document]:
    """Endless arithmetic documents, all levels equally often."""
    rng = random.Random(seed)
    while True:
        tree = arithmetic.random_tree(rng, rng.choice(LEVELS))
        text = arithmetic.expression(tree)
        if not held_out(arithmetic.key(text)):
            yield Document(arithmetic.key(text), arithmetic.question(text), arithmetic_solution(tree))


def arithmetic_solution(tree: arithmetic.Tree) -> str:
    """One operation a step with the expression left after it, then the value in a box."""
    *steps, (last, value) = arithmetic.steps(tree)
    written = [f"{step}, left {arithmetic.expression(rest)}" for step, rest in steps]
    return "\n\n".join([*written, str(last), f"\\boxed{{{value}}}"])


def countdown_documents(seed: int, numbers: int = 4) -> Iterator[Document]:
    """Endless countdown documents: a random solution of a random problem."""
    rng = random.Random(seed)
    while True:
        given = countdown.random_numbers(rng, numbers)
        for target in countdown.random_targets(rng, given, TARGETS_PER_DRAW):
            key = countdown.key(given, target)
            if not held_out(key):
                moves = countdown.solve(given, target, rng)
                yield Document(key, countdown.question(given, target), countdown_solution(given, moves))


def countdown_solution(numbers: tuple[int, ...], moves: list[countdown.Move]) -> str:
    """One operation a step with the numbers left after it, then the whole expression in a box."""
    steps = [f"{move}, left {' '.join(map(str, move.rest))}" for move in moves[:-1]]
    return "\n\n".join([*steps, str(moves[-1]), f"\\boxed{{{countdown.expression(numbers, moves)}}}"])


@dataclass(frozen=True, slots=True)
class Corpus:
    """Token ids of many documents end to end; document i is `tokens[starts[i]:starts[i + 1]]`.

    Its first `prompts[i]` tokens are the prompt, which is not learned.
    """

    tokens: NDArray[np.uint16]
    starts: NDArray[np.int64]
    prompts: NDArray[np.uint16]

    def __len__(self) -> int:
        return len(self.prompts)

    @classmethod
    def load(cls, path: Path) -> "Corpus":
        with np.load(path) as arrays:
            return cls(arrays["tokens"], arrays["starts"], arrays["prompts"])

    def save(self, path: Path) -> None:
        np.savez(path, tokens=self.tokens, starts=self.starts, prompts=self.prompts)


def build(documents: list[Document], tokenizer: sentencepiece.SentencePieceProcessor) -> Corpus:
    """Encode documents in the given order."""
    prompts = tokenizer.encode([PROMPT.format(document.problem) for document in documents])
    solutions = tokenizer.encode([document.solution for document in documents], add_eos=True)
    starts = np.cumsum([0, *(len(p) + len(s) for p, s in zip(prompts, solutions, strict=True))])
    tokens = [token for pair in zip(prompts, solutions, strict=True) for part in pair for token in part]
    return Corpus(np.array(tokens, np.uint16), starts, np.array([len(p) for p in prompts], np.uint16))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--countdown", type=int, default=300_000, help="number of documents")
    parser.add_argument("--arithmetic", type=int, default=150_000, help="number of documents")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(options.tokenizer))
    documents = [
        *islice(countdown_documents(options.seed), options.countdown),
        *islice(arithmetic_documents(options.seed), options.arithmetic),
    ]
    random.Random(options.seed).shuffle(documents)
    corpus = build(documents, tokenizer)
    corpus.save(options.out)
    print(f"{len(corpus)} documents, {len(corpus.tokens)} tokens, {len(corpus.tokens) / len(corpus):.1f} each")


if __name__ == "__main__":
    main()
