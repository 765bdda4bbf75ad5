"""A suite: a named set of problems with their grader."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from widthwise.core.brief import brief, counted
from widthwise.core.errors import UsageError
from widthwise.core.plain_json import check_readable
from widthwise.core.problem import Grader, Problem
from widthwise.core.tabular import Tabular


@dataclass(frozen=True, slots=True)
class Suite(Tabular):
    """Problems and their grader.

    ``source`` says where they came from, ``instruction`` is what to append to a problem's text (empty: nothing), and
    ``digest`` is the SHA-256 of the problems' content in their order. ``model`` answers if none is named: a
    replay of the recording made on them, or the bundled model that was trained for them (None: the default model).
    """

    name: str
    problems: tuple[Problem, ...]
    grader: Grader
    source: str
    instruction: str = ""
    model: str | None = None
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        if not self.problems:
            raise ValueError(f"the suite {self.name} has no problems")
        object.__setattr__(self, "digest", digest(self.problems))

    def table(self) -> dict[str, list[Any]]:
        """One row per problem; other data from its source is JSON."""
        return {
            "id": [problem.id for problem in self.problems],
            "text": [problem.text for problem in self.problems],
            "answer": [problem.answer for problem in self.problems],
            "metadata": [json.dumps(dict(p.metadata), default=str, ensure_ascii=False) for p in self.problems],
        }

    def __repr__(self) -> str:
        return f"Suite({brief(self.name)}, {counted(len(self.problems), 'problem')}, graded by {self.grader.name})"


def digest(problems: Sequence[Problem]) -> str:
    """The SHA-256 (hexadecimal) of the problems' ids, texts, answers and metadata, in order."""
    content = hashlib.sha256()
    for problem in problems:
        fields = [problem.id, problem.text, problem.answer, dict(problem.metadata)]
        try:
            spelled = json.dumps(fields, sort_keys=True, default=str)
            check_readable(spelled)
        except (TypeError, ValueError, RecursionError) as error:
            raise UsageError(f"the metadata of problem {problem.id} cannot be kept as JSON: {error}") from error
        content.update(spelled.encode() + b"\n")
    return content.hexdigest()
