"""What a run file holds of one finished problem: the rows of its trace tree, and those of its grades."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from widthwise.core.arrays import IntArray
from widthwise.core.plain_json import well_formed
from widthwise.core.trace.trace import Trace, TraceId, name
from widthwise.evals.store.database import Database
from widthwise.evals.store.outcome import Graded, Outcome
from widthwise.evals.store.part_grades import parts_of_grades
from widthwise.evals.store.segment_rows import COLUMNS, parse, segment_row, to_json

INSERT_SEGMENT = f"INSERT OR REPLACE INTO segments ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"


def write_tree(
    database: Database, outcome: Outcome, traces: Sequence[Trace], ends: Callable[[Trace], IntArray | None]
) -> None:
    """Write the tree of ``traces``, except for what the journal already holds; in the caller's transaction."""
    problem_id, db = outcome.problem.id, database.connection
    nodes = _nodes(traces)
    stored = _stored(database, problem_id, nodes)
    if outcome.state == "done":
        # What an interrupted attempt began and this one did not need. After an error it may yet be used.
        kept = {name(trace_id) for trace_id in stored}
        rows = db.execute("SELECT trace FROM segments WHERE problem = ?", (problem_id,)).fetchall()
        gone = [(problem_id, row["trace"]) for row in rows if row["trace"] not in kept]
        db.executemany("DELETE FROM segments WHERE problem = ? AND trace = ?", gone)
    new = [node for trace_id, node in sorted(nodes.items()) if trace_id not in stored]
    db.executemany(INSERT_SEGMENT, (segment_row(problem_id, node, ends(node)) for node in new))


def _nodes(traces: Sequence[Trace]) -> dict[TraceId, Trace]:
    """All nodes of the tree; for a trace that was probed while it grew, its final version."""
    nodes: dict[TraceId, Trace] = {}
    for node in (node for trace in traces for node in trace.lineage):
        known = nodes.get(node.id)
        if known is None or _progress(node) > _progress(known):
            nodes[node.id] = node
    return nodes


def _progress(node: Trace) -> tuple[int, bool]:
    return len(node.segment), node.finish is not None


def write_grades(database: Database, outcome: Outcome) -> None:
    """Write a problem's answers and their grades; in the caller's transaction."""
    problem_id, db = outcome.problem.id, database.connection
    db.execute("DELETE FROM traces WHERE problem = ?", (problem_id,))
    db.executemany(
        "INSERT INTO traces (problem, trace, finish, tokens, answer, correct, class) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (problem_id, name(t.id), t.finish, t.tokens, clean(t.answer), _whole(t.correct), t.vote)
            for t in outcome.leaves
        ],
    )
    winner = None if outcome.trace is None else name(outcome.trace)
    answer = (problem_id, clean(outcome.answer), _whole(outcome.correct), outcome.tied, winner)
    db.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?)", answer)
    fields = to_json({**outcome.fields, **parts_of_grades(outcome)})
    db.execute("UPDATE problems SET fields = ? WHERE id = ?", (fields, problem_id))


def _whole(correct: Graded) -> bool | None:
    """What the column holds: an answer that is right in part is not right there (see ``parts_of_grades``)."""
    return None if correct is None else correct is True


def clean(value: Any) -> Any:
    """A column's value in a form that SQLite can store."""
    return well_formed(value) if isinstance(value, str) else value


def _stored(database: Database, problem_id: str, nodes: Mapping[TraceId, Trace]) -> set[TraceId]:
    """Which nodes the journal already holds, exactly as they are."""
    query = "SELECT * FROM segments WHERE problem = ? AND finish IN ('stop', 'length')"
    stored = set()
    for row in database.rows(query, problem_id):
        node = nodes.get(parse(row["trace"]))
        if node is not None and row["params"] and _agree(node, row):
            stored.add(parse(row["trace"]))
    return stored


def _agree(node: Trace, row: sqlite3.Row) -> bool:
    """Whether a row matches the node's current state: a search may have scored or pruned it, or made it wait, since."""
    segment = node.segment
    facts = segment_row("", node)[-2:]
    now = (segment.params, segment.seed, segment.finish, node.sequential, *facts)
    return now == (row["params"], row["seed"], row["finish"], row["sequential"], row["metadata"], row["facts"])
