"""Reading the recorded-trace schema, and saying what is wrong with a file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widthwise.core.errors import UsageError
from widthwise.core.trace.recording import Sample
from widthwise.evals.store.foreign import read_generations
from widthwise.evals.store.recording_rows import from_row, read_recordings, to_row

ROW: dict[str, Any] = {
    "problem_id": "p1",
    "problem": "What is 1 + 1?",
    "answer": "2",
    "level": 3,
    "samples": [{"text": "So \\boxed{2}", "answer": "2", "correct": True, "reward": 0.5}],
    "model": "m",
    "source": "s",
}


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows), encoding="utf-8")
    return path


def test_a_row_becomes_values(tmp_path: Path) -> None:
    (recording,) = read_recordings(write(tmp_path / "a.jsonl", ROW))
    assert (recording.problem.id, recording.problem.answer) == ("p1", "2")
    assert recording.problem.metadata == {"level": 3}
    assert recording.fields == {"level": 3, "model": "m", "source": "s"}
    (sample,) = recording.samples
    assert (sample.text, sample.answer, sample.correct) == ("So \\boxed{2}", "2", True)
    assert sample.metadata == {"reward": 0.5}


def test_a_row_comes_back_as_it_was() -> None:
    assert to_row(from_row(ROW)) == ROW


def test_token_fields_come_back_as_they_were() -> None:
    tokens = {
        "text": "ab\n",
        "answer": None,
        "finish": "length",
        "trace": "0.1",
        "token_ids": [7, 2**62],
        "token_ends": [1, 3],
        "logprobs": [-0.10000000149011612, None],
        "top_ids": [[7, 8], [-1, -1]],
        "top_logprobs": [[-0.5, -1.5], [None, None]],
        "path": [{"trace": "0.1", "origin": "sampled", "tokens": 2, "characters": 3, "sequential": 2}],
    }
    row = {**ROW, "prompt": "<q>", "prompt_ids": [1, 2], "samples": [tokens]}
    recording = from_row(row)
    assert to_row(recording) == row
    stats = recording.samples[0].stats
    assert stats is not None
    assert stats.logprobs.dtype == np.float32
    assert np.isnan(stats.logprobs[1])


def test_rows_of_one_problem_are_one_problem(tmp_path: Path) -> None:
    other = {**ROW, "model": "n", "samples": [{"text": "x", "answer": None}]}
    (recording,) = read_recordings(write(tmp_path / "a.jsonl", ROW, other))
    assert [s.metadata.get("model") for s in recording.samples] == ["m", "n"]
    assert recording.fields == {"level": 3, "source": "s"}


def test_answers_without_texts_are_boxed() -> None:
    row = {"problem_id": "p", "answer": "199", "samples": [{"answer": "199", "correct": True}, {"answer": None}]}
    recording = from_row(row)
    assert [s.text for s in recording.samples] == ["\\boxed{199}", ""]
    assert recording.problem.text


def test_parquet_reads_like_json(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    rows = [ROW, {**ROW, "problem_id": "p2", "samples": [{"text": "t", "answer": None, "reward": 1.5}]}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    from_parquet = read_recordings(tmp_path / "a.parquet")
    from_json = read_recordings(write(tmp_path / "a.jsonl", *rows))
    assert list(map(to_row, from_parquet)) == list(map(to_row, from_json))


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        ("{not json", "not valid JSON"),
        ("[1, 2]", "object"),
        ({"problem": "x", "samples": []}, '"problem_id"'),
        ({"problem_id": "x", "problem": "x"}, '"samples"'),
        ({"problem_id": "x", "problem": "x", "samples": "text"}, '"samples"'),
        ({"problem_id": "x", "samples": [{"text": "t"}]}, '"problem"'),
        ({**ROW, "samples": ["text"]}, "sample 1 is not an object"),
        ({**ROW, "samples": [{"text": "t"}, {"reward": 1}]}, 'sample 2: neither "text" nor "answer"'),
        ({**ROW, "samples": [{"text": 5}]}, '"text" is not a string'),
        ({**ROW, "samples": [{"text": "t", "correct": "yes"}]}, '"correct"'),
        ({**ROW, "samples": [{"text": "t", "finish": "exploded"}]}, '"finish"'),
        ({**ROW, "samples": [{"text": "t", "token_ids": [1], "token_ends": [1, 1]}]}, "lengths"),
        ({**ROW, "samples": [{"text": "two", "token_ends": [1, 2]}]}, '"token_ends"'),
        ({**ROW, "samples": [{"text": "t", "token_ids": ["a"]}]}, "numbers"),
        ({**ROW, "problem_id": "p1", "answer": "3"}, "a different answer"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(tmp_path: Path, bad: Any, complaint: str) -> None:
    path = write(tmp_path / "bad.jsonl", ROW, bad)
    with pytest.raises(UsageError, match="line 2") as error:
        read_recordings(path)
    assert complaint in str(error.value)
    assert "bad.jsonl" in str(error.value)


def test_an_empty_file_is_said_to_be_empty(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is empty"):
        read_recordings(write(tmp_path / "empty.jsonl"))


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        read_recordings(tmp_path / "nowhere.jsonl")


def test_a_sample_refuses_ends_that_fall() -> None:
    with pytest.raises(ValueError, match="token_ends"):
        Sample("abc", token_ends=np.array([2, 1, 3]))


# -- hostile files ---------------------------------------------------------------------------------------------------

PART = {"trace": "0.1", "origin": "sampled", "tokens": 1, "characters": 1, "sequential": 1}
WITH_PATH = {"text": "t", "trace": "0.1", "token_ids": [5], "path": [PART]}


def test_a_path_that_describes_its_sample_is_kept() -> None:
    assert from_row({**ROW, "samples": [WITH_PATH]}).samples[0].path == (PART,)


@pytest.mark.parametrize(
    "change",
    [{"path": "text"}, {"path": ["text"]}, {"path": [{}]}, {"trace": 5}, {"trace": "0.2"}, {"trace": "0.x"},
     {"path": [{**PART, "trace": "1.1"}]}, {"path": [{**PART, "trace": "0.1.1"}]}, {"path": [PART, PART]},
     {"path": [{**PART, "tokens": 2}]}, {"path": [{**PART, "characters": -1}]}, {"path": [{**PART, "tokens": True}]},
     {"path": [{**PART, "characters": "1"}]}, {"path": [{**PART, "origin": "dreamt"}]},
     {"path": [{**PART, "finish": "exploded"}]}, {"path": [{**PART, "seed": 2**70}]},
     {"path": [{**PART, "prompt_cached": 1}]}, {"token_ids": [[5]]}, {"logprobs": [[0.5]]},
     {"logprobs": [0.5], "top_ids": [1]}, {"logprobs": [0.5], "top_ids": [[1]], "top_logprobs": [[0.5, 0.5]]}],
)  # fmt: skip
def test_fields_that_do_not_fit_one_another_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    path = write(tmp_path / "bad.jsonl", {**ROW, "samples": [{**WITH_PATH, **change}]})
    with pytest.raises(UsageError, match=r"bad\.jsonl, line 1: sample 1: "):
        read_recordings(path)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"\xff\xfe{\x00}\x00\n\x00", "is UTF-16"),
        (b'{"a": "\xff"}', "is not a UTF-8 text file"),
        (b"PK\x03\x04\x14\x00\x06\x00", "is not a UTF-8 text file: rows are read from JSON Lines, .*CSV .*Parquet"),
        (b'{"problem_id": "x", "reward": NaN}\n', "line 1: not valid JSON.*NaN is not a JSON number"),
        (b'{"reward": 1e999}\n', "line 1: not valid JSON.*too large"),
        (b'{"a":' * 100_000, "line 1: not valid JSON"),
        (b"x" * 1_000_000, "line 1: not valid JSON"),
        (json.dumps({**ROW, "samples": [{"text": "t", "finish": "x" * 1_000_000}]}).encode(), "finish"),
        (json.dumps({**ROW, "samples": [{"text": "t", "token_ids": ["x" * 1_000_000]}]}).encode(), "numbers"),
    ],
)
def test_what_cannot_be_read_is_one_short_sentence(tmp_path: Path, content: bytes, complaint: str) -> None:
    (tmp_path / "bad.jsonl").write_bytes(content)
    with pytest.raises(UsageError, match=complaint) as error:
        read_recordings(tmp_path / "bad.jsonl")
    assert len(str(error.value)) < 1000


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + json.dumps(ROW).encode())
    assert read_recordings(tmp_path / "a.jsonl")[0].problem.id == ROW["problem_id"]


def test_a_line_without_an_end_is_not_read_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("widthwise.evals.input_file.LARGEST_VALUE", 1 << 20)
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "' + b"x" * (1 << 21))
    with pytest.raises(UsageError, match="line 1 is longer than 1 MiB"):
        read_recordings(tmp_path / "a.jsonl")
    (tmp_path / "a.json").write_bytes(b"[" * (1 << 21))
    with pytest.raises(UsageError, match="larger than 1 MiB"):
        read_generations(tmp_path / "a.json")


@pytest.mark.parametrize("ending", [".jsonl", ".parquet", ".json", ".eval"])
def test_pipes_devices_and_folders_are_no_files(tmp_path: Path, ending: str) -> None:
    """Before, reading a pipe without a writer waited forever, and reading a device never ended."""
    os.mkfifo(tmp_path / f"pipe{ending}")
    (tmp_path / f"zero{ending}").symlink_to("/dev/zero")
    (tmp_path / f"folder{ending}").mkdir()
    for name, complaint in (("pipe", "pipe or a device"), ("zero", "pipe or a device"), ("folder", "is a folder")):
        with pytest.raises(UsageError, match=complaint):
            read_generations(tmp_path / f"{name}{ending}")


def test_exports_of_several_runs_may_stand_in_one_file(tmp_path: Path) -> None:
    row = {**ROW, "samples": [WITH_PATH]}
    both = read_recordings(write(tmp_path / "a.jsonl", row, row))[0]
    assert [(sample.trace, sample.path) for sample in both.samples] == [(None, ())] * 2


@given(st.data())
def test_no_damage_to_a_row_is_a_raw_error(data: st.DataObject) -> None:
    """Any value of a row is replaced by another: the row is read, or refused in one sentence."""
    row = json.loads(json.dumps({**ROW, "prompt": "q", "prompt_ids": [1], "samples": [
        {**WITH_PATH, "token_ends": [1], "logprobs": [-0.5], "top_ids": [[5]], "top_logprobs": [[-0.5]],
         "correct": True, "answer": "1", "finish": "stop"}]}))  # fmt: skip
    holder: Any = row
    while True:
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        key = data.draw(st.sampled_from(list(keys)))
        if isinstance(holder[key], dict | list) and holder[key] and data.draw(st.booleans()):
            holder = holder[key]
            continue
        break
    odd = st.sampled_from([None, True, -1, 2**70, 0.5, "", "x", "0.1", [], [[]], {}, {"a": 1}, [None], ["x"], [1, 2]])
    holder[key] = data.draw(odd)
    said = ""
    try:
        to_row(from_row(row))
    except ValueError as error:
        said = str(error)
    assert len(said) < 300
