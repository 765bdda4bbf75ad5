"""A plain ``async`` function as a part, with the arguments from the strategy's text."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from widthwise.core.errors import UsageError
from widthwise.core.registry import nearest, path_of, role_of
from widthwise.core.roles import required
from widthwise.core.strategy.spelling import Spelled, literal


@dataclass(frozen=True)
class FunctionPart(Spelled):
    """``function``, called with its role's arguments and with ``arguments`` by name.

    As a pruner it is asked whenever a trace ends, and at no other time.
    """

    function: Callable[..., Awaitable[Any]]
    arguments: tuple[tuple[str, Any], ...] = ()

    every = None

    @classmethod
    def of(cls, function: Callable[..., Awaitable[Any]], named: Mapping[str, Any]) -> FunctionPart:
        """Raises ``UsageError`` for an argument that the function does not have."""
        valid = list(inspect.signature(function).parameters)
        for name in named:
            if name not in valid:
                raise UsageError(
                    f"{path_of(function)} has no argument {name!r}{nearest(name, valid)} (it takes {', '.join(valid)})"
                )
        return cls(function, tuple(named.items()))

    async def __call__(self, *given: Any) -> Any:
        return await self.function(*given, **dict(self.arguments))

    @property
    def open(self) -> list[str]:
        """The arguments that a call must still provide."""
        return [name for name in required(self.function) if name not in dict(self.arguments)]

    @property
    def declared(self) -> str | None:
        """The role that the function was registered with."""
        return role_of(self.function)

    def __str__(self) -> str:
        said = ", ".join(f"{name}={literal(value)}" for name, value in self.arguments)
        return f"{path_of(self.function)}({said})" if said else path_of(self.function)

    def brief(self) -> str:
        return str(self)
