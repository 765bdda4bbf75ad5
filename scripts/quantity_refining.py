"""Refining drafts of `quantities`: the best of them again, with what is missing added and what is wrong mended.

Models that had to write in another form what drafts say of each value looked up definitions worse than in plain
solutions. A mended draft is a plain solution, and most of it can be copied.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence

from labels import steps_of
from quantity_solutions import WORDINGS, backwards, boxed_answer, plan, step, worded

from widthwise.evals.suites.quantity_steps import QuantityStep
from widthwise.evals.suites.quantity_system import Operation, QuantitySystem


def mended(system: QuantitySystem, drafts: Sequence[str], rng: random.Random) -> str:
    """A right solution that keeps the order and the wordings of the draft with the most right values."""
    planned = plan(system, rng)
    lines = kept(system, max(drafts, key=lambda text: right_values(system, text)))
    ordered = followed(system, planned, lines)
    steps = [lines[name] if name in lines else worded(system, name, rng) for name in ordered]
    return "\n\n".join([planned, *steps, boxed_answer(system)])


def right_values(system: QuantitySystem, text: str) -> int:
    """How many needed quantities a draft states rightly."""
    values = system.values()
    return len({each.name for each in stated(system, text) if each.value == values[each.name]})


def stated(system: QuantitySystem, text: str) -> Iterator[QuantityStep]:
    """The steps of a draft that work out needed quantities."""
    found = filter(None, map(QuantityStep.read, steps_of(text)))
    return (each for each in found if each.name in system.needed)


def kept(system: QuantitySystem, draft: str) -> dict[str, str]:
    """A draft's lines whose definitions are right, with right numbers, in its order; the first of each quantity."""
    found: dict[str, str] = {}
    for text in steps_of(draft):
        read = QuantityStep.read(text)
        if read and read.name in system.needed and (line := rewritten(system, read, text.strip())):
            found.setdefault(read.name, line)
    return found


def rewritten(system: QuantitySystem, read: QuantityStep, text: str) -> str | None:
    """The same line with right numbers; None if it does not repeat a definition in one of the wordings."""
    definition = system.definitions[read.name]
    assert isinstance(definition, Operation)
    ways = [definition, definition.swapped] if definition.commutes else [definition]
    worked = f"{read.left} {read.op} {read.right}"
    lines = [
        step(system, read.name, wording, way)
        for wording in WORDINGS
        for way in ways
        if read.op == way.op and text == wording.format(name=read.name, defined=way, worked=worked, value=read.value)
    ]
    return text if text in lines else max(lines, key=lambda line: alike(line, text), default=None)


def alike(line: str, other: str) -> int:
    """In how many places two lines have the same word."""
    return sum(one == two for one, two in zip(line.split(" "), other.split(" "), strict=False))


def followed(system: QuantitySystem, planned: str, names: Iterable[str]) -> list[str]:
    """The needed quantities: the named ones in their order, each after what it takes, and then the rest."""
    possible = backwards(system, planned)
    found: list[str] = []
    for name in (*names, system.target):
        wanted = QuantitySystem(system.definitions, name).needed.difference(found)
        found += [each for each in possible if each in wanted]
    return found
