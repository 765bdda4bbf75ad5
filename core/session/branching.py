"""How the branches of a draw begin."""

from __future__ import annotations

from dataclasses import replace

from widthwise.core.backend import Bounded, IntArray, Request, SamplingParams
from widthwise.core.conversation import Conversation
from widthwise.core.errors import BudgetReached, UsageError
from widthwise.core.problem import Problem
from widthwise.core.session.accounts import Accounts
from widthwise.core.session.call import Call
from widthwise.core.session.clock import Clock
from widthwise.core.session.conditions import can_continue
from widthwise.core.session.derived_seed import derived_seed
from widthwise.core.session.draw import Branch
from widthwise.core.session.journal import request_digest
from widthwise.core.session.setting import Setting
from widthwise.core.session.trace_tree import TraceTree
from widthwise.core.trace.trace import Trace


class Branching:
    """Makes the branches that a call asks for, as many as the limits allow, each with its id, seed and request."""

    def __init__(
        self,
        problem: Problem,
        setting: Setting,
        accounts: Accounts,
        tree: TraceTree,
        clock: Clock,
        *,
        priority: int,
    ) -> None:
        self._problem = problem
        self._setting = setting
        self._accounts = accounts
        self._tree = tree
        self._clock = clock
        self._priority = priority

    def branches(self, call: Call) -> list[Branch]:
        """The branches of ``call``; raises ``BudgetReached`` if not even one is allowed."""
        begun: list[Branch] = []
        for trace in call.traces:
            try:
                params = self._params(trace, call)
            except BudgetReached:
                if trace is call.traces[-1] and not begun:
                    raise
                continue
            begun += self._of(trace, params, call)
        return begun

    def _of(self, trace: Trace, params: SamplingParams, call: Call) -> list[Branch]:
        """The branches behind one trace."""
        count = call.n
        counted = self._is_sample(trace, call)
        if counted:
            left = self._accounts.samples_left
            count = call.n if left is None else min(call.n, left)
            self._accounts.begin(count)
        self._accounts.charge_ideal(trace)
        prompt, conversation = trace.token_ids, trace.conversation
        digest = request_digest(prompt, params)
        whole = counted and _is_prompt(trace) and not call.params.get("stop")
        made = [self._branch(trace, prompt, conversation, params, digest, call.chunk) for _ in range(count)]
        for branch in made:
            branch.sample, branch.whole = counted, whole
        return made

    def _is_sample(self, trace: Trace, call: Call) -> bool:
        """Whether what the call draws behind ``trace`` are samples: no judge's replies, no threads, nothing that only
        goes on behind what was put into a trace."""
        goes_on = call.n == 1 and trace.segment.origin == "inserted" and not _is_prompt(trace)
        return not (call.judging or goes_on or self._tree.is_fragment(trace))

    def _check_limits(self, trace: Trace, call: Call) -> None:
        """Raises ``BudgetReached`` where the limits allow not a single branch behind ``trace``."""
        sample = self._is_sample(trace, call)
        if self._accounts.spent or (sample and self._accounts.samples_left == 0):
            raise BudgetReached("the budget is used up")
        if sample and _is_prompt(trace) and not self._accounts.launches.buys():
            raise BudgetReached(f"{self._accounts.limits.tokens} tokens buy no further trace")

    def _params(self, trace: Trace, call: Call) -> SamplingParams:
        """The call's parameters; checks every limit. A draw cuts ``max_tokens`` to what the sequential one leaves."""
        params = self._setting.params.changed(**call.params)
        if call.logprobs:
            params = replace(params, logprobs=max(params.logprobs or 0, call.logprobs))
        self._check_logprobs(params.logprobs)
        self._check_continuation(trace)
        self._check_limits(trace, call)
        sequential = self._accounts.limits.sequential
        if sequential is not None and max(trace.sequential, self._clock.now.time) >= sequential:
            raise BudgetReached(f"the budget of {sequential} sequential tokens is used up")
        return params

    def _check_continuation(self, trace: Trace) -> None:
        """Raises ``UsageError`` where the backend answers conversations only, and the assistant's turn has begun."""
        if not self._setting.backend.capabilities.continues and trace.completion:
            can_continue(self._setting.backend, "this strategy")

    def _check_logprobs(self, asked: int | None) -> None:
        backend = self._setting.backend
        most = backend.capabilities.max_logprobs
        if asked and asked > most:
            raise UsageError(
                f"this strategy needs the log-probabilities of the {asked} most likely tokens, and {backend.name} "
                f"gives {f'at most {most}' if most else 'none'}: lower the part's logprobs or take another backend"
            )

    def _branch(
        self,
        trace: Trace,
        prompt: IntArray,
        conversation: Conversation | None,
        params: SamplingParams,
        digest: str,
        chunk: int,
    ) -> Branch:
        trace_id = self._tree.next_id(trace.id)
        request = Request(
            prompt=prompt,
            params=params,
            seed=derived_seed(self._setting.seed, self._problem.id, trace_id),
            problem=self._problem.id,
            index=trace_id[-1],
            priority=self._priority,
            chunk=chunk,
            conversation=conversation,
        )
        return Branch(trace_id, trace, request, digest, self._setting.tokenizer.decode, room=self._room(request))

    def _room(self, request: Request) -> int | None:
        """How many tokens the backend could give a request at most, as far as it is known."""
        backend = self._setting.backend
        if isinstance(backend, Bounded):
            return backend.longest(request)
        context = backend.max_model_len
        return None if context is None else max(context - len(request.prompt), 1)


def _is_prompt(trace: Trace) -> bool:
    """Whether nothing of ``trace`` has been sampled yet, nor for a trace that it was cut from."""
    return not any(node.segment.origin == "sampled" or "cut" in node.segment.metadata for node in trace.lineage)
