"""One call for continuations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from widthwise.core.arguments import names_of, whole
from widthwise.core.backend import SamplingParams
from widthwise.core.errors import UsageError
from widthwise.core.registry import nearest
from widthwise.core.session.thought_budget import ThoughtBudget
from widthwise.core.session.watch import Watch
from widthwise.core.trace.trace import Trace


@dataclass(frozen=True, slots=True)
class Call:
    """``n`` continuations of each of ``traces``, sampled with ``params`` instead of the run's defaults.

    At most ``width`` grow at once (None: all), and only ``warmup`` until these have ended. ``judging`` selects the
    account that pays. ``logprobs`` is the minimum number of most likely tokens to ask for, ``chunk`` the maximum number
    of tokens per delta. ``replies`` is how long the replies of each model's judges may get, by its name. ``thought`` is
    each continuation's thinking budget. ``watches`` are the pruners that look after the draw.
    """

    traces: Sequence[Trace]
    n: int = 1
    params: Mapping[str, Any] = field(default_factory=dict)
    width: int | None = None
    warmup: int = 0
    judging: bool = False
    replies: Mapping[str, int | None] = field(default_factory=dict)
    logprobs: int = 0
    chunk: int = 1
    thought: ThoughtBudget | None = None
    watches: Sequence[Watch[Any]] = ()

    @classmethod
    def asked(cls, traces: Sequence[Trace], n: int, options: Mapping[str, Any], width: int | None, **how: Any) -> Call:
        """The call with ``options``: sampling parameters, and ``thinking`` and ``waits``, the thinking budget."""
        if not isinstance(traces, Iterable):
            raise UsageError(f"what is continued is a trace or a list of traces, not {traces!r:.60}")
        params = {name: value for name, value in options.items() if name not in ("thinking", "waits")}
        try:
            thought = ThoughtBudget.of(options.get("thinking"), options.get("waits"))
        except ValueError as error:
            raise UsageError(str(error)) from None
        return cls(traces, n, params, width, thought=thought, **how)

    def check(self) -> None:
        """Raises ``UsageError`` for a call that makes no sense."""
        for what, number in (("n", self.n), ("width", self.width)):
            if number is not None:
                whole(number, what)
        if strangers := [trace for trace in self.traces if not isinstance(trace, Trace)]:
            raise UsageError(f"what is continued is a trace or a list of traces, not {strangers[0]!r:.60}")
        unknown = [name for name in self.params if name not in names_of(SamplingParams)]
        if unknown:
            close = nearest(unknown[0], names_of(SamplingParams))
            raise UsageError(f"sampling has no parameter {unknown[0]!r}{close}")
        if any(trace.finish == "error" for trace in self.traces):
            raise UsageError("a trace whose request failed cannot be continued")
