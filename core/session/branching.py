"""How the branches of a draw begin."""

from __future__ import annotations

from dataclasses import replace

from widthwise.core.backend import Bounded, Request, SamplingParams
from widthwise.core.errors import BudgetReached, UsageError
from widthwise.core.problem import Problem
from widthwise.core.session.accounts import Accounts
from widthwise.core.session.branch import Branch
from widthwise.core.session.call import Call
from widthwise.core.session.clock import Clock
from widthwise.core.session.conditions import can_continue
from widthwise.core.session.derived_seed import derived_seed
from widthwise.core.session.journal import request_digest
from widthwise.core.session.setting import Setting
from widthwise.core.session.trace_tree import TraceTree
from widthwise.core.session.voices import Voices
from widthwise.core.trace.trace import Trace, TraceId

_MOST = 100_000
"""How many continuations of a trace one draw may have: all are made before the first of them is sampled."""


class Branching:
    """Makes the branches that a call asks for, as many as the limits allow, each with its id, seed and request."""

    def __init__(
        self,
        problem: Problem,
        setting: Setting,
        accounts: Accounts,
        tree: TraceTree,
        clock: Clock,
        voices: Voices,
        *,
        priority: int,
    ) -> None:
        self._problem = problem
        self._setting = setting
        self._accounts = accounts
        self._tree = tree
        self._clock = clock
        self._voices = voices
        self._priority = priority

    def branches(self, call: Call) -> list[Branch]:
        """The branches of ``call``; raises ``BudgetReached`` if not even one is allowed."""
        begun: list[Branch] = []
        for trace in call.traces:
            try:
                begun += self._of(trace, self._params(trace, call), call)
            except BudgetReached:
                if trace is call.traces[-1] and not begun:
                    raise
        return begun

    def _of(self, trace: Trace, params: SamplingParams, call: Call) -> list[Branch]:
        """The branches that continue one trace."""
        count = call.n
        counted = self._is_sample(trace, call)
        begun = self._voices.of(trace).thoughts.begun(trace, call.thought, judging=call.judging)
        if counted:
            self._check_launch(trace, begun)
            left = self._accounts.samples_left
            count = call.n if left is None else min(call.n, left)
            self._accounts.begin(count)
        whole = counted and _is_prompt(trace) and not call.params.get("stop")
        made = self._made(begun, params, call, count)
        for branch in made:
            branch.sample, branch.whole = counted, whole
        return made

    def _made(self, trace: Trace, params: SamplingParams, call: Call, count: int) -> list[Branch]:
        """Branches whose first piece continues ``trace``; ``params`` apply to all pieces."""
        if count > _MOST:
            raise UsageError(f"one draw has at most {_MOST:,} traces, not {count:,}: lower n or limit the samples")
        voice = self._voices.of(trace)
        request = Request(
            prompt=trace.token_ids,
            params=voice.thoughts.bounded(trace, call.thought, params),
            seed=0,
            problem=self._problem.id,
            priority=self._priority,
            chunk=call.chunk,
            conversation=trace.conversation,
        )
        decode, room, digest = voice.setting.tokenizer.decode, self._room(request, trace), _digest(request, trace)
        requests = [self._placed(request, trace) for _ in range(count)]
        return [Branch(i, trace, r, digest, decode, room=room, limit=params.max_tokens) for i, r in requests]

    def go_on(self, branch: Branch, behind: Trace, call: Call) -> None:
        """Let ``branch``, whose piece has ended, grow another piece from ``behind`` on."""
        self._accounts.charge_ideal(behind)
        before = branch.request
        request = replace(
            before,
            prompt=behind.token_ids,
            params=self._voices.of(behind).thoughts.bounded(behind, call.thought, self.params(behind, call)),
            continues=before.index if before.continues is None else before.continues,
            conversation=behind.conversation,
        )
        trace_id, placed = self._placed(request, behind)
        branch.go_on(trace_id, behind, placed, _digest(request, behind))

    def _placed(self, request: Request, parent: Trace) -> tuple[TraceId, Request]:
        """The request as the next child of ``parent``, with the seed for that place, and the child's id."""
        trace_id = self._tree.next_id(parent.id)
        seed = derived_seed(self._setting.seed, self._problem.id, trace_id)
        return trace_id, replace(request, seed=seed, index=trace_id[-1])

    def _is_sample(self, trace: Trace, call: Call) -> bool:
        """Whether the call's continuations of ``trace`` are samples.

        Not samples are judges' replies, threads, and the rest of a trace into which something was inserted.
        """
        inserted = trace.segment.origin == "inserted" and not _is_prompt(trace)
        goes_on = inserted and call.n == 1 and sum(other is trace for other in call.traces) == 1
        return not (call.judging or goes_on or self._tree.is_fragment(trace))

    def _check_limits(self, trace: Trace, call: Call) -> None:
        """Raises ``BudgetReached`` if the limits allow not a single branch from ``trace``."""
        sample = self._is_sample(trace, call)
        if self._accounts.spent or (sample and self._accounts.samples_left == 0):
            raise BudgetReached("the budget is used up")

    def _check_launch(self, trace: Trace, begun: Trace) -> None:
        """Raises ``BudgetReached`` if the limits do not buy a trace from the prompt ``trace``, which is ``begun``."""
        if _is_prompt(trace) and not self._accounts.launches.buys(begun):
            raise BudgetReached(f"{self._accounts.said} are not enough for another trace")

    def _params(self, trace: Trace, call: Call) -> SamplingParams:
        """The call's parameters; checks every limit. A draw cuts ``max_tokens`` to the sequential tokens left."""
        params = self.params(trace, call)
        self._check_logprobs(params.logprobs, trace)
        self._check_continuation(trace)
        self._check_limits(trace, call)
        sequential = self._accounts.limits.sequential
        if sequential is not None and max(trace.sequential, self._clock.now.time) >= sequential:
            raise BudgetReached(f"the budget of {sequential} sequential tokens is used up")
        return params

    def _check_continuation(self, trace: Trace) -> None:
        """Raises ``UsageError`` if the backend only answers conversations and the assistant's turn has begun."""
        backend = self._voices.of(trace).setting.backend
        if not backend.capabilities.continues and trace.completion:
            can_continue(backend, "this strategy")

    def params(self, trace: Trace, call: Call) -> SamplingParams:
        """The sampling parameters of everything that the call draws from ``trace``."""
        params = self._voices.of(trace).setting.params.changed(**call.params)
        if call.replies:
            params = params.changed(max_tokens=call.replies[trace.model])
        return replace(params, logprobs=max(params.logprobs or 0, call.logprobs)) if call.logprobs else params

    def _check_logprobs(self, asked: int | None, trace: Trace) -> None:
        backend = self._voices.of(trace).setting.backend
        most = backend.capabilities.max_logprobs
        if asked and asked > most:
            raise UsageError(
                f"this strategy needs the log-probabilities of the {asked} most likely tokens, but {backend.name} "
                f"gives {f'at most {most}' if most else 'none'}: lower the part's logprobs or use another backend"
            )

    def _room(self, request: Request, trace: Trace) -> int | None:
        """How many tokens the backend could give a request at most, as far as known."""
        backend = self._voices.of(trace).setting.backend
        if isinstance(backend, Bounded):
            return backend.longest(request)
        context = backend.max_model_len
        return None if context is None else max(context - len(request.prompt), 1)


def _digest(request: Request, trace: Trace) -> str:
    return request_digest(request.prompt, request.params, trace.model)


def _is_prompt(trace: Trace) -> bool:
    """Whether nothing in ``trace``, or in a trace that it was cut from, has been sampled."""
    return not any(node.segment.origin == "sampled" or "cut" in node.segment.metadata for node in trace.lineage)
