"""The run store: one crash-safe file that keeps everything a run did."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from widthwise.core.backend import Backend, IntArray, LearningTokenizer, Tokenizer
from widthwise.core.errors import UsageError
from widthwise.core.plain_json import well_formed
from widthwise.core.problem import Problem
from widthwise.core.rewards.reward import StepScores
from widthwise.core.trace.token_ends import token_ends
from widthwise.core.trace.trace import Segment, Trace, TraceId, name
from widthwise.evals.store.configuration import Configuration, difference, digest
from widthwise.evals.store.database import Database, not_begun
from widthwise.evals.store.outcome import Outcome
from widthwise.evals.store.row_values import manifest_of, outcome_of, problem_of, scores_of
from widthwise.evals.store.segment_rows import (
    COLUMNS,
    ends_of,
    parse,
    rebuilt,
    rooted,
    segment_of,
    segment_row,
    to_json,
)

Ends = Mapping[TraceId, IntArray | None]
"""Characters of a segment's text up to each token's end, ``int64 [t]``, by the segment's trace id."""

_INSERT = f"INSERT OR REPLACE INTO segments ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"

_COMPARED = {"problems": "id", "segments": "problem", "traces": "problem", "answers": "problem"}
"""The tables that equal runs agree on, and their column with the problem's id."""

_MODELS = {"reward_model": "reward model", "embedding_model": "embedding model"}

_ENGINE_STATE = frozenset({"prompt_cached", "prompt_computed"})
"""Columns that depend on what else the engine was doing."""


class Store:
    """One run's file. It is a ``Journal``: sessions write finished generations to it as they come.

    Open it with ``begin`` (a run: new, or continued with the same configuration), ``edit`` or ``read``; each
    raises ``UsageError`` for what is no run file and ``StoreError`` where the file cannot be used.
    """

    def __init__(self, database: Database) -> None:
        self.path = database.path
        self._db = database
        self._tokenizer: Tokenizer | None = None
        self._attempt: int | None = None

    @classmethod
    def begin(
        cls,
        path: str | Path,
        configuration: Configuration,
        problems: Iterable[Problem],
        about: Mapping[str, Any] | None = None,
    ) -> Store:
        """A new run in ``path``, or the one there, to be continued, if it has the same ``configuration``.

        ``about`` is kept in the manifest beside it (versions ...) and decides nothing.
        """
        store = cls(Database(Path(path), write=True, create=True))
        try:
            store._begin(configuration, list(problems), about or {})
        except BaseException:
            store.close()
            raise
        return store

    @classmethod
    def read(cls, path: str | Path) -> Store:
        """A run to look at, whether it is finished or still being written."""
        return cls(Database(Path(path), write=False))._begun()

    @classmethod
    def edit(cls, path: str | Path) -> Store:
        """A run whose grades are to be changed; a damaged one is refused before anything of it is touched."""
        with cls.read(path) as store:
            store.check()
        return cls(Database(Path(path), write=True))._begun()

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- writing -------------------------------------------------------------------------------------------

    def start_attempt(self, backend: Backend) -> None:
        """Note that ``backend`` samples from now on.

        Its description goes to the manifest. Its tokenizer tells where each token ends in the text, which makes
        exports replayable token by token. Raises ``UsageError`` if the model's weights are not those that the
        run was begun with.
        """
        about = backend.describe()
        self._check_weights("backend", about)
        self._tokenizer = backend.tokenizer
        with self._db.transaction() as db:
            self._attempt = db.execute("INSERT INTO attempts (began) VALUES (?)", (_now(),)).lastrowid
            self._note("backend", about)

    def note(self, about: Mapping[str, Any]) -> None:
        """Add descriptions of the models that judge to the manifest; ``UsageError`` for other weights than before."""
        for key, value in about.items():
            self._check_weights(key, value)
        with self._db.transaction():
            for key, value in about.items():
                self._note(key, value)

    def recorded(self, problem_id: str, trace_id: TraceId, params: str, seed: int) -> Segment | None:
        """The generation finished earlier at this place of the tree, by this very request; else None."""
        query = "SELECT * FROM segments WHERE problem = ? AND trace = ? AND params = ? AND seed = ?"
        rows = self._db.rows(query, problem_id, name(trace_id), params, seed)
        if not rows or rows[0]["finish"] not in ("stop", "length"):
            return None
        with self._db.decoding():
            segment, ends = segment_of(rows[0]), ends_of(rows[0])
        if isinstance(self._tokenizer, LearningTokenizer) and ends is not None:
            self._tokenizer.learn(segment.text, ends)
        return segment

    def record(self, problem_id: str, trace: Trace) -> None:
        """Keep ``trace``'s last segment; it is stored when this returns."""
        with self._db.transaction() as db:
            db.execute(_INSERT, segment_row(problem_id, trace, self._ends(trace)))

    def recorded_scores(self, problem_id: str, key: str) -> StepScores | None:
        """What the reward model said earlier of the solution that ``key`` names; None if that was an error."""
        if not self._db.has_scores:
            return None
        row = self._one("SELECT * FROM scores WHERE problem = ? AND key = ? AND error IS NULL", problem_id, key)
        with self._db.decoding():
            return None if row is None else scores_of(row)

    def record_scores(self, problem_id: str, scores: Sequence[tuple[TraceId, str, StepScores]]) -> None:
        """Keep what the reward model said of traces, all in one transaction; it is stored when this returns."""
        rows = [
            (
                problem_id,
                key,
                name(trace_id),
                None if s.steps is None else json.dumps(s.steps),
                s.tokens,
                _clean(s.error),
            )
            for trace_id, key, s in scores
        ]
        with self._db.transaction() as db:
            db.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?, ?, ?)", rows)

    def finish(
        self, outcome: Outcome, traces: Sequence[Trace], *, seconds: float | None = None, ends: Ends | None = None
    ) -> None:
        """Keep a problem's outcome and the tree of ``traces`` behind it, all in one transaction.

        ``seconds``: wall-clock of this attempt so far. ``ends``: where the tokens of each segment end in its text,
        where the store's tokenizer does not know.
        """
        problem_id = outcome.problem.id
        with self._db.transaction() as db:
            self._write_tree(outcome, traces, ends or {})
            self._write_grades(outcome)
            fields = (outcome.state, to_json(outcome.fields), problem_id)
            db.execute("UPDATE problems SET state = ?, fields = ? WHERE id = ?", fields)
            spent = json.dumps(outcome.ledger.asdict())
            db.execute("INSERT OR REPLACE INTO ledgers VALUES (?, ?)", (problem_id, spent))
            failures = [(problem_id, self._attempt, well_formed(reason)) for reason in outcome.errors]
            db.executemany("INSERT INTO errors VALUES (?, ?, ?)", failures)
            if seconds is not None:
                db.execute("UPDATE attempts SET seconds = ? WHERE id = ?", (seconds, self._attempt))

    def regrade(self, outcome: Outcome) -> None:
        """Replace a problem's answers and grades by those of ``outcome``."""
        with self._db.transaction():
            self._write_grades(outcome)

    def end_attempt(self, seconds: float) -> None:
        """Note the wall-clock of this attempt."""
        with self._db.transaction() as db:
            db.execute("UPDATE attempts SET seconds = ? WHERE id = ?", (seconds, self._attempt))

    # -- reading -------------------------------------------------------------------------------------------

    @property
    def manifest(self) -> dict[str, Any]:
        """What kind of run this is: ``configuration``, ``digest``, ``created``, versions and notes."""
        with self._db.decoding():
            return manifest_of(self._db.rows("SELECT * FROM manifest"))

    @property
    def seconds(self) -> float:
        """Wall-clock of all attempts together."""
        return float(sum(row["seconds"] for row in self._db.rows("SELECT seconds FROM attempts")))

    def scores(self, problem_id: str) -> list[tuple[TraceId, StepScores]]:
        """What the reward model said of a problem's traces, errors too, in the order of the traces."""
        if not self._db.has_scores:
            return []
        rows = self._db.rows("SELECT * FROM scores WHERE problem = ? ORDER BY rowid", problem_id)
        with self._db.decoding():
            return sorted(((parse(row["trace"]), scores_of(row)) for row in rows), key=lambda entry: entry[0])

    def is_finished(self, configuration: Configuration) -> bool:
        """Whether nothing is left to do of the run of ``configuration``; ``UsageError`` where this is another run."""
        states = [row["state"] for row in self._db.rows("SELECT state FROM problems")]
        return self._is_begun(configuration) and all(state == "done" for state in states)

    def problems(self) -> list[Problem]:
        """The run's problems in the suite's order."""
        with self._db.decoding():
            return [problem_of(row) for row in self._db.rows("SELECT * FROM problems ORDER BY position")]

    def outcomes(self) -> Iterator[Outcome]:
        """What came out for each problem, in the suite's order, one at a time; no texts are loaded."""
        for row in self._db.rows("SELECT * FROM problems ORDER BY position"):
            yield self._outcome(row)

    def outcome(self, problem_id: str) -> Outcome:
        """What came out for one problem; raises ``UsageError`` if the run has no such problem."""
        rows = self._db.rows("SELECT * FROM problems WHERE id = ?", problem_id)
        if not rows:
            raise UsageError(f"{self.path} has no problem {problem_id!r}")
        return self._outcome(rows[0])

    def traces(self, problem_id: str) -> list[Trace]:
        """A problem's traces (the leaves of its tree), with all their tokens, in order of their ids."""
        tree = self.tree(problem_id)
        leaves = self._db.rows("SELECT * FROM traces WHERE problem = ?", problem_id)
        with self._db.decoding():
            return [rooted(tree, leaf) for leaf in sorted(parse(row["trace"]) for row in leaves)]

    def tree(self, problem_id: str) -> dict[TraceId, Trace]:
        """All of a problem's trace tree by ids, prompts and insertions included."""
        with self._db.decoding():
            return rebuilt(self._db.rows("SELECT * FROM segments WHERE problem = ?", problem_id))

    def token_ends(self, problem_id: str) -> Ends:
        """Where the tokens of each segment of a problem end in its text."""
        rows = self._db.rows("SELECT trace, token_ends FROM segments WHERE problem = ?", problem_id)
        with self._db.decoding():
            return {parse(row["trace"]): ends_of(row) for row in rows}

    def check(self) -> None:
        """Read everything; raises ``StoreError`` for the first thing that makes no sense."""
        for outcome in self.outcomes():
            self.traces(outcome.problem.id)
            self.token_ends(outcome.problem.id)
            self.scores(outcome.problem.id)

    def dump(self) -> Iterator[str]:
        """Everything that two equal runs have in common, as text, one line a row.

        Left out are wall-clock, whether a prompt token was computed or found in a cache, and how many tokens were
        resident at a time: all depend on what else was going on.
        """
        yield "configuration " + json.dumps(self.manifest["configuration"], sort_keys=True)
        for outcome in self.outcomes():
            problem_id = outcome.problem.id
            scored = {"scores": "problem"} if self._db.has_scores else {}
            for table, key in {**_COMPARED, **scored}.items():
                for row in self._db.rows(f"SELECT * FROM {table} WHERE {key} = ? ORDER BY 2", problem_id):
                    values = {k: _shown(v) for k, v in zip(row.keys(), row, strict=True) if k not in _ENGINE_STATE}
                    yield f"{table} {json.dumps(values, sort_keys=True)}"
            ledger = replace(
                outcome.ledger, prompt_cached=0, prompt_computed=0, seconds=0.0, retries=0, kv_peak=0, kv_mean=0.0
            )
            yield f"ledger {problem_id} {json.dumps(ledger.asdict())} {json.dumps(outcome.errors)}"

    # -- inside --------------------------------------------------------------------------------------------

    def _begin(self, configuration: Configuration, problems: list[Problem], about: Mapping[str, Any]) -> None:
        if self._is_begun(configuration):
            return
        plain = json.loads(to_json(configuration))
        with self._db.transaction() as db:
            for key, value in {"configuration": plain, "digest": digest(plain), "created": _now(), **about}.items():
                self._note(key, value)
            db.executemany(
                "INSERT INTO problems (id, position, text, answer, metadata) VALUES (?, ?, ?, ?, ?)",
                [(*map(_clean, (p.id, i, p.text, p.answer)), to_json(p.metadata)) for i, p in enumerate(problems)],
            )

    def _begun(self) -> Store:
        """This store; closed, with ``NotBegun``, where no run was noted in it."""
        try:
            if "configuration" not in self.manifest:
                raise not_begun(self.path)
        except BaseException:
            self.close()
            raise
        return self

    def _is_begun(self, configuration: Configuration) -> bool:
        """Whether the file holds this run; ``UsageError`` where it holds another."""
        known, plain = self.manifest.get("configuration"), json.loads(to_json(configuration))
        if known is not None and known != plain:
            raise UsageError(
                f"{self.path} holds a run with other settings ({difference(known, plain)}): name another file "
                "with --run, or use the old settings"
            )
        return known is not None

    def _check_weights(self, key: str, about: Mapping[str, Any]) -> None:
        before, now = self.manifest.get(key, {}).get("model_digest"), about.get("model_digest")
        if before and now and before != now:
            raise UsageError(
                f"{self.path} was begun with other weights of the same {_MODELS.get(key, 'model')} ({before[:12]}, now "
                f"{now[:12]}); choose another --run, or bring the old weights back"
            )

    def _note(self, key: str, value: Any) -> None:
        self._db.connection.execute("INSERT OR REPLACE INTO manifest VALUES (?, ?)", (key, to_json(value)))

    def _stored(self, problem_id: str, nodes: Mapping[TraceId, Trace]) -> set[TraceId]:
        """Which nodes the journal holds already, just as they are."""
        query = "SELECT * FROM segments WHERE problem = ? AND finish IN ('stop', 'length')"
        stored = set()
        for row in self._db.rows(query, problem_id):
            node = nodes.get(parse(row["trace"]))
            if node is not None and row["params"] and _agree(node, row):
                stored.add(parse(row["trace"]))
        return stored

    def _write_tree(self, outcome: Outcome, traces: Sequence[Trace], ends: Ends) -> None:
        problem_id = outcome.problem.id
        nodes = {node.id: node for trace in traces for node in trace.lineage}
        stored = self._stored(problem_id, nodes)
        db = self._db.connection
        if outcome.state == "done":
            # What an interrupted attempt began and this one did without. After an error it may yet be used.
            kept = {name(trace_id) for trace_id in stored}
            rows = db.execute("SELECT trace FROM segments WHERE problem = ?", (problem_id,)).fetchall()
            gone = [(problem_id, row["trace"]) for row in rows if row["trace"] not in kept]
            db.executemany("DELETE FROM segments WHERE problem = ? AND trace = ?", gone)
        new = [node for trace_id, node in sorted(nodes.items()) if trace_id not in stored]
        db.executemany(_INSERT, (segment_row(problem_id, n, ends.get(n.id, self._ends(n))) for n in new))

    def _ends(self, trace: Trace) -> IntArray | None:
        segment = trace.segment
        if self._tokenizer is None or segment.origin == "prompt":
            return None
        return token_ends(self._tokenizer, segment.token_ids, segment.text)

    def _write_grades(self, outcome: Outcome) -> None:
        problem_id, db = outcome.problem.id, self._db.connection
        db.execute("DELETE FROM traces WHERE problem = ?", (problem_id,))
        db.executemany(
            "INSERT INTO traces (problem, trace, finish, tokens, answer, correct, class) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(problem_id, name(t.id), t.finish, t.tokens, _clean(t.answer), t.correct, t.vote) for t in outcome.leaves],
        )
        winner = None if outcome.trace is None else name(outcome.trace)
        answer = (problem_id, _clean(outcome.answer), outcome.correct, outcome.tied, winner)
        db.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?)", answer)

    def _outcome(self, row: sqlite3.Row) -> Outcome:
        problem_id = row["id"]
        traces = self._db.rows("SELECT * FROM traces WHERE problem = ?", problem_id)
        answer = self._one("SELECT * FROM answers WHERE problem = ?", problem_id)
        spent = self._one("SELECT * FROM ledgers WHERE problem = ?", problem_id)
        errors = self._errors(problem_id) if row["state"] == "error" else ()
        with self._db.decoding():
            return outcome_of(row, traces, answer, spent, errors)

    def _errors(self, problem_id: str) -> tuple[str, ...]:
        """What failed in the last attempt at a problem."""
        query = (
            "SELECT reason FROM errors WHERE problem = ?1 "
            "AND attempt IS (SELECT max(attempt) FROM errors WHERE problem = ?1) ORDER BY rowid"
        )
        return tuple(row["reason"] for row in self._db.rows(query, problem_id))

    def _one(self, query: str, *values: object) -> sqlite3.Row | None:
        return next(iter(self._db.rows(query, *values)), None)


def compare(a: Store, b: Store) -> list[str]:
    """Where two runs differ, one line each, ``-`` for what only ``a`` says; empty for equal runs."""
    ours, theirs = list(a.dump()), list(b.dump())
    only_ours, only_theirs = set(ours) - set(theirs), set(theirs) - set(ours)
    return [f"- {line}" for line in ours if line in only_ours] + [f"+ {line}" for line in theirs if line in only_theirs]


def _clean(value: Any) -> Any:
    """A column's value that SQLite can store."""
    return well_formed(value) if isinstance(value, str) else value


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _agree(node: Trace, row: sqlite3.Row) -> bool:
    """Whether a row says what is known of the node now: a search may have scored, pruned or made it wait since."""
    segment = node.segment
    now = (segment.params, segment.seed, segment.finish, node.sequential, to_json(segment.metadata))
    return now == (row["params"], row["seed"], row["finish"], row["sequential"], row["metadata"])


def _shown(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value
