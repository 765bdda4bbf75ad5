"""Samples that EleutherAI's lm-evaluation-harness logged (``samples_TASK_DATE.jsonl``) as recorded generations."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from widthwise.core.errors import UsageError
from widthwise.core.plain_json import parse
from widthwise.core.registry import register
from widthwise.evals.store.importer import Importer, Row, other_answers, reference_answer, whole
from widthwise.evals.suites.rows import read_rows

_log = logging.getLogger(__name__)

_QUESTION = ("question", "problem", "Question", "Problem", "query", "input", "prompt")
_NOT_FOUND = "[invalid]"
"""What the harness's filters give if they find no answer."""


def rows(path: Path) -> Iterator[Row]:
    """One row per document; if a task has several answer filters there is one line for each, and the first is used."""
    named = re.match(r"samples_(.+?)_\d{4}-\d\d-\d\dT", path.name)
    task, filters = named[1] if named else path.stem, dict[Any, None]()
    for number, line in read_rows(path):
        filters.setdefault(line.get("filter"))
        if line.get("filter") == next(iter(filters)):
            yield _row(path, number, task, line)
    if len(filters) > 1:
        taken, *left = map(str, filters)
        _log.warning("%s: using the answers of the filter %s and leaving out those of %s", path, taken, ", ".join(left))


def _row(path: Path, number: int, task: str, line: Mapping[str, Any]) -> Row:
    texts = _texts(line.get("resps") or line.get("filtered_resps"))
    if texts is None or _is_likelihood(line):
        raise UsageError(f"{path}, line {number}: likelihoods of given choices, not generations")
    answers = _texts(line.get("filtered_resps")) or []
    samples: list[Row] = [{"text": text} for text in texts]
    if len(answers) == len(texts):
        for sample, answer in zip(samples, answers, strict=True):
            # A filter that returns the text unchanged has read no answer.
            sample |= {} if whole(answer, sample["text"]) else {"answer": _stated(answer)}
    metric = next((line[m] for m in line.get("metrics") or ("exact_match", "acc") if m in line), None)
    # With repeats the metric covers all of them together.
    if len(samples) == 1 and metric in (0, 1):
        samples[0]["correct"] = bool(metric)
    return {
        "problem_id": f"{task}-{line['doc_id']}",
        "problem": _question(line),
        "answer": reference_answer(line.get("target")),
        **other_answers(line.get("target")),
        "samples": samples,
        "source": f"lm-evaluation-harness {task}",
    }


def _texts(responses: Any) -> list[str] | None:
    """The texts of one request, ``[[text, ...]]`` or ``[text, ...]``; None for anything else."""
    flat = responses
    while isinstance(flat, list) and len(flat) == 1 and isinstance(flat[0], list):
        flat = flat[0]
    return flat if isinstance(flat, list) and flat and all(isinstance(text, str) for text in flat) else None


def _is_likelihood(line: Mapping[str, Any]) -> bool:
    """Whether a text was scored and none generated: requests for texts have settings, the others a text to score."""
    settings = _request(line)[1]
    flat = _texts(line.get("resps")) or []
    pair = len(flat) == 2 and flat[1] in ("True", "False") and re.fullmatch(r"-?[\d.e-]+|-inf", flat[0]) is not None
    return isinstance(settings, str) or (settings is None and pair)


def _request(line: Mapping[str, Any]) -> tuple[Any, Any]:
    """What the document's first request asked, and its settings; None for what the line does not say."""
    arguments = line.get("arguments") or {}
    if isinstance(arguments, dict):
        first = arguments.get("gen_args_0") or {}
        return first.get("arg_0"), first.get("arg_1")
    listed = [*arguments[0], None, None] if isinstance(arguments[0], list | tuple) else [arguments[0], None]
    return listed[0], listed[1]


def _stated(answer: str) -> str | None:
    return None if answer == _NOT_FOUND or not answer.strip() else answer


def _question(line: Mapping[str, Any]) -> str:
    """The document's question, else the prompt that the model received: for messages, the user's last one."""
    logged = line.get("doc")
    document: Mapping[str, Any] = logged if isinstance(logged, dict) else {}
    for name in _QUESTION:
        if isinstance(said := document.get(name), str) and said.strip():
            return said
    asked = _request(line)[0]
    messages = _messages(asked)
    users = [m["content"] for m in messages if m.get("role") == "user" and isinstance(m.get("content"), str)]
    return users[-1] if users else asked if isinstance(asked, str) else json.dumps(asked, ensure_ascii=False)


def _messages(asked: Any) -> list[Mapping[str, Any]]:
    """The messages of a chat, which are logged as JSON; empty for a prompt that is text."""
    if isinstance(asked, str) and asked.startswith("[{"):
        try:
            asked = parse(asked)
        except ValueError:
            return []
    return [m for m in asked if isinstance(m, dict)] if isinstance(asked, list) else []


LM_EVAL = register("importer")(
    Importer(
        "lm_eval",
        rows,
        lambda path, first: "doc_id" in first and not first.keys().isdisjoint({"resps", "filtered_resps"}),
        "samples of lm-evaluation-harness (--log_samples, samples_*.jsonl)",
    )
)
