"""Why a server ended an answer, in the words of the many servers."""

from __future__ import annotations

import logging

from widthwise.core.backend import FinishReason

_log = logging.getLogger(__name__)


def finish(reason: str | None) -> FinishReason | None:
    """What a server names, and "stop" for every other end than the length's."""
    if not reason:
        return None
    if reason not in ("stop", "length"):
        _log.warning("the server ended an answer with %r, which counts as its end by itself", reason)
    return "length" if reason == "length" else "stop"
