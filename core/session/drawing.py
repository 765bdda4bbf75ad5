"""Drawing continuations of traces: within a budget, under the eyes of pruners, everything charged."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Unpack

from widthwise.core.backend import Delta, IntArray, Request, SamplingParams
from widthwise.core.errors import BackendError, BudgetReached, UsageError
from widthwise.core.problem import Problem
from widthwise.core.pruner import GO_ON, Decision, Pruner, begun
from widthwise.core.session import seeds
from widthwise.core.session.accounts import Accounts
from widthwise.core.session.draw import Branch, Draw, Event
from widthwise.core.session.journal import replayed, request_digest
from widthwise.core.session.ledger import Ledger
from widthwise.core.session.limits import Limits
from widthwise.core.session.setting import Setting
from widthwise.core.session.terms import Terms
from widthwise.core.trace.trace import Finish, Trace, TraceId

CHUNK = 16
"""Tokens a delta may hold where nothing needs to look at every single one."""


class Drawing:
    """The half of a session that has tokens sampled: draws, their pruners, the accounts, the tree that grows."""

    def __init__(
        self,
        problem: Problem,
        setting: Setting,
        *,
        budget: Limits | None = None,
        pruners: Sequence[Pruner[Any]] = (),
        **terms: Unpack[Terms],
    ) -> None:
        self.problem = problem
        self.budget = budget or Limits()
        self.pruners = tuple(pruners)
        self.ledger = Ledger()
        self.traces: dict[TraceId, Trace] = {}
        self._accounts = Accounts(self.budget, self.ledger)
        self._logprobs = _most(self.pruners, "logprobs") or 0
        self._setting = setting
        self._tokenizer = setting.scheduler.backend.tokenizer
        self._journal = terms.get("journal")
        self._priority = terms.get("priority", 0)
        self._children: dict[TraceId, int] = {}
        self._votes: dict[TraceId, dict[int, float]] = {}
        self._parts: set[TraceId] = set()
        self._judged: set[TraceId] = set()
        self._draws: set[Draw] = set()

    def heed(self, *parts: object) -> None:
        """Sample from now on with as many ``logprobs`` as these parts say they need (see ``Pruner``)."""
        self._logprobs = max(self._logprobs, _most(parts, "logprobs") or 0)

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

    @property
    def lockstep(self) -> bool:
        """Whether what a strategy sees must not depend on timing, because the backend is deterministic."""
        return self._setting.scheduler.backend.capabilities.deterministic

    def hold(self, traces: Iterable[Trace]) -> None:
        """Count these traces' paths as resident in an ideal prefix cache, until they are released."""
        for trace in traces:
            self._accounts.residency.hold(trace)

    def release(self, traces: Iterable[Trace]) -> None:
        """These traces, held before, will not be continued (again)."""
        for trace in traces:
            self._accounts.residency.release(trace)

    async def settle(self) -> None:
        """Abort what is still in flight and close the ledger's account of time."""
        for draw in list(self._draws):
            await self._stop(draw, draw.live, "aborted", "the strategy left the draw", last=True)
        self._accounts.close()

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
            deadline=self._accounts.deadline,
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
                left = self._accounts.samples_left
                count = n if left is None else min(n, left)
                self.ledger.samples += count
            self._accounts.charge_ideal(trace)
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
        if self._accounts.spent or (self._accounts.samples_left == 0 and not judging):
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
                self._accounts.charge(event.delta, judging=draw.judging)
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
        if not self._accounts.spent:
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
                decision = await self._decision_of(pruner, live, [*finished, *stopped], len(draw.branches))
                self._weigh(place, decision)
                targets = [b for b in draw.live if decision.decided or b.id in decision.stop]
                if targets or decision.decided:
                    reason = decision.reason or str(pruner)
                    stopped += await self._stop(draw, targets, "pruned", reason, last=decision.decided)
        draw.milestone = draw.longest
        if any(t.finish in ("stop", "length") for t in stopped):  # some came to their end while being stopped
            stopped += await self._prune(draw, [*finished, *stopped], any_ended=True)
        return stopped

    async def _decision_of(
        self, pruner: Pruner[Any], live: Sequence[Trace], finished: Sequence[Trace], total: int
    ) -> Decision:
        try:
            return await pruner(self, live, finished, total)
        except BudgetReached:  # a pruner that samples (a judge) has nothing left to do it with
            return GO_ON

    def _weigh(self, place: int, decision: Decision) -> None:
        for trace_id, weight in decision.votes.items():
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
        self._accounts.grown(trace)
        self._accounts.residency.shrink(branch.tokens)
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

    def _next_id(self, parent: TraceId) -> TraceId:
        number = self._children.get(parent, 0)
        self._children[parent] = number + 1
        return (*parent, number)

    def _is_part(self, trace: Trace) -> bool:
        return bool(self._parts) and any(trace.id[:end] in self._parts for end in range(1, len(trace.id) + 1))


def _most(parts: Sequence[Any], attribute: str) -> int | None:
    """The largest number that one of the parts has under this name; None where none has any."""
    return max((n for part in parts if (n := getattr(part, attribute, None)) is not None), default=None)
