"""Outputs of batches, as the OpenAI API and ``vllm run-batch`` write them, as recorded generations.

Such a file has replies but no questions; these are in the file of requests (``with_requests``).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from widthwise.core.errors import UsageError
from widthwise.core.registry import register
from widthwise.evals.store.importer import Importer, Row, with_thinking
from widthwise.evals.suites.rows import read_rows

_log = logging.getLogger(__name__)

_FINISHES = {"stop": "stop", "length": "length", "completed": "stop", "incomplete": "length"}


def rows(path: Path) -> Iterator[Row]:
    """One row per request, with its choices as samples; a failed request is a sample with the finish "error"."""
    for number, line in read_rows(path):
        name = line.get("custom_id")
        if not isinstance(name, str) or not name:
            raise UsageError(f"{path}, line {number}: not an output of a batch: it has no custom_id")
        response = line.get("response") or {}
        body = response.get("body") or {}
        failed = line.get("error") or response.get("status_code", 200) != 200
        try:
            samples = [{"text": "", "finish": "error"}] if failed else list(_samples(body))
        except ValueError as error:
            raise UsageError(f"{path}, line {number}: {error}") from error
        yield {
            "problem_id": name,
            "problem": f"(request {name}: its question is in the file of requests)",
            "samples": samples,
            "model": body.get("model"),
            "source": f"batch {path.name}",
        }


def _samples(body: Mapping[str, Any]) -> Iterator[Row]:
    """What one reply says, from any endpoint that generates texts; raises ValueError for the others."""
    usage = body.get("usage") or {}
    if isinstance(body.get("output"), list):
        yield {**_responses(body), "tokens": usage.get("output_tokens")}
        return
    choices = body.get("choices")
    if not isinstance(choices, list):
        raise ValueError(
            f"the reply of a batch has no text in it, but {', '.join(map(str, list(body)[:5])) or 'nothing'}"
        )
    for choice in choices:
        message = choice.get("message")
        said = choice.get("text") if message is None else message.get("content")
        thought = (message or {}).get("reasoning") or (message or {}).get("reasoning_content") or ""
        yield {
            "text": with_thinking(thought, said or ""),
            "finish": _FINISHES.get(choice.get("finish_reason") or ""),
            "tokens": usage.get("completion_tokens") if len(choices) == 1 else None,
        }


def _responses(body: Mapping[str, Any]) -> Row:
    """A reply of the Responses API: its items are thinking, messages, and others."""
    items = [item for item in body["output"] if isinstance(item, dict)]
    parts = {kind: [part for item in items if item.get("type") == kind for part in item.get("content") or []]
             for kind in ("reasoning", "message")}  # fmt: skip
    thought, said = ("\n\n".join(str(part.get("text") or "") for part in parts[kind]) for kind in parts)
    return {"text": with_thinking(thought, said), "finish": _FINISHES.get(body.get("status") or "")}


def with_requests(rows: Iterable[Row], requests: Path) -> list[Row]:
    """The rows with the questions that ``requests`` asked; requests with the same question are one problem.

    Raises ``UsageError`` for a row whose request is missing.
    """
    asked = {str(line.get("custom_id")): line.get("body") or {} for _, line in read_rows(requests)}
    problems: dict[str, Row] = {}
    for row in rows:
        name = row["problem_id"]
        if name not in asked:
            raise UsageError(f"{requests} has no request with the custom_id {name!r}")
        same = problems.setdefault(
            _conversation(asked[name]), {**row, "problem": _question(asked[name]), "samples": []}
        )
        same["samples"] += row["samples"]
    _log.info("%s: %d requests asked %d questions", requests, len(asked), len(problems))
    return list(problems.values())


def _conversation(body: Mapping[str, Any]) -> str:
    return json.dumps([body.get(name) for name in ("messages", "prompt", "input", "instructions")], sort_keys=True)


def _question(body: Mapping[str, Any]) -> str:
    """The user's last message, or the prompt."""
    messages = body.get("messages") or body.get("input") or body.get("prompt") or ""
    if isinstance(messages, list):
        users = [m.get("content") for m in messages if isinstance(m, dict) and m.get("role") == "user"]
        messages = users[-1] if users else ""
    if isinstance(messages, list):
        messages = "\n\n".join(str(part["text"]) for part in messages if isinstance(part, dict) and part.get("text"))
    if not isinstance(messages, str) or not messages:
        raise UsageError("a request of a batch asks no question: it has neither a user's message nor a prompt")
    return messages


BATCH = register("importer")(
    Importer(
        "batch",
        rows,
        lambda path, first: "custom_id" in first and not first.keys().isdisjoint({"response", "error"}),
        "outputs of batches of the OpenAI API or vllm run-batch (JSON Lines)",
    )
)
