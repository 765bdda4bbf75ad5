"""Budgets for thinking: it is closed at a limit, told to wait, or left out; every token is charged and known."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

import widthwise as ww
from tests.core.thinker import PROBLEM, Thinker, session, setting
from tests.evals.recount import recounted, recounted_ends
from tests.samplers.every_sampler import EVERY
from widthwise.aggregators.majority_vote import MajorityVote
from widthwise.core.backend import Delta, Request
from widthwise.core.errors import BackendError, UsageError
from widthwise.core.pruner import Decision
from widthwise.core.session.limits import Limits
from widthwise.core.session.session import Session
from widthwise.core.strategy.composition import parse_strategy
from widthwise.core.strategy.strategy import as_strategy
from widthwise.core.trace.trace import Trace
from widthwise.models.thinking_marks import HARMONY, THINK, tagged
from widthwise.samplers.best_of_n import BestOfN
from widthwise.samplers.single import Single

LONG = "<think>abcdefghij</think>so = 3"
CLOSED = "\n</think>\n\nThe final answer is "


def sampled(s: Session) -> int:
    """All sampled tokens, recounted from the tree."""
    return sum(len(t.segment) for t in s.traces.values() if t.segment.origin == "sampled")


async def draw(s: Session, n: int = 1, **options: Any) -> list[Trace]:
    traces = await s.sample(s.root, n, **options)
    await s.settle()
    assert s.ledger.sampled == sampled(s)
    assert s.ledger.sequential == recounted(s.traces)
    assert {i: t.sequential for i, t in s.traces.items()} == recounted_ends(s.traces)
    assert all("".join(map(chr, t.token_ids)) == "".join(p.text for p in t.path) for t in traces)
    assert s._shared.accounts.residency.resident == 0
    return traces


async def test_thinking_is_closed_at_its_limit_and_the_answer_asked_for() -> None:
    backend = Thinker(LONG)
    s = session(backend)
    [trace] = await draw(s, thinking=10)
    assert trace.completion == "<think>abc" + CLOSED + "= 2\0"
    assert [p.origin for p in trace.path] == ["prompt", "sampled", "inserted", "sampled"]
    assert (trace.tokens, trace.finish, s.answer(trace)) == (10 + 4, "stop", "2")
    assert (s.ledger.samples, s.ledger.discarded, s.ledger.sequential) == (1, 0, 14)
    assert backend.requests[1].prompt.tolist() == trace.parent.token_ids.tolist()  # type: ignore[union-attr]
    assert (trace.stem, trace.head.id, trace.drawn) == (s.root, (0, 0), 14)
    assert s.leaves == [trace]


async def test_thinking_that_ends_before_is_left_as_it_is() -> None:
    s = session(Thinker(LONG))
    [trace] = await draw(s, thinking=40)
    assert trace.completion == LONG + "\0"
    assert s.ledger.sampled == len(LONG) + 1
    [at_the_limit] = await draw(session(Thinker(LONG)), thinking=LONG.index("so"))
    assert at_the_limit.completion == LONG + "\0"
    [one_less] = await draw(session(Thinker(LONG)), thinking=LONG.index("so") - 1)
    assert one_less.completion == "<think>abcdefghij</think>\n\nThe final answer is = 2\0"


async def test_a_model_that_answers_at_once_is_not_cut() -> None:
    [trace] = await draw(session(Thinker("plain words = 2")), thinking=5)
    assert trace.completion == "plain words = 2\0"
    assert all(p.origin != "inserted" or not p.text for p in trace.path)


async def test_a_closing_mark_is_taken_back_as_often_as_told() -> None:
    backend = Thinker("<think>ab</think>= 1", more=(" cd</think>= 4", " ef</think>= 2"))
    s = session(backend)
    [trace] = await draw(s, waits=2)
    assert trace.completion == "<think>ab\nWait cd\nWait ef</think>= 2\0"
    assert s.ledger.discarded == 2 * len("</think>")
    assert trace.tokens == s.ledger.sampled - s.ledger.discarded == len("<think>ab cd ef</think>= 2\0")
    assert len(trace.logprobs) == trace.tokens
    assert trace.sequential == s.ledger.sampled  # waiting for the marks counts
    assert s.leaves == [trace]
    assert [t.segment.text for t in s.fragments] == ["</think>"] * 2
    assert s.answer(trace) == "2"


async def test_waits_count_within_the_limit() -> None:
    backend = Thinker("<think>ab</think>= 1", more=("cdefghijklmnop",))
    s = session(backend)
    [trace] = await draw(s, thinking=19, waits=3)
    assert trace.completion == "<think>ab\nWaitcdefghijkl" + CLOSED + "= 2\0"
    assert len("<think>abcdefghijkl") == 19
    assert s.ledger.discarded == len("</think>")


async def test_a_mark_at_the_very_limit_stays() -> None:
    text = "<think></think>= 2"
    [trace] = await draw(session(Thinker(text, more=("x",))), thinking=7, waits=1)
    assert trace.completion == "<think>" + CLOSED + "= 2\0"


@pytest.mark.parametrize(
    ("thinking", "opens", "inserted"),
    [
        (THINK, "", "<think>\nOkay, I think I have finished thinking.\n</think>\n\n"),
        (THINK, "<think>\n", "Okay, I think I have finished thinking.\n</think>\n\n"),
        (THINK, "<think>\n\n</think>\n\n", ""),
        (tagged("THINK", "[]"), "", "[THINK]\nOkay, I think I have finished thinking.\n[/THINK]\n\n"),
        (HARMONY, "<|start|>assistant", HARMONY.finished),
        (HARMONY, "<|channel|>final<|message|>", ""),
    ],
)
async def test_thinking_is_left_out(thinking: Any, opens: str, inserted: str) -> None:
    s = session(Thinker("= 2", opens=opens), thinking)
    traces = await s.sample(s.root, 3, thinking=0)
    assert [t.completion[: len(inserted)] for t in traces] == [inserted] * 3
    assert traces[0].completion == inserted + "= 2\0"
    assert {t.stem for t in traces} == {s.root}
    assert s.ledger.samples == 3
    await s.sample(s.root, 1, thinking=0)
    assert sum(t.segment.origin == "inserted" for t in s.traces.values()) == bool(inserted)


@pytest.mark.parametrize("limit", range(1, 30))
async def test_the_limit_on_all_tokens_binds(limit: int) -> None:
    s = session(Thinker(LONG))
    [trace] = await draw(s, thinking=12, max_tokens=limit)
    assert trace.tokens == min(limit, 12 + 4)
    assert trace.finish == ("length" if limit < 16 else "stop")


@pytest.mark.parametrize("deterministic", [True, False])
async def test_several_grow_side_by_side(deterministic: bool) -> None:
    texts = [LONG, "<think>a</think>= 2", "= 2", "<think>" + "x" * 50]
    s = session(Thinker(*texts, deterministic=deterministic))
    traces = await draw(s, 4, thinking=20)
    assert [t.head.id for t in traces] == [(0, i) for i in range(4)]
    assert [t.completion.rstrip("\0") for t in traces] == [
        "<think>abcdefghij</think>\n\nThe final answer is = 2",
        texts[1],
        texts[2],
        "<think>" + "x" * 13 + CLOSED + "= 2",
    ]
    assert s.ledger.samples == 4


async def test_where_a_step_ends_inside_the_thinking_the_draw_ends() -> None:
    s = session(Thinker("<think>a;b;c</think>d;= 2"))
    [step] = await s.sample(s.root, stop=";", thinking=11)
    assert (step.completion, step.segment.reason) == ("<think>a;", ";")
    [second] = await s.sample(step, stop=";", thinking=11)
    assert (second.completion, second.stem) == ("<think>a;b;", step)
    [third] = await s.sample(second, stop=";", thinking=11)  # the trace's budget is used up
    assert third.completion == "<think>a;b;" + CLOSED + "= 2\0"
    assert (third.stem, third.head, third.drawn) == (second, third, 4)
    assert s.ledger.samples == 3


async def test_a_turn_that_ends_inside_the_thinking_is_over() -> None:
    s = session(Thinker("<think>hm"))
    [trace] = await draw(s, thinking=40, waits=1)
    assert (trace.completion, trace.finish) == ("<think>hm\0", "stop")


async def test_a_failure_between_and_within_pieces_is_gone_on_from() -> None:
    fault = BackendError("gone", retryable=True)
    plain = session(Thinker(LONG))
    [expected] = await draw(plain, thinking=10)
    for faults in ({0: (0, fault)}, {0: (1, fault)}, {1: (0, fault)}, {0: (1, fault), 2: (0, fault)}):
        s = session(Thinker(LONG, faults=faults), pruners=[Stopping(100, of=1)])
        [trace] = await draw(s, thinking=10)
        assert trace.completion == expected.completion
        assert s.ledger.sampled == plain.ledger.sampled
        assert s.ledger.retries == len(faults)


class InText(Thinker):
    """A server that takes text; it counts twice as many tokens as the client sees."""

    def __init__(self, *texts: str) -> None:
        super().__init__(*texts)
        self.capabilities = replace(self.capabilities, token_ids=False)

    def generate(self, request: Request) -> AsyncIterator[Delta]:
        limit = request.params.max_tokens
        return super().generate(
            replace(request, params=replace(request.params, max_tokens=limit and max(limit // 2, 1)))
        )


async def test_a_server_that_counts_otherwise_is_believed() -> None:
    [trace] = await draw(session(InText(LONG)), thinking=18)
    assert trace.completion == "<think>ab" + CLOSED + "= 2\0"


class Stopping:
    """Stops a trace at ``at`` tokens, and records the heads under which it saw traces."""

    every = 1
    __role__ = "pruner"

    def __init__(self, at: int, of: int = 2) -> None:
        self.at, self.of = at, of
        self.heads: set[Any] = set()

    async def __call__(self, s: Session, live: list[Trace], finished: list[Trace], total: int) -> Decision:
        self.heads |= {t.head.id for t in (*live, *finished)}
        assert total == self.of
        return Decision(stop=frozenset(t.id for t in live if t.tokens >= self.at and t.head.id == (0, 1)))


@pytest.mark.parametrize("at", range(1, 14))
async def test_a_pruner_may_stop_a_trace_in_any_of_its_pieces(at: int) -> None:
    pruner = Stopping(at)
    s = session(Thinker(LONG), pruners=[pruner])
    traces = await draw(s, 2, thinking=10)
    assert pruner.heads == {(0, 0), (0, 1)}
    assert [t.finish for t in traces] == ["stop", "pruned"]
    assert traces[1].tokens == s.ledger.discarded == at
    assert s.ledger.sampled == 14 + at
    assert s.leaves == traces


class Late(Stopping):
    """Decides late, when tokens have arrived that it has not seen."""

    async def __call__(self, s: Session, live: list[Trace], finished: list[Trace], total: int) -> Decision:
        for _ in range(40):
            await asyncio.sleep(0)
        return await super().__call__(s, live, finished, total)


async def test_a_piece_that_ends_while_its_trace_is_stopped_is_gone_on_from_no_more() -> None:
    backend = Thinker(LONG, deterministic=False)
    s = session(backend, pruners=[Late(1)])
    traces = await draw(s, 2, thinking=10)
    assert [t.finish for t in traces] == ["stop", "pruned"]
    assert (traces[1].completion, s.ledger.discarded) == ("<think>abc", 10)
    assert len(backend.requests) == 3


@pytest.mark.parametrize("tokens", range(8, 30))
async def test_limits_of_a_session_end_traces_in_any_piece(tokens: int) -> None:
    s = session(Thinker(LONG), budget=Limits(tokens=tokens))
    traces = await draw(s, 3, thinking=10)
    assert s.ledger.sampled <= tokens
    assert all(t.finish in ("stop", "budget") for t in traces)
    assert [t.finish for t in traces].count("stop") == min(tokens // 14, 3)
    behind = session(Thinker(LONG), budget=Limits(sequential=tokens))
    [trace] = await draw(behind, thinking=10)
    assert trace.sequential == min(tokens, 14)
    assert trace.finish == ("budget" if tokens < 14 else "stop")


async def test_replies_of_judges_have_a_budget_only_if_given_one() -> None:
    s = session(Thinker(LONG))
    s.heed(Single(thinking=10))
    [free] = await s.sample(s.root, judging=True)
    assert free.completion == LONG + "\0"
    [bound] = await s.sample(s.root, judging=True, thinking=10)
    assert bound.completion.startswith("<think>abc\n</think>\n\nso")
    assert s.judgements == [free, bound]
    assert (s.ledger.sampled, s.ledger.judging) == (0, free.tokens + bound.tokens)
    [own] = await s.sample(s.root)
    assert own.completion == "<think>abc" + CLOSED + "= 2\0"


async def test_channels_are_closed_with_the_turn_that_ends_there() -> None:
    analysis, final = "<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"
    s = session(Thinker(f"{analysis}abcdef{final}= 3"), HARMONY)
    [trace] = await draw(s, thinking=len(analysis) + 2)
    assert trace.completion == f"{analysis}ab{final}The final answer is = 2\0"
    s = session(Thinker(f"{analysis}ab{final}= 3", more=(f" cd{final}= 2",)), HARMONY)
    [trace] = await draw(s, waits=1)
    assert trace.completion == f"{analysis}ab\nWait cd{final}= 2\0"
    assert s.ledger.discarded == len(final)
    s = session(Thinker(f"{analysis}ab{final}= 3"), HARMONY)
    [trace] = await draw(s, thinking=5)  # in the middle of the opening mark
    assert trace.completion == f"{analysis}{final}The final answer is = 2\0"


# -- as options of samplers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", EVERY.values(), ids=EVERY)
def test_every_sampler_has_the_options(text: str) -> None:
    sampler: Any = parse_strategy(text).sampler
    assert "waits" not in str(sampler)
    part = replace(sampler, thinking=7, waits=1)
    assert "thinking=7, waits=1" in str(part)
    assert parse_strategy(str(part)).sampler == part


async def test_a_strategy_with_a_budget() -> None:
    result = await (BestOfN(3, thinking=10) | MajorityVote()).solve(PROBLEM, setting(Thinker(LONG)))
    assert result.answer == "2"
    assert [t.tokens for t in result.traces] == [14] * 3
    assert [note.text for note in result.notes] == ["the thinking of 3 of 3 traces was closed for them"]
    plain = await (BestOfN(3) | MajorityVote()).solve(PROBLEM, setting(Thinker(LONG)))
    assert (plain.answer, plain.notes) == ("3", ())


@pytest.mark.parametrize(
    "text",
    [
        "parallel_distill_refine(drafts=(2, 1), distill='random_k', k=1, thinking=10)",
        "sequential_refinement(rounds=2, thinking=10)",
        "recursive_self_aggregation(population=2, group=1, loops=1, thinking=10)",
        "parallel_distill_refine(drafts=(2,), worker=single(thinking=10))",
        "parallel_distill_refine(drafts=(2,), worker=best_of_n(n=2) | majority_vote(), thinking=10)",
        "beam_search(n=4, beam_width=2, by='mean_logprob', thinking=10)",
        "best_of_n(n=2, thinking=10) | stop_when_decided()",
    ],
)
async def test_budgets_hold_in_whatever_a_sampler_draws(text: str) -> None:
    strategy = parse_strategy(text)
    format_ = replace(setting(Thinker()).format, prompts={"refine": "{problem}", "each_draft": "{text}"})
    result = await strategy.solve(PROBLEM, replace(setting(Thinker(LONG)), format=format_))
    assert result.answer == "2"
    assert result.traces
    assert all("<think>abc" + CLOSED in t.completion for t in result.traces)


@pytest.mark.parametrize(
    ("option", "thinking", "args", "said"),
    [
        ("thinking=8", None, {}, "does not think"),
        ("waits=1", None, {}, "does not think"),
        ("thinking=0", None, {}, "does not think"),
        ("thinking=8", tagged(switch="enable_thinking"), {"enable_thinking": False}, "switched off"),
    ],
)
async def test_what_cannot_be_is_refused_before_the_first_token(
    option: str, thinking: Any, args: Any, said: str
) -> None:
    backend = Thinker(LONG)
    with pytest.raises(UsageError, match=said):
        await parse_strategy(f"best_of_n(n=2, {option})").solve(PROBLEM, setting(backend, thinking, **args))
    assert not backend.requests


async def test_a_switch_of_the_template_is_thrown_for_thinking() -> None:
    marks = tagged(switch="enable_thinking")
    backend = Thinker(LONG)
    asked: list[Any] = []
    chat = backend.tokenizer.chat
    backend.tokenizer.chat = lambda said, options: asked.append(dict(options.arguments)) or chat(said, options)  # type: ignore
    await parse_strategy("single(thinking=9)").solve(PROBLEM, setting(backend, marks))
    await parse_strategy("single(thinking=0)").solve(PROBLEM, setting(backend, marks))
    await parse_strategy("single()").solve(PROBLEM, setting(backend, marks))
    await parse_strategy("single(thinking=0)").solve(PROBLEM, setting(backend, marks, enable_thinking=False))
    assert asked == [{"enable_thinking": True}, {}, {}, {"enable_thinking": False}]


@pytest.mark.parametrize("option", ["thinking=-1", "waits=-1", "thinking=True", "thinking=0, waits=1", "thinking=1.5"])
def test_impossible_options(option: str) -> None:
    with pytest.raises(UsageError):
        parse_strategy(f"single({option})")


def test_what_thinking_was_called_before_is_told() -> None:
    with pytest.raises(UsageError, match="show_thinking"):
        parse_strategy("sequential_refinement(thinking=False)")


@dataclass(frozen=True)
class Mine(ww.SamplerPart):
    n: int = 2

    async def __call__(self, session: Session) -> list[Trace]:
        return await session.sample(session.root, self.n)


async def test_a_sampler_of_the_users_own_has_the_options() -> None:
    strategy = parse_strategy("tests.core.test_thought_budget:Mine(n=3, thinking=10) | majority_vote()")
    result = await strategy.solve(PROBLEM, setting(Thinker(LONG)))
    assert [t.tokens for t in result.traces] == [14] * 3


async def test_a_function_gives_them_to_the_session() -> None:
    async def three(session: Session) -> list[Trace]:
        return await session.sample(session.root, 3, thinking=10)

    result = await as_strategy(three).solve(PROBLEM, setting(Thinker(LONG)))
    assert [t.tokens for t in result.traces] == [14] * 3
    with pytest.raises(UsageError, match="at least 0"):
        await session(Thinker(LONG)).sample(session(Thinker(LONG)).root, thinking=-1)
    s = session(Thinker("= 2"), None)
    with pytest.raises(UsageError, match="does not think"):
        await s.sample(s.root, thinking=4)
