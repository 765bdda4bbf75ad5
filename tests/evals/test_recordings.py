"""Reading the recorded-trace schema, and saying what is wrong with a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from widthwise.core.errors import UsageError
from widthwise.core.trace.recording import Sample
from widthwise.evals.store.recordings import from_row, read_recordings, to_row

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
        "path": [{"trace": "0.1", "origin": "sampled", "tokens": 2}],
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
        ({**ROW, "problem_id": "p1", "answer": "3"}, "another answer"),
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
