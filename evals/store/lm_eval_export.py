"""A run in the layout of the samples that lm-evaluation-harness logs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from widthwise.evals.replacement import replacement
from widthwise.evals.store.outcome import Leaf, Outcome
from widthwise.evals.store.segment_rows import to_json
from widthwise.evals.store.store import Store

_NONE = "[invalid]"
"""What the harness's filters give if they find no answer."""


def export_samples(store: Store, path: Path) -> int:
    """Write a run as ``samples_TASK_DATE.jsonl``; returns the number of problems written.

    All traces are the responses of their document. The filter ``each`` has the answer of each of them, and the filter
    ``strategy``, if there was one, the answer that the strategy chose.
    """
    done = [outcome for outcome in store.outcomes() if outcome.state != "open"]
    filters = ["each", *(["strategy"] if store.manifest["configuration"].get("strategy") else [])]
    with replacement(path) as file, file.open("w", encoding="utf-8") as lines:
        for name in filters:
            for number, outcome in enumerate(done):
                lines.write(to_json(_line(store, outcome, number, name)) + "\n")
    return len(done)


def _line(store: Store, outcome: Outcome, number: int, filter: str) -> dict[str, Any]:
    problem = outcome.problem
    pairs = list(_whole(store, outcome))
    document = {**problem.metadata, "id": problem.id, "question": problem.text, "answer": problem.answer}
    prompt = next((text for text, _, _ in pairs), problem.text)
    each = filter == "each"
    answers = [leaf.answer for _, _, leaf in pairs] if each else [outcome.answer]
    right = [float(leaf.correct or 0) for _, _, leaf in pairs] if each else [float(outcome.correct or 0)]
    return {
        "doc_id": number,
        "doc": document,
        "target": problem.answer or "",
        "arguments": {"gen_args_0": {"arg_0": prompt, "arg_1": {"until": [], "do_sample": True}}},
        "resps": [[text for _, text, _ in pairs]],
        "filtered_resps": [_NONE if answer is None else answer for answer in answers],
        "filter": filter,
        "metrics": ["exact_match"],
        "doc_hash": _hash(json.dumps(document, indent=2, ensure_ascii=False)),
        "prompt_hash": _hash(prompt),
        "target_hash": _hash(problem.answer or ""),
        "exact_match": sum(right) / len(right) if right else 0.0,
    }


def _whole(store: Store, outcome: Outcome) -> Iterator[tuple[str, str, Leaf]]:
    """The prompt, the text and the grade of each trace that is not part of another."""
    for trace, leaf in zip(store.traces(outcome.problem.id), outcome.leaves, strict=True):
        if leaf.finish != "joined":
            yield trace.path[0].text, trace.completion, leaf


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
