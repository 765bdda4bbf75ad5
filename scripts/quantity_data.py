"""Training data of the models for `quantities`: documents of their skills, as arrays of token ids.

`python scripts/quantity_data.py models/reasoner/tokenizer.model data.npz --levels 1 4 --thousands 100`

Problems of the held-out part are left out.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import sentencepiece
from documents import Document, document, encode
from quantity_solutions import quantities_solution, systems
from reasoner_data import mixed

Maker = Callable[[random.Random], Iterator[Document]]


def solve(rng: random.Random, levels: Sequence[int]) -> Iterator[Document]:
    for asked in systems(rng, levels):
        yield document(asked.key, "solve", asked.question, quantities_solution(asked.system, rng))


def kinds(levels: Sequence[int]) -> dict[str, tuple[Maker, int]]:
    """Documents of each kind, out of a hundred or so."""
    return {"solve": (lambda rng: solve(rng, levels), 100)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--levels", type=int, nargs=2, default=(1, 16), help="the fewest and the most operations")
    parser.add_argument("--thousands", type=int, default=100, help="documents, in thousands")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    begun = time.monotonic()
    levels = range(options.levels[0], options.levels[1] + 1)
    documents = mixed(options.thousands, options.seed, kinds(levels))
    corpus = encode(documents, sentencepiece.SentencePieceProcessor(model_file=str(options.tokenizer)))
    corpus.save(options.out)
    print(f"{len(corpus)} documents {dict(Counter(each.skill for each in documents))}, "
          f"{len(corpus.tokens)} tokens, {time.monotonic() - begun:.0f} s")  # fmt: skip


if __name__ == "__main__":
    main()
