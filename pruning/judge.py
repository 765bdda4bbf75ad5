"""The contract of judges: will two unfinished traces end in the same answer?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from widthwise.core.registry import declares
from widthwise.core.session.session import Session
from widthwise.core.trace.trace import Trace


@declares("judge")
class Judge(Protocol):
    """Compares unfinished traces of one problem. It samples with ``judging=True``.

    ``begin()``, if it has one, gives the judge of one draw, for judges that remember something.
    """

    async def __call__(self, session: Session, trace: Trace, others: Sequence[Trace]) -> list[float | None]:
        """The probability, for each of ``others``, that it will end in the answer of ``trace``; None if unknown."""
        ...
