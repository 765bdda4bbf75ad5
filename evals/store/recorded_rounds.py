"""What a run file says of its strategies: the run's own, those of the rounds that shared out a suite budget, and those
of a run that it replays.

A file may say anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import islice
from typing import Any

from widthwise.core.visible import visible

SWITCHED = "some problems went on with another strategy, so the rest is not a fair sample"

INDEPENDENT = ("single", "best_of_n")
"""Samplers whose traces are independent samples."""

UNSAID = "the samples are said not to be independent, but the file does not say why"

_MOST = 10_000
_LONGEST = 240
"""How many characters of a reason are shown."""


def switched(manifest: Mapping[str, Any]) -> str:
    """Why a run's traces are not a fair sample of its strategy; empty if no problem went on with another one."""
    return SWITCHED if strategies_by_problem(manifest) else ""


def dependent_in(manifest: Mapping[str, Any]) -> str:
    """Why the samples that a run replays are not independent; empty if they are, or if it replays none."""
    backends = [said for key, said in manifest.items() if key.partition(" ")[0] == "backend"]
    told = (reason_in(said.get("dependent")) for said in backends if isinstance(said, dict))
    return next(filter(None, told), "")


def reason_in(said: Any) -> str:
    """Why samples are not independent, as a file has ``said`` it, in one line; empty if it says that they are."""
    if not said:
        return ""
    return one_line(said) or UNSAID if isinstance(said, str) else UNSAID


def one_line(text: str, width: int = _LONGEST) -> str:
    """What a file says, in one line that can be shown; shown anew, it stays as it is."""
    line = visible(" ".join(text.split()))
    return line if len(line) <= width else f"{line[: width - 1]}…"


def of_others(manifest: Mapping[str, Any]) -> str:
    """Why other strategies than the run's own may have drawn samples that are not independent; empty if none did."""
    return switched(manifest) or dependent_in(manifest)


def drawn_by(manifest: Mapping[str, Any]) -> dict[str, str | None]:
    """What a row of an exported run says of how its samples were drawn."""
    strategy = str(manifest["configuration"].get("strategy") or "")
    found = {"strategy": strategy, "sampler": sampler_of(strategy), "dependent": dependent_in(manifest)}
    return {name: said or None for name, said in found.items()}


def sampler_of(strategy: str) -> str:
    """The name of the sampler in a strategy's text."""
    return strategy.partition("|")[0].strip().partition("(")[0]


def strategies_by_problem(manifest: Mapping[str, Any]) -> dict[str, str]:
    """The other strategy with which a problem went on, by the problem's id."""
    said = manifest.get("allocation")
    by_problem = said.get("strategies") if isinstance(said, dict) else None
    named = islice(by_problem.items(), _MOST) if isinstance(by_problem, dict) else ()
    return {str(problem): str(strategy) for problem, strategy in named}


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
    return dict(Counter(strategies_by_problem(manifest).values()).most_common())


def _round(said: Any) -> dict[str, int]:
    if not isinstance(said, dict):
        return {}
    return {name: _whole(said.get(name)) for name in ("problems", "samples", "switched", "spent")}


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
