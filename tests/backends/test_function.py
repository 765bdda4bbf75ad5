"""Backends and reward models from functions, and from clients."""

from __future__ import annotations

import asyncio
import functools
import json
import threading
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

import widthwise as ww

QUESTION = "What is 1 + 1?"


def answer(prompt: str, params: ww.SamplingParams) -> str:
    return f"{params.temperature:g} \\boxed{{2}}" if QUESTION in prompt else "?"


async def answer_async(messages: list[dict[str, str]]) -> str:
    await asyncio.sleep(0)
    return f"{messages[-1]['role']} \\boxed{{2}}"


def in_pieces(prompt: str) -> Iterator[str]:
    yield "\\boxed"
    yield "{2}"


async def in_pieces_async(prompt: str, params: ww.SamplingParams, seed: int) -> AsyncIterator[str]:
    yield "\\boxed"
    yield f"{{2}} {seed % 10}"


class Answering:
    async def __call__(self, prompt: str) -> str:
        return "\\boxed{2}"


@pytest.mark.parametrize(
    "function",
    [
        answer,
        answer_async,
        in_pieces,
        in_pieces_async,
        Answering(),
        functools.partial(answer, params=ww.SamplingParams()),
    ],
)
async def test_whatever_answers_is_a_model(function: Any) -> None:
    strategy = "best_of_n(n=3) | majority_vote()"
    waited = ww.solve(QUESTION, strategy, function)
    awaited = await ww.solve_async(QUESTION, strategy, ww.FunctionBackend(function))
    assert waited.answer == awaited.answer == "2"
    assert waited.ledger.samples == 3
    assert waited.ledger.sampled == sum(trace.tokens for trace in waited.traces) > 0


def test_it_is_given_what_it_asks_for() -> None:
    seen: list[Any] = []

    def ask(messages: Any, params: ww.SamplingParams, seed: int) -> str:
        seen.append((messages, params, seed))
        return "2"

    ww.solve(QUESTION, ww.BestOfN(2), ask, system="Be brief.", instruction="Say it.", temperature=0.3, top_p=0.9)
    messages, params, _ = seen[0]
    assert messages == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": f"{QUESTION}\n\nSay it."},
    ]
    assert (params.temperature, params.top_p) == (0.3, 0.9)
    assert len({seed for _, _, seed in seen}) == 2


def test_stop_strings_and_limits_are_kept_to() -> None:
    def ask(prompt: str) -> str:
        return "one two three STOP four"

    [stopped] = ww.solve(QUESTION, ww.Single(), ask, stop="STOP").traces
    assert (stopped.completion, stopped.finish) == ("one two three STOP", "stop")
    [cut] = ww.solve(QUESTION, ww.Single(), ask, max_tokens=2).traces
    assert (cut.completion, cut.finish, cut.tokens) == ("one two", "length", 2)


def test_a_reply_says_what_was_thought_and_that_it_was_cut() -> None:
    [thought] = ww.solve(QUESTION, ww.Single(), lambda prompt: ww.Reply("\\boxed{2}", thinking="\\boxed{3}?")).traces
    assert thought.answer == "2"
    assert "\\boxed{3}?" in thought.completion
    [cut] = ww.solve(QUESTION, ww.Single(), lambda prompt: ww.Reply("so", finish="length")).traces
    assert cut.finish == "length"


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        ("beam_search(n=4)", "a backend that can continue a text, and function:.* cannot: say ww.FunctionBackend"),
        ("best_of_n(n=2, thinking=20)", "can continue a text"),
        ("best_of_n(n=2) | weighted_vote(by='mean_logprob')", "log-probabilities, but function:.* gives none"),
    ],
)
def test_what_a_function_cannot_do_is_said_before_it_is_called(strategy: str, words: str) -> None:
    def never(prompt: str) -> str:
        raise AssertionError("it was called")

    with pytest.raises(ww.UsageError, match=words):
        ww.solve(QUESTION, strategy, never)


def test_a_function_that_continues_is_asked_to() -> None:
    asked: list[str] = []

    def go_on(prompt: str) -> str:
        asked.append(prompt)
        return "step\n\n" if len(asked) < 3 else "\\boxed{2}"

    backend = ww.FunctionBackend(go_on, continues=True)
    result = ww.solve(
        QUESTION, "beam_search(n=1, beam_width=1) | majority_vote()", backend, reward_model=lambda p, text: 0.5
    )
    assert result.answer == "2"
    assert any(prompt.endswith("step\n\n") for prompt in asked)


@pytest.mark.parametrize(
    ("function", "error", "words"),
    [
        (lambda prompt, params: None, ww.UsageError, r"it gave None \(NoneType\)"),
        (lambda prompt: ["a", "b"], ww.UsageError, "it is called once for each sample"),
        (lambda: "", ww.UsageError, r"found a function of \(\)"),
        (lambda a, b, c: "", ww.UsageError, r"found a function of \(a, b, c\)"),
        (lambda prompt: 1 / 0, ww.BackendError, "failed with ZeroDivisionError: division by zero"),
        (3, ww.UsageError, "the model 3 is not a model: give a name"),
        (ww.FunctionBackend, ww.UsageError, "is a class: give an object of it"),
    ],
)
def test_what_is_no_such_function_is_one_sentence(function: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        ww.solve(QUESTION, ww.Single(), function)
    assert "\n" not in str(caught.value)


def test_a_function_that_is_told_to_is_called_again() -> None:
    calls: list[int] = []

    def flaky(prompt: str) -> str:
        calls.append(1)
        if len(calls) == 1:
            raise ww.BackendError("busy", retryable=True)
        return "\\boxed{2}"

    assert ww.solve(QUESTION, ww.Single(), flaky).answer == "2"
    assert len(calls) == 2


async def test_an_async_function_finds_its_loop_again() -> None:
    """A client's connections are bound to a loop: the second call used to fail with 'Event loop is closed'."""
    loops: list[asyncio.AbstractEventLoop] = []

    async def ask(prompt: str) -> str:
        loops.append(asyncio.get_running_loop())
        return "2"

    for _ in range(2):
        await asyncio.to_thread(ww.solve, QUESTION, ww.Single(), ask)
    assert loops[0] is loops[1]
    await ww.solve_async(QUESTION, ww.Single(), ask)
    assert loops[2] is asyncio.get_running_loop()


def test_a_call_that_is_not_wanted_any_more_is_cancelled() -> None:
    cancelled = threading.Event()

    async def endless(prompt: str) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return ""

    async def leaving(session: ww.Session) -> str:
        task = asyncio.ensure_future(session.sample(session.root))
        await asyncio.sleep(0.05)
        task.cancel()
        return "2"

    assert ww.solve(QUESTION, leaving, endless).answer == "2"
    assert cancelled.wait(60)


def test_a_suite_on_a_function(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [{"question": QUESTION, "answer": 2}, {"question": "What is 2 + 2?", "answer": 4}]
    backend = ww.FunctionBackend(answer, name="mine")
    run = ww.evaluate("best_of_n(n=2) | majority_vote()", rows, model=backend)
    asyncio.run(backend.close())
    assert (run.accuracy, run.configuration["model"]) == (0.5, "function:mine")
    with pytest.raises(ww.BackendError, match="function:mine was closed"):
        ww.solve(QUESTION, ww.Single(), backend)


# --- reward models ------------------------------------------------------------------------------------------------


BEST = "best_of_n(n=4) | best_by('reward_model')"


def counting() -> Any:
    numbers = iter(range(100))
    return lambda prompt: f"so\n\n\\boxed{{{next(numbers)}}}"


def test_a_reward_model_from_a_function() -> None:
    async def fond_of_two(problem: ww.Problem, text: str) -> float:
        assert problem.text == QUESTION
        return 0.9 if "{2}" in text else 0.1

    def by_steps(problem: ww.Problem, steps: list[str]) -> list[float]:
        return [0.9 if "{1}" in step else 0.1 for step in steps]

    assert ww.solve(QUESTION, BEST, counting(), reward_model=fond_of_two).answer == "2"
    assert ww.solve(QUESTION, BEST, counting(), reward_model=lambda problem, text: "{3}" in text).answer == "3"
    assert ww.solve(QUESTION, BEST, counting(), reward_model=by_steps).answer == "1"
    assert ww.FunctionRewardModel(by_steps).kind == "process"
    assert ww.FunctionRewardModel(lambda p, s: [1.0], kind="process").kind == "process"


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda problem, text: "good", "returned 'good', which is not a score"),
        (lambda problem, text: 3, "gave the score 3, which is not in"),
        (lambda problem, steps: 1, "returned 1, which is not a score"),
        (lambda problem, steps: [0.1], "gave 1 scores where 2 were expected"),
    ],
)
def test_what_is_no_score_is_an_error_of_the_trace(function: Any, words: str) -> None:
    result = ww.solve(QUESTION, BEST, counting(), reward_model=function)
    assert all(words in error for error in result.errors)
    assert result.errors


@pytest.mark.parametrize("function", [3, lambda text: 1.0, object])
def test_what_is_no_reward_model_is_one_sentence(function: Any) -> None:
    with pytest.raises(ww.UsageError, match="a reward model is"):
        ww.solve(QUESTION, BEST, counting(), reward_model=function)


# --- clients ------------------------------------------------------------------------------------------------------


def _completion(text: str = "\\boxed{2}", finish: str = "stop", **message: Any) -> dict[str, Any]:
    said = {"role": "assistant", "content": text, **message}
    choice = {"index": 0, "finish_reason": finish, "message": said}
    return {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}


def _clients(reply: Any) -> list[Any]:
    """The package's clients, sync and async, with ``reply(body) -> (status, answer)`` as their server."""
    openai = pytest.importorskip("openai", reason="the package openai is not installed")
    httpx = pytest.importorskip("httpx")

    def respond(request: Any) -> Any:
        status, answer = reply(json.loads(request.content))
        return httpx.Response(status, json=answer)

    transport = httpx.MockTransport(respond)
    known = {"base_url": "http://test/v1", "api_key": "k", "max_retries": 0}
    return [
        openai.OpenAI(http_client=httpx.Client(transport=transport), **known),
        openai.AsyncOpenAI(http_client=httpx.AsyncClient(transport=transport), **known),
    ]


def test_a_client_is_a_model() -> None:
    bodies: list[dict[str, Any]] = []

    def reply(body: dict[str, Any]) -> tuple[int, Any]:
        bodies.append(body)
        return 200, _completion(reasoning_content="\\boxed{3}?")

    for client in _clients(reply):
        bodies.clear()
        backend = ww.OpenAIBackend(client, "gpt-x", reasoning_effort="low")
        for _ in range(2):
            result = ww.solve(QUESTION, "best_of_n(n=2) | majority_vote()", backend, temperature=0.5, top_k=5, stop="X")
            assert result.answer == "2"
        assert len(bodies) == 4
        sent = bodies[0]
        assert sent["messages"][-1]["content"].startswith(QUESTION)
        assert (sent["model"], sent["temperature"], sent["top_k"], sent["stop"]) == ("gpt-x", 0.5, 5, ["X"])
        assert sent["reasoning_effort"] == "low"
        assert len({body["seed"] for body in bodies[:2]}) == 2
        assert "\\boxed{3}?" in result.traces[0].completion


def test_a_newer_model_is_given_its_limit_by_the_name_it_knows() -> None:
    def reply(body: dict[str, Any]) -> tuple[int, Any]:
        if "max_tokens" in body:
            return 400, {"error": {"message": "Unsupported: use 'max_completion_tokens' instead."}}
        return 200, _completion(str(body["max_completion_tokens"]), finish="length")

    for client in _clients(reply):
        [trace] = ww.solve(QUESTION, ww.Single(), ww.OpenAIBackend(client, "gpt-x"), max_tokens=7).traces
        assert (trace.completion, trace.finish) == ("7", "length")


@pytest.mark.parametrize(("status", "error"), [(401, "401"), (400, "400"), (500, "500")])
def test_a_client_that_is_refused_says_why(status: int, error: str) -> None:
    for client in _clients(lambda body: (status, {"error": {"message": "no"}})):
        with pytest.raises(ww.BackendError, match=f"request to gpt-x failed with .*{error}"):
            ww.solve(QUESTION, ww.Single(), ww.OpenAIBackend(client, "gpt-x"))


def test_what_is_no_client_is_one_sentence() -> None:
    with pytest.raises(ww.UsageError, match=r"a client has chat.completions.create, .* found int"):
        ww.OpenAIBackend(3, "gpt-x")
    client = SimpleNamespace(chat=SimpleNamespace(completions=SimpleNamespace(create=print)), base_url="http://x")
    with pytest.raises(ww.UsageError, match="is a client: give ww"):
        ww.solve(QUESTION, ww.Single(), client)  # type: ignore[arg-type]
    with pytest.raises(ww.UsageError, match="named by a text"):
        ww.OpenAIBackend(client, "")
