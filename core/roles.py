"""The roles that a part can have: where parts of each are found, and what they must accept and return."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from widthwise.core.brief import Brief
from widthwise.core.errors import UsageError


@dataclass(frozen=True, slots=True)
class Role(Brief):
    """One kind of part.

    ``contract`` says in one sentence what a part of it accepts and returns. ``group`` is the entry-point group through
    which installed packages add parts. Importing ``home`` registers the built-in ones (it is named, not imported here:
    the core imports no higher layer). ``parameters`` are what an ``async`` part is called with, by ``method``; None for
    parts of another shape, whose required attributes are ``members``, of which ``awaited`` must be ``async``. Parts of
    one ``space`` may not share a name.
    """

    name: str
    group: str
    home: str
    contract: str
    parameters: tuple[str, ...] | None = None
    method: str = "__call__"
    members: tuple[str, ...] = ()
    awaited: tuple[str, ...] = ()
    space: str = ""

    def __str__(self) -> str:
        return f"{_a(self.name.replace('_', ' '))} is {self.contract}"

    def check(self, part: Any, source: str) -> None:
        """Raises ``UsageError``, one sentence with the contract and what was found, for a part that does not fit."""
        found = _misfit_call(self, part) if self.parameters is not None else _misfit_value(self, part)
        if found:
            raise UsageError(f"{source} does not fit: {self}; found {found}")

    def misfit(self, source: str, part: Any) -> UsageError:
        """The error for something that is not a part of this role at all."""
        return UsageError(f"{source} does not fit: {self}; found {_shown(part)}")

    def mismatch(self, source: str, value: Any) -> UsageError:
        """The error for a part that returned ``value``, which is not what its role returns."""
        return UsageError(f"{source} does not fit: {self}; it returned {_shown(value)}")


def _strategy(name: str, contract: str, parameters: Sequence[str] | None = None, method: str = "__call__") -> Role:
    given = None if parameters is None else tuple(parameters)
    return Role(name, f"widthwise.{name}s", "widthwise", contract, given, method, space="strategy")


_GRADER = ("name", "settings", "for_problem", "extract", "partition", "correct", "remark", "valid")
_BACKEND = ("name", "capabilities", "tokenizer", "max_model_len", "generate", "describe", "close")

ROLES = {
    role.name: role
    for role in (
        _strategy("sampler", "an async function of (session) that returns traces, an Answer or a text", ["session"]),
        _strategy(
            "selector",
            "a frozen dataclass derived from ww.Selector whose async method select(session, frontier) returns a "
            "Selection that has every node of the frontier in its widths or its reasons",
            ["session", "frontier"],
            "select",
        ),
        _strategy(
            "pruner",
            "an async function of (session, live, finished, total) that returns a Decision",
            ["session", "live", "finished", "total"],
        ),
        _strategy(
            "judge",
            "an async function of (session, trace, others) that returns for each of others the probability (or None) "
            "that it ends in the answer of trace",
            ["session", "trace", "others"],
        ),
        _strategy("limit", "a function of its own arguments that returns a Budget"),
        _strategy("aggregator", "an async function of (session, traces) that returns an Answer", ["session", "traces"]),
        Role(
            "backend",
            "widthwise.backends",
            "widthwise.opening",
            f"a class or function whose result has {', '.join(_BACKEND)}; its first argument is what follows the "
            "name in the model string, --backend-arg gives the others",
            members=_BACKEND,
            awaited=("close",),
        ),
        Role(
            "suite",
            "widthwise.suites",
            "widthwise.evals.suites.hub",
            "a Suite, or a function of its own arguments that returns a Suite or a list of Problems",
        ),
        Role(
            "grader",
            "widthwise.graders",
            "widthwise.evals.suites.hub",
            "an object, or a class without arguments, that derives from ww.Grader and has name, extract(text), which "
            "returns the answer or None, and async correct(problem, answer), which returns True, False or a number "
            "from 0 to 1; or a function of (problem, text) that returns such a grade",
            members=_GRADER,
            awaited=("partition", "correct", "valid"),
        ),
        Role(
            "allocator",
            "widthwise.allocators",
            "widthwise.evals.allocation.allocators",
            "a frozen dataclass derived from ww.Allocator whose method allocate(prospects, tokens, most) returns how "
            "many more samples each problem gets",
            members=("probes", "allocate"),
        ),
        Role(
            "prompt_format",
            "widthwise.prompt_formats",
            "widthwise.models.families",
            "a PromptFormat, or a Family, which also says how its models are recognised",
        ),
        Role("reward_format", "widthwise.reward_formats", "widthwise.models.reward_formats", "a RewardFormat"),
        Role(
            "importer",
            "widthwise.importers",
            "widthwise.evals.store.foreign",
            "an Importer, or a function of a file's Path that returns rows of the recorded-trace schema "
            "({'problem_id', 'problem', 'answer', 'samples': [{'text'}]})",
        ),
        Role(
            "command",
            "widthwise.commands",
            "widthwise.cli.app",
            "a function whose parameters are the command's arguments and options, by their annotations",
        ),
    )
}
"""All roles, by name."""

STRATEGY = tuple(role.name for role in ROLES.values() if role.space == "strategy")
"""The roles that a strategy's text can name; their parts share one set of names."""


def role_named(name: str) -> Role:
    """The role; raises ``UsageError`` for an unknown name."""
    if name not in ROLES:
        raise UsageError(f"there is no role {name!r}; a part is registered as one of {', '.join(ROLES)}")
    return ROLES[name]


def required(function: Callable[..., Any]) -> list[str]:
    """The names of the arguments that a call must provide, without leading underscores."""
    parameters = inspect.signature(function).parameters.values()
    open_ = [p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    return [p.name.lstrip("_") for p in open_]


def _misfit_call(role: Role, part: Any) -> str:
    """What is wrong with how a part of ``role`` is called; empty if nothing is."""
    is_class = inspect.isclass(part)
    if role.method != "__call__" and inspect.isfunction(part):
        return "a function"
    call = part if inspect.isfunction(part) else getattr(part, role.method, None)
    # Every class can be called to make an instance: what counts is what its instances do.
    if call is None or (is_class and not inspect.isfunction(call)):
        return f"{_a('class' if is_class else type(part).__name__)} without {role.method}"
    if not inspect.iscoroutinefunction(call):
        return "a function that is not async (write async def)"
    names = required(call)[1 if is_class else 0 :]
    if len(names) == len(role.parameters or ()) or _takes_all(call):
        return ""
    return f"a function of ({', '.join(names)})"


def _takes_all(call: Callable[..., Any]) -> bool:
    return any(p.kind is p.VAR_POSITIONAL for p in inspect.signature(call).parameters.values())


def _misfit_value(role: Role, part: Any) -> str:
    """What a value lacks; if a class or a function makes the value, it is checked then."""
    if inspect.isclass(part) or inspect.isfunction(part):
        return ""
    if lacking := [member for member in role.members if not hasattr(part, member)]:
        return f"{_a(type(part).__name__)} without {', '.join(lacking)}"
    plain = [name for name in role.awaited if not inspect.iscoroutinefunction(getattr(part, name))]
    return f"{_a(type(part).__name__)} whose {', '.join(plain)} is not async (write async def)" if plain else ""


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:59] + '…'} ({type(value).__name__})"
