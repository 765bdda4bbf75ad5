"""Run stores to recorded-trace files and back."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from widthwise.core.backend import TokenStats, Usage
from widthwise.core.errors import UsageError
from widthwise.core.problem import Problem
from widthwise.core.session.ledger import Ledger
from widthwise.core.trace.trace import Segment, Trace
from widthwise.evals.store.exchange import StoredRecordings, export_run, import_recordings
from widthwise.evals.store.outcome import Leaf, Outcome
from widthwise.evals.store.store import Store

PROBLEM = Problem("p0", "Say “hi”", "hi", {"level": 2})
ROOT = Trace((0,), Segment("prompt", np.array([1, 2]), "Q: say hi\n"))


def sampled(parent: Trace, number: int, text: str, *, top: bool = False, **fields: object) -> Trace:
    """A continuation with one token per character."""
    ids = np.array([ord(c) for c in text], np.int64)
    logprobs = np.linspace(-1, 0, len(ids), dtype=np.float32)
    tops = (ids[:, None] + np.arange(2), np.stack([logprobs, logprobs - 1], 1)) if top else (None, None)
    segment = Segment(
        "sampled", ids, text, TokenStats(logprobs, *tops), seed=number, params="abc", **{"finish": "stop", **fields}
    )  # fmt: skip
    return Trace((*parent.id, number), segment, parent, parent.sequential + len(ids))


def tree() -> list[Trace]:
    """Two leaves that share a step, an insertion in one of them, a separate leaf, and a leaf of another prompt."""
    step = sampled(ROOT, 0, "First.\n\n", reason="\n\n", top=True, usage=Usage(0, 2))
    inserted = Trace((0, 0, 1), Segment("inserted", np.array([9, 9]), "Wait"), step, step.sequential)
    return [
        sampled(step, 0, "Then hi", metadata={"reward": 0.25}, top=True),
        sampled(inserted, 0, " hi?", finish="length", top=True),
        sampled(ROOT, 1, "ho", reason=2, top=True),
        sampled(Trace((1,), Segment("prompt", np.array([3]), "Improve: hi?")), 0, "hi!", top=True),
    ]


def make_run(path: Path, traces: list[Trace]) -> None:
    leaves = tuple(Leaf(t.id, t.finish, t.tokens, "hi" if "hi" in t.completion else None, True, 0) for t in traces)
    with Store.begin(path, {"suite": "s", "model": "m", "strategy": "x"}, [PROBLEM, Problem("p1", "open")]) as store:
        nodes = [n for t in traces for n in (t, t.parent) if n is not None and n.parent is not None]
        ends = {n.id: np.arange(1, len(n.segment) + 1) for n in nodes}
        ends[0, 0, 1] = np.array([2, 4])
        ledger = Ledger(sampled=20)
        store.finish(Outcome(PROBLEM, "done", "hi", True, leaves=leaves, ledger=ledger), traces, ends=ends)


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_a_tree_survives_the_round_trip(tmp_path: Path, suffix: str) -> None:
    make_run(tmp_path / "a.db", tree())
    with Store.read(tmp_path / "a.db") as a:
        assert export_run(a, tmp_path / f"a{suffix}") == 1
        export_run(a, tmp_path / "a.jsonl")
    import_recordings(tmp_path / f"a{suffix}", tmp_path / "b.db")
    with Store.read(tmp_path / "a.db") as a, Store.read(tmp_path / "b.db") as b:
        kinds = ("segments", "problems")
        kept = [[line for line in s.dump() if line.startswith(kinds) and '"p0"' in line] for s in (a, b)]
        assert kept[0][1:] == kept[1][1:]
        export_run(b, tmp_path / "b.jsonl")
    assert lines(tmp_path / "a.jsonl") == lines(tmp_path / "b.jsonl")


def test_an_export_says_where_tokens_end_and_who_sampled(tmp_path: Path) -> None:
    make_run(tmp_path / "a.db", tree())
    with Store.read(tmp_path / "a.db") as store:
        export_run(store, tmp_path / "a.jsonl")
    (row,) = lines(tmp_path / "a.jsonl")
    assert (row["prompt"], row["prompt_ids"], row["model"], row["level"]) == ("Q: say hi\n", [1, 2], "m", 2)
    second = row["samples"][1]  # type: ignore[index]
    assert second["text"] == "First.\n\nWait hi?"
    assert second["token_ends"] == [*range(1, 9), 10, 12, *range(13, 17)]
    assert second["logprobs"][8:10] == [None, None]
    assert [p["origin"] for p in second["path"]] == ["sampled", "inserted", "sampled"]


def test_a_foreign_file_comes_back_field_by_field(tmp_path: Path) -> None:
    rows = [
        {"problem_id": "a", "problem": "?", "answer": "1", "numbers": [1, 2], "model": "m", "source": "s",
         "samples": [{"text": "x", "answer": None, "correct": False, "mean_ppl": 1.5, "segments": [{"end": 1}]}]},
        {"problem_id": "b", "problem": "!", "answer": "2", "samples": [], "model": "m", "source": "s"},
    ]  # fmt: skip
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    assert import_recordings(tmp_path / "a.jsonl", tmp_path / "a.db") == 2
    with Store.read(tmp_path / "a.db") as store:
        export_run(store, tmp_path / "b.jsonl")
    assert lines(tmp_path / "b.jsonl") == rows


@pytest.mark.parametrize(("suffix", "builder"), [(".jsonl", "json"), (".parquet", "parquet")])
def test_exports_load_with_datasets(tmp_path: Path, suffix: str, builder: str) -> None:
    datasets = pytest.importorskip("datasets")
    make_run(tmp_path / "a.db", tree())
    with Store.read(tmp_path / "a.db") as store:
        export_run(store, tmp_path / f"a{suffix}")
    files = str(tmp_path / f"a{suffix}")
    loaded = datasets.load_dataset(builder, data_files=files, split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded[0]["problem_id"] == "p0"
    assert [s["trace"] for s in loaded[0]["samples"]] == ["0.0.0", "0.0.1.0", "0.1", "1.0"]


def test_stored_recordings_are_read_one_by_one(tmp_path: Path) -> None:
    make_run(tmp_path / "a.db", tree())
    with Store.read(tmp_path / "a.db") as store:
        recordings = StoredRecordings(store)
        assert list(recordings) == ["p0", "p1"]
        assert len(recordings["p0"].samples) == 4
        assert recordings["p1"].samples == ()
        assert recordings.get("p2") is None


def test_bad_targets_are_refused(tmp_path: Path) -> None:
    make_run(tmp_path / "a.db", tree())
    with Store.read(tmp_path / "a.db") as store:
        with pytest.raises(UsageError, match=r"\.jsonl or \.parquet"):
            export_run(store, tmp_path / "a.csv")
        with pytest.raises(UsageError, match="cannot write"):
            export_run(store, Path("/proc/nowhere/a.jsonl"))
        export_run(store, tmp_path / "a.jsonl")
    with pytest.raises(UsageError, match="already exists"):
        import_recordings(tmp_path / "a.jsonl", tmp_path / "a.db")


def test_mixed_fields_do_not_fit_parquet_and_say_so(tmp_path: Path) -> None:
    make_run(tmp_path / "a.db", [sampled(ROOT, i, "hi", metadata={"note": note}) for i, note in enumerate(["a", 1])])
    with Store.read(tmp_path / "a.db") as store, pytest.raises(UsageError, match=r"export to \.jsonl"):
        export_run(store, tmp_path / "a.parquet")


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_numbers_that_are_none_become_null_and_are_logged(
    tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A strategy's NaN is stored as null; before, such a run could not be exported."""
    metadata = {"margin": float("nan"), "all": [1.0, np.float32("inf")], "level": 0.5}
    make_run(tmp_path / "a.db", [sampled(ROOT, 0, "hi", metadata=metadata)])
    assert "NaN or an infinity is stored as null" in caplog.text
    with Store.read(tmp_path / "a.db") as store:
        assert dict(store.traces("p0")[0].metadata) == {"margin": None, "all": [1.0, None], "level": 0.5}
        export_run(store, tmp_path / f"a{suffix}")
    import_recordings(tmp_path / f"a{suffix}", tmp_path / "b.db")


def test_a_run_file_of_before_with_such_numbers_is_exported_too(tmp_path: Path) -> None:
    make_run(tmp_path / "a.db", [sampled(ROOT, 0, "hi", metadata={"margin": 0.5})])
    with sqlite3.connect(tmp_path / "a.db") as db:
        db.execute("UPDATE segments SET metadata = '{\"margin\": NaN}' WHERE origin = 'sampled'")
    db.close()
    with Store.read(tmp_path / "a.db") as store:
        export_run(store, tmp_path / "a.jsonl")
    assert lines(tmp_path / "a.jsonl")[0]["samples"][0]["margin"] is None  # type: ignore[index]
