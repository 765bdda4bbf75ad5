"""Several scores as one: ``reward_model * mean_confidence``, ``0.7 * z(reward_model) + 0.3 * z(mean_logprob)``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from widthwise.core.arrays import DoubleArray
from widthwise.core.errors import UsageError

Values = DoubleArray
"""One number per trace, ``float64 [traces]``; NaN where it has none."""

_LONGEST = 1000
_SCORE = r"-?[A-Za-z_]\w{0,99}(?::\w{1,20})?(?:\([^()]{0,500}\))?"
_FACTOR = re.compile(
    rf"(?P<number>-?\d{{1,20}}(?:\.\d{{1,20}})?)|(?P<kind>rank|z)\(\s*(?P<rescaled>{_SCORE})\s*\)|(?P<score>{_SCORE})"
)
_ARGUMENTS = re.compile(r"(?<!\brank)(?<!\bz)\([^()]{0,500}\)")
_COMBINED = re.compile(r"[*+]|\s-\s|^\s*(?:rank|z)\(")


def _rank(values: Values) -> Values:
    """The share of the other traces that each one beats, equal ones counting half; a half for a single trace."""
    known = np.sort(values[~np.isnan(values)])
    beaten, not_above = (np.searchsorted(known, values, side) for side in ("left", "right"))
    shares = (beaten + not_above - 1) / (2 * (len(known) - 1)) if len(known) > 1 else np.full(len(values), 0.5)
    return np.where(np.isnan(values), np.nan, shares)


def _standardised(values: Values) -> Values:
    """How many standard deviations each is above the mean of all that have the score; 0 where all are equal."""
    known = values[~np.isnan(values)]
    spread = float(known.std()) if len(known) else 0.0
    # Equal values may have a mean that differs from them by rounding.
    if not len(known) or spread <= 1e-12 * float(np.abs(known).max()):
        return np.where(np.isnan(values), np.nan, 0.0)
    return np.asarray((values - known.mean()) / spread)


RELATIVE: Mapping[str, Callable[[Values], Values]] = {"rank": _rank, "z": _standardised}
"""What makes scores on different scales comparable, from the scores of all traces of a problem."""


@dataclass(frozen=True)
class Combination:
    """A sum of products. Each term is a weight and its factors: sources of scores, with the name of a rescaling or "".

    A trace that lacks one of the scores has no combined score.
    """

    terms: tuple[tuple[float, tuple[tuple[str, str], ...]], ...]

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """The scores that are combined, each once."""
        return tuple(dict.fromkeys(source for _, factors in self.terms for _, source in factors))

    @property
    def relative(self) -> bool:
        """Whether a trace's score depends on the other traces of its problem."""
        return any(kind for _, factors in self.terms for kind, _ in factors)

    def values(self, scores: Mapping[str, Values]) -> Values:
        """The combined score of each trace, from those of all ``sources``."""
        products = [
            np.prod([RELATIVE[kind](scores[of]) if kind else scores[of] for kind, of in factors], axis=0) * weight
            for weight, factors in self.terms
        ]
        return np.asarray(np.sum(products, axis=0), np.float64)


def combination(source: str) -> Combination | None:
    """The combination that ``source`` spells; None for a single score.

    Scores and numbers are joined by ``*``, products by ``+`` or ``-`` with spaces around it. ``rank(...)`` is the share
    of the problem's other traces that a trace beats, ``z(...)`` its distance from their mean in standard deviations:
    with these, scores on different scales add up (CombSUM: Fox and Shaw, TREC-2, 1994). Raises ``UsageError`` for what
    is neither.
    """
    if not _COMBINED.search(_ARGUMENTS.sub("", source)):
        return None
    if len(source) > _LONGEST:
        raise UsageError(f"a combination of scores may have {_LONGEST:,} characters, not {len(source):,}")
    pieces = re.split(r"\s(?=-\s)|\+", source)
    return Combination(tuple(_term(source, piece.strip()) for piece in pieces))


def _term(source: str, text: str) -> tuple[float, tuple[tuple[str, str], ...]]:
    """A product's weight and its factors."""
    negative = text.startswith("- ")
    weight, factors = -1.0 if negative else 1.0, []
    for piece in text.removeprefix("- ").split("*"):
        found = _FACTOR.fullmatch(piece.strip())
        if found is None or _COMBINED.match(found["rescaled"] or ""):
            raise UsageError(
                f"cannot read {piece.strip()!r} in the score {source!r}: write scores, rank(score), z(score) and "
                "numbers joined by *, and these by +, such as 0.7 * z(reward_model) + 0.3 * z(mean_logprob)"
            )
        if found["number"]:
            weight *= float(found["number"])
        else:
            factors.append((found["kind"] or "", found["rescaled"] or found["score"]))
    if not factors:
        raise UsageError(f"{text!r} in the score {source!r} is only a number")
    return weight, tuple(factors)
