"""Samples that are copies of each other, and how many different ones they are worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from widthwise.core.brief import Brief
from widthwise.evals.store.outcome import Outcome

_LONG = 1000
"""How many characters a text needs so that it cannot be equal by chance."""

FIELD = "effective_samples"
"""The field of an outcome whose samples are worth fewer than their number."""


@dataclass(frozen=True, slots=True)
class Copies(Brief):
    """The samples of several problems: how many each has on average, and how many different ones these are worth.

    ``alike`` of the ``problems`` with several samples have the same text in all of them.
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
        """A sentence if the samples are worth at least a tenth less than their number; else empty."""
        if self.effective > 0.9 * self.samples or not self.problems:
            return ""
        return (
            f"in {self.alike} of {self.problems} problems all samples have the same text, and the "
            f"{self.samples:.1f} samples of a problem are worth {self.effective:.1f} different ones on average: "
            "using one seed for all of them, or temperature 0, makes copies, and more of these add no information"
        )


def effective_number(texts: Sequence[str]) -> float:
    """How many different samples ``texts`` are worth: ``n**2`` over the sum of the squared numbers of copies.

    Kish's effective size: ``n`` if all differ, 1 if all are equal, 4 if there are equally many of 4 texts. Samples of
    few words may be equal by chance, and then count as samples all the same. Only certain copies count as such: texts
    of more than ``_LONG`` characters, and all texts of a problem if each occurs equally often, and more than once.
    """
    counts = Counter(texts)
    regular = min(counts.values(), default=0) > 1 and len(set(counts.values())) == 1
    squares = sum(n**2 if regular or len(text) > _LONG else n for text, n in counts.items())
    return len(texts) ** 2 / squares if squares else 0.0


def copies_field(texts: Sequence[str]) -> dict[str, float]:
    """What an outcome's fields say about its samples' ``texts``: nothing if no two are equal."""
    worth = effective_number(texts)
    return {FIELD: round(worth, 3)} if worth < len(texts) else {}


def _worth(fields: Mapping[str, Any], samples: int) -> float:
    """What a stored problem's samples are worth; a run file may contain anything there."""
    worth = fields.get(FIELD, samples)
    known = isinstance(worth, int | float) and not isinstance(worth, bool)
    return min(max(float(worth), 0.0), float(samples)) if known else float(samples)
