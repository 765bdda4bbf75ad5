"""Completions of Hugging Face's search-and-learn (``APPROACH_completions.jsonl``) as recorded generations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from widthwise.core.registry import register
from widthwise.evals.store.importer import Importer, Row, reference_answer
from widthwise.evals.suites.rows import read_rows


def rows(path: Path) -> Iterator[Row]:
    """One row per problem; ``reward`` is the score after the last step, which its own predictions use."""
    approach = path.name.partition("_completions")[0]
    for number, line in read_rows(path):
        completions, scores = line["completions"], line.get("scores") or []
        tokens = line.get("completion_tokens")
        samples = [
            {
                "text": text,
                "step_scores": list(scores[i]) if i < len(scores) else None,
                "reward": scores[i][-1] if i < len(scores) and scores[i] else None,
                "tokens": tokens[i] if isinstance(tokens, list) and i < len(tokens) else None,
            }
            for i, text in enumerate(completions)
        ]
        yield {
            "problem_id": str(line.get("unique_id") or line.get("id") or f"{path.stem}-{number}"),
            "problem": line["problem"],
            "answer": reference_answer(line.get("answer")),
            "samples": samples,
            "sampler": approach if approach in ("best_of_n", "beam_search", "dvts") else None,
            "source": "search-and-learn",
        }


SEARCH_AND_LEARN = register("importer")(
    Importer(
        "search_and_learn",
        rows,
        lambda path, first: "completions" in first and "problem" in first and "samples" not in first,
        "completions of search-and-learn (JSON Lines)",
    )
)
