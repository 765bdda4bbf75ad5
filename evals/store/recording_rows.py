"""Rows of recorded generations: what models once wrote for each problem, in the recorded-trace schema.

One row per problem, as JSON Lines or Parquet::

    {"problem_id", "problem", "answer", "samples": [...], "model"?, "source"?, "prompt"?, "prompt_ids"?,
     "sampler"?, "strategy"?, "switched_to"?}

``sampler`` names what drew the samples: unless it is ``single`` or ``best_of_n``, they are not independent, and parts
of them are not measured as smaller runs. An export adds the run's whole ``strategy``, and, for a problem that went on
with another one, ``switched_to``, whose samples are not measured in parts either.

A sample is ``{"text", "answer"?, "correct"?, ...}``; fields that the schema does not name (``reward``, ``mean_ppl``,
``segments`` ...) are kept as its metadata. This project's own exports add, per sample, ``finish``, ``trace`` (its id),
``token_ids``, ``token_ends`` (characters of ``text`` up to each token's end, so that a replay is token-exact without
the model's tokenizer), ``logprobs``, ``top_ids`` and ``top_logprobs`` (per token; null, or -1 for ids, where a token
was inserted; without ``top_ids`` all ids are -1), and ``path`` (one entry per segment after the prompt). A null is the
same as an absent field.

A sample without ``text`` but with an ``answer`` stands for the text ``\\boxed{answer}``; an ``answer`` of null for the
empty text. Rows that share a ``problem_id`` are one problem: their samples are concatenated, and fields in which the
rows differ (``model`` ...) become metadata of their samples; the problem has every ``sampler``, ``switched_to`` and
``dependent`` of its rows, with commas between them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.backend import TokenStats
from widthwise.core.errors import UsageError
from widthwise.core.problem import Problem
from widthwise.core.prompting.begun import with_begun
from widthwise.core.trace.recording import Recording, Sample
from widthwise.core.trace.trace import Finish
from widthwise.evals.store.path_entries import Entry, checked_path
from widthwise.evals.store.recorded_rounds import reason_in
from widthwise.evals.store.segment_rows import parse
from widthwise.evals.suites.rows import read_rows

_ROW_FIELDS = frozenset({"problem_id", "problem", "answer", "samples", "prompt", "prompt_ids"})
_OF_A_RUN = frozenset({"model", "source", "sampler", "strategy", "switched_to", "dependent"})
"""Row fields that describe the run, not the problem."""
_SAMPLE_FIELDS = frozenset(
    {"text", "answer", "correct", "finish", "trace", "token_ids", "token_ends", "logprobs"}
    | {"top_ids", "top_logprobs", "path"}
)


def read_recordings(path: str | Path) -> list[Recording]:
    """The recordings of a JSON Lines or Parquet (``.parquet``) file, in order of first appearance.

    Raises UsageError, naming the file and the line, for a file that does not follow the schema.
    """
    recordings: dict[str, list[Recording]] = {}
    for line, row in read_rows(Path(path)):
        try:
            recording = from_row(row)
        except ValueError as error:
            raise UsageError(f"{path}, line {line}: {error}") from error
        same = recordings.setdefault(recording.problem.id, [])
        if same and same[0].problem.answer != recording.problem.answer:
            raise UsageError(f"{path}, line {line}: problem {recording.problem.id} has a different answer than before")
        same.append(recording)
    if not recordings:
        raise UsageError(f"{path} is empty: it contains no recorded generations")
    return with_begun([_merged(rows) for rows in recordings.values()])


def from_row(row: Mapping[str, Any]) -> Recording:
    """A row of the schema as a value; raises ValueError with one sentence about what is wrong."""
    row = _without_nulls(row)
    problem_id = _text(row, "problem_id")
    samples = row.get("samples")
    if not isinstance(samples, list):
        raise ValueError('the field "samples" (a list) is missing')
    read = tuple(_numbered(i, s) for i, s in enumerate(samples, 1))
    answers_only = bool(samples) and all(s.get("text") is None for s in samples)
    statement = f"(problem {problem_id}: only answers were recorded)" if answers_only else None
    fields = {k: v for k, v in row.items() if k not in _ROW_FIELDS}
    problem = Problem(
        id=problem_id,
        text=_text(row, "problem", statement),
        answer=None if (answer := row.get("answer")) is None else str(answer),
        metadata={k: v for k, v in fields.items() if k not in _OF_A_RUN},
    )
    prompt = row.get("prompt")
    if prompt is not None and not isinstance(prompt, str):
        raise ValueError('"prompt" is not a string')
    return Recording(problem, read, prompt, _array(row.get("prompt_ids"), np.int64), fields)


def to_row(recording: Recording) -> dict[str, Any]:
    """The value as a row of the schema, ready for JSON; ``from_row`` gives an equal value back."""
    row = {
        "problem_id": recording.problem.id,
        "problem": recording.problem.text,
        **recording.fields,
        "answer": recording.problem.answer,
        "prompt": recording.prompt,
        "prompt_ids": _listed(recording.prompt_ids),
        "samples": [_sample_row(s) for s in recording.samples],
    }
    return _without_nulls(row)


def _numbered(number: int, sample: Any) -> Sample:
    """The sample, or a ValueError that says which sample of the row is wrong."""
    if not isinstance(sample, dict):
        raise ValueError(f"sample {number} is not an object")
    try:
        return _sample(sample)
    except ValueError as error:
        raise ValueError(f"sample {number}: {error}") from error


def _sample(row: Mapping[str, Any]) -> Sample:
    text, answer, correct = row.get("text"), row.get("answer"), row.get("correct")
    if text is None and "answer" not in row:
        raise ValueError('neither "text" nor "answer" is there')
    if text is not None and not isinstance(text, str):
        raise ValueError('"text" is not a string')
    if isinstance(correct, float) and correct in (0.0, 1.0):
        correct = bool(correct)
    if correct is not None and not isinstance(correct, bool) and not (isinstance(correct, float) and 0 < correct < 1):
        raise ValueError('"correct" is neither true nor false, nor a number between 0 and 1')
    if (finish := row.get("finish")) is not None and finish not in get_args(Finish):
        raise ValueError(f'"finish" is {str(finish)[:20]!r}, not one of {", ".join(get_args(Finish))}')
    spoken = "" if answer is None else f"\\boxed{{{answer}}}"
    text = spoken if text is None else text
    token_ids = _array(row.get("token_ids"), np.int64)
    path = checked_path(row.get("path") or [], text, None if token_ids is None else len(token_ids))
    return Sample(
        text=text,
        answer=None if answer is None else str(answer),
        correct=correct,
        finish=finish,
        trace=_trace(row.get("trace"), path),
        token_ids=token_ids,
        token_ends=_array(row.get("token_ends"), np.int64),
        stats=_stats(row),
        path=path,
        metadata={k: v for k, v in row.items() if k not in _SAMPLE_FIELDS and v is not None},
    )


def _sample_row(sample: Sample) -> dict[str, Any]:
    stats = sample.stats
    row = {
        "text": sample.text,
        **sample.metadata,
        "correct": sample.correct,
        "finish": sample.finish,
        "trace": sample.trace,
        "token_ids": _listed(sample.token_ids),
        "token_ends": _listed(sample.token_ends),
        "logprobs": _listed(stats.logprobs if stats else None),
        "top_ids": _listed(stats.top_ids if stats else None),
        "top_logprobs": _listed(stats.top_logprobs if stats else None),
        "path": [dict(entry) for entry in sample.path] or None,
    }
    # An answer of null says that none could be read: it is the only null with its own meaning.
    return {**_without_nulls(row), "answer": sample.answer}


def _trace(value: Any, path: Sequence[Entry]) -> str | None:
    """The sample's id in its problem's tree, which must be where its path leads."""
    if value is None and not path:
        return None
    if not isinstance(value, str) or (path and path[-1]["trace"] != value):
        raise ValueError('"trace" is not the id that "path" leads to')
    parse(value)
    return value


def _stats(row: Mapping[str, Any]) -> TokenStats | None:
    if row.get("logprobs") is None:
        return None
    logprobs = _array(row["logprobs"], np.float32)
    top_ids, top_logprobs = _array(row.get("top_ids"), np.int64, 2), _array(row.get("top_logprobs"), np.float32, 2)
    if top_ids is None and top_logprobs is not None:  # a recording may keep only the values, which take less room
        top_ids = np.full(top_logprobs.shape, -1)
    for top in (top_ids, top_logprobs):
        if top is not None and (len(top) != len(logprobs) or top_ids is None or top.shape != top_ids.shape):
            raise ValueError('"top_ids" and "top_logprobs" do not belong to "logprobs"')
    return TokenStats(logprobs, top_ids, top_logprobs)


def _merged(rows: list[Recording]) -> Recording:
    """Rows of one problem as one; if they differ, their samples say so."""
    if len(rows) == 1:
        return rows[0]
    first = rows[0]
    common = {k: v for k, v in first.fields.items() if all(r.fields.get(k) == v for r in rows)}
    samples = [
        replace(sample, metadata={**{k: v for k, v in r.fields.items() if k not in common}, **sample.metadata})
        for r in rows
        for sample in r.samples
    ]
    about = {k: v for k, v in first.problem.metadata.items() if k in common}
    traces = [sample.trace for sample in samples if sample.trace is not None]
    if len(set(traces)) < len(traces):  # exports of several runs: each has its own tree
        samples = [replace(sample, trace=None, path=()) for sample in samples]
    fields = {**common, **_joined(rows, "sampler"), **_joined(rows, "switched_to")}
    fields |= _joined(rows, "dependent", reason_in)
    return replace(first, problem=replace(first.problem, metadata=about), samples=tuple(samples), fields=fields)


def _joined(rows: Sequence[Recording], name: str, read: Callable[[Any], str] = str) -> dict[str, str]:
    """What the rows say in a field, one after another."""
    said = dict.fromkeys(read(row.fields[name]) for row in rows if row.fields.get(name))
    return {name: ", ".join(said)} if said else {}


def _text(row: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = row.get(name, default)
    if not isinstance(value, str) or not value:
        raise ValueError(f'the field "{name}" (a text) is missing')
    return value


def _array(values: Any, dtype: type, dimensions: int = 1) -> Any:
    """Numbers as an array (null becomes NaN); None stays None."""
    if values is None:
        return None
    try:
        array: NDArray[Any] = np.array(values, dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"a per-token field does not hold numbers: {str(error)[:100]}") from error
    if array.ndim != dimensions and array.size:
        raise ValueError("a per-token field is not a list with an entry per token")
    return array


def _listed(values: IntArray | FloatArray | None) -> list[Any] | None:
    """An array as JSON stores it: what is not a finite number becomes null."""
    if values is None:
        return None
    listed = values.astype(object)
    listed[~np.isfinite(values)] = None
    return list(listed.tolist())


def _without_nulls(row: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in row.items() if v is not None}
