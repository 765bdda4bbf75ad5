"""What the shell completes: names of suites, parts, models and graders, run files and the problems in them.

An option is completed by its name, the same in all commands (``COMPLETERS``). This imports nothing of an installed
package, and if nothing is found the shell completes file names.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, get_type_hints

import typer
from typer.models import ParameterInfo

from widthwise.core.registry import entries
from widthwise.core.roles import ROLES, STRATEGY
from widthwise.opening import bundled_models

Completer = Callable[[str, Mapping[str, Any]], Iterable[str]]
"""Gives the possible replacements for the text so far, whatever they begin with; also gets the preceding parameters."""

_SAFE = re.compile(r"[\w .,:/@+=()|#'-]+")
"""What shells may be given: names from others may contain anything, and some shells evaluate completions."""
_MOST = 500
_LAST_NAME = re.compile(r"\w*$")


def completed(command: Callable[..., None]) -> Callable[..., None]:
    """``command``, with its parameters completed by their names."""
    hints = get_type_hints(command, include_extras=True)
    for name, hint in hints.items():
        for info in getattr(hint, "__metadata__", ()):
            if isinstance(info, ParameterInfo) and info.autocompletion is None:
                info.autocompletion = _quiet(COMPLETERS.get(name, _nothing))
    command.__annotations__ = hints  # each evaluation of annotations that are texts makes new options
    return command


def _quiet(completer: Completer) -> Callable[..., list[str]]:
    """``completer`` in the form that typer calls; an error in it completes nothing."""

    @wraps(completer)
    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        try:
            found = dict.fromkeys(completer(incomplete, ctx.params))
        except Exception:  # a message here would be taken for a completion
            return []
        return [text for text in found if text.startswith(incomplete) and _SAFE.fullmatch(text)][:_MOST]

    complete.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=kind)
         for name, kind in (("ctx", typer.Context), ("incomplete", str))]
    )  # fmt: skip
    return complete


def _nothing(incomplete: str, given: Mapping[str, Any]) -> Iterable[str]:
    """Leaves the option to the shell, which completes file names."""
    return ()


def _named(*roles: str) -> Completer:
    def complete(incomplete: str, given: Mapping[str, Any]) -> Iterable[str]:
        return sorted(entry.name for role in roles for entry in entries(ROLES[role]))

    return complete


def _one_of(*words: str) -> Completer:
    return lambda incomplete, given: words


def _models(incomplete: str, given: Mapping[str, Any]) -> Iterator[str]:
    yield from bundled_models()
    yield from (f"{entry.name}:" for entry in entries(ROLES["backend"]))


def _strategies(incomplete: str, given: Mapping[str, Any]) -> Iterator[str]:
    """The part being written: a sampler first, then what may follow it; inside brackets its arguments."""
    match = _LAST_NAME.search(incomplete)
    begun = match[0] if match else ""
    before = incomplete[: len(incomplete) - len(begun)]
    open_part = _open_part(before)
    if open_part is not None and re.search(r"[(,]\s*$", before):
        yield from (f"{before}{name}=" for name in _arguments(open_part))
        return
    roles = STRATEGY if open_part is not None else ("sampler",) if "|" not in before else STRATEGY[1:]
    for role in roles:
        yield from (f"{before}{entry.name}()" for entry in sorted(entries(ROLES[role]), key=lambda entry: entry.name))


def _open_part(text: str) -> str | None:
    """The part in whose brackets ``text`` ends."""
    names: list[str] = []
    for name, bracket in re.findall(r"(\w*)([()])", text):
        if bracket == "(":
            names.append(name)
        elif names:
            names.pop()
    return names[-1] if names else None


def _arguments(part: str) -> Iterator[str]:
    found = [entry for role in STRATEGY for entry in entries(ROLES[role]) if entry.name == part and entry.built_in]
    for entry in found:
        yield from inspect.signature(entry.load()).parameters


def _run_files(incomplete: str, given: Mapping[str, Any]) -> Iterator[str]:
    """Run files beside what is typed so far, and those in the folder for runs."""
    folder = incomplete.rpartition("/")[0]
    for place in [folder] if "/" in incomplete else ["", "runs"]:
        yield from (f"{place}{'/' if place else ''}{file.name}" for file in sorted(Path(place or ".").glob("*.db")))


def _problems(incomplete: str, given: Mapping[str, Any]) -> Iterator[str]:
    from widthwise.evals.store.store import Store

    with Store.read(given["run"]) as store:
        yield from (problem.id for problem in store.problems())


_RELIABILITY = ("all", "gpass:", "mgpass")
COMPLETERS: Mapping[str, Completer] = {
    "suite": _named("suite"),
    "strategy": _strategies,
    "model": _models,
    "reward_model": _models,
    "embedding_model": _models,
    "grader": _named("grader"),
    "allocator": _named("allocator"),
    "importer": _named("importer"),
    "layout": _one_of("recorded", "inspect_ai", "lm_eval"),
    "format": _named("prompt_format"),
    "run": _run_files,
    "runs": _run_files,
    "problem": _problems,
    "axis": _one_of("samples", "tokens", "sequential", "seconds", "flops", "money", "thinking", "ratio", "temperature"),
    "sampling": _one_of("model", "plain"),
    "votes": _one_of("meaning", "spelling"),
    "method": _one_of("pass", "maj", "best:", "weighted:", "short:", *_RELIABILITY),
    "reliability": _one_of(*_RELIABILITY),
    "against": _one_of("math-verify"),
}
"""By the names of parameters; parameters not listed are left to the shell."""
