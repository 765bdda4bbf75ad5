"""Files that unpack to far more than their size are refused in one sentence before memory is full; others are read."""

from __future__ import annotations

import json
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from widthwise.core.errors import UsageError
from widthwise.evals import input_file
from widthwise.evals.store.foreign import read_generations
from widthwise.evals.suites.parquet_rows import parquet_rows
from widthwise.evals.suites.rows import read_rows

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

BOUND = 1 << 20
TIMES = 4096
"""How often a value occurs in the files below: with 4 KiB values, sixteen times as much as is allowed."""


@pytest.fixture(autouse=True)
def _small_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_file, "LARGEST_UNPACKED", BOUND)
    monkeypatch.setattr(input_file, "MOST_TIMES", 4)


def again(value: Any) -> Any:
    """A column that repeats one value, by references into a dictionary."""
    return pa.DictionaryArray.from_arrays(pa.array([0] * TIMES, pa.int32()), pa.array([value]))


def in_a_row(values: Any) -> Any:
    """All of ``values`` as a list in one row."""
    return pa.ListArray.from_arrays([0, len(values)], values)


TEXT = "x" * 4096
BOMBS: dict[str, Callable[[], Any]] = {
    "zeros": lambda: pa.array(["x" * (BOUND * 4)]),
    "repeated": lambda: again(TEXT),
    "bytes": lambda: again(TEXT.encode()),
    "large strings": lambda: again(TEXT).cast(pa.large_string()),
    "fixed width": lambda: pa.array([TEXT.encode()] * TIMES, pa.binary(4096)),
    "nulls": lambda: pa.nulls(BOUND, pa.string()),
    "numbers": lambda: pa.array([0] * BOUND),
    "in a list": lambda: in_a_row(again(TEXT)),
    "in a list of structures": lambda: in_a_row(pa.StructArray.from_arrays([again(TEXT)], ["text"])),
    "in a list of lists": lambda: in_a_row(pa.ListArray.from_arrays(range(TIMES + 1), again(TEXT))),
    "in a map": lambda: pa.MapArray.from_arrays([0, TIMES], pa.array([str(i) for i in range(TIMES)]), again(TEXT)),
}


@pytest.mark.parametrize("codec", ["zstd", "gzip", "snappy", "none"])
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_parquet_file_that_fills_the_memory_is_refused(bomb: str, codec: str, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"samples": BOMBS[bomb]()}), path, compression=codec, store_schema=False)
    if path.stat().st_size > BOUND / 2:
        pytest.skip("as it is written, it is as large as what it unpacks to")
    with pytest.raises(UsageError, match=r"a\.parquet would unpack to \d+ MiB or more") as refused:
        list(read_rows(path))
    assert len(str(refused.value).removeprefix(str(path))) < 300


def test_a_parquet_file_whose_numbers_say_less_than_it_holds_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a file declares may be false."""
    monkeypatch.setattr("widthwise.evals.suites.parquet_rows.declared_of", lambda path: 0)
    pq.write_table(pa.table({"problem": ["x" * BOUND] * 8}), tmp_path / "a.parquet", compression="zstd")
    with pytest.raises(UsageError, match="would unpack to"):
        list(read_rows(tmp_path / "a.parquet"))


def test_a_log_whose_parts_fill_the_memory_together_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.eval", "w", zipfile.ZIP_DEFLATED) as log:
        log.writestr("header.json", "{}")
        for i in range(4):
            log.writestr(f"samples/{i}.json", json.dumps({"id": i, "pad": "x" * (BOUND // 3)}))
    with pytest.raises(UsageError, match=r"a\.eval would unpack to 1 MiB or more"):
        read_generations(tmp_path / "a.eval")


def test_texts_that_compress_well_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many rows that share a long text: more than the bound, but less than a hundred times the file."""
    monkeypatch.setattr(input_file, "MOST_TIMES", 100)
    chance = random.Random(0)
    about = {"when": None, "metadata": {"tags": ["a", None], "by": {"level": 5}}, "scores": [[0.5, None]]}
    rows = [
        {"problem": TEXT[:2000], "answer": str(i), "solution": chance.randbytes(40).hex(), **about} for i in range(1000)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet", compression="zstd")
    assert [row for _, row in read_rows(tmp_path / "a.parquet")] == rows


def test_texts_in_lists_are_read_whatever_dictionaries_they_stand_in(tmp_path: Path) -> None:
    # Several row groups have several dictionaries, and plain text follows a full one.
    chance = random.Random(0)
    rows = [{"id": i, "samples": [{"text": chance.randbytes(500).hex()} for _ in range(20)]} for i in range(20)]
    pq.write_table(
        pa.Table.from_pylist(rows), tmp_path / "a.parquet", row_group_size=12, dictionary_pagesize_limit=10**4
    )
    assert [row for _, row in read_rows(tmp_path / "a.parquet")] == rows
    assert [row for _, row in read_rows(tmp_path / "a.parquet", leave=["samples"])] == [{"id": i} for i in range(20)]


def test_a_file_whose_description_would_end_the_process_is_refused(tmp_path: Path) -> None:
    """A column that one part of the description calls optional and another calls repeated: Arrow aborts on it."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": [[1, 2], [3]]}), path)
    whole = path.read_bytes()
    assert whole.count(b"5\x02\x18\x01a") == 1
    path.write_bytes(whole.replace(b"5\x02\x18\x01a", b"5\x04\x18\x01a"))
    with pytest.raises(UsageError, match="not a readable Parquet file"):
        list(parquet_rows(path))
