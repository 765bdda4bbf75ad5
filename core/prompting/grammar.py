"""How a model family writes threads: the text that spawns and joins them, as a value."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from widthwise.core.brief import Brief
from widthwise.core.literal import Tags
from widthwise.core.prompting.template import filled


@dataclass(frozen=True, slots=True)
class Outline:
    """What a trace asks of one thread: its number (``2``, nested ``2.1``) and the text it is given."""

    number: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class ThreadReturn:
    """The part of a thread's text, from ``start`` on, that its parent gets to see; ``found`` if it helps."""

    start: int
    found: bool = True


def whole(text: str) -> ThreadReturn | None:
    """Return all of a thread's text."""
    return ThreadReturn(0)


@dataclass(frozen=True, slots=True)
class ThreadLimits:
    """Limits of a family's traces: threads per block, blocks per sequence, nesting depth of threads.

    ``tokens`` and ``temperature`` are a thread's; None: the same as its trace's.
    """

    width: int = 8
    rounds: int = 8
    depth: int = 1
    tokens: int | None = None
    temperature: float | None = None


@dataclass(frozen=True, slots=True)
class ThreadGrammar(Brief):
    """The tags of a family whose traces spawn threads and join them.

    A trace writes ``opening``, outlines and ``spawn``, where sampling stops. ``outline`` is the pattern of one outline
    with the groups ``number`` and ``text``; empty for families whose threads receive no text. A thread's prompt is the
    trace, ``before`` and ``header`` (with the places ``{number}`` and ``{text}``), or, with ``message``, a separate
    prompt made from the trace's text and the outline (None: there is no such thread). The thread ends with ``close``;
    if it does not, ``forced`` is used instead.

    The join consists of ``before``, then for each thread its ``header`` and what ``returned`` selects from its text
    (None: nothing, and ``failed`` replaces both), and ``after``; the trace continues from there. With ``replaces``, the
    join replaces the block instead of following it. ``never`` is text that a trace must not write itself: it is cut
    off, and ``opening`` put in its place. ``question`` names the prompt that invites a model to spawn (empty for the
    plain problem). ``proposal`` is the beginning of a block, inserted where a block is requested. ``budget`` tells the
    model in that prompt how many threads a block shall have (``{calls}``); empty for families that were not trained for
    it. ``limits`` are those of the family's publication.
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
    returned: Callable[[str], ThreadReturn | None] = whole
    message: Callable[[str, Outline], str | None] | None = None
    replaces: bool = False
    never: str = ""
    question: str = ""
    proposal: str = ""
    budget: str = ""
    limits: ThreadLimits = ThreadLimits()

    def outlines(self, text: str, width: int) -> list[Outline]:
        """The outlines of the last block that ``text`` opens, each number once; no pattern: ``width`` empty ones.

        The opening tag may be missing if it stands before ``text``.
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
        """What precedes the thread of ``outline``: the family's tags, and the outline's text, which is data."""
        return _written(self.header, outline)

    def missing(self, outline: Outline) -> list[str]:
        """What replaces a thread that returned nothing, likewise."""
        return _written(self.failed, outline)


def _written(template: str, outline: Outline) -> list[str]:
    before, place, after = template.partition("{text}")
    first, last = (Tags(filled(part, number=outline.number)) for part in (before, after))
    return [first, outline.text, last] if place else [first]
