"""Strategies as text."""

import sys
from pathlib import Path

import pytest

from widthwise import BestOfN, Budget, MajorityVote, Single, StopWhenDecided, Strategy, UsageError
from widthwise.core.session.session import Session
from widthwise.core.strategy.composition import parse_strategy
from widthwise.core.trace.trace import Trace


def parse(text: str) -> Strategy:
    return parse_strategy(text)


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
        ("best_of_n(n=4", ["not a part of a strategy"]),
        ("", ["not a part of a strategy"]),
        ("best_of_n(4) |", ["not a part of a strategy"]),
        ("majority_vote() | best_of_n(4)", ["majority_vote(", "begin with a sampler"]),
        ("best_of_n(4) | single()", ["single()", "can only come first"]),
        ("best_of_n(4) | majority_vote() | first_valid()", ["nothing can follow"]),
        ("best_of_n(4) | budget(tokens=1) | budget(samples=1)", ["one budget"]),
        ("budget(tokens=-1)", ["allows nothing"]),
        ("no_such_module:f", ["no_such_module"]),
        ("math:sqr", ["did you mean 'sqrt'"]),
        ("best_of_n(n=" + "9" * 20_000 + ")", ["too long"]),
        ("best_of_n(" * 900 + ")" * 900, ["best_of_n"]),
        ("best_of_n(n=" + "not " * 2000 + "1)", ["best_of_n", "not a part of a strategy"]),
        ("best_of_n(n=" + "-" * 9000 + "1)", ["not a part of a strategy"]),
    ],
)
def test_a_wrong_strategy_is_answered_with_the_way_out(text: str, words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


OWN = """
import dataclasses
import widthwise as ww

async def grow(session, n=2):
    return await session.sample(session.root, n)

async def pick(session, traces):
    return ww.elect(await session.classes(traces))

async def guard(session, live, finished, total):
    return ww.Decision()

def not_async(session): ...
async def two(session, live): ...

@dataclasses.dataclass(frozen=True)
class Newest(ww.Selector):
    keep: int = 4
    async def select(self, session, frontier): ...

@dataclasses.dataclass(frozen=True)
class NoRole(ww.Part):
    async def __call__(self, session): ...

@dataclasses.dataclass(frozen=True)
class Guard(ww.Part, ww.Pruner):
    every: int = 8
    async def __call__(self, session, live, finished, total):
        return ww.Decision()

def thrifty(tokens=10):
    return ww.Budget(tokens=tokens)

async def several(session, workers=()): ...

whole = ww.BestOfN(4) | guard | ww.MajorityVote()

class Group:
    @staticmethod
    async def three(session): ...
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The user's own module in the current folder."""
    name = f"own_parts_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return name


@pytest.mark.parametrize(
    "text",
    [
        "{0}:grow | stop_when_decided() | {0}:pick",
        "{0}:grow(n=3) | {0}:guard | {0}:Guard(every=4) | {0}:pick",
        "parallel_distill_refine(drafts=(2, 1), worker={0}:grow(n=3), refiner={0}:grow)",
        "tree_search(n=4, select=top_k(k=2) | {0}:Newest(keep=1))",
        "tree_search(n=4, select={0}:Newest)",
        "sequential_refinement(worker=single)",
        "{0}:whole",
        "{0}:Group.three | {0}:pick",
        "{0}:several(workers=[{0}:grow, single()])",
    ],
)
def test_own_parts_are_found_in_the_current_folder_nested_too(own: str, text: str) -> None:
    strategy = parse(text.format(own))
    assert parse(str(strategy)) == strategy
    assert str(strategy).count(f"{own}:") == (text.count("{0}:") if "whole" not in text else 1)


def test_a_function_that_makes_the_part_is_called_with_the_arguments(own: str) -> None:
    assert parse(f"best_of_n(4) | {own}:thrifty(tokens=7)") == BestOfN(4) | Budget(tokens=7)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{0}:not_async", ["async def"]),
        ("{0}:two", ["takes (session, live)", "an async function of (session) that returns traces"]),
        ("best_of_n(4) | {0}:two", ["takes (session, live)", "(session, traces)", "(session, live, finished, total)"]),
        ("best_of_n(4) | {0}:grow", ["takes (session)", "@ww.register"]),
        ("{0}:NoRole()", ["NoRole", "declares no role", "ww.Sampler"]),
        ("{0}:Newest()", ["cannot begin a strategy"]),
        ("best_of_n(n={0}:grow.real[0])", ["{0}:grow", "is not a literal value"]),
        ("{0}:grow(m=3)", ["no argument 'm'", "it takes session, n"]),
        ("{0}:grow(3)", ["by name"]),
        ("tree_search(select={0}:grow)", ["select must be a frontier selector"]),
        ("{0}:grwo", ["has no 'grwo'; did you mean 'grow'"]),
    ],
)
def test_what_is_wrong_with_an_own_part_is_one_sentence(own: str, text: str, words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text.format(own))
    for word in words:
        assert word.format(own) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_method_is_a_function_too() -> None:
    class Growing:
        async def grow(self, session: Session) -> list[Trace]:
            return await session.sample(session.root, 2)

    assert str(Growing().grow | MajorityVote()).endswith("Growing.grow | majority_vote(tie='first')")


def test_text_that_is_not_the_users_own_imports_nothing(own: str) -> None:
    for text in (f"{own}:grow", f"sequential_refinement(worker={own}:grow)"):
        with pytest.raises(UsageError, match="only your own command may name one"):
            parse_strategy(text, trusted=False)
    assert own not in sys.modules
    assert parse_strategy("best_of_n(4) | majority_vote", trusted=False) == BestOfN(4) | MajorityVote()
