"""Training data of the models for `quantities`: documents of their skills, as arrays of token ids.

`python scripts/quantity_data.py models/reasoner/tokenizer.model data.npz --levels 1 4 --thousands 100`

Problems of the held-out part are left out. `--skills` adds the other skills to solving, and `--attempts` those that are
learned from what an earlier checkpoint answered (`quantity_attempts.py`).
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import sentencepiece
from documents import Document, document, encode
from quantity_moves import moves
from quantity_skills import outlines, plans, serial_searches, threads
from quantity_solutions import quantities_solution, systems
from reasoner_data import mixed

from widthwise.evals.suites.quantity_system import Operation

Maker = Callable[[random.Random], Iterator[Document]]


def solve(rng: random.Random, levels: Sequence[int]) -> Iterator[Document]:
    for asked in systems(rng, levels):
        yield document(asked.key, "solve", asked.question, quantities_solution(asked.system, rng))


def look_up(rng: random.Random, levels: Sequence[int]) -> Iterator[Document]:
    """Definitions without a question, then the same ones in another order, with known quantities replaced by numbers.

    A drill in which nearly every token can be found in the text before it. Models did not learn to look up definitions
    from two million tokens of solutions, where there are few such tokens.
    """
    for asked in systems(rng, levels):
        definitions, given = asked.system.definitions, asked.system.given
        worked = rng.random() < 0.5
        lines = []
        for name in rng.sample(sorted(definitions), len(definitions)):
            definition = definitions[name]
            known = isinstance(definition, Operation) and given.keys() >= set(definition.names)
            lines.append(f"{name} = {definition}")
            if worked and known and isinstance(definition, Operation):
                left, right = definition.at(given)
                lines[-1] += f" = {left} {definition.op} {right}"
        shown = str(asked.system).rpartition(" ")[0]
        yield document(asked.key, "look up", shown, "\n\n".join(lines))


SKILLS: dict[str, tuple[Callable[..., Iterator[Document]], int]] = {
    "threads": (threads, 16),
    "outlines": (outlines, 4),
    "plans": (plans, 3),
    "serial searches": (serial_searches, 3),
    "moves": (moves, 8),
}
"""Documents of each kind per sixty solutions; threads are about four documents per problem."""


def kinds(levels: Sequence[int], skills: bool, attempts: Path | None, drill: int = 0) -> dict[str, tuple[Maker, int]]:
    """The kinds of documents and the share of each; the drill has somewhat larger systems than the solutions."""
    made: dict[str, tuple[Maker, int]] = {"solve": (partial(solve, levels=levels), 60)}
    if drill:
        made["look up"] = (partial(look_up, levels=range(levels[0], levels[-1] + 3)), drill)
    if skills:
        made |= {name: (partial(maker, levels=levels), share) for name, (maker, share) in SKILLS.items()}
    if attempts is not None:
        from quantity_attempts import learned

        made["attempts"] = (partial(learned, attempts), 40)
    return made


def write(tokenizer: Path, out: Path, thousands: int, seed: int, made: dict[str, tuple[Maker, int]]) -> None:
    """Make the documents, write them, and say what they are."""
    begun = time.monotonic()
    documents = mixed(thousands, seed, made)
    corpus = encode(documents, sentencepiece.SentencePieceProcessor(model_file=str(tokenizer)))
    corpus.save(out)
    print(f"{len(corpus)} documents {dict(Counter(each.skill for each in documents))}, "
          f"{len(corpus.tokens)} tokens, {time.monotonic() - begun:.0f} s")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--levels", type=int, nargs=2, default=(1, 16), help="the fewest and the most operations")
    parser.add_argument("--thousands", type=int, default=100, help="documents, in thousands")
    parser.add_argument("--drill", type=int, default=0, help="documents that repeat definitions, for sixty solutions")
    parser.add_argument("--skills", action="store_true", help="threads, outlines, plans, searches and moves, too")
    parser.add_argument("--attempts", type=Path, help="attempts of an earlier checkpoint (quantity_attempts.py)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    levels = range(options.levels[0], options.levels[1] + 1)
    made = kinds(levels, options.skills, options.attempts, options.drill)
    write(options.tokenizer, options.out, options.thousands, options.seed, made)


if __name__ == "__main__":
    main()
