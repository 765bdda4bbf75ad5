"""What strategies are composed of with ``|``."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Self

import numpy as np

from widthwise.core.arguments import ArgumentError, check_types, names_of
from widthwise.core.backend import SamplingParams
from widthwise.core.errors import UsageError
from widthwise.core.registry import nearest, path_of
from widthwise.core.strategy.spelling import Spelled
from widthwise.core.strategy.strategy import Strategy, compose

_SAMPLING = frozenset({"max_tokens", "temperature", "top_p", "top_k", "min_p"})
"""Arguments that every part may have only as a run has them: they are what it samples with."""


class Part(Spelled):
    """A sampler, pruner, budget or aggregator; ``a | b`` composes a strategy.

    Parts are frozen dataclasses: their fields are their arguments, in Python and on the command line, and
    ``str(part)`` is the command line's spelling. An argument that does not exist, is of another type than its field, or
    that ``__post_init__`` refuses with a ``ValueError``, is an ``UsageError`` that names the part. So is a
    ``temperature``, ``top_p``, ``top_k``, ``min_p`` or ``max_tokens`` with which nothing can be sampled.
    """

    __slots__ = ()

    def __new__(cls, *given: Any, **named: Any) -> Self:
        valid = names_of(cls)
        for name in named:
            if valid and name not in valid:
                known = ", ".join(valid)
                raise UsageError(f"{_named(cls)} has no argument {name!r}{nearest(name, valid)} (it has {known})")
        return super().__new__(cls)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        own = cls.__dict__.get("__post_init__")
        if own is not None and not hasattr(own, "__wrapped__"):
            setattr(cls, "__post_init__", _checking(own))  # noqa: B010 - a method, for checkers

    def __post_init__(self) -> None:
        following = getattr(super(), "__post_init__", None)
        _checking(lambda part: following() if following is not None else None)(self)

    def __or__(self, other: Any) -> Strategy:
        return compose(self, other)

    def __ror__(self, other: Any) -> Strategy:
        return compose(other, self)


def _checking(post_init: Callable[[Any], None]) -> Callable[[Any], None]:
    """``post_init``, and a look at the types, before which its words give way; the part is named in what is refused."""

    @wraps(post_init)
    def checked(self: Any) -> None:
        try:
            post_init(self)
        except UsageError:
            raise
        except ValueError as error:
            _check(self)  # "the run has no model 'h'" is no help to someone who wrote models='hot'
            raise ArgumentError(f"{_named(type(self))}: {error}") from error
        except (AttributeError, TypeError):  # a number is read as a text, say
            _check(self)
            raise
        _check(self)

    return checked


def _check(part: Part) -> None:
    given = {name: getattr(part, name) for name in names_of(type(part))}
    check_types(type(part), given, f"{_named(type(part))}: ")
    try:
        SamplingParams(**{name: number for name, number in given.items() if name in _SAMPLING and _is_number(number)})
    except ArgumentError as error:
        raise ArgumentError(f"{_named(type(part))}: {error}") from None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _named(part: type) -> str:
    """How messages name a part: a built-in one by its class if text has no name for it."""
    path = path_of(part)
    return part.__name__ if path.startswith("widthwise.") else path
