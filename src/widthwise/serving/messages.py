"""A chat's messages, as a strategy gets them: the earlier turns, and the question at the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from widthwise.serving.fields import Fields
from widthwise.serving.refusal import Refusal

_SYSTEM = ("system", "developer")
_ROLES = (*_SYSTEM, "user", "assistant")
_CALLS = ("tool_calls", "function_call", "audio", "refusal")
_REMARKS = ("name", "annotations", "reasoning", "reasoning_content")
"""Fields of a message that are not part of what the model is asked."""


@dataclass(frozen=True, slots=True)
class Chat:
    """``text`` is the user's last question; ``earlier`` are the turns before it, a system prompt first, if any."""

    text: str
    earlier: tuple[Mapping[str, str], ...] = ()

    @classmethod
    def of(cls, messages: Any) -> Chat:
        """Raises ``Refusal`` for what a strategy cannot be asked."""
        if not isinstance(messages, list) or not messages:
            raise Refusal(400, "messages must be a list with at least one message", param="messages")
        turns = [_turn(message, f"messages.{place}") for place, message in enumerate(messages)]
        first = [turn["content"] for turn in takewhile(lambda turn: turn["role"] == "system", turns)]
        *earlier, last = turns[len(first) :] or [{"role": "system", "content": ""}]
        if last["role"] != "user":
            raise Refusal(
                400, "the last of messages must be the user's: strategies begin answers themselves", param="messages"
            )
        if any(turn["role"] == "system" for turn in earlier):
            raise Refusal(400, "system messages must come before all others", param="messages")
        if not last["content"].strip():
            raise Refusal(400, "the last of messages has no text", param="messages")
        system = [{"role": "system", "content": "\n\n".join(first)}] if any(first) else []
        return cls(last["content"], (*system, *earlier))


def _turn(message: Any, place: str) -> dict[str, str]:
    if not isinstance(message, dict):
        raise Refusal(400, f"{place} must be an object", param=place)
    fields = Fields(message, place)
    role = fields.take("role", str, needed=True)
    if role not in _ROLES:
        raise fields.refusal("role", f"must be one of {', '.join(_ROLES)}: strategies call no tools")
    for name in _CALLS:
        fields.expect(name, ([], {}, ""), "is nothing that a strategy can be asked")
    for name in _REMARKS:
        fields.raw(name)
    text = "".join(_texts(fields))
    fields.end()
    return {"role": "system" if role in _SYSTEM else role, "content": text}


def _texts(fields: Fields) -> Iterator[str]:
    """A message's content, which may be in parts."""
    content = fields.raw("content")
    if content is None or isinstance(content, str):
        yield content or ""
        return
    if not isinstance(content, list):
        raise fields.refusal("content", "must be a text or a list of texts")
    for part in content:
        if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            raise fields.refusal("content", "may have parts of the type text only")
        yield part["text"]
