"""What may be spent on one problem."""

from __future__ import annotations

from dataclasses import dataclass, fields

from widthwise.core.brief import Brief
from widthwise.core.session.conditions import Conditions


@dataclass(frozen=True)
class Limits(Brief):
    """Hard limits for one problem; None means no limit.

    ``tokens``: sampled tokens in total, including pruned and aborted ones. ``sequential``: the longest chain of tokens
    sampled one after another. ``samples``: continuations that are samples (see ``Ledger``). ``seconds``: wall-clock
    time. ``flops``: those of the model that samples (see ``ModelShape``), with prompts as a perfect prefix cache would
    compute them, so that what a limit buys does not depend on what else is cached. Tokens and FLOPs buy whole traces,
    in order of launch (see ``Launches``). The overshoot is at most what one decoding step has in flight.
    """

    tokens: int | None = None
    sequential: int | None = None
    samples: int | None = None
    seconds: float | None = None
    flops: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and value <= 0:
                raise ValueError(f"a budget of {value} {field.name} allows nothing; leave it out for no limit")

    def check(self, conditions: Conditions) -> None:
        """Raises ``UsageError`` for a limit on FLOPs if the shape of a model is not known."""
        if self.flops is not None:
            conditions.shape(f"the limit of {self.flops:g} FLOPs")

    @property
    def shared(self) -> bool:
        """Whether works of a session share a limit, so that one of them can use up another's share."""
        return any(limit is not None for limit in (self.tokens, self.samples, self.flops))
