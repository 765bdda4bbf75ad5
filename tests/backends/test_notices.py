"""Whenever a backend does something other than requested, the log says so."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.backends.scripted_server import Reply, by_path, in_turn, refusal, served
from widthwise.backends import watchdog
from widthwise.backends.embedding import cut_to
from widthwise.backends.http import client, server_pool
from widthwise.backends.http.profile import ServerProfile, common, compare
from widthwise.backends.http.server_pool import ServerPool
from widthwise.backends.http.text_dialect import TextDialect
from widthwise.backends.http.token_dialect import TokenDialect
from widthwise.backends.loop_thread import LoopThread
from widthwise.backends.notes import Notes
from widthwise.backends.replay import ReplayBackend
from widthwise.backends.tokenizers.chat_template import ChatTemplate
from widthwise.backends.tokenizers.files import folder_of
from widthwise.backends.tokenizers.pieces import PieceTokenizer
from widthwise.backends.vllm.engine import VLLMEngine
from widthwise.core.backend import Request, SamplingParams, TokenStats
from widthwise.core.errors import BackendError
from widthwise.core.problem import Problem
from widthwise.core.trace.recording import Recording, Sample

INFO = ServerProfile("m", dialect="token_ids", max_model_len=4096, cached_tokens=True, logprobs=True, priorities=True)


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, logger="widthwise")
    return caplog


def request(**params: Any) -> Request:
    return Request(np.array([1, 2, 3], np.int64), SamplingParams(**params), seed=0)


# -- servers ---------------------------------------------------------------------------------------------------


def test_a_server_that_fails_is_named_once_and_so_is_its_return(
    said: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_pool, "monotonic", lambda: 100.0)
    (server,) = ServerPool(["http://a/v1"]).servers
    server.failed("the connection broke off")
    server.failed("the connection broke off")
    server.succeeded()
    server.succeeded()
    assert [r.levelname for r in said.records] == ["WARNING", "INFO"]
    assert "http://a/v1 failed and is put aside for 0.5 seconds: the connection broke off" in said.text


def test_a_question_that_is_asked_again(said: pytest.LogCaptureFixture) -> None:
    with served(by_path(models=in_turn(refusal(503, "busy"), Reply({"data": []}))), None) as server:
        assert client.get(f"{server.url}/v1/models", 10.0) == {"data": []}
    assert f"asking again in 0.1 seconds: {server.url}/v1/models answered 503: busy" in said.text


def test_what_a_pool_cannot_do_together_is_noted(said: pytest.LogCaptureFixture) -> None:
    notes, infos = Notes(), [INFO, replace(INFO, max_model_len=1024, cached_tokens=False)]
    compare(common(infos), infos, notes)
    assert "the servers differ in max_model_len: 1024 is assumed for all" in notes
    assert [r.getMessage() for r in said.records] == notes
    assert any("count as computed" in note for note in notes)


def test_servers_that_are_alike_leave_no_note() -> None:
    notes = Notes()
    compare(common([INFO, INFO]), [INFO, INFO], notes)
    assert notes == []


# -- answers ---------------------------------------------------------------------------------------------------


def test_an_unusual_end_is_named(said: pytest.LogCaptureFixture) -> None:
    dialect = TextDialect(PieceTokenizer(), ServerProfile("m"))
    assert dialect.reader(request()).read({"text": "a", "finish_reason": "bored"}).finish == "stop"
    assert "the server ended an answer with the unknown word 'bored'" in said.text


def test_log_probabilities_of_other_tokens_than_the_text_are_lost_aloud(said: pytest.LogCaptureFixture) -> None:
    reader = TextDialect(PieceTokenizer(), ServerProfile("m", logprobs=True)).reader(request(logprobs=0))
    for _ in range(3):
        delta = reader.read({"text": "abc", "logprobs": {"tokens": ["ab"], "token_logprobs": [-1.0]}})
        assert delta.stats is None
    assert said.text.count("their log-probabilities are left out") == 1


def test_too_few_likely_tokens_are_lost_aloud(said: pytest.LogCaptureFixture) -> None:
    dialect = TokenDialect(PieceTokenizer(), ServerProfile("m", dialect="token_ids"))
    answer = {"tokens": ["token_id:7"], "token_logprobs": [-1.0], "top_logprobs": [{"token_id:7": -1.0}]}
    delta = dialect.reader(request(logprobs=2)).read({"token_ids": [7], "logprobs": answer})
    assert delta.stats is not None
    assert delta.stats.top_ids is None
    assert "fewer than 2 most likely tokens" in said.text


# -- texts and tokens ------------------------------------------------------------------------------------------


def test_a_text_that_is_cut_for_embedding(said: pytest.LogCaptureFixture) -> None:
    assert cut_to(2, [[1], [1, 2, 3]], "m") == [[1], [1, 2]]
    assert "m embeds only the first 2 tokens of 1 texts" in said.text
    assert cut_to(None, [[1, 2, 3]], "m") == [[1, 2, 3]]


def test_named_templates_without_a_default(said: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text('{"chat_template": [{"name": "tools", "template": "x"}]}')
    assert ChatTemplate.from_folder(tmp_path) is None
    assert "none of the chat templates tools is named default" in said.text


def test_a_hub_that_has_no_files(said: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> str:
        raise OSError("offline")

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    assert folder_of("nobody/nothing") is None
    assert "no tokenizer files of nobody/nothing on the Hugging Face hub: offline" in said.text


async def test_a_recording_in_other_tokens(said: pytest.LogCaptureFixture) -> None:
    stats = TokenStats(np.array([-1.0, -1.0], np.float32))
    sample = Sample("two words", token_ids=np.array([7, 8]), stats=stats)
    backend = ReplayBackend({"p": Recording(Problem("p", "?", "1"), (sample, replace(sample, finish="error")))})
    deltas = [d async for d in backend.generate(replace(request(logprobs=0), problem="p"))]
    assert all(delta.stats is None for delta in deltas)
    assert "its log-probabilities are left out" in said.text
    assert "problem p: 1 of 2 recorded samples can be replayed" in said.text


# -- engines ---------------------------------------------------------------------------------------------------


class _Dead:
    errored = True


class _Reviving(VLLMEngine):
    """An engine that is dead after every restart; it needs no vLLM."""

    def __init__(self) -> None:
        self._engine, self._restarts, self._restart_lock = _Dead(), 0, asyncio.Lock()

    async def _start(self) -> None: ...

    async def _stop(self) -> None: ...


async def test_every_restart_of_an_engine_is_said_until_it_is_given_up(said: pytest.LogCaptureFixture) -> None:
    engine = _Reviving()
    for _ in range(3):
        await engine._live_engine()
    assert [r.getMessage() for r in said.records] == [
        f"the vLLM engine died and is restarted ({i} of 3)" for i in (1, 2, 3)
    ]
    with pytest.raises(BackendError, match="died 4 times"):
        await engine._live_engine()


def test_a_thread_that_does_not_end_in_time(said: pytest.LogCaptureFixture) -> None:
    thread = LoopThread("stubborn")
    held = asyncio.Event()

    async def source() -> AsyncGenerator[int, None]:
        try:
            yield 1
            await held.wait()
        finally:
            while not held.is_set():  # it resists cancellation too
                with suppress(asyncio.CancelledError):
                    await held.wait()

    async def first() -> None:
        async for _ in thread.stream(source()):
            break

    async def release() -> None:
        held.set()

    asyncio.run(first())
    thread.end_streams(timeout=0.01)
    assert "a backend was closed before its streams had ended" in said.text
    thread.call(release())
    thread.stop()


def test_a_system_without_a_shell_has_no_watchdog(
    said: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog.os, "name", "nt")
    watchdog.Watchdog([os.getpid()]).dismiss()
    assert "this system has no POSIX shell" in said.text
