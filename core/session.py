"""What a strategy holds while it works on one problem."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from widthwise.core import seeds
from widthwise.core.answer import AnswerClass, group
from widthwise.core.backend import Delta, FloatArray, IntArray, Request, SamplingParams
from widthwise.core.budget import Budget, Ledger
from widthwise.core.draw import Branch, Draw, Event
from widthwise.core.errors import BackendError, BudgetReached, UsageError
from widthwise.core.journal import Journal, replayed, request_digest
from widthwise.core.problem import Grader, Problem
from widthwise.core.prompt import PromptFormat
from widthwise.core.pruner import Pruner
from widthwise.core.residency import Residency
from widthwise.core.reward import Embedder, RewardModel, StepScores, failed
from widthwise.core.scheduler import Scheduler
from widthwise.core.trace import Finish, Segment, Trace, TraceId

CHUNK = 16
"""Tokens a delta may hold where nothing needs to look at every single one."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What all sessions of a run share.

    ``params`` are the defaults of every draw, ``width`` is the largest number of branches of one draw in flight.
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
        self.step_separator = setting.format.step_separator
        self._setting = setting
        self._tokenizer = setting.scheduler.backend.tokenizer
        self._journal = journal
        self._priority = priority
        self._children: dict[TraceId, int] = {}
        self._held: set[TraceId] = set()
        self._residency = Residency()
        self._draws: set[Draw] = set()
        self._began = time.monotonic()
        self.root = self.prompt(setting.format.messages(problem, setting.instruction))

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
        the next begins when one has ended (None: all). ``judging`` charges the tokens to the ledger's judges.
        Raises ``BudgetReached`` if nothing may be spent any more.
        """
        draw = self._open((trace,) if isinstance(trace, Trace) else trace, n, params, width, judging)
        finished: list[Trace] = []
        milestone = 0
        try:
            async with aclosing(draw.batches()) as batches:  # type: ignore[type-var]
                async for events in batches:
                    ended = self._take(draw, events)
                    finished += ended
                    if self._spent():
                        ended += await self._stop(draw, draw.live, "budget", "the budget is used up", last=True)
                    elif self.pruners and draw.unfinished:
                        longest = max((branch.tokens for branch in draw.live), default=0)
                        pruned = await self._prune(draw, finished, (milestone, longest), any_ended=bool(ended))
                        milestone = longest
                        finished += pruned
                        ended += pruned
                    for trace_ended in ended:
                        yield trace_ended
        finally:
            await self._stop(draw, draw.live, "aborted", "the strategy left the draw", last=True)
            self._draws.discard(draw)
            self.release(draw.held)

    def append(self, trace: Trace, text: str, *, after: Sequence[Trace] = ()) -> Trace:
        """Insert ``text`` (a tag, an instruction) behind ``trace``.

        ``after`` names other traces the inserted text was made from: the critical path runs through them too.
        """
        ids = np.array(self._tokenizer.encode(text), np.int64)
        sequential = max(t.sequential for t in (trace, *after))
        return self._keep(Trace(self._next_id(trace.id), Segment("inserted", ids, text), trace, sequential))

    def prompt(self, messages: Sequence[Mapping[str, str]], *, after: Sequence[Trace] = ()) -> Trace:
        """Begin a new tree of traces from a conversation (the problem's own one is ``root``)."""
        ids = np.array(self._tokenizer.chat(messages), np.int64)
        sequential = max((t.sequential for t in after), default=0)
        text = self._tokenizer.decode(ids)
        return self._keep(Trace(self._next_id(()), Segment("prompt", ids, text), None, sequential))

    def ask(self, question: str, *, after: Sequence[Trace] = (), **fields: str) -> Trace:
        """Begin a new tree of traces from a question of the model's prompt format (``refine``, ``verify`` ...).

        ``fields`` fill the question's places; the problem and the suite's instruction are filled in here.
        Raises ``UsageError`` if the format has no such question or a place stays empty.
        """
        setting = self._setting
        return self.prompt(setting.format.question(question, self.problem, setting.instruction, fields), after=after)

    def listed(self, name: str, texts: Sequence[str]) -> str:
        """Several texts (drafts ...) as one field of a question, in the model's prompt format."""
        return self._setting.format.listed(name, texts)

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
        """``trace`` with facts in its metadata (a score ...), which the run's file keeps."""
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

    async def score(self, traces: Sequence[Trace]) -> list[StepScores]:
        """Scores of the traces' steps by the run's reward model, in order; raises ``UsageError`` without one.

        A failure is an ``error`` in the trace's scores.
        """
        model = self._setting.reward_model
        if model is None:
            raise UsageError("this strategy scores traces, but the run has no reward model: name one")
        try:
            scores = await model.score(self.problem, [t.completion for t in traces])
        except Exception as error:  # a reward model of the user's own
            return failed(traces, f"the reward model failed with {type(error).__name__}: {error}")
        if len(scores) != len(traces):
            return failed(traces, f"the reward model answered {len(scores)} of {len(traces)} solutions")
        self.ledger.scoring += sum(s.tokens for s in scores)
        return [s.checked() for s in scores]

    async def embed(self, texts: Sequence[str]) -> FloatArray:
        """Vectors of unit length, ``float32 [texts, dimensions]``, near for texts of like meaning.

        Raises ``UsageError`` for a run without an embedding model, ``BackendError`` where it fails.
        """
        if self._setting.embedder is None:
            raise UsageError("this strategy compares texts, but the run has no embedding model: name one")
        vectors, tokens = await self._setting.embedder.embed(texts)
        self.ledger.embedding += tokens
        return vectors

    def answer(self, trace: Trace) -> str | None:
        """The final answer that ``trace`` states; None for pruned, aborted and failed traces."""
        if trace.finish in ("pruned", "aborted", "error"):
            return None
        return self._setting.grader.extract(trace.completion)

    async def classes(self, traces: Sequence[Trace]) -> list[AnswerClass]:
        """The traces that state an answer, grouped by equivalent answers, in order of first appearance."""
        answers = [self.answer(t) for t in traces]
        groups = await group(self._setting.grader, answers)
        return [AnswerClass(answers[g[0]] or "", tuple(traces[i] for i in g), float(len(g))) for g in groups]

    async def valid(self, trace: Trace) -> bool:
        """Whether ``trace`` states an answer that passes every check possible without the reference."""
        answer = self.answer(trace)
        return answer is not None and await self._setting.grader.valid(self.problem, answer)

    def seed(self, *place: int | str) -> int:
        """A seed for a strategy's own randomness, derived from the run's seed and ``place``."""
        return seeds.derive(self._setting.seed, self.problem.id, place)

    @property
    def leaves(self) -> list[Trace]:
        """Sampled traces that no other sampled trace continues, in order of their ids."""
        sampled = [t for _, t in sorted(self.traces.items()) if t.segment.origin == "sampled"]
        continued: set[TraceId] = set()
        for trace in sampled:
            node = trace.parent
            while node is not None and node.id not in continued:
                continued.add(node.id)
                node = node.parent
        return [t for t in sampled if t.id not in continued]

    async def settle(self) -> None:
        """Abort what is still in flight and close the ledger's account of time."""
        for draw in list(self._draws):
            await self._stop(draw, draw.live, "aborted", "the strategy left the draw", last=True)
        self.ledger.seconds = time.monotonic() - self._began
        self.ledger.kv_peak, self.ledger.kv_mean = self._residency.peak, self._residency.mean

    # -- how a draw begins ---------------------------------------------------------------------------------

    def _open(
        self, traces: Sequence[Trace], n: int, overrides: Mapping[str, Any], width: int | None, judging: bool
    ) -> Draw:
        for what, number in (("n", n), ("width", width)):
            if number is not None and number < 1:
                raise UsageError(f"{what} must be at least 1, not {number}")
        branches = self._branches(traces, n, overrides)
        draw = Draw(
            branches,
            self._source,
            judging=judging,
            lockstep=self._setting.scheduler.backend.capabilities.deterministic,
            width=min(self._setting.width, width or max(len(branches), 1)),
            deadline=self._deadline(),
        )
        self._draws.add(draw)
        draw.held += dict.fromkeys(branch.parent for branch in branches)
        self.hold(draw.held)
        return draw

    def _branches(self, traces: Sequence[Trace], n: int, overrides: Mapping[str, Any]) -> list[Branch]:
        """The branches of a draw, as many as the budget allows; raises ``BudgetReached`` if that is none."""
        if any(trace.finish == "error" for trace in traces):
            raise UsageError("a trace whose request failed cannot be continued")
        branches: list[Branch] = []
        for trace in traces:
            try:
                params = self._params(trace, overrides)
            except BudgetReached:
                if trace is traces[-1] and not branches:
                    raise
                continue
            count = n if self.budget.samples is None else min(n, self.budget.samples - self.ledger.samples)
            self.ledger.samples += count
            self._charge_ideal(trace)
            prompt = trace.token_ids
            digest = request_digest(prompt, params)
            branches += [self._branch(trace, prompt, params, digest) for _ in range(count)]
        return branches

    def _params(self, trace: Trace, overrides: Mapping[str, Any]) -> SamplingParams:
        """The draw's parameters, ``max_tokens`` cut to what the sequential budget leaves; checks every limit."""
        params = self._setting.params.changed(**overrides)
        if self._spent() or self.budget.samples == self.ledger.samples:
            raise BudgetReached("the budget is used up")
        if self.budget.sequential is None:
            return params
        room = self.budget.sequential - trace.sequential
        if room < 1:
            raise BudgetReached(f"the budget of {self.budget.sequential} sequential tokens is used up")
        return replace(params, max_tokens=room if params.max_tokens is None else min(room, params.max_tokens))

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
            self.ledger.samples -= draw.drop_waiting()
        leftover = self._take(draw, await draw.stop(branches))
        stopped = []
        for branch in branches:
            if branch.finish is None:
                branch.end(finish, reason)
                if branch.tokens:
                    stopped.append(self._keep_branch(branch, draw))
        return leftover + stopped

    async def _prune(
        self, draw: Draw, finished: Sequence[Trace], grown: tuple[int, int], *, any_ended: bool
    ) -> list[Trace]:
        """Ask the pruners whose checkpoint has come, and do as they say."""
        stopped: list[Trace] = []
        for pruner in self.pruners:
            due = pruner.every is not None and grown[0] // pruner.every < grown[1] // pruner.every
            if not draw.unfinished or not (any_ended or due):
                continue
            live = [branch.trace for branch in draw.live]
            verdict = await pruner(self, live, finished, len(draw.branches))
            targets = [b for b in draw.live if verdict.decided or b.id in verdict.stop]
            if targets or verdict.decided:
                reason = verdict.reason or str(pruner)
                stopped += await self._stop(draw, targets, "pruned", reason, last=verdict.decided)
        return stopped

    def _keep_branch(self, branch: Branch, draw: Draw) -> Trace:
        trace = branch.trace
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
