"""Exact labels of steps, and the documents made from a model's attempts."""

import dataclasses
import importlib
import json
import random
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import sentencepiece

from widthwise.evals.suites import arithmetic
from widthwise.evals.suites.holdout import held_out

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "scripts"))
labels = importlib.import_module("labels")
attempts = importlib.import_module("attempts")
documents = importlib.import_module("documents")
refining = importlib.import_module("refining")
scoring = importlib.import_module("scorer_data")

GAME = labels.Task("g", "Use the numbers 12, 7, 3, 20 to reach 35.", 35, (12, 7, 3, 20))
SUM = labels.Task("s", "Compute (17 + 5) * 3 - 48.", 18)
GOOD = "12 - 7 = 5, left 5 3 20\n\n5 * 3 = 15, left 15 20\n\n20 + 15 = 35\n\n\\boxed{20 + ((12 - 7) * 3)}"
DEAD = "12 * 7 = 84, left 84 3 20\n\n84 - 20 = 64, left 64 3\n\n64 - 3 = 61\n\n\\boxed{((12 * 7) - 20) - 3}"
LIE = "12 - 7 = 5, left 5 3 20\n\n5 * 3 = 15, left 15 20\n\n20 + 15 = 36\n\n\\boxed{20 + ((12 - 7) * 3)}"
LOST = "12 - 7 = 5, left 5 3\n\n5 * 3 = 15\n\n\\boxed{(12 - 7) * 3}"
SOLVED = "17 + 5 = 22, left 22 * 3 - 48\n\n22 * 3 = 66, left 66 - 48\n\n66 - 48 = 18\n\n\\boxed{18}"
WRONG = "17 + 5 = 22, left 22 * 3 - 48\n\n22 * 3 = 68, left 68 - 48\n\n68 - 48 = 20\n\n\\boxed{20}"


SAID = "17 + 5: 22 22 = 22, left 22 * 3 - 48\n\n22 * 3: 68 66 = 66, left 66 - 48\n\n66 - 48: 18 = 18\n\n\\boxed{18}"
CHECKED = (
    "12 * 7 = 84, 84 - 20 = 64, 64 - 3 = 61, 61 to reach 35 -\n12 - 7 = 5, 5 * 3 = 15, 20 + 15 = 35 -\n"
    "12 - 7 = 5, 5 * 3 = 15, 20 + 15 = 35, 35 to reach 35 +"
)


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
        (SUM, WRONG, [True, False, False, False]),
        (SUM, SAID, [True, True, True, True]),
        (SUM, SAID.replace(" = 66", " = 68", 1), [True, False, False, False]),
        (GAME, f"{CHECKED}\n\n{GOOD}", [True, True, True, True, True]),
        (GAME, f"{CHECKED}\n\n{DEAD}", [True, False, False, False, False]),
        (GAME, f"{CHECKED}?\n\n{GOOD}", [False, False, False, False, False]),
        (SUM, "17 + 5 = 22, left 22 * 3 - 84", [False]),
        (SUM, SOLVED.replace("{18}", "{81}"), [True, True, True, False]),
    ],
)
def test_a_step_is_right_while_the_answer_can_still_be_reached(task: Any, text: str, expected: list[bool]) -> None:
    assert labels.step_labels(task, labels.steps_of(text)) == expected


def test_operations_are_computed_anew_up_to_the_first_error() -> None:
    assert list(labels.right_operations(labels.steps_of(WRONG))) == ["17 + 5 = 22", "22 * 3 = 66"]
    assert list(labels.right_operations(labels.steps_of(GOOD)))[-1] == "20 + 15 = 35"
    assert next(labels.right_operations(labels.steps_of(f"{CHECKED}\n\n{DEAD}"))) == "12 * 7 = 84"
    assert list(labels.right_operations(labels.steps_of(SAID)))[1] == "22 * 3 = 66"


def test_half_of_a_trace_is_half_of_its_steps_or_characters() -> None:
    assert labels.parts(SOLVED, 0.5) == "17 + 5 = 22, left 22 * 3 - 48\n\n22 * 3 = 66, left 66 - 48\n\n"
    assert labels.beginnings("abcdefgh", "abcd", 0.5) == ("ab", "ab")


def answers(maker: Any, *texts: str, task: Any = GAME, solution: str = GOOD) -> list[str]:
    attempted = attempts.Attempted(task, solution, texts)
    return [made.text.partition("<assistant>")[2] for made in maker(attempted, random.Random(1))]


def shown(asked: str) -> list[str]:
    """The drafts in a question."""
    return asked.removesuffix("<refine>").removesuffix("<Summary>").split("<draft>")[1:]


def refined(task: Any, solution: str, *texts: str) -> Iterator[tuple[list[str], str]]:
    """The drafts and what is made of them, of many documents."""
    for seed in range(40):
        for made in refining.refine(attempts.Attempted(task, solution, texts), random.Random(seed)):
            asked, _, answered = made.text.partition("<assistant>")
            yield shown(asked), answered.removesuffix("</s>")


def test_a_countdown_draft_is_checked_before_it_is_copied_and_the_first_right_one_is() -> None:
    copied = 0
    for drafts, answer in refined(GAME, GOOD, DEAD, GOOD, LIE, "nothing"):
        checks, _, solution = answer.partition("\n\n")
        lines = checks.split("\n")
        assert lines == [refining.check(GAME, text) for text in drafts][: len(lines)]
        assert [line[-1] for line in lines[:-1]] == ["-"] * (len(lines) - 1)
        assert (lines[-1][-1] == "+") == (GOOD in drafts)
        assert all(labels.step_labels(GAME, labels.steps_of(solution)))
        if GOOD in drafts:
            assert solution == GOOD
            copied += 1
    assert 5 < copied < 40


def test_a_check_computes_a_draft_anew_and_says_whether_it_is_right() -> None:
    assert "\n".join(refining.checks(GAME, [DEAD, LIE, GOOD, DEAD])) == CHECKED
    assert refining.check(GAME, "nothing") == "none -"
    assert refining.check(GAME, f"{CHECKED}\n\n{GOOD}") == refining.check(GAME, GOOD)
    assert labels.is_check(CHECKED)
    assert not any(map(labels.is_check, [*labels.steps_of(GOOD), *labels.steps_of(SAID), "", "+"]))


def test_without_a_right_draft_a_solution_is_new_and_may_begin_like_a_sound_one() -> None:
    stray = "12 - 7 = 5, left 5 3 20\n\n20 * 3 = 60, left 60 5\n\n60 / 5 = 12\n\n\\boxed{(20 * 3) / (12 - 7)}"
    begun = 0
    for drafts, answer in refined(GAME, "", stray, DEAD):
        solution = answer.partition("\n\n")[2]
        assert labels.boxed(solution) is not None
        assert all(labels.step_labels(GAME, labels.steps_of(solution)))
        begun += stray in drafts and solution.startswith("12 - 7 = 5, left 5 3 20")
    assert 10 < begun < 40
    assert list(map(str, refining.sound_moves(GAME, stray))) == ["12 - 7 = 5"]
    assert refining.sound_moves(GAME, DEAD) == []
    assert list(map(str, refining.sound_moves(GAME, LIE))) == ["12 - 7 = 5", "5 * 3 = 15"]


def test_an_arithmetic_step_repeats_what_the_drafts_state_before_its_own_result() -> None:
    assert refining.rewritten(SUM, SOLVED, [WRONG, SOLVED]) == SAID
    assert refining.rewritten(SUM, SOLVED, []) == SOLVED
    assert refining.bare(SAID) == SOLVED
    assert refining.bare(f"{CHECKED}\n\n{GOOD}") == GOOD
    for drafts, answer in refined(SUM, SOLVED, WRONG, SAID, SOLVED):
        assert refining.bare(answer) == SOLVED
        said = [
            labels.stated(step)[1] for text in drafts for step in labels.steps_of(text) if step.startswith("22 * 3")
        ]
        assert f"22 * 3: {' '.join(said)} = 66" in answer


def test_some_attempts_are_refinements_of_others_and_as_right_as_they_were() -> None:
    for task, solution, texts in ((GAME, GOOD, (GOOD, DEAD, LIE)), (SUM, SOLVED, (SOLVED, WRONG))):
        drawn = [attempts.Attempted(task, solution, texts)] * 200
        made = [refining.some_again(each, random.Random(seed)) for seed, each in enumerate(drawn)]
        pairs = [(one, other) for each in made for one, other in zip(each.texts, texts, strict=True)]
        assert 0.08 < sum(one != other for one, other in pairs) / len(pairs) < 0.25
        assert all(refining.bare(one) == other for one, other in pairs)
        assert all(attempts.is_right(task, one) == attempts.is_right(task, other) for one, other in pairs)


def test_a_refinement_and_its_drafts_leave_room_in_the_window() -> None:
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(ROOT / "models/reasoner/tokenizer.model"))
    rng = random.Random(2)
    drawn = list(islice(attempts.problems(5, 1), 40))
    for task, solution in drawn:
        attempted = refining.some_again(attempts.Attempted(task, solution, (solution,) * 8), rng)
        for maker in (refining.refine, refining.notes, refining.refine_notes):
            for made in maker(attempted, rng):
                assert len(tokenizer.encode(made.text)) < documents.LONGEST
                assert made.text.endswith("</s>")


def test_a_verification_ends_in_the_verdict() -> None:
    assert answers(attempts.verify, GOOD) == ["12 - 7 = 5\n5 * 3 = 15\n20 + 15 = 35\n35 to reach 35\n\n+</s>"]
    assert answers(attempts.verify, DEAD)[0].endswith("64 - 3 = 61\n61 to reach 35\n\n-</s>")
    assert answers(attempts.verify, LIE) == ["12 - 7 = 5\n5 * 3 = 15\n20 + 15 = 35\n\n-</s>"]
    assert answers(attempts.verify, WRONG, task=SUM)[0].endswith("22 * 3 = 66\n\n-</s>")


def test_notes_say_what_drafts_reach_and_what_is_sure() -> None:
    assert refining.summary(GAME, [DEAD, LIE, GOOD, DEAD]) == CHECKED
    assert refining.summary(SUM, [WRONG, SOLVED]) == "17 + 5: 22 22 = 22\n22 * 3: 68 66 = 66\n66 - 48: 18 = 18"
    assert refining.summary(SUM, ["nothing"]) == "none"


def test_after_notes_comes_the_draft_that_they_call_right_or_else_a_new_solution() -> None:
    copied = 0
    for seed in range(40):
        (made,) = refining.refine_notes(attempts.Attempted(GAME, "", (DEAD, GOOD, LIE)), random.Random(seed))
        noted, _, answer = made.text.removesuffix("</s>").partition("<refine><assistant>")
        assert all(labels.step_labels(GAME, labels.steps_of(answer)))
        if "+\n" in f"{noted}\n":
            assert answer == GOOD
            copied += 1
    assert 10 < copied < 40
    (made,) = refining.refine_notes(attempts.Attempted(SUM, SOLVED, (WRONG,)), random.Random(1))
    assert made.text.endswith(f"<Summary>17 + 5: 22 = 22\n22 * 3: 68 = 66<refine><assistant>{SOLVED}</s>")


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


def test_who_refines_learns_which_of_the_drafts_shown_are_right() -> None:
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(ROOT / "models/reasoner/tokenizer.model"))
    flags = set()
    for seed in range(30):
        (made,) = refining.refine(attempts.Attempted(GAME, GOOD, (GOOD, DEAD, LIE)), random.Random(seed))
        plain = dataclasses.replace(made, parts=((made.text.removesuffix(made.parts[-1][0]), False), made.parts[-1]))
        corpus, bare = (documents.encode([each], tokenizer) for each in (made, plain))
        assert corpus.tokens.tolist() == bare.tokens.tolist()
        learned = (corpus.targets != documents.IGNORED).sum() - (bare.targets != documents.IGNORED).sum()
        flagged = [(text, said) for text, said in made.parts if said in ("+", "-")]
        assert learned == sum(len(tokenizer.encode(text)) for text, _ in flagged) > 0
        flags |= set(flagged)
    box = "\\boxed{20 + ((12 - 7) * 3)}"  # of a right draft, and of one that gets it by a wrong step
    assert flags == {(box, "+"), (box, "-"), ("\\boxed{((12 * 7) - 20) - 3}", "-")}


def test_mostly_a_right_draft_is_among_those_shown() -> None:
    some = attempts.Attempted(GAME, GOOD, (GOOD, DEAD, LIE, LOST, DEAD, LIE, LOST, DEAD))
    drawn = [attempts.chosen(some, random.Random(seed)) for seed in range(300)]
    assert 0.7 < sum(GOOD in drafts for drafts in drawn) / len(drawn) < 0.95


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


def test_mistakes_go_on_from_the_wrong_result() -> None:
    some = list(islice(scoring.mistakes(random.Random(4)), 200))
    found = [labels.step_labels(a.task, labels.steps_of(a.texts[0])) for a in some]
    assert all(each == sorted(each, reverse=True) for each in found)
    assert 40 < sum(each[-1] for each in found) < 160
    assert any(each.count(False) > 2 for each in found)
    assert all(all(labels.step_labels(a.task, labels.steps_of(a.solution))) for a in some)
    assert not any(held_out(a.task.key) for a in some)


def test_some_mistakes_are_in_what_is_copied_and_not_in_a_result() -> None:
    miscopied = 0
    for each in islice(scoring.mistakes(random.Random(4)), 200):
        steps = labels.steps_of(each.texts[0])
        first = next((s for s, good in zip(steps, labels.step_labels(each.task, steps), strict=True) if not good), "")
        found = labels.true_result(first)
        miscopied += found is not None and found[1]
    assert 10 < miscopied < 60


def test_a_mistake_is_as_frequent_as_asked_for_and_within_bounds() -> None:
    rng = random.Random(3)
    for op, a, b, rate in (("*", 24, 31, 0.4), ("/", 851, 37, 0.4), ("+", 240, 31, 0.1), ("*", 240, 3, 0.1)):
        found = [scoring.mistaken(rng, op, a, b, hard=0.4, easy=0.1) for _ in range(2000)]
        true = arithmetic.apply(op, a, b)
        assert sum(each != true for each in found) / len(found) == pytest.approx(rate, abs=0.04)
        assert all(0 <= each <= arithmetic.LARGEST for each in found)
        assert len(set(found)) > 15
    assert scoring.mistaken(rng, "/", 7, 0, hard=0.0, easy=0.0) == 7
    assert scoring.mistaken(rng, "-", 7, 9, hard=0.0, easy=0.0) == 0


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
        {"task": dataclasses.asdict(SUM), "solution": SOLVED, "texts": [WRONG, SOLVED, SOLVED]},
    ]
    path = tmp_path / "attempts.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    made = list(islice(refining.learned(path, random.Random(1)), 100))
    assert {each.skill for each in made} == {"refine", "summarise", "refine_summary", "verify", "same_answer"}
    assert {each.key for each in made} == {"g", "s"}
