"""Checkpoints with their own heads on the bundled model's body, and what they should return."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from tests.backends.servers import MODEL
from widthwise.backends.embedded.backend import EmbeddedBackend
from widthwise.core.arrays import FloatArray, IntArray

WIDTH, CLASSES = 128, 2


def write_qwen_prm(folder: Path) -> Path:
    """A Qwen2ForProcessRewardModel: the bundled Llama is a Qwen2 whose biases are zero; the head is random."""
    folder.mkdir(parents=True)
    for file in MODEL.glob("*token*"):
        shutil.copy(file, folder)
    config = json.loads((MODEL / "config.json").read_text())
    changed = {"architectures": ["Qwen2ForProcessRewardModel"], "model_type": "qwen2", "num_labels": CLASSES}
    (folder / "config.json").write_text(json.dumps(config | changed))
    weights = load_file(MODEL / "model.safetensors")
    for name in [name for name in weights if name.endswith(("q_proj.weight", "k_proj.weight", "v_proj.weight"))]:
        weights[name.replace("weight", "bias")] = np.zeros(len(weights[name]), weights[name].dtype)
    save_file({**weights, **_head()}, folder / "model.safetensors")
    return folder


def expected_outputs(ids: IntArray) -> FloatArray:
    """The head's output at every token, ``float32 [length, classes]``, from the embedded engine's hidden states."""
    weights, head = load_file(MODEL / "model.safetensors"), _head()
    hidden = asyncio.run(_hidden(ids))
    normed = (
        hidden / np.sqrt((hidden**2).mean(-1, keepdims=True) + 1e-5) * weights["model.norm.weight"].astype(np.float32)
    )
    inner = np.maximum(normed @ head["score.0.weight"].T + head["score.0.bias"], 0)
    outputs: FloatArray = inner @ head["score.2.weight"].T + head["score.2.bias"]
    return outputs


class _Everything:
    first = 0

    def __init__(self) -> None:
        self.taken: list[FloatArray] = []

    def take(self, start: int, hidden: FloatArray) -> None:
        self.taken.append(hidden.copy())

    def clear(self) -> None:
        self.taken.clear()


async def _hidden(ids: IntArray) -> FloatArray:
    engine, probe = EmbeddedBackend(MODEL), _Everything()
    await engine._probed(ids, probe)
    await engine.close()
    return np.concatenate(probe.taken)


def _head() -> dict[str, FloatArray]:
    rng = np.random.default_rng(5)
    shapes = {"score.0.weight": (WIDTH, WIDTH), "score.0.bias": (WIDTH,)}
    shapes |= {"score.2.weight": (CLASSES, WIDTH), "score.2.bias": (CLASSES,)}
    return {name: (rng.standard_normal(shape) * 0.3).astype(np.float32) for name, shape in shapes.items()}
