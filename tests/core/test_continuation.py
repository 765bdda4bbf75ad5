"""Backends that answer conversations but cannot continue one: what they receive, and what is refused in advance."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

import numpy as np
import pytest

from widthwise.aggregators.majority_vote import MajorityVote
from widthwise.backends.tokenizers.pieces import PieceTokenizer
from widthwise.core.backend import Capabilities, Delta, Request
from widthwise.core.errors import BackendError, UsageError
from widthwise.core.problem import Problem
from widthwise.core.prompting.thinking import Thinking
from widthwise.core.retry import Retry
from widthwise.core.session.scheduler import Scheduler
from widthwise.core.session.session import Session
from widthwise.core.session.setting import Setting
from widthwise.core.strategy.composition import parse_strategy
from widthwise.evals.suites.hub import MATH
from widthwise.models.formats import GENERIC
from widthwise.samplers.best_of_n import BestOfN

PROBLEM = Problem("p", "What is 40 + 2?", "42")
SAID = "So it is \\boxed{42}."
Answer = Callable[[Request, int], Sequence[str | Exception]]


class Answering:
    """A backend that answers conversations; ``answer`` gives the pieces of its ``n``-th answer, or its failure."""

    name = "answering"
    max_model_len = None
    no_continuation = "serve the model with vLLM"

    def __init__(self, answer: Answer) -> None:
        self.tokenizer = PieceTokenizer()
        self.capabilities = Capabilities(token_ids=False, logprobs=False, continues=False)
        self.requests: list[Request] = []
        self._answer = answer

    async def generate(self, request: Request) -> AsyncIterator[Delta]:
        self.requests.append(request)
        for piece in self._answer(request, len(self.requests)):
            if isinstance(piece, Exception):
                raise piece
            yield Delta(np.array(self.tokenizer.encode(piece), np.int64))
        yield Delta(np.empty(0, np.int64), finish="stop")

    def describe(self) -> dict[str, str]:
        return {"backend": self.name}

    async def close(self) -> None: ...


def setting(backend: Answering, thinking: Thinking | None = None) -> Setting:
    return Setting(Scheduler(backend, retry=Retry(attempts=4, first_delay=0.0)), MATH, GENERIC, thinking=thinking)


async def test_an_answer_that_breaks_off_begins_again_and_its_tokens_are_discarded() -> None:
    broken = BackendError("the connection broke off", retryable=True)
    backend = Answering(lambda _, n: ["Half an answer ", broken] if n == 1 else [SAID])
    strategy = BestOfN(1) | MajorityVote()
    result = await strategy.solve(PROBLEM, setting(backend))
    [trace] = result.traces
    half = len(backend.tokenizer.encode("Half an answer "))
    assert (result.answer, trace.completion) == ("42", SAID)
    assert result.ledger.sampled == trace.tokens + half
    assert result.ledger.discarded == half
    assert backend.requests[0].conversation == backend.requests[1].conversation


async def test_an_answer_that_always_breaks_off_is_not_begun_for_ever() -> None:
    broken = BackendError("the connection broke off", retryable=True)
    backend = Answering(lambda *_: ["Half an answer ", broken])
    result = await (BestOfN(1) | MajorityVote()).solve(PROBLEM, setting(backend))
    assert len(backend.requests) == 4
    assert [trace.finish for trace in result.traces] == ["error"]
    assert result.ledger.sampled == result.ledger.discarded


async def test_requests_carry_the_conversation_and_the_marks_of_thinking() -> None:
    backend = Answering(lambda *_: [SAID])
    thinking = Thinking((("[THINK]", "[/THINK]"),), close="[/THINK]\n", empty="")
    await (BestOfN(2) | MajorityVote()).solve(PROBLEM, setting(backend, thinking))
    for request in backend.requests:
        assert request.conversation is not None
        assert [m["role"] for m in request.conversation.messages] == ["user"]
        assert PROBLEM.text in request.conversation.messages[-1]["content"]
        assert request.conversation.marks == ("[THINK]", "[/THINK]\n")


@pytest.mark.parametrize(
    "strategy",
    [
        "beam_search(by='length')",
        "threads(grammar='threadweaver')",
        "serial_search()",
        "best_of_n(n=2) | deepprune(judge=answer_probe())",
    ],
)
def test_what_goes_on_from_a_text_is_refused_before_the_first_token(strategy: str) -> None:
    backend = Answering(lambda *_: [SAID])
    with pytest.raises(UsageError, match="needs a backend that can continue a text, and answering cannot: serve the"):
        parse_strategy(strategy).check_against(setting(backend), [PROBLEM])
    assert not backend.requests


async def test_a_strategy_of_ones_own_is_refused_when_it_continues() -> None:
    backend = Answering(lambda *_: [SAID])

    async def own(session: Session) -> object:
        [trace] = await session.sample(session.root)
        return await session.sample(session.append(trace, "Wait,"))

    with pytest.raises(UsageError, match="this strategy needs a backend that can continue a text"):
        await parse_strategy("best_of_n(n=1)").__class__(own).solve(PROBLEM, setting(backend))  # type: ignore[arg-type]
