"""The registry: every part that has a name, and the three ways to find a part.

By name (``best_of_n``): parts that ``@register`` has seen, the built-in ones included, and parts that installed
packages offer through the entry-point group of the role. By import path (``module:name``): anything the user has
written.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, TypeGuard, TypeVar

from widthwise.core.brief import Brief
from widthwise.core.errors import UsageError, WidthwiseError
from widthwise.core.roles import ROLES, Role, role_named

T = TypeVar("T")

_PATH = re.compile(r"(?:[^\s:|()]+\.py|[A-Za-z_][\w.]*):[A-Za-z_][\w.]*")
"""``module:name``, or ``folder/file.py:name``."""


@dataclass(frozen=True, slots=True)
class Entry(Brief):
    """One named part. ``source`` is its import path, ``origin`` its provider: "built in", a module, a package."""

    role: Role
    name: str
    source: str
    origin: str
    load: Callable[[], Any]

    @property
    def built_in(self) -> bool:
        return self.source.startswith("widthwise.")


_registered: dict[tuple[str, str], Entry] = {}


def register(role: str, name: str | None = None) -> Callable[[T], T]:
    """A decorator that makes a function, a class or a value a part of ``role`` that can be found by name.

    The name is ``name``, or the part's own: a value's ``name``, a function's name, a class's name with underscores
    (``BestOfN``: ``best_of_n``). Raises ``UsageError`` for a part that does not fit the role and for a name that is
    taken.
    """
    kind = role_named(role)
    caller = sys._getframe(1).f_globals.get("__name__", "__main__")

    def add(part: T) -> T:
        named = name or _own_name(part)
        source = f"{part.__module__}:{part.__qualname__}" if _is_definition(part) else f"{caller}:{named}"
        kind.check(part, source)
        origin = "built in" if source.startswith("widthwise.") else source.partition(":")[0]
        _enter(Entry(kind, named, source, origin, lambda: part))
        mark(part, role, named if source.startswith("widthwise.") else None)
        return part

    return add


def declares(role: str) -> Callable[[type[T]], type[T]]:
    """A decorator of base classes: every class derived from this one is a part of ``role``."""

    def declare(base: type[T]) -> type[T]:
        mark(base, role, None)
        return base

    return declare


def find(roles: str | Sequence[str], text: str, *, trusted: bool = True) -> Entry:
    """The part that ``text`` names, of one of ``roles`` (which share their names).

    Raises ``UsageError`` for an unknown name, suggesting the nearest one; for two parts with the same name, naming both
    sources; and for a part that does not fit its role. Text that the user did not write is not ``trusted``: it may name
    built-in and installed parts, but no import path.
    """
    among = [ROLES[role] for role in ([roles] if isinstance(roles, str) else roles)]
    if is_path(text):
        if not trusted:
            raise UsageError(
                f"{text} is an import path, and only your own command may name one: a file or a request names "
                "built-in and installed parts"
            )
        return Entry(among[0], text, text, text.partition(":")[0], lambda: imported(text))
    found = [entry for entry in entries(*among) if entry.name == text]
    if len(found) > 1:
        raise UsageError(clash(found))
    if not found:
        names = sorted({entry.name for entry in entries(*among)})
        what = among[0].name.replace("_", " ") if len(among) == 1 else "part"
        raise UsageError(
            f"unknown {what} {text!r}{nearest(text, names) or '.'} Valid names: {', '.join(names)}, "
            f"or the import path of your own, my_module:my_{among[0].space or among[0].name}."
        )
    return found[0]


def entries(*roles: Role) -> list[Entry]:
    """All named parts of ``roles``, built-in ones first, without importing anything from installed packages.

    Two parts with the same name are both listed; ``find`` refuses them.
    """
    for role in roles:
        importlib.import_module(role.home)
    offered = [_offered(role, point) for role in roles for point in _installed()[role.group]]
    installed = {(entry.name, entry.source) for entry in offered}
    known = [e for e in _registered.values() if e.role in roles and (e.name, e.source) not in installed]
    return sorted([*known, *offered], key=lambda entry: not entry.built_in)


def value_of(entry: Entry, *given: Any, **named: Any) -> Any:
    """The part, or, if it is a class or a function, what it makes of the arguments.

    Raises ``UsageError``, one sentence, for anything that goes wrong.
    """
    part = entry.load()
    if not _is_definition(part):
        if given or named:
            raise UsageError(f"{entry.name} is a value: it takes no arguments")
        return part
    try:
        return part(*given, **named)
    except WidthwiseError:
        raise
    except Exception as error:  # whatever a user's part does
        raise UsageError(f"{entry.name} does not fit: {entry.role}; calling it gave {_told(error)}") from error


def clash(found: Sequence[Entry]) -> str:
    """The sentence about several parts with the same name."""
    sources = " and ".join(f"{entry.source} ({entry.origin})" for entry in found)
    return f"{found[0].name!r} is the name of {len(found)} parts, {sources}; name the one you mean by its import path"


def is_path(text: str) -> bool:
    """Whether ``text`` is spelled as an import path, ``module:name``."""
    return _PATH.fullmatch(text) is not None


def importable(text: str) -> bool:
    """Whether ``text`` is an import path whose module exists; only the packages that contain it are imported."""
    if not is_path(text):
        return False
    if (module := text.partition(":")[0]).endswith(".py"):
        return Path(module).is_file()
    _search_here()
    try:
        return importlib.util.find_spec(text.partition(":")[0]) is not None
    except (ImportError, ValueError):
        return False


def imported(path: str) -> Any:
    """What ``module:name`` or ``file.py:name`` is, looking in the current folder too.

    Raises ``UsageError`` if it cannot be imported.
    """
    module_name, _, attribute = path.partition(":")
    _search_here()
    try:
        found = _of_file(Path(module_name)) if module_name.endswith(".py") else importlib.import_module(module_name)
    except WidthwiseError:
        raise
    except Exception as error:  # whatever the user's module does when it is imported
        raise UsageError(f"cannot import {module_name!r}: {_told(error)}") from error
    for name in attribute.split("."):
        if not hasattr(found, name):
            names = [n for n in dir(found) if not n.startswith("_")]
            raise UsageError(f"{module_name} has no {attribute!r}{nearest(name, names)}")
        found = getattr(found, name)
    return found


def _of_file(file: Path) -> ModuleType:
    """The module in a file, under the file's own name; a file of the current folder is imported as such."""
    if not file.is_file():
        raise UsageError(f"there is no file {file}")
    known = sys.modules.get(file.stem)
    if known is not None and getattr(known, "__file__", None) and Path(str(known.__file__)).samefile(file):
        return known
    if known is not None:
        raise UsageError(f"{file} cannot be imported: another module is called {file.stem!r} already; rename the file")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[file.stem] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[file.stem]
        raise
    return module


def role_of(part: Any) -> str | None:
    """The role that a part was registered with, or that its class declares; None if neither."""
    role: str | None = getattr(part, "__role__", None)
    return role


def check_role(part: Any, role: str) -> None:
    """Raises ``UsageError`` for something used as a part of ``role`` that does not declare that role."""
    if role_of(part) == role and not inspect.isclass(part):
        return
    if isinstance(part, str):
        raise UsageError(
            f"{part!r:.60} does not fit: {ROLES[role]}; found a text: give the part itself, not a text that names it"
        )
    named = path_of(part) if _is_definition(part) else path_of(type(part))
    said = (
        f"a {role_of(part)}"
        if role_of(part)
        else f"nothing that declares its role (decorate it with @ww.register({role!r}))"
    )
    raise UsageError(f"{named} does not fit: {ROLES[role]}; found {said}")


def path_of(part: Any) -> str:
    """How text names a function or a class: by its name if it is built in or installed, else by its import path."""
    # Not getattr: a derived class does not inherit the name of its base.
    named: str | None = vars(part).get("__part_name__") if _is_definition(part) else None
    return named or f"{part.__module__}:{part.__qualname__}"


def spelling(class_name: str) -> str:
    """``BestOfN`` as the command line spells it: ``best_of_n``. (``DeepConf`` is one word: ``deepconf``.)"""
    return re.sub(r"(?<=[a-z0-9])(?<!Deep)(?=[A-Z])", "_", class_name).lower()


def nearest(name: str, valid: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for the valid name closest to ``name``, or nothing."""
    close = difflib.get_close_matches(name, list(valid), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def mark(part: Any, role: str, name: str | None) -> None:
    """Note on a function or class which part it is; a value is known by its class."""
    if _is_definition(part):
        part.__role__ = role
        if name is not None:
            part.__part_name__ = name


def _is_definition(part: Any) -> TypeGuard[Any]:
    return inspect.isfunction(part) or inspect.isclass(part)


def _search_here() -> None:
    """Look for the user's modules in the current folder."""
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())


@cache
def _installed() -> dict[str, tuple[EntryPoint, ...]]:
    """The entry points of all roles by group, searched once: models are asked for their profile at every call."""
    found: Any = entry_points()  # its type differs between versions of Python
    return {role.group: tuple(found.select(group=role.group)) for role in ROLES.values()}


def _enter(entry: Entry) -> None:
    key = (entry.role.space or entry.role.name, entry.name)
    there = _registered.get(key)
    # The same source again is a module that was reloaded.
    if there is not None and there.source != entry.source:
        raise UsageError(
            f"{entry.name!r} is already the name of {there.source} ({there.origin}); register {entry.source} under "
            "another name"
        )
    _registered[key] = entry


def _offered(role: Role, point: EntryPoint) -> Entry:
    """An installed part, imported when it is first used."""
    origin = f"{point.dist.name} {point.dist.version}" if point.dist is not None else "an installed package"
    source = point.value.partition("[")[0].strip()

    def load() -> Any:
        if not is_path(source):
            raise UsageError(f"{point.name!r} of {origin} is {source!r}, which names no object in a module")
        try:
            part = point.load()
        except WidthwiseError:
            raise
        except Exception as error:  # whatever another package does when it is imported
            raise UsageError(f"{point.name!r} of {origin} cannot be loaded: {_told(error)}") from error
        role.check(part, source)
        mark(part, role.name, point.name)
        return part

    return Entry(role, point.name, source, origin, load)


def _own_name(part: Any) -> str:
    if inspect.isclass(part):
        return spelling(part.__name__)
    named = getattr(part, "__name__", None) or getattr(part, "name", None)
    if not named:
        raise UsageError(f"{part!r} has no name to register it under; give one: register(role, name)")
    return str(named)


def _told(error: Exception) -> str:
    text = str(error).strip().partition("\n")[0]
    return text if isinstance(error, ImportError) else f"{type(error).__name__}: {text}"
