"""Solutions of `quantities`: what is needed, then one step per quantity, in any order and in several wordings.

U: A - 2, A: B * V, B: 28 - 14, V: 15 + 7      <- the definitions, in which what is given is a number

V: 15 + 7 = 22

B = G - 14 = 28 - 14 = 14
...
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from widthwise.evals.suites.holdout import held_out
from widthwise.evals.suites.quantities import random_system
from widthwise.evals.suites.quantity_system import Operation, QuantitySystem

WORDINGS = (  # the name comes first: where it followed the result, models worked out what they had not chosen
    "{name} = {defined} = {worked} = {value}",
    "{name}: {worked} = {value}",
    "{name}: {defined} is {worked} = {value}",
    "{name} = {worked} = {value}",
    "{name} is {defined}, {worked} = {value}",
)
WEIGHTS = (3, 2, 2, 1, 2)
"""How often each is drawn."""
WIDE = 0.15
"""The share of problems whose operands take equally much work."""
BACKWARDS = 0.5
"""How often a solution goes through its plan from the end; otherwise steps are drawn by lot."""
ONWARD = 0.85
"""Where they are: how often the next step uses the value of the one before, if possible."""
USELESS = 0.2
"""How often they work out something unnecessary."""
SWAPPED = 0.5
"""How often the operands of a sum or a product change places."""


class Asked(NamedTuple):
    """A problem, with the key that decides whether it is held out."""

    system: QuantitySystem
    key: str
    question: str


def systems(rng: random.Random, levels: Sequence[int], wide: float = WIDE) -> Iterator[Asked]:
    """Endless problems that are not held out, all levels equally often; this share of them is wide."""
    while True:
        system = random_system(rng, rng.choice(levels), wide=rng.random() < wide)
        if not held_out(system.key):
            yield Asked(system, system.key, str(system))


def order(system: QuantitySystem, planned: str, rng: random.Random, *, useless: float = USELESS) -> list[str]:
    """The quantities of a solution, each after those that it depends on, the target last."""
    return backwards(system, planned) if rng.random() < BACKWARDS else by_lot(system, rng, useless)


def backwards(system: QuantitySystem, planned: str, known: Sequence[str] = ()) -> list[str]:
    """The needed quantities, the last one of the plan first that can be worked out from what is given or known."""
    names = [name for each in planned.split(", ") if (name := each.partition(":")[0]) in system.needed]
    found: list[str] = []
    while len(found) < len(names):
        can = ready(system, set(names), {*system.given, *known, *found})
        found.append(max(can, key=names.index))
    return found


def by_lot(system: QuantitySystem, rng: random.Random, useless: float) -> list[str]:
    """The needed quantities in a possible order, mostly onward from the step before; perhaps one that is not needed."""
    found: list[str] = []
    wanted = set(system.needed)
    known = set(system.given)
    extra = rng.random() < useless
    while system.target not in known:
        if extra and (aside := ready(system, system.definitions.keys() - wanted, known)) and rng.random() < 0.5:
            found.append(rng.choice(aside))
            extra = False
        else:
            can = ready(system, wanted, known)
            onward = [name for name in can if found and found[-1] in system.operands(name)]
            found.append(rng.choice(onward if onward and rng.random() < ONWARD else can))
        known.add(found[-1])
    return found


def ready(system: QuantitySystem, among: set[str], known: set[str]) -> list[str]:
    """The quantities that can be worked out next, in the order of the question."""
    return [
        name
        for name in system.definitions
        if name in among and name not in known and known.issuperset(system.operands(name))
    ]


def unfolded(system: QuantitySystem, rng: random.Random) -> Iterator[tuple[dict[str, Operation], list[str]]]:
    """Definitions from the target on, one more each time, and the needed quantities they name that have none yet.

    First named, first defined.
    """
    found: dict[str, Operation] = {}
    waiting = [system.target]
    while waiting:
        name = waiting.pop(0)
        found[name] = either_order(system, name, rng)
        waiting += [each for each in found[name].names if each in system.needed and each not in {*found, *waiting}]
        yield dict(found), list(waiting)


def needs(system: QuantitySystem, rng: random.Random) -> dict[str, Operation]:
    """Every needed quantity with its definition."""
    *_, (found, _) = unfolded(system, rng)
    return found


def plan(system: QuantitySystem, rng: random.Random, between: str = ", ") -> str:
    """The needed quantities, from the target on."""
    return listed(system, needs(system, rng), between)


def listed(system: QuantitySystem, definitions: Mapping[str, Operation], between: str = ", ") -> str:
    """``A: B * V`` for each quantity, or ``V: 15 + 7`` if what it takes is given.

    Which of them can be worked out next can be seen in the plan alone.
    """
    return between.join(f"{name}: {each.filled(system.given)}" for name, each in definitions.items())


def either_order(system: QuantitySystem, name: str, rng: random.Random) -> Operation:
    """A quantity's definition; the operands of a sum or a product change places by lot."""
    definition = system.definitions[name]
    assert isinstance(definition, Operation)
    return definition.swapped if definition.commutes and rng.random() < SWAPPED else definition


def step(system: QuantitySystem, name: str, wording: str, definition: Operation) -> str:
    """One quantity worked out, by its definition in the order to write it in."""
    values = system.values()
    left, right = definition.at(values)
    worked = f"{left} {definition.op} {right}"
    return wording.format(name=name, defined=definition, worked=worked, value=values[name])


def worded(system: QuantitySystem, name: str, rng: random.Random) -> str:
    """One quantity worked out, in a wording drawn by lot."""
    (wording,) = rng.choices(WORDINGS, WEIGHTS)
    return step(system, name, wording, either_order(system, name, rng))


def boxed_answer(system: QuantitySystem) -> str:
    return f"\\boxed{{{system.answer}}}"


def quantities_solution(system: QuantitySystem, rng: random.Random) -> str:
    """A right solution: what is needed, then steps whose order and wordings are drawn by lot."""
    planned = plan(system, rng)
    steps = [worded(system, name, rng) for name in order(system, planned, rng)]
    return "\n\n".join([planned, *steps, boxed_answer(system)])
