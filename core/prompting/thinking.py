"""How a model family marks what it thinks, apart from what it says to the reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from widthwise.core.brief import Brief


@dataclass(frozen=True, slots=True)
class Thinking(Brief):
    """The marks around a family's thinking, and how it is ended or left out.

    ``marks`` are pairs of texts: one that opens the thinking and one that closes it; whichever stands last in a trace
    decides. ``close`` is inserted behind thinking that is cut short, so that the model speaks to the reader next; where
    it is empty, the mark that closes what was opened. ``empty`` is inserted where the model's turn begins, to have no
    thinking at all, and ``finished`` to have it begin behind thinking that is over (NoThinking, Ma et al., arXiv
    2504.09858; ``empty`` where there is none); ``off`` are arguments of the chat template that leave it out, where it
    has such a switch. ``again`` stands in place of a closing mark where the model is to think on (s1, Muennighoff et
    al., arXiv 2501.19393).
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
        """What stands before and after thinking that is written out whole."""
        return self.marks[0][0], self.close

    def is_off(self, template_args: Mapping[str, Any]) -> bool:
        """Whether these arguments of the chat template switch the thinking off."""
        return bool(self.off) and all(template_args.get(name) == value for name, value in self.off.items())

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
        lengths = (length for length in range(len(close), -1, -1) if not length or _is_seam(close, length))
        return close[next(length for length in lengths if text.endswith(close[:length])) :]

    def _last_opened(self, text: str) -> tuple[str, str]:
        return max(self.marks, key=lambda mark: text.rfind(mark[0]))

    def opening(self, text: str) -> str | None:
        """What is missing of the mark that ``text``, all of a model's turn so far, may be the beginning of; or None."""
        begun = text.lstrip()
        return next((mark[len(begun) :] for mark, _ in self.marks if mark != begun and mark.startswith(begun)), None)

    def left_out(self, prompt: str) -> str:
        """What is put behind a prompt for its reader not to think; nothing where the prompt has closed the thinking."""
        if prompt.rstrip().endswith(tuple(close.rstrip() for close in self.closing)):
            return ""
        opened = next((mark for mark, _ in self.marks if prompt.rstrip().endswith(mark.rstrip())), None)
        whole = self.finished or self.empty
        return whole if opened is None else whole.partition(opened)[2].lstrip() or self.close.lstrip()

    def before_closing(self, text: str) -> str:
        """``text`` up to what closes its thinking last, the end of the turn that some families write there left out."""
        last = max(self.closing, key=text.rfind)
        ending = self.close.partition(last)[0].strip()
        return text[: text.rfind(last)].removesuffix(ending)

    def _end(self, text: str) -> int:
        """Where the last closing mark ends; 0 where there is none."""
        return max((text.rfind(close) + len(close) for close in self.closing if close in text), default=0)


def _is_seam(text: str, place: int) -> bool:
    """Whether a tag or what stands around it ends there: a mark that was written in part only is none."""
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
"""The marks of the families that think, for texts of a model that is not known."""
