"""What a strategy holds while it works on one problem."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import aclosing
from copy import copy
from dataclasses import replace
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np

from widthwise.core.plain_json import well_formed
from widthwise.core.problem import Problem
from widthwise.core.prompting.grammar import ThreadGrammar
from widthwise.core.pruner import Pruner
from widthwise.core.session import seeds
from widthwise.core.session.judging import Judging
from widthwise.core.session.setting import Setting
from widthwise.core.session.thinking import thinking_tokens
from widthwise.core.trace.excerpt import Excerpt, joined_ids, kept_before
from widthwise.core.trace.trace import Finish, Note, Segment, Trace, TraceId, name

T = TypeVar("T")

NO_FACTS: Mapping[str, str] = MappingProxyType({})


class Session(Judging):
    """One problem being worked on: its trace tree, its budget, its ledger.

    A strategy grows traces with ``sample``, ``stream``, ``append`` and ``prompt``, judges them with ``score``,
    ``answer``, ``classes`` and ``valid``. Everything is charged to ``ledger``; when ``budget`` is used up, draws
    in flight end with finish "budget" and the next one raises ``BudgetReached``.
    """

    def __init__(self, problem: Problem, setting: Setting, **terms: Any) -> None:
        super().__init__(problem, setting, **terms)
        self.notes: list[Note] = []
        self._questions: dict[TraceId, tuple[str, Mapping[str, str]]] = {}
        self._place: TraceId = ()
        self.root = self.prompt(setting.format.messages(problem, setting.instruction), facts={"question": "solve"})

    # -- growing traces ------------------------------------------------------------------------------------

    async def follow(
        self,
        traces: AsyncIterator[Trace],
        work: Callable[[Trace], Awaitable[T]],
        until: Callable[[T], bool] | None = None,
    ) -> list[T]:
        """Do ``work`` on each of ``traces`` as it comes, at once on all of them; results in order of their ids.

        Where ``until`` says of a result that it is enough, the rest is left. One after the other is worked on then,
        and where the limit of a budget would otherwise fall on whoever is last by the clock.
        """
        in_turn = until is not None or self._in_turn
        done: dict[TraceId, T] = {}

        async def do(trace: Trace) -> None:
            done[trace.id] = await work(trace)

        try:
            async with aclosing(traces), asyncio.TaskGroup() as group:  # type: ignore[type-var]
                async for trace in traces:
                    if in_turn:
                        await do(trace)
                    else:
                        group.create_task(do(trace))
                    if until is not None and until(done[trace.id]):
                        break
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return [result for _, result in sorted(done.items(), key=lambda item: item[0])]

    def append(
        self,
        trace: Trace,
        text: str | Sequence[str | Excerpt],
        *,
        after: Sequence[Trace] = (),
        facts: Mapping[str, str] = NO_FACTS,
    ) -> Trace:
        """Insert ``text`` (a tag, an instruction) behind ``trace``; pieces of other traces keep their tokens.

        ``after`` names other traces the inserted text was made from: the critical path runs through them too.
        ``facts`` are kept with it. With the fact ``thread``, what grows from here is a part of another trace: no
        sample of its own.
        """
        ids, spelled = joined_ids([text] if isinstance(text, str) else text, self._tokenizer)
        sequential = max(t.sequential for t in (trace, *after))
        segment = Segment("inserted", ids, spelled, metadata=_linked(facts, after))
        return self._begin(Trace(self._next_id(trace.id), segment, trace, sequential))

    def conclude(self, trace: Trace) -> Trace:
        """``trace`` with the text behind it that makes the model state its answer at once."""
        return self.append(trace, self._setting.format.answer_now)

    def prompt(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        after: Sequence[Trace] = (),
        facts: Mapping[str, str] = NO_FACTS,
    ) -> Trace:
        """Begin a new tree of traces from a conversation (the problem's own one is ``root``); see ``append``."""
        said = [{key: well_formed(text) for key, text in message.items()} for message in messages]
        ids = np.array(self._tokenizer.chat(said, self._setting.chat), np.int64)
        sequential = max((t.sequential for t in after), default=0)
        segment = Segment("prompt", ids, self._tokenizer.decode(ids), metadata=_linked(facts, after))
        return self._begin(Trace(self._next_id(self._place), segment, None, sequential))

    def ask(self, question: str, *, after: Sequence[Trace] = (), **fields: str) -> Trace:
        """Begin a new tree of traces from a question of the model's prompt format (``refine``, ``verify`` ...).

        ``fields`` fill the question's places; the problem, the task (see ``at``) and the suite's instruction are
        filled in here. Raises ``UsageError`` if the format has no such question or a place stays empty.
        """
        setting = self._setting
        filled = {"task": self._task, **fields}
        messages = setting.format.question(question, self.problem, setting.instruction, filled)
        trace = self.prompt(messages, after=after, facts={"question": question})
        self._questions[trace.id] = (question, filled)
        return trace

    def asks(self, question: str) -> bool:
        """Whether the model's prompt format has this question."""
        return question in self._setting.format.prompts

    def side_by_side(self, first: Trace, second: Trace) -> tuple[str, str]:
        """Both texts as far as the shorter one has come, as a judge of beginnings is shown them."""
        length = min(len(first.completion), len(second.completion))
        recent = self._setting.format.recent
        return recent(first.completion[:length]), recent(second.completion[:length])

    def grammar(self, name: str | None = None) -> ThreadGrammar:
        """How the model writes threads; by ``name``, how another family does. Raises ``UsageError`` for neither."""
        return self._setting.format.grammar(name)

    def excerpt(self, trace: Trace, since: Trace) -> Excerpt:
        """What ``trace`` has grown behind ``since``, to be put into another one; without an end-of-sequence token."""
        return Excerpt.of(trace, since, self._tokenizer)

    def tail(self, excerpt: Excerpt, start: int) -> Excerpt:
        """``excerpt`` from character ``start`` on."""
        return excerpt.behind(start, self._tokenizer)

    def cut(self, trace: Trace, text: str) -> Trace:
        """``trace`` up to where ``text`` last begins in it, to go on from there; ``trace`` is a part of it then.

        As it is where ``text`` does not occur.
        """
        found = kept_before(trace, text, self._tokenizer)
        if found is None:
            return trace
        self._parts.add(trace.id)
        parent, kept = found
        trace_id = self._next_id(self._place if parent is None else parent.id)
        return self._keep(Trace(trace_id, kept, parent, trace.sequential))

    def note(self, trace: Trace, text: str) -> None:
        """Note something out of the ordinary about ``trace``, to be stored with the problem."""
        self.notes.append(Note(trace.id, text))

    def response(self, trace: Trace) -> str:
        """All that ``trace`` says, its thinking included, without the end-of-sequence token."""
        return self._said(trace)

    def thinking_tokens(self, trace: Trace) -> int | None:
        """How many tokens of ``trace`` its thinking has, its closing mark included; None where none is closed."""
        return thinking_tokens(trace, self._setting.format.thinking_end, self._tokenizer)

    def thought_length(self, trace: Trace) -> int:
        """The tokens of the trace's thinking; all that were sampled where none is closed."""
        thinking = self.thinking_tokens(trace)
        return trace.tokens if thinking is None else thinking

    @property
    def max_tokens(self) -> int | None:
        """How many tokens the run allows a sample; None: to the end of the context."""
        return self._setting.params.max_tokens

    def listed(self, name: str, texts: Sequence[str]) -> str:
        """Several texts (drafts ...) as one field of a question, in the model's prompt format."""
        return self._setting.format.listed(name, texts)

    def at(self, trace: Trace, *, pruners: Sequence[Pruner[Session]] = ()) -> Session:
        """A view of this session with ``trace`` as its root: what one sampler hands to another that works for it.

        Problem, budget and ledger are shared. The view has a part of the tree to itself (its ``leaves``, its seeds),
        so what workers side by side make does not depend on who was first. Where ``trace`` stands behind a question
        (``refine`` ...), that question is the view's task: whoever asks for threads or outlines there has them made
        for the task and not for the bare problem. ``pruners`` come on top of the session's own.
        """
        if self._setting.reward_model is not None:
            self._scoring = self._scoring or self._begin_scoring()  # one memory for all views
        view = copy(self)
        view._place = self._next_id(self._place)
        view.root = self.append(trace, "")
        view.pruners = (*self.pruners, *pruners)
        return view

    async def together(self, works: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
        """The results of works that do not need each other, in order; the first error ends all of them.

        They advance side by side, where nothing is against it (``_in_turn``).
        """
        if self._in_turn:
            try:
                return [await work for work in works]
            finally:
                for work in works:
                    work.close()
        tasks = [asyncio.create_task(work) for work in works]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def _in_turn(self) -> bool:
        """Whether works go one after the other: a deterministic backend has met a limit on tokens or samples.

        Who spends the last of what they share must not be a matter of timing.
        """
        shared = self.budget.tokens is not None or self.budget.samples is not None
        return shared and self.lockstep

    @property
    def _task(self) -> str:
        """What is to be solved at the root: the question it stands behind, the problem where that is none."""
        beginning = self.root.beginning
        if beginning.id not in self._questions:
            return self.problem.text
        question, fields = self._questions[beginning.id]
        return self._setting.format.question(question, self.problem, "", fields)[-1]["content"]

    # -- searching a tree ----------------------------------------------------------------------------------

    def annotate(self, trace: Trace, **facts: Any) -> Trace:
        """``trace`` with facts in its metadata (a score, a verdict ...), which the run's file keeps."""
        metadata = {**trace.segment.metadata, **facts}
        return self._keep(replace(trace, segment=replace(trace.segment, metadata=metadata)))

    def end(self, trace: Trace, finish: Finish, reason: str) -> Trace:
        """Give up a trace that could have been continued: "pruned" by a selection, or "budget"."""
        if finish == "pruned":
            self.ledger.discarded += len(trace.segment)
        return self._keep(replace(trace, segment=replace(trace.segment, finish=finish, reason=reason)))

    def wait(self, trace: Trace, *, after: Trace) -> Trace:
        """``trace`` as it can be continued once ``after`` has ended too: the critical path runs through both."""
        if after.sequential <= trace.sequential:
            return trace
        return self._keep(replace(trace, sequential=after.sequential))

    def adopt(self, traces: Iterable[Trace]) -> None:
        """Make the traces of a search state that was unpickled known to this session, to be continued in it."""
        for trace in traces:
            node: Trace | None = trace
            while node is not None and self.traces.get(node.id) is not node:
                self.traces[node.id] = node
                number = self._children.get(node.id[:-1], 0)
                self._children[node.id[:-1]] = max(number, node.id[-1] + 1)
                node = node.parent

    def seed(self, *place: int | str) -> int:
        """A seed for a strategy's own randomness, derived from the run's seed and ``place``."""
        return seeds.derive(self._setting.seed, self.problem.id, (*self._place, *place))

    @property
    def max_logprobs(self) -> int:
        """How many of the most likely tokens the backend can tell at every token."""
        return self._setting.scheduler.backend.capabilities.max_logprobs

    @property
    def leaves(self) -> list[Trace]:
        """Sampled traces that no other sampled trace continues, in order of their ids; threads and judges' are none."""
        return self._ends([t for t in self._sampled if t.id not in self._judged and not self._is_part(t)])

    @property
    def parts(self) -> list[Trace]:
        """Threads and what else grew for another trace only, as far as nothing continues it; in order of their ids."""
        return self._ends([t for t in self._sampled if t.id not in self._judged and self._is_part(t)])

    def _ends(self, sampled: Sequence[Trace]) -> list[Trace]:
        """Those of ``sampled`` that no other one continues."""
        continued: set[TraceId] = set()
        for trace in sampled:
            node = trace.parent
            while node is not None and node.id not in continued:
                continued.add(node.id)
                node = node.parent
        return [t for t in sampled if t.id not in continued]

    @property
    def judgements(self) -> list[Trace]:
        """What judges were asked for and replied, in order of their ids."""
        return [t for t in self._sampled if t.id in self._judged]

    @property
    def _sampled(self) -> list[Trace]:
        """Sampled traces in order of their ids; of a view, those in its part of the tree."""
        mine = (self._place, self.root.id) if self._place else ((),)
        return [
            trace
            for trace_id, trace in sorted(self.traces.items())
            if trace.segment.origin == "sampled" and any(trace_id[: len(place)] == place for place in mine)
        ]


def _linked(facts: Mapping[str, str], after: Sequence[Trace]) -> dict[str, Any]:
    """What a segment's metadata says of how it came about: ``after`` which other traces, and ``facts``."""
    return {**facts, **({"after": [name(t.id) for t in after]} if after else {})}
