"""A block of threads: where each begins, and what the trace that spawned them gets to see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from widthwise.core.literal import Tags
from widthwise.core.prompting.grammar import Outline, ThreadGrammar
from widthwise.core.session.session import Session
from widthwise.core.trace.excerpt import Excerpt
from widthwise.core.trace.trace import Trace


@dataclass(frozen=True)
class Returned:
    """The result of one thread: the trace, and the pieces that its parent gets to see."""

    outline: Outline
    trace: Trace
    pieces: Sequence[str | Excerpt]
    found: bool


@dataclass(frozen=True)
class ThreadBlock:
    """The threads that ``parent`` spawned at its end, one for each of ``outlines``."""

    session: Session
    grammar: ThreadGrammar
    parent: Trace
    outlines: Sequence[Outline]

    def origins(self) -> dict[Trace, Outline]:
        """The trace that each thread continues; a thread that has nothing to begin with is left out, and noted."""
        return {o: outline for outline in self.outlines if (o := self._origin(outline)) is not None}

    def _origin(self, outline: Outline) -> Trace | None:
        """The parent and a header, or a separate prompt."""
        grammar, session = self.grammar, self.session
        facts = {"thread": outline.number, "outline": outline.text}
        if grammar.message is None:
            return session.append(self.parent, [Tags(grammar.before), *grammar.headed(outline)], facts=facts)
        message = grammar.message("".join(segment.text for segment in self.parent.path), outline)
        if message is None:
            session.note(self.parent, f"there is nothing to begin thread {outline.number} with")
            return None
        return session.prompt([{"role": "user", "content": message}], after=[self.parent], facts=facts)

    def returned(self, thread: Trace, origin: Trace, outline: Outline) -> Returned:
        """What the parent gets to see of a ``thread`` that has ended."""
        grammar, excerpt = self.grammar, self.session.excerpt(thread, origin)
        seen = grammar.returned(excerpt.text) if thread.finish in ("stop", "length", "budget") else None
        if seen is None:
            return Returned(outline, thread, grammar.missing(outline), False)
        closed = thread.segment.reason == grammar.close or excerpt.text.endswith(grammar.forced)
        tail = self.session.tail(excerpt, seen.start)
        pieces: list[str | Excerpt] = [*grammar.headed(outline), tail, Tags("" if closed else grammar.forced)]
        return Returned(outline, thread, pieces, seen.found)

    def joined(self, threads: Sequence[Returned]) -> Trace | None:
        """The parent followed by what came back, in the order of the outlines; None if nothing did."""
        grammar, session = self.grammar, self.session
        by_outline = {thread.outline: thread for thread in threads}
        seen = [by_outline[o].pieces if o in by_outline else grammar.missing(o) for o in self.outlines]
        pieces = [piece for of_thread in seen for piece in of_thread if piece]
        if not pieces:
            return None
        base = session.cut(self.parent, grammar.opening) if grammar.replaces else self.parent
        return session.append(
            base, [Tags(grammar.before), *pieces, Tags(grammar.after)], after=[t.trace for t in threads]
        )
