"""What a session spends: its limits, its ledger, and what an ideal prefix cache holds at each moment."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping

from widthwise.core.arrays import IntArray
from widthwise.core.backend import Delta
from widthwise.core.errors import UsageError
from widthwise.core.model_shape import ModelShape
from widthwise.core.session.content_residency import ContentResidency, distinct_tokens
from widthwise.core.session.ideal_cache import IdealCache
from widthwise.core.session.launches import Launches, Purse
from widthwise.core.session.ledger import Ledger, Spending
from widthwise.core.session.limits import Limits
from widthwise.core.session.residency import Residency
from widthwise.core.trace.trace import Trace, TraceId


class Accounts:
    """Charges everything to ``ledger`` and says when ``limits`` are reached. The clock starts with the session.

    ``shapes`` are those of the run's models by name, from which FLOPs are counted; empty if they are not all known.
    """

    def __init__(self, limits: Limits, shapes: Mapping[str, ModelShape] | None = None) -> None:
        self.limits = limits
        self.ledger = Ledger()
        self._shapes = shapes or {}
        self._ideal_flops = 0
        self._ideal: dict[str, IdealCache] = defaultdict(IdealCache)
        self.launches = Launches(self._purses(), self.charge_ideal)
        self.residency = Residency()
        self.content = ContentResidency()
        self.closed = False
        self._began = time.monotonic()

    def _purses(self) -> list[Purse]:
        """The limits that buy whole traces."""
        found = [] if self.limits.tokens is None else [Purse.of_tokens(self.ledger, self.limits.tokens)]
        if self.limits.flops is None:
            return found
        if not self._shapes:
            raise UsageError("a limit on FLOPs needs the shape of every model")
        return [*found, Purse.of_flops(self._shapes, self.limits.flops, lambda: self._ideal_flops, self._prompt_flops)]

    # -- charging ------------------------------------------------------------------------------------------

    def begin(self, samples: int) -> None:
        """So many continuations begin; a negative number takes back some that were to begin but do not."""
        self.ledger.samples += samples

    def call(self, model: str) -> None:
        """A model is asked; it has a name if there are several."""
        if model:
            self.ledger.of(model).calls += 1

    def charge(self, delta: Delta, start: int, *, judging: bool, model: str = "") -> None:
        """Charge what a request delivered from position ``start`` on.

        It goes to the policy's account or the judges', and to the model's own.
        """
        sampled, computed = self._flops(delta, start, model)
        self._ideal_flops += sampled
        for account in self._charged(model):
            if judging:
                account.judging += len(delta.token_ids)
            else:
                account.sampled += len(delta.token_ids)
            if delta.usage is not None:
                account.prompt_cached += delta.usage.prompt_cached
                account.prompt_computed += delta.usage.prompt_computed
            account.flops += sampled + computed

    def _flops(self, delta: Delta, start: int, model: str) -> tuple[int, int]:
        """What a delta's tokens cost, and those of its prompt; 0 if it is not known."""
        if not self._shapes:
            return 0, 0
        shape, usage = self._shapes[model], delta.usage
        computed = 0 if usage is None else shape.read(usage.prompt_cached, usage.prompt_computed)
        return shape.sampled(start, len(delta.token_ids)), computed

    def charge_prompt(self, tokens: int, model: str = "") -> None:
        """A prompt was served, and nothing says whether part of it was cached."""
        for account in self._charged(model):
            account.prompt_computed += tokens
            account.flops += self._shapes[model].read(0, tokens) if self._shapes else 0

    def _charged(self, model: str) -> list[Ledger | Spending]:
        return [self.ledger, self.ledger.of(model)] if model else [self.ledger]

    def charge_ideal(self, trace: Trace) -> None:
        """A request begins after ``trace``: count the tokens that a perfect cache does not have yet."""
        cache = self._ideal[trace.model]
        known, length = cache.known(trace)
        if known < length:
            self.ledger.prompt_ideal += length - known
            self._ideal_flops += self._prompt_flops(trace)
        cache.add(trace)

    def _prompt_flops(self, trace: Trace) -> int:
        """What a request after ``trace`` costs before its first token; 0 if it is not known."""
        if not self._shapes:
            return 0
        known, length = self._ideal[trace.model].known(trace)
        return self._shapes[trace.model].read(known, length - known)

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
        self._ideal[trace.model].add(trace)
        self.residency.shrink(len(trace.segment))
        self.content.end(trace)

    def go_on_from(self, traces: Iterable[Trace]) -> None:
        """A round of a search continues from ``traces``: the tokens it retains are summed over rounds."""
        by_node, by_content = distinct_tokens(traces)
        self.ledger.kv_rounds += by_node
        self.ledger.kv_content_rounds += by_content

    # -- limits --------------------------------------------------------------------------------------------

    @property
    def said(self) -> str:
        """The limits that buy whole traces, in words."""
        tokens, flops = self.limits.tokens, self.limits.flops
        said = {"tokens": tokens, "FLOPs": None if flops is None else f"{flops:g}"}
        return " and ".join(f"{limit} {unit}" for unit, limit in said.items() if limit is not None)

    @property
    def samples_left(self) -> int | None:
        """How many continuations may still begin; None for no limit."""
        return None if self.limits.samples is None else self.limits.samples - self.ledger.samples

    @property
    def spent(self) -> bool:
        """Whether the limit on tokens or seconds is reached."""
        tokens, seconds, flops = self.limits.tokens, self.limits.seconds, self.limits.flops
        return (
            (tokens is not None and self.ledger.total >= tokens)
            or (flops is not None and self._ideal_flops >= flops)
            or (seconds is not None and time.monotonic() - self._began >= seconds)
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
