"""The other skills for `quantities`: threads, outlines, plans, and a serial search that checks itself.

A parent says what is needed, has independent parts worked out at once, and a thread returns its value:

    U: A - 2, A: B * V, B: 28 - 14, V: 15 + 7

    <Parallel>
    <Outlines>
    <Outline>1: B</Outline>
    <Outline>2: V</Outline>
    </Outlines>
    <Thread>
    1:                                        <- a thread's prompt ends here
    B?                                        <- it says again what it is to work out
    B = 28 - 14 = 14
    <Conclusion>B = 14</Conclusion>
    </Thread>
    </Parallel>                               <- the parent goes on here, with the solution
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from documents import END, Document, document, turn
from quantity_solutions import Asked, boxed_answer, order, plan, ready, systems, worded
from threads import Thread, family

from widthwise.evals.suites.arithmetic import apply
from widthwise.evals.suites.quantity_system import LARGEST, Operation, QuantitySystem

WIDTHS = (2, 4, 6, 8, 12)
PART = 5  # operations per thread at most
MOST = 6  # outlines asked for
OFF = (1, 2, 3, 4, 6, 8, 10, 20, 100)
CHECKED = 0.3  # share of the steps of a serial search that go wrong first


def part(system: QuantitySystem, name: str) -> QuantitySystem:
    """The same definitions with another question: the question for a thread."""
    return QuantitySystem(system.definitions, name)


def independent(system: QuantitySystem, name: str | None = None) -> list[str]:
    """The largest needed quantities that are small enough for a thread, with no shared needs."""
    found: list[str] = []
    taken: set[str] = set()
    for operand in system.operands(name or system.target):
        below = part(system, operand).needed
        if not below:
            continue
        for each in [operand] if len(below) <= PART else independent(system, operand):
            needed = part(system, each).needed
            if not taken & needed:
                found.append(each)
                taken |= needed
    return found


def threads(rng: random.Random, levels: Sequence[int]) -> Iterator[Document]:
    """Parents, and three threads of each; problems that are one chain are left out."""
    for asked in systems(rng, levels):
        yield from thread_family(asked, rng.choice(WIDTHS), rng)


def thread_family(asked: Asked, width: int, rng: random.Random) -> Iterator[Document]:
    """A parent's document and those of its threads; none if fewer than two parts are independent."""
    system = asked.system
    parts = independent(system)[:width]
    if len(parts) < 2:
        return
    rng.shuffle(parts)
    told = [Thread(name, work(system, name, rng), f"{name} = {system.values()[name]}") for name in parts]
    done = frozenset().union(*(part(system, name).needed for name in parts))
    rest = [name for name in order(system, rng, useless=0) if name not in done]
    steps = [worded(system, name, rng) for name in rest]
    solution = "\n\n".join([*steps, boxed_answer(system)])
    planned = f"{plan(system, rng)}\n\n"
    yield from family(asked.key, f"{asked.question}<spawn>{width}", told, solution, rng, before=planned)


def work(system: QuantitySystem, name: str, rng: random.Random) -> str:
    """What a thread is to work out, then its steps, one per line."""
    return "\n".join([f"{name}?", *(worded(system, each, rng) for each in order(part(system, name), rng, useless=0))])


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


def backwards(system: QuantitySystem, planned: str) -> list[str]:
    """The quantities of a plan, the last one first that can be worked out."""
    listed = [each.partition(":")[0] for each in planned.split(", ")]
    found: list[str] = []
    while len(found) < len(listed):
        can = ready(system, set(listed), system.given.keys() | set(found))
        found.append(max(can, key=listed.index))
    return found


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
    asked_for = turn(f"{asked.question}<search>depth")
    parts: list[tuple[str, bool | str]] = [(asked_for, False), (f"{plan(asked.system, rng)}\n", True)]
    for name in order(asked.system, rng, useless=0):
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
    steps = [worded(asked.system, name, rng) for name in order(asked.system, rng, useless=0)]
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
