"""The trace tree: segments of tokens, and traces as paths through them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import numpy as np

from widthwise.core import notebook
from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.backend import TokenStats, Usage
from widthwise.core.brief import Brief, brief, counted
from widthwise.core.conversation import Conversation
from widthwise.core.errors import UsageError

SegmentOrigin = Literal["prompt", "sampled", "inserted"]

Finish = Literal["stop", "length", "pruned", "budget", "aborted", "error", "joined"]
"""Why a sampled segment ended. "stop" and "length" come from the backend; "pruned" by a pruner, "budget" by a limit,
"aborted" because the strategy left the stream, "error" because the request failed for good. No segment is "joined": a
run's list of traces uses the word for threads.
"""

TraceId = tuple[int, ...]

MODEL = "model"
"""Key in a prompt's metadata: the name of the model for which it was written, in a run with several."""

_JOINTS = ("closed", "again", "said")
_OPENINGS = ("left out", "spent")


@dataclass(frozen=True, slots=True, eq=False)
class Segment(Brief):
    """A run of tokens with one origin.

    ``token_ids`` ``int64 [t]`` are the truth, ``text`` is what they spell. ``stats`` covers sampled tokens. ``finish``
    is None for prompts, insertions and a segment still being sampled. ``reason`` gives details: the stop string or stop
    token, the pruner's words, the error's sentence. ``params`` is a digest of the request that sampled it. ``metadata``
    is what a recording knows (``reward`` ...). For inserted segments it says how they came about: ``after`` which other
    traces, as which ``thread``, for which ``question``, and what a budget did to its ``thought``
    (``core/session/thoughts.py``). ``conversation`` is what a prompt spells; None if it was made from no conversation
    or read from a file.
    """

    origin: SegmentOrigin
    token_ids: IntArray
    text: str
    stats: TokenStats | None = None
    finish: Finish | None = None
    reason: str | int | None = None
    seed: int | None = None
    usage: Usage | None = None
    params: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    conversation: Conversation | None = None

    def __post_init__(self) -> None:
        if self.stats is not None and len(self.stats.logprobs) != len(self.token_ids):
            raise ValueError(f"{len(self.stats.logprobs)} logprobs for {len(self.token_ids)} tokens")
        if self.finish is not None and self.origin != "sampled":
            raise ValueError(f"a segment that was {self.origin} has no finish")

    def __len__(self) -> int:
        return len(self.token_ids)

    def __repr__(self) -> str:
        end = f", {self.finish}" if self.finish else ""
        return f"Segment({self.origin}{end}, {counted(len(self), 'token')}, {brief(self.text)})"


class TraceWait(NamedTuple):
    """A piece of a trace that something else had to wait for: the first ``tokens`` of a segment.

    The segment is the last one of ``trace``.
    """

    trace: TraceId
    tokens: int


@dataclass(frozen=True, slots=True, eq=False)
class Trace(Brief):
    """A path of segments from a prompt to a leaf; it compares by identity and is named by ``id``.

    ``id`` is the position in the problem's tree: the root's number, then the child number at every fork. ``sequential``
    is the critical path: how many tokens had to be sampled one after another before this trace's end could be known,
    including those of other traces that it waited for. ``waited`` is what a sampled segment waited for last, if that
    was later than the parent's end. ``stated`` holds its answer, once that was read.
    """

    id: TraceId
    segment: Segment
    parent: Trace | None = None
    sequential: int = 0
    waited: TraceWait | None = None
    stated: tuple[str | None] | None = None

    @property
    def answer(self) -> str | None:
        """The answer that a trace of a result or a run states; None if it states none, was pruned or failed.

        Raises ``UsageError`` while a strategy works: then its session reads answers.
        """
        if self.stated is None:
            raise UsageError("what a trace answers is not read yet: in a strategy it is session.answer(trace)")
        return self.stated[0]

    def stating(self, answer: str | None) -> Trace:
        """This trace with the answer that was read in it."""
        return replace(self, stated=(answer,))

    @property
    def lineage(self) -> Iterator[Trace]:
        """This trace and those it grew from, the prompt last."""
        node: Trace | None = self
        while node is not None:
            yield node
            node = node.parent

    @property
    def path(self) -> list[Segment]:
        """The segments from the prompt to this trace's end."""
        return [node.segment for node in self.lineage][::-1]

    @property
    def beginning(self) -> Trace:
        """The prompt that the trace begins with."""
        *_, prompt = self.lineage
        return prompt

    @property
    def model(self) -> str:
        """The name of the model for which its prompt was written; empty in a run with a single model."""
        return str(self.beginning.segment.metadata.get(MODEL, ""))

    @property
    def head(self) -> Trace:
        """The first piece of what was drawn: a thinking budget may have inserted something between the pieces."""
        node = self
        while (joint := node.parent) is not None and joint.segment.metadata.get("thought") in _JOINTS and joint.parent:
            node = joint.parent
        return node

    @property
    def stem(self) -> Trace | None:
        """The trace that a draw was asked to continue when it produced this one; None for a prompt."""
        parent = self.head.parent
        if parent is not None and parent.segment.metadata.get("thought") in _OPENINGS:
            return parent.parent
        return parent

    @property
    def pieces(self) -> list[Segment]:
        """What follows the ``stem``: one sampled segment, unless a thinking budget inserted something."""
        stem, found = self.stem, list[Segment]()
        for node in self.lineage:
            if node is stem:
                break
            found.append(node.segment)
        return found[::-1]

    @property
    def drawn(self) -> int:
        """How many tokens were sampled after the ``stem``."""
        return sum(len(piece) for piece in self.pieces if piece.origin == "sampled")

    @property
    def token_ids(self) -> IntArray:
        """All token ids from the prompt's first on, ``int64 [length]``."""
        return np.concatenate([s.token_ids for s in self.path])

    @property
    def completion(self) -> str:
        """The text after the prompt: sampled and inserted."""
        return "".join(s.text for s in self.path if s.origin != "prompt")

    @property
    def conversation(self) -> Conversation | None:
        """The conversation that the trace's prompt spells, continued by what came after it."""
        begun = self.beginning.segment.conversation
        return None if begun is None else begun.continued(self.completion)

    @property
    def tokens(self) -> int:
        """How many tokens of this trace were sampled."""
        return sum(len(s) for s in self.path if s.origin == "sampled")

    @property
    def logprobs(self) -> FloatArray:
        """Log-probabilities of the sampled tokens, ``float32 [tokens]``; empty if none were recorded."""
        known = [s.stats.logprobs for s in self.path if s.stats is not None]
        return np.concatenate(known) if known else np.empty(0, np.float32)

    @property
    def finish(self) -> Finish | None:
        """Why the trace ended; None while it grows."""
        return self.segment.finish

    @property
    def grows(self) -> bool:
        """Whether its last segment is being sampled."""
        return self.finish is None and self.segment.origin == "sampled"

    @property
    def metadata(self) -> dict[str, Any]:
        """What recordings know about the segments; later segments override earlier ones."""
        merged: dict[str, Any] = {}
        for segment in self.path:
            merged.update(segment.metadata)
        return merged

    def annotated(self, facts: Mapping[str, Any]) -> Trace:
        """This trace with ``facts`` in its last segment's metadata."""
        return replace(self, segment=replace(self.segment, metadata={**self.segment.metadata, **facts}))

    def ended(self, finish: Finish, reason: str) -> Trace:
        """This trace with another reason for its end."""
        return replace(self, segment=replace(self.segment, finish=finish, reason=reason))

    def _repr_html_(self) -> str:
        colours = {"prompt": "#555", "sampled": "inherit", "inserted": "#0072b2"}
        pieces = [notebook.block(segment.text, f"color: {colours[segment.origin]}") for segment in self.path]
        end = f"{self.finish or 'open'}, {counted(self.tokens, 'token')}"
        return notebook.heading(f"trace {name(self.id)}: {end}") + "".join(pieces)

    def __repr__(self) -> str:
        tokens = counted(self.tokens, "token")
        return f"Trace({name(self.id)}, {self.finish or 'open'}, {tokens}, {brief(self.completion)})"


def name(trace_id: TraceId) -> str:
    """A trace id as people and the store write it: ``0.3.1``."""
    return ".".join(map(str, trace_id))


class TraceNote(NamedTuple):
    """Something unusual about a trace that a strategy noticed."""

    trace: TraceId
    text: str
