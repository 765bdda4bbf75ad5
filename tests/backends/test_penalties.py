"""Penalties in the embedded engine, checked against their definition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.backends.llama_checkpoint import reference_logits, write_checkpoint
from tests.backends.test_embedded import SHAPE, collect, ids, prompt, request
from widthwise.backends.embedded.backend import EmbeddedBackend


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("penalised"), SHAPE)


@pytest.mark.parametrize(
    "penalties",
    [
        {"repetition_penalty": 1.5},
        {"repetition_penalty": 0.8},
        {"presence_penalty": 1.5},
        {"frequency_penalty": 0.7},
        {"repetition_penalty": 1.2, "presence_penalty": -0.5, "frequency_penalty": 1.9},
    ],
)
async def test_greedy_with_penalties_follows_the_definition(folder: Path, penalties: dict[str, float]) -> None:
    asked, backend = prompt(12), EmbeddedBackend(folder)
    plain = ids(await collect(backend, request(asked, temperature=0.0)))
    deltas = await collect(backend, request(asked, temperature=0.0, **penalties))
    drawn = ids(deltas)
    assert drawn != plain
    logits = reference_logits(SHAPE, SHAPE.weights(), [*asked.tolist(), *drawn])[11:]
    for at, token in enumerate(drawn):
        scores = logits[at].copy()
        for held in {*asked.tolist(), *drawn[:at]}:
            rate = penalties.get("repetition_penalty", 1.0)
            scores[held] *= 1 / rate if scores[held] > 0 else rate
        for held in set(drawn[:at]):
            scores[held] -= penalties.get("presence_penalty", 0.0)
            scores[held] -= penalties.get("frequency_penalty", 0.0) * drawn[:at].count(held)
        assert scores[token] >= scores.max() - 1e-4
    stats = np.concatenate([d.stats.logprobs for d in deltas if d.stats is not None])
    raw = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    np.testing.assert_allclose(stats, raw[np.arange(len(drawn)), drawn], atol=1e-3)
