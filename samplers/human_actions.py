"""The five actions of rStar: how a thought follows others, asked as questions of the model's prompt format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from widthwise.core.session.session import Session
from widthwise.core.trace.trace import Trace
from widthwise.samplers.action_search import Place
from widthwise.samplers.workspace import readable

Action = Literal["next_step", "finish", "sub_question", "sub_answer", "rephrase"]

LEGAL: Mapping[Action | None, tuple[Action, ...]] = {
    None: ("next_step", "finish", "sub_question", "rephrase"),
    "rephrase": ("next_step", "finish", "sub_question"),
    "next_step": ("next_step", "finish"),
    "sub_question": ("next_step", "finish", "sub_question", "sub_answer"),
    "sub_answer": ("next_step", "finish", "sub_question"),
    "finish": (),
}
"""What may follow an action; None is the problem itself."""

ENOUGH = "now we can answer"
"""With these words the model says, instead of a sub-question, that the problem itself can be answered."""


@dataclass(frozen=True, eq=False)
class Thought:
    """What an action wrote. ``trace`` is the reply; for a sub-question, that with its answer."""

    action: Action | None = None
    trace: Trace | None = None
    text: str = ""
    question: str = ""


@dataclass(frozen=True)
class Actions:
    """Makes the thoughts that may follow another one: ``steps`` next steps, ``asked`` sub-questions, one of the others.

    An answer to a sub-question is the most frequent of ``votes``, a solution that of ``solutions``, and the share of
    these that agree with it is its value.
    """

    session: Session
    steps: int
    asked: int
    votes: int
    solutions: int

    async def enter(self, place: Place[Thought]) -> list[Place[Thought]]:
        """All thoughts that may follow ``place``."""
        legal = LEGAL[place.content.action]
        single = [("next_step", self.steps), ("sub_question", self.asked), ("rephrase", 1)]
        prompts = {name: self._prompt(place, name) for name, _ in single if name in legal}
        replies = await self._written([(prompts[name], times) for name, times in single if name in legal])
        found = [
            Place(Thought(name, reply, self._text(reply)), place)
            for name in ("next_step", "rephrase")
            if name in legal
            for reply in replies[prompts[name]]
        ]
        questions = replies[prompts["sub_question"]] if "sub_question" in legal else []
        ready = [question for question in questions if ENOUGH in self._text(question).lower()]
        found += await self._solved(place, ready)
        found += await self._answered(place, [question for question in questions if question not in ready])
        return found

    def _text(self, reply: Trace) -> str:
        return self.session.solution(reply).strip()

    async def _written(self, asked: Sequence[tuple[Trace, int]]) -> dict[Trace, list[Trace]]:
        """What was said to each prompt, asked so many times; these are no solutions."""
        prompts = [prompt for prompt, times in asked for _ in range(times)]
        drawn = await self.session.sample(prompts, judging=True) if prompts else []
        found: dict[Trace, list[Trace]] = {prompt: [] for prompt, _ in asked}
        for reply in readable(self.session, drawn):
            if reply.stem is not None:
                found[reply.stem].append(reply)
        return found

    async def _solved(self, place: Place[Thought], ready: Sequence[Trace]) -> list[Place[Thought]]:
        """Whole solutions: by the action itself, and where a sub-question says that enough is known."""
        prompts = [self._prompt(place, "finish"), *(self._prompt(place, "finish", [reply]) for reply in ready)]
        drawn = await self.session.sample(prompts, self.solutions)
        groups = [[trace for trace in drawn if trace.stem is prompt] for prompt in prompts]
        return [solved for group in groups for solved in await self._agreed(place, group)]

    async def _agreed(self, place: Place[Thought], traces: Sequence[Trace]) -> list[Place[Thought]]:
        """The most frequent of the solutions."""
        classes = sorted(await self.session.classes(traces), key=lambda c: -len(c.traces))
        if not classes:
            return []
        best = classes[0].traces
        return [Place(Thought("finish", best[0], self._text(best[0])), place, len(best) / len(traces))]

    async def _answered(self, place: Place[Thought], questions: Sequence[Trace]) -> list[Place[Thought]]:
        """New sub-questions with their answers, and another answer to the last one."""
        asked = {self._prompt(place, "sub_answer", [q], question=self._text(q)): self._text(q) for q in questions}
        again = {}
        if "sub_answer" in LEGAL[place.content.action]:
            again = {self._prompt(place, "sub_answer", question=place.content.question): place.content.question}
        replies = await self._written([(prompt, self.votes) for prompt in (*asked, *again)])
        found = []
        for prompt, drawn in replies.items():
            action: Action = "sub_question" if prompt in asked else "sub_answer"
            for best in await self._commonest(drawn):
                found.append(Place(Thought(action, best, self._text(best), {**asked, **again}[prompt]), place))
        return found

    async def _commonest(self, replies: Sequence[Trace]) -> list[Trace]:
        """A reply with the most frequent answer, or the first one if none states any."""
        classes = sorted(await self.session.classes(replies), key=lambda c: -len(c.traces))
        return [classes[0].traces[0]] if classes else list(replies[:1])

    def _prompt(self, place: Place[Thought], action: Action, after: Sequence[Trace] = (), question: str = "") -> Trace:
        """The question that asks for ``action`` after ``place``."""
        path = [one.content for one in place.path]
        rephrased = [("problem", one.text) for one in path if one.action == "rephrase"]
        waited = [one.trace for one in path if one.trace is not None]
        # Another answer to the question asked here does not see the one that it has.
        told = _told(path[:-1] if action == "sub_answer" and not after else path)
        fields = {
            "progress": self.session.listed("thought", told) if told else "",
            "asked": question,
            **dict(rephrased),
        }
        return self.session.ask(action, after=[*waited, *after], **fields)


def _told(thoughts: Sequence[Thought]) -> list[str]:
    """The thoughts as a solver sees them."""
    told: list[str] = []
    for one in thoughts:
        if one.action == "sub_answer":
            told.pop()
        if one.action in ("next_step", "sub_question", "sub_answer"):
            told.append(f"{one.question}\n{one.text}".strip())
    return told
