"""Whether a strategy can work in a run, checked before its first token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from widthwise.core.problem import Problem
from widthwise.core.registry import role_of
from widthwise.core.session.conditions import Conditions
from widthwise.core.session.setting import Setting
from widthwise.core.session.thought_budget import thought_of
from widthwise.core.session.voices import model_of
from widthwise.core.strategy.spelling import spelled


def check(strategy: Any, setting: Setting, problems: Sequence[Problem]) -> None:
    """Raises ``UsageError``, one sentence, for anything that is known in advance to fail.

    A part may have six attributes that say what it needs and gives. ``check(conditions)`` raises ``UsageError`` if it
    cannot work. ``continues`` is true if it continues partial texts. ``logprobs`` is how many of the most likely
    tokens' log-probabilities its traces must carry. ``questions`` are those that it asks the model. ``thought`` is its
    thinking budget. ``facts`` are the names of numbers with which it annotates traces. Parts inside of parts (workers,
    judges, selectors) are checked too.
    """
    placed = [(part, model) for part, model in _placed(strategy, None) if part is not strategy]
    facts = _facts([part for part, _ in placed], setting)
    working = [(part, setting if model is None else setting.named(model)) for part, model in placed]
    for each in setting.models.values():
        Conditions(each, problems, facts).recordings()
    for part, own in working:
        _check(part, Conditions(own, problems, facts, setting))


def _check(part: Any, conditions: Conditions) -> None:
    if (needed := getattr(part, "logprobs", None)) is not None and needed > 0:
        conditions.logprobs(needed, spelled(part, brief=True), recorded=role_of(part) != "judge")
    if getattr(part, "continues", False):
        conditions.continuation(spelled(part, brief=True))
    if (thought := thought_of(part)) is not None:
        conditions.thinking(thought, spelled(part, brief=True))
    for question in getattr(part, "questions", ()):
        conditions.question(question)
    if (asked := getattr(part, "check", None)) is not None:
        asked(conditions)


def inside(part: Any) -> Iterator[Any]:
    """``part`` and the parts that are its arguments, and theirs."""
    return (inner for inner, _ in _placed(part, None))


def _placed(part: Any, model: str | None) -> Iterator[tuple[Any, str | None]]:
    """``part`` and the parts inside of it, each with the name of the model that works for it; None: the first."""
    if isinstance(part, tuple | list):
        for item in part:
            yield from _placed(item, model)
    elif callable(part) or (is_dataclass(part) and not isinstance(part, type)):
        works = model_of(part) or model
        yield part, works
        if is_dataclass(part) and not isinstance(part, type):
            for field in fields(part):
                yield from _placed(getattr(part, field.name), works)


def _facts(parts: Sequence[Any], setting: Setting) -> frozenset[str] | None:
    """The numbers that traces will carry; None if a part or the backend is the user's own."""
    known = [*(type(part) if is_dataclass(part) else part for part in parts), type(setting.backend)]
    if not all(str(getattr(kind, "__module__", "")).startswith("widthwise.") for kind in known):
        return None
    return frozenset(name for part in parts for name in getattr(part, "facts", ()))
