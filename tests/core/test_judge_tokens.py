"""How long a judge's reply may be: there is room for its thinking, whatever the limit on samples."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.core.scripted import PlainGrader, Replying
from widthwise.core.backend import SamplingParams
from widthwise.core.problem import Problem
from widthwise.core.prompting.prompt import PromptFormat
from widthwise.core.session.scheduler import Scheduler
from widthwise.core.session.session import Session
from widthwise.core.session.setting import JUDGE_TOKENS, Setting
from widthwise.models.thinking_marks import THINK

PROMPT = len("1+1?") + 1


async def limit(context: int | None = None, *, samples: int | None, own: int | None = None, **fields: Any) -> Any:
    """The ``max_tokens`` of a judge's request, if samples are limited to ``samples`` and the call to ``own``."""
    backend = Replying(lambda *_: "yes")
    backend.max_model_len = context  # type: ignore[assignment]
    setting = Setting(Scheduler(backend), PlainGrader(), PromptFormat("plain"), params=SamplingParams(samples))
    session = Session(Problem("p1", "1+1?"), replace(setting, **fields))
    await session.sample(session.root, judging=True, max_tokens=own)
    await session.sample(session.root)
    judged, sampled = backend.requests
    assert sampled.params.max_tokens == samples
    return judged.params.max_tokens


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"samples": 16}, 16),
        ({"samples": None}, None),
        ({"samples": 16, "thinking": THINK}, JUDGE_TOKENS),
        ({"samples": None, "thinking": THINK}, None),
        ({"samples": 2 * JUDGE_TOKENS, "thinking": THINK}, 2 * JUDGE_TOKENS),
        ({"samples": 16, "thinking": THINK, "judge_tokens": 8}, 8),
        ({"samples": None, "judge_tokens": 8}, 8),
        ({"samples": 16, "thinking": THINK, "own": 1}, 1),
        ({"samples": 16, "thinking": THINK, "context": 100}, 100 - PROMPT),
        ({"samples": 16, "thinking": THINK, "context": 10}, 16),
    ],
)
async def test_the_limit_of_a_judges_reply(fields: dict[str, Any], expected: int | None) -> None:
    assert await limit(**fields) == expected
