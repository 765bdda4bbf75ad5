"""The models of a run at work on one problem: how each is asked, how it writes, and how it is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from widthwise.core.conversation import Messages
from widthwise.core.problem import Problem
from widthwise.core.session.accounts import Accounts
from widthwise.core.session.questions import SOLVE, Questions
from widthwise.core.session.setting import Setting
from widthwise.core.session.thoughts import Thoughts
from widthwise.core.session.trace_tree import TraceTree
from widthwise.core.session.transcript import Transcript
from widthwise.core.session.writer import Writer
from widthwise.core.trace.trace import Trace, TraceId

Fields = Mapping[str, str]


class Voice:
    """One model: its ``setting``, its ``questions``, the ``writer`` of its prompts, the ``transcript`` of what it says.

    ``thoughts`` keep its thinking within a budget.
    """

    def __init__(self, problem: Problem, setting: Setting, tree: TraceTree, accounts: Accounts) -> None:
        self.setting = setting
        self.questions = Questions(problem, setting.format, setting.instruction)
        self.transcript = Transcript(setting.format, setting.tokenizer, setting.saying)
        self.writer = Writer(tree, setting.tokenizer, setting.chat, setting.thinking, setting.model)
        self.thoughts = Thoughts(problem, setting, tree, self.writer, accounts)


class Voices:
    """The voices of all models of a run. A trace belongs to the model for which its prompt was written.

    Only that model continues it, because its tokens are that model's. What another model is to go on with is handed
    over as text.
    """

    def __init__(self, problem: Problem, setting: Setting, tree: TraceTree, accounts: Accounts) -> None:
        self._setting = setting
        self.first = Voice(problem, setting, tree, accounts)
        others = {name: Voice(problem, other, tree, accounts) for name, other in setting.others.items()}
        self._by_name = {setting.model: self.first, **others}
        self._handed: dict[tuple[TraceId, TraceId, str], Trace] = {}

    def of(self, trace: Trace) -> Voice:
        """The voice of the model that ``trace`` belongs to."""
        return self._by_name.get(trace.model, self.first) if len(self._by_name) > 1 else self.first

    def handed(self, trace: Trace, place: TraceId, model: str) -> Trace:
        """``trace`` for another model, below ``place``: the same question in its words, and what was written as text.

        Raises ``UsageError`` for a model that the run does not have.
        """
        self._setting.named(model)
        if trace.model == model:
            return trace
        key = (place, trace.id, model)
        if key not in self._handed:
            self._handed[key] = self._written(trace, place, self._by_name[model])
        return self._handed[key]

    def _written(self, trace: Trace, place: TraceId, voice: Voice) -> Trace:
        asked, said = self.of(trace), self.of(trace).transcript.response(trace)
        question, fields = asked.questions.asked(trace.beginning)
        facts = {} if question is None else {"question": question}
        prompt = voice.writer.prompt(place, _messages(trace, voice, question, fields), facts=facts)
        if question not in (None, SOLVE):
            voice.questions.remember(prompt, str(question), fields)
        return voice.writer.append(prompt, said) if said else prompt


def _messages(trace: Trace, voice: Voice, question: str | None, fields: Fields) -> Messages:
    """The conversation that the trace's prompt spells, in the words of another model where it asked a question."""
    conversation = trace.beginning.segment.conversation
    if question is None and conversation is not None:
        return conversation.messages
    return voice.questions.solve() if question in (None, SOLVE) else voice.questions.worded(question, fields)


def model_of(part: Any) -> str | None:
    """The name of the model that works for a part; None if it names none, or is of a kind that cannot."""
    return part.model if getattr(part, "names_model", False) else None
