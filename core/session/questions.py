"""What the model is asked besides the problem itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from widthwise.core.conversation import Messages
from widthwise.core.problem import Problem
from widthwise.core.prompting.grammar import ThreadGrammar
from widthwise.core.prompting.prompt import PromptFormat
from widthwise.core.trace.trace import Trace, TraceId

SOLVE = "solve"
"""What a problem's own prompt asks."""


class Questions:
    """Words questions in the model's prompt format, and remembers which question each trace began with."""

    def __init__(self, problem: Problem, format: PromptFormat, instruction: str) -> None:
        self._problem = problem
        self._format = format
        self._instruction = instruction
        self._asked: dict[TraceId, tuple[str, Mapping[str, str]]] = {}

    def asked(self, prompt: Trace) -> tuple[str | None, Mapping[str, str]]:
        """The question that ``prompt`` asks, with its fields; None for a conversation of the strategy's own."""
        if prompt.segment.metadata.get("question") == SOLVE:
            return SOLVE, {}
        return self._asked.get(prompt.id, (None, {}))

    def solve(self) -> Messages:
        """The conversation that asks for a solution of the problem."""
        return self._format.messages(self._problem, self._instruction)

    def worded(self, question: str, fields: Mapping[str, str]) -> Messages:
        """The conversation that asks ``question``; raises ``UsageError`` if there is none, or a place stays empty."""
        return self._format.question(question, self._problem, self._instruction, fields)

    def remember(self, prompt: Trace, question: str, fields: Mapping[str, str]) -> Trace:
        """``prompt``, which asks ``question``."""
        self._asked[prompt.id] = (question, fields)
        return prompt

    def task(self, root: Trace) -> str:
        """What is to be solved at ``root``: the question it follows, or the problem if it follows none."""
        beginning = root.beginning
        question, fields = self.asked(beginning)
        if question in (None, SOLVE):
            return self._problem.text
        return self._format.question(question, self._problem, "", fields)[-1]["content"]

    def known(self, question: str) -> bool:
        """Whether the format has this question."""
        return question in self._format.prompts

    def side_by_side(self, first: str, second: str) -> tuple[str, str]:
        """Both texts up to the length of the shorter one, as a judge of partial solutions sees them."""
        length, recent = min(len(first), len(second)), self._format.recent
        return recent(first[:length]), recent(second[:length])

    def listed(self, name: str, texts: Sequence[str]) -> str:
        """Several texts as one field of a question."""
        return self._format.listed(name, texts)

    def grammar(self, name: str | None = None) -> ThreadGrammar:
        """How the model writes threads, or how the family ``name`` does."""
        return self._format.grammar(name)
