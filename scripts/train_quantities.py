"""Train the model for `quantities`, one stage per command: `python scripts/train_quantities.py run look-up`.

    python scripts/train_quantities.py run look-up    # repeating definitions, and 1 to 2 operations
    python scripts/train_quantities.py run short      # 1 to 6 operations
    python scripts/train_quantities.py run middle     # 1 to 9
    python scripts/train_quantities.py run long       # 2 to 16
    python scripts/train_quantities.py run export     # the weights so far, as the folder run/model
    python scripts/train_quantities.py run attempts   # what that model answers, to learn from
    python scripts/train_quantities.py run skills     # all skills and scores, the learning rate falling to zero
    python scripts/train_quantities.py run export

Stages of training that are named together (`look-up short middle long`) run in one process, which compiles the model
once. A stage writes its documents to the folder, continues the weights and optimizer of the stage before it, and may be
killed: the same command continues from the last checkpoint. The first begins with the bundled reasoner's weights, or
with those of `--begin`. `--until` sets another last step for a stage.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch.multiprocessing
from attempts import collect
from quantity_attempts import problems
from quantity_data import kinds, write
from train_reasoner import Run, Schedule, export, work

from widthwise.models.families import OWN_PROFILE
from widthwise.models.reward_formats import OWN_FORMAT
from widthwise.opening import bundled_models

REASONER = bundled_models()["reasoner"]
TOKENIZER = REASONER / "tokenizer.model"
LEVELS = range(2, 17)


@dataclass(frozen=True, slots=True)
class Stage:
    """What is learned up to which step of the run, each of about 4,096 tokens.

    The learning rate is ``peak`` and falls over the last ``decay`` steps; 1 keeps it to the end. ``drill`` documents
    that repeat definitions are added per sixty solutions.
    """

    levels: Sequence[int]
    thousands: int
    until: int
    decay: int = 1
    peak: float = 1.2e-3
    skills: bool = False
    drill: int = 0


STAGES = {
    "look-up": Stage(range(1, 3), thousands=40, until=700, peak=2e-3, drill=90),
    "short": Stage(range(1, 7), thousands=50, until=2000, peak=1.5e-3, drill=8),
    "middle": Stage(range(1, 10), thousands=60, until=5000),
    "long": Stage(LEVELS, thousands=100, until=14000),
    "skills": Stage([*LEVELS, *range(9, 17)], thousands=150, until=24000, decay=8000, skills=True),
}
ATTEMPTS = {"problems": 6000, "samples": 8}
LAYERS = 10
SAMPLING = {"temperature": 0.9, "top_p": 0.95}
"""Chosen on 60 problems of seed 8: at temperature 1 without a limit, more solutions go wrong by unlikely tokens."""


def learn(folder: Path, options: Namespace) -> None:
    """Take the run through the named stages, in one process, which compiles the model once."""
    plan = [(documents(folder, name), schedule(STAGES[name], options.until)) for name in options.stage]
    spawn(folder / "train", plan, options.begin or REASONER, options.layers, options.workers)


def documents(folder: Path, name: str) -> Path:
    """The file of a stage's documents, which is made if missing."""
    stage, file = STAGES[name], folder / f"{name}.npz"
    if not file.exists():
        attempts = folder / "attempts.jsonl" if stage.skills else None
        made = kinds(stage.levels, stage.skills, attempts, stage.drill)
        write(TOKENIZER, file, stage.thousands, seed=list(STAGES).index(name) + 1, made=made)
    return file


def schedule(stage: Stage, until: int | None) -> Schedule:
    return Schedule(until or stage.until, stage.decay, stage.peak)


def spawn(run: Path, plan: Sequence[tuple[Path, Schedule]], begin: Path, layers: int, workers: int) -> None:
    """Train in worker processes (see `train_reasoner.py`)."""
    run.mkdir(parents=True, exist_ok=True)
    told = Namespace(folder=run, plan=plan, begin=begin, layers=layers, workers=workers, seed=1, vocabulary=448)
    torch.multiprocessing.spawn(work, (told,), workers)


def attempt(folder: Path, options: Namespace) -> None:
    """Draw what the exported model answers at training problems."""
    drawn = list(islice(problems(1, LEVELS), options.until or ATTEMPTS["problems"]))
    asyncio.run(collect(f"embedded:{folder / 'model'}", folder / "attempts.jsonl", drawn, ATTEMPTS["samples"]))


def exported(folder: Path, options: Namespace) -> None:
    """Write a run's weights in float16, beside the reasoner's tokenizer and how the model is asked."""
    from llama import Shape

    out = folder / "model"
    shutil.copytree(REASONER, out, dirs_exist_ok=True, ignore=shutil.ignore_patterns("README.md", "*.safetensors"))
    (out / "config.json").write_text(json.dumps(dict.fromkeys((OWN_PROFILE, OWN_FORMAT), "quantities")))
    export(Run(folder / "train", Shape(448, options.layers), 1).model, out, half=True, sampling=SAMPLING)


COMMANDS: dict[str, Callable[[Path, Namespace], None]] = {
    **dict.fromkeys(STAGES, learn),
    "attempts": attempt,
    "export": exported,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where documents, checkpoints and exported models are kept")
    parser.add_argument("stage", choices=list(COMMANDS), nargs="+", help="several of the first four run as one")
    parser.add_argument("--until", type=int, help="a stage's last step; of attempts, how many problems")
    parser.add_argument("--begin", type=Path, help="folder of exported weights with which the first stage begins")
    added = "layers of the model; those beyond the reasoner's six are added on top and change nothing at first"
    parser.add_argument("--layers", type=int, default=LAYERS, help=added)
    parser.add_argument("--workers", type=int, default=2, help="processes, one core each")
    options = parser.parse_args()
    if len(options.stage) > 1 and (options.until or not STAGES.keys() >= set(options.stage)):
        parser.error("only stages of training run together, and each up to its own last step")
    options.folder.mkdir(parents=True, exist_ok=True)
    COMMANDS[options.stage[0]](options.folder, options)


if __name__ == "__main__":
    main()
