"""Measure the micro reasoner: `python scripts/eval_reasoner.py models/reasoner arithmetic --samples 64`.

Draws samples for every problem of a suite (the shipped test set, or `--fresh 1000` held-out problems of another
seed), checks each, and prints pass@k for k = 1, 4, 16, 64 with 95 % intervals, bootstrapped by problem.
Plain torch, so that a model can be measured while it trains; `widthwise eval` is the way to evaluate strategies.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece
import torch
from numpy.typing import NDArray
from reasoner_data import PROMPT
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional
from train_reasoner import Attention, Llama, Shape, attend, rotate, rotation
from write_suites import SUITES

from widthwise.core.problem import Problem
from widthwise.evals import countdown

BOXED = re.compile(r"\\boxed\{([^{}]*)\}")
END = 2
FRESH = 777  # seed of `--fresh`
LONGEST = 320  # tokens of a solution
BATCH = 512  # samples grown together


# --- Sampling -----------------------------------------------------------------------------------------------------


class Cache:
    """Keys and values of the tokens so far, for every layer: (samples, kv heads, length, head)."""

    def __init__(self) -> None:
        self.layers: list[tuple[Tensor, Tensor]] = []

    def extend(self, index: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Append to a layer and return all of it."""
        if index == len(self.layers):
            self.layers.append((k, v))
        else:
            keys, values = self.layers[index]
            self.layers[index] = torch.cat((keys, k), 2), torch.cat((values, v), 2)
        return self.layers[index]

    def keep(self, rows: Tensor) -> None:
        """Drop the samples that are not named."""
        self.layers = [(k[rows], v[rows]) for k, v in self.layers]


def logits(model: Llama, tokens: Tensor, cache: Cache) -> Tensor:
    """Next-token logits (samples, vocabulary) after some more tokens (samples, length)."""
    x = model.embed_tokens(tokens)
    past = cache.layers[0][0].shape[2] if cache.layers else 0
    cos, sin = rotation(model.shape, past + tokens.shape[1])
    for index, layer in enumerate(model.layers):
        x = x + attention(layer.self_attn, layer.input_layernorm(x), (cos[past:], sin[past:]), cache, index)
        x = x + layer.mlp(layer.post_attention_layernorm(x))
    return model.logits(model.norm(x[:, -1]))


def attention(block: Attention, x: Tensor, turn: tuple[Tensor, Tensor], cache: Cache, index: int) -> Tensor:
    """The attention of `train_reasoner`, over cached keys and values."""
    q, k, v = (block.split(project(x)) for project in (block.q_proj, block.k_proj, block.v_proj))
    k, v = cache.extend(index, rotate(k, turn), v)
    k, v = (t.repeat_interleave(block.groups, dim=1) for t in (k, v))
    q = rotate(q, turn)
    if q.shape[2] > 1:
        return block.o_proj(attend(q, k, v).transpose(1, 2).flatten(2))
    mixed = functional.scaled_dot_product_attention(q, k, v)
    return block.o_proj(mixed.transpose(1, 2).flatten(2))


@torch.inference_mode()
def sample(model: Llama, prompts: list[list[int]], temperature: float, generator: torch.Generator) -> list[list[int]]:
    """Continue prompts of one length until each ends."""
    grown: list[list[int]] = [[] for _ in prompts]
    alive, cache, tokens = torch.arange(len(prompts)), Cache(), torch.tensor(prompts)
    for _ in range(LONGEST):
        chances = (logits(model, tokens, cache) / temperature).softmax(-1)
        tokens = torch.multinomial(chances, 1, generator=generator)
        for row, token in zip(alive.tolist(), tokens[:, 0].tolist(), strict=True):
            grown[row].append(token)
        going = (tokens[:, 0] != END).nonzero()[:, 0]
        if not len(going):
            break
        if len(going) < len(alive):
            alive, tokens = alive[going], tokens[going]
            cache.keep(going)
    return grown


# --- Measuring ----------------------------------------------------------------------------------------------------


def correct(problem: Problem, text: str) -> bool:
    """Whether the boxed answer of a solution is right."""
    match = BOXED.search(text)
    if match is None:
        return False
    if "numbers" in problem.metadata:
        return countdown.check(match[1], problem.metadata["numbers"], problem.metadata["target"])
    return bool(match[1] == problem.answer)


def measure(model: Llama, tokenizer: Any, problems: list[Problem], samples: int, options: Any) -> dict[str, Any]:
    """Sample and check all problems: successes (problems,), answers, and tokens drawn."""
    generator = torch.Generator().manual_seed(options.seed)
    prompts = [tokenizer.encode(PROMPT.format(problem.text)) for problem in problems]
    jobs = sorted((index for index in range(len(problems)) for _ in range(samples)), key=lambda i: len(prompts[i]))
    answers: list[Counter[str]] = [Counter() for _ in problems]
    right, drawn = np.zeros(len(problems), int), 0
    while jobs:
        length = len(prompts[jobs[0]])
        members = [index for index in jobs[:BATCH] if len(prompts[index]) == length]
        jobs = jobs[len(members) :]
        grown = sample(model, [prompts[index] for index in members], options.temperature, generator)
        for index, ids in zip(members, grown, strict=True):
            text = tokenizer.decode(ids)
            right[index] += correct(problems[index], text)
            answers[index].update(BOXED.findall(text)[:1])
            drawn += len(ids)
    return {"right": right, "answers": answers, "tokens": drawn}


def pass_at(k: int, samples: int, right: NDArray[np.int_]) -> NDArray[np.float64]:
    """Each problem's chance that k of its samples, drawn without replacement, hold a right one."""
    wrong = samples - right
    miss = np.ones(len(right))
    for i in range(k):
        miss *= np.clip(wrong - i, 0, None) / (samples - i)
    return 1 - miss


def interval(values: NDArray[np.float64]) -> list[float]:
    """Mean and its 95 % interval in percent, bootstrapped by problem."""
    draws = np.random.default_rng(0).choice(values, (2000, len(values))).mean(1)
    return [round(100 * float(x), 1) for x in (values.mean(), *np.quantile(draws, (0.025, 0.975)))]


def summary(problems: list[Problem], found: dict[str, Any], samples: int) -> dict[str, Any]:
    """The figures of the model card."""
    right = found["right"]
    result: dict[str, Any] = {"problems": len(problems), "samples": samples}
    for k in (k for k in (1, 4, 16, 64) if k <= samples):
        result[f"pass@{k}"] = interval(pass_at(k, samples, right))
    votes = [max(answers.items(), key=lambda x: x[1])[0] if answers else "" for answers in found["answers"]]
    voted = [correct(p, f"\\boxed{{{vote}}}") for p, vote in zip(problems, votes, strict=True)]
    result[f"maj@{samples}"] = interval(np.array(voted, float))
    levels = sorted({problem.metadata["level"] for problem in problems})
    result["pass@1 by level"] = {
        level: round(100 * float(right[[p.metadata["level"] == level for p in problems]].mean()) / samples, 1)
        for level in levels
    }
    result["tokens each"] = round(found["tokens"] / (len(problems) * samples), 1)
    result["different answers each"] = round(float(np.mean([len(answers) for answers in found["answers"]])), 1)
    return result


# --- Input --------------------------------------------------------------------------------------------------------


def load_model(folder: Path) -> Llama:
    """Read a Hugging Face folder that `train_reasoner.export` wrote."""
    config = json.loads((folder / "config.json").read_text())
    sizes = ("vocab_size", "num_hidden_layers", "hidden_size", "num_attention_heads", "num_key_value_heads")
    model = Llama(Shape(*(config[name] for name in sizes), hidden=config["intermediate_size"]))
    weights = load_file(folder / "model.safetensors")
    model.load_state_dict({name.removeprefix("model."): weight for name, weight in weights.items()})
    return model


def shipped(path: Path) -> list[Problem]:
    """The problems of a shipped test set."""
    records = map(json.loads, path.read_text().splitlines())
    return [Problem(record["id"], record["problem"], record["answer"], record) for record in records]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("suite", choices=sorted(SUITES))
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[1] / "evals" / "data")
    parser.add_argument("--fresh", type=int, help="measure so many new held-out problems instead of the shipped set")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.fresh:
        problems = SUITES[options.suite](options.fresh, FRESH)
    else:
        problems = shipped(options.data / f"{options.suite}.jsonl")
    problems = problems[: options.limit]
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(options.folder / "tokenizer.model"))
    begun = time.monotonic()
    found = measure(load_model(options.folder), tokenizer, problems, options.samples, options)
    print(json.dumps(summary(problems, found, options.samples) | {"seconds": round(time.monotonic() - begun)}))


if __name__ == "__main__":
    main()
