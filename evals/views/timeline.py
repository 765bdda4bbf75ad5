"""What happened when, on the axis of sequential tokens: threads, rounds and joins of one problem."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from widthwise.core.brief import Brief
from widthwise.core.trace.trace import Finish, Trace, TraceId, TraceNote, TraceWait, name
from widthwise.evals.store.row_values import notes_of
from widthwise.evals.store.segment_rows import parse, seen, spelled
from widthwise.evals.store.store import Store


@dataclass(frozen=True, slots=True)
class Bar:
    """One piece that was sampled without a break, from sequential token ``start`` to ``end``, and why it ended.

    ``waited`` is the piece of another trace that it waited for, if that ended later than the piece it continues.
    """

    trace: TraceId
    start: int
    end: int
    finish: Finish | None
    reason: str | int | None
    waited: TraceWait | None = None


@dataclass(slots=True)
class Lane(Brief):
    """One sequence of tokens: a whole trace, a thread, a draft, a judge's reply.

    ``question`` is what its prompt asks, ``thread`` its number in the block that spawned it, ``outline`` the text it
    was given. ``depth`` says how deep it is nested. ``round`` is 1, or one more than that of the traces its prompt was
    made from (``after``).
    """

    id: TraceId
    question: str | None
    thread: str | None = None
    outline: str = ""
    depth: int = 0
    round: int = 1
    after: tuple[TraceId, ...] = ()
    bars: list[Bar] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        return sum(bar.end - bar.start for bar in self.bars)

    @property
    def end(self) -> int:
        return self.bars[-1].end


def lanes_of(store: Store, problem_id: str) -> list[Lane]:
    """The lanes of one problem, from the run file alone."""
    noted = notes_of(store.outcome(problem_id).fields)
    return timeline(store.tree(problem_id), [TraceNote(trace, text) for trace, text in noted])


def lane_row(lane: Lane) -> dict[str, Any]:
    """A lane as plain values, its ids as the store writes them."""
    bars = [
        {**asdict(bar), "trace": name(bar.trace), "waited": bar.waited and spelled(bar.waited)} for bar in lane.bars
    ]
    return {
        **asdict(lane),
        "id": name(lane.id),
        "after": [name(trace) for trace in lane.after],
        "tokens": lane.tokens,
        "bars": bars,
    }


def timeline(tree: Mapping[TraceId, Trace], notes: Sequence[TraceNote] = ()) -> list[Lane]:
    """The lanes of a problem's trace tree, in order of their ids, threads after the trace that spawned them."""
    lanes: dict[TraceId, Lane] = {}
    for trace in (t for _, t in sorted(tree.items()) if t.segment.origin == "sampled"):
        lane = _lane(trace, tree, lanes)
        segment = trace.segment
        start = trace.sequential - len(segment)
        lane.bars.append(Bar(trace.id, start, trace.sequential, segment.finish, segment.reason, trace.waited))
        lanes[trace.id] = lane
    for note in notes:
        if note.trace in lanes:
            lanes[note.trace].notes.append(note.text)
    return list({lane.id: lane for lane in lanes.values()}.values())


def _lane(trace: Trace, tree: Mapping[TraceId, Trace], lanes: Mapping[TraceId, Lane]) -> Lane:
    """The lane that ``trace``'s last segment belongs to: that of the piece it continues, or a new one."""
    before, inserted = _before(trace, tree)
    header = next((t.segment.metadata for t in inserted if "thread" in t.segment.metadata), None)
    spawner = None if before is None else lanes.get(before.id)
    if spawner is not None and before is not None and header is None and spawner.bars[-1].trace == before.id:
        return spawner
    prompt = trace.path[0].metadata
    after = tuple(map(seen, prompt.get("after", ())))
    earlier = spawner.round if spawner is not None else _last_round(after, lanes)
    return Lane(
        trace.id,
        prompt.get("question"),
        thread=None if header is None else header["thread"],
        outline="" if header is None else header.get("outline", ""),
        depth=sum("thread" in segment.metadata for segment in trace.path),
        # A thread with a separate prompt works in its parent's round.
        round=earlier if header is not None or spawner is not None else earlier + 1,
        after=after,
    )


def _before(trace: Trace, tree: Mapping[TraceId, Trace]) -> tuple[Trace | None, list[Trace]]:
    """The sampled piece that ``trace`` continues, if any, and what was inserted between."""
    inserted: list[Trace] = []
    node = trace.parent
    while node is not None and node.segment.origin != "sampled":
        inserted.append(node)
        cut = node.segment.metadata.get("cut")
        node = node.parent if cut is None else tree.get(parse(cut))
    return node, inserted


def _last_round(after: Iterable[TraceId], lanes: Mapping[TraceId, Lane]) -> int:
    return max((lanes[t].round for t in after if t in lanes), default=0)
