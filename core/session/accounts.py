"""What a session spends: its budget, its ledger, and what an ideal prefix cache holds meanwhile."""

from __future__ import annotations

import asyncio
import time
from itertools import takewhile

from widthwise.core.backend import Delta
from widthwise.core.session.ledger import Ledger
from widthwise.core.session.limits import Limits
from widthwise.core.session.residency import Residency
from widthwise.core.trace.trace import Trace, TraceId


class Accounts:
    """Charges to ``ledger`` and says when ``budget`` is used up. The clock runs from the beginning on."""

    def __init__(self, budget: Limits, ledger: Ledger) -> None:
        self.budget = budget
        self.ledger = ledger
        self.residency = Residency()
        self._cached: set[TraceId] = set()
        self._began = time.monotonic()

    def charge(self, delta: Delta, *, judging: bool) -> None:
        """What came of a request, to the policy's account or the judges'."""
        self.residency.grow(len(delta.token_ids))
        if judging:
            self.ledger.judging += len(delta.token_ids)
        else:
            self.ledger.sampled += len(delta.token_ids)
        if delta.usage is not None:
            self.ledger.prompt_cached += delta.usage.prompt_cached
            self.ledger.prompt_computed += delta.usage.prompt_computed

    def charge_ideal(self, trace: Trace) -> None:
        """Count the tokens of ``trace`` that no earlier request of the tree has brought into a perfect cache."""
        for node in takewhile(lambda node: node.id not in self._cached, trace.lineage):
            self._cached.add(node.id)
            self.ledger.prompt_ideal += len(node.segment)

    def grown(self, trace: Trace) -> None:
        """What was sampled of ``trace`` is in the perfect cache already."""
        self._cached.add(trace.id)

    @property
    def samples_left(self) -> int | None:
        """How many continuations may still begin; None for any number."""
        return None if self.budget.samples is None else self.budget.samples - self.ledger.samples

    @property
    def spent(self) -> bool:
        """Whether the limit on tokens or seconds is reached."""
        tokens, seconds = self.budget.tokens, self.budget.seconds
        return (tokens is not None and self.ledger.total >= tokens) or (
            seconds is not None and time.monotonic() - self._began >= seconds
        )

    @property
    def deadline(self) -> float | None:
        """When the limit on seconds is reached, by the event loop's clock."""
        if self.budget.seconds is None:
            return None
        left = self.budget.seconds - (time.monotonic() - self._began)
        # A timer may go off a little early by the other clock: the limit must have passed when it does.
        return asyncio.get_running_loop().time() + left + 1e-3

    def close(self) -> None:
        """Write what is known only at the end into the ledger."""
        self.ledger.seconds = time.monotonic() - self._began
        self.ledger.kv_peak, self.ledger.kv_mean = self.residency.peak, self.residency.mean
