"""A conversation, as a model is asked it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from widthwise.core.brief import Brief
from widthwise.core.chat_options import NO_OPTIONS, ChatOptions

Message = Mapping[str, str]
"""``{"role": "system" | "user" | "assistant", "content": text}``."""


@dataclass(frozen=True, slots=True)
class Conversation(Brief):
    """Turns of a conversation, and ``options``, what the model's chat template is given besides.

    A last message of the assistant is left open, to be continued. ``marks`` open and close thinking in what the model
    replies, where it is delivered apart from the answer.
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
