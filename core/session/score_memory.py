"""What a reward model said of one problem's solutions: each one, and each prefix of steps, is scored once."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from widthwise.core.errors import AccessRefused, WidthwiseError
from widthwise.core.problem import Problem
from widthwise.core.rewards.reward import RewardModel, Solution, StepScores
from widthwise.core.session.journal import Journal
from widthwise.core.trace.trace import TraceId


class ScoreMemory:
    """What a reward model has said about one problem so far, and the way to ask it for more.

    A solution that was scored, or is being scored, is not scored again; one that continues a scored prefix is sent with
    the scores of that prefix. ``by_trace`` has each trace's last scores. ``limit`` is how many seconds the model may
    take; whatever it does wrong becomes an error of the traces in question.
    """

    def __init__(self, model: RewardModel, problem: Problem, *, journal: Journal | None, limit: float) -> None:
        self.by_trace: dict[TraceId, StepScores] = {}
        self._model = model
        self._problem = problem
        self._journal = journal
        self._limit = limit
        self._answers: dict[str, asyncio.Future[StepScores]] = {}
        self._known: dict[str, float] = {}

    async def score(self, solutions: Mapping[TraceId, tuple[str, ...]]) -> list[StepScores]:
        """Scores of the traces' steps, in order; ``tokens`` is 0 if nothing had to be read."""
        new: dict[str, tuple[TraceId, Solution]] = {}
        keys = [self._open(trace_id, steps, new) for trace_id, steps in solutions.items()]
        if new:
            await self._ask(new)
        scores = []
        for trace_id, key in zip(solutions, keys, strict=True):
            answer = await self._answers[key]
            mine = key in new and new[key][0] == trace_id
            scores.append(answer if mine else replace(answer, tokens=0))
            self.by_trace[trace_id] = answer
        return scores

    def _open(self, trace_id: TraceId, steps: tuple[str, ...], new: dict[str, tuple[TraceId, Solution]]) -> str:
        """The solution's key; the solution goes to ``new`` if its scores are neither known nor requested."""
        prefixes = digests(steps)
        key = prefixes[-1]
        known = self._answers.get(key)
        if known is None or (known.done() and known.result().steps is None):
            answer = self._answers[key] = asyncio.get_running_loop().create_future()
            recorded = self._recorded(key, steps)
            if recorded is not None:
                answer.set_result(recorded)
                self._learn(steps, recorded)
                new[key] = trace_id, Solution(steps)
            elif not steps:
                answer.set_result(StepScores(()))
            else:
                new[key] = trace_id, Solution(steps, self._first_scores(prefixes))
        return key

    def _recorded(self, key: str, steps: tuple[str, ...]) -> StepScores | None:
        found = None if self._journal is None else self._journal.recorded_scores(self._problem.id, key)
        return found if found is not None and found.checked(self._expected(steps)).steps is not None else None

    def _first_scores(self, prefixes: Sequence[str]) -> tuple[float, ...]:
        """The known scores of the first steps; the last step is always requested."""
        if self._model.kind == "outcome":
            return ()
        known = []
        for key in prefixes[1:-1]:
            if key not in self._known:
                break
            known.append(self._known[key])
        return tuple(known)

    async def _ask(self, new: Mapping[str, tuple[TraceId, Solution]]) -> None:
        """Let the model score what is new; afterwards every one of them has an answer."""
        open_ = {key: entry for key, entry in new.items() if not self._answers[key].done()}
        if not open_:
            return
        try:
            scores = await self._asked([solution for _, solution in open_.values()])
        except BaseException:  # cancelled; others may wait for the same solutions
            for key in open_:
                self._answers[key].set_result(StepScores(None, error="the scoring was interrupted"))
            raise
        for (key, (_, solution)), answer in zip(open_.items(), scores, strict=True):
            self._learn(solution.steps, answer)
            self._answers[key].set_result(answer)
        if self._journal is not None:
            said = [(entry[0], key, s) for (key, entry), s in zip(open_.items(), scores, strict=True)]
            self._journal.record_scores(self._problem.id, said)

    async def _asked(self, solutions: Sequence[Solution]) -> list[StepScores]:
        try:
            async with asyncio.timeout(self._limit):
                answers = await self._model.score(self._problem, solutions)
        except TimeoutError:
            return _failed(
                solutions, f"the reward model {self._model.name} did not answer within {self._limit:g} seconds"
            )
        except AccessRefused:
            raise
        except WidthwiseError as error:
            return _failed(solutions, str(error))
        except Exception as error:  # the user's own reward model may raise anything
            return _failed(solutions, f"the reward model failed with {type(error).__name__}: {error}")
        if len(answers) != len(solutions):
            return _failed(solutions, f"the reward model answered {len(answers)} of {len(solutions)} solutions")
        return [a.checked(self._expected(s.steps)) for a, s in zip(answers, solutions, strict=True)]

    def _expected(self, steps: tuple[str, ...]) -> int:
        return 1 if self._model.kind == "outcome" else len(steps)

    def _learn(self, steps: tuple[str, ...], answer: StepScores) -> None:
        if answer.steps is not None and self._model.kind == "process":
            self._known |= dict(zip(digests(steps)[1:], answer.steps, strict=True))


def digests(steps: Sequence[str]) -> list[str]:
    """Names of every prefix of the steps, the empty one first; equal prefixes have equal names."""
    running = hashlib.blake2b(digest_size=16)
    names = [running.hexdigest()]
    for step in steps:
        text = step.encode()
        running.update(len(text).to_bytes(8, "little") + text)
        names.append(running.hexdigest())
    return names


def _failed(solutions: Sequence[Solution], reason: str) -> list[StepScores]:
    return [StepScores(None, error=reason) for _ in solutions]
