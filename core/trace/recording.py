"""Recorded generations of one problem, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from widthwise.core.arrays import IntArray
from widthwise.core.backend import TokenStats
from widthwise.core.brief import Brief
from widthwise.core.problem import Problem
from widthwise.core.trace.trace import Finish


@dataclass(frozen=True, slots=True, eq=False)
class Sample(Brief):
    """One recorded generation.

    ``text`` is everything after the prompt. ``answer`` and ``correct`` are the recording's labels (None: not given).
    ``token_ends`` and ``token_ids`` are ``int64 [t]``; ``stats`` is aligned with them, NaN where a token was inserted.
    ``path`` is the export's account of the segments, one mapping each.
    """

    text: str
    answer: str | None = None
    correct: bool | float | None = None
    finish: Finish | None = None
    trace: str | None = None
    token_ids: IntArray | None = None
    token_ends: IntArray | None = None
    stats: TokenStats | None = None
    path: tuple[Mapping[str, Any], ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lengths = {len(a) for a in (self.token_ids, self.token_ends) if a is not None}
        if self.stats is not None:
            lengths.add(len(self.stats.logprobs))
        if len(lengths) > 1:
            raise ValueError(f"per-token fields of different lengths ({', '.join(map(str, sorted(lengths)))})")
        ends = self.token_ends
        if ends is not None and not covers(ends, len(self.text)):
            raise ValueError('"token_ends" must rise from 0 to the length of "text"')


@dataclass(frozen=True, slots=True, eq=False)
class Recording(Brief):
    """The recorded generations of one problem.

    ``prompt`` and ``prompt_ids`` (``int64 [t]``) are the model's input, if known. ``fields`` are the row's further
    fields (``model``, ``source`` ...); those that describe the problem are in ``problem.metadata`` too.
    """

    problem: Problem
    samples: tuple[Sample, ...]
    prompt: str | None = None
    prompt_ids: IntArray | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)


def covers(ends: IntArray, length: int) -> bool:
    """Whether the ends rise from at least 0 and reach exactly ``length``."""
    steps = np.diff(ends, prepend=0)
    return bool((steps >= 0).all()) and (int(ends[-1]) if len(ends) else 0) == length
