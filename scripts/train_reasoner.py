"""Train the micro reasoner from scratch: `python scripts/train_reasoner.py data.npz run/ --minutes 60`.

A Llama of about a million parameters learns solutions token by token; the prompt's tokens are not learned.
The learning rate rises, stays, and falls linearly to zero at the end of the time budget, which counts the time
of all runs that shared the folder: start the same command again and it goes on from the last checkpoint.
`--export models/reasoner` writes the weights as a Hugging Face folder and stops.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from reasoner_data import Corpus
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional

PEAK = 2e-3  # learning rate
WARM_UP = 200  # steps
DECAY = 0.5  # share of the time budget over which the learning rate falls
BATCH = 4096  # tokens
POOL = 64  # batches that are formed together, so that documents of one length meet
IGNORED = -100  # target of a token that is not learned


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of the model."""

    vocabulary: int
    layers: int = 6
    width: int = 128
    heads: int = 4
    kv_heads: int = 2
    hidden: int = 352
    context: int = 1024
    theta: float = 10000.0
    epsilon: float = 1e-5

    @property
    def head(self) -> int:
        return self.width // self.heads


# --- Model: parameter names are those of Hugging Face checkpoints -------------------------------------------------


class Attention(nn.Module):
    """Causal self-attention with rotary positions; several query heads share a key/value head."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.head, self.groups = shape.head, shape.heads // shape.kv_heads
        self.q_proj = nn.Linear(shape.width, shape.heads * shape.head, bias=False)
        self.k_proj = nn.Linear(shape.width, shape.kv_heads * shape.head, bias=False)
        self.v_proj = nn.Linear(shape.width, shape.kv_heads * shape.head, bias=False)
        self.o_proj = nn.Linear(shape.heads * shape.head, shape.width, bias=False)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        """(batch, length, width) to the same shape."""
        q, k, v = (self.split(project(x)) for project in (self.q_proj, self.k_proj, self.v_proj))
        q, k = rotate(q, turn), rotate(k, turn)
        k, v = (t.repeat_interleave(self.groups, dim=1) for t in (k, v))
        return self.o_proj(attend(q, k, v).transpose(1, 2).flatten(2))

    def split(self, x: Tensor) -> Tensor:
        """(batch, length, heads * head) to (batch, heads, length, head)."""
        return x.unflatten(2, (-1, self.head)).transpose(1, 2)


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal attention over (batch, heads, length, head).

    Written out: on short rows the compiled formula is several times faster on a CPU than the fused kernel's backward.
    """
    length = q.shape[2]
    future = torch.ones(length, length, dtype=torch.bool).triu(1)
    scores = q @ k.transpose(2, 3) * q.shape[3] ** -0.5
    return scores.masked_fill(future, -torch.inf).softmax(dim=-1).to(v.dtype) @ v


class FeedForward(nn.Module):
    """SwiGLU."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.width, shape.hidden, bias=False)
        self.up_proj = nn.Linear(shape.width, shape.hidden, bias=False)
        self.down_proj = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(shape.width, shape.epsilon)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = nn.RMSNorm(shape.width, shape.epsilon)
        self.mlp = FeedForward(shape)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), turn)
        return x + self.mlp(self.post_attention_layernorm(x))


class Llama(nn.Module):
    """The decoder; its output layer is the transposed embedding."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, shape.epsilon)
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                deep = name.endswith(("o_proj.weight", "down_proj.weight"))
                nn.init.normal_(weight, std=0.04 / (2 * shape.layers) ** 0.5 if deep else 0.04)

    def forward(self, tokens: Tensor) -> Tensor:
        """Token ids (batch, length) to hidden states (batch, length, width)."""
        x = self.embed_tokens(tokens)
        turn = rotation(self.shape, tokens.shape[1])
        for layer in self.layers:
            x = layer(x, turn)
        return self.norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        return functional.linear(hidden, self.embed_tokens.weight)


def rotation(shape: Shape, length: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines (length, head) of the rotary positions."""
    frequency = shape.theta ** (-torch.arange(0, shape.head, 2) / shape.head)
    angle = torch.outer(torch.arange(length), frequency).repeat(1, 2)
    return angle.cos(), angle.sin()


def rotate(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Turn queries or keys by their positions (the halves of a head are the two coordinates)."""
    first, second = x.chunk(2, dim=-1)
    cos, sin = (part.to(x.dtype) for part in turn)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


# --- Data -------------------------------------------------------------------------------------------------------


def batches(corpus: Corpus, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless (tokens, targets) of about `BATCH` tokens; documents of one length share a batch, so little is padding.

    Every epoch is a new shuffle. Each document stands in a row of its own and starts at position 0, as at inference.
    """
    rng = random.Random(seed)
    lengths = np.diff(corpus.starts)
    pool = int(POOL * BATCH / lengths.mean())
    while True:
        order = list(range(len(corpus)))
        rng.shuffle(order)
        for start in range(0, len(order), pool):
            formed = list(group(sorted(order[start : start + pool], key=lengths.__getitem__), lengths))
            rng.shuffle(formed)
            for members in formed:
                yield collate(corpus, members, int(lengths[members].max()))


def group(documents: list[int], lengths: Any) -> Iterator[list[int]]:
    """Cut documents in ascending length into batches."""
    members: list[int] = []
    for document in documents:
        if members and (len(members) + 1) * lengths[document] > BATCH:
            yield members
            members = []
        members.append(document)
    yield members


def collate(corpus: Corpus, members: list[int], length: int) -> tuple[Tensor, Tensor]:
    """Rows of tokens and of the targets to learn, each (documents, length - 1)."""
    tokens = np.zeros((len(members), length), np.int64)
    targets = np.full((len(members), length), IGNORED, np.int64)
    for row, document in enumerate(members):
        ids = corpus.tokens[corpus.starts[document] : corpus.starts[document + 1]]
        prompt = corpus.prompts[document]
        tokens[row, : len(ids)] = ids
        targets[row, prompt : len(ids)] = ids[prompt:]
    return torch.from_numpy(tokens[:, :-1]), torch.from_numpy(targets[:, 1:])


# --- Training ---------------------------------------------------------------------------------------------------


def loss_of(model: Llama, tokens: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy (nats) of the learned tokens; the output layer is computed for these only."""
    learned = targets != IGNORED
    with torch.autocast("cpu", torch.bfloat16):
        logits = model.logits(model(tokens)[learned])
    return functional.cross_entropy(logits.float(), targets[learned])


def rate(step: int, spent: float, minutes: float) -> float:
    """The learning rate, by steps while it rises and by the share of the time budget while it falls."""
    left = max(0.0, 1 - spent / (60 * minutes))
    return PEAK * min(1.0, (step + 1) / WARM_UP, left / DECAY)


class Run:
    """A training run in a folder: model, optimizer, and how far it is."""

    def __init__(self, folder: Path, shape: Shape, seed: int) -> None:
        torch.manual_seed(seed)
        self.folder, self.model = folder, Llama(shape)
        matrices = [p for p in self.model.parameters() if p.dim() == 2]
        vectors = [p for p in self.model.parameters() if p.dim() == 1]
        groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.95), fused=True)
        self.step, self.spent = 0, 0.0
        folder.mkdir(parents=True, exist_ok=True)
        if self.checkpoint.exists():
            self.load()

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    def load(self) -> None:
        state = torch.load(self.checkpoint)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.spent = state["step"], state["spent"]

    def save(self) -> None:
        """Write the checkpoint; a crash leaves the one before."""
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        fresh = self.checkpoint.with_suffix(".new")
        torch.save(state | {"step": self.step, "spent": self.spent}, fresh)
        os.replace(fresh, self.checkpoint)

    def learn(self, tokens: Tensor, targets: Tensor, rate: float) -> float:
        """Take one step and return the loss before it."""
        for settings in self.optimizer.param_groups:
            settings["lr"] = rate
        loss = loss_of(self.model, tokens, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        return loss.item()


def train(run: Run, corpus: Corpus, minutes: float, seed: int, every: int = 100, steps: int | None = None) -> None:
    """Train until the time budget (minutes, over all runs) or the number of steps is spent."""
    begun = time.monotonic() - run.spent
    seen, losses = 0, []
    for tokens, targets in batches(corpus, seed + run.step):
        run.spent = time.monotonic() - begun
        if run.spent > 60 * minutes or run.step == steps:
            break
        losses.append(run.learn(tokens, targets, rate(run.step, run.spent, minutes)))
        seen += tokens.numel()
        if run.step % every == 0:
            entry = {"step": run.step, "seconds": round(run.spent), "loss": round(float(np.mean(losses)), 4)}
            print(json.dumps(entry | {"tokens": seen}), flush=True)
            losses.clear()
            run.save()
    run.save()


# --- Export -----------------------------------------------------------------------------------------------------


def export(model: Llama, folder: Path) -> None:
    """Write the model as a Hugging Face folder; the weights are replaced in one move."""
    weights = {f"model.{name}": weight.detach().float().contiguous() for name, weight in model.named_parameters()}
    fresh = folder / "model.safetensors.new"
    fresh.write_bytes(save(weights, metadata={"format": "pt"}))
    os.replace(fresh, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config(model.shape), indent=2) + "\n")
    generation = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3, "do_sample": True, "temperature": 1.0}
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")


def config(shape: Shape) -> dict[str, Any]:
    """The Hugging Face description of the architecture."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.width,
        "intermediate_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head,
        "hidden_act": "silu",
        "max_position_embeddings": shape.context,
        "rms_norm_eps": shape.epsilon,
        "rope_theta": shape.theta,
        "tie_word_embeddings": True,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 3,
        "torch_dtype": "float32",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("folder", type=Path, help="where checkpoints are kept")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--vocabulary", type=int, default=448)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--export", type=Path, help="write the weights to this folder instead of training")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    run = Run(options.folder, Shape(options.vocabulary), options.seed)
    if options.export:
        export(run.model, options.export)
        return
    print(json.dumps(asdict(run.model.shape) | {"parameters": sum(p.numel() for p in run.model.parameters())}))
    run.model.compile(dynamic=True)  # twice as fast; one compilation serves all batch shapes
    train(run, Corpus.load(options.corpus), options.minutes, options.seed)


if __name__ == "__main__":
    main()
