"""DeepPrune: clusters of unfinished traces, with a scripted model and judge."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest

from tests.core.scripted import Scripted, session
from widthwise import AnswerProbe, BestOfN, Budget, DeepPrune, MajorityVote, SameAnswer
from widthwise.core.backend import Delta, Request, TokenStats
from widthwise.core.prompting.prompt import PromptFormat
from widthwise.core.strategy.result import Result

FORMAT = PromptFormat(
    "plain",
    prompts={"same_answer": "{problem}<1>{first}<2>{second}<judge>"},
    verdicts=("+", "-"),
    answer_now="<now> = ",
)
AT = 16


class Judging(Scripted):
    """Judges that texts with the same first letter will agree with probability 0.9, and others with 0.2.

    When asked for its answer now, it gives the letter's number. It records the pairs it was asked about.
    """

    def __init__(self, texts: Sequence[str], **options: int) -> None:
        super().__init__(texts, max_logprobs=20, **options)  # type: ignore[arg-type]
        self.pairs: list[str] = []
        self.probes = 0

    async def generate(self, request: Request) -> AsyncIterator[Delta]:
        said = self.tokenizer.decode(request.prompt)
        if said.endswith("<judge>\n"):
            first, second = said.split("<1>")[1].split("<2>")
            self.pairs.append(first[0] + second[0])
            p = 0.9 if first[0] == second[0] else 0.2
            top = np.log(np.array([[max(p, 1 - p), min(p, 1 - p)]], np.float32))
            ids = np.array([[ord("+"), ord("-")]] if p > 0.5 else [[ord("-"), ord("+")]])
            yield Delta(ids[0, :1], TokenStats(top[:, 0], ids, top), finish="length")
        elif said.endswith("<now> = "):
            self.probes += 1
            letter = said.split("\n")[1][0]
            yield Delta(np.array([ord(str(ord(letter) % 10))]), finish="stop")
        else:
            async for delta in super().generate(request):
                yield delta


def thinking(letter: str, number: int, answer: int, tokens: int = 60) -> str:
    """A unique text; its first letter shows which answer it will reach."""
    return f"{letter}{number:02d}{'.' * tokens}= {answer}"


TEXTS = [thinking(letter, i, "abc".index(letter)) for i, letter in enumerate("abacabba")]
"""Four a, three b, one c."""


def rule(**changes: object) -> DeepPrune:
    return DeepPrune(**{"at": AT, "keep": 2, **changes})  # type: ignore[arg-type]


async def drawn(
    texts: Sequence[str], pruner: DeepPrune, *, deterministic: bool = True, **of_n: int
) -> tuple[Result, Judging]:
    backend = Judging(texts, deterministic=deterministic)
    s = session(backend, pruners=[pruner], format=FORMAT)
    return await (BestOfN(len(texts), **of_n) | MajorityVote()).run(s), backend


def finished(result: Result) -> list[int]:
    return [t.id[-1] for t in result.traces if t.finish == "stop"]


async def test_a_few_of_the_largest_cluster_finish_and_the_rest_stop_where_they_were_compared() -> None:
    result, backend = await drawn(TEXTS, rule())
    assert finished(result) == [0, 2]
    assert result.answer == "0"
    stopped = [t for t in result.traces if t.finish == "pruned"]
    assert {t.tokens for t in stopped} == {AT}
    assert {str(t.segment.reason) for t in stopped} == {"redundant: of 8 traces in 3 clusters 2 go on"}
    assert " ".join(backend.pairs) == (
        "ab  aa ba  ac ac bc  aa aa ba ca  ab ab ab bb cb  ab ab ab bb bb cb  aa aa aa ba ba ba ca".replace("  ", " ")
    )
    assert result.ledger.judging == len(backend.pairs)
    assert result.ledger.sampled == sum(t.tokens for t in result.traces)


async def test_a_cluster_is_judged_by_some_of_its_members() -> None:
    _, backend = await drawn([thinking("a", i, 0) for i in range(10)], rule(compared=2))
    assert len(backend.pairs) == 1 + 2 * 8
    again = (await drawn([thinking("a", i, 0) for i in range(10)], rule(compared=2)))[1]
    assert [r.prompt.tolist() for r in backend.requests] == [r.prompt.tolist() for r in again.requests]


async def test_the_judge_sees_both_as_far_as_the_shorter_one_has_come() -> None:
    asking = session(Scripted(["a"]), format=FORMAT)
    long, short = asking.append(asking.root, "abcdefgh"), asking.append(asking.root, "xyz")
    assert asking.side_by_side(long, short) == ("abc", "xyz")
    assert asking.side_by_side(short, long) == ("xyz", "abc")


async def test_equal_texts_need_no_judge() -> None:
    _, backend = await drawn(["same text all along = 1"] * 6, rule())
    assert backend.pairs == []


async def test_the_threshold_decides_what_is_alike() -> None:
    result, _ = await drawn(TEXTS, rule(threshold=0.1))
    assert "in 1 clusters" in str(result.traces[-1].segment.reason)


async def test_no_more_clusters_are_opened_than_allowed() -> None:
    result, _ = await drawn(TEXTS, rule(clusters=2))
    assert "in 2 clusters" in str(result.traces[-1].segment.reason)


async def test_where_nobody_agrees_some_random_traces_finish_and_vote() -> None:
    texts = [thinking(letter, i, i % 2) for i, letter in enumerate("abcdefgh")]
    result, _ = await drawn(texts, rule(fallback=3))
    assert len(finished(result)) == 3
    assert sum(len(c.traces) for c in result.election.classes) == 3
    assert finished((await drawn(texts, rule(fallback=3)))[0]) == finished(result)


async def test_with_sizes_every_cluster_sends_some_who_speak_for_all() -> None:
    result, _ = await drawn(TEXTS, rule(vote="sizes", keep=1))
    assert finished(result) == [0, 1, 3]
    assert {c.answer: c.weight for c in result.election.classes} == {"0": 4.0, "1": 3.0, "2": 1.0}
    two, _ = await drawn(TEXTS, rule(vote="sizes", keep=2))
    assert {c.answer: c.weight for c in two.election.classes} == {"0": 4.0, "1": 3.0, "2": 1.0}


async def test_only_the_largest_cluster_votes_though_others_have_finished() -> None:
    texts = ["b = 1", "b = 1", *(thinking("a", i, 0) for i in range(3)), "b = 1"]
    result, _ = await drawn([*texts[:2], *texts[2:5]], rule())
    assert result.answer == "0"
    assert [c.answer for c in result.election.classes] == ["0"]


@pytest.mark.parametrize("width", [1, 2, 3])
async def test_in_a_narrow_draw_redundant_traces_stop_as_they_come(width: int) -> None:
    texts = [thinking("a", i, 0) for i in range(10)]
    result, _ = await drawn(texts, rule(), width=width)
    assert len(finished(result)) == 2
    assert result.answer == "0"
    assert {t.tokens for t in result.traces if t.finish == "pruned"} == {AT}


async def test_probes_ask_each_trace_once_what_its_answer_would_be() -> None:
    result, backend = await drawn(TEXTS, rule(judge=AnswerProbe()))
    assert finished(result) == [0, 2]
    assert backend.probes == 8
    assert result.ledger.judging == 8
    assert backend.pairs == []
    assert all("<now>" not in t.completion for t in result.traces)


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize("judge", [SameAnswer(), AnswerProbe()], ids=str)
async def test_engines_of_both_kinds_reach_the_same_answer(
    deterministic: bool, judge: SameAnswer | AnswerProbe
) -> None:
    texts = [thinking(letter, i, "abc".index(letter), 400) for i, letter in enumerate("abacabba")]
    result, _ = await drawn(texts, rule(judge=judge), deterministic=deterministic)
    assert result.answer == "0"


async def test_judges_are_paid_from_the_same_budget() -> None:
    texts = [thinking(letter, 0, 0) for letter in "abcdefgh"]  # a judge that finds all of them different prunes nothing
    long = len(texts[0]) + 1
    backend = Judging(texts, most=long)
    s = session(backend, pruners=[rule()], format=FORMAT, budget=Budget(tokens=8 * long))
    result = await (BestOfN(8) | MajorityVote()).run(s)
    assert s.ledger.judging > 0
    assert 8 * long <= result.ledger.total < 8 * long + 8
    assert "budget" in {t.finish for t in result.traces}


@pytest.mark.parametrize("wrong", [{"at": 0}, {"threshold": 2.0}, {"vote": "some"}])
def test_impossible_arguments_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must be"):
        rule(**wrong)
