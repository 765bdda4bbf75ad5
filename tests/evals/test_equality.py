"""Which answers are equal: pairs of every kind, properties of the partition, and hostile texts."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from widthwise.core.errors import UsageError
from widthwise.evals.grading.equality import canonical, compare, partition
from widthwise.evals.grading.leniency import Leniency
from widthwise.evals.grading.meaning import meaning

DATA = Path(__file__).with_name("data")


def _pairs(name: str) -> Iterator[tuple[str, str, str]]:
    kind = ""
    for line in (DATA / name).read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            kind = line[2:]
        elif line:
            gold, _, prediction = line.partition(" | ")
            yield kind, gold, prediction


def _wrong(name: str, wanted: str) -> list[tuple[str, str, str, str]]:
    found = []
    for kind, gold, prediction in _pairs(name):
        for a, b in ((gold, prediction), (prediction, gold)):
            verdict = compare(a, b)
            if (verdict.outcome == "same") != (wanted == "same"):
                found.append((kind, a, b, verdict.rule))
    return found


def test_what_is_plainly_right_is_right() -> None:
    assert _wrong("same_answers.txt", "same") == []


def test_nothing_is_equal_that_was_not_understood_whole() -> None:
    assert _wrong("different_answers.txt", "different") == []


def test_reported_cases(shared_data: Path) -> None:
    """Bare answers from public reports: at most 1 clear case in 20 is missed, and at most one wrong answer accepted."""
    rows = [json.loads(line) for line in (shared_data / "answers" / "answer_reports.jsonl").open(encoding="utf-8")]
    clear = [row for row in rows if row["mode"] == "answer" and not row["debatable"]]
    missed = [r for r in clear if (compare(r["gold"], r["output"]).outcome == "same") != r["expected"]]
    assert len(clear) > 150
    assert len(missed) <= len(clear) / 20
    assert sum(not row["expected"] for row in missed) <= 1


def test_verdicts_name_their_rule() -> None:
    assert compare("1/2", "0.5").rule == "canonical form"
    assert compare("60%", "60").rule == "percent sign left out"
    assert compare("12", r"12 \text{ cm}").rule == "unit left out"
    assert compare(r"\pi", "3.1416").rule == "correct rounding"
    assert compare("5", "5}{").rule.startswith("not fully understood")
    assert compare(r"2^{2^{2^{49}}}", "1").outcome == "not decided"


def test_what_is_forgiven_is_an_argument() -> None:
    exact = Leniency(percent=False, digits=0, units=False, labels=False)
    for gold, prediction in (("60%", "60"), ("12", r"12 \text{ cm}"), (r"\pi", "3.1416"), ("x=1, y=2", "(1,2)")):
        assert compare(gold, prediction).outcome == "same"
        assert compare(gold, prediction, exact).outcome == "different"
    assert compare("(1,2)", "(2,1)", Leniency(any_order=True)).outcome == "same"
    assert compare("4.2", "4.25", Leniency(absolute=0.1)).outcome == "same"
    assert compare("4.2", "4.35", Leniency(absolute=0.1)).outcome == "different"
    assert compare("100", "100.01", Leniency(relative=1e-3)).outcome == "same"


@pytest.mark.parametrize("tolerance", [float("inf"), float("nan"), -1.0])
def test_a_tolerance_is_a_number(tolerance: float) -> None:
    with pytest.raises(UsageError, match="finite"):
        Leniency(absolute=tolerance)


# --- The partition ------------------------------------------------------------------------------------------------

_ANSWERS = sorted({answer for name in ("same_answers.txt", "different_answers.txt") for _, a, b in _pairs(name)
                   for answer in (a, b)} | {"60", "60 %", "0.6", "60%", "1/3", "0.3333", "33.33%"})  # fmt: skip


def _classes(answers: list[str]) -> set[frozenset[str]]:
    return {frozenset(answers[i] for i in members) for members in partition(answers).classes}


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(_ANSWERS), min_size=3, max_size=8), st.randoms(use_true_random=False))
def test_the_partition_is_one_of_an_equivalence_relation(answers: list[str], rng: random.Random) -> None:
    """The order does not matter; a part's partition is the restriction of the whole; each answer is in one class."""
    whole = _classes(answers)
    assert sorted(i for members in partition(answers).classes for i in members) == list(range(len(answers)))
    shuffled = rng.sample(answers, len(answers))
    assert _classes(shuffled) == whole
    part = answers[: len(answers) // 2 + 1]
    assert _classes(part) == {kept for members in whole if (kept := members & set(part))}


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(_ANSWERS), st.sampled_from(_ANSWERS))
def test_what_votes_together_is_graded_the_same(a: str, b: str) -> None:
    assert compare(a, a).outcome == "same"
    if len(partition([a, b]).classes) == 1:
        assert compare(a, b).outcome == "same"


def test_percentages_vote_alike_in_every_order() -> None:
    assert _classes(["60", "60", "60 %", "0.6", "0.6"]) == {frozenset({"60"}), frozenset({"60 %", "0.6"})}


def test_a_class_whose_value_is_not_known_is_listed() -> None:
    found = partition(["1", r"2^{2^{2^{49}}}", "2"])
    assert found.open == [1]
    assert sorted(found.undecided) == [(1, 0), (1, 2)]


def test_a_large_vote_is_linear() -> None:
    """Every distinct answer is read and evaluated once, however many there are; no two are compared."""
    answers = [rf"\left(\sqrt{{{n}}}, \frac{{{n}}}{{7}}\right)" for n in range(2, 400)]
    meaning.cache_clear()
    assert len(partition(answers * 3).classes) == len(answers)
    assert meaning.cache_info().misses == len(answers)


def test_canonical_forms() -> None:
    assert canonical("0.5").text == canonical(r"\frac{1}{2}").text == "1/2"
    assert canonical(r"\sqrt{8}").text.endswith("= 2.82842712474619")
    assert not canonical("5}{").whole


# --- Hostile texts ------------------------------------------------------------------------------------------------

_NASTY = ["10**10**10", "9^9^9^9", "99999999999!", "{" * 5_000, "}" * 5_000, "\0" * 50, r"\begin{pmatrix} 1 & 2",
          r"\frac{" * 300, "1" * 1_000_000, r"\boxed{" * 20_000, r"\sqrt{" * 300 + "2" + "}" * 300, "((((((" * 200,
          "x" * 1_900, r"\int_0^\infty e^{-x^{x^x}} dx", r"\sum_{n=1}^{10^{12}} n^{n}", "1e999999999", "," * 1_900,
          "\ud800", "__import__('os').system('false')", r"10^{-10^{10^{10}}}", r"\text{" * 300, "1+" * 900 + "1",
          "x^" * 600 + "2", "|" * 900, "2^" * 40 + "2", r"\binom{10^{9}}{10^{8}}", "(10^{10})!", "x" + "!" * 900,
          r"\sum_{a=1}^{300} \sum_{b=1}^{300} \sum_{c=1}^{300} a^{b^c}", "(x+1)^{100000}", r"\gcd(" + "x," * 400 + "x)",
          "f(" * 200 + "x" + ")" * 200, "1," * 900 + "1", r"\pm x" * 200]  # fmt: skip


@pytest.mark.parametrize("hostile", _NASTY, ids=range(len(_NASTY)))
@pytest.mark.timeout(120)
def test_a_hostile_text_is_bounded(hostile: str) -> None:
    """Each takes milliseconds; the time limit stops only what would never finish."""
    for other in ("y+1", "1", "(1,2)"):
        assert compare(other, hostile).outcome != "same"
        assert compare(hostile, other).outcome != "same"


_PIECES = ["1", "2", "x", "+", "-", "\\frac", "{", "}", "(", ")", "[", "]", ",", "\\sqrt", "^", "_", "=", "<", " ",
           "|", "\\text{", "and", "or", "\\pm", "\\int", "\\sum", "d", "!", "%", "cm", ".", ":", "\\pi",
           "!!", "'"]  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(_PIECES), max_size=14).map("".join) | st.text(max_size=30))
def test_any_text_has_a_meaning(text: str) -> None:
    assert compare(text, text).outcome == "same"
    assert compare(text, text + "+1").outcome != "same" or not canonical(text).whole
