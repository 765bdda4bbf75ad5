"""Samples that are copies of each other, and how many different ones they are worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from widthwise.core.brief import Brief
from widthwise.evals.store.outcome import Outcome

_LONG = 1000
"""Characters of a text that nobody writes twice."""

FIELD = "effective_samples"
"""The field of an outcome, where its samples are fewer than they look."""


@dataclass(frozen=True, slots=True)
class Copies(Brief):
    """The samples of several problems: how many each has on average, and how many different ones these are worth.

    ``alike`` of the ``problems`` that have several samples have one and the same text in all of them.
    """

    samples: float
    effective: float
    alike: int
    problems: int

    @classmethod
    def of(cls, counts: Iterable[tuple[int, float]]) -> Copies:
        """``counts``: the samples of each problem, and what they are worth."""
        known = [(n, worth) for n, worth in counts if n > 1]
        size = max(len(known), 1)
        alike = sum(worth < 1.0 + 1e-9 for _, worth in known)
        return cls(sum(n for n, _ in known) / size, sum(worth for _, worth in known) / size, alike, len(known))

    @classmethod
    def stored(cls, outcomes: Iterable[Outcome]) -> Copies:
        """The samples of stored problems."""
        return cls.of((len(o.samples), _worth(o.fields, len(o.samples))) for o in outcomes)

    @property
    def note(self) -> str:
        """A sentence where the samples are worth a tenth less than their number or fewer still; else nothing."""
        if self.effective > 0.9 * self.samples or not self.problems:
            return ""
        return (
            f"in {self.alike} of {self.problems} problems all samples have the same text, and the {self.samples:.1f} "
            f"samples of a problem are worth {self.effective:.1f} different ones on average: one seed for all of them "
            "or temperature 0 makes copies, and more of these say nothing new"
        )


def effective_number(texts: Sequence[str]) -> float:
    """How many different samples ``texts`` are worth: ``n**2`` over the sum of the squared numbers of copies.

    Kish's effective size: ``n`` where all differ, 1 where all are one, 4 where there are as many of each of 4. Samples
    of few words may be equal by chance, and are samples all the same. Copies are those that cannot be: texts of more
    than ``_LONG`` characters, and all texts of a problem where each is there equally often, and more than once.
    """
    counts = Counter(texts)
    regular = min(counts.values(), default=0) > 1 and len(set(counts.values())) == 1
    squares = sum(n**2 if regular or len(text) > _LONG else n for text, n in counts.items())
    return len(texts) ** 2 / squares if squares else 0.0


def copies_field(texts: Sequence[str]) -> dict[str, float]:
    """What an outcome's fields say of its samples' ``texts``: nothing where no two are the same."""
    worth = effective_number(texts)
    return {FIELD: round(worth, 3)} if worth < len(texts) else {}


def _worth(fields: Mapping[str, Any], samples: int) -> float:
    """What a stored problem's samples are worth; a run file may say anything there."""
    worth = fields.get(FIELD, samples)
    known = isinstance(worth, int | float) and not isinstance(worth, bool)
    return min(max(float(worth), 0.0), float(samples)) if known else float(samples)
