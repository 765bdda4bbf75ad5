"""Measure what the micro models know about solutions: areas under ROC curves, with 95 % intervals.

    python scripts/attempts.py models/reasoner test.jsonl --test 1000 --samples 8
    python scripts/eval_labels.py steps models/scorer test.jsonl          # is the solution right so far?
    python scripts/eval_labels.py first_steps models/scorer test.jsonl    # ... after its first step?
    python scripts/eval_labels.py same_answer models/reasoner test.jsonl  # will two beginnings end in the same answer?
    python scripts/eval_labels.py verify models/reasoner test.jsonl       # is a solution right?

One prediction is the probability of `+` against `-`. Intervals are bootstrapped by problem. It uses plain torch, so
that a model can be measured while it trains.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece
import torch
from areas import interval
from attempts import Attempted, canonical, checked, format_of, is_right, made, read
from documents import IGNORED, Corpus, encode_text
from labels import beginnings, parts
from llama import Llama, Shape
from numpy.typing import NDArray
from scorer_data import LABELS, rows
from train_reasoner import read_weights

BATCH = 64
Row = tuple[list[int], list[int]]
Tokenizer = sentencepiece.SentencePieceProcessor


# --- Documents with labels ----------------------------------------------------------------------------------------


def steps(attempted: Attempted, tokenizer: Tokenizer, options: argparse.Namespace) -> Iterator[Row]:
    """Every attempt, labelled after each step."""
    yield from rows(Attempted(attempted.task, attempted.texts[0], attempted.texts), tokenizer)


def first_steps(attempted: Attempted, tokenizer: Tokenizer, options: argparse.Namespace) -> Iterator[Row]:
    """Every attempt up to its first label: what a tree search sees at its root."""
    for ids, targets in steps(attempted, tokenizer, options):
        end = 1 + next(place for place, target in enumerate(targets) if target != IGNORED)
        yield ids[:end], targets[:end]


def same_answer(attempted: Attempted, tokenizer: Tokenizer, options: argparse.Namespace) -> Iterator[Row]:
    """Pairs of neighbouring attempts that state an answer, cut at `--share` of their steps (or characters)."""
    answered = [(text, answer) for text in attempted.texts if (answer := canonical(attempted.task, text))]
    for (first, one), (second, other) in zip(answered[::2], answered[1::2], strict=False):
        share = options.share
        cut = beginnings(first, second, share) if options.characters else (parts(first, share), parts(second, share))
        fields = dict(zip(("first", "second"), map(format_of(attempted.task).recent, cut), strict=True))
        yield judged(made(attempted, "same_answer", "", **fields).text, one == other, tokenizer)


def verify(attempted: Attempted, tokenizer: Tokenizer, options: argparse.Namespace) -> Iterator[Row]:
    """Attempts with the right verification, up to the verdict."""
    for text in attempted.texts:
        right = is_right(attempted.task, text)
        yield judged(
            made(attempted, "verify", f"{checked(attempted.task, text)}\n\n", draft=text).text, right, tokenizer
        )


def judged(asked: str, verdict: bool, tokenizer: Tokenizer) -> Row:
    ids = encode_text(asked.removesuffix("</s>"), tokenizer)
    return ids, [*([IGNORED] * (len(ids) - 1)), tokenizer.piece_to_id(LABELS[not verdict])]


KINDS: dict[str, Callable[..., Iterator[Row]]] = {
    "steps": steps,
    "first_steps": first_steps,
    "same_answer": same_answer,
    "verify": verify,
}


# --- Measuring ----------------------------------------------------------------------------------------------------


@torch.inference_mode()
def predictions(model: Llama, corpus: Corpus, pair: Sequence[int]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """The probability of the first label, whether it is right, and the document, for every labelled position."""
    found: list[tuple[float, bool, int]] = []
    order = np.argsort(np.diff(corpus.starts), kind="stable")
    for start in range(0, len(order), BATCH):
        members = order[start : start + BATCH]
        width = int(np.diff(corpus.starts)[members].max())
        tokens = torch.zeros(len(members), width, dtype=torch.int64)
        for row, document in enumerate(members):
            ids = corpus.tokens[corpus.starts[document] : corpus.starts[document + 1]].astype(np.int64)
            tokens[row, : len(ids)] = torch.from_numpy(ids)
        chances = model.logits(model(tokens))[..., list(pair)].softmax(-1)[..., 0]
        for row, document in enumerate(members):
            targets = corpus.targets[corpus.starts[document] : corpus.starts[document + 1]]
            places = np.flatnonzero(targets != IGNORED)
            found += [(float(chances[row, p]), targets[p] == pair[0], int(document)) for p in places]
    chance, label, document = (np.array(column) for column in zip(*found, strict=True))
    return chance, label, document


def measure(model: Llama, attempts: Sequence[Attempted], tokenizer: Tokenizer, options: Any) -> dict[str, Any]:
    """The area over the attempts at one task."""
    owners: list[int] = []
    made_rows: list[Row] = []
    for number, attempted in enumerate(attempts):
        for row in KINDS[options.kind](attempted, tokenizer, options):
            made_rows.append(row)
            owners.append(number)
    corpus = Corpus.of(made_rows)
    pair = [tokenizer.piece_to_id(label) for label in LABELS]
    chance, label, document = predictions(model, corpus, pair)
    problem = np.array(owners)[document]
    return {
        "problems": len(np.unique(problem)),
        "labels": len(label),
        "right": round(float(label.mean()), 3),
        "auc": interval(chance, label, problem),
        "accuracy": round(float(((chance > 0.5) == label).mean()), 4),
    }


def load(folder: Path) -> Llama:
    """A model from a folder that `train_reasoner.py --export` wrote."""
    config = json.loads((folder / "config.json").read_text())
    names = {
        "vocabulary": "vocab_size",
        "layers": "num_hidden_layers",
        "width": "hidden_size",
        "heads": "num_attention_heads",
        "kv_heads": "num_key_value_heads",
        "hidden": "intermediate_size",
    }
    model = Llama(Shape(**{ours: config[theirs] for ours, theirs in names.items()}))
    model.load_state_dict(read_weights(folder))
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=sorted(KINDS))
    parser.add_argument("model", type=Path)
    parser.add_argument("attempts", type=Path)
    parser.add_argument("--share", type=float, default=0.5, help="share of a trace that the judge sees")
    parser.add_argument("--characters", action="store_true", help="cut by characters, not at steps")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(options.model / "tokenizer.model"))
    model = load(options.model)
    attempts = read(options.attempts)
    random.Random(0).shuffle(attempts)
    for task in ("arithmetic", "countdown", "quantities"):
        some = [attempted for attempted in attempts if attempted.task.name == task]
        if some:
            print(json.dumps({"task": task} | measure(model, some, tokenizer, options)))


if __name__ == "__main__":
    main()
