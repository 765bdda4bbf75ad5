"""The tokenizer of a replay: the model's, with a mark that tells a prompt from what follows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from widthwise.core.arrays import IntArray
from widthwise.core.backend import LearningTokenizer, Tokenizer
from widthwise.core.chat_options import NO_OPTIONS, ChatOptions

PROMPT_END = 2**62
"""Ends the prompts that ``chat`` makes, and spells nothing. No tokenizer and no hash of pieces produces this id."""


class ReplayTokenizer:
    """The underlying tokenizer, with a mark after every prompt that ``chat`` makes."""

    def __init__(self, inner: Tokenizer) -> None:
        self.inner = inner
        self.eos_ids = inner.eos_ids
        self.bos_id = inner.bos_id
        self.controls = inner.controls
        self.conversations: dict[str, None] = {}

    def learn(self, text: str, ends: IntArray) -> None:
        if isinstance(self.inner, LearningTokenizer):
            self.inner.learn(text, ends)

    def encode(self, text: str) -> list[int]:
        return self.inner.encode(text)

    def decode(self, ids: Sequence[int] | IntArray) -> str:
        return self.inner.decode([i for i in map(int, ids) if i != PROMPT_END])

    def pieces(self, ids: Sequence[int] | IntArray) -> list[str]:
        """The text of each id."""
        return [self.decode([i]) for i in ids]

    def chat(self, messages: Sequence[Mapping[str, str]], options: ChatOptions = NO_OPTIONS) -> list[int]:
        """The conversation's tokens, and the mark; the text of an open assistant turn follows the mark."""
        is_open = bool(messages) and messages[-1]["role"] == "assistant"
        asked = messages[:-1] if is_open else messages
        ids = self.inner.chat(asked, options)
        self.conversations[self.inner.decode(ids)] = None
        return [*ids, PROMPT_END, *(self.encode(messages[-1]["content"]) if is_open else ())]
