"""How a model family marks what it thinks, apart from what it says to the reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Thinking:
    """The marks around a family's thinking, and how it is ended or left out.

    ``marks`` are pairs of texts: one that opens the thinking and one that closes it; whichever stands last in a trace
    decides. ``close`` is inserted behind thinking that is cut short, so that the model speaks to the reader next; where
    it is empty, the mark that closes what was opened.
    ``empty`` is inserted where the model's turn begins, to have no thinking at all (NoThinking, Ma et al., arXiv
    2504.09858); ``off`` are arguments of the chat template that do the same, where it has such a switch. ``again``
    stands in place of a closing mark where the model is to think on (s1, Muennighoff et al., arXiv 2501.19393).
    """

    marks: tuple[tuple[str, str], ...]
    close: str
    empty: str
    off: Mapping[str, Any] = field(default_factory=dict)
    again: str = "Wait"

    @property
    def closing(self) -> tuple[str, ...]:
        """The texts that close the thinking."""
        return tuple(dict.fromkeys(close for _, close in self.marks))

    @property
    def around(self) -> tuple[str, str]:
        """What stands before and after thinking that is written out whole."""
        return self.marks[0][0], self.close

    def begun(self, prompt: str) -> bool:
        """Whether a prompt leaves its reader inside the thinking: its last word opens it."""
        return prompt.rstrip().endswith(tuple(opening.rstrip() for opening, _ in self.marks))

    def is_open(self, text: str, begun: bool = False) -> bool:
        """Whether ``text`` ends inside the thinking; ``begun``: the prompt before it opened the thinking."""
        opened = max(text.rfind(opening) for opening, _ in self.marks)
        closed = max(text.rfind(close) for close in self.closing)
        return opened > closed or (begun and closed < 0)

    def thought(self, text: str, begun: bool = False) -> str:
        """The thinking of ``text`` up to the last mark that closes it, all of ``text`` where it is open."""
        return text if self.is_open(text, begun) else text[: self._end(text)]

    def said(self, text: str, begun: bool = False) -> str:
        """What ``text`` says behind its thinking; nothing where that is still open, all of it where there is none."""
        return "" if self.is_open(text, begun) else text[self._end(text) :]

    def closing_of(self, text: str) -> str:
        """What closes the thinking that is open at the end of ``text``, as far as ``text`` does not end in it yet."""
        close = self.close or f"\n{self._last_opened(text)[1]}\n\n"
        begun = next(length for length in range(len(close), -1, -1) if text.endswith(close[:length]))
        return close[begun:]

    def _last_opened(self, text: str) -> tuple[str, str]:
        return max(self.marks, key=lambda mark: text.rfind(mark[0]))

    def _end(self, text: str) -> int:
        """Where the last closing mark ends; 0 where there is none."""
        return max((text.rfind(close) + len(close) for close in self.closing if close in text), default=0)


HARMONY_MARKS = (
    ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),
    ("<|channel|>commentary", "<|channel|>final<|message|>"),
)
"""gpt-oss: channels that are not for the reader, and the one that is."""

USUAL = Thinking(
    marks=(
        *((f"<{tag}>", f"</{tag}>") for tag in ("think", "thinking", "seed:think")),
        ("[THINK]", "[/THINK]"),
        *HARMONY_MARKS,
    ),
    close="",
    empty="",
)
"""The marks of the families that think, for texts of a model that is not known."""
