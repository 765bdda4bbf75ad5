"""Has continuations of traces sampled within the limits, lets pruners watch them, and charges everything."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace

from widthwise.core.backend import Delta
from widthwise.core.errors import AccessRefused, BackendError, UsageError
from widthwise.core.problem import Problem
from widthwise.core.session.accounts import Accounts
from widthwise.core.session.branch import Branch
from widthwise.core.session.branching import Branching
from widthwise.core.session.call import Call
from widthwise.core.session.clock import Clock, Moment, latest
from widthwise.core.session.draw import Draw, Event
from widthwise.core.session.journal import Journal, replayed
from widthwise.core.session.setting import Setting
from widthwise.core.session.thoughts import Turn
from widthwise.core.session.trace_tree import TraceTree
from widthwise.core.session.voices import Voices
from widthwise.core.session.votes import Votes
from widthwise.core.trace.trace import Finish, Trace


class Drawer:
    """Runs draws, and puts what they produce into the tree, the accounts, the votes and the journal."""

    def __init__(
        self,
        problem: Problem,
        setting: Setting,
        accounts: Accounts,
        tree: TraceTree,
        votes: Votes,
        clock: Clock,
        voices: Voices,
        *,
        journal: Journal | None,
        priority: int,
    ) -> None:
        self._problem = problem
        self._setting = setting
        self._saying = setting.saying
        self._accounts = accounts
        self._tree = tree
        self._votes = votes
        self._clock = clock
        self._journal = journal
        self._voices = voices
        self._branching = Branching(problem, setting, accounts, tree, clock, voices, priority=priority)
        self._draws: set[Draw] = set()

    async def stream(self, call: Call) -> AsyncIterator[Trace]:
        """Yield each continuation as it ends; leaving the loop aborts the rest (see ``Session.stream``)."""
        draw = self._open(call)
        finished: list[Trace] = []
        try:
            async with aclosing(draw.batches()) as batches:  # type: ignore[type-var]
                async for events in batches:
                    ended = self._take(draw, events) + await self._stop_if_spent(draw)
                    finished += ended
                    pruned = await self._prune(draw, finished, ended)
                    pruned += await self._stop_if_spent(draw)  # by judges
                    finished += pruned
                    for trace in ended + pruned:
                        draw.see(Moment.of(trace))
                        yield trace
        finally:
            await self._abort(draw)
            self._draws.discard(draw)
            self._accounts.release(draw.held)

    async def settle(self) -> None:
        """Abort what is still in flight."""
        for draw in list(self._draws):
            await self._abort(draw)

    # -- a draw's course -----------------------------------------------------------------------------------

    def _open(self, call: Call) -> Draw:
        call.check()
        call = self._bounded(call)
        if self._accounts.closed:
            raise UsageError("this session has ended; Strategy.solve opens one for every problem that it works on")
        branches = self._branching.branches(call)
        draw = Draw(
            branches,
            call,
            self._source,
            self._clock,
            self._accounts.launches,
            sequential=self._accounts.limits.sequential,
            lockstep=self._setting.lockstep,
            width=min(self._setting.width, call.width or max(len(branches), 1)),
            watches=[watch.begun() for watch in call.watches],
            deadline=self._accounts.deadline,
        )
        self._draws.add(draw)
        draw.held += dict.fromkeys(branch.parent for branch in branches)
        self._accounts.hold(draw.held)
        return draw

    def _bounded(self, call: Call) -> Call:
        """``call`` with the run's limit on judges' replies, where it has none of its own."""
        if not call.judging or call.params.get("max_tokens") is not None:
            return call
        longest: dict[str, Trace] = {}
        for trace in call.traces:
            longest[trace.model] = max(longest.get(trace.model, trace), trace, key=lambda t: len(t.token_ids))
        replies = {m: self._voices.of(t).setting.reply_tokens(len(t.token_ids)) for m, t in longest.items()}
        return replace(call, replies=replies)

    def _source(self, branch: Branch) -> AsyncIterator[Delta]:
        """What the backend delivers, or what it delivered before a run was killed."""
        self._accounts.call(branch.model)
        if self._journal is not None:
            place = (self._problem.id, branch.id, branch.params, branch.request.seed)
            segment = self._journal.recorded(*place, branch.model)
            if segment is not None and len(segment) <= (branch.request.params.max_tokens or len(segment)):
                return replayed(segment, branch.request.chunk)
        return self._voices.of(branch.parent).setting.scheduler.generate(branch.request, self._accounts.ledger)

    def _take(self, draw: Draw, events: Sequence[Event], *, stopping: bool = False) -> list[Trace]:
        """Charge the events and keep the traces that they ended, in the order in which they ended.

        A trace whose thinking has ended goes on, unless the draw is ``stopping``.
        """
        ended = []
        refused: AccessRefused | None = None
        for event in events:
            branch = event.branch
            if event.delta is not None:
                if event.delta.anew:
                    self._accounts.abandon(branch.id, branch.tokens, judging=draw.call.judging)
                branch.take(event.delta)
                start = branch.origin + branch.tokens - len(event.delta.token_ids)
                self._accounts.charge(event.delta, start, judging=draw.call.judging, model=branch.model)
                self._accounts.grow(branch.id, branch.parent, event.delta.token_ids)
            elif isinstance(event.error, AccessRefused):
                refused = event.error
            elif isinstance(event.error, BackendError):
                branch.end("error", str(event.error))
            elif event.error is not None:
                raise event.error
            if branch.finish is not None and not self._goes_on(branch, draw, stopping=stopping):
                ended.append(branch)
        kept = [self._keep(b, draw) for b in sorted(ended, key=lambda b: (b.moment.time, b.id))]
        if refused is not None:  # what had ended is in the journal by now
            raise refused
        return kept

    def _goes_on(self, branch: Branch, draw: Draw, *, stopping: bool) -> bool:
        """Let the branch grow another piece if its thinking budget says so; returns whether it does."""
        call, piece = draw.call, branch.trace
        if call.thought is None or branch.left == 0 or piece.finish not in ("stop", "length"):
            return False
        params, thoughts = self._branching.params(piece, call), self._voices.of(piece).thoughts
        turn = thoughts.turn(piece, call.thought, params, judging=call.judging)
        if turn is None:
            return False
        if stopping:
            branch.finish = branch.reason = None
        else:
            self._record(piece)
            self._go_on(branch, piece, turn, draw)
        return True

    def _go_on(self, branch: Branch, piece: Trace, turn: Turn, draw: Draw, moment: Moment | None = None) -> None:
        """Let the branch, which has grown to ``piece``, grow another piece, no earlier than ``moment``."""
        call = draw.call
        self._settle_up(piece, branch)
        self._tree.keep(piece, judged=call.judging)
        behind = self._voices.of(piece).thoughts.onward(piece, turn, judging=call.judging)
        self._hold(branch, behind)
        self._branching.go_on(branch, behind, call)
        if moment is not None:
            branch.wait(moment)
        draw.go_on(branch)

    async def _conclude(self, draw: Draw, branches: Sequence[Branch]) -> list[Trace]:
        """Have branches state their answers at once; the traces of those that ended by themselves in the meantime."""
        ended = self._take(draw, await draw.halt(branches), stopping=True)
        for branch in branches:
            if branch.finish is not None:
                draw.leave(branch)
                continue
            # No journal keeps the piece: as after every other pruner, a resumed run samples it again.
            branch.end("aborted", "its thinking was closed")
            self._go_on(branch, branch.trace, "closed", draw, self._clock.now)
        return ended

    async def _prune(self, draw: Draw, finished: Sequence[Trace], ended: Sequence[Trace]) -> list[Trace]:
        """Ask the pruners whose checkpoint has come, ``ended`` being the last to finish, and do as they say."""
        stopped: list[Trace] = []
        longest = draw.longest
        for number, watch in enumerate(draw.watches):
            if ended or watch.due(draw.milestone, longest):
                draw.see(latest([*map(Moment.of, ended)] or [branch.moment for branch in draw.live]))
                live = [branch.trace for branch in draw.live]
                decision = await watch.decision(live, [*finished, *stopped], len(draw.branches))
                self._votes.weigh(number, decision.votes)
                targets = [b for b in draw.live if decision.decided or b.id in decision.stop]
                if targets or decision.decided:
                    reason = decision.reason or str(watch.pruner)
                    stopped += await self._stop(draw, targets, "pruned", reason, last=decision.decided)
                if concluding := [b for b in draw.live if b.id in decision.conclude and b.left != 0]:
                    stopped += await self._conclude(draw, concluding)
        draw.milestone = draw.longest
        if any(t.finish in ("stop", "length") for t in stopped):  # some ended by themselves while being stopped
            stopped += await self._prune(draw, [*finished, *stopped], stopped)
        return stopped

    async def _stop_if_spent(self, draw: Draw) -> list[Trace]:
        if not self._accounts.spent:
            return []
        return await self._stop(draw, draw.live, "budget", "the budget is used up", last=True)

    async def _abort(self, draw: Draw) -> None:
        await self._stop(draw, draw.live, "aborted", "the strategy left the draw", last=True)

    async def _stop(
        self, draw: Draw, branches: Sequence[Branch], finish: Finish, reason: str, *, last: bool = False
    ) -> list[Trace]:
        """Abort branches; returns the traces they leave, except those without a single token.

        After the ``last`` stop of a draw, no waiting branch begins either.
        """
        if last:
            self._accounts.begin(-draw.drop_waiting())
        leftover = self._take(draw, await draw.stop(branches), stopping=True)
        stopped = []
        for branch in branches:
            if branch.finish is None:
                branch.end(finish, reason)
                if branch.tokens:
                    stopped.append(self._keep(branch, draw))
        return leftover + stopped

    # -- how a branch ends ---------------------------------------------------------------------------------

    def _keep(self, branch: Branch, draw: Draw) -> Trace:
        """The trace that a branch leaves, put into the journal, the accounts and the tree."""
        trace = self._saying.noted(branch.trace)
        if trace.finish == "length" and trace.sequential == self._accounts.limits.sequential:
            trace = trace.ended("budget", "sequential tokens")
        elif trace.finish == "length" and branch.capped:
            trace = trace.ended("budget", "the budget is used up")
        elif trace.finish in ("stop", "length"):
            self._record(trace)
        self._settle_up(trace, branch)
        self._hold(branch, None)
        trace = self._tree.keep(trace, judged=draw.call.judging)
        if trace.finish in ("pruned", "aborted", "error") and not draw.call.judging:
            self._accounts.discard(trace.drawn)
        if trace.finish in ("stop", "length") and trace.segment.reason is not None:
            # It may be continued, so an ideal cache holds it, at least until the strategy has seen the whole draw.
            draw.held.append(trace)
            self._accounts.hold([trace])
        return trace

    def _record(self, trace: Trace) -> None:
        if self._journal is not None:
            self._journal.record(self._problem.id, trace)

    def _settle_up(self, trace: Trace, branch: Branch) -> None:
        if trace.segment.usage is None and len(trace.segment):
            # Aborted before the backend reported: the prompt was served, and nothing says that it was cached.
            self._accounts.charge_prompt(len(branch.request.prompt), branch.model)
        self._accounts.grown(trace)

    def _hold(self, branch: Branch, behind: Trace | None) -> None:
        """Count the pieces that a branch continues as resident while it grows, and no longer."""
        if branch.behind is not None:
            self._accounts.release([branch.behind])
        if behind is not None:
            self._accounts.hold([behind])
        branch.behind = behind
