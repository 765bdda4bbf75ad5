"""Strategies as text."""

import sys

import pytest

from widthwise import BestOfN, Budget, MajorityVote, Single, StopWhenDecided, Strategy, UsageError
from widthwise.core.strategy.composition import parse_strategy
from widthwise.parts import PARTS


def parse(text: str) -> Strategy:
    return parse_strategy(text, PARTS)


def test_text_and_python_give_the_same_value() -> None:
    text = "best_of_n(n=64, temperature=0.8) | stop_when_decided() | budget(tokens=4096) | majority_vote(tie='random')"
    value = BestOfN(64, temperature=0.8) | StopWhenDecided() | Budget(tokens=4096) | MajorityVote("random")
    assert parse(text) == value
    assert parse(str(value)) == value


def test_positional_arguments_missing_brackets_and_odd_spacing() -> None:
    assert parse("best_of_n( 4 )|majority_vote") == BestOfN(4) | MajorityVote()
    assert parse("single") == Strategy(Single())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("best_of_m(n=4)", ["best_of_m", "best_of_n", "majority_vote", "my_module:my_strategy"]),
        ("best_of_n(m=4)", ["'m'", "n, width, temperature, top_p, max_tokens"]),
        ("best_of_n(temprature=1)", ["did you mean 'temperature'"]),
        ("best_of_n(n=0)", ["best_of_n", "at least 1"]),
        ("best_of_n(n=1, n=2)", ["given twice"]),
        ("best_of_n(1, 2, 3, 4, 5, 6)", ["best_of_n", "too many positional arguments"]),
        ("best_of_n(n=__import__('os').getpid())", ["not a literal"]),
        ("best_of_n(**{'n': 4})", ["** is not allowed"]),
        ("best_of_n(n=4", ["no part of a strategy"]),
        ("", ["no part of a strategy"]),
        ("best_of_n(4) |", ["no part of a strategy"]),
        ("majority_vote() | best_of_n(4)", ["majority_vote(", "begin with a sampler"]),
        ("best_of_n(4) | single()", ["single()", "at the beginning only"]),
        ("best_of_n(4) | majority_vote() | first_valid()", ["nothing can stand behind"]),
        ("best_of_n(4) | budget(tokens=1) | budget(samples=1)", ["one budget"]),
        ("budget(tokens=-1)", ["allows nothing"]),
        ("no_such_module:f", ["no_such_module"]),
        ("math:sqr", ["did you mean 'sqrt'"]),
        ("best_of_n(n=" + "9" * 20_000 + ")", ["too long"]),
        ("best_of_n(" * 900 + ")" * 900, ["best_of_n"]),
    ],
)
def test_a_wrong_strategy_is_answered_with_the_way_out(text: str, words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_own_functions_are_found_in_the_current_folder(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "own_parts_for_this_test.py").write_text(
        "async def grow(session):\n    return await session.sample(session.root, 2)\n"
        "async def pick(session, traces):\n    ...\n"
        "def not_async(session):\n    ...\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    strategy = parse("own_parts_for_this_test:grow | stop_when_decided() | own_parts_for_this_test:pick")
    assert str(strategy) == "own_parts_for_this_test:grow | stop_when_decided() | own_parts_for_this_test:pick"
    assert parse(str(strategy)) == strategy
    with pytest.raises(UsageError, match="async def"):
        parse("own_parts_for_this_test:not_async")
