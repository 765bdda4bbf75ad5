"""The training data for `quantities`: correct texts in every skill, and no problem that a test may use."""

import importlib
import json
import random
import re
import sys
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import sentencepiece

from widthwise.evals.suites.holdout import held_out
from widthwise.evals.suites.quantity_steps import QuantityPlan, QuantityStep, step_labels
from widthwise.evals.suites.quantity_system import Operation, QuantitySystem

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "scripts"))
data = importlib.import_module("quantity_data")
skills = importlib.import_module("quantity_skills")
solutions = importlib.import_module("quantity_solutions")
attempts = importlib.import_module("quantity_attempts")
refining = importlib.import_module("quantity_refining")
drawn = importlib.import_module("attempts")
labels = importlib.import_module("labels")
scored = importlib.import_module("scorer_data")
documents = importlib.import_module("documents")

TEXT = "F = D + G; U = A - Y; Q = H * 2; D = 19; A = B * V; V = Z + 7; G = 28; B = G - 14; Z = 15; Y = 2; H = 43. U?"
RIGHT = (
    "B = G - 14 = 28 - 14 = 14\n\nV: 15 + 7 = 22\n\nB * V is 14 * 22, so A = 308\n\nU = 308 - 2 = 306\n\n\\boxed{306}"
)
WRONG = RIGHT.replace("308", "318").replace("306", "316")
ASIDE = "F: 19 + 28 = 47\n\n" + RIGHT
TASK = labels.Task("quantities x", TEXT, 306)
ATTEMPTED = drawn.Attempted(TASK, RIGHT, (RIGHT, WRONG, ASIDE, WRONG))
LEVELS = range(2, 13)
KINDS = {"solve": data.solve, "look up": data.look_up, **{name: maker for name, (maker, _) in data.SKILLS.items()}}


def made(name: str, count: int) -> list[Any]:
    return list(islice(KINDS[name](random.Random(5), LEVELS), count))


def asked(document: Any) -> QuantitySystem:
    return QuantitySystem.read(
        re.sub(r"^<user>|<.*", "", document.text.partition("<assistant>")[0].removeprefix("<user>"))
    )


def answered(document: Any) -> str:
    return str(document.text.partition("<assistant>")[2].removesuffix("</s>"))


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return sentencepiece.SentencePieceProcessor(model_file=str(ROOT / "models/reasoner/tokenizer.model"))


@pytest.fixture(scope="module")
def attempts_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("attempts") / "attempts.jsonl"
    task = {"key": TASK.key, "question": TEXT, "target": 306, "numbers": []}
    path.write_text(json.dumps({"task": task, "solution": RIGHT, "texts": ATTEMPTED.texts}) + "\n")
    return path


@pytest.mark.parametrize("name", KINDS)
def test_no_document_is_held_out(name: str) -> None:
    assert not any(held_out(document.key) for document in made(name, 200))


@pytest.mark.parametrize("name", KINDS)
def test_documents_fit_and_are_encoded_without_bytes(name: str, tokenizer: Any) -> None:
    for document in made(name, 100):
        ids = tokenizer.encode(document.text.removesuffix("</s>"))
        assert tokenizer.decode(ids) == document.text.removesuffix("</s>")
        assert not any(tokenizer.is_byte(each) for each in ids)
    short = [len(tokenizer.encode(document.text)) for document in made("solve", 100)]
    assert sorted(short)[90] < documents.LONGEST


# --- Solving ------------------------------------------------------------------------------------------------------


def test_every_solution_is_right_and_few_have_a_step_for_nothing() -> None:
    aside = 0
    for document in made("solve", 300):
        found = step_labels(asked(document), answered(document).split("\n\n"))
        assert all(label.right and label.open for label in found)
        assert [label.useful for label in found].count(False) <= 1
        assert len(found) >= len(asked(document).needed) + 2, "a plan, the steps and the answer"
        aside += not all(label.useful for label in found)
    assert 3 < aside < 45


def test_orders_and_wordings_differ() -> None:
    system = QuantitySystem.read(TEXT)
    planned = solutions.plan(system, random.Random(0))
    orders = {tuple(solutions.order(system, planned, random.Random(seed), useless=0)) for seed in range(50)}
    assert orders == {("B", "V", "A", "U"), ("V", "B", "A", "U")}
    texts = {solutions.quantities_solution(system, random.Random(seed)) for seed in range(50)}
    assert len(texts) > 45
    read = {
        tuple(QuantityStep.read(solutions.step(system, "B", each, Operation("-", "G", 14))) or ())[:2]
        for each in solutions.WORDINGS
    }
    assert read == {("B", 14)}


def test_sums_and_products_are_worked_out_in_either_order_and_differences_are_not() -> None:
    system = QuantitySystem.read("A = 30; B = A + 1; C = B - 2; D = C * B. D?")
    told = {name: {solutions.worded(system, name, random.Random(seed)) for seed in range(200)} for name in "BCD"}
    assert [len(told[name]) for name in "BCD"] == [10, 5, 10]
    for name, known in {"B": {}, "C": {"B": 31}, "D": {"B": 31, "C": 29}}.items():
        for text in told[name]:
            step = QuantityStep.read(text)
            assert step is not None
            assert step.follows(system, {**system.given, **known})


def test_a_plan_names_quantities_from_the_target_on_each_once() -> None:
    system = QuantitySystem.read("A = 3; B = A + 1; C = B + A; D = B * C; E = D + 2; X = A + 9. E?")
    plans = {solutions.plan(system, random.Random(seed)) for seed in range(200)}
    ends = [("B * C, B: {B}, C: {C}"), ("C * B, C: {C}, B: {B}")]
    either = [
        (e, d, b, c) for e in ("D + 2", "2 + D") for d in ends for b in ("3 + 1", "1 + 3") for c in ("B + 3", "3 + B")
    ]
    assert plans == {f"E: {e}, D: {d.format(B=b, C=c)}" for e, d, b, c in either}
    assert all(QuantityPlan.read(each) == QuantityPlan.of(system) for each in plans)


def test_half_of_the_solutions_go_through_their_plan_from_the_end() -> None:
    system = QuantitySystem.read("A = 3; B = A + 1; C = A + 2; D = A + 4; E = B * C; F = E + D. F?")
    planned = "F: E + D, E: C * B, D: 4 + 3, C: 3 + 2, B: 3 + 1"
    drawn = Counter(tuple(solutions.order(system, planned, random.Random(seed), useless=0)) for seed in range(400))
    assert 0.5 < drawn["B", "C", "D", "E", "F"] / 400 < 0.65
    assert len(drawn) > 5


def test_a_step_for_nothing_is_worked_out_when_it_can_be() -> None:
    system = QuantitySystem.read("A = 3; B = A + 1; C = B + 2; D = C * 2. C?")
    assert orders(system) == {("B", "C")}, "D can be worked out after the target only"
    system = QuantitySystem.read("A = 3; B = A + 1; C = B + 2; D = B * 2. C?")
    assert ("B", "D", "C") in orders(system)


def orders(system: QuantitySystem) -> set[tuple[str, ...]]:
    return {tuple(solutions.by_lot(system, random.Random(seed), useless=1)) for seed in range(30)}


def test_the_drill_repeats_the_definitions() -> None:
    for document in made("look up", 100):
        shown = document.text.removeprefix("<user>").partition(".<assistant>")[0].split("; ")
        lines = answered(document).split("\n\n")
        assert sorted(" = ".join(line.split(" = ")[:2]) for line in lines) == sorted(shown)
        system = QuantitySystem.read(f"{'; '.join(shown)}. {shown[0].partition(' ')[0]}?")
        for name, definition, *worked in (line.split(" = ") for line in lines):
            if worked:
                left, right = Operation.read(definition).at(system.given)
                assert worked == [f"{left} {definition.split()[1]} {right}"]
                assert str(system.definitions[name]) == definition


# --- Other skills -------------------------------------------------------------------------------------------------


def test_a_parent_plans_until_it_spawns_and_goes_on_from_what_its_threads_return() -> None:
    families = 0
    for document in made("threads", 300):
        if "<Outlines>" not in (learned := text_learned(document)):
            continue
        system, parts = asked(document), outlined(document)
        assert 2 <= len(parts) <= int(document.text.partition("<spawn>")[2].partition("<")[0])
        returned = dict(re.findall(r"<Conclusion>([A-Z]+) = (\d+)</Conclusion>", document.text))
        assert {name: system.values()[name] for name in parts} == {n: int(v) for n, v in returned.items()}
        planned = re.findall(r"([A-Z]+): ", learned.partition("\n\n<Parallel>")[0])
        rest = learned.partition("</Parallel>\n")[2].removesuffix("</s>").split("\n\n")
        assert sorted(planned) == sorted(step.name for step in map(QuantityStep.read, rest) if step)
        known = [worked(system, name) for part in parts for name in order_of(skills.part(system, part))]
        assert all(label.right and label.open for label in step_labels(system, [*dict.fromkeys(known), *rest]))
        families += 1
    assert families > 40


def test_a_thread_says_its_part_plans_it_if_that_is_deep_and_works_it_out() -> None:
    planned = [0, 0]
    for document in made("threads", 300):
        system, lines = asked(document), text_learned(document).strip("\n").split("\n")
        if lines[-1] != "</Thread>":
            continue
        name = lines[-2].removeprefix("<Conclusion>").partition(" ")[0]
        mine = skills.part(system, name)
        deep = mine.depths[name] > 1
        assert lines[0] == f"{name}?"
        assert QuantityPlan.read(lines[2]) == (QuantityPlan.of(mine) if deep else None)
        assert set(step_labels(mine, lines[4 if deep else 2 : -2 : 2])) == {(True, True, True)}
        planned[deep] += 1
    assert min(planned) > 30


def text_learned(document: Any) -> str:
    return "".join(text for text, learn in document.parts if learn)


def outlined(document: Any) -> list[str]:
    return re.findall(r"<Outline>\d+: ([A-Z]{1,2})</Outline>", document.text)


def order_of(system: QuantitySystem) -> list[str]:
    return [name for name in system.order if name in system.needed]


def worked(system: QuantitySystem, name: str) -> str:
    return solutions.step(system, name, solutions.WORDINGS[0], Operation(*system.definitions[name]))  # type: ignore[misc]


def test_a_parent_spawns_where_the_critical_path_gets_shortest() -> None:
    tree = "; ".join(
        f"{up} = {left} + {right}" for up, left, right in ("ABC", "BDE", "CFG", "DHI", "EJK", "FLM", "GNO")
    )
    leaves = "; ".join(f"{name} = {n} + Z" for n, name in enumerate("HIJKLMNO", 2))
    system = QuantitySystem.read(f"{tree}; {leaves}; Z = 3. A?")
    found, parts = skills.divided(system, 8, random.Random(0))
    assert (sorted(found), sorted(parts)) == (["A", "B", "C"], ["D", "E", "F", "G"])
    found, parts = skills.divided(system, 2, random.Random(0))
    assert (sorted(found), sorted(parts)) == (["A"], ["B", "C"])


def test_a_chain_is_worked_out_by_the_parent_alone() -> None:
    chain = QuantitySystem.read("A = 1; B = A + 1; C = B + 1; D = C + 1. D?")
    asked_chain = solutions.Asked(chain, chain.key, str(chain))
    (document,) = skills.thread_family(asked_chain, 8, random.Random(0))
    planned, *steps = answered(document).split("\n\n")
    assert QuantityPlan.read(planned) == QuantityPlan.of(chain)
    assert [step.name for step in map(QuantityStep.read, steps) if step] == ["B", "C", "D"]


def test_outlines_are_orders_and_solutions_follow_theirs() -> None:
    for document in made("outlines", 100):
        system = asked(document)
        under = re.search(r"<Outline>([^<]+)<assistant>", document.text)
        if under:
            steps = list(map(QuantityStep.read, answered(document).split("\n\n")))
            assert [step.name for step in steps if step] == skills.backwards(system, under[1])
            assert all(step_labels(system, answered(document).split("\n\n")))
        else:
            planned = re.findall(r"<Outline>\d: ([^<]+)</Outline>", answered(document))
            assert len(set(planned)) == len(planned) >= 1
            assert all(QuantityPlan.read(each) == QuantityPlan.of(system) for each in planned)


def test_an_outline_is_followed_from_its_end() -> None:
    system = QuantitySystem.read("A = 3; B = A + 1; C = B + A; D = B * C; E = A * 2; F = E + D. F?")
    assert skills.backwards(system, "F: E + D, E: 3 * 2, D: B * C, B: 3 + 1, C: B + 3") == ["B", "C", "D", "E", "F"]
    assert skills.backwards(system, "F: D + E, D: C * B, E: 3 * 2, C: B + 3, B: 3 + 1") == ["B", "C", "E", "D", "F"]


def test_plans_are_the_dependency_graph() -> None:
    for document in made("plans", 100):
        planned = QuantityPlan.read(answered(document).removesuffix("</Goal>"), between="\n")
        assert planned == QuantityPlan.of(asked(document))


def test_serial_searches_check_every_step_and_go_back_where_the_check_fails() -> None:
    failed = 0
    for document in made("serial searches", 100):
        search, _, solution = answered(document).partition("\n\n")
        planned, *lines = search.split("\n")
        assert QuantityPlan.read(planned) == QuantityPlan.of(asked(document))
        for stated, check in zip(lines[::2], lines[1::2], strict=True):
            step = QuantityStep.read(stated)
            assert step is not None
            assert eval(check.rpartition(" = ")[0]) == int(check.split(" ")[-2])
            right = step.value == asked(document).values()[step.name]
            assert check.endswith("yes" if right else "no")
            failed += not right
        assert all(label.right for label in step_labels(asked(document), solution.split("\n\n")))
        wrong = [text for text, learn in document.parts if learn is False][1:]
        assert all(text.isdecimal() for text in wrong), "a wrong result is read, and not learned"
    assert failed > 30


# --- From attempts ------------------------------------------------------------------------------------------------


def test_what_drafts_say_is_counted() -> None:
    said = attempts.values_said(ATTEMPTED.texts)
    assert said["A"] == [308, 318, 308, 318]
    assert said["F"] == [47]
    assert attempts.counted([5, 7, 7]) == "7 2, 5 1"
    assert attempts.table({"A": [308, 318, 308], "B": [14]}) == "A 308 2, 318 1\nB 14 1"
    assert attempts.table({}) == "none"


def test_refined_solutions_are_right_and_have_no_step_for_nothing(attempts_file: Path) -> None:
    drawn_documents = list(islice(attempts.learned(attempts_file, random.Random(1)), 120))
    mended = [each for each in drawn_documents if each.skill == "refine"]
    assert {each.skill for each in drawn_documents} == {
        "refine",
        "refine_summary",
        "summarise",
        "verify",
        "same_answer",
        "score",
    }
    assert len(mended) > 20
    for document in mended:
        assert set(step_labels(TASK.system, answered(document).split("\n\n"))) == {(True, True, True)}


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        pytest.param("A = V * B = 22 * 14 = 308", "A = V * B = 22 * 14 = 308", id="right"),
        pytest.param("A = V * B = 22 * 14 = 318", "A = V * B = 22 * 14 = 308", id="a wrong result"),
        pytest.param("A: 23 * 14 = 322", "A: 22 * 14 = 308", id="a wrong operand"),
        pytest.param("A: 22 * 14 = 318", "A: 22 * 14 = 308", id="a wrong result, the other order"),
        pytest.param("A is V * G, 22 * 28 = 616", None, id="another definition"),
        pytest.param("A: 22 + 14 = 36", None, id="another operation"),
        pytest.param("V * B is 22 * 14, so A = 308", None, id="a wording that is not taught"),
        pytest.param("F: 19 + 28 = 47", None, id="not needed"),
        pytest.param("22 * 14 = 308", None, id="cut off"),
    ],
)
def test_a_line_is_kept_with_right_numbers(line: str, kept: str | None) -> None:
    assert refining.kept(QuantitySystem.read(TEXT), line) == ({"A": kept} if kept else {})


def test_the_best_draft_is_mended_in_its_order() -> None:
    system = QuantitySystem.read(TEXT)
    best = "V: 15 + 7 = 22\n\nA: 14 * 22 = 318\n\nU = 318 - 2 = 316\n\n\\boxed{316}"
    mended = refining.mended(system, ["U: A - 2\n\nB: 28 + 14 = 42", best], random.Random(1)).split("\n\n")
    assert QuantityPlan.read(mended[0]) == QuantityPlan.of(system)
    assert [step.name for step in map(QuantityStep.read, mended) if step] == ["V", "B", "A", "U"]
    assert mended[1] == "V: 15 + 7 = 22"
    assert mended[3:] == ["A: 14 * 22 = 308", "U = 308 - 2 = 306", "\\boxed{306}"]


def test_a_draft_of_nothing_is_worked_out_anew() -> None:
    system = QuantitySystem.read(TEXT)
    steps = refining.mended(system, ["what?", ""], random.Random(1)).split("\n\n")
    assert set(step_labels(system, steps)) == {(True, True, True)}


def test_a_solution_is_verified_step_by_step() -> None:
    assert drawn.checked(TASK, WRONG).split("\n")[-1] == "A = 14 * 22 = 308"
    assert drawn.checked(TASK, ASIDE).split("\n")[0] == "F = 19 + 28 = 47"
    assert drawn.checked(TASK, RIGHT).count("\n") == 3
    assert [drawn.is_right(TASK, text) for text in (RIGHT, WRONG, ASIDE, "")] == [True, False, True, False]


def test_labels_of_the_scorer_are_useful_and_open(tokenizer: Any) -> None:
    assert labels.step_labels(TASK, RIGHT.split("\n\n")) == [True] * 5
    assert labels.step_labels(TASK, WRONG.split("\n\n")) == [True, True, False, False, False]
    assert labels.step_labels(TASK, ASIDE.split("\n\n")) == [False, *[True] * 5]
    (ids, targets), *_ = scored.rows(drawn.Attempted(TASK, "", (WRONG,)), tokenizer, throughout=True)
    tag = tokenizer.piece_to_id("<step>")
    assert tokenizer.decode(ids).startswith(f"<user>{TASK.question}<step><assistant>")
    begin = ids.index(tokenizer.piece_to_id("<assistant>"))
    ids, targets = ids[begin:], targets[begin:]
    at_tags = [tokenizer.id_to_piece(aim) for token, aim in zip(ids, targets, strict=True) if token == tag]
    assert at_tags == ["+", "+", "-", "-", "-"]
    said = tokenizer.decode([aim for aim in targets[: ids.index(tag, ids.index(tag) + 1)] if aim != documents.IGNORED])
    assert said == "14++22+", "the true digits of each value, then the label, and the label at the tag"


def test_a_score_is_learned_from_an_attempt_or_the_right_solution() -> None:
    attempted = drawn.Attempted(TASK, RIGHT, (WRONG, ASIDE))
    made = {next(attempts.score(attempted, random.Random(seed))).text for seed in range(30)}
    assert made == {scored.scored(TASK, text, throughout=True).text for text in (RIGHT, WRONG, ASIDE)}


def test_between_the_tags_true_digits_are_learned_up_to_the_first_wrong_one(tokenizer: Any) -> None:
    text = "B * V is 14 * 22, so A = 318"
    parts = scored.between(text, "-")
    assert "".join(part for part, _ in parts) == text
    _, targets = documents.row(documents.Document("x", "score", tuple(parts)), tokenizer)
    assert tokenizer.decode([aim for aim in targets if aim != documents.IGNORED]) == "30--"


def test_test_problems_are_held_out_and_training_problems_are_not() -> None:
    tests = attempts.tests(20, 777, (2, 16))
    assert all(held_out(QuantitySystem.read(task.question).key) for task, _ in tests)
    training = list(islice(attempts.problems(1, LEVELS), 50))
    assert not any(held_out(task.key) for task, _ in training)
    assert all(drawn.is_right(task, solution) for task, solution in training)
