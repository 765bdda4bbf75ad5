"""The part of a strategy that limits what it spends."""

from __future__ import annotations

from dataclasses import dataclass

from widthwise.core.registry import register
from widthwise.core.session.limits import Limits
from widthwise.core.strategy.part import Part


@register("limit")
@dataclass(frozen=True)
class Budget(Part, Limits):
    """Hard limits for one problem; None means no limit.

    ``tokens``: sampled tokens in total, including pruned and aborted ones. ``sequential``: the longest chain of tokens
    sampled one after another. ``samples``: continuations that are samples (see ``Ledger``). ``seconds``: wall-clock
    time. ``flops``: those of the model that samples (see ``ModelShape``), with prompts as a perfect prefix cache would
    compute them, so that what a limit buys does not depend on what else is cached. Tokens and FLOPs buy whole traces,
    in order of launch (see ``Launches``). A strategy that reaches a limit is stopped, and its traces so far are
    aggregated. The overshoot is at most what one decoding step has in flight.
    """
