"""A server that fails three requests in ten, through our proxy; nothing may be lost or counted twice."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from tests.backends.conformance import Subject
from tests.backends.servers import own_server
from tests.core.scripted import PlainGrader
from widthwise.backends.http.backend import HTTPBackend
from widthwise.core.backend import Request
from widthwise.core.problem import Problem
from widthwise.core.prompting.prompt import PromptFormat
from widthwise.core.retry import Retry
from widthwise.core.session.ledger import Ledger
from widthwise.core.session.scheduler import Scheduler
from widthwise.core.session.session import Session
from widthwise.core.session.setting import Setting

SHARE = 0.3
RETRY = Retry(attempts=100, first_delay=0.01, longest_delay=0.1)


@pytest.fixture(scope="module", params=[pytest.param("vllm_url", marks=pytest.mark.vllm), "text_url"])
def steady_url(request: pytest.FixtureRequest) -> str:
    """A real vLLM server, and a small text-only one."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture(scope="module")
def proxy_url(steady_url: str) -> Iterator[str]:
    with own_server("faulty_proxy.py", steady_url, str(SHARE), "7") as url:
        yield url


@pytest.fixture(scope="module")
def faulty(proxy_url: str) -> Iterator[Subject]:
    backend = HTTPBackend(proxy_url, stall_timeout=2.0, first_timeout=60.0)
    yield Subject(backend, lambda: 0)
    asyncio.run(backend.close())


@pytest.fixture(scope="module")
def steady(steady_url: str) -> Iterator[Subject]:
    backend = HTTPBackend(steady_url)
    yield Subject(backend, lambda: 0)
    asyncio.run(backend.close())


async def serve(scheduler: Scheduler, request: Request, ledger: Ledger) -> list[int]:
    deltas = [delta async for delta in scheduler.generate(request, ledger)]
    assert deltas[-1].finish is not None
    assert [delta for delta in deltas if delta.finish is not None] == deltas[-1:]
    return [int(i) for delta in deltas for i in delta.token_ids]


def faults(proxy_url: str) -> dict[str, int]:
    with urllib.request.urlopen(f"{proxy_url}/faults", timeout=600) as response:
        return dict(json.load(response))


async def test_greedy_answers_are_those_of_a_steady_server(faulty: Subject, steady: Subject, proxy_url: str) -> None:
    """A continuation after the received tokens is exact: anything lost or doubled would show."""
    if not faulty.backend.capabilities.token_ids:
        pytest.skip("a text server's continuation is not exact")
    prompts = [[*faulty.prompt, *faulty.backend.tokenizer.encode(f"{i} + ")] for i in range(48)]
    requests = [faulty.request(prompt, temperature=0.0, chunk=4) for prompt in prompts]
    expected = await asyncio.gather(*(steady.run(request) for request in requests))
    before, ledger = faults(proxy_url), Ledger()
    scheduler = Scheduler(faulty.backend, retry=RETRY)
    served = await asyncio.gather(*(serve(scheduler, request, ledger) for request in requests))
    assert served == [sampled.ids for sampled in expected]
    after = faults(proxy_url)
    struck = {kind: after[kind] - before.get(kind, 0) for kind in after if kind != "requests"}
    assert set(struck) == {"status_500", "reset", "stall", "truncate"}
    assert min(struck.values()) > 0
    assert ledger.retries > 0


async def test_every_sample_finishes_and_is_counted_once(faulty: Subject) -> None:
    setting = Setting(Scheduler(faulty.backend, retry=RETRY), PlainGrader(), PromptFormat("plain"))
    session = Session(Problem("p0", "Compute 17 + 4 * 7.", "45"), setting)
    traces = await session.sample(session.root, 64, max_tokens=64)
    await session.settle()
    assert [trace.finish for trace in traces if trace.finish not in ("stop", "length")] == []
    assert session.ledger.sampled == sum(len(trace.segment.token_ids) for trace in traces)
    assert session.ledger.discarded == 0
    assert session.ledger.retries > 0
    assert all(0 < len(trace.segment.token_ids) <= 64 for trace in traces)
    paid = session.ledger.prompt_cached + session.ledger.prompt_computed
    assert paid >= 64 * len(session.root.token_ids)


async def test_tokens_that_came_before_a_fault_are_delivered_once(faulty: Subject) -> None:
    """Without the scheduler: what a broken request delivered is the beginning of the answer."""
    if not faulty.backend.capabilities.token_ids:
        pytest.skip("a text server's continuation is not exact")
    request = replace(faulty.request(temperature=0.0), chunk=1)
    whole = await serve(Scheduler(faulty.backend, retry=RETRY), request, Ledger())
    for _ in range(20):
        ids: list[int] = []
        try:
            async for delta in faulty.backend.generate(request):
                ids += delta.token_ids.tolist()
        except Exception as error:
            assert getattr(error, "retryable", False), error  # noqa: PT017
        assert np.array_equal(ids, whole[: len(ids)])
