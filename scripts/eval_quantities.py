"""What a model knows about `quantities` while it trains: how likely the right tokens are, by what they do in a step.

    python scripts/eval_quantities.py run/train/checkpoint.pt --levels 2 6 --problems 120
    python scripts/eval_quantities.py models/reasoner

Right solutions of held-out problems are read once; nothing is sampled. Printed for each kind of token: the mean
log-probability (nats) of all its tokens together, and the share in which every token is the most likely one:

* plan: what is needed (which of two operands comes first is drawn by lot, so it is never certain);
* name, definition: which quantity comes next, and what the problem says of it (any quantity that can be worked out
  would be right, so a name is never certain);
* operands: the definition with numbers, from what was given and worked out before;
* sum, difference, product, hard product (two numbers of two digits): the value;
* answer: the number in the box.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import sentencepiece
import torch
from documents import encode_text, turn
from eval_labels import load
from llama import Llama, Shape
from quantity_solutions import order, plan

from widthwise.evals.suites.quantities import generate
from widthwise.evals.suites.quantity_system import Operation, QuantitySystem
from widthwise.opening import bundled_models

SEED = 777
SIGNS = {"+": "sum", "-": "difference", "*": "product"}


class Part(NamedTuple):
    """A piece of a solution, and what its tokens do; None for text that is only read or needs no knowledge."""

    text: str
    kind: str | None = None


def parts(system: QuantitySystem, rng: random.Random) -> Iterator[Part]:
    """A solution in the wording that writes everything out."""
    yield Part(turn(str(system)))
    yield from (Part(planned := plan(system, rng), "plan"), Part("\n\n"))
    values = system.values()
    for name in order(system, planned, rng, useless=0):
        definition = system.definitions[name]
        assert isinstance(definition, Operation)
        left, right = definition.at(values)
        yield from (Part(name, "name"), Part(" = "), Part(str(definition), "definition"), Part(" = "))
        yield from (Part(f"{left} {definition.op} {right}", "operands"), Part(" = "))
        hard = definition.op == "*" and min(left, right) > 10
        yield from (Part(str(values[name]), "hard product" if hard else SIGNS[definition.op]), Part("\n\n"))
    yield from (Part("\\boxed{"), Part(str(system.answer), "answer"))


@torch.inference_mode()
def read(
    model: Llama, pieces: Sequence[Part], tokenizer: sentencepiece.SentencePieceProcessor
) -> Iterator[tuple[str, float, bool]]:
    """For each part with a kind: its log-probability, and whether every one of its tokens is the most likely one."""
    encoded = [encode_text(piece.text, tokenizer) for piece in pieces]
    ids = torch.tensor([token for each in encoded for token in each])
    chances = model.logits(model(ids[None]))[0].log_softmax(-1)
    begin = 0
    for piece, tokens in zip(pieces, encoded, strict=True):
        before = chances[begin - 1 : begin - 1 + len(tokens)]
        begin += len(tokens)
        if piece.kind:
            aims = torch.tensor(tokens)
            said = before.gather(1, aims[:, None]).sum().item()
            yield piece.kind, said, bool((before.argmax(-1) == aims).all())


def measure(
    model: Llama, systems: Sequence[QuantitySystem], tokenizer: sentencepiece.SentencePieceProcessor
) -> dict[str, dict[str, float]]:
    """For every kind, how many parts there are, their mean log-probability, and the share that is most likely."""
    rng = random.Random(SEED)
    found: dict[str, list[tuple[float, bool]]] = {}
    for system in systems:
        for kind, said, likeliest in read(model, list(parts(system, rng)), tokenizer):
            found.setdefault(kind, []).append((said, likeliest))
    return {
        kind: {
            "parts": len(rows),
            "log_probability": round(float(np.mean([said for said, _ in rows])), 3),
            "likeliest": round(float(np.mean([likeliest for _, likeliest in rows])), 3),
        }
        for kind, rows in sorted(found.items())
    }


def opened(path: Path) -> Llama:
    """A model from a checkpoint of `train_reasoner.py` or from a folder that it exported."""
    if path.is_dir():
        return load(path)
    weights = torch.load(path)["model"]
    layers = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("layers."))
    model = Llama(Shape(len(weights["embed_tokens.weight"]), layers))
    model.load_state_dict(weights)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a checkpoint, or a folder of exported weights")
    parser.add_argument("--levels", type=int, nargs=2, default=(2, 16), help="the fewest and the most operations")
    parser.add_argument("--problems", type=int, default=120)
    options = parser.parse_args()
    torch.set_num_threads(1)
    file = bundled_models()["reasoner"] / "tokenizer.model"
    drawn = generate(options.problems, SEED, tuple(options.levels))
    systems = [QuantitySystem.read(problem.text) for problem in drawn]
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(file))
    for kind, row in measure(opened(options.model), systems, tokenizer).items():
        print(json.dumps({"kind": kind, **row}))


if __name__ == "__main__":
    main()
