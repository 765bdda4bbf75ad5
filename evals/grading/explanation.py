"""Why two answers count as the same or not: what was read, by which reader, the canonical forms, and the rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from widthwise.evals.grading import extraction
from widthwise.evals.grading.equality import Verdict, canonical
from widthwise.evals.grading.extraction import Reading, read
from widthwise.evals.grading.graders import MathGrader, verdict_on
from widthwise.evals.grading.leniency import Leniency
from widthwise.evals.grading.remarks import tells

Read = Callable[[str], Reading | None]


@dataclass(frozen=True, slots=True)
class Side:
    """One of two answers: where it was found in its text, and how it is understood.

    ``whole``: all of it was understood; otherwise ``form`` is only its spelling.
    """

    answer: str
    reader: str
    statement: str
    form: str
    whole: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """The outcome of a comparison, and why."""

    gold: Side
    prediction: Side
    verdict: Verdict

    @property
    def equal(self) -> bool:
        return self.verdict.outcome == "same"

    def asdict(self) -> dict[str, Any]:
        """Its parts as JSON values."""
        sides = {"gold": asdict(self.gold), "prediction": asdict(self.prediction)}
        return {"equal": self.equal, "outcome": self.verdict.outcome, "rule": self.verdict.rule, **sides}


def explained(gold: str, prediction: str, grader: MathGrader | None = None) -> Explanation:
    """The comparison of a reference answer with an answer, or with a text that states one.

    ``grader`` reads and grades as its suites do, and a text that states nothing for it is not an answer. Without a
    grader, a text may also be a bare answer, and prose states its last formula or number.
    """
    a = _side(gold, _read_bare)
    b = _side(prediction, grader.read if grader else _read_bare)
    return Explanation(a, b, verdict_on(a.answer, b.answer, grader.leniency() if grader else Leniency()))


def _read_bare(text: str) -> Reading:
    return read(text, extraction.MATH, last_number=tells(text)) or Reading(text.strip(), "bare answer", 0, text)


def _side(text: str, reader: Read) -> Side:
    reading = reader(text) or Reading("", "none", 0, "")
    form = canonical(reading.answer)
    return Side(reading.answer, reading.reader, reading.statement, form.text, form.whole)
