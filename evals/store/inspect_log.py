"""Logs of the UK AISI's inspect_ai (``.eval``, or ``.json``) as recorded generations."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from widthwise.core.errors import UsageError
from widthwise.core.registry import register
from widthwise.evals.grading.choice_reading import LETTERS
from widthwise.evals.input_file import json_file, regular_file, unpacking
from widthwise.evals.store.importer import Importer, Row, other_answers, reference_answer, whole, with_thinking
from widthwise.evals.store.zip_members import DAMAGE, json_member

_log = logging.getLogger(__name__)

TRACES = "widthwise:traces"
"""Where the store of a sample that this project solved keeps its traces."""

_FINISHES = {"stop": "stop", "max_tokens": "length", "length": "length", "model_length": "length"}


def rows(path: Path) -> Iterator[Row]:
    """One row per sample id, with its epochs as samples, or with the traces of all epochs that our strategy sampled."""
    about: Row = {}
    problems: dict[str, list[tuple[int, Row]]] = {}
    for header, sample in _samples(path):
        about = header
        if not isinstance(sample, dict) or "id" not in sample:
            raise UsageError(f"{path} is not a log of inspect_ai: a sample has no id")
        problems.setdefault(str(sample["id"]), []).append((int(sample.get("epoch", 0)), _kept(sample)))
    _tell(path, about, problems)
    told = about.get("eval") or {}
    for name, epochs in problems.items():
        ordered = [row for _, row in sorted(epochs, key=lambda epoch: epoch[0])]
        yield {
            "problem_id": name,
            **{key: value for key, value in ordered[0].items() if key not in ("samples", "problem")},
            "problem": ordered[0]["problem"] or f"(sample {name})",
            "samples": [sample for row in ordered for sample in row["samples"]],
            "model": told.get("model"),
            "source": f"inspect_ai {told.get('task', '')}".strip(),
        }


def _tell(path: Path, header: Row, problems: Mapping[str, Any]) -> None:
    status = header.get("status", "started")
    if status != "success":
        _log.warning("%s: the run has the status %r; its %d problems are those it reached", path, status, len(problems))


def _samples(path: Path) -> Iterator[tuple[Row, Any]]:
    """The log's samples, one at a time, each with the log's header."""
    try:
        if path.suffix == ".json":
            log = json_file(path, finite=False)
            if not isinstance(log, dict) or not isinstance(log.get("samples"), list):
                raise UsageError(f"{path} is not a log of inspect_ai: it has no samples")
            yield from ((log, sample) for sample in log["samples"])
            return
        with closing(zipfile.ZipFile(regular_file(path))) as archive:
            yield from _members(path, archive)
    except DAMAGE as error:
        raise UsageError(f"{path} is not a readable log of inspect_ai, or is cut short: {error}") from error


def _members(path: Path, archive: zipfile.ZipFile) -> Iterator[tuple[Row, Any]]:
    unpacking(path, sum(member.file_size for member in archive.infolist()))
    names = dict.fromkeys(archive.namelist())  # a sample that was written again occurs twice
    head = next((n for n in ("header.json", "start.json", "_journal/start.json") if n in names), None)
    header = json_member(archive, head) if head else {}
    for name in sorted(n for n in names if n.startswith("samples/") and n.endswith(".json")):
        yield header, json_member(archive, name)


# -- one sample ------------------------------------------------------------------------------------------------


def _kept(sample: Row) -> Row:
    """The part of a sample to keep: a log is mostly events."""
    question, options = _last_question(sample), [str(option) for option in sample.get("choices") or []]
    if 2 <= len(options) <= len(LETTERS):
        question = "\n".join([question, "", *(f"({LETTERS[i]}) {option}" for i, option in enumerate(options))])
    traces = (sample.get("store") or {}).get(TRACES)
    own = [trace for trace in traces if isinstance(trace, dict)] if isinstance(traces, list) else []
    return {
        "problem": question,
        "answer": reference_answer(sample.get("target") or None),
        "samples": own or [_generation(sample)],
        **(
            {"options": options} if options else other_answers(sample.get("target"))
        ),  # all of several options are meant
    }


def _generation(sample: Row) -> Row:
    output = sample.get("output") or {}
    choice: Row = next(iter(output.get("choices") or []), {})
    attachments = sample.get("attachments") or {}
    text = _content((choice.get("message") or {}).get("content"), attachments) or output.get("completion") or ""
    row: Row = {"text": text, "tokens": (output.get("usage") or {}).get("output_tokens")}
    row["finish"] = "error" if sample.get("error") else _FINISHES.get(choice.get("stop_reason", ""))
    return row | _scored(sample.get("scores") or {}, _content(output.get("completion"), attachments), text)


def _scored(scores: Mapping[str, Row], completion: str, text: str) -> Row:
    """Right or wrong by the first scorer that says either, and the answer that it read, if any.

    Scorers that judge the whole text give it, or its lower-case form, as the answer.
    """
    verdicts = {name: _verdict(score.get("value")) for name, score in scores.items()}
    judge = next((name for name, verdict in verdicts.items() if verdict is not None), next(iter(scores), None))
    if judge is None:
        return {}
    answer = scores[judge].get("answer")
    read = isinstance(answer, str) and answer.strip() and not any(whole(answer, said) for said in (completion, text))
    others = {"scorer": judge} if len(scores) > 1 else {}
    return {"correct": verdicts[judge], **others, **({"answer": answer} if read else {})}


def _content(content: Any, attachments: Mapping[str, str]) -> str:
    """A message's text, preceded by its reasoning as thinking; long texts are stored under ``attachment://`` names."""
    if isinstance(content, str):
        return attachments.get(content.removeprefix("attachment://"), content)
    parts = [part for part in content or [] if isinstance(part, dict)]
    return with_thinking(
        "\n\n".join(_texts(parts, "reasoning", attachments)), "\n\n".join(_texts(parts, "text", attachments))
    )


def _texts(parts: Iterable[Row], kind: str, attachments: Mapping[str, str]) -> Iterator[str]:
    """The texts of the parts of a kind, without reasoning that the provider encrypted."""
    for part in parts:
        if part.get(kind) and not part.get("redacted"):
            yield _content(part[kind], attachments)


def _verdict(value: Any) -> bool | float | None:
    """Right, wrong or in part right as inspect_ai's scorers say it; None for samples that are not scored so."""
    if isinstance(value, str):
        return {"C": True, "I": False, "N": False, "P": 0.5, "true": True, "false": False}.get(value)
    if isinstance(value, int | float) and 0 <= value <= 1:
        return bool(value) if value in (0, 1) else float(value)
    return None


def _last_question(sample: Row) -> str:
    asked, attachments = sample.get("input"), sample.get("attachments") or {}
    if isinstance(asked, list):
        users = [m for m in asked if isinstance(m, dict) and m.get("role") == "user"]
        asked = users[-1].get("content") if users else ""
    return _content(asked, attachments)


INSPECT = register("importer")(
    Importer(
        "inspect_ai",
        rows,
        lambda path, first: path.suffix == ".eval" or (path.suffix == ".json" and not first),
        "logs of inspect_ai (.eval or .json)",
    )
)
