"""What a served strategy answers: its content, its report, its usage; the same as from ``eval`` and ``solve``."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import widthwise as ww
from tests.core.scripted import Scripted
from tests.serving.serving import TEXT, Server, question, served
from widthwise.core.backend import Delta, Request
from widthwise.evals.store.store import Store
from widthwise.evals.suites.suites import load_suite

SUM = "Compute (17 + 5) * 3 - 48."
VOTE = "best_of_n(n=4) | majority_vote()"
TEXTS = ["so \\boxed{2}", "I think \\boxed{3}", "hm \\boxed{2}", "no idea at all"]


async def test_the_content_is_the_winning_traces_text_and_the_report_has_the_votes() -> None:
    async with served(Scripted(TEXTS), VOTE) as server:
        status, said, _ = await server.post(question(SUM, seed=5, metadata={"problem": "p7", "anything": "else"}))
    assert status == 200
    (choice,) = said["choices"]
    assert choice["message"] == {"role": "assistant", "content": "so \\boxed{2}", "refusal": None}
    assert choice["finish_reason"] == "stop"
    report = said["widthwise"]
    assert (report["answer"], report["trace"], report["tied"]) == ("2", "0.0", False)
    assert report["classes"] == [
        {"answer": "2", "votes": 2.0, "traces": 2},
        {"answer": "3", "votes": 1.0, "traces": 1},
    ]
    assert (report["problem"], report["seed"], report["budget"]) == ("p7", 5, {})
    assert report["strategy"] == "best_of_n(n=4) | majority_vote(tie='first')"
    sampled = sum(len(text) + 1 for text in TEXTS)
    assert report["ledger"]["sampled"] == sampled
    usage = said["usage"]
    assert usage["completion_tokens"] == sampled
    assert usage["total_tokens"] == usage["prompt_tokens"] + sampled
    # The tokens that the reader does not see: all but the winner's.
    assert usage["completion_tokens_details"] == {"reasoning_tokens": sampled - len(TEXTS[0]) - 1}


async def test_thinking_goes_to_reasoning_content() -> None:
    text = "<think>\n1 + 1 is 2\n</think>\n\nIt is \\boxed{2}"
    async with served(Scripted([text]), "single()") as server:
        _, said, _ = await server.post(question(SUM))
        events = await server.events(question(SUM, stream=True))
    message = said["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"]) == ("It is \\boxed{2}", "1 + 1 is 2")
    shown = len("\n\nIt is \\boxed{2}") + 1
    reasoning = said["usage"]["completion_tokens_details"]["reasoning_tokens"]
    assert reasoning == len(text) + 1 - shown
    assert _streamed(events, "reasoning_content") == "1 + 1 is 2"
    assert _streamed(events, "content") == "It is \\boxed{2}"


async def test_an_answer_without_a_trace_is_boxed_and_no_answer_is_the_first_text() -> None:
    async def knows(session: ww.Session) -> str:
        return "17"

    async with served(Scripted(["who", "knows"]), {"knows": knows, "vote": VOTE}) as server:
        _, said, _ = await server.post(question(SUM, "knows"))
        _, unread, _ = await server.post(question(SUM, "vote"))
    assert said["choices"][0]["message"]["content"] == "\\boxed{17}"
    assert said["widthwise"]["answer"] == "17"
    assert unread["choices"][0]["message"]["content"] == "who"
    assert (unread["widthwise"]["answer"], unread["widthwise"]["trace"]) == (None, "0.0")


async def test_a_cut_answer_says_so_and_stop_strings_are_left_out() -> None:
    async with served(Scripted(["one STOP two \\boxed{2}"]), "single()") as server:
        _, cut, _ = await server.post(question(SUM, max_completion_tokens=3))
        _, stopped, _ = await server.post(question(SUM, stop=["STOP"]))
    assert (cut["choices"][0]["message"]["content"], cut["choices"][0]["finish_reason"]) == ("one", "length")
    assert (stopped["choices"][0]["message"]["content"], stopped["choices"][0]["finish_reason"]) == ("one", "stop")


async def test_earlier_turns_and_the_system_prompt_are_asked_as_they_were_sent() -> None:
    backend = Scripted(["\\boxed{2}"])
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": [{"type": "text", "text": "Box "}, {"type": "text", "text": "it."}]},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello.", "refusal": None, "tool_calls": [], "reasoning_content": "hm"},
        {"role": "user", "content": "What is 1 + 1?"},
    ]
    async with served(backend, "single()", settings={"instruction": "Think.", "system": "Another."}) as server:
        assert (await server.post({"model": "widthwise", "messages": turns}))[0] == 200
    conversation = backend.requests[0].conversation
    assert conversation is not None
    assert conversation.messages == (
        {"role": "system", "content": "Be brief.\n\nBox it."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "What is 1 + 1?\n\nThink."},
    )


async def test_a_stream_has_progress_then_the_reply_then_the_usage() -> None:
    body = question(SUM, stream=True, stream_options={"include_usage": True}, widthwise={"progress": True}, seed=1)
    async with served(Scripted(TEXTS), VOTE) as server:
        *events, end = await server.events(body)
        _, whole, _ = await server.post(question(SUM, seed=1))
    assert end == "[DONE]"
    assert events[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    told = _streamed(events, "reasoning_content").splitlines()
    assert sorted(told) == [
        f"0.{i}: {len(t) + 1} tokens{a}" for i, (t, a) in enumerate(zip(TEXTS, ANSWERS, strict=True))
    ]
    assert _streamed(events, "content") == whole["choices"][0]["message"]["content"]
    last, usage = events[-2:]
    assert last["choices"][0]["finish_reason"] == "stop"
    assert last["widthwise"]["answer"] == "2"
    assert (usage["choices"], usage["usage"]) == ([], whole["usage"])
    assert {event["id"] for event in events} == {usage["id"]}


ANSWERS = [", answer 2", ", answer 3", ", answer 2", ""]


async def test_text_completions_ask_the_prompt_as_a_question() -> None:
    async with served(Scripted(TEXTS), VOTE) as server:
        status, said, _ = await server.post({"model": "widthwise", "prompt": SUM}, TEXT)
        *events, _ = await server.events({"model": "widthwise", "prompt": [SUM], "stream": True}, TEXT)
    assert status == 200
    assert said["object"] == "text_completion"
    assert said["choices"] == [{"index": 0, "text": "so \\boxed{2}", "logprobs": None, "finish_reason": "stop"}]
    assert "".join(choice["text"] for event in events for choice in event["choices"]) == "so \\boxed{2}"
    assert events[-1]["widthwise"]["answer"] == "2"


async def test_a_request_has_the_budget_that_it_asks_for_within_the_servers() -> None:
    async with served(Scripted(TEXTS), VOTE, limits=ww.Budget(samples=3)) as server:
        _, most, _ = await server.post(question(SUM))
        _, less, _ = await server.post(question(SUM, widthwise={"budget": {"samples": 2, "seconds": 60}}))
        status, refused, _ = await server.post(question(SUM, widthwise={"budget": {"samples": 4}}))
    assert (most["widthwise"]["ledger"]["samples"], most["widthwise"]["budget"]) == (3, {"samples": 3})
    assert less["widthwise"]["ledger"]["samples"] == 2
    assert less["widthwise"]["budget"] == {"samples": 2, "seconds": 60}
    assert (status, refused["error"]["param"]) == (400, "widthwise.budget.samples")


async def test_requests_without_a_seed_differ_and_say_theirs() -> None:
    async with served("reasoner", "single()") as server:
        replies = [(await server.post(question("Compute 7 + 8.")))[1]["widthwise"] for _ in range(3)]
        again = (await server.post(question("Compute 7 + 8.", seed=replies[0]["seed"])))[1]["widthwise"]
    assert len({reply["seed"] for reply in replies}) == 3
    assert again["ledger"]["sampled"] == replies[0]["ledger"]["sampled"]
    assert again["answer"] == replies[0]["answer"]
    async with served("reasoner", "single()", seed=9) as server:
        assert (await server.post(question("Compute 7 + 8.")))[1]["widthwise"]["seed"] == 9


async def test_a_served_answer_is_that_of_solve() -> None:
    result = await ww.solve_async(SUM, VOTE, model="reasoner", seed=11, temperature=0.9)
    async with served("reasoner", VOTE) as server:
        _, said, _ = await server.post(question(SUM, seed=11, temperature=0.9))
    assert said["widthwise"]["answer"] == result.answer
    assert said["widthwise"]["ledger"]["sampled"] == result.ledger.sampled
    winner = result.election.trace
    assert winner is not None
    assert said["choices"][0]["message"]["content"] == winner.completion.removesuffix("</s>").strip()


async def test_a_problem_of_the_suite_is_answered_as_eval_answers_it(tmp_path: Path) -> None:
    """Including its numbers and its target, which no message contains."""
    suite = load_suite("countdown", limit=5)
    run = await ww.evaluate_async(VOTE, "countdown", model="reasoner", run=tmp_path / "run.db", limit=5, seed=3)
    async with served("reasoner", VOTE, suite="countdown") as server:
        for problem in suite.problems:
            asked = {"problem": problem.id, "seed": "3"}
            _, said, _ = await server.post(question(problem.text, metadata=asked))
            outcome = run.outcome(problem)
            assert said["widthwise"]["answer"] == outcome.answer
            assert said["widthwise"]["ledger"]["sampled"] == outcome.ledger.sampled
        status, refused, _ = await server.post(question("Another one", metadata={"problem": suite.problems[0].id}))
    assert (status, refused["error"]["param"]) == (400, "metadata.problem")


async def test_a_model_that_fails_is_the_servers_failure_and_says_why() -> None:
    class Failing(Scripted):
        async def generate(self, request: Request) -> Any:
            raise ww.BackendError("the engine is gone")
            yield Delta

    async with served(Failing(TEXTS), VOTE) as server:
        status, said, _ = await server.post(question(SUM))
    assert status == 502
    assert said["error"]["type"] == "server_error"
    assert "the engine is gone" in said["error"]["message"]


async def test_a_strategy_that_breaks_is_an_error_in_a_stream_too() -> None:
    async def broken(session: ww.Session) -> str:
        await session.sample(session.root, 2)
        raise RuntimeError("a bug")

    async with served(Scripted(TEXTS), broken) as server:
        status, said, _ = await server.post(question(SUM))
        events = await server.events(question(SUM, stream=True))
    assert (status, said["error"]["message"]) == (500, "the strategy failed with RuntimeError: a bug")
    assert events[-1]["error"]["message"] == "the strategy failed with RuntimeError: a bug"


async def test_an_application_that_is_mounted_in_another_opens_its_model_at_the_first_request() -> None:
    from starlette.applications import Starlette
    from starlette.routing import Mount

    from widthwise.serving.server import listening, serve_at

    app = Starlette(
        routes=[Mount("/reasoning", ww.asgi_app({"vote": VOTE}, Scripted(TEXTS), suite="arithmetic", seed=4))]
    )
    with listening("127.0.0.1", 0) as listener:
        serving = asyncio.create_task(serve_at(app, listener))
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as http:
            server = Server(f"http://127.0.0.1:{listener.getsockname()[1]}/reasoning/v1", ["vote"], http)
            status, said, _ = await server.post(question(SUM, "vote"))
        serving.cancel()
        await asyncio.wait([serving])
    assert (status, said["widthwise"]["answer"], said["widthwise"]["seed"]) == (200, "2", 4)


@pytest.mark.slow
async def test_fifty_problems_by_their_ids_are_answered_as_eval_answers_them(tmp_path: Path) -> None:
    openai = pytest.importorskip("openai", reason="openai is not installed: pip install openai")
    strategy = "best_of_n(n=16) | majority_vote()"
    suite = load_suite("arithmetic", limit=50)
    await ww.evaluate_async(strategy, "arithmetic", model="reasoner", run=tmp_path / "run.db", limit=50, seed=7)
    with Store.read(tmp_path / "run.db") as store:
        expected = {o.problem.id: (o.answer, o.ledger.sampled) for o in store.outcomes()}
    async with (
        served("reasoner", strategy, suite="arithmetic") as server,
        openai.AsyncOpenAI(base_url=server.url, api_key="none", timeout=None) as client,
    ):

        async def answered(problem: ww.Problem) -> tuple[str | None, int]:
            reply = await client.chat.completions.create(
                model="widthwise",
                messages=[{"role": "user", "content": problem.text}],
                metadata={"problem": problem.id, "seed": "7"},
            )
            return reply.widthwise["answer"], reply.usage.completion_tokens

        replies = await asyncio.gather(*map(answered, suite.problems))
    assert len(expected) == 50
    assert dict(zip([p.id for p in suite.problems], replies, strict=True)) == expected


def _streamed(events: list[Any], field: str) -> str:
    """The contents of one field of the events' deltas, joined."""
    choices = [choice for event in events if event != "[DONE]" for choice in event["choices"]]
    return "".join(choice["delta"].get(field) or "" for choice in choices)
