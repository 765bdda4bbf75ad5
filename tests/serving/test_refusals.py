"""What a server does not support is refused in the form that OpenAI's clients read, with the parameter's name."""

from __future__ import annotations

import json
from typing import Any

import pytest

import widthwise as ww
from tests.core.scripted import Scripted
from tests.serving.serving import CHAT, TEXT, question, served

USER = {"role": "user", "content": "What is 1 + 1?"}
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"n": 2}, "n"),
    ({"logprobs": True}, "logprobs"),
    ({"top_logprobs": 3}, "top_logprobs"),
    ({"logit_bias": {"50": 1}}, "logit_bias"),
    ({"tools": [{"type": "function"}]}, "tools"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"response_format": {"type": "json_object"}}, "response_format"),
    ({"reasoning_effort": "high"}, "reasoning_effort"),
    ({"temprature": 1}, "temprature"),
    ({"temperature": "hot"}, "temperature"),
    ({"temperature": -1}, "temperature"),
    ({"temperature": True}, "temperature"),
    ({"top_p": 0}, "top_p"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": 1.5}, "max_tokens"),
    ({"max_tokens": 5, "max_completion_tokens": 6}, "max_tokens"),
    ({"stop": [1]}, "stop"),
    ({"stop": [""]}, "stop"),
    ({"stop": ["x"] * 17}, "stop"),
    ({"stream": 1}, "stream"),
    ({"stream_options": {"include_everything": True}}, "stream_options.include_everything"),
    ({"seed": "three"}, "seed"),
    ({"seed": 2**64}, "seed"),
    ({"metadata": {"seed": "3"}, "seed": 4}, "metadata.seed"),
    ({"metadata": {"seed": "x"}}, "metadata.seed"),
    ({"metadata": {"problem": "a\nb"}}, "metadata.problem"),
    ({"metadata": ["problem"]}, "metadata"),
    ({"widthwise": {"budgets": {}}}, "widthwise.budgets"),
    ({"widthwise": {"budget": {"token": 3}}}, "widthwise.budget.token"),
    ({"widthwise": {"budget": {"tokens": 0}}}, "widthwise.budget.tokens"),
    ({"messages": []}, "messages"),
    ({"messages": "hi"}, "messages"),
    ({"messages": [{"role": "user", "content": " "}]}, "messages"),
    ({"messages": [USER, {"role": "assistant", "content": "It is"}]}, "messages"),
    ({"messages": [USER, {"role": "system", "content": "Be brief."}, USER]}, "messages"),
    ({"messages": [{"role": "tool", "content": "3"}, USER]}, "messages.0.role"),
    ({"messages": [{"content": "3"}]}, "messages.0.role"),
    ({"messages": [{"role": "assistant", "tool_calls": [{}]}, USER]}, "messages.0.tool_calls"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages.0.content"),
    ({"messages": [{**USER, "weight": 2}]}, "messages.0.weight"),
    ({"model": None}, "model"),
]
ACCEPTED: dict[str, Any] = {
    "n": 1,
    "logprobs": False,
    "tools": [],
    "tool_choice": "auto",
    "response_format": {"type": "text"},
    "logit_bias": {},
    "user": "me",
    "store": False,
    "stop": None,
    "presence_penalty": 0,
    "frequency_penalty": 0.0,
    "seed": None,
    "metadata": {"run": "nightly"},
    "temperature": 0.5,
    "top_p": 0.9,
    "stream": False,
    "stream_options": None,
}


async def test_what_no_strategy_does_is_refused_by_name_and_costs_nothing() -> None:
    backend = Scripted(["= 2"])
    async with served(backend, "single()") as server:
        for change, param in REFUSED:
            status, said, _ = await server.post({"model": "widthwise", "messages": [USER], **change})
            error = said["error"]
            assert (status, error["type"], error["param"]) == (400, "invalid_request_error", param), change
            assert param.rpartition(".")[2] in error["message"]
        assert backend.requests == []
        status, said, _ = await server.post(question("What is 1 + 1?", **ACCEPTED))
    assert status == 200, said


async def test_the_sampling_of_a_request_is_what_the_model_is_asked_with() -> None:
    backend = Scripted(["= 2"])
    fields = {"temperature": 0.7, "top_p": 0.9, "top_k": 5, "min_p": 0.1, "presence_penalty": 1, "max_tokens": 9}
    async with served(backend, "single()", settings={"temperature": 0.3, "repetition_penalty": 1.1}) as server:
        await server.post(question("What is 1 + 1?", **fields, frequency_penalty=0.5, stop="no"))
        await server.post(question("What is 1 + 1?"))
    own, others = (request.params for request in backend.requests)
    assert {name: getattr(own, name) for name in fields} == fields
    assert (own.frequency_penalty, own.stop, own.repetition_penalty) == (0.5, ("no",), 1.1)
    assert (others.temperature, others.stop, others.max_tokens) == (0.3, (), None)


async def test_bodies_are_bounded_and_must_be_json_objects() -> None:
    async with served(Scripted(["= 2"]), "single()") as server:
        sent = {
            "[" * 100_000: 400,
            "[1]": 400,
            "{": 400,
            '{"model": NaN}': 400,
            "": 400,
            json.dumps(question("x" * (4 << 20))): 413,
        }
        for body, status in sent.items():
            found, said, _ = await server.post(body)
            assert (found, said["error"]["type"]) == (status, "invalid_request_error"), body[:20]
        found, said, _ = await server.post(question("1 + 1?"), **{"Content-Type": "text/plain"})
        assert (found, "application/json" in said["error"]["message"]) == (415, True)
        assert (await server.post(question("1 + 1?")))[0] == 200


async def test_a_question_that_leaves_no_room_for_an_answer_is_the_clients_mistake() -> None:
    backend = Scripted(["= 2"])
    backend.max_model_len = 50
    async with served(backend, "single()") as server:
        status, said, _ = await server.post(question("x" * 60))
        _, streamed, _ = await server.post(question("x" * 60, stream=True))
    assert (status, said["error"]["code"]) == (400, "context_length_exceeded")
    assert streamed["error"]["code"] == "context_length_exceeded"


async def test_prompts_of_tokens_and_several_prompts_are_refused() -> None:
    async with served(Scripted(["= 2"]), "single()") as server:
        for prompt in ([1, 2], ["a", "b"], "", None, [[1, 2]]):
            status, said, _ = await server.post({"model": "widthwise", "prompt": prompt}, TEXT)
            assert (status, said["error"]["param"]) == (400, "prompt")
        status, said, _ = await server.post({"model": "widthwise", "prompt": "1 + 1?", "echo": True}, TEXT)
    assert (status, said["error"]["param"]) == (400, "echo")


async def test_an_unknown_model_is_named_with_those_that_there_are() -> None:
    async with served(Scripted(["= 2"]), {"one": "single()", "vote": "best_of_n(n=2)"}) as server:
        status, said, _ = await server.post(question("1 + 1?", "vot"))
        named = await server.get("/v1/models/vote")
        listed = json.loads((await server.get("/v1/models"))[1])
        unknown = await server.get("/v1/models/two")
    assert (status, said["error"]["code"]) == (404, "model_not_found")
    assert "did you mean 'vote'?" in said["error"]["message"]
    assert json.loads(named[1])["strategy"] == "best_of_n(n=2)"
    assert [card["id"] for card in listed["data"]] == ["one", "vote"]
    assert unknown[0] == 404


async def test_a_request_spells_a_strategy_of_its_own_only_where_it_may() -> None:
    async with served(Scripted(["= 2"]), "single()") as server:
        assert (await server.post(question("1 + 1?", "best_of_n(n=3)")))[0] == 404
    async with served(Scripted(["= 2"]), "single()", allow_strategies=True) as server:
        status, said, _ = await server.post(question("1 + 1?", "best_of_n(n=3) | majority_vote()"))
        assert (status, said["widthwise"]["ledger"]["samples"]) == (200, 3)
        assert said["widthwise"]["budget"] == {"samples": 1024, "seconds": 600}
        refused = [
            "tests.serving.serving:served",
            "best_of_n(worker=os:system)",
            "os:system('true')",
            "__import__('os')",
            "best_of_n(n=(1).__class__)",
            "best_of_n(" * 2000,
            "single() | " * 800 + "single()",
            "x" * 20_000,
            "best_of_n(n=1000000000)",
            "best_of_n(n=1e9)",
            "best_of_n(n=2) | knockout(k=32769)",
            "outlined(n=2, worker=best_of_n(n=99999))",
        ]
        for text in refused:
            status, said, _ = await server.post(question("1 + 1?", text))
            assert (status, said["error"]["code"]) == (404, "model_not_found"), text[:40]
        status, said, _ = await server.post(question("1 + 1?", "best_of_n(n=30000) | budget(tokens=1000000)"))
    assert (status, said["widthwise"]["ledger"]["samples"]) == (200, 1024)


async def test_a_request_imports_nothing_of_the_users_own(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    async with served(Scripted(["= 2"]), "single()", allow_strategies=True) as server:
        for text in ("mine:strategy", "mine:strategy(n=2)", "best_of_n(n=mine:n)", "single() | mine:vote"):
            status, said, _ = await server.post(question("1 + 1?", text))
            assert status == 404, text
            assert "built-in and installed parts" in said["error"]["message"]


async def test_a_strategy_that_cannot_work_here_is_said_before_anything_is_served() -> None:
    with pytest.raises(ww.UsageError, match="reward model"):
        async with served(Scripted(["= 2"]), "best_of_n(n=2) | best_by(score='reward_model')"):
            pass
    with pytest.raises(ww.UsageError, match="two strategies are called 'a'"):
        async with served(Scripted(["= 2"]), ["a=single()", "a=best_of_n()"]):
            pass


async def test_other_paths_and_methods_are_refused_in_the_same_shape() -> None:
    async with served(Scripted(["= 2"]), "single()") as server:
        for path, status in (("/v1/embeddings", 404), ("/v1/chat/completions", 405)):
            found, text = await server.get(path)
            assert (found, json.loads(text)["error"]["type"]) == (status, "invalid_request_error")
        assert (await server.post({}, CHAT + "/x"))[0] == 404
