"""Exact labels of steps, and the documents made from a model's attempts."""

import dataclasses
import importlib
import json
import random
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import sentencepiece

from widthwise.evals.suites.holdout import held_out

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "scripts"))
labels = importlib.import_module("labels")
attempts = importlib.import_module("attempts")
documents = importlib.import_module("documents")
scoring = importlib.import_module("scorer_data")

GAME = labels.Task("g", "Use the numbers 12, 7, 3, 20 to reach 35.", 35, (12, 7, 3, 20))
SUM = labels.Task("s", "Compute (17 + 5) * 3 - 48.", 18)
GOOD = "12 - 7 = 5, left 5 3 20\n\n5 * 3 = 15, left 15 20\n\n20 + 15 = 35\n\n\\boxed{20 + ((12 - 7) * 3)}"
DEAD = "12 * 7 = 84, left 84 3 20\n\n84 - 20 = 64, left 64 3\n\n64 - 3 = 61\n\n\\boxed{((12 * 7) - 20) - 3}"
LIE = "12 - 7 = 5, left 5 3 20\n\n5 * 3 = 15, left 15 20\n\n20 + 15 = 36\n\n\\boxed{20 + ((12 - 7) * 3)}"
LOST = "12 - 7 = 5, left 5 3\n\n5 * 3 = 15\n\n\\boxed{(12 - 7) * 3}"
SOLVED = "17 + 5 = 22, left 22 * 3 - 48\n\n22 * 3 = 66, left 66 - 48\n\n66 - 48 = 18\n\n\\boxed{18}"
SLIP = "17 + 5 = 22, left 22 * 3 - 48\n\n22 * 3 = 68, left 68 - 48\n\n68 - 48 = 20\n\n\\boxed{20}"


@pytest.mark.parametrize(
    ("task", "text", "expected"),
    [
        (GAME, GOOD, [True, True, True, True]),
        (GAME, DEAD, [False, False, False, False]),
        (GAME, LIE, [True, True, False, False]),
        (GAME, LOST, [False, False, False]),
        (GAME, "12 - 8 = 4, left 4 3 20", [False]),
        (GAME, "12 - 7 = 5, left 5 3 20\n\nhello {1}", [True, False]),
        (GAME, GOOD.replace("\\boxed{20", "\\boxed{21"), [True, True, True, False]),
        (SUM, SOLVED, [True, True, True, True]),
        (SUM, SLIP, [True, False, False, False]),
        (SUM, "17 + 5 = 22, left 22 * 3 - 84", [False]),
        (SUM, SOLVED.replace("{18}", "{81}"), [True, True, True, False]),
    ],
)
def test_a_step_is_right_while_the_answer_can_still_be_reached(task: Any, text: str, expected: list[bool]) -> None:
    assert labels.step_labels(task, labels.steps_of(text)) == expected


def test_operations_are_computed_anew_up_to_the_first_error() -> None:
    assert list(labels.right_operations(labels.steps_of(SLIP))) == ["17 + 5 = 22", "22 * 3 = 66"]
    assert list(labels.right_operations(labels.steps_of(GOOD)))[-1] == "20 + 15 = 35"


def test_half_of_a_trace_is_half_of_its_steps_or_characters() -> None:
    assert labels.parts(SOLVED, 0.5) == "17 + 5 = 22, left 22 * 3 - 48\n\n22 * 3 = 66, left 66 - 48\n\n"
    assert labels.beginnings("abcdefgh", "abcd", 0.5) == ("ab", "ab")


def answers(maker: Any, *texts: str, task: Any = GAME, solution: str = GOOD) -> list[str]:
    attempted = attempts.Attempted(task, solution, texts)
    return [made.text.partition("<assistant>")[2] for made in maker(attempted, random.Random(1))]


def test_a_refinement_keeps_the_right_draft_and_solves_anew_without_one() -> None:
    other = "20 * 3 = 60, left 60 12 7"
    for seed in range(20):
        attempted = attempts.Attempted(GAME, other, (DEAD, GOOD, LIE))
        (made,) = attempts.refine(attempted, random.Random(seed))
        asked, _, answered = made.text.partition("<assistant>")
        assert answered == (GOOD if GOOD in asked else other) + "</s>"


def test_a_verification_ends_in_the_verdict() -> None:
    assert answers(attempts.verify, GOOD) == ["12 - 7 = 5\n5 * 3 = 15\n20 + 15 = 35\n35 to reach 35\n\n+</s>"]
    assert answers(attempts.verify, DEAD)[0].endswith("64 - 3 = 61\n61 to reach 35\n\n-</s>")
    assert answers(attempts.verify, LIE) == ["12 - 7 = 5\n5 * 3 = 15\n20 + 15 = 35\n\n-</s>"]
    assert answers(attempts.verify, SLIP, task=SUM)[0].endswith("22 * 3 = 66\n\n-</s>")


def test_notes_say_what_drafts_reach_and_what_is_sure() -> None:
    assert attempts.summary(GAME, [DEAD, "nothing"]) == "((12 * 7) - 20) - 3 = 61\nnone"
    assert attempts.summary(SUM, [SLIP, SOLVED]) == "17 + 5 = 22\n22 * 3 = 66\n66 - 48 = 18"


def test_beginnings_of_equal_answers_are_one_class_and_the_others_are_not() -> None:
    turned = GOOD.replace("20 + ((12 - 7) * 3)", "((12 - 7) * 3) + 20")
    assert answers(attempts.same_answer, GOOD, turned) == ["+</s>"]
    assert answers(attempts.same_answer, GOOD, DEAD) == ["-</s>"]
    assert sorted(answers(attempts.same_answer, GOOD, turned, DEAD)) == ["+</s>", "-</s>"]
    assert answers(attempts.same_answer, GOOD, "no box") == []


def test_a_judge_learns_its_verdict_within_the_second_text_from_where_that_departs() -> None:
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(ROOT / "models/reasoner/tokenizer.model"))
    for verdict, second, watched in (
        ("-", LIE, "6\n\n\\boxed{20 + ((12 - 7) * 3)}"),
        ("+", GOOD, GOOD),
        ("-", GOOD, ")}"),
    ):
        asked = attempts.made(attempts.Attempted(GAME, GOOD, ()), "same_answer", verdict, first=GOOD, second=second)
        made = attempts.watched(asked, GOOD, second, verdict)
        assert made.text == asked.text
        corpus = documents.encode([made], tokenizer)
        assert corpus.tokens.tolist() == documents.encode([asked], tokenizer).tokens.tolist()
        learned = corpus.targets[corpus.targets != documents.IGNORED].tolist()
        said = tokenizer.piece_to_id(verdict)
        assert learned == [said] * (len(tokenizer.encode(watched)) + 1) + [tokenizer.eos_id()]
        end = corpus.tokens.tolist().index(tokenizer.piece_to_id("<judge>"))
        assert (corpus.targets[end - len(learned) + 2 : end] == said).all()


@pytest.mark.parametrize("make", [attempts.refine, attempts.refine_notes])
def test_who_refines_learns_which_of_the_texts_shown_are_right(make: Any) -> None:
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(ROOT / "models/reasoner/tokenizer.model"))
    flags = set()
    for seed in range(30):
        (made,) = make(attempts.Attempted(GAME, GOOD, (GOOD, DEAD, LIE)), random.Random(seed))
        plain = dataclasses.replace(made, parts=((made.text.removesuffix(made.parts[-1][0]), False), made.parts[-1]))
        corpus, bare = (documents.encode([each], tokenizer) for each in (made, plain))
        assert corpus.tokens.tolist() == bare.tokens.tolist()
        learned = (corpus.targets != documents.IGNORED).sum() - (bare.targets != documents.IGNORED).sum()
        shown = [(text, said) for text, said in made.parts if said in ("+", "-")]
        assert learned == sum(len(tokenizer.encode(text)) for text, _ in shown) > 0
        flags |= set(shown)
    box = "\\boxed{20 + ((12 - 7) * 3)}"  # of a right draft, and of one that gets it by a wrong step
    if make is attempts.refine:
        assert flags == {(box, "+"), (box, "-"), ("\\boxed{((12 * 7) - 20) - 3}", "-")}
    else:
        assert flags == {("35", "+"), ("61", "-")}


def test_mostly_a_right_draft_is_among_those_shown() -> None:
    some = attempts.Attempted(GAME, GOOD, (GOOD, DEAD, LIE, LOST, DEAD, LIE, LOST, DEAD))
    shown = [attempts.chosen(some, random.Random(seed)) for seed in range(300)]
    assert 0.7 < sum(GOOD in drafts for drafts in shown) / len(shown) < 0.95


def test_between_its_tags_a_scorer_learns_the_true_result_and_then_the_label() -> None:
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(ROOT / "models/reasoner/tokenizer.model"))
    step = "22 * 3 = 68, left 68 - 48"
    piece, targets = documents.row(documents.Document("x", "score", tuple(scoring.between(step, "-"))), tokenizer)
    assert piece == documents.encode_text(step, tokenizer)
    assert len(targets) == len(piece)
    said = [target for target in targets if target != documents.IGNORED]
    assert tokenizer.decode(said) == "66" + "-" * (len(said) - 2)
    assert tokenizer.decode(piece[len(targets) - len(said) :]).startswith(" = 68")
    assert scoring.between("\\boxed{20}", "-") == [("\\boxed{20}", False)]


def test_the_scorer_learns_a_label_at_the_tag_after_every_step_and_nothing_else() -> None:
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(ROOT / "models/reasoner/tokenizer.model"))
    tag = tokenizer.piece_to_id("<step>")
    ((ids, targets),) = scoring.rows(attempts.Attempted(GAME, LIE, (LIE,)), tokenizer)
    places = [i for i, target in enumerate(targets) if target != documents.IGNORED]
    assert [ids[place] for place in places] == [tag] * 4
    assert tokenizer.decode([targets[place] for place in places]) == "++--"
    assert tokenizer.decode([i for i in ids if i != tag]) == f"<user>{GAME.question}<assistant>{LIE}".replace(
        "\n\n", ""
    )


def test_slips_go_on_from_the_wrong_result() -> None:
    some = list(islice(scoring.slips(random.Random(4)), 200))
    found = [labels.step_labels(a.task, labels.steps_of(a.texts[0])) for a in some]
    assert all(each == sorted(each, reverse=True) for each in found)
    assert 40 < sum(each[-1] for each in found) < 160
    assert any(each.count(False) > 2 for each in found)
    assert all(all(labels.step_labels(a.task, labels.steps_of(a.solution))) for a in some)
    assert not any(held_out(a.task.key) for a in some)


def test_some_slips_are_in_what_is_copied_and_not_in_a_result() -> None:
    miscopied = 0
    for each in islice(scoring.slips(random.Random(4)), 200):
        steps = labels.steps_of(each.texts[0])
        first = next((s for s, good in zip(steps, labels.step_labels(each.task, steps), strict=True) if not good), "")
        found = labels.true_result(first)
        miscopied += found is not None and found[1]
    assert 10 < miscopied < 60


def test_three_sums_in_ten_are_wrong_and_every_value_is_in_bounds() -> None:
    some = list(islice(scoring.sums(random.Random(4)), 300))
    found = [labels.true_result(step) for each in some for step in labels.steps_of(each.texts[0])]
    right = [one[1] for one in found if one is not None]
    assert 0.6 < sum(right) / len(right) < 0.8
    assert {sign for each in some for sign in each.task.question if sign in "+-*/"} == {"+", "-"}
    assert all(0 <= each.task.target <= 999 for each in some)
    assert not any(held_out(each.task.key) for each in some)


def test_attempts_are_made_into_documents_of_every_kind(tmp_path: Path) -> None:
    turned = GOOD.replace("20 + ((12 - 7) * 3)", "((12 - 7) * 3) + 20")
    lines = [
        {"task": dataclasses.asdict(GAME), "solution": GOOD, "texts": [GOOD, DEAD, turned]},
        {"task": dataclasses.asdict(SUM), "solution": SOLVED, "texts": [SLIP, SOLVED, SOLVED]},
    ]
    path = tmp_path / "attempts.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    made = list(islice(attempts.learned(path, random.Random(1)), 100))
    assert {each.skill for each in made} == {"refine", "summarise", "refine_summary", "verify", "same_answer"}
    assert {each.key for each in made} == {"g", "s"}
