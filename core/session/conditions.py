"""What a run offers its strategy: parts check it before the first token to see whether they can work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Protocol, runtime_checkable

from widthwise.core.backend import Backend
from widthwise.core.brief import Brief
from widthwise.core.errors import UsageError
from widthwise.core.problem import Problem
from widthwise.core.registry import nearest
from widthwise.core.session.setting import Setting
from widthwise.core.session.thought_budget import ThoughtBudget


@dataclass(frozen=True, slots=True)
class RecordedFacts(Brief):
    """What a recording has of a problem's samples: the names of its numbers, and how many likely tokens' logprobs.

    ``logprobs`` is None if even those of the sampled tokens are missing. ``prompt`` is the text that was answered, as
    the model's template wrote it; None if unknown.
    """

    numbers: frozenset[str] = frozenset()
    logprobs: int | None = None
    prompt: str | None = None


@runtime_checkable
class Recorded(Protocol):
    """A backend that serves recordings."""

    @property
    def name(self) -> str: ...

    @property
    def problem_ids(self) -> Iterable[str]: ...

    def recorded_facts(self, problem: str) -> RecordedFacts: ...


@runtime_checkable
class AnsweringOnly(Protocol):
    """A backend that may be unable to continue a text, and knows the reason and the way out."""

    @property
    def no_continuation(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Conditions(Brief):
    """A run's setting and problems, and ``facts``, the names of the numbers that the strategy's traces carry.

    ``setting`` is that of the model that works for the part which is checked, ``all_models`` that of the run.
    ``facts`` is None if they are unknown: a part or backend of the user's own may add any.
    """

    setting: Setting
    problems: Sequence[Problem] = ()
    facts: frozenset[str] | None = None
    all_models: Setting | None = None

    @property
    def run(self) -> Setting:
        """The setting of the run's first model, which knows all others."""
        return self.all_models or self.setting

    def reward_model(self, what: object) -> None:
        """Raises ``UsageError`` if the run has no reward model, which ``what`` needs."""
        if self.setting.reward_model is None:
            raise UsageError(f"{what} scores traces, but the run has no reward model: name one (--reward-model)")

    def embedding_model(self, what: object) -> None:
        """Raises ``UsageError`` if the run has no embedding model, which ``what`` needs."""
        if self.setting.embedder is None:
            raise UsageError(f"{what} compares texts, but the run has no embedding model: name one (--embedding-model)")

    def shape(self, what: object) -> None:
        """Raises ``UsageError`` if the model's shape, from which ``what`` is computed, is not known."""
        unknown = [each.backend.name for each in self.setting.models.values() if each.shape is None]
        if unknown:
            raise UsageError(
                f"{what} needs the shape of {unknown[0]}, which is not known: name the folder of its "
                "config.json (--model-config) or what a token costs (--flops-per-token)"
            )

    def models(self, name: str) -> None:
        """Raises ``UsageError`` if the run has no model of this name."""
        self.run.named(name)

    def question(self, name: str) -> None:
        """Raises ``UsageError`` if the model's prompt format has no question of this name."""
        self.setting.format.prompt(name)

    def continuation(self, what: object) -> None:
        """Raises ``UsageError`` if the backend cannot continue a text, as ``what`` does."""
        can_continue(self.setting.backend, what)

    def logprobs(self, k: int, what: object, *, recorded: bool = True) -> None:
        """Raises ``UsageError`` if traces cannot carry the ``k`` most likely tokens' log-probabilities.

        0 means those of the sampled tokens alone. Replies of judges are not ``recorded``.
        """
        backend = self.setting.backend
        most = backend.capabilities.max_logprobs
        if not backend.capabilities.logprobs:
            raise UsageError(f"{what} needs log-probabilities, but {backend.name} gives none: use another backend")
        if k > most:
            raise UsageError(
                f"{what} needs the log-probabilities of the {k} most likely tokens, but {backend.name} gives "
                f"{f'at most {most}' if most else 'none'}: lower the part's logprobs or use another backend"
            )
        if recorded and isinstance(backend, Recorded):
            found = [facts.logprobs for facts in self._recorded(backend)]
            if found and not any(known is not None and known >= k for known in found):
                most = max((known for known in found if known is not None), default=-1)
                have = "none" if most < 0 else f"those of {most}" if most else "those of the sampled ones only"
                raise UsageError(
                    f"{what} needs the log-probabilities of the {f'{k} most likely' if k else 'sampled'} tokens, "
                    f"but {backend.name} has {have}: record it with logprobs={k}"
                )

    def number(self, name: str, known: Iterable[str], what: object) -> None:
        """Raises ``UsageError`` if no trace will have a number ``name``; every trace has the ``known`` scores."""
        backend = self.setting.backend
        if self.facts is None or name in self.facts:
            return
        valid = [*known, *sorted(self.facts)]
        if isinstance(backend, Recorded):
            for facts in self._recorded(backend):
                if name in facts.numbers:
                    return
                valid += sorted(facts.numbers - set(valid))
        raise UsageError(
            f"{what}: there is no score {name!r}{_meant(name, valid) or '.'} Valid scores: {', '.join(valid)}"
        )

    def thinking(self, budget: ThoughtBudget, what: object) -> None:
        """Raises ``UsageError`` if traces do not think, or cannot be made to think within ``budget``."""
        setting, marks = self.setting, self.setting.thinking
        if marks is None:
            raise UsageError(
                f"{what}: the model (format {setting.format.name!r}) does not think separately from its answer: "
                "leave out thinking and waits, or name its format (--format)"
            )
        self.continuation(what)
        if not budget.leaves_out and marks.is_off(setting.chat.arguments):
            off = ", ".join(f"{name}={value}" for name, value in marks.off.items())
            raise UsageError(f"{what}: the model's thinking is switched off ({off}): leave out one of the two")
        if budget.waits and getattr(setting.backend, "recorded", False):
            raise UsageError(f"{what}: a recording cannot be told to wait and think on: replay it without waits")

    def recordings(self) -> None:
        """Raises ``UsageError`` if a recording has none of the problems."""
        backend = self.setting.backend
        if self.problems and isinstance(backend, Recorded):
            held = list(backend.problem_ids)
            if not set(held) & {problem.id for problem in self.problems}:
                first = self.problems[0].id
                raise UsageError(
                    f"{backend.name} has none of the problems: it has no {first!r}{nearest(first, held) or '.'} "
                    "Evaluate the problems that it was recorded on"
                )

    def _recorded(self, backend: Recorded) -> Iterator[RecordedFacts]:
        """What is recorded of the problems, one at a time, because reading a recording takes time."""
        held = set(backend.problem_ids)
        return (backend.recorded_facts(problem.id) for problem in self.problems if problem.id in held)


def recorded_prompt(backend: Backend, problem: str) -> str | None:
    """The prompt whose answers ``backend`` serves, if it serves recordings and knows it."""
    if not isinstance(backend, Recorded) or problem not in backend.problem_ids:
        return None
    return backend.recorded_facts(problem).prompt


def can_continue(backend: Backend, what: object) -> None:
    """Raises ``UsageError`` if ``backend`` only answers whole conversations and ``what`` continues a text."""
    if not backend.capabilities.continues:
        reason = backend.no_continuation if isinstance(backend, AnsweringOnly) else "use another backend"
        raise UsageError(f"{what} needs a backend that can continue a text, and {backend.name} cannot: {reason}")


def _meant(name: str, valid: Sequence[str]) -> str:
    """The valid name closest to ``name``, or the one whose first word is: ``rewrd`` is close to ``reward_model``."""
    stems = {name.partition("_")[0]: name for name in reversed(valid)}
    return nearest(name, valid) or nearest(stems.get(_stem(name, stems), name), valid)


def _stem(name: str, stems: Iterable[str]) -> str:
    return next(iter(get_close_matches(name, list(stems), n=1)), "")
