"""How a run begins: a mistake that affects every problem ends it."""

from __future__ import annotations

from widthwise.core.errors import UsageError
from widthwise.core.problem import Problem

FIRST = 3
"""How many problems must fail in the same way, with no other outcome so far, before a run is stopped."""


class Beginning:
    """The problems that end first, as long as all of them fail with the same ``UsageError``.

    ``stopped`` says that enough of them have, so no further problem is to begin.
    """

    def __init__(self) -> None:
        self._sentence: str | None = None
        self._failed = 0
        self._over = False
        self.stopped = False

    def heed(self, problem: Problem, error: BaseException | None) -> None:
        """A problem has ended, with ``error`` or well; raises ``UsageError`` if the others would fail the same way."""
        said = str(error).replace(problem.id, "...") if isinstance(error, UsageError) else None
        if said is None or self._sentence not in (None, said):
            self._over = True
        if self._over:
            return
        self._sentence, self._failed = said, self._failed + 1
        if self._failed == FIRST:
            self.stopped = True
            raise UsageError(f"{error} (the first {FIRST} problems failed with this, and the run was stopped)")
