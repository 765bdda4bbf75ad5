"""Strategies in the UK AISI's Inspect (extra ``inspect``).

>>> from widthwise.integrations.inspect import widthwise
>>> task = Task(dataset=..., solver=widthwise("best_of_n(n=16) | majority_vote()"), scorer=match())  # doctest: +SKIP

Importing this registers, under the name ``widthwise``, the solver, the scorer ``graded`` and the model provider.
"""

from __future__ import annotations

from importlib.util import find_spec

from widthwise.core.installation import install_command

if find_spec("inspect_ai") is None:
    raise ModuleNotFoundError(f"Inspect is not installed: {install_command('inspect')}")

from widthwise.integrations.inspect.provider import WidthwiseAPI, provider
from widthwise.integrations.inspect.scorer import graded
from widthwise.integrations.inspect.solver import widthwise

__all__ = ["WidthwiseAPI", "graded", "provider", "widthwise"]
