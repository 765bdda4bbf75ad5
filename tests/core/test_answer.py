"""Equivalence classes of answers."""

import random
from typing import Any, ClassVar

from hypothesis import given, settings
from hypothesis import strategies as st

from widthwise.core.answer import group
from widthwise.core.problem import Grader, Problem
from widthwise.evals.grading.countdown import CountdownGrader
from widthwise.evals.grading.graders import MathGrader


async def test_classes_stand_in_order_of_first_appearance() -> None:
    answers = ["1/2", None, "3", "0.5", r"\frac{1}{2}", "3.0", None, "x+1", "1 + x"]
    assert await group(MathGrader(), answers) == [[0, 3, 4], [2, 5], [7, 8]]


async def test_nothing_to_group() -> None:
    assert await group(MathGrader(), []) == []
    assert await group(MathGrader(), [None, None]) == []


async def test_countdown_expressions() -> None:
    answers = ["(1 + 2) * 3", "3 * (2 + 1)", "1 + 2 * 3", "3 * (1 + 2) = 9"]
    assert await group(CountdownGrader(), answers) == [[0, 1, 3], [2]]


class _Near:
    """Answers are the same when their numbers differ by one at most: not transitive."""

    name = "near"
    settings: ClassVar[dict[str, Any]] = {}

    def for_problem(self, problem: Problem) -> Grader:
        return self

    def extract(self, text: str) -> str | None:
        return text

    def form(self, answer: str) -> str:
        return answer

    def bucket(self, answer: str) -> str | None:
        return None

    async def equivalent(self, a: str, b: str) -> bool:
        return abs(int(a) - int(b)) <= 1

    async def correct(self, problem: Problem, answer: str) -> bool:
        return problem.answer == answer

    async def valid(self, problem: Problem, answer: str) -> bool:
        return bool(problem and answer)


async def test_the_first_match_counts_where_equivalence_is_not_transitive() -> None:
    assert await group(_Near(), ["1", "2", "3", "4"]) == [[0, 1], [2, 3]]
    assert await group(_Near(), ["2", "1", "3", "4"]) == [[0, 1, 2], [3]]


@settings(deadline=None)  # the first check starts a worker
@given(st.lists(st.sampled_from([None, "1", "1.0", "2", "2.00", "3/1", "3", "x"])))
async def test_every_answer_is_in_one_class(answers: list[str | None]) -> None:
    found = await group(MathGrader(), answers)
    positions = [position for members in found for position in members]
    assert sorted(positions) == [i for i, answer in enumerate(answers) if answer is not None]
    assert all(members == sorted(members) for members in found)
    assert [m[0] for m in found] == sorted(m[0] for m in found)


class _Unsorted(MathGrader):
    """As the real one, but every answer is compared with every class."""

    def bucket(self, answer: str) -> str | None:
        return None


NUMBERS = st.from_regex(r"-?[0-9]{1,5}(\.[0-9]{0,4})?(e-?[1-4])?%?|[0-9]{1,3}/[1-9]|[0-9],[0-9]{1,3}", fullmatch=True)
CLOSE = st.sampled_from(
    [
        *("1/3", "0.3333", ".333", "33.33%", "0.333", "1.234e5", "123456", "123400", "2.0", "2", "4/2", "200%", "02"),
        *("(2)", "2 cm", "no", "No.", "yes", "1,5", "1.5", "3/2", r"\frac{3}{2}", "12:30", "101_2", ""),
    ]
)


@settings(deadline=None, max_examples=200)
@given(st.lists(NUMBERS | CLOSE, max_size=8))
async def test_buckets_spare_comparisons_and_change_no_class(answers: list[str]) -> None:
    assert await group(MathGrader(), answers) == await group(_Unsorted(), answers)


async def test_no_two_answers_are_compared() -> None:
    class Counting(MathGrader):
        async def equivalent(self, a: str, b: str) -> bool:
            compared.append((a, b))
            return await super().equivalent(a, b)

    compared: list[tuple[str, str]] = []
    assert len(await group(Counting(), [str(n) for n in range(1_000)] + ["x"])) == 1_001
    assert len(await group(Counting(), ["7", "7.0", "14/2", "8"])) == 2
    assert compared == []


async def test_many_answers() -> None:
    rng = random.Random(1)
    answers = [str(rng.randrange(1_000)) for _ in range(100_000)]
    assert len(await group(MathGrader(), answers)) == 1_000
