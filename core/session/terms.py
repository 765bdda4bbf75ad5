"""How to work on one problem, besides its setting."""

from __future__ import annotations

from typing import TypedDict

from widthwise.core.session.journal import Journal


class SessionTerms(TypedDict, total=False):
    """``journal`` keeps what is finished, for a resumed run; requests of a lower ``priority`` are served first."""

    journal: Journal | None
    priority: int
