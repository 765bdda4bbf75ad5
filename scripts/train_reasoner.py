"""Train a micro reasoner from scratch: `python scripts/train_reasoner.py data.npz run/ --steps 12000`.

A Llama of about a million parameters learns documents token by token; what is only to be read is not learned. Two
worker processes share each step. Start the same command again and it continues from the last checkpoint; as the
learning rate stays constant up to the last `--decay` steps, a longer run may begin with a shorter one's checkpoint.
`--export models/reasoner` writes the weights as a Hugging Face folder and stops.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing
from documents import IGNORED, Corpus
from llama import Llama, Shape
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn import functional

PEAK = 2e-3  # learning rate
WARM_UP = 200  # steps
BATCH = 2048  # tokens of a worker's batch
SAMPLING = {"temperature": 1.0}
POOL = 64  # batches that are formed together, so that documents of one length meet


# --- Data -------------------------------------------------------------------------------------------------------


def batches(corpus: Corpus, seed: int, size: int) -> Iterator[list[int]]:
    """Endless batches of about `size` tokens, as lists of documents of about one length, so there is little padding.

    Every epoch is a new shuffle. Each document has a row of its own and starts at position 0, as at inference.
    """
    rng = random.Random(seed)
    lengths = np.diff(corpus.starts)
    pool = int(POOL * size / lengths.mean())
    while True:
        order = list(range(len(corpus)))
        rng.shuffle(order)
        for start in range(0, len(order), pool):
            formed = list(group(sorted(order[start : start + pool], key=lengths.__getitem__), lengths, size))
            rng.shuffle(formed)
            yield from formed


def group(documents: list[int], lengths: Any, size: int) -> Iterator[list[int]]:
    """Cut documents in ascending length into full batches; the rest waits for another epoch."""
    members: list[int] = []
    for document in documents:
        if members and (len(members) + 1) * lengths[document] > size:
            yield members
            members = []
        members.append(document)


def collate(corpus: Corpus, members: list[int]) -> tuple[Tensor, Tensor]:
    """Rows of tokens and of the targets to predict, each (documents, length)."""
    length = max(int(corpus.starts[document + 1] - corpus.starts[document]) for document in members)
    tokens = np.zeros((len(members), length), np.int64)
    targets = np.full((len(members), length), IGNORED, np.int64)
    for row, document in enumerate(members):
        part = slice(corpus.starts[document], corpus.starts[document + 1])
        tokens[row, : part.stop - part.start] = corpus.tokens[part]
        targets[row, : part.stop - part.start] = corpus.targets[part]
    return torch.from_numpy(tokens), torch.from_numpy(targets)


# --- Training ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long to train: the learning rate rises, stays, and falls linearly to zero over the last `decay` steps."""

    steps: int
    decay: int
    peak: float = PEAK

    def rate(self, step: int) -> float:
        return self.peak * min(1.0, (step + 1) / WARM_UP, (self.steps - step) / self.decay)


def loss_of(model: Llama, tokens: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy (nats) of the learned tokens; the output layer is computed for these only."""
    learned = targets != IGNORED
    with torch.autocast("cpu", torch.bfloat16):
        logits = model.logits(model(tokens)[learned])
    return functional.cross_entropy(logits.float(), targets[learned])


class Optimizer:
    """Muon for the matrices of the layers, AdamW for the embedding and the norms.

    Muon (Jordan et al. 2024, in the scaling of Liu et al., arXiv 2502.16982) halved the loss that AdamW reached
    in the same five minutes.
    """

    def __init__(self, model: Llama) -> None:
        inner = [p for name, p in model.named_parameters() if p.dim() == 2 and "embed" not in name]
        outer = [p for name, p in model.named_parameters() if p.dim() == 1 or "embed" in name]
        self.parts = (
            torch.optim.Muon(inner, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(outer, weight_decay=0.0, betas=(0.9, 0.95), fused=True),
        )

    def step(self, rate: float) -> None:
        for part in self.parts:
            for settings in part.param_groups:
                settings["lr"] = rate
            part.step()
            part.zero_grad()

    def state_dict(self) -> list[Any]:
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, state: list[Any]) -> None:
        for part, saved in zip(self.parts, state, strict=True):
            part.load_state_dict(saved)


class Run:
    """A training run in a folder: model, optimizer, and progress."""

    def __init__(self, folder: Path, shape: Shape, seed: int) -> None:
        torch.manual_seed(seed)
        self.folder, self.model = folder, Llama(shape)
        self.optimizer = Optimizer(self.model)
        self.step, self.tokens, self.seconds = 0, 0, 0.0
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
        self.step, self.tokens, self.seconds = state["step"], state["tokens"], state["seconds"]

    def save(self) -> None:
        """Write the checkpoint; a crash leaves the previous one."""
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        fresh = self.checkpoint.with_suffix(".new")
        torch.save(state | {"step": self.step, "tokens": self.tokens, "seconds": self.seconds}, fresh)
        os.replace(fresh, self.checkpoint)

    def learn(self, tokens: Tensor, targets: Tensor, rate: float) -> float:
        """Take one step and return the loss before it; the workers' gradients are averaged."""
        loss = loss_of(self.model, tokens, targets)
        loss.backward()
        average([p.grad for p in self.model.parameters() if p.grad is not None])
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step(rate)
        self.step += 1
        self.tokens += tokens.numel() * dist.get_world_size()
        return loss.item()


def average(gradients: list[Tensor]) -> None:
    """Replace each gradient by its mean over the workers."""
    joined = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(joined)
    parts = joined.div_(dist.get_world_size()).split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def train(run: Run, corpus: Corpus, schedule: Schedule, seed: int, parent: int, every: int = 100) -> None:
    """Train up to the schedule's last step; worker w of W takes every W-th document of a batch from the w-th on.

    The order of the batches depends only on the seed, so an interrupted run continues where it stopped. A worker whose
    parent process is gone stops.
    """
    workers = dist.get_world_size()
    formed = islice(batches(corpus, seed, workers * BATCH), run.step, None)
    losses: list[float] = []
    begun = time.monotonic() - run.seconds
    while run.step < schedule.steps and os.getppid() == parent:
        losses.append(run.learn(*collate(corpus, next(formed)[dist.get_rank() :: workers]), schedule.rate(run.step)))
        run.seconds = time.monotonic() - begun
        if dist.get_rank() == 0 and (run.step % every == 0 or run.step == schedule.steps):
            entry = {"step": run.step, "seconds": round(run.seconds), "loss": round(float(np.mean(losses)), 4)}
            print(json.dumps(entry | {"tokens": run.tokens}), flush=True)
            losses.clear()
            run.save()


# --- Export -----------------------------------------------------------------------------------------------------


def export(model: Llama, folder: Path, *, half: bool = False, sampling: Mapping[str, float] = SAMPLING) -> None:
    """Write the model as a Hugging Face folder; the weights are replaced in one move.

    `half` stores them in float16; programs that load them still compute in float32, as the configuration says.
    `sampling` is how the model is sampled from if nothing else is said.
    """
    dtype = torch.float16 if half else torch.float32
    weights = {f"model.{name}": weight.detach().to(dtype).contiguous() for name, weight in model.named_parameters()}
    fresh = folder / "model.safetensors.new"
    fresh.write_bytes(save(weights, metadata={"format": "pt"}))
    os.replace(fresh, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config(model.shape) | _profile(folder), indent=2) + "\n")
    generation = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3, "do_sample": True, **sampling}
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")


def _profile(folder: Path) -> dict[str, str]:
    """The folder's configuration of how to ask the model; training does not change it."""
    file = folder / "config.json"
    known = json.loads(file.read_text()) if file.is_file() else {}
    return {key: value for key, value in known.items() if key.startswith("widthwise_")}


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The weights that `export` wrote."""
    weights = load_file(folder / "model.safetensors")
    return {name.removeprefix("model."): weight.float() for name, weight in weights.items()}


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


def work(worker: int, options: argparse.Namespace) -> None:
    """One worker process of a training run, which takes the corpora of `options.plan` in turn."""
    torch.set_num_threads(1)
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[worker % len(cores)]})  # a worker that is moved between cores holds up the others
    parent = os.getppid()
    meeting = f"file://{options.folder.resolve()}/meeting-{parent}"
    dist.init_process_group("gloo", init_method=meeting, rank=worker, world_size=options.workers)
    run = Run(options.folder, Shape(options.vocabulary, options.layers), options.seed)
    if options.begin and not run.step:
        run.model.begin(read_weights(options.begin))
    if worker == 0:
        print(json.dumps(asdict(run.model.shape) | {"parameters": sum(p.numel() for p in run.model.parameters())}))
    run.model.compile(dynamic=True)  # twice as fast; one compilation serves all batch shapes
    for corpus, schedule in options.plan:
        train(run, Corpus.load(corpus), schedule, options.seed, parent)
    dist.destroy_process_group()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("folder", type=Path, help="where checkpoints are kept")
    parser.add_argument("--steps", type=int, default=12000)
    parser.add_argument("--decay", type=int, default=3000, help="steps at the end over which the learning rate falls")
    parser.add_argument("--peak", type=float, default=PEAK, help="learning rate; use less to continue trained weights")
    parser.add_argument("--workers", type=int, default=2, help="processes, one core each")
    parser.add_argument("--vocabulary", type=int, default=448)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--begin", type=Path, help="folder of exported weights to begin with; layers may be added")
    parser.add_argument("--export", type=Path, help="write the weights to this folder instead of training")
    parser.add_argument("--half", action="store_true", help="export the weights in float16")
    options = parser.parse_args()
    if options.export:
        shape = Shape(options.vocabulary, options.layers)
        export(Run(options.folder, shape, options.seed).model, options.export, half=options.half)
        return
    options.folder.mkdir(parents=True, exist_ok=True)
    options.plan = [(options.corpus, Schedule(options.steps, options.decay, options.peak))]
    torch.multiprocessing.spawn(work, (options,), options.workers)


if __name__ == "__main__":
    main()
