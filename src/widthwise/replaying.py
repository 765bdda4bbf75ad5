"""Opening recorded generations as a backend."""

from __future__ import annotations

import logging
from pathlib import Path

from widthwise.backends.replay import ReplayBackend
from widthwise.backends.tokenizers.files import tokenizer_from
from widthwise.core.backend import Backend, Tokenizer
from widthwise.evals.measure.dependence import dependence_of_recordings, dependence_of_run
from widthwise.evals.store.exchange import StoredRecordings
from widthwise.evals.store.foreign import read_generations
from widthwise.evals.store.recorded_facts import facts_of_recordings, recorded_facts
from widthwise.evals.store.store import Store

_log = logging.getLogger(__name__)


def replay(file: str, tokenizer: str | None, model: Backend | None, importer: str | None) -> ReplayBackend:
    """The recordings of a run file or a file of recorded generations, with ``model`` for what was not recorded."""
    cutter = tokenizer_from(tokenizer) if tokenizer is not None else None
    found = _of_run(file, cutter, model) if Path(file).suffix == ".db" else _of_rows(file, cutter, model, importer)
    if found.dependent:
        _log.warning("%s: %s", found.name, found.note)
    return found


def _of_run(file: str, cutter: Tokenizer | None, model: Backend | None) -> ReplayBackend:
    store = Store.read(file)
    outcomes = list(store.outcomes())
    return ReplayBackend(
        StoredRecordings(store, outcomes),
        name=f"replay:{file}",
        tokenizer=cutter,
        model=model,
        facts=recorded_facts(store.manifest, file),
        dependent=dependence_of_run(store.manifest, outcomes),
        on_close=store.close,
    )


def _of_rows(file: str, cutter: Tokenizer | None, model: Backend | None, importer: str | None) -> ReplayBackend:
    name, recordings = f"replay:{file}", {r.problem.id: r for r in read_generations(file, importer)}
    return ReplayBackend(
        recordings,
        name=name,
        tokenizer=cutter,
        model=model,
        facts=facts_of_recordings(recordings, name),
        dependent=dependence_of_recordings(list(recordings.values())),
    )
