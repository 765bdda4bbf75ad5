"""The run store: one crash-safe file that keeps everything a run did."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from widthwise.core.arrays import IntArray
from widthwise.core.backend import Backend, LearningTokenizer, Tokenizer
from widthwise.core.errors import UsageError
from widthwise.core.plain_json import well_formed
from widthwise.core.problem import Problem
from widthwise.core.rewards.reward import StepScores
from widthwise.core.secrets import harmless
from widthwise.core.trace.token_ends import token_ends
from widthwise.core.trace.trace import Segment, Trace, TraceId, name
from widthwise.evals.store.configuration import Configuration, difference, digest, entry_of
from widthwise.evals.store.contents import contents
from widthwise.evals.store.database import Database, not_begun
from widthwise.evals.store.outcome import Outcome, OutcomeState
from widthwise.evals.store.problem_rows import INSERT_SEGMENT, clean, write_grades, write_tree
from widthwise.evals.store.row_values import manifest_of, outcome_of, problem_of, scores_of
from widthwise.evals.store.segment_rows import ends_of, parse, rebuilt, rooted, segment_of, segment_row, to_json

Ends = Mapping[TraceId, IntArray | None]
"""Characters of a segment's text up to each token's end, ``int64 [t]``, by the segment's trace id."""

_MODELS = {"reward_model": "reward model", "embedding_model": "embedding model"}


class Store:
    """One run's file. It is a ``Journal``: sessions write finished generations to it as they come.

    Open it with ``begin`` (a run: new, or continued with the same configuration), ``edit`` or ``read``; each raises
    ``UsageError`` for a file that is not a run file and ``StoreError`` if the file cannot be used.
    """

    def __init__(self, database: Database) -> None:
        self.path = database.path
        self._db = database
        self._tokenizers: dict[str, Tokenizer] = {}
        self._attempt: int | None = None

    @classmethod
    def begin(
        cls,
        path: str | Path,
        configuration: Configuration,
        problems: Iterable[Problem],
        about: Mapping[str, Any] | None = None,
    ) -> Store:
        """A new run in ``path``, or, if it has the same ``configuration``, the one there, to be continued.

        ``about`` is kept beside it in the manifest (versions ...) and does not affect anything.
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
        """A run whose grades are to be changed; a damaged one is refused before it is touched."""
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

    def start_attempt(self, backends: Mapping[str, Backend]) -> None:
        """Note that ``backends`` sample from now on, each under its model's name (empty if there is only one).

        Their descriptions go into the manifest. Their tokenizers tell where each token ends in the text, for replays.
        Raises ``UsageError`` if a model's weights differ from those with which the run began.
        """
        about = {entry_of("backend", name, backends): backend.describe() for name, backend in backends.items()}
        self.note(about)
        self._tokenizers = {name: backend.tokenizer for name, backend in backends.items()}
        with self._db.transaction() as db:
            self._attempt = db.execute("INSERT INTO attempts (began) VALUES (?)", (_now(),)).lastrowid

    def note(self, about: Mapping[str, Any]) -> None:
        """Add descriptions of models to the manifest; ``UsageError`` for other weights than before."""
        self._check_weights(about)
        with self._db.transaction():
            for key, value in about.items():
                self._note(key, value)

    def recorded(self, problem_id: str, trace_id: TraceId, params: str, seed: int, model: str = "") -> Segment | None:
        """The generation that this very request finished earlier at this place of the tree; else None."""
        query = "SELECT * FROM segments WHERE problem = ? AND trace = ? AND params = ? AND seed = ?"
        rows = self._db.rows(query, problem_id, name(trace_id), params, seed)
        if not rows or rows[0]["finish"] not in ("stop", "length"):
            return None
        with self._db.decoding():
            segment, ends = segment_of(rows[0]), ends_of(rows[0])
        tokenizer = self._tokenizers.get(model)
        if isinstance(tokenizer, LearningTokenizer) and ends is not None:
            tokenizer.learn(segment.text, ends)
        return segment

    def record(self, problem_id: str, trace: Trace) -> None:
        """Keep ``trace``'s last segment; it is stored when this returns."""
        with self._db.transaction() as db:
            db.execute(INSERT_SEGMENT, segment_row(problem_id, trace, self._ends(trace)))

    def recorded_scores(self, problem_id: str, key: str) -> StepScores | None:
        """What the reward model returned earlier for the solution that ``key`` names; None if that was an error."""
        if not self._db.has_scores:
            return None
        row = self._one("SELECT * FROM scores WHERE problem = ? AND key = ? AND error IS NULL", problem_id, key)
        with self._db.decoding():
            return None if row is None else scores_of(row)

    def record_scores(self, problem_id: str, scores: Sequence[tuple[TraceId, str, StepScores]]) -> None:
        """Keep what the reward model returned for traces, all in one transaction; it is stored when this returns."""
        rows = [
            (
                problem_id,
                key,
                name(trace_id),
                None if s.steps is None else json.dumps(s.steps),
                s.tokens,
                clean(s.error),
            )
            for trace_id, key, s in scores
        ]
        with self._db.transaction() as db:
            db.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?, ?, ?)", rows)

    def finish(
        self, outcome: Outcome, traces: Sequence[Trace], *, seconds: float | None = None, ends: Ends | None = None
    ) -> None:
        """Keep a problem's outcome and the tree of its ``traces``, all in one transaction.

        ``seconds``: wall-clock time of this attempt so far. ``ends``: where the tokens of each segment end in its text,
        if the store's tokenizer does not know.
        """
        problem_id = outcome.problem.id
        with self._db.transaction() as db:
            given = ends or {}
            write_tree(self._db, outcome, traces, lambda node: given.get(node.id, self._ends(node)))
            write_grades(self._db, outcome)
            db.execute("UPDATE problems SET state = ? WHERE id = ?", (outcome.state, problem_id))
            spent = json.dumps(outcome.ledger.record)
            db.execute("INSERT OR REPLACE INTO ledgers VALUES (?, ?)", (problem_id, spent))
            failures = [(problem_id, self._attempt, well_formed(reason)) for reason in outcome.errors]
            db.executemany("INSERT INTO errors VALUES (?, ?, ?)", failures)
            if seconds is not None:
                db.execute("UPDATE attempts SET seconds = ? WHERE id = ?", (seconds, self._attempt))

    def close_problems(self, states: Mapping[str, OutcomeState]) -> None:
        """Set the state of every problem, all in one transaction: what was stored of each as open is its result."""
        with self._db.transaction() as db:
            rows = [(state, problem_id) for problem_id, state in states.items()]
            db.executemany("UPDATE problems SET state = ? WHERE id = ?", rows)

    def regrade(self, outcome: Outcome) -> None:
        """Replace a problem's answers and grades by those of ``outcome``."""
        with self._db.transaction():
            write_grades(self._db, outcome)

    def end_attempt(self, seconds: float) -> None:
        """Note the wall-clock time of this attempt."""
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
        """Wall-clock time of all attempts together."""
        return float(sum(row["seconds"] for row in self._db.rows("SELECT seconds FROM attempts")))

    @property
    def has_facts(self) -> bool:
        """Whether the file has, for every segment, what it waited for."""
        return self._db.has_facts

    def scores(self, problem_id: str) -> list[tuple[TraceId, StepScores]]:
        """What the reward model returned for a problem's traces, errors included, in the order of the traces."""
        if not self._db.has_scores:
            return []
        rows = self._db.rows("SELECT * FROM scores WHERE problem = ? ORDER BY rowid", problem_id)
        with self._db.decoding():
            return sorted(((parse(row["trace"]), scores_of(row)) for row in rows), key=lambda entry: entry[0])

    def is_finished(self, configuration: Configuration) -> bool:
        """Whether the run of ``configuration`` is finished; ``UsageError`` if this is another run."""
        states = [row["state"] for row in self._db.rows("SELECT state FROM problems")]
        return self._is_begun(configuration) and all(state == "done" for state in states)

    def problems(self) -> list[Problem]:
        """The run's problems in the suite's order."""
        with self._db.decoding():
            return [problem_of(row) for row in self._db.rows("SELECT * FROM problems ORDER BY position")]

    def outcomes(self) -> Iterator[Outcome]:
        """The result of each problem, in the suite's order, one at a time; no texts are loaded."""
        for row in self._db.rows("SELECT * FROM problems ORDER BY position"):
            yield self._outcome(row)

    def outcome(self, problem_id: str) -> Outcome:
        """The result of one problem; raises ``UsageError`` if the run has no such problem."""
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
        """All of a problem's trace tree by ids, including prompts and insertions."""
        with self._db.decoding():
            return rebuilt(self._db.rows("SELECT * FROM segments WHERE problem = ?", problem_id))

    def token_ends(self, problem_id: str) -> Ends:
        """Where the tokens of each segment of a problem end in its text."""
        rows = self._db.rows("SELECT trace, text, token_ids, token_ends FROM segments WHERE problem = ?", problem_id)
        with self._db.decoding():
            return {parse(row["trace"]): ends_of(row) for row in rows}

    def check(self) -> None:
        """Read everything; raises ``StoreError`` for the first invalid content."""
        _ = self.seconds
        for outcome in self.outcomes():
            self.traces(outcome.problem.id)
            self.token_ends(outcome.problem.id)
            self.scores(outcome.problem.id)

    def dump(self) -> Iterator[str]:
        """Everything that two equal runs have in common, as text, one line per row (see ``contents``)."""
        return contents(self._db, self.manifest["configuration"], self.outcomes())

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
                [(*map(clean, (p.id, i, p.text, p.answer)), to_json(p.metadata)) for i, p in enumerate(problems)],
            )

    def _begun(self) -> Store:
        """This store; closed, with ``NotBegun``, if no run was noted in it."""
        try:
            if "configuration" not in self.manifest:
                raise not_begun(self.path)
        except BaseException:
            self.close()
            raise
        return self

    def _is_begun(self, configuration: Configuration) -> bool:
        """Whether the file holds this run; ``UsageError`` if it holds another."""
        known, plain = self.manifest.get("configuration"), json.loads(to_json(configuration))
        if known is not None and (other := difference(known, plain)):
            raise UsageError(
                f"{self.path} holds a run with other settings ({other}): name another file "
                "with --run, or use the old settings"
            )
        return known is not None

    def _check_weights(self, about: Mapping[str, Any]) -> None:
        known = self.manifest
        for key, said in about.items():
            before, now = (each.get("model_digest") for each in (known.get(key, {}), said))
            if before and now and before != now:
                raise UsageError(
                    f"{self.path} was begun with other weights of the same {_MODELS.get(key, 'model')} "
                    f"({before[:12]}, now {now[:12]}); choose another --run, or bring the old weights back"
                )

    def _note(self, key: str, value: Any) -> None:
        self._db.connection.execute("INSERT OR REPLACE INTO manifest VALUES (?, ?)", (key, to_json(harmless(value))))

    def _ends(self, trace: Trace) -> IntArray | None:
        segment, tokenizer = trace.segment, self._tokenizers.get(trace.model)
        if tokenizer is None or segment.origin == "prompt":
            return None
        return token_ends(tokenizer, segment.token_ids, segment.text)

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


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
