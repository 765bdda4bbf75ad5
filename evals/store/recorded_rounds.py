"""What a run file says of the rounds in which a suite budget was shared out; a file may say anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import islice
from typing import Any

_MOST = 10_000


def switched(manifest: Mapping[str, Any]) -> str:
    """Why a run's traces are no fair sample of its strategy; empty if no problem went on with another one."""
    if not _strategies(manifest):
        return ""
    return "some problems went on with another strategy, so the rest is not a fair sample"


def rounds_in(manifest: Mapping[str, Any], spent: int) -> dict[str, Any] | None:
    """The run's suite budget, what was ``spent`` of it, and its rounds as far as they are stored; None without one."""
    asked = manifest["configuration"]
    if "suite_budget_tokens" not in asked:
        return None
    said = manifest.get("allocation")
    rounds = said.get("rounds") if isinstance(said, dict) else None
    known = [_round(each) for each in rounds[:_MOST]] if isinstance(rounds, list) else []
    return {
        "tokens": _whole(asked["suite_budget_tokens"]),
        "allocator": str(asked.get("allocator") or ""),
        "spent": spent,
        "rounds": [each for each in known if each],
        "strategies": _strategies(manifest),
    }


def _strategies(manifest: Mapping[str, Any]) -> dict[str, int]:
    """How many problems went on with each other strategy."""
    said = manifest.get("allocation")
    by_problem = said.get("strategies") if isinstance(said, dict) else None
    named = islice(by_problem.values(), _MOST) if isinstance(by_problem, dict) else ()
    return dict(Counter(str(each) for each in named).most_common())


def _round(said: Any) -> dict[str, int]:
    if not isinstance(said, dict):
        return {}
    return {name: _whole(said.get(name)) for name in ("problems", "samples", "switched", "spent")}


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
