"""What a session spends: its limits, its ledger, and what an ideal prefix cache holds at each moment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from itertools import takewhile

from widthwise.core.backend import Delta, IntArray
from widthwise.core.session.content_residency import ContentResidency, distinct_tokens
from widthwise.core.session.launches import Launches
from widthwise.core.session.ledger import Ledger, Spending
from widthwise.core.session.limits import Limits
from widthwise.core.session.residency import Residency
from widthwise.core.trace.trace import Trace, TraceId


class Accounts:
    """Charges everything to ``ledger`` and says when ``limits`` are reached. The clock starts with the session."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.ledger = Ledger()
        self.launches = Launches(self.ledger, limits.tokens)
        self.residency = Residency()
        self.content = ContentResidency()
        self._cached: set[TraceId] = set()
        self.closed = False
        self._began = time.monotonic()

    # -- charging ------------------------------------------------------------------------------------------

    def begin(self, samples: int) -> None:
        """So many continuations begin; a negative number takes back some that were to begin but do not."""
        self.ledger.samples += samples

    def call(self, model: str) -> None:
        """A model is asked; it has a name if there are several."""
        if model:
            self.ledger.of(model).calls += 1

    def charge(self, delta: Delta, *, judging: bool, model: str = "") -> None:
        """Charge what a request delivered, to the policy's account or the judges', and to the model's own."""
        for account in self._charged(model):
            if judging:
                account.judging += len(delta.token_ids)
            else:
                account.sampled += len(delta.token_ids)
            if delta.usage is not None:
                account.prompt_cached += delta.usage.prompt_cached
                account.prompt_computed += delta.usage.prompt_computed

    def charge_prompt(self, tokens: int, model: str = "") -> None:
        """A prompt was served, and nothing says whether part of it was cached."""
        for account in self._charged(model):
            account.prompt_computed += tokens

    def _charged(self, model: str) -> list[Ledger | Spending]:
        return [self.ledger, self.ledger.of(model)] if model else [self.ledger]

    def charge_ideal(self, trace: Trace) -> None:
        """Count the tokens of ``trace`` that no earlier request of the tree has put into a perfect cache."""
        for node in takewhile(lambda node: node.id not in self._cached, trace.lineage):
            self._cached.add(node.id)
            self.ledger.prompt_ideal += len(node.segment)

    def charge_scoring(self, tokens: int) -> None:
        """The reward model has read so many tokens."""
        self.ledger.scoring += tokens

    def charge_embedding(self, tokens: int) -> None:
        """The embedding model has read so many tokens."""
        self.ledger.embedding += tokens

    def discard(self, tokens: int) -> None:
        """So many of the tokens charged before are in traces that were discarded."""
        self.ledger.discarded += tokens

    def abandon(self, id: TraceId, tokens: int, *, judging: bool) -> None:
        """The branch ``id`` begins again: the tokens it had, already charged, are discarded."""
        if not judging:
            self.discard(tokens)
        self.residency.shrink(tokens)
        self.content.drop(id)

    def reach(self, sequential: int) -> None:
        """A trace's critical path has this length in tokens."""
        self.ledger.sequential = max(self.ledger.sequential, sequential)

    # -- the ideal prefix cache ----------------------------------------------------------------------------

    def hold(self, traces: Iterable[Trace]) -> None:
        """Count these traces' paths as resident until they are released."""
        for trace in traces:
            self.residency.hold(trace)
            self.content.hold(trace)

    def release(self, traces: Iterable[Trace]) -> None:
        """These traces, held before, will not be continued (again)."""
        for trace in traces:
            self.residency.release(trace)
            self.content.release(trace)

    def grow(self, id: TraceId, parent: Trace, tokens: IntArray) -> None:
        """The branch ``id`` of ``parent`` has grown by ``tokens``."""
        self.residency.grow(len(tokens))
        self.content.grow(id, parent, tokens)

    def grown(self, trace: Trace) -> None:
        """``trace``, the end of a branch, is in the perfect cache; its tokens stay only if something holds it."""
        self._cached.add(trace.id)
        self.residency.shrink(len(trace.segment))
        self.content.end(trace)

    def go_on_from(self, traces: Iterable[Trace]) -> None:
        """A round of a search continues from ``traces``: the tokens it retains are summed over rounds."""
        by_node, by_content = distinct_tokens(traces)
        self.ledger.kv_rounds += by_node
        self.ledger.kv_content_rounds += by_content

    # -- limits --------------------------------------------------------------------------------------------

    @property
    def samples_left(self) -> int | None:
        """How many continuations may still begin; None for no limit."""
        return None if self.limits.samples is None else self.limits.samples - self.ledger.samples

    @property
    def spent(self) -> bool:
        """Whether the limit on tokens or seconds is reached."""
        tokens, seconds = self.limits.tokens, self.limits.seconds
        return (tokens is not None and self.ledger.total >= tokens) or (
            seconds is not None and time.monotonic() - self._began >= seconds
        )

    @property
    def deadline(self) -> float | None:
        """When the limit on seconds is reached, by the event loop's clock."""
        if self.limits.seconds is None:
            return None
        left = self.limits.seconds - (time.monotonic() - self._began)
        # A timer may fire a little early by the other clock, but the limit must have passed when it does.
        return asyncio.get_running_loop().time() + left + 1e-3

    def close(self) -> None:
        """Write into the ledger what is known only at the end; nothing may be charged afterwards."""
        self.closed = True
        self.ledger.seconds = time.monotonic() - self._began
        node, content = self.residency.gauge, self.content.gauge
        self.ledger.kv_peak, self.ledger.kv_mean = node.peak, node.mean
        self.ledger.kv_content_peak, self.ledger.kv_content_mean = content.peak, content.mean
