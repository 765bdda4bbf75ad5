"""The problems of `quantities`: the system of definitions, its generator, its solver and the labels of steps."""

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from widthwise.core.errors import UsageError
from widthwise.evals.suites import quantities
from widthwise.evals.suites.holdout import held_out
from widthwise.evals.suites.quantity_steps import QuantityPlan, QuantityStep, StepLabel, step_labels
from widthwise.evals.suites.quantity_system import LARGEST, Operation, QuantitySystem
from widthwise.evals.suites.suites import load_suite

TEXT = "F = D + G; U = A - Y; Q = H * 2; D = 19; A = B * V; V = Z + 7; G = 28; B = G - 14; Z = 15; Y = 2; H = 43. U?"
SYSTEM = QuantitySystem.read(TEXT)
RIGHT = ["B = G - 14 = 28 - 14 = 14", "V: 15 + 7 = 22", "B * V is 14 * 22, so A = 308", "U = 308 - 2 = 306"]
REASONS = "not definitions|outside|depends on itself|not defined|is not an operation"
SOUND, WRONG, USELESS = StepLabel(True, True, True), StepLabel(False, False, False), StepLabel(True, False, True)

systems = st.builds(
    lambda seed, level: quantities.random_system(random.Random(seed), level), st.integers(0, 2**32), st.integers(1, 16)
)


def by_formula(system: QuantitySystem) -> dict[str, int]:
    """The values by Python's arithmetic: definitions are retried until all values are known."""
    values: dict[str, Any] = {}
    while len(values) < len(system.definitions):
        for name, definition in system.definitions.items():
            try:
                values[name] = eval(str(definition), {}, dict(values))
            except NameError:
                continue
    return values


# --- Systems ------------------------------------------------------------------------------------------------------


def test_a_system_is_read_worked_out_and_written() -> None:
    assert str(SYSTEM) == TEXT
    assert SYSTEM.answer == 306
    assert SYSTEM.needed == {"U", "A", "B", "V"}
    assert SYSTEM.depths["U"] == 3
    assert SYSTEM.depths["D"] == 0
    assert SYSTEM.values({"B": 13})["U"] == 13 * 22 - 2


@given(systems)
def test_every_system_can_be_written_read_and_worked_out(system: QuantitySystem) -> None:
    assert QuantitySystem.read(str(system)) == system
    values = system.values()
    assert values == by_formula(system)
    assert all(0 <= value <= LARGEST for value in values.values())


@given(st.integers(0, 2**32), st.integers(1, 16))
def test_wide_problems_take_as_few_steps_one_after_another_as_can_be(seed: int, level: int) -> None:
    """Both operands of a quantity need equally many operations, one more or less."""
    system = quantities.random_system(random.Random(seed), level, wide=True)
    assert len(system.needed) == level
    assert system.depths[system.target] == level.bit_length()


def test_wide_is_an_argument_of_the_suite() -> None:
    wide = list(load_suite("quantities(levels=(15, 15), n=20, seed=3, wide=True)").problems)
    usual = list(load_suite("quantities(levels=(15, 15), n=20, seed=3)").problems)
    assert sum(p.metadata["depth"] for p in wide) < 0.8 * sum(p.metadata["depth"] for p in usual)
    assert [p.text for p in load_suite("quantities(n=20, seed=3, wide=False)").problems] == [
        p.text for p in load_suite("quantities(n=20, seed=3)").problems
    ]


@given(systems, st.randoms())
def test_the_key_is_of_the_work_and_not_of_its_spelling(system: QuantitySystem, rng: random.Random) -> None:
    """Other names, another order, swapped operands of sums and other distractors make the same problem."""
    names = dict(zip(system.definitions, rng.sample(quantities._names(rng, 60), len(system.definitions)), strict=True))
    kept = [name for name in system.order if name in system.needed or name in system.given]
    rng.shuffle(kept)
    other = QuantitySystem(
        {names[name]: turned(quantities._renamed(system.definitions[name], names)) for name in kept},
        names[system.target],
    )
    assert other.key == system.key
    assert QuantitySystem({**system.definitions, "ZZZ": Operation("+", system.target, 1)}, "ZZZ").key != system.key


def turned(definition: Any) -> Any:
    commutes = isinstance(definition, Operation) and definition.op != "-"
    return Operation(definition.op, definition.right, definition.left) if commutes else definition


@pytest.mark.parametrize(
    "text",
    [
        "", "A = 1. B?", "A = A + 1. A?", "A = B + 1; B = A - 1. A?", "A = 1; A = 2. A?", "A = 999; B = A + 1. B?",
        "A = 2; B = 1 - A. B?", "A = 2; B = A / 1. B?", "A = 2; B = A + 1", "A = 2; b = A + 1. A?", "A = 1. A? A?",
        "; ".join(f"{a}{b} = 1" for a in "ABCDEF" for b in "ABCDEFGHIJKL") + ". AA?", "A = __import__('os'). A?",
        "A = 999; " + "; ".join(f"{chr(66 + i)} = {chr(65 + i)} * {chr(65 + i)}" for i in range(25)) + ". Z?",
    ],
)  # fmt: skip
def test_what_is_no_system_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=REASONS):
        QuantitySystem.read(text)


# --- Problems -----------------------------------------------------------------------------------------------------


def test_problems_are_held_out_repeatable_and_right() -> None:
    problems = quantities.generate(90, seed=3)
    assert problems == quantities.generate(90, seed=3)
    assert problems != quantities.generate(90, seed=4)
    assert len({problem.id for problem in problems}) == len({problem.text for problem in problems}) == 90
    for problem in problems:
        system = QuantitySystem.read(problem.text)
        assert by_formula(system)[system.target] == int(str(problem.answer))
        assert held_out(system.key)


def test_the_level_is_the_number_of_operations_that_are_needed() -> None:
    problems = quantities.generate(60, seed=1, levels=(2, 16))
    assert [problem.metadata["level"] for problem in problems] == [2 + number % 15 for number in range(60)]
    assert {problem.metadata["level"] for problem in quantities.generate(5, seed=1, levels=(7, 7))} == {7}


def test_problems_have_what_the_suite_is_for() -> None:
    """Distractors, two-letter names, chains, wide graphs, hard products: none is rare, and none is everywhere."""
    drawn = [quantities.random_system(random.Random(seed), 8) for seed in range(300)]
    distracted = sum(len(each.definitions) > len(each.needed) + len(each.given) for each in drawn)
    assert 150 < distracted < 300
    assert 20 < sum(any(len(name) == 2 for name in each.definitions) for each in drawn) < 200
    depths = [each.depths[each.target] for each in drawn]
    assert min(depths) <= 4
    assert max(depths) == 8
    signs = Counter(each.definitions[name].op for each in drawn for name in each.needed)  # type: ignore[union-attr]
    assert min(signs.values()) > 0.15 * sum(signs.values())
    taken = [
        each.definitions[name].at(each.values()) for each in drawn for name in each.needed if is_product(each, name)
    ]
    assert 0.1 < sum(min(pair) > 10 for pair in taken) / len(taken) < 0.6, "some products are hard, and not most"


def is_product(system: QuantitySystem, name: str) -> bool:
    definition = system.definitions[name]
    return isinstance(definition, Operation) and definition.op == "*"


def test_the_largest_problems_have_more_names_than_letters() -> None:
    sizes = [len(quantities.random_system(random.Random(seed), 16).definitions) for seed in range(100)]
    assert max(sizes) > 26
    assert max(sizes) <= 64


def test_more_problems_than_exist_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantities, "DRAWS", 2)
    with pytest.raises(ValueError, match="not 500 different"):
        quantities.generate(500, seed=1, levels=(1, 1))


async def test_the_suite_is_shipped_generated_and_graded() -> None:
    shipped = load_suite("quantities")
    assert (len(shipped.problems), shipped.instruction, shipped.source) == (200, "", "bundled")
    assert [p.text for p in shipped.problems] == [p.text for p in quantities.generate(200, seed=2026)]
    assert all([await shipped.grader.correct(p, f"\\boxed{{{p.answer}}}") for p in shipped.problems])
    assert not await shipped.grader.correct(
        shipped.problems[0], f"\\boxed{{{int(str(shipped.problems[0].answer)) + 1}}}"
    )
    assert load_suite("quantities(levels=(3, 4), n=4)").source == "generated by quantities(n=4, seed=0, levels=(3, 4))"
    assert {p.metadata["level"] for p in load_suite("quantities(levels=5, n=3)").problems} == {5}


@pytest.mark.parametrize("levels", ["(16, 2)", "(2, 3, 4)", "17", "True", "(0, 3)", "'all'", "[]"])
def test_levels_are_a_span(levels: str) -> None:
    with pytest.raises(UsageError, match=r"levels must be the first and the last .*\(1, 16\) at the widest"):
        load_suite(f"quantities(levels={levels})")


# --- Steps --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("B = G - 14 = 28 - 14 = 14", QuantityStep("B", 14, "-", 28, 14, "G - 14")),
        ("V: 15 + 7 = 22", QuantityStep("V", 22, "+", 15, 7, None)),
        ("B * V is 14 * 22, so A = 308\n", QuantityStep("A", 308, "*", 14, 22, "B * V")),
        ("C is Z + 7, 15 + 7 = 22", QuantityStep("C", 22, "+", 15, 7, "Z + 7")),
        ("C: Z + 7 is 15 + 7 = 22", QuantityStep("C", 22, "+", 15, 7, "Z + 7")),
        ("AB = 15 + 7 = 22", QuantityStep("AB", 22, "+", 15, 7, None)),
        ("B = 14", None),
        ("B = 28 - 14", None),
        ("b = 28 - 14 = 14", None),
        ("B = 28 / 14 = 2", None),
        ("", None),
        ("9" * 100_000, None),
    ],
)
def test_steps_are_read_in_every_wording(text: str, step: QuantityStep | None) -> None:
    assert QuantityStep.read(text) == step


def test_a_plan_is_read_and_nothing_else_is() -> None:
    plan = QuantityPlan.read("U: A - 2, A: V * B, B: 28 - 14, V: 7 + 15")
    assert plan == QuantityPlan.of(SYSTEM)
    assert QuantityPlan.read("U: A - 2\nA: B * V\nB: 28 - 14\nV: 15 + 7", between="\n") == plan
    for text in ("U: A", "U: A - 2 - 3", "U A - 2", "", "u: a - 2", "U: A - 2; A: B * V", "U: A - A1", "U: ABC - 2"):
        assert QuantityPlan.read(text) is None
    for text in ("V: 15 + 7 = 22", "U: A - 2, U: A - 2", "U: A / 2", "U: A - 2, " * 100_000):
        assert QuantityPlan.read(text) is None


@pytest.mark.parametrize(
    "plan", ["U: 2 - A, A: B * V, B: 28 - 14, V: 15 + 7", "U: A - 3, A: B * V, B: 28 - 14, V: 15 + 7"]
)
def test_a_plan_with_another_definition_is_another_plan(plan: str) -> None:
    assert QuantityPlan.read(plan) != QuantityPlan.of(SYSTEM)


def test_a_right_solution_is_right_useful_and_open_throughout() -> None:
    assert step_labels(SYSTEM, [*RIGHT, "\\boxed{306}"]) == [SOUND] * 5


@pytest.mark.parametrize(
    ("steps", "labels"),
    [
        pytest.param(["F: 19 + 28 = 47", RIGHT[0]], [USELESS, SOUND], id="sound but not needed"),
        pytest.param([RIGHT[0], RIGHT[0]], [SOUND, USELESS], id="said twice"),
        pytest.param(["B: 28 - 14 = 15"], [WRONG], id="a wrong result"),
        pytest.param(["F: 19 + 28 = 48"], [StepLabel(False, False, True)], id="a wrong result that nobody needs"),
        pytest.param(["B: 28 + 14 = 42"], [WRONG], id="another operation"),
        pytest.param(["B = G - 15 = 28 - 14 = 14"], [USELESS], id="a definition that is not the quantity's"),
        pytest.param(["V = 7 + Z = 7 + 15 = 22"], [SOUND], id="a sum with its operands in the other order"),
        pytest.param(["V = 7 + Z = 15 + 7 = 22"], [USELESS], id="an order that changes between its two halves"),
        pytest.param(["B: 14 - 28 = 14"], [USELESS], id="a difference in the other order"),
        pytest.param(["U: A - 2, A: V * B, B: 28 - 14, V: 15 + 7", RIGHT[0]], [SOUND, SOUND], id="a plan"),
        pytest.param(
            ["U: A - 2, A: B * V, B: 28 - 14", RIGHT[0]], [StepLabel(False, False, True), SOUND], id="a plan too short"
        ),
        pytest.param(
            ["F: 19 + 28, U: A - 2, A: B * V, B: 28 - 14, V: 15 + 7"],
            [StepLabel(False, False, True)],
            id="a plan of too much",
        ),
        pytest.param([RIGHT[0], "U: A - 2, A: B * V, B: 28 - 14, V: 15 + 7"], [SOUND, USELESS], id="a plan too late"),
        pytest.param(["A = 14 * 22 = 308"], [USELESS], id="before what it depends on"),
        pytest.param(
            ["B: 28 - 14 = 15", RIGHT[1], "A: 15 * 22 = 330"],
            [WRONG, StepLabel(True, True, False), StepLabel(False, True, False)],
            id="sound after a wrong value",
        ),
        pytest.param(["B: 28 - 14 = 15", RIGHT[0]], [WRONG, USELESS], id="a wrong value that is taken back"),
        pytest.param(["Compute G", RIGHT[0]], [StepLabel(False, False, True), SOUND], id="no step"),
        pytest.param(["X: 1 + 1 = 2"], [StepLabel(False, False, True)], id="a quantity that there is not"),
        pytest.param(["Z = 7 + 8 = 15"], [USELESS], id="a quantity that is given"),
        pytest.param(["\\boxed{306}"], [USELESS], id="an answer out of the air"),
        pytest.param([*RIGHT, "\\boxed{307}"], [SOUND] * 4 + [WRONG], id="another answer than worked out"),
        pytest.param(["\\boxed{x}"], [StepLabel(False, False, True)], id="no answer"),
        pytest.param(["Z = 1 + 1 = 999999"], [WRONG], id="an enormous value"),
    ],
)
def test_labels(steps: list[str], labels: list[StepLabel]) -> None:
    assert step_labels(SYSTEM, steps) == labels


def test_a_wrong_value_that_changes_nothing_leaves_the_answer_open() -> None:
    system = QuantitySystem.read("A = 5; B = A - 5; C = A + 2; D = B * C. D?")
    assert step_labels(system, ["C: 5 + 2 = 8", "B: 5 - 5 = 1"]) == [StepLabel(False, False, True), WRONG]


@given(systems, st.randoms(), st.integers(1, 999))
def test_one_wrong_value_is_found_where_it_stands(system: QuantitySystem, rng: random.Random, off: int) -> None:
    """A solution in the system's order, one value replaced: later steps are sound but lead to another answer."""
    names = [name for name in system.order if name in system.needed]
    spoiled = rng.choice(names)
    known, steps = dict(system.given), []
    for name in names:
        definition = system.definitions[name]
        assert isinstance(definition, Operation)
        left, right = definition.at(known)
        known[name] = max(0, eval(f"{left} {definition.op} {right}")) + off * (name == spoiled)
        steps.append(f"{name}: {left} {definition.op} {right} = {known[name]}")
    labels = step_labels(system, steps)
    before = names.index(spoiled)
    assert labels[:before] == [SOUND] * before
    assert not labels[before].right
    assert not labels[before].useful
    assert labels[-1].open == (known[system.target] == system.answer)
