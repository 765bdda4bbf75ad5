"""A backend that answers questions: its reply depends on the prompt."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

from tests.core.scripted import PlainGrader, Scripted
from widthwise.core.backend import Delta, Request, SamplingParams
from widthwise.core.problem import Problem
from widthwise.core.prompting.prompt import PromptFormat
from widthwise.core.session.scheduler import Scheduler
from widthwise.core.session.session import Session
from widthwise.core.session.setting import Setting

FORMAT = PromptFormat(
    "talk",
    template="{problem}",
    prompts={
        "each_draft": "[{n}: {text}]",
        "refine": "refine {problem} {drafts}",
        "summarise": "summarise {problem} {drafts} {limit}",
        "refine_summary": "refine {problem} ({summary})",
        "select": "select {k} of {count} {drafts}",
        "verify": "verify {problem} {draft}",
        "outlines": "outlines {count} {task}",
        "outline": "outline {outline} {task}",
        "threads": "threads {task}",
    },
)

Reply = Callable[[str, int], str]


class Talker(Scripted):
    """Says ``reply(prompt, index)``; ``asked`` lists the prompts in order of arrival.

    With ``delays`` (then not deterministic), each delta waits for a random number of turns of the event loop.
    """

    def __init__(self, reply: Reply, *, delays: random.Random | None = None, **options: Any) -> None:
        super().__init__([""], deterministic=delays is None, **options)
        self.reply = reply
        self.delays = delays
        self.asked: list[str] = []
        self.seeds: dict[str, list[int]] = {}

    async def generate(self, request: Request) -> AsyncIterator[Delta]:
        prompt = self.tokenizer.decode(request.prompt).removesuffix("\n")
        self.asked.append(prompt)
        self.seeds.setdefault(prompt, []).append(request.seed)
        said = Scripted([self.reply(prompt, request.index)])
        async for delta in said.generate(request):
            for _ in range(self.delays.randrange(6) if self.delays else 0):
                await asyncio.sleep(0)
            yield delta

    def begun(self, word: str) -> list[str]:
        """The distinct prompts that begin with ``word``, in order."""
        return [prompt for prompt in dict.fromkeys(self.asked) if prompt.startswith(word)]


def talk(reply: Reply | Talker, *, seed: int = 0, format: PromptFormat = FORMAT, **options: Any) -> Session:
    """A session on one small problem with a ``Talker``."""
    backend = reply if isinstance(reply, Talker) else Talker(reply)
    setting = Setting(Scheduler(backend), PlainGrader(), format, params=SamplingParams(), seed=seed)
    return Session(Problem("p1", "1+1?", "2"), setting, **options)
