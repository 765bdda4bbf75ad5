"""A conversation, in the form in which a model receives it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from widthwise.core.brief import Brief
from widthwise.core.chat_options import NO_OPTIONS, ChatOptions
from widthwise.core.errors import UsageError

Message = Mapping[str, str]
"""``{"role": "system" | "user" | "assistant", "content": text}``."""

Messages = Sequence[Message]
"""A conversation, as ``Tokenizer.chat`` takes it."""


@dataclass(frozen=True, slots=True)
class Conversation(Brief):
    """Turns of a conversation, and ``options``, what the model's chat template receives besides them.

    If the last message is the assistant's, it is left open and continued. ``marks`` are the pair that encloses the
    thinking in the model's reply, where the server delivers thinking separately from the answer.
    """

    messages: tuple[Message, ...]
    options: ChatOptions = NO_OPTIONS
    marks: tuple[str, str] = ("<think>\n", "\n</think>\n\n")

    @property
    def is_open(self) -> bool:
        """Whether the assistant's turn has begun and is to be continued."""
        return bool(self.messages) and self.messages[-1]["role"] == "assistant"

    def continued(self, text: str) -> Conversation:
        """This conversation with ``text`` as what the assistant has said so far."""
        if not text:
            return self
        *earlier, last = self.messages
        if self.is_open:
            return replace(self, messages=(*earlier, {**last, "content": last["content"] + text}))
        return replace(self, messages=(*self.messages, {"role": "assistant", "content": text}))


_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


def messages_in(given: Any) -> list[dict[str, str]]:
    """Messages as programs write them, of role and text; ``developer`` is the system, and text may come in parts.

    Raises ``UsageError`` for what is no message, for another role, and for content that is no text (an image, say).
    """
    if isinstance(given, str | Mapping) or not isinstance(given, Iterable):
        raise UsageError(f"a conversation is a list of messages, not {given!r:.100}")
    return [{"role": _role(message), "content": _content(message)} for message in given]


def _role(message: Any) -> str:
    role = message.get("role") if isinstance(message, Mapping) else None
    if not isinstance(role, str) or role not in _ROLES:
        raise UsageError(
            f"a message is {{'role': 'system', 'user' or 'assistant', 'content': a text}}, not {message!r:.100}"
        )
    return _ROLES[role]


def _content(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    parts = content if isinstance(content, list | tuple) else [{"type": "text", "text": content}]
    texts = [part.get("text") if isinstance(part, Mapping) and part.get("type") == "text" else None for part in parts]
    if not all(isinstance(text, str) for text in texts):
        raise UsageError(f"the content of a message is a text, not {content!r:.100}")
    return "".join(map(str, texts))
