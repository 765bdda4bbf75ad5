"""GenSelect and GenSynthesis against independent implementations of the release's rules, and worked examples."""

from __future__ import annotations

import random
import re
from collections import Counter
from typing import Any

import pytest

from tests.aggregators.judges import Judge, asked, trace
from widthwise import Budget, GenSelect, GenSynthesis, UsageError
from widthwise.core.trace.trace import Trace

TRACES = [trace(0, "= 5"), trace(1, "so = 2"), trace(2, "= 5"), trace(3, "= 7"), trace(4, "?")]


def shown(prompt: str) -> list[str]:
    """What the candidates of a question say, in their order."""
    return [text.strip() for text in re.findall(r"Attempt \d+:\n(.*)\n", prompt)]


def numbered(answers: list[int]) -> list[Trace]:
    return [trace(i, f"candidate {i} says = {a}") for i, a in enumerate(answers)]


def prompts(judge: Judge) -> list[str]:
    return [judge.tokenizer.decode(request.prompt) for request in judge.requests]


def score(seed: int, text: str) -> float:
    return random.Random(f"{seed} {text}").random()


def best(seed: int, texts: list[str]) -> int:
    return max(range(len(texts)), key=lambda i: score(seed, texts[i]))


def sure(seed: int) -> Judge:
    """A judge with a random score for each candidate, which names the best of those that it is shown."""
    return Judge(lambda prompt, index: f"They differ.\nJudgment: {1 + best(seed, shown(prompt))}")


async def test_worked_example() -> None:
    """Three windows of two; the judge likes 7, then 2, then 5: 7 is named where it is shown, and so on."""
    liked = ["= 7", "so = 2", "= 5"]
    judge = Judge(lambda prompt, index: f"Judgment: {1 + min(range(2), key=lambda i: liked.index(shown(prompt)[i]))}")
    answer = await GenSelect(window=2, draws=12)(asked(judge), TRACES)
    named = Counter(min(shown(prompt), key=liked.index) for prompt in prompts(judge))
    same = 12 - len(prompts(judge))  # windows that show the two 5s are not asked about
    assert {c.answer: c.weight for c in answer.classes} == {
        "7": named["= 7"],
        "2": named["so = 2"],
        "5": same + named["= 5"],
    }
    assert sum(named.values()) + same == 12
    assert all(len(shown(prompt)) == 2 for prompt in prompts(judge))


@pytest.mark.parametrize("window", [2, 3, 5, 16])
async def test_the_vote_counts_what_each_window_names(window: int) -> None:
    """On random scores: each draw names the best of its window, and the answer named most often wins."""
    for seed in range(30):
        answers = [random.Random(seed * 100 + i).randrange(4) for i in range(9)]
        judge = sure(seed)
        answer = await GenSelect(window=window, draws=15)(asked(judge, seed=seed), numbered(answers))
        votes: Counter[str] = Counter()
        for prompt in prompts(judge):
            texts = shown(prompt)
            assert len(set(texts)) == len(texts) == min(window, 9)
            votes[texts[best(seed, texts)].rpartition(" ")[2]] += 1
        silent = 15 - votes.total()
        weights = {c.answer: c.weight for c in answer.classes}
        assert sum(weights.values()) == 15
        assert all(votes[a] <= weights[a] <= votes[a] + silent for a in weights)
        if window == 16:
            best_of_all = answers[best(seed, [f"candidate {i} says = {a}" for i, a in enumerate(answers)])]
            assert (answer.text, silent) == (str(best_of_all), 0)
        assert weights[str(answer.text)] == max(weights.values())


async def test_the_trace_that_is_named_stands_for_its_answer() -> None:
    judge = Judge(lambda prompt, index: f"Judgment: {1 + shown(prompt).index('candidate 2 says = 5')}")
    answer = await GenSelect(draws=3)(asked(judge), numbered([5, 7, 5]))
    assert answer.trace is not None
    assert answer.trace.id == (0, 2)


@pytest.mark.parametrize(("window", "count", "rounds"), [(2, 8, [4, 2, 1]), (3, 10, [4, 2, 1]), (16, 20, [2, 1])])
async def test_the_best_candidate_wins_a_tournament(window: int, count: int, rounds: list[int]) -> None:
    for seed in range(20):
        judge = sure(seed)
        traces = numbered(list(range(count)))
        answer = await GenSelect(window=window, draws=2, decide="tournament")(asked(judge, seed=seed), traces)
        assert answer.text == str(best(seed, [f"candidate {i} says = {i}" for i in range(count)]))
        assert answer.classes[0].weight == len(rounds)
        sizes = [len(shown(prompt)) for prompt in prompts(judge)]
        assert max(sizes) <= window
        assert len(sizes) <= 2 * sum(rounds)
    assert sum(size > 1 for size in sizes) == len(sizes)


async def test_a_lot_decides_windows_of_which_nothing_was_said_and_it_is_noted() -> None:
    says = Judge(lambda prompt, index: f"Judgment: {1 + shown(prompt).index('so = 2')}" if "so = 2" in prompt else "?")
    session = asked(says)
    answer = await GenSelect(window=2, draws=1, decide="tournament")(session, TRACES)
    assert answer.text == "2"
    [silent, lots] = [note.text for note in session.notes]
    assert silent == f"1 of {len(says.requests)} judges' replies named no verdict"
    assert lots == "lots decided 1 windows in which no reply named a candidate"


async def test_windows_of_one_answer_are_named_without_a_question() -> None:
    """One draw of two among two equal ones and another: where the equal ones are drawn, nothing is left to ask."""
    unasked = 0
    for seed in range(20):
        judge = Judge(lambda prompt, index: f"Judgment: {1 + shown(prompt).index('= 7')}")
        session = asked(judge, seed=seed)
        answer = await GenSelect(window=2, draws=1)(session, [trace(i, f"= {a}") for i, a in enumerate("557")])
        assert answer.text == ("7" if judge.requests else "5")
        assert session.notes == []
        unasked += not judge.requests
    assert 0 < unasked < 20


@pytest.mark.parametrize("reply", ["", "0", "6", "Judgment: 1 or 2", "Judgment: 2\nI am not sure.", "Judgment: 1e3"])
@pytest.mark.parametrize("decide", ["vote", "tournament"])
async def test_a_reply_that_cannot_be_read_names_nobody(reply: str, decide: Any) -> None:
    session = asked(Judge(lambda prompt, index: reply))
    answer = await GenSelect(window=4, draws=3, decide=decide)(session, TRACES)
    assert answer.text == "5"
    assert [t.metadata["choice"] for t in session.judgements] == [None] * 3
    assert "3 of 3 judges' replies named no verdict" in session.notes[0].text
    assert session.notes[-1].text == "no reply named a candidate: the plain vote decided"


async def test_only_the_end_of_a_candidate_is_shown() -> None:
    judge = sure(0)
    await GenSelect(draws=1, shown_tokens=4)(asked(judge), TRACES)
    assert sorted(shown(prompts(judge)[0])) == ["= 2", "= 5", "= 5", "= 7"]


@pytest.mark.parametrize("make", [GenSelect, GenSynthesis])
@pytest.mark.parametrize("wrong", [{"window": 1}, {"draws": 0}, {"shown_tokens": 0}, {"tie": "x"}, {"decide": "x"}])
def test_impossible_windows_are_refused(make: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        make(**wrong)


# -- GenSynthesis --------------------------------------------------------------------------------------------------


async def test_new_solutions_vote() -> None:
    """Four new solutions answer 9, 9, 5 and nothing: 9 wins, which no candidate states."""
    said = iter(["so = 9", "all wrong = 9", "= 5", "?"])
    judge = Judge(lambda prompt, index: next(said))
    session = asked(judge)
    answer = await GenSynthesis(window=3, draws=4)(session, TRACES)
    assert (answer.text, [(c.answer, c.weight) for c in answer.classes]) == ("9", [("9", 2.0), ("5", 1.0)])
    assert all(len(shown(prompt)) == 3 and "?" not in shown(prompt) for prompt in prompts(judge))
    assert answer.trace in session.judgements
    assert session.leaves == []
    assert session.ledger.judging == judge.generated
    assert [note.text for note in session.notes] == ["1 of 4 new solutions state no answer"]


@pytest.mark.parametrize("reply", [None, "", "?"])
async def test_without_new_answers_the_plain_vote_decides(reply: str | None) -> None:
    session = asked(Judge(lambda prompt, index: reply))
    answer = await GenSynthesis(draws=2)(session, TRACES)
    assert answer.text == "5"
    assert session.notes[-1].text == "no new solution states an answer: the plain vote decided"


async def test_a_spent_budget_leaves_the_plain_vote() -> None:
    session = asked(Judge(lambda prompt, index: "= 9"), budget=Budget(tokens=1))
    session.ledger.sampled = 1
    assert (await GenSynthesis()(session, TRACES)).text == "5"


async def test_nothing_is_written_from_nothing() -> None:
    judge = Judge(lambda prompt, index: "= 9")
    assert (await GenSynthesis()(asked(judge), [trace(0, "?")])).text is None
    assert judge.requests == []
    assert (await GenSynthesis(draws=1)(asked(judge), [trace(0, "= 5"), trace(1, "= 5")])).text == "9"
