"""The answers extracted from 100 samples of SmolLM2-135M-Instruct are those that a person wrote down.

A sample's answer is what it calls its answer, in any words. A result in the course of a calculation does not count,
even if it is the last one. `record_smollm2.py` says how the samples were made.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from widthwise.core.answer import group
from widthwise.evals.suites.hub import MATH

SAMPLES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "data" / "smollm2_samples.json").read_text(encoding="utf-8")
)


def test_a_hundred_were_recorded_and_most_state_an_answer() -> None:
    assert len(SAMPLES) == 100
    assert sum(sample["stated"] is not None for sample in SAMPLES) == 55
    assert sum(sample["text"].endswith("<|im_end|>") for sample in SAMPLES) > 60


@pytest.mark.parametrize("number", range(100))
async def test_the_stated_answer_is_read_and_none_is_invented(number: int) -> None:
    stated, read = SAMPLES[number]["stated"], MATH.extract(SAMPLES[number]["text"])
    if stated is None or read is None:
        assert read is stated
    else:
        assert len(await group(MATH, [stated, read])) == 1
