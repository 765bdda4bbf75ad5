"""The backends under test, each started once per session and only when a test asks for it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.backends.conformance import MESSAGES, PROBLEM, Sampled, Subject
from tests.backends.servers import CPU_ENVIRONMENT, MODEL, litellm_proxy, llama_server, own_server, vllm_server
from widthwise.backends.http.backend import HTTPBackend
from widthwise.backends.replay import ReplayBackend
from widthwise.core.backend import Backend
from widthwise.core.problem import Problem
from widthwise.core.trace.recording import Recording, Sample
from widthwise.core.trace.token_ends import token_ends

ALIAS = "house"
"""The vLLM server's name for its model, which differs from the model's path."""
KEY = "sk-of-the-tests"
_VLLM = pytest.mark.vllm
BACKENDS = ["embedded", pytest.param("vllm", marks=_VLLM), pytest.param("http", marks=_VLLM), "http_text", "replay"]


@pytest.fixture(params=BACKENDS)
def subject(request: pytest.FixtureRequest) -> Subject:
    """Each backend in turn."""
    found: Subject = request.getfixturevalue(f"{request.param}_subject")
    return found


@pytest.fixture(scope="session")
def embedded_subject() -> Iterator[Subject]:
    embedded = pytest.importorskip(
        "widthwise.backends.embedded.backend", reason="the embedded backend is not there yet"
    )
    backend = embedded.EmbeddedBackend(MODEL)
    yield Subject(backend, lambda: int(backend._engine.busy))
    asyncio.run(backend.close())


@pytest.fixture(scope="session")
def vllm_subject(vllm: None) -> Iterator[Subject]:
    backend = start_vllm()
    yield Subject(backend, lambda: int(backend._engine.get_num_unfinished_requests()))  # type: ignore[attr-defined]
    asyncio.run(backend.close())


def start_vllm() -> Backend:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CPU_ENVIRONMENT.items():
            patch.setenv(name, value)
        from widthwise.backends.vllm.backend import VLLMBackend

        faults = "tests.backends.vllm_faults.Starving"
        return VLLMBackend(str(MODEL), kv_cache_memory_bytes=1 << 28, max_num_seqs=128, worker_extension_cls=faults)


@pytest.fixture(scope="session")
def vllm_url(vllm: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with vllm_server(tmp_path_factory.mktemp("vllm") / "server.log", MODEL, "--served-model-name", ALIAS) as url:
        yield url


@pytest.fixture(scope="session")
def litellm_url(vllm_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """LiteLLM's proxy in front of the vLLM server; it requires ``KEY``."""
    program = os.environ.get("LITELLM") or shutil.which("litellm")
    if program is None:
        pytest.skip("LiteLLM's proxy is not installed: pip install 'litellm[proxy]', or name its program in LITELLM")
    with litellm_proxy(tmp_path_factory.mktemp("litellm") / "server.log", program, vllm_url, ALIAS, KEY) as url:
        yield url


@pytest.fixture(scope="session")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled reasoner in the format that llama.cpp reads."""
    for library in ("xllamacpp", "gguf"):
        pytest.importorskip(library, reason=f"llama.cpp's server needs {library}: pip install '.[dev]'")
    from scripts.reasoner_gguf import write_gguf

    return write_gguf(tmp_path_factory.mktemp("gguf") / "reasoner.gguf")


@pytest.fixture(scope="session")
def llama_url(gguf: Path) -> Iterator[str]:
    """llama.cpp's own server with the bundled reasoner."""
    with llama_server(gguf) as url:
        yield url


@pytest.fixture(scope="session")
def http_subject(vllm_url: str) -> Iterator[Subject]:
    backend = HTTPBackend(vllm_url)
    yield Subject(backend, lambda: _gauge(vllm_url, "vllm:num_requests_running"))
    asyncio.run(backend.close())


@pytest.fixture(scope="session")
def text_url() -> Iterator[str]:
    with own_server("text_server.py") as url:
        yield url


@pytest.fixture(scope="session")
def http_text_subject(text_url: str) -> Iterator[Subject]:
    backend = HTTPBackend(text_url)
    yield Subject(backend, lambda: int(json.loads(_read(f"{text_url}/running"))["running"]))
    asyncio.run(backend.close())


@pytest.fixture(scope="session")
def replay_subject(embedded_subject: Subject) -> Iterator[Subject]:
    """Sixty-four samples of the embedded backend, recorded with their tokens."""
    recordings = {PROBLEM: _recording(embedded_subject)}
    backend = ReplayBackend(recordings, name="replay", tokenizer=embedded_subject.backend.tokenizer)
    yield Subject(backend, lambda: 0)
    asyncio.run(backend.close())


def _recording(source: Subject) -> Recording:
    async def draw() -> list[Sample]:
        drawn = await asyncio.gather(
            *(source.sample(max_tokens=256, seed=i, logprobs=3, temperature=1.2) for i in range(64))
        )
        return [_recorded(sampled) for sampled in drawn]

    return Recording(Problem(PROBLEM, MESSAGES[0]["content"], "578"), tuple(asyncio.run(draw())))


def _recorded(sampled: Sampled) -> Sample:
    ids = np.array(sampled.ids, np.int64)
    ends = token_ends(sampled.backend.tokenizer, ids, sampled.text)
    return Sample(sampled.text, finish=sampled.finish, token_ids=ids, token_ends=ends, stats=sampled.all_stats)


def _gauge(url: str, name: str) -> int:
    lines = _read(f"{url}/metrics").splitlines()
    return int(sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name)))


def _read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=600) as response:
        return str(response.read().decode())
