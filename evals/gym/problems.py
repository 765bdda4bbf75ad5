"""Suites of any generator of reasoning-gym, made in a separate process."""

from __future__ import annotations

from typing import Any

from widthwise.core.errors import UsageError
from widthwise.core.problem import Problem
from widthwise.core.registry import nearest, register
from widthwise.core.sandbox.sandbox import require_walls
from widthwise.evals.gym.arguments import plain_arguments
from widthwise.evals.gym.server import SERVER, installed

ANSWER_TAGS = (
    "Think step by step. Then give the final answer alone, in the form that the task asks for, between <answer> and "
    "</answer>."
)
"""The instruction of these suites."""

_MAKING_SECONDS = 300.0
_MOST = 10_000


@register("suite")
def gym(name: str, n: int = 50, seed: int = 0, **config: Any) -> list[Problem]:
    """Any generator of reasoning-gym (extra gym): gym:leg_counting(n=50, seed=0, max_animals=3).

    ``config`` are the generator's own arguments. Raises UsageError for arguments that it does not take.
    """
    require_walls()
    for word, value, least in (("n", n, 1), ("seed", seed, 0)):
        if type(value) is not int or not least <= value <= (_MOST if word == "n" else 2**31):
            raise UsageError(f"gym:{name}: {word} must be a whole number of at least {least}, not {value!r}")
    made_of = plain_arguments(name, {**config, "size": n, "seed": seed})
    reply = SERVER.ask(_MAKING_SECONDS, do="make", name=name, config=made_of)
    facts = {"gym": name, "config": made_of, "reasoning_gym": installed()}
    entries = enumerate(_entries(name, reply))
    return [Problem(f"gym-{name}-{seed}-{i:04d}", q, a, {**facts, "index": i}) for i, (q, a) in entries]


def _entries(name: str, reply: dict[str, Any]) -> list[tuple[str, str | None]]:
    match reply.get("value"):
        case {"names": list(names)}:
            raise UsageError(f"reasoning-gym has no generator {name!r}{nearest(name, names)} It has {', '.join(names)}")
        case {"unknown": list(unknown), "fields": list(fields)}:
            others = ", ".join(field for field in fields if field not in ("size", "seed"))
            raise UsageError(f"gym:{name} has no argument {unknown[0]!r}: its arguments are n, seed, {others}")
        case {"entries": list(entries)}:
            return [(str(question), answer) for question, answer in entries]
    raise UsageError(f"gym:{name} cannot make problems from these arguments: {reply.get('refusal', 'it sent none')}")
