"""How a model family marks its thinking, as distinct from what it says to the reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from widthwise.core.brief import Brief


@dataclass(frozen=True, slots=True)
class Thinking(Brief):
    """The marks around a family's thinking, and how to end it or leave it out.

    ``marks`` are pairs of texts, one that opens the thinking and one that closes it; the last mark in a trace decides.
    ``close`` is inserted after thinking that is cut short, so that the model speaks to the reader next; if it is empty,
    the mark that closes what was opened is used. ``empty`` is inserted where the model's turn begins, to skip thinking
    altogether; ``finished`` is inserted to have the turn begin after completed thinking (NoThinking, Ma et al., arXiv
    2504.09858; ``empty`` if there is none). ``off`` are arguments of the chat template that switch thinking off, if it
    has such a switch. ``again`` replaces a closing mark if the model is to think on (s1, Muennighoff et al., arXiv
    2501.19393).
    """

    marks: tuple[tuple[str, str], ...]
    close: str
    empty: str
    off: Mapping[str, Any] = field(default_factory=dict)
    again: str = "Wait"
    finished: str = ""

    @property
    def closing(self) -> tuple[str, ...]:
        """The texts that close the thinking."""
        return tuple(dict.fromkeys(close for _, close in self.marks))

    @property
    def around(self) -> tuple[str, str]:
        """The marks before and after thinking that is written out in full."""
        return self.marks[0][0], self.close

    def is_off(self, template_args: Mapping[str, Any]) -> bool:
        """Whether these arguments of the chat template switch the thinking off."""
        return bool(self.off) and all(template_args.get(name) == value for name, value in self.off.items())

    def begun(self, prompt: str) -> bool:
        """Whether a prompt ends inside the thinking: its last word opens it."""
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
        """What ``text`` says after its thinking: nothing if the thinking is still open, all of it if there is none."""
        return "" if self.is_open(text, begun) else text[self._end(text) :]

    def closing_of(self, text: str) -> str:
        """What is missing from ``text`` to close the thinking that is open at its end."""
        close = self.close or f"\n{self._last_opened(text)[1]}\n\n"
        lengths = (length for length in range(len(close), -1, -1) if not length or _is_seam(close, length))
        return close[next(length for length in lengths if text.endswith(close[:length])) :]

    def _last_opened(self, text: str) -> tuple[str, str]:
        return max(self.marks, key=lambda mark: text.rfind(mark[0]))

    def opening(self, text: str) -> str | None:
        """The rest of the opening mark that ``text``, all of a model's turn so far, may have begun; or None."""
        begun = text.lstrip()
        return next((mark[len(begun) :] for mark, _ in self.marks if mark != begun and mark.startswith(begun)), None)

    def left_out(self, prompt: str) -> str:
        """What to append to a prompt so that the model does not think; nothing if the prompt has closed thinking."""
        if prompt.rstrip().endswith(tuple(close.rstrip() for close in self.closing)):
            return ""
        opened = next((mark for mark, _ in self.marks if prompt.rstrip().endswith(mark.rstrip())), None)
        whole = self.finished or self.empty
        return whole if opened is None else whole.partition(opened)[2].lstrip() or self.close.lstrip()

    def before_closing(self, text: str) -> str:
        """``text`` up to the mark that last closes its thinking, without the end of turn that some families write."""
        last = max(self.closing, key=text.rfind)
        ending = self.close.partition(last)[0].strip()
        return text[: text.rfind(last)].removesuffix(ending)

    def _end(self, text: str) -> int:
        """Where the last closing mark ends; 0 where there is none."""
        return max((text.rfind(close) + len(close) for close in self.closing if close in text), default=0)


def _is_seam(text: str, place: int) -> bool:
    """Whether a tag, or what surrounds it, ends there: a partly written mark does not count."""
    return text[place - 1] in " \n>]" or text[place : place + 1] in ("<", "[")


HARMONY_MARKS = (
    ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),
    ("<|channel|>commentary", "<|channel|>final<|message|>"),
)
"""gpt-oss: channels that are not for the reader, and the one that is."""

USUAL = Thinking(
    marks=(
        *((f"<{tag}>", f"</{tag}>") for tag in ("think", "thinking", "seed:think", "thought", "reasoning")),
        ("[THINK]", "[/THINK]"),
        *HARMONY_MARKS,
    ),
    close="",
    empty="",
)
"""The marks of all families that think, for texts of an unknown model."""
