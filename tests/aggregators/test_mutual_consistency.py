"""rStar's mutual check: cuts, completions, and the answer that is chosen, against the check written anew."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from tests.core.scripted import PlainGrader, Replying
from tests.samplers.test_search_as_released import luck_of
from widthwise import MutualConsistency, UsageError
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


def chosen(answers: list[str], completed: list[list[str]], mode: str) -> str:
    """The winner of the released code, whose candidates are all worth 1."""
    kept = []
    for answer, said in zip(answers, completed, strict=True):
        same = said.count(answer)
        enough = {
            "loose": same > 0,
            "mid": same >= len(said) / 2,
            "strict": same == len(said),
            "majority": same > 0 and same == max(Counter(said).values()),
        }
        if enough[mode]:
            kept.append(answer)
    pool = kept or answers
    scores = {a: pool.count(a) / len(pool) + pool.count(a) / answers.count(a) * bool(kept) for a in dict.fromkeys(pool)}
    ranked = sorted(dict.fromkeys(answers), key=lambda a: -answers.count(a))  # by votes, then in order
    return max((a for a in ranked if a in scores), key=lambda a: round(scores[a], 9))


@pytest.mark.parametrize("mode", ["loose", "mid", "strict", "majority"])
@pytest.mark.parametrize("seed", range(8))
async def test_as_the_released_code_chooses(seed: int, mode: Any) -> None:
    answers = [str(int(luck_of("answer", seed, i) * 3)) for i in range(7)]
    solutions = [steps(f"s{i}", int(answer)) for i, answer in enumerate(answers)]

    def said(begun: str, index: int) -> str:
        number = int(begun[1 : begun.index(" ")])
        luck = luck_of("said", seed, begun, index)
        return answers[number] if luck < 0.4 else str(int(luck * 1000) % 3)

    s, _ = checking(solutions, lambda begun, i: f"= {said(begun, i)}")
    traces = await s.sample(s.root, 7)
    answer = await MutualConsistency(k=4, mode=mode)(s, traces)
    completed = []
    for trace, solution in zip(traces, solutions, strict=True):
        shown = Counter(cut(solution, 4, np.random.default_rng(s.seed("cut", *trace.id))))
        completed.append([said(begun, i) for begun, times in shown.items() for i in range(times)])
    assert answer.text == chosen(answers, completed, mode)


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
        "no completion confirmed any trace: the votes decide",
    ]


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
