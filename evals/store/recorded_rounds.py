"""What a run file says of the rounds in which a suite budget was shared out; a file may say anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import islice
from typing import Any

_MOST = 10_000


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
        "strategies": _strategies(said.get("strategies") if isinstance(said, dict) else None),
    }


def _strategies(said: Any) -> dict[str, int]:
    """How many problems went on with each other strategy."""
    named = islice(said.values(), _MOST) if isinstance(said, dict) else ()
    return dict(Counter(str(each) for each in named).most_common())


def _round(said: Any) -> dict[str, int]:
    if not isinstance(said, dict):
        return {}
    return {name: _whole(said.get(name)) for name in ("problems", "samples", "strategies", "spent")}


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
