"""Normal forms, exact numbers and shapes."""

import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from widthwise.evals.grading.normalisation import normalise
from widthwise.evals.grading.numerals import read_numeral, same_number
from widthwise.evals.grading.structure import read_collection, read_time, same_time


@pytest.mark.parametrize(
    "spellings",
    [
        ["1000", "1,000", "1 000", "1{,}000", r"1,\!000", "$1000$", r"\$1,000", "1000.", "01000", r"\(1000\)"],
        [r"\frac{1}{2}", r"\dfrac{1}{2}", r"\tfrac12", r"\frac 1 2", r"$\frac{1}{2}$", r"x = \frac12", r"k=\frac{1}2"],
        ["12", r"12 \text{ cm}", r"12\,\text{cm}^2", "12 square units", r"12^{\text{th}} \text{ grade}", "12 dollars"],
        ["90", r"90^\circ", r"90^{\circ}", "90°", "90 degrees"],
        ["28%", r"28\%", "28 percent", r"$28$ pct", r"\boxed{28 \%}"],
        ["-3", "−3", r"\boxed{-3}", "f(x) = -3"],
        [r"\left( 3, \frac{\pi}{2} \right)", r"(3,\frac{\pi}{2})", r"\left(3, \dfrac{\pi}{2}\right)"],
        ["x+22", "f(x)=x+22", "x + 22", "y = x+22"],
        [r"\text{Evelyn}", "Evelyn", "evelyn", r"\textbf{Evelyn}."],
        ["C", "(C)", r"\text{C}", r"\textbf{(C)}", r"\mathrm{C}"],
        [r"\sqrt{3}", r"\sqrt3", r"\sqrt 3"],
        [r"2516_8", r"2516_{8}"],
        ["0.5", ".5"],
    ],
)
def test_spellings_of_one_answer(spellings: list[str]) -> None:
    assert len({normalise(spelling) for spelling in spellings}) == 1, [normalise(s) for s in spellings]


@pytest.mark.parametrize(
    ("a", "b"),
    [("1 1/2", "11/2"), ("x=5, y=6", "5, 6"), ("a=b=c", "c"), ("e", "E"), ("10^2", "102"), ("x<3", "3"),
     ("1,22", "122"), (r"10 \text{ cm}^2", "10^2"), ("7 = 11a+c", "11a+c"), ("2 m", "2")],
)  # fmt: skip
def test_different_things_stay_different(a: str, b: str) -> None:
    assert normalise(a) != normalise(b)


@pytest.mark.parametrize(
    ("answer", "value"),
    [("-7", -7), ("1,234.5", "1234.5"), (r"\frac{-3}{4}", "-3/4"), (r"-\frac{3}{4}", "-3/4"), ("3/4", "3/4"),
     (r"1\frac12", "3/2"), ("1 1/2", "3/2"), (r"4.5 \times 10^{3}", 4500), ("4.5e3", 4500), ("10^{-2}", "1/100"),
     (r"x = 2", 2), ("(5)", 5), (r"\frac12", "1/2"), ("+3", 3)],
)  # fmt: skip
def test_numbers_are_exact(answer: str, value: object) -> None:
    numeral = read_numeral(answer)
    assert numeral is not None
    assert numeral.value == Fraction(str(value))


@pytest.mark.parametrize(
    "answer", ["x", "1/0", r"\frac{1}{0}", "", "1,2,3", "9" * 5000, "10^9999", "1e99999", "2^3", "1..2"]
)
def test_no_number(answer: str) -> None:
    assert read_numeral(answer) is None


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [("1/3", "0.3333", True), ("1/3", "0.33", False), ("600/7", "85.71", True), ("0.6", "60%", True),
     ("60", "60%", True), ("0.6%", "60%", False), ("16386.16", "16386.17", False),
     ("1.50", "1.5", True), ("2/3", "0.6666", True), ("2/3", "0.6668", False), ("1", "1.0001", False)],
)  # fmt: skip
def test_equal_numbers(a: str, b: str, same: bool) -> None:
    one, other = read_numeral(a), read_numeral(b)
    assert one is not None
    assert other is not None
    assert same_number(one, other) is same_number(other, one) is same


@pytest.mark.parametrize(
    ("answer", "brackets", "items"),
    [
        ("1, 2 and 3", "", ("1", "2", "3")),
        (r"(1,2), (3,4)", "", ("(1,2)", "(3,4)")),
        (r"\{1, 2\}", "{}", ("1", "2")),
        (r"\left[0, \frac{1}{2}\right)", "[)", ("0", r"\frac{1}{2}")),
        (r"2 \pm \sqrt{3}", "", (r"2 + \sqrt{3}", r"2 - \sqrt{3}")),
        ("(x, y) = (5, 8)", "()", ("5", "8")),
        ("1; 2", "", ("1", "2")),
    ],
)
def test_collections(answer: str, brackets: str, items: tuple[str, ...]) -> None:
    collection = read_collection(answer)
    assert collection is not None
    assert (collection.brackets, collection.items) == (brackets, items)


@pytest.mark.parametrize("answer", ["5", "f(x)", "(a+b)(c+d)", "", "((", "))((", "sand", r"\frac{1}{2}"])
def test_single_things(answer: str) -> None:
    assert read_collection(answer) is None


def test_times_of_day() -> None:
    plain, half, late = read_time("4:30"), read_time(r"\text{4:30 p.m.}"), read_time("16:30:00")
    assert plain
    assert half
    assert late
    assert same_time(plain, half)
    assert same_time(half, late)
    assert not same_time(plain, read_time("4:31") or plain)
    assert read_time("25:00") is None


@pytest.mark.parametrize(
    "piece", [" ", "\\", "1 ", "1,", "{", "(", "\\text{", "\\frac", "$", "x=", "\\\\ ", "1:", "\\pm", "["]
)
def test_a_hostile_answer_takes_little_time(piece: str) -> None:
    begin = time.process_time()
    for length in (1_999, 1_000_000):
        text = (piece * length)[:length]
        for hostile in (text, text[:-1] + "x", "1" + text):
            normalise(hostile), read_numeral(hostile), read_collection(hostile), read_time(hostile)
    assert time.process_time() - begin < 5


@given(st.text(alphabet="0123456789 ,.{}()[]\\fracexpi$%=-+/^_:;\n", max_size=60))
def test_any_text_has_a_form(text: str) -> None:
    assert isinstance(normalise(text), str)
    read_collection(text), read_time(text)
    if numeral := read_numeral(text):
        assert same_number(numeral, numeral)
