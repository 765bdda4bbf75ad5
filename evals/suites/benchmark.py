"""A named suite: where its rows come from, how a row becomes a problem, and what its brackets may contain."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from widthwise.core.brief import Brief
from widthwise.core.errors import UsageError
from widthwise.core.problem import Grader, Problem
from widthwise.evals.suites.rows import Layout, to_problem

DATA = Path(__file__).parent / "data"

BOXED = "Please reason step by step, and put your final answer within \\boxed{}."
"""The instruction of suites whose answers are boxed."""


@dataclass(frozen=True, slots=True)
class Argument:
    """The values that a name in a suite's brackets may have: one of ``allowed``, or, if ``several``, a list of them."""

    allowed: range | tuple[Any, ...]
    default: Any = None
    several: bool = False

    def checked(self, suite: str, name: str, value: Any) -> Any:
        """``value`` in the form that the suite takes; raises UsageError, saying what it may be."""
        values = value if self.several and isinstance(value, list | tuple) else [value]
        if not values or any(type(one) is not type(self.allowed[0]) or one not in self.allowed for one in values):
            raise UsageError(f"{suite}: {name} must be {self}, not {value!r}")
        return tuple(values) if self.several else value

    def __str__(self) -> str:
        if isinstance(self.allowed, range):
            span = f"from {self.allowed.start} to {self.allowed.stop - 1}"
            return f"a list of whole numbers {span}" if self.several else f"a whole number {span}"
        return f"{'a list of' if self.several else 'one of'} {', '.join(map(repr, self.allowed))}"


@dataclass(frozen=True, slots=True)
class Span(Argument):
    """The first and the last of several consecutive whole numbers; a single number stands for itself."""

    def checked(self, suite: str, name: str, value: Any) -> tuple[int, int]:
        ends = value if isinstance(value, list | tuple) else (value, value)
        whole = all(type(one) is int and one in self.allowed for one in ends)
        if len(ends) != 2 or not whole or ends[0] > ends[1]:
            raise UsageError(f"{suite}: {name} must be {self}, not {value!r}")
        return (ends[0], ends[1])

    def __str__(self) -> str:
        low, high = self.allowed[0], self.allowed[-1]
        return f"the first and the last of its levels, ({low}, {high}) at the widest, or one of them"


@dataclass(frozen=True, slots=True)
class Benchmark(Brief):
    """A named suite. ``path`` is its hub id, None if it is bundled or generated.

    ``arguments`` are what its brackets may contain: ``generate`` makes problems from them; those in ``reads`` are
    passed to ``layout``, which makes a problem of a row; ``config`` has places for the others (``gpqa_{subset}``); and
    ``keeps`` has, for each argument that selects problems, how to read its value from a problem. ``members`` are the
    suites of which it consists, by the value of the argument ``chooses``. ``columns`` renames hub columns to those of
    :mod:`widthwise.evals.suites.columns`; the common names need no entry. ``instruction`` is appended to the problem
    text. ``needs`` raises UsageError if answers cannot be graded on this machine. ``recorded``: the bundled file also
    holds what a model wrote for the problems. ``trained`` is the bundled model that was made for them, if it is not the
    default.
    """

    name: str
    size: int
    grader: Grader
    licence: str
    description: str
    path: str | None = None
    config: str | None = None
    split: str = "test"
    columns: Mapping[str, str] = field(default_factory=dict)
    instruction: str = BOXED
    generate: Callable[..., list[Problem]] | None = None
    arguments: Mapping[str, Argument] = field(default_factory=dict)
    layout: Callable[..., Problem] = to_problem
    reads: tuple[str, ...] = ()
    keeps: Mapping[str, Callable[[Problem], Any]] = field(default_factory=dict)
    members: Mapping[Any, Benchmark] = field(default_factory=dict)
    chooses: str = ""
    needs: Callable[[], object] = bool
    recorded: bool = False
    trained: str | None = None

    @property
    def source(self) -> str:
        if self.members:
            return "hub: " + ", ".join(str(member.path) for member in self.members.values())
        return f"hub: {self.path}{f' ({self.config})' if self.config else ''}" if self.path else "bundled"

    @property
    def file(self) -> Path:
        """The bundled file."""
        return DATA / f"{self.name}{'.parquet' if self.recorded else '.jsonl'}"

    @property
    def model(self) -> str | None:
        """The model that answers if none is named: a replay of the recording, or the one made for the problems."""
        return f"replay:{self.name}" if self.recorded else self.trained

    def checked(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All arguments: those that were ``given`` and the defaults of the others; None is left out.

        Raises UsageError for an unknown name and for an impossible value.
        """
        for name in given:
            if name not in self.arguments:
                has = f"its arguments are {', '.join(self.arguments)}" if self.arguments else "it takes no arguments"
                raise UsageError(f"{self.name} has no argument {name!r}: {has}")
        defaults = {name: each.default for name, each in self.arguments.items() if each.default is not None}
        said = {name: self.arguments[name].checked(self.name, name, value) for name, value in given.items()}
        return {**defaults, **said}

    def layout_of(self, arguments: Mapping[str, Any]) -> Layout:
        """How a row becomes a problem."""
        return partial(self.layout, **{name: arguments[name] for name in self.reads if name in arguments})

    def kept(self, problems: Sequence[Problem], arguments: Mapping[str, Any]) -> list[Problem]:
        """The problems that the arguments select; raises UsageError for one that lacks the property they ask for."""
        chosen = {name: arguments[name] for name in self.keeps if name in arguments}
        return [p for p in problems if all(self._fact(name, p) in values for name, values in chosen.items())]

    def _fact(self, name: str, problem: Problem) -> Any:
        fact = self.keeps[name](problem)
        if fact is None:
            raise UsageError(
                f"{self.name}: problem {problem.id} cannot be selected by {name}, because it does not state its own"
            )
        return fact
