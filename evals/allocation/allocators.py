"""The built-in allocators, and how one is found by its name."""

from __future__ import annotations

from typing import Any

from widthwise.core.arguments import whole
from widthwise.core.errors import UsageError
from widthwise.core.registry import check_role, find, value_of
from widthwise.evals.allocation.allocator import Allocator
from widthwise.evals.allocation.expected_gain import ExpectedGain
from widthwise.evals.allocation.fitted import Fitted
from widthwise.evals.allocation.suite_budget import SuiteBudget
from widthwise.evals.allocation.uniform import Uniform
from widthwise.evals.named_call import named_call

__all__ = ["ALLOCATOR", "Allocator", "ExpectedGain", "Fitted", "Uniform", "allocator_named", "suite_budget_of"]

ALLOCATOR = ExpectedGain()
"""The default."""


def allocator_named(given: Any) -> Allocator:
    """The allocator for a name with or without arguments (``expected_gain(probes=4)``) or an import path.

    An allocator stays as it is. Raises ``UsageError`` for anything else.
    """
    if not isinstance(given, str):
        check_role(given, "allocator")
        return given  # type: ignore[no-any-return]
    name, arguments = named_call(given, "allocator", "expected_gain(probes=4)")
    entry = find("allocator", name)
    made = value_of(entry, **arguments)
    if not isinstance(made, Allocator):
        raise entry.role.mismatch(entry.source, made)
    return made


def suite_budget_of(tokens: int | None, allocator: str | Allocator | None) -> SuiteBudget | None:
    """The pool of a run, shared out by ``allocator`` (None: ``ALLOCATOR``); None without tokens.

    Raises ``UsageError`` for what is no number of tokens, and for an allocator without any.
    """
    chosen = None if allocator is None else allocator_named(allocator)
    if tokens is not None:
        return SuiteBudget(whole(tokens, "suite_budget_tokens"), chosen or ALLOCATOR)
    if chosen is not None:
        raise UsageError(f"{chosen.brief()} shares out a suite budget: give one, suite_budget_tokens=N "
                         "(--suite-budget-tokens N)")  # fmt: skip
    return None
