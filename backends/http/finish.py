"""Why a server ended an answer, in the words of the many servers."""

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
    """What a server names as the end of an answer; None where it names none, or says that this is no answer.

    A word that is not known counts as its end by itself.
    """
    said = _word(reason)
    if not said or said in _FAILURES:
        return None
    if said not in _ENDS | _CUTS:
        _log.warning("the server ended an answer with %r, which counts as its end by itself", reason)
    return "length" if said in _CUTS else "stop"


def is_answer(reason: Any) -> bool:
    """Whether an answer that ends, or goes on, with this word is one."""
    return _word(reason) not in _FAILURES


def ended_by(reason: Any) -> str:
    """Why an answer that ended with this word is none."""
    return f"the server ended its answer with {str(reason)[:100]!r}: it is no answer"


def _word(reason: Any) -> str:
    """Gemini's come as ``FinishReason.STOP`` and in capitals."""
    return str(reason).rpartition(".")[2].strip().lower() if reason else ""
