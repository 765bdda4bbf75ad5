"""What traces waited for is stored, agrees with the ledger, and is never guessed for files that lack it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.backends.servers import MODEL
from tests.evals.made_runs import made_run
from tests.evals.recount import check_recount, evaluated
from widthwise.backends.embedded.backend import EmbeddedBackend
from widthwise.core.backend import Backend
from widthwise.core.trace.trace import TraceWait
from widthwise.evals.measure.curves import curve
from widthwise.evals.measure.standings import standings
from widthwise.evals.measure.summary import summarise
from widthwise.evals.store.exchange import export_run
from widthwise.evals.store.segment_rows import wait_of
from widthwise.evals.store.store import Store
from widthwise.evals.views.timeline import timeline

STRATEGIES = [
    "best_of_n(n=6, width=2) | majority_vote()",
    "best_of_n(n=8, width=1) | esc(window=3)",
    "best_of_n(n=8, width=3) | deepconf(warmup=3, window=8)",
    "best_of_n(n=3) | early_exit(every=16, stable=2)",
    "best_of_n(n=4) | deepprune(at=16, judge=answer_probe())",
    "best_of_n(n=4) | deepprune(at=16, keep=2)",
    "parallel_distill_refine(drafts=(3, 1)) | majority_vote()",
    "threads(n=2, width=1) | majority_vote()",
    "best_of_n(n=4) | generative_verification(k=1)",
    "rebase(n=4, by='mean_logprob', max_depth=4) | majority_vote()",
]


@pytest.fixture(scope="module")
def embedded() -> Iterator[Backend]:
    backend = EmbeddedBackend(MODEL)
    yield backend
    asyncio.run(backend.close())


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_stored_waits_recount_to_the_ledger(strategy: str, tmp_path: Path, embedded: Backend) -> None:
    check_recount(await evaluated(strategy, tmp_path / "a.db", embedded))


async def test_one_place_is_one_long_chain(tmp_path: Path, embedded: Backend) -> None:
    with await evaluated("best_of_n(n=12, width=1) | esc(window=4)", tmp_path / "a.db", embedded) as store:
        for outcome in store.outcomes():
            assert outcome.ledger.sequential == outcome.ledger.sampled
            lanes = timeline(store.tree(outcome.problem.id))
            for before, lane in pairwise(lanes):
                assert lane.bars[0].waited == TraceWait(before.id, before.tokens)
                assert lane.bars[0].start == before.end


async def test_an_export_keeps_what_was_waited_for(tmp_path: Path, embedded: Backend) -> None:
    with await evaluated(STRATEGIES[0], tmp_path / "a.db", embedded) as store:
        export_run(store, tmp_path / "a.jsonl")
    entries = [
        entry
        for line in (tmp_path / "a.jsonl").read_text().splitlines()
        for sample in json.loads(line)["samples"]
        for entry in sample["path"]
    ]
    assert {wait_of(entry["waited"]).trace[0] for entry in entries if entry.get("waited")} == {0}


@pytest.mark.parametrize("wrong", ["0.1", "0.1@", "@3", "0.1@-3", "0.x@3", "0.1@3@4", 7])
def test_what_is_no_wait_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"not a piece of a trace|not the id of a trace"):
        wait_of(wrong)


# -- files of the first format -----------------------------------------------------------------------------------


def older(path: Path) -> Path:
    """The file in format 1."""
    with sqlite3.connect(path) as db:
        db.execute("ALTER TABLE segments DROP COLUMN facts")
        db.execute("PRAGMA user_version = 1")
    return path


def test_an_older_run_of_one_wide_draw_has_its_sequential_tokens(tmp_path: Path) -> None:
    path = older(made_run(tmp_path / "a.db", [["1", "2"]]))
    with Store.read(path) as store:
        assert summarise(store).sequential_tokens is not None
    assert "sequential" in standings([path])[0].costs


@pytest.mark.parametrize("strategy", ["best_of_n(n=4, width=2) | majority_vote()", "beam_search() | majority_vote()"])
def test_other_older_runs_are_not_guessed(tmp_path: Path, strategy: str) -> None:
    path = older(made_run(tmp_path / "a.db", [["1", "2"], ["1", "1"]], strategy=strategy))
    with Store.read(path) as store:
        assert summarise(store).sequential_tokens is None
    assert "sequential" not in standings([path])[0].costs
    drawn = curve(path)
    assert any("sequential tokens are unknown" in note for note in drawn.notes)
    assert "sequential" not in drawn.lines["run"].budgets


def test_an_older_file_that_is_written_becomes_a_newer_one_and_still_says_what_it_lacks(tmp_path: Path) -> None:
    path = older(made_run(tmp_path / "a.db", [["1", "2"]], strategy="beam_search() | majority_vote()"))
    with Store.edit(path) as store:
        assert not store.has_facts
        assert store.tree("p0")
    with Store.read(path) as store:
        assert not store.has_facts
        assert summarise(store).sequential_tokens is None
