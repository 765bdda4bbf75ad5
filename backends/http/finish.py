"""Why a server ended an answer, in the terms of the many servers."""

from __future__ import annotations

import logging
from typing import Any

from widthwise.core.backend import FinishReason

_log = logging.getLogger(__name__)

_ENDS = frozenset({"stop", "eos", "eos_token", "end_turn", "stop_sequence", "stop_token", "end", "completed"})
_CUTS = frozenset({"length", "max_tokens", "max_length", "max_output_tokens", "model_length", "token_limit"})
_FAILURES = frozenset({
    "content_filter", "error", "abort", "aborted", "cancelled", "canceled", "tool_calls", "function_call", "tool_use",
    "safety", "recitation", "refusal", "insufficient_system_resource", "network_error", "sensitive", "blocklist",
    "prohibited_content", "spii", "malformed_function_call", "pause_turn", "overloaded",
})  # fmt: skip


def finish(reason: str | None) -> FinishReason | None:
    """The finish that a server's word means; None if it names none, or says that this is not an answer.

    An unknown word counts as "stop".
    """
    said = _word(reason)
    if not said or said in _FAILURES:
        return None
    if said not in _ENDS | _CUTS:
        _log.warning("the server ended an answer with the unknown word %r, which counts as 'stop'", reason)
    return "length" if said in _CUTS else "stop"


def is_answer(reason: Any) -> bool:
    """Whether something that ends, or goes on, with this word is an answer."""
    return _word(reason) not in _FAILURES


def ended_by(reason: Any) -> str:
    """Why something that ended with this word is not an answer."""
    return f"the server ended its answer with {str(reason)[:100]!r}, so it is void"


def _word(reason: Any) -> str:
    """Gemini sends words such as ``FinishReason.STOP``, in capitals."""
    return str(reason).rpartition(".")[2].strip().lower() if reason else ""
