"""Aggregators that ask a model: good replies, no replies, and nonsense."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.aggregators.judges import SURE, Judge, Says, asked, trace
from widthwise import (
    Answer,
    Budget,
    GenerativeVerification,
    GenSelect,
    Knockout,
    League,
    MajorityVote,
    Part,
    PivotTournament,
    ProgramCheck,
    SelfVerification,
    StopWhenDecided,
    Strategy,
    UniversalSelfConsistency,
    UsageError,
)
from widthwise.core.session.session import Session
from widthwise.core.trace.trace import Trace
from widthwise.models.formats import GENERIC, REASONER

JUDGES: list[Part] = [
    GenerativeVerification(),
    SelfVerification(),
    Knockout(tie="first"),
    League(),
    PivotTournament(),
    UniversalSelfConsistency(),
    GenSelect(),
    GenSelect(decide="tournament", window=3, draws=2),
    ProgramCheck(k=1),
]

TRACES = [trace(0, "= 5"), trace(1, "so = 2", sequential=40), trace(2, "= 5"), trace(3, "= 7"), trace(4, "?")]


def likes(answer: str) -> Says:
    """A judge that accepts ``answer``, whatever the question."""

    def says(prompt: str, index: int) -> str:
        if "Solution 1:" in prompt:
            first, second = prompt.split("Solution 1:")[1].split("Solution 2:")
            return f"They differ.\n{1 if f'= {answer}' in first else 2 if f'= {answer}' in second else 'neither'}"
        if "Attempt 1:" in prompt:
            fits = [f"= {answer}" in part for part in prompt.split("Attempt ")[1:]]
            return str(1 + fits.index(True)) if any(fits) else "none of them"
        if "Python program" in prompt:
            return f"Here:\n```python\nprint({f'answer: {answer}' in prompt})\n```"
        return "I looked.\n\n" + ("Yes." if f"= {answer}" in prompt else "no")

    return says


@pytest.mark.parametrize("aggregator", JUDGES, ids=str)
async def test_a_good_judge_finds_the_right_answer_against_the_majority(aggregator: Any) -> None:
    session = asked(Judge(likes("2")))
    answer = await aggregator(session, TRACES)
    assert (answer.text, answer.tied) == ("2", False)
    assert answer.trace is TRACES[1]
    assert {c.answer for c in answer.classes} == {"5", "2", "7"}
    assert answer.classes[0].answer == "2"


@pytest.mark.parametrize("aggregator", JUDGES, ids=str)
async def test_judges_are_charged_and_are_no_solutions(aggregator: Any) -> None:
    judge = Judge(likes("2"))
    session = asked(judge, pruners=(StopWhenDecided(),))
    await aggregator(session, TRACES)
    assert session.ledger.judging == judge.generated > 0
    assert session.ledger.sampled == session.ledger.samples == 0
    assert session.leaves == []
    assert len(session.judgements) == len(judge.requests)
    # A question about all traces had to wait for the longest of them.
    assert session.ledger.sequential >= 40 + min(t.tokens for t in session.judgements)


@pytest.mark.parametrize("reply", [None, "", "?", "I cannot say.\nyes or no", "9", "```python\n1 / 0\n```"])
@pytest.mark.parametrize("aggregator", JUDGES, ids=str)
async def test_failures_and_nonsense_leave_the_majority(aggregator: Any, reply: str | None) -> None:
    session = asked(Judge(lambda prompt, index: reply))
    answer = await aggregator(session, TRACES)
    assert answer.text == "5"
    assert session.judgements
    assert all(t.finish == ("error" if reply is None else "stop") for t in session.judgements)
    noted = [t.metadata.get("verdict", t.metadata.get("choice", "nothing noted")) for t in session.judgements]
    assert noted == [None] * len(noted)


@pytest.mark.parametrize("aggregator", JUDGES, ids=str)
async def test_a_failed_judge_is_recorded_and_the_problem_goes_on(aggregator: Any) -> None:
    async def given(session: Session) -> list[Trace]:
        return TRACES

    session = asked(Judge(lambda prompt, index: None))
    result = await Strategy(given, aggregator=aggregator).run(session)
    assert (result.answer, set(result.errors)) == ("5", {"the judge is out"})
    assert {t.segment.reason for t in result.judgements} == {"the judge is out"}


@pytest.mark.parametrize("aggregator", JUDGES, ids=str)
async def test_a_budget_that_is_used_up_leaves_the_majority(aggregator: Any) -> None:
    session = asked(Judge(likes("2")), budget=Budget(tokens=1))
    session.ledger.sampled = 1
    assert (await aggregator(session, TRACES)).text == "5"
    assert session.ledger.judging == 0


@pytest.mark.parametrize("aggregator", JUDGES, ids=str)
async def test_nobody_is_asked_where_there_is_nothing_to_decide(aggregator: Any) -> None:
    judge = Judge(likes("2"))
    assert (await aggregator(asked(judge), [])).text is None
    assert (await aggregator(asked(judge), [trace(0, "?")])).text is None
    assert (await aggregator(asked(judge), [trace(0, "= 5"), trace(1, "= 5.0"), trace(2, "?")])).text == "5"
    assert judge.requests == []


@pytest.mark.parametrize("aggregator", JUDGES, ids=str)
async def test_the_same_seed_gives_the_same_verdict(aggregator: Any) -> None:
    def moody(prompt: str, index: int) -> str:
        return random.Random(f"{prompt} {index}").choice(["yes", "no", "1", "2", "?", "```\nprint(True)\n```"])

    traces = [trace(i, f"= {i % 6}") for i in range(20)]
    seen = set()
    for _ in range(2):
        session = asked(Judge(moody))
        answer = await aggregator(session, traces)
        seen.add((answer.text, answer.tied, tuple(c.weight for c in answer.classes), session.ledger.judging))
    assert len(seen) == 1


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(JUDGES[:-1]),
    st.text(alphabet="yesno12+-\n .*`", max_size=30),
    st.lists(st.integers(0, 4), max_size=9),
)
async def test_whatever_a_judge_says_an_answer_of_the_traces_wins(
    aggregator: Any, reply: str, stated: list[int]
) -> None:
    answer = await aggregator(
        asked(Judge(lambda prompt, index: reply)), [trace(i, f"= {a}") for i, a in enumerate(stated)]
    )
    assert (answer.text is None) == (not stated)
    assert answer.text is None or int(answer.text) in stated


# -- generative verification ---------------------------------------------------------------------------------------


async def test_verifications_weigh_the_votes() -> None:
    """s = mean P(right) over the verdicts: 3 of 4 for 2; 1 of 4 for 5, which has twice the votes."""

    def says(prompt: str, index: int) -> str:
        return "Yes" if index < (3 if "= 2" in prompt else 1) else "no"

    session = asked(Judge(says))
    p, q = SURE, 1 - SURE  # of the verdict's token alone: the other word is assumed to have the rest
    answer = await GenerativeVerification(k=4)(session, TRACES)
    weights = {c.answer: c.weight for c in answer.classes}
    assert weights == pytest.approx({"5": 2 * (p + 3 * q) / 4, "2": (3 * p + q) / 4, "7": (p + 3 * q) / 4}, abs=1e-3)
    best = await GenerativeVerification(k=4, votes=False)(session, TRACES)
    assert best.text == "2"
    assert len(session.judgements) == 2 * 3 * 4


async def test_the_verdicts_probability_is_read_from_its_token() -> None:
    for right in (0.9, 0.2):
        session = asked(Judge(lambda prompt, index: "So: **Yes**\n", right=right))
        answer = await GenerativeVerification(k=2, votes=False)(session, TRACES)
        assert [c.weight for c in answer.classes] == pytest.approx([right] * 3)
        assert all(t.metadata["verdict"] == pytest.approx(right) for t in session.judgements)


async def test_abstentions_are_not_counted_and_the_unjudged_have_an_even_chance() -> None:
    def says(prompt: str, index: int) -> str | None:
        return None if "= 7" in prompt else ["no", "dunno", None, "no"][index] if "= 5" in prompt else "maybe"

    answer = await GenerativeVerification(k=4, votes=False)(asked(Judge(says)), TRACES)
    assert {c.answer: c.weight for c in answer.classes} == pytest.approx({"5": 1 - SURE, "2": 0.5, "7": 0.5}, abs=1e-3)


async def test_a_reply_that_was_cut_off_is_no_verdict() -> None:
    session = asked(Judge(lambda prompt, index: "So: yes"))
    cut = await session.sample(session.ask("verify", draft="= 2"), judging=True, max_tokens=7)
    assert (cut[0].completion, cut[0].finish) == ("So: yes", "length")
    assert session.verdict(cut[0]) is None
    session = asked(Judge(lambda prompt, index: "Yes, it is"))
    (word,) = await session.sample(session.ask("verify", draft="= 2"), judging=True, max_tokens=3)
    assert session.verdict(word) == pytest.approx(SURE), "a reply of one word is whole"


async def test_the_reasoner_says_plus_or_minus() -> None:
    def says(prompt: str, index: int) -> str:
        assert prompt == "1+1?<draft>so = 2<verify>\n" or "<draft>= " in prompt
        return "1 + 1 = 2\n\n" + ("+" if "= 2" in prompt else "-")

    assert (await GenerativeVerification(k=1)(asked(Judge(says), format=REASONER), TRACES)).text == "2"
    with pytest.raises(UsageError, match="'reasoner' has no prompt 'compare'"):
        await Knockout()(asked(Judge(says), format=REASONER), TRACES)


async def test_the_judge_reads_no_thinking_and_no_end_token() -> None:
    prompts = []

    def says(prompt: str, index: int) -> str:
        prompts.append(prompt)
        return "<think>no no no</think>yes"

    session = asked(Judge(says))
    (thought,) = await session.sample(session.ask("outline", outline="x"), judging=True)
    assert thought.completion.endswith("</think>yes\0")
    assert session.solution(thought) == "yes"
    await GenerativeVerification(k=1)(session, [thought_of(thought, "<think>= 9</think>So = 2\0"), trace(1, "= 3")])
    assert "Here is a solution.\n\nSo = 2\n\nCheck" in prompts[-2]


def thought_of(like: Trace, text: str) -> Trace:
    made = trace(0, text)
    made.segment.token_ids[-1] = 0
    assert like.segment.token_ids[-1] == 0
    return made


# -- comparisons ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("aggregator", [League(k=4, tie="first"), SelfVerification(k=1)], ids=str)
@pytest.mark.parametrize("place", ["1", "2"])
async def test_a_judge_that_likes_a_place_decides_nothing(aggregator: Any, place: str) -> None:
    answer = await aggregator(asked(Judge(lambda prompt, index: place)), TRACES)
    assert answer.text == "5"


@pytest.mark.slow
@pytest.mark.parametrize("place", ["1", "2"])
async def test_of_a_judge_that_likes_a_place_a_knockout_is_a_lot_among_the_traces(place: str) -> None:
    judge, runs = Judge(lambda prompt, index: place), 300
    answers = [(await Knockout()(asked(judge, seed=seed), TRACES)).text for seed in range(runs)]
    for text, share in (("5", 0.5), ("2", 0.25), ("7", 0.25)):
        assert answers.count(text) / runs == pytest.approx(share, abs=3 * (share * (1 - share) / runs) ** 0.5)


async def test_every_pair_is_compared_in_both_orders() -> None:
    judge = Judge(likes("2"))
    await Knockout(k=6)(asked(judge), [trace(0, "= 2"), trace(1, "= 3")])
    shown = [re.findall(r"= (\d)", judge.tokenizer.decode(r.prompt)) for r in judge.requests]
    assert sorted(shown) == [["2", "3"]] * 3 + [["3", "2"]] * 3


async def test_a_knockout_takes_n_minus_one_matches_in_log_n_rounds() -> None:
    for n in (2, 3, 5, 8, 13):
        judge = Judge(lambda prompt, index: str(likes("0")(prompt, index))[-1])
        session = asked(judge)
        answer = await Knockout(k=2)(session, [trace(i, f"= {i}.0") for i in range(n)])
        assert len(judge.requests) == 2 * (n - 1)
        rounds = (n - 1).bit_length()
        assert answer.classes[0].weight <= rounds
        assert session.ledger.sequential == rounds * len("1\0")


async def test_drawn_matches_go_by_lot_and_lots_are_reported() -> None:
    undecided = Judge(lambda prompt, index: "1")
    answers = Knockout(entry="answers")
    more = await answers(asked(undecided), [trace(0, "= 3"), trace(1, "= 2"), trace(2, "= 2")])
    assert (more.text, more.tied) == ("2", False), "of answers, the one with more votes"
    for knockout in (Knockout(), answers):
        drawn = [await knockout(asked(undecided, seed=s), [trace(0, "= 3"), trace(1, "= 2")]) for s in range(20)]
        assert {a.text for a in drawn} == {"2", "3"}
        assert all(a.tied for a in drawn)


@pytest.mark.slow
async def test_the_recursion_of_the_knockout() -> None:
    """p_gen 0.2, p_comp 0.6, K 4: P(right) is .2, .2474, .3025 for 1, 2, 4 candidates (independent pairs)."""
    rng = random.Random(3)
    runs = 400
    for n, expected in ((2, 0.2474), (4, 0.3025)):
        won = 0
        for seed in range(runs):
            good = {f"= {i}." for i in range(n) if rng.random() < 0.2}

            def says(prompt: str, index: int, good: set[str] = good) -> str:
                places = [any(g in part for g in good) for part in prompt.split("Solution ")[1:]]
                if places[0] == places[1]:
                    return rng.choice("12")
                return str(1 + (places[1] if rng.random() < 0.6 else places[0]))

            answer = await Knockout(k=4)(asked(Judge(says), seed=seed), [trace(i, f"= {i}.") for i in range(n)])
            won += f"= {answer.text}" in good
        assert won / runs == pytest.approx(expected, abs=2.5 * (expected * (1 - expected) / runs) ** 0.5)


async def test_near_ties_of_verification_are_compared() -> None:
    """5 and 2 get equal verdicts, 7 does not: one pair is compared."""

    def says(prompt: str, index: int) -> str:
        return likes("2")(prompt, index) if "Solution 1" in prompt else "no" if "= 7" in prompt else "yes"

    judge = Judge(says)
    answer = await SelfVerification(k=2, comparisons=4)(asked(judge), TRACES)
    assert answer.text == "2"
    assert len(judge.requests) == 4 * 2 + 2 * 4, "5 stands there twice: both of its traces are close"
    assert answer.classes[-1].answer == "7"
    judge = Judge(says)
    assert (await SelfVerification(k=2, comparisons=4, entry="answers")(asked(judge), TRACES)).text == "2"
    assert len(judge.requests) == 3 * 2 + 4


async def test_no_comparisons_where_one_candidate_stands_out() -> None:
    judge = Judge(likes("2"))
    assert (await SelfVerification(k=2)(asked(judge), TRACES)).text == "2"
    assert len(judge.requests) == 4 * 2


async def test_a_league_asks_everybody_about_as_many_opponents() -> None:
    judge = Judge(likes("2"))
    traces = [trace(i, f"= {i}") for i in range(5)]
    answer = await League(opponents=3, k=2)(asked(judge), traces)
    assert len(judge.requests) == 5 * 3 * 2
    assert answer.text == "2"
    assert answer.classes[0].weight == 1.0
    assert not any("They differ." in judge.tokenizer.decode(r.prompt) for r in judge.requests), "all at once"


async def test_an_odd_comparison_shows_the_pair_in_its_order() -> None:
    for k, orders in ((1, (1, 0)), (3, (2, 1))):
        judge = Judge(likes("2"))
        await Knockout(k=k)(asked(judge), [trace(0, "= 2"), trace(1, "= 3")])
        shown = [tuple(re.findall(r"= (\d)", judge.tokenizer.decode(r.prompt))) for r in judge.requests]
        assert sorted(shown.count(order) for order in (("2", "3"), ("3", "2"))) == sorted(orders)


@pytest.mark.parametrize("wrong", [{"k": 0}, {"entry": "everybody"}])
@pytest.mark.parametrize("make", [Knockout, League])
def test_impossible_contests_are_refused(make: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        make(**wrong)


async def test_equal_answers_advance_free_where_they_are_told_to() -> None:
    """Five traces of 2 and three of 3: the judge sees a match of two equal answers only without ``skip_equal``."""
    traces = [trace(i, f"= {a}") for i, a in enumerate("22222333")]
    for make in (Knockout, League):
        asked_about = {}
        for skip in (False, True):
            judge = Judge(likes("2"))
            answer = await make(skip_equal=skip)(asked(judge), traces)
            assert answer.text == "2"
            pairs = [tuple(re.findall(r"= (\d)", judge.tokenizer.decode(r.prompt))) for r in judge.requests]
            asked_about[skip] = len(pairs)
            assert (("2", "2") in pairs) == (not skip)
        assert (asked_about[True] < asked_about[False]) == (make is Knockout), "a league draws other opponents"


async def test_where_some_replies_say_nothing_it_is_noted() -> None:
    judge = Judge(lambda prompt, index: "no idea" if prompt.index("= 2") < prompt.find("= 3") else "1")
    session = asked(judge)
    await Knockout()(session, [trace(0, "= 2"), trace(1, "= 3")])
    assert [note.text for note in session.notes] == ["1 of 2 judges' replies named no verdict"]
    silent = asked(Judge(lambda prompt, index: "?"))
    assert (await Knockout()(silent, TRACES)).text == "5"
    assert [note.text for note in silent.notes][-1] == "no comparison named a winner: the plain vote decided"


# -- universal self-consistency ------------------------------------------------------------------------------------


async def test_the_responses_are_shown_in_orders_of_their_own() -> None:
    judge = Judge(likes("7"))
    answer = await UniversalSelfConsistency(k=5, responses=4)(asked(judge), TRACES)
    assert (answer.text, answer.classes[0].weight) == ("7", 5.0)
    shown = [re.findall(r"= (\d)", judge.tokenizer.decode(r.prompt)) for r in judge.requests]
    assert shown[0] == ["5", "2", "5", "7"]
    assert all(sorted(each) == ["2", "5", "5", "7"] for each in shown)
    assert len({tuple(each) for each in shown}) > 1
    assert {r.params.temperature for r in judge.requests} == {0.0}


async def test_only_so_many_responses_are_shown() -> None:
    judge = Judge(lambda prompt, index: "2")
    traces = [trace(i, f"= {i}") for i in range(30)]
    assert (await UniversalSelfConsistency()(asked(judge), traces)).text == "1"
    assert judge.tokenizer.decode(judge.requests[0].prompt).count("Attempt ") == 8


async def test_a_response_that_does_not_exist_is_not_chosen() -> None:
    for reply in ("4", "0", "-1", "1 or 2", "12345678901234567890", "one"):
        answer = await UniversalSelfConsistency()(asked(Judge(lambda p, i, reply=reply: reply)), TRACES[:3])
        assert answer.text == "5", reply
        majority = await MajorityVote()(asked(Judge(likes("5"))), TRACES[:3])
        assert [c.answer for c in answer.classes] == [c.answer for c in majority.classes]


# -- programs ------------------------------------------------------------------------------------------------------


async def test_programs_weigh_votes_by_passes_and_fails() -> None:
    """s = votes * exp(passes - fails): 2 e^-2 for 5, e^2 for 2, e^0 for 7, whose programs disagree."""

    def says(prompt: str, index: int) -> str:
        verdict = "False" if "answer: 5" in prompt else "True" if "answer: 2" in prompt else ["True", "False"][index]
        return f"```python\nprint('checking')\nprint({verdict})\n```"

    answer = await ProgramCheck(k=2)(asked(Judge(says)), TRACES)
    weights = {c.answer: c.weight for c in answer.classes}
    e = 2.718281828
    assert weights == pytest.approx({"2": 1.0, "7": e**-2, "5": 2 * e**-4})


@pytest.mark.slow
async def test_refusals_are_recorded_and_say_nothing() -> None:
    programs = {"5": "import os\nprint(True)", "2": "print(int('7') == 7)", "7": "while True: pass"}

    def says(prompt: str, index: int) -> str:
        return next(f"```\n{code}\n```" for a, code in programs.items() if f"answer: {a}\n" in prompt)

    session = asked(Judge(says))
    answer = await ProgramCheck(k=1, seconds=1)(session, TRACES)
    assert answer.text == "2"
    noted = {t.metadata["refusal"]: t.metadata["verdict"] for t in session.judgements}
    assert noted == {
        "importing 'os' is not allowed": None,
        None: True,
        next(refusal for refusal in noted if refusal and "it ran for more than" in refusal): None,
    }


async def test_the_prompt_says_what_a_program_may_use() -> None:
    judge = Judge(likes("2"))
    await ProgramCheck(k=1)(asked(judge), TRACES)
    prompt = judge.tokenizer.decode(judge.requests[0].prompt)
    assert "fractions" in prompt
    assert "itertools" in prompt


def test_all_questions_are_in_the_chat_format() -> None:
    assert {"verify", "compare", "consistency", "choose", "synthesise", "check"} <= set(GENERIC.prompts)
    assert Answer(None).text is None
