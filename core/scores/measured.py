"""Confidence scores by name: ``lowest_group_confidence(window=64)``, a DeepConf measure with its arguments."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from widthwise.core.backend import TokenStats
from widthwise.core.errors import UsageError
from widthwise.core.scores import confidence
from widthwise.core.scores.confidence import ConfidenceBasis, token_confidence

TOP = 20
"""How many of the most likely tokens are used; the paper's k."""

MEASURES: Mapping[str, Callable[..., float]] = {
    "mean_confidence": confidence.mean,
    "tail_confidence": confidence.tail,
    "lowest_group_confidence": confidence.lowest_group,
    "bottom_confidence": confidence.bottom_percent,
}

_SPELLED = re.compile(r"(?P<name>\w{1,100})(?:\((?P<arguments>[^()]{0,500})\))?")


@dataclass(frozen=True, slots=True)
class ConfidenceScore:
    """One of ``MEASURES`` over the confidence of a trace's tokens.

    ``k`` (None: as many as were recorded) and ``of`` say what the confidence of a token is; see ``token_confidence``.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    k: int | None = None
    of: ConfidenceBasis = "top"

    def __call__(self, stats: TokenStats) -> float:
        return MEASURES[self.name](token_confidence(stats, self.k, self.of), **self.arguments)

    @property
    def logprobs(self) -> int:
        """How many of the most likely tokens' log-probabilities it needs."""
        return 0 if self.of == "sampled" else self.k or TOP


def confidence_score(source: str) -> ConfidenceScore | None:
    """The score that ``source`` spells, with its arguments in brackets; None for another kind of score.

    ``window`` is a number of tokens (2048), ``percent`` a share of the windows (10, for "bottom_confidence"), ``k`` how
    many of the most likely tokens are used, ``confidence`` what a token's confidence is (see ``ConfidenceBasis``).
    Raises ``UsageError`` for arguments that the measure does not have.
    """
    spelled = _SPELLED.fullmatch(source.strip())
    if spelled is None or spelled["name"] not in MEASURES:
        return None
    name = spelled["name"]
    given = dict(_argument(name, piece) for piece in (spelled["arguments"] or "").split(",") if piece.strip())
    known = [*list(inspect.signature(MEASURES[name]).parameters)[1:], "k", "confidence"]
    for key, value in given.items():
        _check(name, key, value, known)
    k, of = given.pop("k", None), given.pop("confidence", "top")
    return ConfidenceScore(name, given, k, of)


def _argument(name: str, piece: str) -> tuple[str, Any]:
    key, equals, value = piece.partition("=")
    try:
        if equals:
            return key.strip(), ast.literal_eval(value.strip())
    except (ValueError, SyntaxError):
        pass
    raise UsageError(f"{name}: cannot read the argument {piece.strip()!r}; write for example window=64")


def _check(name: str, key: str, value: Any, known: list[str]) -> None:
    if key not in known:
        raise UsageError(f"{name} has no argument {key!r} (its arguments are {', '.join(known)})")
    if key == "confidence":
        if value not in get_args(ConfidenceBasis):
            raise UsageError(f"{name}: confidence must be one of {', '.join(get_args(ConfidenceBasis))}, not {value!r}")
    elif isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise UsageError(f"{name}: {key} must be a number above 0, not {value!r}")
    elif key != "percent" and not isinstance(value, int):
        raise UsageError(f"{name}: {key} must be a whole number, not {value!r}")
    elif key == "percent" and value > 100:
        raise UsageError(f"{name}: percent must be at most 100, not {value!r}")
