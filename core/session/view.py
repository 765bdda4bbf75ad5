"""Where in a session a sampler works."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from widthwise.core.pruner import PrunerOf
from widthwise.core.session.call import Call
from widthwise.core.session.thought_budget import ThoughtBudget, thought_of
from widthwise.core.session.watch import Watch
from widthwise.core.trace.trace import Trace, TraceId

CHUNK = 16
"""How many tokens may come at once if nothing needs to look at every single one."""


@dataclass(frozen=True, slots=True)
class View:
    """Work at ``root``, in the part of the trace tree below ``place``, under ``pruners``.

    ``place`` is empty for the whole tree. ``logprobs`` is how many of the most likely tokens the parts of the strategy
    need to know for each token, ``thought`` the thinking budget of what is drawn.
    """

    root: Trace
    place: TraceId = ()
    pruners: tuple[PrunerOf[Any], ...] = ()
    logprobs: int = 0
    thought: ThoughtBudget | None = None

    def heeding(self, *parts: object) -> View:
        """This view for parts that may need more ``logprobs`` (see ``PrunerOf``) or have a thinking budget."""
        thought = next((budget for part in parts if (budget := thought_of(part)) is not None), self.thought)
        return replace(self, logprobs=max(self.logprobs, _most(parts, "logprobs")), thought=thought)

    def has(self, trace: Trace) -> bool:
        """Whether ``trace`` is in this part of the tree."""
        places = (self.place, self.root.id) if self.place else ((),)
        return any(trace.id[: len(place)] == place for place in places)

    def call(self, session: Any, call: Call) -> Call:
        """``call`` under this view's pruners, which look through ``session``; no pruner looks at judges' draws."""
        chunk = min([CHUNK, *(every for p in self.pruners if (every := getattr(p, "every", None)) is not None)])
        if call.judging:
            return replace(call, chunk=chunk)
        watches = [Watch(pruner, session) for pruner in self.pruners]
        warmup = _most(self.pruners, "warmup")
        thought = call.thought or self.thought
        return replace(call, chunk=chunk, watches=watches, warmup=warmup, logprobs=self.logprobs, thought=thought)


def _most(parts: Sequence[object], attribute: str) -> int:
    """The largest number that any of the parts has under this name; 0 if none has one."""
    return max((n for part in parts if (n := getattr(part, attribute, None)) is not None), default=0)
