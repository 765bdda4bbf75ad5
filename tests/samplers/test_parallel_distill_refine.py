"""Parallel-distill-refine: rounds, operators, workspaces, limits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from tests.samplers.talker import Talker, talk
from widthwise import BestOfN, Budget, MajorityVote, ParallelDistillRefine, Strategy, UsageError
from widthwise.core.errors import BackendError
from widthwise.core.pruner import Decision
from widthwise.core.session.session import Session
from widthwise.core.strategy.part import Part
from widthwise.core.trace.trace import Trace
from widthwise.samplers.preference import best


def plain(prompt: str, index: int) -> str:
    """Drafts are ``a0 = 0``, ``a1 = 1`` ...; refined ones say how many drafts they saw."""
    if prompt.startswith("summarise"):
        return "they agree"
    if prompt.startswith("refine"):
        return f"r{index} saw {prompt.count('[')} = 2"
    return "a" * (index + 1) + f" = {index}"


def shown(prompt: str) -> list[str]:
    """The drafts that a prompt shows."""
    return re.findall(r"\[\d+: ([^\]]*)\]", prompt)


async def test_each_round_sees_the_notes_of_the_round_before_and_nothing_else() -> None:
    backend = Talker(plain)
    session = talk(backend)
    drafts = await ParallelDistillRefine((3, 2, 1))(session)
    assert backend.asked.count("1+1?") == 3
    first, second = backend.begun("summarise")
    assert shown(first) == ["a = 0", "aa = 1", "aaa = 2"]
    assert shown(second) == ["r0 saw 0 = 2", "r1 saw 0 = 2"]
    assert first.endswith(str(int(4096 * 0.75)))
    assert backend.begun("refine") == ["refine 1+1? (they agree)"]
    assert backend.asked.count("refine 1+1? (they agree)") == 2 + 1
    assert [d.completion for d in drafts] == ["r0 saw 0 = 2\0"]
    # The critical path: the longest draft of each round, and the notes between them.
    notes = len("they agree") + 1
    assert session.ledger.sequential == (len("aaa = 2") + 1) + notes + 13 + notes + 13
    assert drafts[0].sequential == session.ledger.sequential
    assert session.ledger.judging == 2 * notes
    assert len(session.leaves) == 6


async def test_the_last_round_may_be_voted_on() -> None:
    session = talk(plain)
    result = await (ParallelDistillRefine(4) | MajorityVote()).run(session)
    assert (result.answer, len(result.election.classes[0].traces)) == ("2", 4)


async def test_the_k_best_by_the_models_own_choice_are_shown_to_all() -> None:
    backend = Talker(lambda p, i: "Surely [4, 2, 4, 9]." if p.startswith("select") else plain(p, i))
    session = talk(backend)
    await ParallelDistillRefine((5, 3), distill="top_k", k=2, by="self")(session)
    assert [p[:13] for p in backend.begun("select")] == ["select 2 of 5"]
    [refine] = backend.begun("refine")
    assert shown(refine) == ["aa = 1", "aaaa = 3"]
    assert backend.asked.count(refine) == 3


async def test_per_sample_each_draft_has_a_choice_of_its_own() -> None:
    backend = Talker(lambda p, i: f"[{i + 1}, {i + 2}]" if p.startswith("select") else plain(p, i))
    session = talk(backend)
    await ParallelDistillRefine((5, 3), distill="per_sample", k=2, by="self")(session)
    assert [shown(p) for p in backend.begun("refine")] == [
        ["a = 0", "aa = 1"],
        ["aa = 1", "aaa = 2"],
        ["aaa = 2", "aaaa = 3"],
    ]
    assert session.ledger.judging == 3 * len("[1, 2]\0")


@pytest.mark.parametrize("operator", ["top_k", "per_sample"])
async def test_verdicts_choose_where_the_model_cannot_name_drafts(operator: str) -> None:
    def reply(prompt: str, index: int) -> str:
        if not prompt.startswith("verify"):
            return plain(prompt, index)
        return "checked\n\nyes" if "= 3" in prompt or "= 0" in prompt else "checked\n\nno"

    backend = Talker(reply)
    session = talk(backend)
    await ParallelDistillRefine((5, 2), distill=operator, k=2)(session)  # type: ignore[arg-type]
    [refine] = backend.begun("refine")
    assert shown(refine) == ["a = 0", "aaaa = 3"]
    assert sum(p.startswith("verify") for p in backend.asked) == (5 if operator == "top_k" else 10)
    verdict = len("checked\n\nyes\0")
    assert min(t.sequential for t in session.leaves if t.id[0] > 0) >= len("aaaaa = 4\0") + len("refine")
    # All drafts are judged once all are finished, and the longest verdict counts.
    assert session.ledger.sequential == len("aaaaa = 4\0") + verdict + len("r0 saw 2 = 2\0")


@pytest.mark.parametrize("reply", ["none of them", "[7, 8, 0]", "[" + "9" * 50 + "]", ""])
async def test_a_choice_that_names_nothing_falls_to_a_seeded_draw(reply: str) -> None:
    session = talk(lambda p, i: reply if p.startswith("select") else plain(p, i))
    drafts = await ParallelDistillRefine((5, 2), distill="top_k", k=2, by="self")(session)
    assert [session.answer(d) for d in drafts] == ["2", "2"]
    assert all("saw 2" in d.completion for d in drafts)


def test_the_best_are_ascending_the_unscored_last_and_ties_a_matter_of_the_seed() -> None:
    assert best([0.1, None, 0.9, 0.5], 2, seed=0) == (2, 3)
    assert best([None, 0.1, None], 2, seed=0) in ((0, 1), (1, 2))
    assert best([None, -5.0], 1, seed=3) == (1,)
    assert len({best([0.5] * 6, 2, seed) for seed in range(50)}) > 5


async def test_random_workspaces_differ_between_drafts_and_follow_from_the_seed() -> None:
    seen = {}
    for seed in (0, 1):
        backend = Talker(plain)
        await ParallelDistillRefine((6, 6), distill="random_k", k=2)(talk(backend, seed=seed))
        again = Talker(plain)
        await ParallelDistillRefine((6, 6), distill="random_k", k=2)(talk(again, seed=seed))
        assert backend.asked == again.asked
        seen[seed] = [shown(p) for p in backend.begun("refine")]
        assert len(seen[seed]) > 2
        assert all(len(set(drafts)) == 2 for drafts in seen[seed])
    assert seen[0] != seen[1]


async def test_as_many_drafts_as_are_shown_need_no_choice() -> None:
    backend = Talker(plain)
    session = talk(backend)
    await ParallelDistillRefine((3, 2), distill="top_k", k=4, by="self")(session)
    assert backend.begun("select") == []
    assert [len(shown(p)) for p in backend.begun("refine")] == [3]


async def test_the_workspace_holds_the_ends_of_visible_solutions_only() -> None:
    thought = "<think>" + "hm = 7 " * 50 + "</think>"
    backend = Talker(lambda p, i: f"{thought}{'x' * 30}{i} = 2" if p == "1+1?" else "= 2")
    session = talk(backend)
    await ParallelDistillRefine((3, 1), distill="random_k", k=3, workspace_tokens=24)(session)
    [refine] = backend.begun("refine")
    assert shown(refine) == [f"xxx{i} = 2" for i in range(3)]  # a character is a token here: 24 / 3 each


async def test_free_drafts_see_the_bare_problem_and_one_draft_always_refines() -> None:
    backend = Talker(plain)
    session = talk(backend)
    await ParallelDistillRefine((4, 3, 1), distill="random_k", free=2)(session)
    assert backend.asked.count("1+1?") == 4 + 2
    assert sum(p.startswith("refine") for p in backend.asked) == 1 + 1


async def test_notes_that_fail_leave_the_next_round_the_bare_problem() -> None:
    def failing(prompt: str, index: int) -> str:
        if prompt.startswith("summarise"):
            raise BackendError("too long")
        return plain(prompt, index)

    backend = Talker(failing)
    drafts = await ParallelDistillRefine((3, 2))(talk(backend))
    assert backend.asked.count("1+1?") == 5
    assert len(drafts) == 2


@dataclass(frozen=True)
class CutLong(Part):
    """Stops traces that have grown to ten tokens."""

    every: int = 2

    async def __call__(
        self, session: Session, live: Sequence[Trace], finished: Sequence[Trace], total: int
    ) -> Decision:
        return Decision(stop=frozenset(t.id for t in live if t.tokens >= 10))


async def test_pruned_and_empty_drafts_are_not_shown() -> None:
    backend = Talker(lambda p, i: ["", "short = 1", "very very long = 2"][i % 3] if p == "1+1?" else "= 2")
    session = talk(backend, pruners=[CutLong()])
    await ParallelDistillRefine((3, 1), distill="random_k")(session)
    [refine] = backend.begun("refine")
    assert shown(refine) == ["short = 1"]


@pytest.mark.parametrize("limit", range(1, 90, 4))
async def test_whatever_the_budget_the_drafts_so_far_are_voted_on(limit: int) -> None:
    strategy = ParallelDistillRefine((3, 2, 1)) | Budget(tokens=limit) | MajorityVote()
    session = talk(lambda p, i: plain(p, i).replace("=", "long work ="), budget=strategy.budget)
    result = await strategy.run(session)
    assert result.ledger.total <= limit
    assert limit < result.ledger.total + 18 + len("they agree\0") or result.ledger.samples == 6
    finished = [t for t in result.traces if t.finish == "stop"]
    if any(session.answer(t) is not None for t in finished):
        assert result.answer is not None


async def test_a_last_round_without_an_answer_does_not_lose_those_before() -> None:
    session = talk(lambda p, i: "hm" if p.startswith("refine") else plain(p, 1))
    assert (await Strategy(ParallelDistillRefine((3, 1))).run(session)).answer == "1"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"drafts": (8, 4), "rounds": 3}, "one number per round"),
        ({"drafts": ()}, "there must be at least one round"),
        ({"drafts": (4, 0)}, "at least one draft each"),
        ({"drafts": 4, "rounds": 0}, "there must be at least one round"),
        ({"distill": "best"}, "summary, top_k, per_sample, random_k"),
        ({"distill": "per_sample", "by": "mean_logprob"}, "asks the model anew"),
        ({"k": 0}, "k must be"),
        ({"workspace_tokens": 3}, "workspace_tokens"),
        ({"free": -1}, "free"),
    ],
)
def test_impossible_arguments_are_one_sentence(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ParallelDistillRefine(**arguments)  # type: ignore[arg-type]


def test_a_worker_with_a_budget_of_its_own_is_refused() -> None:
    with pytest.raises(UsageError, match="limits belong after the whole"):
        ParallelDistillRefine(worker=BestOfN(2) | Budget(tokens=9))


async def test_scores_choose_too() -> None:
    async def graded(session: Session) -> list[Trace]:
        return await session.sample(session.root)

    session = talk(plain)
    drafts = await ParallelDistillRefine((5, 2), distill="top_k", k=2, by="mean_logprob", worker=graded)(session)
    assert len(drafts) == 2
    with pytest.raises(UsageError, match="no trace of problem p1 has a score 'beauty'"):
        await ParallelDistillRefine((5, 2), distill="top_k", k=2, by="beauty")(talk(plain))
