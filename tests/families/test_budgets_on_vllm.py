"""Budgets for thinking on vLLM, with Qwen3's tokens and random weights: token for token as on the embedded engine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.families.checkpoints import Checkpoints
from tests.families.test_vllm_families import vllm_backend
from widthwise.backends.embedded.backend import EmbeddedBackend
from widthwise.core.backend import Backend, SamplingParams
from widthwise.core.literal import Tags
from widthwise.core.problem import Problem
from widthwise.core.prompting.thinking import Thinking
from widthwise.core.session.session import Session
from widthwise.core.trace.trace import Trace
from widthwise.evals.grading.graders import MathGrader
from widthwise.evals.runner import setting_for
from widthwise.evals.suites.suite import Suite
from widthwise.models.thinking_marks import THINK

pytestmark = [pytest.mark.slow, pytest.mark.vllm]

PROBLEM = Problem("p", "What is 3 + 4?", "7")
SUITE = Suite("sums", (PROBLEM,), MathGrader(), "Box it.")


async def drawn(backend: Backend, marks: Thinking, *, opened: bool = True, **options: Any) -> tuple[Session, Trace]:
    params = SamplingParams(temperature=0.0, max_tokens=40)
    session = Session(PROBLEM, setting_for(SUITE, backend, params=params, thinking=marks))
    root = session.append(session.root, Tags("<think>\n")) if opened else session.root
    [trace] = await session.sample(root, **options)
    await session.settle()
    sampled = [t for t in session.traces.values() if t.segment.origin == "sampled"]
    assert session.ledger.sampled == sum(len(t.segment) for t in sampled)
    assert session.ledger.sequential == session.ledger.sampled
    return session, trace


async def test_budgets_on_vllm(checkpoints: Checkpoints) -> None:
    folder = checkpoints("qwen3", weights=True)
    async with vllm_backend(folder) as vllm:
        embedded = EmbeddedBackend(folder)
        plain = (await drawn(vllm, THINK))[1].segment
        # Random weights never close their thinking, so a token that they do sample stands for the closing mark.
        mark = vllm.tokenizer.decode(plain.token_ids[11:12])
        closes = replace(THINK, marks=(("<think>", mark),), close=mark)
        for marks, options in (
            (THINK, {"thinking": 9}),
            (THINK, {"thinking": 0, "opened": False}),
            (closes, {"thinking": 30}),
            (closes, {"waits": 1}),
            (closes, {"thinking": 20, "waits": 2}),
        ):
            session, trace = await drawn(vllm, marks, **options)
            other, same = await drawn(embedded, marks, **options)
            assert trace.token_ids.tolist() == same.token_ids.tolist()
            ledgers = (session.ledger, other.ledger)
            assert len({(x.sampled, x.discarded, x.samples, x.sequential) for x in ledgers}) == 1
            pieces = [s.metadata.get("thought") for s in trace.path]
            assert pieces == [s.metadata.get("thought") for s in same.path]
            assert any(pieces)
            if options.get("waits"):
                assert session.ledger.discarded > 0
        closed = (await drawn(vllm, THINK, thinking=9))[1]
        assert closed.path[2].token_ids.tolist() == plain.token_ids[:9].tolist()
        [end] = vllm.tokenizer.encode("</think>")
        assert end in closed.path[3].token_ids
        assert closed.tokens == 40
