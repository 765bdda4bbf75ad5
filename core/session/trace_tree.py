"""All traces of one problem, as the tree that they form."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from widthwise.core.session.accounts import Accounts
from widthwise.core.trace.trace import Trace, TraceId

Belongs = Callable[[Trace], bool]
"""Whether a trace is among those requested."""


class TraceTree:
    """Keeps ``traces`` by id, and knows which of them are solutions, fragments, or judges' replies.

    A fragment is a trace that grew only for another one, such as a thread; so is whatever grows from it.
    """

    def __init__(self, accounts: Accounts) -> None:
        self.traces: dict[TraceId, Trace] = {}
        self._accounts = accounts
        self._children: dict[TraceId, int] = {}
        self._fragments: set[TraceId] = set()
        self._judged: set[TraceId] = set()

    def next_id(self, parent: TraceId) -> TraceId:
        """The id of the next child of ``parent``; the parent of prompts is the empty id."""
        number = self._children.get(parent, 0)
        self._children[parent] = number + 1
        return (*parent, number)

    def keep(self, trace: Trace, *, fragment: bool = False, judged: bool = False) -> Trace:
        """Put ``trace`` into the tree, replacing the one with its id; ``judged`` marks a judge's reply."""
        if fragment:
            self._fragments.add(trace.id)
        if judged:
            self._judged.add(trace.id)
        self.traces[trace.id] = trace
        self._accounts.reach(trace.sequential)
        return trace

    def set_aside(self, trace: Trace) -> None:
        """``trace`` was continued elsewhere: it counts as a fragment from now on."""
        self._fragments.add(trace.id)

    def adopt(self, traces: Iterable[Trace]) -> None:
        """Make the traces of an unpickled search known here, so that they can be continued."""
        for trace in traces:
            for node in trace.lineage:
                if self.traces.get(node.id) is node:
                    break
                self.traces[node.id] = node
                number = self._children.get(node.id[:-1], 0)
                self._children[node.id[:-1]] = max(number, node.id[-1] + 1)

    def is_fragment(self, trace: Trace) -> bool:
        """Whether ``trace``, or one that it grew from, grew only for another trace."""
        return bool(self._fragments) and any(trace.id[:end] in self._fragments for end in range(1, len(trace.id) + 1))

    def leaves(self, belongs: Belongs) -> list[Trace]:
        """Sampled traces that no sampled one continues, in order of ids, without fragments and judges' replies."""
        return _ends([t for t in self._solutions(belongs) if not self.is_fragment(t)])

    def fragments(self, belongs: Belongs) -> list[Trace]:
        """Sampled fragments that no other fragment continues, in order of their ids."""
        return _ends([t for t in self._solutions(belongs) if self.is_fragment(t)])

    def judgements(self, belongs: Belongs) -> list[Trace]:
        """The replies of judges, in order of their ids; the pieces of one reply count as one."""
        return _ends([t for t in self._sampled(belongs) if t.id in self._judged])

    def errors(self) -> list[str]:
        """Why requests failed for good, in order of their traces' ids."""
        return [str(t.segment.reason) for _, t in sorted(self.traces.items()) if t.finish == "error"]

    def _solutions(self, belongs: Belongs) -> list[Trace]:
        return [t for t in self._sampled(belongs) if t.id not in self._judged]

    def _sampled(self, belongs: Belongs) -> list[Trace]:
        return [t for _, t in sorted(self.traces.items()) if t.segment.origin == "sampled" and belongs(t)]


def _ends(sampled: list[Trace]) -> list[Trace]:
    """Those of ``sampled`` that no other one continues."""
    continued: set[TraceId] = set()
    for trace in sampled:
        node = trace.parent
        while node is not None and node.id not in continued:
            continued.add(node.id)
            node = node.parent
    return [t for t in sampled if t.id not in continued]
