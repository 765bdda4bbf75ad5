"""A real small model on the embedded engine. It takes minutes: opt in with WIDTHWISE_SMOKE=1."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import widthwise as ww
from tests.families.checkpoints import smollm2_weights
from tests.families.test_embedded_families import asked, drawn, reference_logprobs
from widthwise.backends.embedded.backend import EmbeddedBackend

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif("WIDTHWISE_SMOKE" not in os.environ, reason="opt in with WIDTHWISE_SMOKE=1"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return smollm2_weights(tmp_path_factory.mktemp("smollm2") / "model")


async def test_its_log_probabilities_are_those_of_transformers(folder: Path) -> None:
    backend = EmbeddedBackend(folder)
    request = asked(backend, "Tell me about the Seine. " * 20, max_tokens=4, prompt_logprobs=0, temperature=0.0)
    stats = (await drawn(backend, request))[0].prompt_stats
    assert stats is not None
    ids = request.prompt
    theirs = reference_logprobs(folder, ids.tolist())
    np.testing.assert_allclose(stats.logprobs, theirs[np.arange(len(ids) - 1), ids[1:]], atol=1e-3)


def test_it_speaks_and_ends(folder: Path) -> None:
    result = ww.solve("What is the capital of France?", "best_of_n(n=8)", f"embedded:{folder}", max_tokens=80)
    assert any("Paris" in trace.completion for trace in result.traces)
    assert any(trace.finish == "stop" for trace in result.traces)
