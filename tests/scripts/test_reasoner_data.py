"""The training data: correct texts in every skill, and no problem that a test may use."""

import importlib
import json
import random
import re
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import sentencepiece

from widthwise.evals.suites import arithmetic, countdown
from widthwise.evals.suites.holdout import held_out

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "scripts"))
data = importlib.import_module("reasoner_data")
documents = importlib.import_module("documents")
searches = importlib.import_module("searches")
solutions = importlib.import_module("solutions")
threads = importlib.import_module("threads")
grammar = importlib.import_module("eval_threads")
outlines = importlib.import_module("outlines")

GAME = solutions.Game((12, 7, 3, 20), 35, "countdown 3 7 12 20 -> 35", countdown.question((12, 7, 3, 20), 35))
KINDS = {name: make for name, (make, _) in data.SHARES.items()}


def texts(name: str, count: int) -> list[Any]:
    return list(islice(KINDS[name](random.Random(5)), count))


def numbers_and_target(text: str) -> tuple[list[int], int]:
    asked = re.match(r"<user>Use the numbers ([\d, ]+) to reach (\d+)\.", text)
    assert asked is not None
    return list(map(int, asked[1].split(", "))), int(asked[2])


def box(text: str) -> str:
    return text.rpartition("\\boxed{")[2].removesuffix("</s>").removesuffix("}")


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return sentencepiece.SentencePieceProcessor(model_file=str(ROOT / "models/reasoner/tokenizer.model"))


@pytest.mark.parametrize("name", KINDS)
def test_no_document_is_held_out(name: str) -> None:
    shipped = {json.loads(line)["problem"] for path in ROOT.glob("evals/suites/data/*.jsonl") for line in path.open()}
    for document in texts(name, 600):
        assert not held_out(document.key)
        asked = document.text.partition("<assistant>")[0]
        assert not any(asked.startswith(f"<user>{problem}") for problem in shipped)


def test_a_held_out_problem_would_be_noticed() -> None:
    some = arithmetic.generate(5, seed=1)
    assert all(held_out(arithmetic.key(problem.text.removeprefix("Compute ")[:-1])) for problem in some)


@pytest.mark.parametrize("name", ["solve countdown", "search", "outline"])
def test_countdown_solutions_reach_the_target(name: str) -> None:
    checked = 0
    for document in texts(name, 200):
        if "to reach" in document.text and "\\boxed" in document.text:
            numbers, target = numbers_and_target(document.text)
            assert countdown.check(box(document.text), numbers, target), document.text
            checked += 1
    assert checked > 40


@pytest.mark.parametrize("name", ["solve arithmetic", "spawn arithmetic", "outline"])
def test_arithmetic_solutions_are_right(name: str) -> None:
    checked = 0
    for document in texts(name, 200):
        asked = re.match(r"<user>Compute (.+?)\.<", document.text)
        if asked and "\\boxed" in document.text:
            assert countdown.value(asked[1]) == int(box(document.text)), document.text
            checked += 1
    assert checked > 40


def test_every_step_of_an_arithmetic_solution_is_right_and_hard_ones_are_among_them() -> None:
    hard, levels = 0, set()
    for document in texts("solve arithmetic", 300):
        expression = document.text.removeprefix("<user>Compute ").partition(".<")[0]
        value = countdown.value(expression)
        levels.add(sum(expression.count(f" {sign} ") for sign in "+-*/"))
        *steps, answer = document.text.removesuffix("</s>").partition("<assistant>")[2].split("\n\n")
        for step in steps:
            operation, _, rest = step.partition(", left ")
            asked, _, result = operation.partition(" = ")
            assert asked in expression.replace("(", "").replace(")", "")
            assert countdown.value(asked) == int(result)
            assert countdown.value(rest or result) == value
            left, sign, right = asked.split()
            hard += sign in "*/" and min(int(left), int(right)) > 9
            expression = rest
        assert answer == f"\\boxed{{{value}}}"
    assert levels == set(data.LEVELS) == set(range(1, 13))
    assert hard > 300


def test_left_numbers_follow_from_the_step() -> None:
    moves = countdown.solve((12, 7, 3, 20), 35, random.Random(1))
    text = solutions.countdown_solution((12, 7, 3, 20), moves)
    assert [len(line.split(", left ")[1].split()) for line in text.split("\n\n")[:2]] == [3, 2]


def test_solutions_prefer_promising_moves_and_still_differ() -> None:
    rng = random.Random(1)
    drawn = [solutions.solving_moves(GAME.numbers, GAME.target, rng) for _ in range(300)]
    assert all(moves[-1].rest == (35,) for moves in drawn)
    firsts = [str(moves[0]) for moves in drawn]
    apart = {str(moves[0]): solutions.distance(moves[0].rest, 35) for moves in drawn}
    assert len(apart) > 2
    assert firsts.count(min(apart, key=apart.__getitem__)) > firsts.count(max(apart, key=apart.__getitem__))


# --- Searches -----------------------------------------------------------------------------------------------------


def test_a_depth_first_search_tries_every_branch_once_and_ends_at_the_target() -> None:
    paths = list(searches.depth_first((12, 7, 3, 20), 35, 99))
    assert len({tuple(map(str, path)) for path in paths}) == len(paths)
    assert paths[-1][-1].rest == (35,)
    assert not any(path[-1].rest == (35,) for path in paths[:-1])


def test_a_search_without_success_tries_everything() -> None:
    paths = list(searches.depth_first((2, 2), 77, 99))
    assert [searches.line(path[-1]) for path in paths] == ["2 + 2 = 4", "2 * 2 = 4", "2 / 2 = 1"]


def test_a_written_search_shows_every_result_behind_the_two_numbers_that_make_it() -> None:
    lines = searches.written(searches.depth_first((5, 3, 20), 35, 99)).split("\n")
    assert lines[0] == "5 + 3 = 8, left 8 20: 28 12 160"
    assert lines[-1] == "5 * 3 = 15, left 15 20: 35"
    for line in lines:
        left, _, results = line.partition(", left ")[2].partition(": ")
        numbers = tuple(map(int, left.split()))
        assert set(map(int, results.split())) <= countdown.reachable(tuple(sorted(numbers)))


def test_an_expanded_state_stands_before_what_was_tried_in_it() -> None:
    tried = searches.branches((8, 20), 28, 99)
    assert searches.expansion((8, 20), tried) == "at 8 20: 28 12 160"
    three = searches.expansion((5, 3, 20), searches.branches((5, 3, 20), 35, 99)).split("\n")
    assert three[:2] == ["at 5 3 20", "5 + 3 = 8, left 8 20"]


def test_the_branches_kept_are_those_nearest_to_divisors_of_the_target() -> None:
    assert solutions.distance((5, 7), 35) == 0
    assert solutions.distance((6, 9), 35) == 1 + 2
    kept = searches.branches((12, 7, 3, 20), 35, 3)
    worst = max(solutions.distance(move.rest, 35) for move in kept)
    others = [move for move in searches.branches((12, 7, 3, 20), 35, 99) if move not in kept]
    assert len(kept) == 3
    assert all(solutions.distance(move.rest, 35) >= worst for move in others)


def test_a_breadth_first_search_keeps_to_its_beam() -> None:
    for beam in (1, 3):
        sizes: dict[int, int] = {}
        for state, _ in searches.breadth_first((12, 7, 3, 20), 35, beam):
            sizes[len(state)] = sizes.get(len(state), 0) + 1
        assert sizes[4] == 1
        assert all(count <= beam for count in sizes.values())


# --- Threads ------------------------------------------------------------------------------------------------------


def test_a_parent_joins_the_conclusions_of_its_threads_and_its_threads_do_not_see_each_other() -> None:
    parent, *children = threads.countdown_threads(GAME, 4, random.Random(1))
    read = [text for text, learned in parent.parts if not learned]
    assert read[0].endswith("<spawn>4<assistant>")
    assert read[1].count("<Thread>") == read[1].count("</Thread>") == parent.text.count("<Outline>") == 4
    for child in children:
        assert child.text.count("<Thread>") == 1
        assert child.text.partition("</Outlines>")[0] == parent.text.partition("</Outlines>")[0]
        number = child.text.partition("<Thread>\n")[2].partition(":")[0]
        conclusion = child.text.partition("<Conclusion>")[2]
        assert f"<Thread>\n{number}:<Conclusion>{conclusion}" in parent.text + "\n"


def test_the_parent_of_twelve_threads_and_each_of_them_are_learned_whole(tokenizer: Any) -> None:
    assert max(threads.WIDTHS) == 12
    for game in islice(solutions.games(random.Random(7)), 60):
        parent, *children = threads.countdown_threads(game, 12, random.Random(1))
        assert all(len(tokenizer.encode(each.text)) < documents.LONGEST for each in (parent, *children))
        assert parent.text.endswith("</s>")
        assert parent.text.count("<Outline>") > 8


def test_a_parent_goes_on_from_the_first_thread_that_found_something() -> None:
    parent = next(threads.countdown_threads(GAME, 12, random.Random(1)))
    found = re.findall(r"<Thread>\n(\d+):<Conclusion>(?!none)", parent.text)
    outline = re.findall(r"<Outline>(\d+): (.+)</Outline>", parent.text)
    assert found
    assert parent.text.partition("</Parallel>\n")[2].startswith(dict(outline)[found[0]])


def test_every_learned_part_of_a_thread_trace_follows_the_grammar_that_is_measured() -> None:
    for document in texts("spawn countdown", 60):
        learned = [text for text, learn in document.parts if learn is True]
        kinds = ("block", "joined") if len(learned) == 2 else ("thread",)
        for kind, text in zip(kinds, learned, strict=True):
            assert re.fullmatch(grammar.KINDS[kind], text), text
            assert not re.fullmatch(grammar.KINDS[kind], text[:-3])
            assert not re.fullmatch(grammar.KINDS[kind], text.replace(" = ", " is "))


def test_independent_parts_of_an_expression_are_disjoint_and_the_rest_has_its_value() -> None:
    for problem in islice(solutions.expressions(random.Random(2), (6, 9)), 100):
        parts = threads.independent(problem.tree)
        rest = threads.replaced(problem.tree, parts)
        inside = sum(map(arithmetic.operations, parts))
        assert all(1 <= arithmetic.operations(part) <= threads.LARGEST for part in parts)
        assert arithmetic.operations(rest) == arithmetic.operations(problem.tree) - inside
        assert arithmetic.value(rest) == arithmetic.value(problem.tree)


# --- Outlines -----------------------------------------------------------------------------------------------------


def test_outlines_differ_and_their_number_is_asked_for() -> None:
    proposals, solved = outlines.countdown_outlines(GAME, random.Random(3))
    asked, _, answered = proposals.text.partition("<assistant>")
    lines = answered.removesuffix("</s>").split("\n")
    assert len(set(lines)) == len(lines) == int(asked.rpartition(">")[2])
    wanted = solved.text.partition("<Outline>")[2].partition("<assistant>")
    assert wanted[2].startswith(wanted[0])


def test_an_arithmetic_solution_begins_with_its_outline() -> None:
    for problem in islice(solutions.expressions(random.Random(4), (4,)), 50):
        _, solved = outlines.arithmetic_outlines(problem, random.Random(4))
        outline, _, answered = solved.text.partition("<Outline>")[2].partition("<assistant>")
        assert answered.startswith(f"{outline} = ")


# --- Arrays -------------------------------------------------------------------------------------------------------


def learned(ids: Any, targets: Any) -> list[int]:
    return [int(target) for target in targets if target != documents.IGNORED]


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_a_corpus_learns_what_is_to_be_learned_and_survives_the_disk(
    make: Callable[..., Iterator[Any]], tokenizer: Any, tmp_path: Path
) -> None:
    some = [each for each in islice(make(random.Random(1)), 30) if len(tokenizer.encode(each.text)) < documents.LONGEST]
    documents.encode(some, tokenizer).save(tmp_path / "corpus.npz")
    corpus = documents.Corpus.load(tmp_path / "corpus.npz")
    assert len(corpus) == len(some)
    for i, document in enumerate(some):
        part = slice(corpus.starts[i], corpus.starts[i + 1])
        ids, targets = corpus.tokens[part].tolist(), corpus.targets[part].tolist()
        assert tokenizer.decode(ids) + "</s>" * (ids[-1] == 2) == document.text
        assert all(
            target in (documents.IGNORED, following) for target, following in zip(targets, ids[1:], strict=False)
        )
        spelled = "".join(text for text, learn in document.parts if learn is True)
        assert tokenizer.decode(learned(ids, targets)) == spelled.removesuffix("</s>")


def test_a_document_whose_learned_part_is_cut_off_is_left_out(tokenizer: Any) -> None:
    long = documents.document("k", "refine", "1 2 " * documents.LONGEST, "3")
    short = documents.document("k", "refine", "1 2", "3")
    corpus = documents.encode([long, short, long], tokenizer)
    assert len(corpus) == 1
    assert len(corpus.tokens) < 10
