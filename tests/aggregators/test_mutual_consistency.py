"""rStar's mutual check: cuts, completions, and the answer that is chosen, against the check written anew."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest

from tests.core.scripted import PlainGrader, Replying
from tests.samplers.test_search_as_released import luck_of
from widthwise import MutualConsistency, UsageError
from widthwise.aggregators.mutual_consistency import frequency
from widthwise.core.backend import Capabilities
from widthwise.core.problem import Problem
from widthwise.core.prompting.prompt import PromptFormat
from widthwise.core.session.limits import Limits
from widthwise.core.session.scheduler import Scheduler
from widthwise.core.session.session import Session
from widthwise.core.session.setting import Setting
from widthwise.core.strategy.composition import parse_strategy

FORMAT = PromptFormat("plain", template="{problem}")


def checking(solutions: list[str], complete: Any, **options: Any) -> tuple[Session, Replying]:
    """A session whose model writes ``solutions``, and ``complete(beginning, index)`` after the beginning of one."""

    def reply(prompt: str, index: int) -> str:
        begun = prompt.partition("\n")[2]
        return complete(begun, index) if begun else solutions[index % len(solutions)]

    backend = Replying(reply)
    setting = Setting(Scheduler(backend), PlainGrader(), FORMAT)
    return Session(Problem("p1", "1+1?", "2"), setting, **options), backend


def beginnings(session: Session) -> dict[str, list[str]]:
    """What was shown of each solution."""
    shown = sorted({reply.stem.completion for reply in session.judgements if reply.stem is not None})
    whole = [solution.completion.rstrip("\0") for solution in session.leaves]
    return {solution: [begun for begun in shown if solution.startswith(begun)] for solution in whole}


def steps(name: str, answer: int, count: int = 10) -> str:
    return "\n\n".join([*(f"{name} {i}" for i in range(1, count)), f"= {answer}"])


async def test_a_minority_wins_whose_traces_are_confirmed() -> None:
    """Three traces say 1, two say 2; whoever sees the beginnings comes to 2, except in half of those of x."""
    solutions = [steps("x", 1), steps("y", 1), steps("z", 1), steps("v", 2), steps("w", 2)]
    s, _ = checking(solutions, lambda begun, i: "= 1" if begun.startswith("x") else "= 2")
    traces = await s.sample(s.root, 5)
    answer = await MutualConsistency()(s, traces)
    # x counts, and v and w: one of three and a third of its own, against two of three and all of its own.
    assert answer.text == "2"
    assert [(c.answer, c.weight) for c in answer.classes] == [("2", pytest.approx(5 / 3)), ("1", pytest.approx(2 / 3))]
    assert s.ledger.judging == s.ledger.total - s.ledger.sampled > 0
    assert s.ledger.samples == 5


async def test_cuts_are_at_ends_of_steps_and_within_the_shares() -> None:
    s, _ = checking([steps("x", 1), steps("y", 2)], lambda begun, i: "= 1")
    await MutualConsistency(k=4)(s, await s.sample(s.root, 2))
    for solution, shown in beginnings(s).items():
        assert len(shown) == 4
        for begun in shown:
            assert solution.startswith(begun)
            assert begun.endswith("\n\n")
            assert 2 <= begun.count("\n\n") <= 8


async def test_a_trace_of_one_step_is_cut_between_words_and_one_of_one_word_is_written_anew() -> None:
    s, _ = checking(["a b c d e f g h i = 1", "=2"], lambda begun, i: "= 1")
    asked = s._shared.voices.first.setting.scheduler.backend.requests  # type: ignore[attr-defined]
    await MutualConsistency(k=3)(s, await s.sample(s.root, 2))
    shown = Counter(s._shared.voices.first.setting.tokenizer.decode(r.prompt).partition("\n")[2] for r in asked)
    assert shown.pop("") == 5  # two samples, and three completions of nothing
    assert all(2 <= begun.count(" ") <= 8 and begun.endswith(" ") for begun in shown)


async def test_its_tokens_are_those_of_the_trace() -> None:
    s, backend = checking([steps("x", 1), steps("y", 2)], lambda begun, i: "= 1")
    traces = await s.sample(s.root, 2)
    await MutualConsistency()(s, traces)
    for request in backend.requests[2:]:
        assert any(np.array_equal(request.prompt, t.token_ids[: len(request.prompt)]) for t in traces)


# -- against the check written anew ----------------------------------------------------------------------------


def cut(text: str, k: int, chance: np.random.Generator) -> list[str]:
    pieces = text.split("\n\n")
    fit = [i for i in range(1, len(pieces)) if 0.2 <= i / len(pieces) <= 0.8]
    return [
        "".join(piece + "\n\n" for piece in pieces[: fit[j]]) for j in chance.choice(len(fit), k, replace=len(fit) < k)
    ]


Told = tuple[str, int, float]
"""A candidate as the released code has it: its answer, its frequency, and its reward, summed over that."""


def confidences(candidates: list[Told], criterion: str) -> dict[str, float]:
    """Each answer's reward or frequency, divided by the frequency of all."""
    total = sum(times for _, times, _ in candidates)
    found: dict[str, float] = {}
    for answer, times, reward in candidates:
        found[answer] = found.get(answer, 0.0) + (reward if criterion == "reward" else times) / total
    return found


def chosen(candidates: list[Told], completed: list[list[str]], mode: str, criterion: str = "freq") -> str:
    """The winner of the released code, but with "mid" rounded up."""
    kept = []
    for one, said in zip(candidates, completed, strict=True):
        same = said.count(one[0])
        enough = {
            "loose": same > 0,
            "mid": same >= len(said) / 2,
            "strict": same == len(said),
            "majority": same > 0 and same == max(Counter(said).values()),
        }
        if enough[mode]:
            kept.append(one)
    scores = confidences(kept or candidates, criterion)
    for answer in scores if kept else ():
        lived, all_ = (sum(times for said, times, _ in each if said == answer) for each in (kept, candidates))
        scores[answer] += lived / all_
    votes = Counter(answer for answer, _, _ in candidates)
    ranked = sorted(dict.fromkeys(answer for answer, _, _ in candidates), key=lambda a: -votes[a])
    return max((a for a in ranked if a in scores), key=lambda a: round(scores[a], 9))  # ties: by votes, then in order


@pytest.mark.parametrize(
    ("times", "rewards", "by", "expected"),
    [
        # 9 / 18 + 10 / 20 against 2.4 / 18 + 1.
        ([10, 10, 4, 4], [0.9, 0.9, 0.3, 0.3], "score", {"2": 1 + 2.4 / 18, "1": 1.0}),
        # All rewards count 1, as the released code reads them: 10 / 18 + 10 / 20 against 8 / 18 + 1.
        ([10, 10, 4, 4], [0.9, 0.9, 0.3, 0.3], None, {"2": 1 + 8 / 18, "1": 0.5 + 10 / 18}),
    ],
)
async def test_frequencies_count_as_in_the_released_code(times: Any, rewards: Any, by: Any, expected: Any) -> None:
    """Of two traces that say 1 one is confirmed, of two that say 2 both."""
    solutions = [steps("x", 1), steps("y", 1), steps("v", 2), steps("w", 2)]
    s, _ = checking(solutions, lambda begun, i: "= 1" if begun.startswith("x") else "= 2")
    found = zip(await s.sample(s.root, 4), times, rewards, strict=True)
    traces = [s.annotate(trace, frequency=count, score=count * reward) for trace, count, reward in found]
    answer = await MutualConsistency(by=by)(s, traces)
    assert {each.answer: each.weight for each in answer.classes} == pytest.approx(expected)
    assert answer.text == "2"


@pytest.mark.parametrize("recorded", [0, -3, math.nan, math.inf, True, "many", None])
async def test_what_is_no_frequency_counts_once(recorded: Any) -> None:
    s, _ = checking([steps("x", 1)], lambda begun, i: "= 1")
    [trace] = await s.sample(s.root, 1)
    assert frequency(s.annotate(trace, frequency=recorded)) == 1


@pytest.mark.parametrize("mode", ["loose", "mid", "strict", "majority"])
@pytest.mark.parametrize("criterion", [None, "freq", "reward"])
@pytest.mark.parametrize("seed", range(10))
async def test_as_the_released_code_chooses(seed: int, criterion: str | None, mode: Any) -> None:
    k = 1 + seed % 5
    answers = [str(int(luck_of("answer", seed, i) * 3)) for i in range(7)]
    times = [1 + int(luck_of("times", seed, i) * 9) if criterion else 1 for i in range(7)]
    worth = [count * luck_of("worth", seed, i) for i, count in enumerate(times)]
    solutions = [steps(f"s{i}", int(answer)) for i, answer in enumerate(answers)]

    def said(begun: str, index: int) -> str:
        number = int(begun[1 : begun.index(" ")])
        luck = luck_of("said", seed, begun, index)
        return answers[number] if luck < 0.1 + 0.1 * (seed % 4) else str(int(luck * 1000) % 4)

    s, _ = checking(solutions, lambda begun, i: f"= {said(begun, i)}")
    found = zip(await s.sample(s.root, 7), times, worth, strict=True)
    facts = [(trace, {"frequency": count, "score": each} if criterion else {}) for trace, count, each in found]
    traces = [s.annotate(trace, **fact) for trace, fact in facts]
    by = "score" if criterion == "reward" else None
    answer = await MutualConsistency(k=k, mode=mode, by=by)(s, traces)
    completed = []
    for trace, solution in zip(traces, solutions, strict=True):
        shown = Counter(cut(solution, k, np.random.default_rng(s.seed("cut", *trace.id))))
        completed.append([said(begun, i) for begun, count in shown.items() for i in range(count)])
    told = list(zip(answers, times, worth, strict=True))
    assert answer.text == chosen(told, completed, mode, criterion or "freq")


# -- what may be missing ---------------------------------------------------------------------------------------


async def test_traces_that_agree_are_not_checked() -> None:
    s, backend = checking([steps("x", 1), steps("y", 1)], lambda begun, i: "= 1")
    assert (await MutualConsistency()(s, await s.sample(s.root, 2))).text == "1"
    assert len(backend.requests) == 2


async def test_if_nothing_is_confirmed_the_votes_decide_and_it_is_said() -> None:
    s, _ = checking([steps("x", 1), steps("y", 2), steps("z", 2)], lambda begun, i: "no idea")
    assert (await MutualConsistency()(s, await s.sample(s.root, 3))).text == "2"
    assert [note.text for note in s.notes] == [
        "12 of 12 completions stated no answer",
        "no completion confirmed any trace: the vote of all decides",
    ]


async def test_if_nothing_is_confirmed_the_best_score_decides() -> None:
    s, _ = checking([steps("x", 1), steps("y", 2), steps("z", 2)], lambda begun, i: "no idea")
    scored = zip(await s.sample(s.root, 3), (0.9, 0.4, 0.4), strict=True)
    assert (await MutualConsistency(by="score")(s, [s.annotate(t, score=score) for t, score in scored])).text == "1"
    assert s.notes[-1].text == "no completion confirmed any trace: the score of all decides"


async def test_without_budget_nothing_is_checked_and_the_votes_decide() -> None:
    s, _ = checking([steps("x", 1), steps("y", 2), steps("z", 2)], lambda begun, i: "= 1", budget=Limits(tokens=160))
    traces = await s.sample(s.root, 3)
    assert (await MutualConsistency()(s, traces)).text == "2"


def test_a_chat_server_is_refused_in_one_sentence() -> None:
    backend = Replying(lambda prompt, index: "")
    backend.capabilities = Capabilities(deterministic=True, continues=False)
    setting = Setting(Scheduler(backend), PlainGrader(), FORMAT)
    with pytest.raises(UsageError, match="needs a backend that can continue a text"):
        parse_strategy("best_of_n(n=4) | mutual_consistency()").check_against(setting, [Problem("p1", "1+1?", "2")])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: MutualConsistency(k=0), "k must be"),
        (lambda: MutualConsistency(mode="most"), "mode"),  # type: ignore[arg-type]
        (lambda: MutualConsistency(least=0.9), "shares"),
        (lambda: MutualConsistency(most=1.0), "shares"),
    ],
)
def test_wrong_arguments(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()
