"""The answers that traces state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from widthwise.core.answer import AnswerClass, commonest, group
from widthwise.core.problem import Grader, Problem
from widthwise.core.prompting.saying import BEGUN, AnswerInThinking, Saying
from widthwise.core.roles import ROLES
from widthwise.core.session.trace_tree import TraceTree
from widthwise.core.session.votes import Votes
from widthwise.core.trace.recording import Sample
from widthwise.core.trace.trace import Trace


def stated(trace: Trace, grader: Grader, saying: Saying) -> str | None:
    """The final answer in what ``trace`` says; a grader's setting ``thinking``, if any, says how thinking counts.

    Raises ``UsageError`` for a grader that returns something other than a text or None.
    """
    return _extracted(saying.readable(trace, _counted(grader)), grader)


def stated_in(sample: Sample, grader: Grader) -> str | None:
    """Like ``stated``, for a recorded sample of a model whose marks are not known."""
    begun = sample.metadata.get(BEGUN) is True
    return _extracted(Saying().readable_text(sample.text, _counted(grader), begun, sample.finish == "stop"), grader)


def said_in(sample: Sample) -> str:
    """What a recorded sample says after its thinking, which is not there to be graded."""
    begun = sample.metadata.get(BEGUN) is True
    return Saying().readable_text(sample.text, "never", begun, sample.finish == "stop").strip()


def _counted(grader: Grader) -> AnswerInThinking:
    known: tuple[AnswerInThinking, ...] = get_args(AnswerInThinking)
    for counted in known:
        if counted == grader.settings.get("thinking"):
            return counted
    return "never"


def _extracted(text: str, grader: Grader) -> str | None:
    answer = grader.extract(text)
    if not isinstance(answer, str | None):
        raise ROLES["grader"].mismatch(f"the grader {grader.name}", answer)
    return answer


class Answers:
    """Reads traces' answers with the suite's grader, each trace once, and groups them by meaning."""

    def __init__(self, problem: Problem, grader: Grader, saying: Saying, tree: TraceTree, votes: Votes) -> None:
        self._problem = problem
        self._grader = grader
        self._saying = saying
        self._tree = tree
        self._votes = votes
        self._extracted: dict[Trace, str | None] = {}

    def answer(self, trace: Trace) -> str | None:
        """The final answer that ``trace`` states; None if it states none or must not vote (see ``Session.answer``)."""
        return self.stated(trace) if self._votes.weight(trace.id) else None

    def stated(self, trace: Trace) -> str | None:
        """The same whether its vote counts or not."""
        if trace.finish in ("pruned", "aborted", "error") or self._tree.is_fragment(trace):
            return None
        if trace.finish is None:
            return self._read(trace)
        if trace not in self._extracted:
            self._extracted[trace] = self._read(trace)
        return self._extracted[trace]

    def _read(self, trace: Trace) -> str | None:
        return stated(trace, self._grader, self._saying)

    async def classes(self, traces: Sequence[Trace]) -> list[AnswerClass]:
        """The traces that state an answer, grouped by equivalent answers, in order of first appearance."""
        groups = await group(self._grader, [self.answer(t) for t in traces])
        return [self._class([traces[i] for i in members]) for members in groups]

    def _class(self, members: Sequence[Trace]) -> AnswerClass:
        weight = sum(self._votes.weight(t.id) for t in members)
        return AnswerClass(commonest(self.answer(t) or "" for t in members), tuple(members), weight)

    async def valid(self, trace: Trace) -> bool:
        """Whether ``trace`` states an answer that passes every check possible without the reference."""
        answer = self.answer(trace)
        return answer is not None and await self._grader.valid(self._problem, answer)
