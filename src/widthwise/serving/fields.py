"""The fields of a JSON object that a client sent, each read once and checked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from widthwise.core.registry import nearest
from widthwise.serving.refusal import Refusal

_KINDS: dict[Any, str] = {
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    dict: "an object",
}


class Fields:
    """Reads fields; ``end`` refuses those that were not read, so that none is silently ignored.

    A field that is null counts as absent. ``inside`` is the name of the object that contains them.
    """

    def __init__(self, given: Mapping[str, Any], inside: str = "") -> None:
        self._given = given
        self._inside = inside
        self._known: set[str] = set()

    def take(self, name: str, kind: Any, *, needed: bool = False) -> Any:
        """The field ``name``, which must be of this kind; None if it is absent and not ``needed``."""
        value = self.raw(name)
        if value is None:
            if needed:
                raise self.refusal(name, "is missing")
            return None
        if not _is(value, kind):
            raise self.refusal(name, f"must be {_KINDS[kind]}")
        return value

    def raw(self, name: str) -> Any:
        """The field as it was sent."""
        self._known.add(name)
        return self._given.get(name)

    def inner(self, name: str) -> Fields:
        """The fields of the object ``name``; none if it is absent."""
        return Fields(self.take(name, dict) or {}, self._path(name))

    def expect(self, name: str, harmless: Collection[Any], why: str) -> None:
        """Raises ``Refusal`` if the field has any value other than those that change nothing here."""
        value = self.raw(name)
        if value is not None and not any(value == each and type(value) is type(each) for each in harmless):
            raise self.refusal(name, why)

    def end(self) -> None:
        """Raises ``Refusal`` for an unknown field."""
        for name, value in self._given.items():
            if name not in self._known and value is not None:
                raise self.refusal(
                    name, f"is not a parameter of this server{nearest(name, self._known)}", "unknown_parameter"
                )

    def refusal(self, name: str, why: str, code: str | None = None) -> Refusal:
        """The error of a field."""
        path = self._path(name)
        return Refusal(400, f"{path} {why}", param=path, code=code)

    def _path(self, name: str) -> str:
        return f"{self._inside}.{name}" if self._inside else name


def _is(value: Any, kind: Any) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
