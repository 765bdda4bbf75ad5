"""What a strategy holds while it works on one problem."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import aclosing
from copy import copy
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np

from widthwise.core import seeds
from widthwise.core.answer import AnswerClass, group
from widthwise.core.backend import Delta, FloatArray, IntArray, Request, SamplingParams
from widthwise.core.budget import Budget, Ledger
from widthwise.core.draw import Branch, Draw, Event
from widthwise.core.errors import BackendError, BudgetReached, UsageError
from widthwise.core.excerpt import Excerpt, joined_ids, kept_before
from widthwise.core.grammar import ThreadGrammar
from widthwise.core.journal import Journal, replayed, request_digest
from widthwise.core.problem import Grader, Problem
from widthwise.core.prompt import PromptFormat
from widthwise.core.pruner import GO_ON, Pruner, Verdict, begun
from widthwise.core.reading import Embedder
from widthwise.core.residency import Residency
from widthwise.core.reward import RewardModel, StepScores, steps_of, without_end
from widthwise.core.scheduler import Scheduler
from widthwise.core.scoring import Scoring
from widthwise.core.trace import Finish, Note, Segment, Trace, TraceId, name
from widthwise.core.verdict import bare, choice, concluded, verdict

T = TypeVar("T")

NO_FACTS: Mapping[str, str] = MappingProxyType({})

CHUNK = 16
"""Tokens a delta may hold where nothing needs to look at every single one."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What all sessions of a run share.

    ``params`` are the defaults of every draw, ``width`` is the largest number of branches of one draw in flight.
    ``patience`` is how many seconds the reward model may take for one call.
    """

    scheduler: Scheduler
    grader: Grader
    format: PromptFormat
    params: SamplingParams = field(default_factory=SamplingParams)
    instruction: str = ""
    seed: int = 0
    width: int = 256
    reward_model: RewardModel | None = None
    embedder: Embedder | None = None
    patience: float = 600.0


class Session:
    """One problem being worked on: its trace tree, its budget, its ledger.

    A strategy grows traces with ``sample``, ``stream``, ``append`` and ``prompt``, judges them with ``score``,
    ``answer``, ``classes`` and ``valid``. Everything is charged to ``ledger``; when ``budget`` is used up, draws
    in flight end with finish "budget" and the next one raises ``BudgetReached``.
    """

    def __init__(
        self,
        problem: Problem,
        setting: Setting,
        *,
        budget: Budget | None = None,
        pruners: Sequence[Pruner] = (),
        journal: Journal | None = None,
        priority: int = 0,
    ) -> None:
        self.problem = problem
        self.budget = budget or Budget()
        self.pruners = tuple(pruners)
        self.ledger = Ledger()
        self.traces: dict[TraceId, Trace] = {}
        self.notes: list[Note] = []
        self.step_separator = setting.format.step_separator
        self._logprobs = _most(pruners, "logprobs") or 0
        self._setting = setting
        self._tokenizer = setting.scheduler.backend.tokenizer
        self._journal = journal
        self._scoring: Scoring | None = None
        self._priority = priority
        self._children: dict[TraceId, int] = {}
        self._held: set[TraceId] = set()
        self._votes: dict[TraceId, dict[int, float]] = {}
        self._parts: set[TraceId] = set()
        self._residency = Residency()
        self._draws: set[Draw] = set()
        self._judged: set[TraceId] = set()
        self._answers: dict[Trace, str | None] = {}
        self._questions: dict[TraceId, tuple[str, Mapping[str, str]]] = {}
        self._place: TraceId = ()
        self._began = time.monotonic()
        self.root = self.prompt(setting.format.messages(problem, setting.instruction), facts={"question": "solve"})

    def heed(self, *parts: object) -> None:
        """Sample from now on with as many ``logprobs`` as these parts say they need (see ``Pruner``)."""
        self._logprobs = max(self._logprobs, _most(parts, "logprobs") or 0)

    # -- growing traces ------------------------------------------------------------------------------------

    async def sample(self, trace: Trace | Sequence[Trace], n: int = 1, **params: Any) -> list[Trace]:
        """Draw ``n`` continuations of ``trace`` and wait for all of them; in order of their ids.

        ``params`` are fields of ``SamplingParams`` (``stop``, ``max_tokens``, ``temperature`` ...), ``width`` and
        ``judging``; see ``stream``.
        """
        return sorted([t async for t in self.stream(trace, n, **params)], key=lambda t: t.id)

    async def stream(
        self,
        trace: Trace | Sequence[Trace],
        n: int = 1,
        *,
        width: int | None = None,
        judging: bool = False,
        **params: Any,
    ) -> AsyncIterator[Trace]:
        """Draw ``n`` continuations of ``trace`` and yield each as it ends; leaving the loop aborts the rest.

        Of several traces, ``n`` continuations each grow side by side (``Trace.parent`` says whose they are).
        Pruned, cut and failed continuations are yielded too: see ``Trace.finish``. At most ``width`` grow at once,
        the next begins when one has ended (None: all). ``judging`` charges the tokens to the ledger's judges; what
        judges write is no solution, so pruners do not see it and it is no leaf.
        Raises ``BudgetReached`` if nothing may be spent any more.
        """
        draw = self._open((trace,) if isinstance(trace, Trace) else trace, n, params, width, judging)
        finished: list[Trace] = []
        try:
            async with aclosing(draw.batches()) as batches:  # type: ignore[type-var]
                async for events in batches:
                    ended = self._take(draw, events) + await self._stop_if_spent(draw)
                    finished += ended
                    pruned = await self._prune(draw, finished, any_ended=bool(ended))
                    pruned += await self._stop_if_spent(draw)  # by judges
                    finished += pruned
                    for trace_ended in ended + pruned:
                        yield trace_ended
        finally:
            await self._stop(draw, draw.live, "aborted", "the strategy left the draw", last=True)
            self._draws.discard(draw)
            self.release(draw.held)

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
        ids = np.array(self._tokenizer.chat(messages), np.int64)
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

    @property
    def max_tokens(self) -> int | None:
        """How many tokens the run allows a sample; None: to the end of the context."""
        return self._setting.params.max_tokens

    def listed(self, name: str, texts: Sequence[str]) -> str:
        """Several texts (drafts ...) as one field of a question, in the model's prompt format."""
        return self._setting.format.listed(name, texts)

    def at(self, trace: Trace, *, pruners: Sequence[Pruner] = ()) -> Session:
        """A view of this session with ``trace`` as its root: what one sampler hands to another that works for it.

        Problem, budget and ledger are shared. The view has a part of the tree to itself (its ``leaves``, its seeds),
        so what workers side by side make does not depend on who was first. Where ``trace`` stands behind a question
        (``refine`` ...), that question is the view's task: whoever asks for threads or outlines there has them made
        for the task and not for the bare problem. ``pruners`` come on top of the session's own.
        """
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

    @property
    def lockstep(self) -> bool:
        """Whether what a strategy sees must not depend on timing, because the backend is deterministic."""
        return self._setting.scheduler.backend.capabilities.deterministic

    def hold(self, traces: Iterable[Trace]) -> None:
        """Count these traces' paths as resident in an ideal prefix cache, until they are released."""
        for trace in traces:
            self._residency.hold(trace)

    def release(self, traces: Iterable[Trace]) -> None:
        """These traces, held before, will not be continued (again)."""
        for trace in traces:
            self._residency.release(trace)

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

    # -- judging traces ------------------------------------------------------------------------------------

    async def score(self, traces: Sequence[Trace], *, whole: bool = False) -> list[StepScores]:
        """Scores of the traces' steps by the run's reward model, in order; raises ``UsageError`` without one.

        ``whole`` gives each trace to the reward model as a single step (the reduction "model"). What was scored
        before is not scored again, nor is a prefix of steps. A failure is an ``error`` in the trace's scores.
        """
        if self._scoring is None:
            self._scoring = self._begin_scoring()
        texts = {t.id: self._said(t) for t in traces}
        split = {i: (text.strip(),) if whole else steps_of(text, self.step_separator) for i, text in texts.items()}
        scores = await self._scoring.score({i: tuple(step for step in steps if step) for i, steps in split.items()})
        self.ledger.scoring += sum(s.tokens for s in scores)
        by_id = dict(zip(texts, scores, strict=True))
        return [by_id[t.id] for t in traces]

    @property
    def scores(self) -> Mapping[TraceId, StepScores]:
        """What the reward model last said of each trace it was asked about."""
        return {} if self._scoring is None else self._scoring.by_trace

    async def embed(self, texts: Sequence[str]) -> FloatArray:
        """Vectors of unit length, ``float32 [texts, dimensions]``, near for texts of like meaning.

        Raises ``UsageError`` for a run without an embedding model, ``BackendError`` where it fails.
        """
        if self._setting.embedder is None:
            raise UsageError(
                "this strategy compares texts, but the run has no embedding model: name one (--embedding-model)"
            )
        if not texts:
            return np.empty((0, 0), np.float32)
        vectors, tokens = await self._setting.embedder.embed(texts)
        self.ledger.embedding += tokens
        return vectors

    def answer(self, trace: Trace) -> str | None:
        """The final answer that ``trace`` states; None for pruned, aborted and failed traces, and for threads.

        None too where a pruner has taken the trace's vote (``weight`` 0).
        """
        if trace.finish in ("pruned", "aborted", "error") or self._is_part(trace) or not self.weight(trace):
            return None
        if trace.finish is None:
            return self._setting.grader.extract(trace.completion)
        if trace not in self._answers:
            self._answers[trace] = self._setting.grader.extract(trace.completion)
        return self._answers[trace]

    def solution(self, trace: Trace) -> str:
        """What ``trace`` says, as a reader is to see it: without its thinking and the end-of-sequence token."""
        return concluded(self._said(trace), self._setting.format.thinking_end)

    def ending(self, text: str, tokens: int) -> str:
        """The last ``tokens`` tokens of ``text``; all of it where it is no longer."""
        ids = self._tokenizer.encode(text)
        return text if len(ids) <= tokens else self._tokenizer.decode(ids[len(ids) - tokens :])

    def verdict(self, trace: Trace) -> float | None:
        """The probability of "right" with which a judge's reply ends; None where it ends with no verdict.

        Read from the log-probabilities of the verdict's token, where they were recorded; else 1 or 0. A reply that
        was cut off says something only if it is nothing but a verdict.
        """
        if trace.finish != "stop" and not bare(trace.segment.text, self._setting.format.verdicts):
            return None
        return verdict(trace.segment, self._said(trace), self._tokenizer, self._setting.format.verdicts)

    def choice(self, trace: Trace, count: int) -> int | None:
        """The number from 1 to ``count`` with which a judge's reply ends; None where it names none, or several."""
        return choice(self._said(trace), count) if trace.finish == "stop" else None

    async def classes(self, traces: Sequence[Trace]) -> list[AnswerClass]:
        """The traces that state an answer, grouped by equivalent answers, in order of first appearance.

        A class weighs as much as its traces' votes count: one each, where no pruner says otherwise (``weight``).
        """
        answers = [self.answer(t) for t in traces]
        groups = await group(self._setting.grader, answers)
        members = [tuple(traces[i] for i in g) for g in groups]
        return [AnswerClass(self.answer(g[0]) or "", g, sum(map(self.weight, g))) for g in members]

    def weight(self, trace: Trace) -> float:
        """How much the trace's vote counts: 1 unless pruners say otherwise, 0 for no vote."""
        return math.prod(self._votes.get(trace.id, {}).values(), start=1.0)

    async def valid(self, trace: Trace) -> bool:
        """Whether ``trace`` states an answer that passes every check possible without the reference."""
        answer = self.answer(trace)
        return answer is not None and await self._setting.grader.valid(self.problem, answer)

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

    def _is_part(self, trace: Trace) -> bool:
        return bool(self._parts) and any(trace.id[:end] in self._parts for end in range(1, len(trace.id) + 1))

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

    @property
    def errors(self) -> tuple[str, ...]:
        """The sentences of requests that failed for good: the policy's, judges', the reward model's."""
        failed = [str(t.segment.reason) for _, t in sorted(self.traces.items()) if t.finish == "error"]
        return (*failed, *(scores.error for scores in self.scores.values() if scores.error))

    async def settle(self) -> None:
        """Abort what is still in flight and close the ledger's account of time."""
        for draw in list(self._draws):
            await self._stop(draw, draw.live, "aborted", "the strategy left the draw", last=True)
        self.ledger.seconds = time.monotonic() - self._began
        self.ledger.kv_peak, self.ledger.kv_mean = self._residency.peak, self._residency.mean

    def _begin_scoring(self) -> Scoring:
        model = self._setting.reward_model
        if model is None:
            raise UsageError("this strategy scores traces, but the run has no reward model: name one (--reward-model)")
        return Scoring(model, self.problem, journal=self._journal, limit=self._setting.patience)

    def _said(self, trace: Trace) -> str:
        """The completion without the end-of-sequence token that it may spell."""
        return without_end(trace.completion, [self._tokenizer.decode([end]) for end in self._tokenizer.eos_ids])

    # -- how a draw begins ---------------------------------------------------------------------------------

    def _open(
        self, traces: Sequence[Trace], n: int, overrides: Mapping[str, Any], width: int | None, judging: bool
    ) -> Draw:
        for what, number in (("n", n), ("width", width)):
            if number is not None and number < 1:
                raise UsageError(f"{what} must be at least 1, not {number}")
        branches = self._branches(traces, n, overrides, judging)
        draw = Draw(
            branches,
            self._source,
            judging=judging,
            lockstep=self.lockstep,
            width=min(self._setting.width, width or max(len(branches), 1)),
            warmup=0 if judging else _most(self.pruners, "warmup") or 0,
            pruners=() if judging else [begun(pruner) for pruner in self.pruners],
            deadline=self._deadline(),
        )
        self._draws.add(draw)
        draw.held += dict.fromkeys(branch.parent for branch in branches)
        self.hold(draw.held)
        return draw

    def _branches(self, traces: Sequence[Trace], n: int, overrides: Mapping[str, Any], judging: bool) -> list[Branch]:
        """The branches of a draw, as many as the budget allows; raises ``BudgetReached`` if that is none."""
        if any(trace.finish == "error" for trace in traces):
            raise UsageError("a trace whose request failed cannot be continued")
        branches: list[Branch] = []
        for trace in traces:
            try:
                params = self._params(trace, overrides, judging)
            except BudgetReached:
                if trace is traces[-1] and not branches:
                    raise
                continue
            count = n
            if not judging:
                count = n if self.budget.samples is None else min(n, self.budget.samples - self.ledger.samples)
                self.ledger.samples += count
            self._charge_ideal(trace)
            prompt = trace.token_ids
            digest = request_digest(prompt, params)
            branches += [self._branch(trace, prompt, params, digest) for _ in range(count)]
        return branches

    def _params(self, trace: Trace, overrides: Mapping[str, Any], judging: bool) -> SamplingParams:
        """The draw's parameters, ``max_tokens`` cut to what the sequential budget leaves; checks every limit."""
        params = self._setting.params.changed(**overrides)
        if self._logprobs and not judging:
            params = replace(params, logprobs=max(params.logprobs or 0, self._logprobs))
        self._check_logprobs(params.logprobs)
        if self._spent() or (self.budget.samples == self.ledger.samples and not judging):
            raise BudgetReached("the budget is used up")
        if self.budget.sequential is None:
            return params
        room = self.budget.sequential - trace.sequential
        if room < 1:
            raise BudgetReached(f"the budget of {self.budget.sequential} sequential tokens is used up")
        return replace(params, max_tokens=room if params.max_tokens is None else min(room, params.max_tokens))

    def _check_logprobs(self, asked: int | None) -> None:
        backend = self._setting.scheduler.backend
        most = backend.capabilities.max_logprobs
        if asked and asked > most:
            raise UsageError(
                f"this strategy needs the log-probabilities of the {asked} most likely tokens, and {backend.name} "
                f"gives {f'at most {most}' if most else 'none'}: lower the part's logprobs or take another backend"
            )

    def _branch(self, trace: Trace, prompt: IntArray, params: SamplingParams, digest: str) -> Branch:
        trace_id = self._next_id(trace.id)
        request = Request(
            prompt=prompt,
            params=params,
            seed=seeds.derive(self._setting.seed, self.problem.id, trace_id),
            problem=self.problem.id,
            index=trace_id[-1],
            priority=self._priority,
            chunk=self._chunk(),
        )
        return Branch(trace_id, trace, request, digest, self._tokenizer.decode)

    def _chunk(self) -> int:
        if self.budget.tokens is not None:
            return 1
        return min([CHUNK, *(p.every for p in self.pruners if p.every is not None)])

    def _source(self, branch: Branch) -> AsyncIterator[Delta]:
        if self._journal is not None:
            segment = self._journal.recorded(self.problem.id, branch.id, branch.params, branch.request.seed)
            if segment is not None:
                return replayed(segment, branch.request.chunk)
        return self._setting.scheduler.generate(branch.request, self.ledger)

    # -- how a draw goes on and ends -----------------------------------------------------------------------

    def _take(self, draw: Draw, events: Sequence[Event]) -> list[Trace]:
        """Charge the events and keep the traces that ended by them, the shortest first."""
        ended = []
        for event in events:
            branch = event.branch
            if event.delta is not None:
                branch.take(event.delta)
                self._charge(event.delta, draw.judging)
            elif isinstance(event.error, BackendError):
                branch.end("error", str(event.error))
            elif event.error is not None:
                raise event.error
            if branch.finish is not None:
                ended.append(branch)
        return [self._keep_branch(b, draw) for b in sorted(ended, key=lambda b: (b.tokens, b.id))]

    async def _stop(
        self, draw: Draw, branches: Sequence[Branch], finish: Finish, reason: str, *, last: bool = False
    ) -> list[Trace]:
        """Abort branches; the traces they leave, those without a single token left out.

        After the ``last`` stop of a draw no waiting branch begins either.
        """
        if last:
            dropped = draw.drop_waiting()
            self.ledger.samples -= 0 if draw.judging else dropped
        leftover = self._take(draw, await draw.stop(branches))
        stopped = []
        for branch in branches:
            if branch.finish is None:
                branch.end(finish, reason)
                if branch.tokens:
                    stopped.append(self._keep_branch(branch, draw))
        return leftover + stopped

    async def _stop_if_spent(self, draw: Draw) -> list[Trace]:
        if not self._spent():
            return []
        return await self._stop(draw, draw.live, "budget", "the budget is used up", last=True)

    async def _prune(self, draw: Draw, finished: Sequence[Trace], *, any_ended: bool) -> list[Trace]:
        """Ask the pruners whose checkpoint has come, and do as they say."""
        stopped: list[Trace] = []
        longest = draw.longest
        for place, pruner in enumerate(draw.pruners):
            due = pruner.every is not None and draw.milestone // pruner.every < longest // pruner.every
            if any_ended or due:
                live = [branch.trace for branch in draw.live]
                verdict = await self._verdict_of(pruner, live, [*finished, *stopped], len(draw.branches))
                self._weigh(place, verdict)
                targets = [b for b in draw.live if verdict.decided or b.id in verdict.stop]
                if targets or verdict.decided:
                    reason = verdict.reason or str(pruner)
                    stopped += await self._stop(draw, targets, "pruned", reason, last=verdict.decided)
        draw.milestone = draw.longest
        if any(t.finish in ("stop", "length") for t in stopped):  # some came to their end while being stopped
            stopped += await self._prune(draw, [*finished, *stopped], any_ended=True)
        return stopped

    async def _verdict_of(
        self, pruner: Pruner, live: Sequence[Trace], finished: Sequence[Trace], total: int
    ) -> Verdict:
        try:
            return await pruner(self, live, finished, total)
        except BudgetReached:  # a pruner that samples (a judge) has nothing left to do it with
            return GO_ON

    def _weigh(self, place: int, verdict: Verdict) -> None:
        for trace_id, weight in verdict.votes.items():
            self._votes.setdefault(trace_id, {})[place] = weight

    def _keep_branch(self, branch: Branch, draw: Draw) -> Trace:
        trace = branch.trace
        if draw.judging:
            self._judged.add(trace.id)
        if trace.finish == "length" and trace.sequential == self.budget.sequential:
            trace = replace(trace, segment=replace(trace.segment, finish="budget", reason="sequential tokens"))
        elif trace.finish in ("stop", "length") and self._journal is not None:
            self._journal.record(self.problem.id, trace)
        if trace.finish in ("pruned", "aborted", "error") and not draw.judging:
            self.ledger.discarded += branch.tokens
        if trace.segment.usage is None and branch.tokens:
            # Aborted before the backend could say: the prompt was served, and nothing tells that it was cached.
            self.ledger.prompt_computed += len(branch.request.prompt)
        self._held.add(trace.id)
        self._residency.shrink(branch.tokens)
        if trace.finish in ("stop", "length") and trace.segment.reason is not None:
            # It may be continued, so an ideal cache holds it, until the strategy has seen the whole draw at least.
            draw.held.append(trace)
            self.hold([trace])
        return self._keep(trace)

    def _begin(self, trace: Trace) -> Trace:
        if "thread" in trace.segment.metadata:
            self._parts.add(trace.id)
        return self._keep(trace)

    def _keep(self, trace: Trace) -> Trace:
        self.traces[trace.id] = trace
        self.ledger.sequential = max(self.ledger.sequential, trace.sequential)
        return trace

    # -- accounts ------------------------------------------------------------------------------------------

    def _charge(self, delta: Delta, judging: bool) -> None:
        self._residency.grow(len(delta.token_ids))
        if judging:
            self.ledger.judging += len(delta.token_ids)
        else:
            self.ledger.sampled += len(delta.token_ids)
        if delta.usage is not None:
            self.ledger.prompt_cached += delta.usage.prompt_cached
            self.ledger.prompt_computed += delta.usage.prompt_computed

    def _charge_ideal(self, trace: Trace) -> None:
        """Count the tokens of ``trace`` that no earlier request of the tree has brought into a perfect cache."""
        node: Trace | None = trace
        while node is not None and node.id not in self._held:
            self._held.add(node.id)
            self.ledger.prompt_ideal += len(node.segment)
            node = node.parent

    def _spent(self) -> bool:
        tokens, seconds = self.budget.tokens, self.budget.seconds
        return (tokens is not None and self.ledger.total >= tokens) or (
            seconds is not None and time.monotonic() - self._began >= seconds
        )

    def _deadline(self) -> float | None:
        if self.budget.seconds is None:
            return None
        left = self.budget.seconds - (time.monotonic() - self._began)
        # A timer may go off a little early by the other clock: the limit must have passed when it does.
        return asyncio.get_running_loop().time() + left + 1e-3

    def _next_id(self, parent: TraceId) -> TraceId:
        number = self._children.get(parent, 0)
        self._children[parent] = number + 1
        return (*parent, number)


def _most(parts: Sequence[Any], attribute: str) -> int | None:
    """The largest number that one of the parts has under this name; None where none has any."""
    return max((n for part in parts if (n := getattr(part, attribute, None)) is not None), default=None)


def _linked(facts: Mapping[str, str], after: Sequence[Trace]) -> dict[str, Any]:
    """What a segment's metadata says of how it came about: ``after`` which other traces, and ``facts``."""
    return {**facts, **({"after": [name(t.id) for t in after]} if after else {})}
