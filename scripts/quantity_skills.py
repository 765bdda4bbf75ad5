"""The other skills for `quantities`: threads, outlines, plans, and a serial search that checks itself.

A parent says what is needed as far as it goes alone, has the rest worked out at once, and a thread returns its value:

    U: A - 2, A: B * V

    <Parallel>
    <Outlines>
    <Outline>1: B</Outline>
    <Outline>2: V</Outline>
    </Outlines>
    <Thread>
    1:                                        <- a thread's prompt ends here
    B?                                        <- it says again what it is to work out, and plans if that is deep

    B = 28 - 14 = 14
    <Conclusion>B = 14</Conclusion>
    </Thread>
    </Parallel>                               <- the parent goes on here, with the solution
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from documents import END, Document, document, turn
from quantity_solutions import Asked, backwards, boxed_answer, listed, order, plan, systems, unfolded, worded
from threads import Thread, family

from widthwise.evals.suites.arithmetic import apply
from widthwise.evals.suites.quantity_system import LARGEST, Operation, QuantitySystem

WIDTHS = (2, 4, 6, 8, 12)
OUTLINE = 0.25  # operations: what a further thread adds to its parent
SHALLOW = 1  # operations one after another: without a plan, deeper parts left out what they needed
MOST = 6  # outlines asked for
OFF = (1, 2, 3, 4, 6, 8, 10, 20, 100)
CHECKED = 0.3  # share of the steps of a serial search that go wrong first


def part(system: QuantitySystem, name: str) -> QuantitySystem:
    """The same definitions with another question: the question for a thread."""
    return QuantitySystem(system.definitions, name)


def threads(rng: random.Random, levels: Sequence[int]) -> Iterator[Document]:
    """Parents, and up to three threads of each; half of the problems are wide."""
    for asked in systems(rng, levels, wide=0.5):
        yield from thread_family(asked, rng.choice(WIDTHS), rng)


def thread_family(asked: Asked, width: int, rng: random.Random) -> Iterator[Document]:
    """A parent's document and those of its threads; where threads save nothing, the parent solves it alone."""
    system = asked.system
    found, parts = divided(system, width, rng)
    spawn, planned = f"{asked.question}<spawn>{width}", listed(system, found)
    steps = [worded(system, name, rng) for name in backwards(system, planned, parts)]
    solution = "\n\n".join([*steps, boxed_answer(system)])
    if not parts:
        yield document(asked.key, "threads", spawn, f"{planned}\n\n{solution}")
        return
    told = [Thread(name, work(system, name, rng), f"{name} = {system.values()[name]}") for name in parts]
    yield from family(asked.key, spawn, told, solution, rng, before=f"{planned}\n\n")


def divided(system: QuantitySystem, width: int, rng: random.Random) -> tuple[dict[str, Operation], list[str]]:
    """The definitions that a parent keeps and the quantities for its threads, with the shortest critical path.

    Threads that need the same quantity each work it out, so any quantities can be parts.
    """
    ways = [way for way in unfolded(system, rng) if not way[1] or 2 <= len(way[1]) <= width]
    return min(ways, key=lambda way: len(way[0]) + longest(system, way[1]) + OUTLINE * len(way[1]))


def longest(system: QuantitySystem, parts: Sequence[str]) -> int:
    """The most operations that a part needs."""
    return max((len(part(system, name).needed) for name in parts), default=0)


def work(system: QuantitySystem, name: str, rng: random.Random) -> str:
    """What a thread is to work out, and a solution of that without its answer; what is shallow needs no plan."""
    mine = part(system, name)
    ordered = order(mine, planned := plan(mine, rng), rng, useless=0)
    begun = [f"{name}?"] if mine.depths[name] <= SHALLOW else [f"{name}?", planned]
    return "\n\n".join([*begun, *(worded(system, each, rng) for each in ordered)])


def outlines(rng: random.Random, levels: Sequence[int]) -> Iterator[Document]:
    """Different plans, and a solution that follows a given one: the last quantities named are worked out first."""
    for asked in systems(rng, levels):
        planned = [plan(asked.system, rng) for _ in range(rng.randint(2, MOST))]
        different = list(dict.fromkeys(planned))
        lines = [f"<Outline>{n}: {text}</Outline>" for n, text in enumerate(different, 1)]
        yield document(asked.key, "outline", f"{asked.question}<Outlines>{len(different)}", "\n".join(lines))
        steps = [worded(asked.system, name, rng) for name in backwards(asked.system, different[0])]
        solution = "\n\n".join([*steps, boxed_answer(asked.system)])
        yield document(asked.key, "outline", f"{asked.question}<Outline>{different[0]}", solution)


def plans(rng: random.Random, levels: Sequence[int]) -> Iterator[Document]:
    """The needed quantities as a dependency graph, from the target on, one per line."""
    for asked in systems(rng, levels):
        yield document(asked.key, "plan", f"{asked.question}<Goal>", f"{plan(asked.system, rng, chr(10))}</Goal>")


def serial_searches(rng: random.Random, levels: Sequence[int]) -> Iterator[Document]:
    """A plan, and every step with its check, repeated if that fails; wrong results are read, not learned."""
    for asked in systems(rng, levels):
        yield serial_search(asked, rng)


def serial_search(asked: Asked, rng: random.Random) -> Document:
    values = asked.system.values()
    asked_for, planned = turn(f"{asked.question}<search>depth"), plan(asked.system, rng)
    parts: list[tuple[str, bool | str]] = [(asked_for, False), (f"{planned}\n", True)]
    for name in order(asked.system, planned, rng, useless=0):
        definition = asked.system.definitions[name]
        assert isinstance(definition, Operation)
        left, right = definition.at(values)
        head = f"{name} = {left} {definition.op} {right} = "
        if rng.random() < CHECKED:
            wrong = slip(values[name], rng)
            parts += [(head, True), (str(wrong), False)]
            parts.append((f"\n{check(definition.op, left, right, wrong)} no\n", True))
        again = f"{check(definition.op, left, right, values[name])} yes\n"
        parts.append((f"{head}{values[name]}\n{again}", True))
    steps = [worded(asked.system, name, rng) for name in order(asked.system, planned, rng, useless=0)]
    parts.append(("\n" + "\n\n".join([*steps, boxed_answer(asked.system)]) + END, True))
    return Document(asked.key, "search", tuple(parts))


def slip(value: int, rng: random.Random) -> int:
    """A value near the true one."""
    off = rng.choice(OFF)
    return value + off if value + off <= LARGEST and (rng.random() < 0.5 or value < off) else abs(value - off)


def check(op: str, left: int, right: int, result: int) -> str:
    """The operation undone, from the stated result; a product worked out the other way round."""
    if op == "*":
        return f"{right} * {left} = {apply('*', right, left)}"
    if op == "+":
        return f"{result} - {right} = {result - right}" if result >= right else f"{right} - {result} = {right - result}"
    return f"{result} + {right} = {result + right}"
