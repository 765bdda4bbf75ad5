"""The part of a strategy that limits what it spends."""

from __future__ import annotations

from dataclasses import dataclass

from widthwise.core.registry import register
from widthwise.core.session.limits import Limits
from widthwise.core.strategy.part import Part


@register("limit")
@dataclass(frozen=True)
class Budget(Part, Limits):
    """Hard limits for one problem; None leaves an axis free.

    ``tokens``: sampled tokens in total, pruned and aborted ones included. ``sequential``: the longest chain of
    tokens sampled one after the other. ``samples``: continuations that are samples (see ``Ledger``). ``seconds``:
    wall-clock. Tokens buy whole traces, in order of launch (see ``Launches``).
    A strategy that reaches a limit is stopped and its traces so far are aggregated; the overshoot is at most
    what one decoding step has in flight.
    """
