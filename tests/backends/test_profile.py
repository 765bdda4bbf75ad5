"""What a server is recognised as when it is opened, and what it is not mistaken for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from tests.backends import manners
from tests.backends.fake_clock import FakeClock
from tests.backends.pools import problems_of
from tests.backends.scripted_server import Asked, Reply, Script, by_path, in_turn, refusal, served, serving, text
from tests.backends.servers import MODEL
from widthwise.backends.http.backend import HTTPBackend
from widthwise.core.backend import Request, SamplingParams
from widthwise.core.conversation import Conversation
from widthwise.core.errors import BackendError, UsageError
from widthwise.models.profiles import profile_of
from widthwise.models.thinking_marks import THINK


def refused(script: Script, *models: Mapping[str, Any], **arguments: Any) -> None:
    """Try to open a backend that should not open."""
    with opened(script, *models, **arguments):
        pass


@contextmanager
def opened(script: Script, *models: Mapping[str, Any], **arguments: Any) -> Iterator[HTTPBackend]:
    """A backend for one scripted server."""
    with served(script, *([models] if models else [])) as server:
        backend = HTTPBackend(server.url, **arguments)
        try:
            yield backend
        finally:
            asyncio.run(backend.close())


def test_a_server_of_token_ids() -> None:
    with opened(manners.vllm(), {"id": "alias", "root": str(MODEL), "max_model_len": 512}) as backend:
        profile = backend.profile
        assert (profile.dialect, profile.kind, profile.version) == ("token_ids", "vLLM", "0.32.0")
        assert (profile.model, profile.root, profile.max_model_len) == ("alias", str(MODEL), 512)
        assert profile.cached_tokens
        assert not profile.priorities
        assert backend.identity == {"model": "alias", "root": str(MODEL), "dialect": "token_ids"}
        assert f"alias ({MODEL}) on vLLM 0.32.0, in token ids, context 512" in backend.describe()["line"]
        assert backend.describe()["kind"] == "vLLM"


def test_streams_without_the_ids_that_an_answer_in_one_piece_has_are_no_token_ids() -> None:
    with opened(manners.litellm()) as backend:
        assert backend.profile.dialect == "chat"


def test_llama_cpp_has_the_template_the_context_and_the_models_name() -> None:
    with opened(manners.llama_cpp(n_ctx=2048, adds_bos=True)) as backend:
        profile = backend.profile
        assert (profile.dialect, profile.kind, profile.max_model_len) == ("text", "llama.cpp", 2048)
        assert profile.logprobs
        assert profile.bos == "<s>"
        assert backend.facts.template == manners.TEMPLATE
        assert backend.facts.last_name == "Qwen3-8B-Q4_K_M.gguf"
        prompt = backend.tokenizer.chat([{"role": "user", "content": "1 + 1"}])
        assert backend.tokenizer.decode(prompt) == "<user>1 + 1<assistant>"


def test_a_bos_that_the_server_adds_is_not_sent_twice() -> None:
    for adds, begins in ((True, "<user>"), (False, "<s><user>")):
        with opened(manners.llama_cpp(adds_bos=adds)) as backend:
            assert backend.profile.template is not None
            tokenizer = backend.tokenizer
            tokenizer._template.source = "{{ bos_token }}" + manners.TEMPLATE  # type: ignore[attr-defined]
            assert tokenizer.decode(tokenizer.chat([{"role": "user", "content": "x"}])).startswith(begins)


@pytest.mark.parametrize("version", [True, False])
def test_a_server_that_puts_texts_into_conversations_is_asked_in_messages(version: bool) -> None:
    with opened(manners.ollama(version=version)) as backend:
        assert backend.profile.dialect == "chat"
        assert not backend.capabilities.continues
    with pytest.raises(BackendError, match="does not answer in token_ids"):
        refused(manners.ollama(), dialect="token_ids")


def HTTPBackendOf(script: Script, **arguments: Any) -> None:
    with opened(script, **arguments):
        pass


@pytest.mark.parametrize(("answer", "dialect"), [(" 5, 6, 7", "text"), ("These are numbers.", "chat")])
def test_a_server_that_counts_no_tokens_is_asked_to_go_on_counting(answer: str, dialect: str) -> None:
    def completions(asked: Asked) -> Reply:
        if not isinstance(asked.body["prompt"], str):
            return refusal(400)
        return Reply(text(answer))

    script = by_path(completions=completions, chat_completions=Reply(manners.sse(*manners.chat_events("7"))))
    with opened(script, tokenizer=str(MODEL)) as backend:
        assert backend.profile.dialect == dialect


def test_a_text_server_without_a_template_is_asked_in_messages_where_it_can_be() -> None:
    completions = Reply(manners.sse(*manners.text_events("7"), manners.usage(1)))
    chat = Reply(manners.sse(*manners.chat_events("7")))
    with opened(by_path(completions=completions, chat_completions=chat)) as backend:
        assert backend.profile.dialect == "chat"
    with opened(by_path(completions=completions)) as backend:
        assert backend.profile.dialect == "text"
        assert any("no chat template of words was found" in note for note in backend.describe()["notes"])
    with opened(by_path(completions=completions, chat_completions=chat), tokenizer=str(MODEL)) as backend:
        assert backend.profile.dialect == "text"
        prompt = backend.tokenizer.decode(backend.tokenizer.chat([{"role": "user", "content": "1 + 1"}]))
        assert prompt == "<user>1 + 1<assistant>"


def test_a_model_that_is_known_by_name_has_its_template() -> None:
    completions = Reply(manners.sse(*manners.text_events("7"), manners.usage(1)))
    with opened(by_path(completions=completions), {"id": "reasoner"}, folders={"reasoner": MODEL}) as backend:
        prompt = backend.tokenizer.decode(backend.tokenizer.chat([{"role": "user", "content": "1 + 1"}]))
        assert prompt == "<user>1 + 1<assistant>"


@pytest.mark.parametrize("fault", [refusal(503, "Loading model"), refusal(429), Reply(end="reset")])
def test_a_passing_fault_says_nothing_about_a_server(fault: Reply) -> None:
    for script, dialect in ((manners.vllm(), "token_ids"), (manners.hosted(), "chat"), (manners.llama_cpp(), "text")):
        with opened(in_turn(*[fault] * 4, script), tokenizer=str(MODEL)) as backend:
            assert backend.profile.dialect == dialect


def test_a_loading_server_is_waited_for_and_the_terminal_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeClock()
    clock.install(monkeypatch)

    def script(asked: Asked) -> Reply:
        loading = asked.at < begun + 60
        return refusal(503, "Loading model") if loading else manners.llama_cpp()(asked)

    async def work() -> float:
        async with serving(script) as server:
            backend = await asyncio.to_thread(HTTPBackend, server.url)
            assert backend.profile.dialect == "text"
            await backend.close()
            return min(asked.at for asked in server.asked if asked.at >= begun + 60)

    begun = clock.now
    with caplog.at_level(logging.WARNING, "widthwise"):
        assert clock.run(work()) < begun + 66
    assert [r.getMessage() for r in caplog.records if "is not ready: waiting up to" in r.getMessage()]


def test_a_server_is_waited_for_no_longer_than_it_is_said() -> None:
    loading = served(by_path(), refusal(503, "Loading model"))
    with loading as server, pytest.raises(BackendError, match="answered 503: Loading"):
        HTTPBackend(server.url, startup_timeout=0.3)


def test_a_wrong_key_is_said_at_once() -> None:
    with pytest.raises(BackendError, match="401"):
        refused(lambda _: refusal(401, "Incorrect API key"))


@pytest.mark.parametrize("models", [refusal(500, "Internal Server Error"), refusal(400, "No connected db.")])
def test_a_proxy_that_wants_a_key_says_so_in_its_own_way(models: Reply) -> None:
    """LiteLLM answers 500 without a key, and 400 to an unknown one."""
    asked = served(lambda _: refusal(400, "No connected db."), models)
    with asked as server, pytest.raises(BackendError, match="WIDTHWISE_API_KEY"):
        HTTPBackend(f"{server.url}#m")


def test_litellms_proxy_is_known_by_its_details() -> None:
    proxy = manners.litellm()
    details = Reply({"litellm_version": "1.108.7"})
    said = by_path(completions=proxy, chat_completions=proxy, details=details)
    with opened(said) as backend:
        assert "on LiteLLM 1.108.7, in messages" in backend.describe()["line"]


# -- which model -------------------------------------------------------------------------------------------------


def test_several_models_and_none_named_is_answered_with_their_names() -> None:
    with pytest.raises(UsageError, match=r"serves 2 models: name one, .*#a; it serves a, b"):
        refused(manners.llama_cpp(), {"id": "a"}, {"id": "b"})


def test_aliases_of_one_model_are_one() -> None:
    with opened(manners.vllm(), {"id": "a", "root": str(MODEL)}, {"id": "b", "root": str(MODEL)}) as backend:
        assert backend.profile.model == "a"


@pytest.mark.parametrize("listed", [[{"id": "m"}], {"data": [{"id": "m"}]}, {"models": [{"name": "m"}]}])
def test_lists_of_models_in_all_their_forms(listed: Any) -> None:
    with served(manners.hosted(), Reply(listed)) as server:
        backend = HTTPBackend(server.url)
        assert backend.profile.model == "m"
        asyncio.run(backend.close())


def test_a_server_without_a_list_is_believed_and_asked_for_the_model_by_name() -> None:
    with served(manners.hosted(), None) as server:
        backend = HTTPBackend(server.url, model="m")
        assert backend.profile.model == "m"
        asyncio.run(backend.close())


# -- pools -------------------------------------------------------------------------------------------------------


def pooled(*members: tuple[Script, Sequence[Mapping[str, Any]]], **arguments: Any) -> HTTPBackend:
    (first, models), (second, others) = members
    with served(first, models) as one, served(second, others) as two:
        return HTTPBackend([one.url, two.url], **arguments)


def test_a_pool_of_different_models_is_refused() -> None:
    with pytest.raises(UsageError, match=r"differ in the model \(a and b\)"):
        pooled((manners.llama_cpp(), [{"id": "a"}]), (manners.llama_cpp(), [{"id": "b"}]))
    with pytest.raises(UsageError, match="differ in the root"):
        pooled((manners.vllm(), [{"id": "a", "root": "x"}]), (manners.vllm(), [{"id": "a", "root": "y"}]))


def test_no_dialects_are_mixed() -> None:
    models = [{"id": "a", "root": str(MODEL)}]
    with pytest.raises(UsageError, match=r"differ in the dialect \(token_ids and chat\)"):
        pooled((manners.vllm(), models), (manners.hosted(), models))
    backend = pooled((manners.vllm(), models), (manners.vllm(), models), dialect="text")
    assert backend.profile.dialect == "text"
    asyncio.run(backend.close())


async def test_a_server_that_comes_later_is_described_before_it_is_asked_for_anything() -> None:
    """A server with another model or another dialect is sent nothing."""
    for late, models in (manners.hosted("7"), [{"id": "other"}]), (manners.llama_cpp("7"), [{"id": "a"}]):
        with served(manners.hosted("7"), [{"id": "a"}]) as one, served(by_path(), refusal(500)) as two:
            backend = await asyncio.to_thread(HTTPBackend, [one.url, two.url])
            two.script, two.models = late, models
            for server in backend._pool.servers:
                server.succeeded()
            [problem] = problems_of(two.url, [one.url, two.url], 1)
            asked = Conversation(({"role": "user", "content": "Go."},))
            request = Request(np.array([1]), SamplingParams(), 0, problem=problem, conversation=asked)
            deltas = [delta async for delta in backend.generate(request)]
            assert deltas[-1].finish == "stop"
            assert [server.failures for server in backend._pool.servers] == [0, 1], "it was left out"
            assert not [body for body in two.bodies("completions") if "Go." in str(body)]
            await backend.close()


async def test_a_server_that_comes_later_and_is_alike_is_asked_too() -> None:
    with served(manners.hosted("7"), [{"id": "a"}]) as one, served(by_path(), refusal(500)) as two:
        backend = await asyncio.to_thread(HTTPBackend, [one.url, two.url])
        two.script, two.models = manners.hosted("7"), [{"id": "a"}]
        for server in backend._pool.servers:
            server.succeeded()
        [problem] = problems_of(two.url, [one.url, two.url], 1)
        asked = Conversation(({"role": "user", "content": "Go."},))
        request = Request(np.array([1]), SamplingParams(), 0, problem=problem, conversation=asked)
        assert [delta async for delta in backend.generate(request)]
        assert [body for body in two.bodies("completions") if "Go." in str(body)]
        await backend.close()


async def test_every_server_of_a_pool_is_spoken_to_as_the_program_that_it_is() -> None:
    plain = by_path(completions=Reply(manners.sse(*manners.text_events("7"), manners.usage(1))))
    models = [{"id": "m"}]
    with served(plain, models) as one, served(manners.llama_cpp("7"), models) as two:
        backend = await asyncio.to_thread(HTTPBackend, [one.url, two.url], dialect="text", tokenizer=str(MODEL))
        prompt = np.array(backend.tokenizer.encode("Go."))
        for url in (one.url, two.url):
            [problem] = problems_of(url, [one.url, two.url], 1)
            request = Request(prompt, SamplingParams(max_tokens=9), 0, problem=problem)
            assert [delta async for delta in backend.generate(request)]
        await backend.close()
        to_one = [body for body in one.bodies("completions") if body["prompt"] == "Go."]
        to_two = [body for body in two.bodies("completions") if body["prompt"] == "Go."]
    assert to_one
    assert to_two
    assert not any("top_k" in body for body in to_one)
    assert all((body["top_k"], body["min_p"]) == (0, 0.0) for body in to_two)


def test_a_text_server_without_chat_goes_on_with_texts_though_its_model_cannot_count() -> None:
    completions = Reply(manners.sse(*manners.text_events("What?")))
    with opened(by_path(completions=completions), tokenizer=str(MODEL)) as backend:
        assert backend.profile.dialect == "text"
        assert backend.capabilities.continues


def test_one_that_puts_texts_into_conversations_and_has_no_chat_goes_on_with_none() -> None:
    completions = Reply(manners.sse(*manners.text_events("What?"), manners.usage(20)))
    with opened(by_path(completions=completions), tokenizer=str(MODEL)) as backend:
        assert not backend.capabilities.continues


def test_an_address_of_a_deployment_names_its_model() -> None:
    with served(manners.hosted("7"), None) as server:
        backend = HTTPBackend(f"{server.url}/openai/deployments/gpt-4o?api-version=2024-10-21")
        assert backend.profile.model == "gpt-4o"
        asyncio.run(backend.close())
        asked = [asked for asked in server.asked if asked.path.endswith("/chat/completions")]
        place = ("/openai/deployments/gpt-4o/chat/completions", "api-version=2024-10-21")
        assert {(a.path, a.query) for a in asked} == {place}


def test_a_server_that_is_not_there_yet_is_waited_for_if_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(manners.hosted("7")) as server:
        address = server.url
    with pytest.raises(BackendError, match="no server answers"):
        HTTPBackend(address)
    clock = FakeClock()
    clock.install(monkeypatch)

    async def work() -> float:
        with pytest.raises(BackendError, match="no server answers"):
            await asyncio.to_thread(HTTPBackend, address, startup_timeout=120.0)
        return clock.now - began

    began = clock.now
    assert clock.run(work()) > 60


def test_a_server_that_names_tokens_by_their_text_only_still_gives_log_probabilities() -> None:
    def completions(asked: Asked) -> Reply:
        if "return_tokens_as_token_ids" in asked.body:
            return refusal(400, "return_tokens_as_token_ids: extra inputs are not permitted")
        reply = manners.vllm()(asked)
        if "logprobs" not in asked.body:
            return reply
        return Reply(
            reply.data.replace(b'"text": ""', b'"text": "", "logprobs": {"tokens": ["7"], "token_logprobs": [-1]}')
        )

    with opened(by_path(completions=completions), tokenizer=str(MODEL)) as backend:
        assert backend.profile.dialect == "token_ids"
        assert backend.capabilities.logprobs


def test_a_model_behind_messages_may_think_apart_and_its_judges_have_room_for_it() -> None:
    with opened(manners.hosted("7")) as backend:
        assert profile_of(backend.facts).thinking == THINK
    with opened(manners.llama_cpp()) as backend:
        assert profile_of(backend.facts).thinking is None
