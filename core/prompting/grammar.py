"""How a model family writes threads: the text of spawning and joining, as a value."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from widthwise.core.brief import Brief
from widthwise.core.literal import Tags
from widthwise.core.prompting.template import filled


@dataclass(frozen=True, slots=True)
class Outline:
    """What a trace asks of one thread: its number (``2``, nested ``2.1``) and the text said to it."""

    number: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Returned:
    """The part of a thread's text from ``start`` on, which its parent gets to see; ``found`` if it helps."""

    start: int
    found: bool = True


def whole(text: str) -> Returned | None:
    """All of a thread's text returns."""
    return Returned(0)


@dataclass(frozen=True, slots=True)
class ThreadLimits:
    """How far a family's traces go: threads of a block, blocks of a sequence, how deep threads spawn themselves.

    ``tokens`` and ``temperature`` are those of a thread; None: as its trace's.
    """

    width: int = 8
    rounds: int = 8
    depth: int = 1
    tokens: int | None = None
    temperature: float | None = None


@dataclass(frozen=True, slots=True)
class ThreadGrammar(Brief):
    """The tags of a family whose traces spawn threads and have them joined.

    A trace writes ``opening``, outlines and ``spawn``, where sampling stops. ``outline`` is the pattern of one
    outline with the groups ``number`` and ``text``; empty for families whose threads are told nothing. A thread's
    prompt is the trace, ``before`` and ``header`` (with the places ``{number}`` and ``{text}``), or, with ``message``,
    a prompt of its own made from the trace's text and the outline (None: there is no such thread). It ends with
    ``close``; where it did not, ``forced`` stands in for it.

    The join is ``before``, for each thread its ``header`` and what ``returned`` says of its text (None: nothing, and
    ``failed`` stands in place of both), and ``after``; the trace goes on behind it. With ``replaces`` it stands in
    place of the block instead of behind it. ``never`` is what a trace must not write itself: it is cut off, and
    ``opening`` put there. ``question`` names the prompt that invites a model to spawn (empty for the plain problem),
    ``proposal`` is how a block begins that is asked for by beginning it. ``budget`` tells the model in that prompt how
    many threads a block shall have (``{calls}``); empty for families that were not trained to be told. ``limits`` are
    those of the family's publication.
    """

    name: str
    opening: str
    spawn: str
    header: str
    close: str = ""
    forced: str = ""
    outline: str = ""
    before: str = ""
    after: str = ""
    failed: str = ""
    returned: Callable[[str], Returned | None] = whole
    message: Callable[[str, Outline], str | None] | None = None
    replaces: bool = False
    never: str = ""
    question: str = ""
    proposal: str = ""
    budget: str = ""
    limits: ThreadLimits = ThreadLimits()

    def outlines(self, text: str, width: int) -> list[Outline]:
        """The outlines of the last block that ``text`` opens, each number once; ``width`` empty ones without pattern.

        An opening tag that stands before ``text`` may be missing.
        """
        if not self.outline:
            return [Outline(str(number)) for number in range(1, width + 1)]
        block = text.rpartition(self.opening)[2]
        found = [Outline(m["number"], m["text"].strip()) for m in re.finditer(self.outline, block, re.DOTALL)]
        first: dict[str, Outline] = {}
        for outline in found:
            first.setdefault(outline.number, outline)
        return list(first.values())

    def headed(self, outline: Outline) -> list[str]:
        """What stands before the thread of ``outline``: the family's tags, and the outline's text, which is data."""
        return _written(self.header, outline)

    def missing(self, outline: Outline) -> list[str]:
        """What stands in place of a thread that returned nothing; likewise."""
        return _written(self.failed, outline)


def _written(template: str, outline: Outline) -> list[str]:
    before, place, after = template.partition("{text}")
    first, last = (Tags(filled(part, number=outline.number)) for part in (before, after))
    return [first, outline.text, last] if place else [first]
