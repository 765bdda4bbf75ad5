"""Windows: several candidates that a model is shown at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from widthwise.core.session.session import Session
from widthwise.core.trace.trace import Trace

Window = list[int]
"""The candidates of one question, by number, in the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class Windows:
    """How candidates are shown: at most ``size`` at once, of each what follows its thinking.

    With ``tokens``, only the last so many tokens of that are shown.
    """

    size: int
    tokens: int | None

    def __post_init__(self) -> None:
        if self.size < 2:
            raise ValueError(f"window must be at least 2, not {self.size}")
        if self.tokens is not None and self.tokens < 1:
            raise ValueError(f"shown_tokens must be at least 1, not {self.tokens}")

    def drawn(self, count: int, draws: int, rng: np.random.Generator) -> list[Window]:
        """``draws`` random sets of the ``count`` candidates, each in a random order of its own."""
        return [rng.permutation(count)[: self.size].tolist() for _ in range(draws)]

    def cut(self, candidates: Sequence[int]) -> list[Window]:
        """All of ``candidates`` in as few windows as hold them, whose sizes differ by at most one."""
        pieces = np.array_split(np.array(candidates), math.ceil(len(candidates) / self.size))
        return [piece.tolist() for piece in pieces]

    def ask(self, session: Session, question: str, shown: Sequence[Trace], after: Sequence[Trace]) -> Trace:
        """The prompt that asks ``question`` about the candidates ``shown``."""
        texts = [session.solution(trace) for trace in shown]
        kept = texts if self.tokens is None else [session.ending(text, self.tokens) for text in texts]
        return session.ask(question, count=str(len(shown)), drafts=session.listed("draft", kept), after=after)


def check_draws(draws: int) -> None:
    """Raises ``ValueError`` for fewer than one draw."""
    if draws < 1:
        raise ValueError(f"draws must be at least 1, not {draws}")
