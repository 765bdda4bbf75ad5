"""Spawn/join threads inside a trace: one state machine for every family's grammar."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from widthwise.core.errors import BudgetReached, UsageError
from widthwise.core.literal import Tags
from widthwise.core.prompting.grammar import ThreadGrammar, ThreadLimits
from widthwise.core.prompting.template import filled
from widthwise.core.registry import register
from widthwise.core.session.conditions import Conditions
from widthwise.core.session.session import Session
from widthwise.core.strategy.sampler_part import SamplerPart
from widthwise.core.trace.trace import Trace
from widthwise.samplers.thread_block import Returned, ThreadBlock


@register("sampler")
@dataclass(frozen=True)
class Threads(SamplerPart):
    """``n`` whole traces, each of which may spawn threads that grow side by side and are joined into it.

    ThreadWeaver (Lian et al., arXiv 2512.07843), Adaptive Parallel Reasoning (Pan et al., arXiv 2504.15466), Multiverse
    (Yang et al., arXiv 2506.09991), Parallel-R1 (Zheng et al., arXiv 2509.07980), and a prompt for models trained for
    none of these; ``grammar`` names one, None is the model's own. With ``propose`` the first block is begun on the
    model's behalf.

    A block has at most ``width`` threads. ``join``: "all" waits for every thread, "first" for the first that found
    something, and aborts the rest. Threads may spawn threads themselves down to ``depth``; a sequence spawns at most
    ``rounds`` times. What cannot be spawned or joined continues as plain text, and is an event of the result. ``calls``
    tells a model trained for it (Adaptive Parallel Reasoning) how many threads a block shall have.

    None stands for the limits that the grammar's publication names: 50 threads in ThreadWeaver's blocks and 16 blocks;
    two paths in Parallel-R1's, 4 blocks, paths of up to 4,096 tokens sampled at temperature 1, so that they differ even
    if the trace itself is greedy (``thread_temperature``); see ``ThreadLimits``, elsewhere 8, 8 and one level.

    Limits in sampled tokens: ``max_tokens`` of a trace without its threads, ``thread_tokens`` of a thread,
    ``total_tokens`` of a trace with all its threads (a block's threads share evenly what is left). ``window`` limits
    every single sequence, including its prompt.
    """

    n: int = 1
    width: int | None = None
    join: Literal["all", "first"] = "all"
    depth: int | None = None
    rounds: int | None = None
    max_tokens: int | None = None
    thread_tokens: int | None = None
    total_tokens: int | None = None
    window: int | None = None
    calls: int | None = None
    propose: bool = False
    grammar: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    thread_temperature: float | None = None

    continues: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("n", "width", "rounds", "max_tokens", "thread_tokens", "total_tokens", "window"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise ValueError(f"{name} must be at least 1, not {number}")
        for name in ("depth", "calls"):
            number = getattr(self, name)
            if number is not None and number < 0:
                raise ValueError(f"{name} must be at least 0, not {number}")
        if self.thread_temperature is not None and not 0 <= self.thread_temperature < math.inf:
            raise ValueError(f"thread_temperature must be at least 0 and finite, not {self.thread_temperature}")
        if self.join not in ("all", "first"):
            raise ValueError(f"join must be 'all' or 'first', not {self.join!r}")

    def check(self, conditions: Conditions) -> None:
        """Raises ``UsageError`` for a model without a grammar, and for a call budget that it does not understand."""
        self._told(conditions.setting.format.grammar(self.grammar))

    async def __call__(self, session: Session) -> list[Trace]:
        grammar = session.grammar(self.grammar)
        limits = self.within(grammar.limits)
        root = self._begun(session, grammar, limits)
        first = _Whole(self, limits, session, grammar)
        room = first.room([root], root, 0)
        if room is not None and room < 1:
            raise BudgetReached("the prompt leaves no room in the window")
        begun = session.stream(root, self.n, **first.params(room, 0))
        return await session.follow(
            begun, lambda trace: _Whole(self, limits, session, grammar, trace.drawn).grown(trace, root, 0)
        )

    def within(self, limits: ThreadLimits) -> ThreadLimits:
        """``limits``, overridden by this sampler's own."""
        own: dict[str, Any] = {
            "width": self.width,
            "rounds": self.rounds,
            "depth": self.depth,
            "tokens": self.thread_tokens,
            "temperature": self.thread_temperature,
        }
        return replace(limits, **{name: limit for name, limit in own.items() if limit is not None})

    def _begun(self, session: Session, grammar: ThreadGrammar, limits: ThreadLimits) -> Trace:
        """The prompt that invites the model to spawn, if it has one, and, if proposed, the first block's beginning."""
        budget = self._told(grammar)
        if grammar.question and session.asks(grammar.question):
            root = session.ask(grammar.question, width=str(limits.width), budget=budget)
        else:
            root = session.root
        return session.append(root, Tags(grammar.proposal)) if self.propose else root

    def _told(self, grammar: ThreadGrammar) -> str:
        """The words that tell the model its budget of calls; raises ``UsageError`` if it knows none."""
        if self.calls is not None and not grammar.budget:
            raise UsageError(
                f"threads: in the grammar {grammar.name!r} a model cannot be told how many threads to spawn (calls)"
            )
        return "" if self.calls is None else filled(grammar.budget, calls=str(self.calls))


@dataclass
class _Whole:
    """A whole trace that is still growing; ``spent`` counts its own tokens and those granted to its threads."""

    plan: Threads
    limits: ThreadLimits
    session: Session
    grammar: ThreadGrammar
    spent: int = 0

    async def grown(self, trace: Trace, origin: Trace, depth: int) -> Trace:
        """``trace``, which continues ``origin``, grown to its end; everything it spawns is joined on the way."""
        for left in reversed(range(self.limits.rounds)):
            if trace.finish != "stop" or trace.segment.reason not in self._tags:
                break
            try:
                onward = await self._onward(trace, depth)
                ended = await self._drawn(onward, origin, depth, spawning=left > 0)
            except BudgetReached:
                ended = []
            if not ended:
                self.session.note(trace, "no tokens were left to continue after a spawn")
                return trace
            trace = ended[0]
        if self.grammar.spawn in trace.segment.text:
            self.session.note(trace, f"spawned more than {self.limits.rounds} times")
        elif self.grammar.opening in trace.segment.text:
            self.session.note(trace, "an opened block spawned nothing")
        return trace

    def room(self, traces: Sequence[Trace], origin: Trace, depth: int) -> int | None:
        """How many tokens each of ``traces`` may sample now; None without a limit."""
        plan, rooms = self.plan, []
        limit = self.limits.tokens if depth else plan.max_tokens
        if (limit := limit or self.session.max_tokens) is not None:
            rooms.append(limit - (traces[0].tokens - origin.tokens))
        if plan.total_tokens is not None:
            # A share is kept for the parent, which continues after the join.
            rooms.append((plan.total_tokens - self.spent) // (len(traces) + (depth > 0)))
        if plan.window is not None:
            rooms.append(plan.window - max(len(trace.token_ids) for trace in traces))
        return min(rooms, default=None)

    @property
    def _tags(self) -> tuple[str, ...]:
        """Where a trace stops for the sampler to act."""
        return tuple(tag for tag in (self.grammar.spawn, self.grammar.never) if tag)

    def params(self, room: int | None, depth: int, *, spawning: bool = True) -> dict[str, Any]:
        """Sampling parameters of a sequence at ``depth``, with ``room`` for so many tokens."""
        close = (self.grammar.close,) if depth and self.grammar.close else ()
        stop = (*close, *(self._tags if spawning else ()))
        own = self.limits.temperature if depth else None
        temperature = self.plan.temperature if own is None else own
        return {"stop": stop, "max_tokens": room, "temperature": temperature, "top_p": self.plan.top_p}

    async def _drawn(self, trace: Trace, origin: Trace, depth: int, *, spawning: bool) -> list[Trace]:
        """The next piece of ``trace``; empty if no token may be sampled."""
        room = self.room([trace], origin, depth)
        if room is not None and room < 1:
            return []
        self.spent += room or 0
        ended = await self.session.sample(trace, **self.params(room, depth, spawning=spawning))
        self.spent += sum(t.drawn for t in ended) - (room or 0)
        return ended

    async def _onward(self, trace: Trace, depth: int) -> Trace:
        """Where a trace that stopped at a tag continues: after the join, or as plain text if there is none."""
        grammar, session = self.grammar, self.session
        if trace.segment.reason != grammar.spawn:
            return session.append(session.cut(trace, grammar.never), Tags(grammar.opening))
        outlines = grammar.outlines(trace.segment.text, self.limits.width + 1)
        if not outlines or depth == self.limits.depth:
            session.note(trace, f"nested more than {depth} deep" if outlines else "a spawn without outlines")
            return trace
        if len(outlines) > self.limits.width and grammar.outline:
            session.note(trace, f"more than {self.limits.width} outlines; the first ones became threads")
        block = ThreadBlock(session, grammar, trace, outlines[: self.limits.width])
        threads = await self._threads(block, depth + 1)
        joined = None if threads is None else block.joined(threads)
        if joined is None:
            session.note(trace, "no room for threads" if threads is None else "no thread returned")
        return joined or trace

    async def _threads(self, block: ThreadBlock, depth: int) -> list[Returned] | None:
        """The threads of one block that were waited for; None if the limits leave no room for them."""
        origins = block.origins()
        if not origins:
            return []
        room = self.room([*origins], next(iter(origins)), depth)
        if room is not None and room < 1:
            return None
        self.spent += len(origins) * (room or 0)

        async def work(thread: Trace) -> Returned:
            assert thread.stem is not None
            self.spent += thread.drawn - (room or 0)
            origin = thread.stem
            return block.returned(await self.grown(thread, origin, depth), origin, origins[origin])

        begun = self.session.stream([*origins], **self.params(room, depth))
        return await self.session.follow(begun, work, (lambda r: r.found) if self.plan.join == "first" else None)
