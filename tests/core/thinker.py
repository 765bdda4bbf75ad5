"""A scripted model that thinks between its own marks, and continues sensibly from any text put into its trace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.core.scripted import Characters, PlainGrader, Scripted
from widthwise.core.backend import Request, SamplingParams
from widthwise.core.chat_options import NO_OPTIONS, ChatOptions
from widthwise.core.problem import Problem
from widthwise.core.prompting.profile import ModelFacts
from widthwise.core.prompting.prompt import PromptFormat
from widthwise.core.prompting.thinking import Thinking
from widthwise.core.retry import Retry
from widthwise.core.session.scheduler import Scheduler
from widthwise.core.session.session import Session
from widthwise.core.session.setting import Setting
from widthwise.models.thinking_marks import THINK

PROBLEM = Problem("p1", "1+1?", "2")
FORMAT = PromptFormat("plain", answer_now="\n\nThe final answer is ", template="{problem}")


class Opening(Characters):
    """Ends every prompt with a mark and ``opens``; the model's turn begins there."""

    def __init__(self, opens: str = "") -> None:
        self.opens = opens

    def chat(self, messages: Sequence[Mapping[str, str]], options: ChatOptions = NO_OPTIONS) -> list[int]:
        return self.encode("".join(m["content"] for m in messages) + "\u00a7" + self.opens)


class Thinker(Scripted):
    """Says ``texts[index]``; told to answer, it says ``answer``; told to wait, it says the next of ``more``."""

    facts = ModelFacts("thinker", template="<think></think>")

    def __init__(
        self, *texts: str, answer: str = "= 2", more: tuple[str, ...] = (), opens: str = "", **options: Any
    ) -> None:
        super().__init__(texts, **options)
        self.tokenizer = Opening(opens)
        self._answer, self._more = answer, more

    def rest(self, request: Request) -> str:
        said = self.tokenizer.decode(request.prompt).rpartition("\u00a7" + self.tokenizer.opens)[2]
        if "The final answer is" in said:
            return self._answer
        told = said.count("Wait")
        number = request.index if request.continues is None else request.continues
        text = self._texts[number % len(self._texts)]
        if told:
            text, said = self._more[(told - 1) % len(self._more)], said.rpartition("Wait")[2]
        if text.startswith(said):
            return text.removeprefix(said)
        return text.partition("</think>")[2] if "</think>" in text else text


def setting(
    backend: Any, thinking: Thinking | None = THINK, *, max_tokens: int | None = None, **options: Any
) -> Setting:
    return Setting(
        Scheduler(backend, retry=Retry(first_delay=0.0)),
        PlainGrader(),
        FORMAT,
        params=SamplingParams(max_tokens=max_tokens),
        thinking=thinking,
        chat=ChatOptions(options),
    )


def session(backend: Any, thinking: Thinking | None = THINK, **options: Any) -> Session:
    return Session(PROBLEM, setting(backend, thinking), **options)
