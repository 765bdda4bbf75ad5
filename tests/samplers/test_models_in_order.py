"""Escalation, cascades, routing and mixtures of agents: which model is asked what, and whose answer stands."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

import widthwise as ww
from tests.core.scripted import PlainGrader, Replying
from tests.core.test_scoring import Told
from widthwise.core.retry import Retry
from widthwise.core.rewards.reward import Solution, StepScores
from widthwise.core.session.scheduler import Scheduler
from widthwise.core.session.setting import Setting
from widthwise.core.strategy.strategy import as_strategy

PROBLEM = ww.Problem("p1", "1+1?", "2")
PROMPTS = {"mixture": "{count} said {drafts}", "refine": "{problem} {drafts}", "each_draft": "[{text}]"}


def setting(**models: Any) -> Setting:
    """A run with these models by name: each a list of answers in order, or a function of the prompt and the place."""
    settings = []
    for name, said in models.items():
        reply = said if callable(said) else lambda prompt, index, said=said: f"={said[index % len(said)]}"
        form = ww.PromptFormat(name, template="{problem}", prompts=PROMPTS)
        scheduler = Scheduler(Replying(reply), retry=Retry(attempts=1))
        settings.append(Setting(scheduler, PlainGrader(), form, model=name))
    first, *others = settings
    return Setting(first.scheduler, first.grader, first.format, model=first.model, others={o.model: o for o in others})


def calls(run: Setting) -> dict[str, int]:
    return {name: len(each.backend.requests) for name, each in run.models.items()}  # type: ignore[attr-defined]


# -- escalate --------------------------------------------------------------------------------------------------


async def test_traces_that_agree_are_not_escalated() -> None:
    run = setting(small=[1, 1, 1], large=[2])
    result = await (ww.BestOfN(3, model="small") | ww.Escalate(model="large")).solve(PROBLEM, run)
    assert (result.answer, calls(run)) == ("1", {"small": 3, "large": 0})


async def test_traces_that_disagree_are() -> None:
    run = setting(small=[1, 1, 3], large=[2])
    result = await (ww.BestOfN(3, model="small") | ww.Escalate(model="large")).solve(PROBLEM, run)
    assert (result.answer, calls(run)) == ("2", {"small": 3, "large": 1})
    assert result.ledger.samples == 4


async def test_the_paper_s_vote_is_trusted_from_a_share_of_all_traces_on() -> None:
    chance = random.Random(5)
    for _ in range(40):
        said = [chance.choice([1, 2, 3, "?"]) for _ in range(6)]
        threshold = chance.choice([0.3, 0.5, 0.8])
        commonest = max(Counter(a for a in said if a != "?").values(), default=0)
        run = setting(small=said, large=[9])
        await (ww.BestOfN(6) | ww.Escalate(model="large", threshold=threshold)).solve(PROBLEM, run)
        assert calls(run)["large"] == (commonest / 6 < threshold), (said, threshold)


async def test_all_may_vote_after_an_escalation() -> None:
    run = setting(small=[1, 1, 3], large=[3, 3])
    strategy = ww.BestOfN(3) | ww.Escalate(model="large", n=2, keep=True)
    result = await strategy.solve(PROBLEM, run)
    assert result.answer == "3"
    assert [(c.answer, len(c.traces)) for c in result.classes] == [("3", 3), ("1", 2)]


async def test_an_unsure_winner_is_escalated_by_its_score_to_a_whole_strategy() -> None:
    strategy = "best_of_n(n=2) | escalate(when='unsure', threshold={}, model='large', worker=best_of_n(n=3))"
    for threshold, asked in ((-0.6, 0), (-0.4, 3)):  # every token has the log-probability -0.5
        run = setting(small=[1, 1], large=[2])
        await ww.RunSettings.of(strategy.format(threshold)).strategy.solve(PROBLEM, run)
        assert calls(run)["large"] == asked


async def test_the_first_vote_stands_where_the_other_model_says_nothing_or_the_budget_ends() -> None:
    run = setting(small=[1, 1, 3], large=["?"])
    result = await (ww.BestOfN(3) | ww.Escalate(model="large")).solve(PROBLEM, run)
    assert (result.answer, result.notes[-1].text) == ("1", "large states no answer: the first vote stands")
    run = setting(small=[1, 1, 3], large=[2])
    result = await (ww.BestOfN(3) | ww.Budget(samples=3) | ww.Escalate(model="large")).solve(PROBLEM, run)
    assert (result.answer, calls(run)["large"]) == ("1", 0)
    assert "the budget ended before large could be asked" in result.notes[-1].text


# -- cascade ---------------------------------------------------------------------------------------------------


async def test_a_cascade_stops_at_the_first_answer_that_is_trusted() -> None:
    chance = random.Random(6)
    for _ in range(40):
        said = {name: [chance.choice([1, 2, "?"]) for _ in range(4)] for name in ("a", "b", "c")}
        thresholds = (chance.choice([0.25, 0.5, 0.75, 1.0]), chance.choice([0.25, 0.5, 0.75, 1.0]))
        expected = []
        for name, least in zip(said, (*thresholds, 0.0), strict=True):
            votes = Counter(a for a in said[name] if a != "?")
            expected.append((name, max(votes, key=votes.__getitem__, default=None)))
            if max(votes.values(), default=0) / 4 >= least:
                break
        run = setting(**said)
        strategy = ww.Cascade(("a", "b", "c"), thresholds=thresholds, worker=ww.BestOfN(4) | ww.MajorityVote())
        result = await as_strategy(strategy).solve(PROBLEM, run)
        asked = [name for name, count in calls(run).items() if count]
        assert asked == [name for name, _ in expected]
        assert result.answer == (None if expected[-1][1] is None else str(expected[-1][1]))


async def test_a_cascade_by_a_score_and_a_budget_that_ends() -> None:
    by = {"by": "mean_logprob", "thresholds": (-0.4,)}
    run = setting(a=[1], b=[2])
    result = await as_strategy(ww.Cascade(("a", "b"), **by)).solve(PROBLEM, run)
    assert (result.answer, calls(run)) == ("2", {"a": 1, "b": 1})
    run = setting(a=[1], b=[2])
    limited = as_strategy(ww.Cascade(("a", "b"), **by)) | ww.Budget(samples=1)
    result = await limited.solve(PROBLEM, run)
    assert (result.answer, calls(run)) == ("1", {"a": 1, "b": 0})
    assert "the budget ended before b could be asked" in result.notes[-1].text


async def test_a_cascade_at_its_defaults_asks_the_next_model_where_four_samples_disagree() -> None:
    for said, asked in (([1, 1, 1, 2], {"a": 4, "b": 0}), ([1, 1, 2, 3], {"a": 4, "b": 4})):
        run = setting(a=said, b=[9])
        result = await as_strategy(ww.Cascade(("a", "b"), thresholds=(0.75,))).solve(PROBLEM, run)
        assert (result.answer, calls(run)) == ("9" if asked["b"] else "1", asked)


async def test_samples_that_the_budget_did_not_allow_do_not_agree() -> None:
    for limit in (ww.Budget(samples=1), ww.Budget(tokens=4)):
        run = setting(a=[1], b=[2])
        result = await (ww.Cascade(("a", "b"), thresholds=(0.75,)) | limit).solve(PROBLEM, run)
        notes = [note.text for note in result.notes]
        assert f"a drew {calls(run)['a']} of 4 samples: the others count as disagreeing" in notes
        assert "the budget ended before b could be asked" in notes
    run = setting(a=[1], b=[2])
    few = ww.Route(("a", "b"), thresholds=(0.75,)) | ww.Budget(samples=2)
    result = await few.solve(PROBLEM, run)
    assert [note.text for note in result.notes][:2] == [
        "a drew 2 of 4 samples: the others count as disagreeing",
        "the probes of a agree to 0.50: b answers",
    ]


async def test_a_single_trace_is_not_trusted_because_it_agrees_with_itself() -> None:
    async def one(session: ww.Session) -> list[ww.Trace]:
        return await session.sample(session.root)

    run = setting(a=[1], b=[2])
    result = await as_strategy(ww.Cascade(("a", "b"), thresholds=(0.5,), worker=one)).solve(PROBLEM, run)
    assert (result.answer, calls(run)) == ("2", {"a": 1, "b": 1})
    run = setting(small=[1], large=[2])
    result = await (ww.Single(model="small") | ww.Escalate(model="large")).solve(PROBLEM, run)
    assert (result.answer, calls(run)) == ("2", {"small": 1, "large": 1})
    assert result.notes[0].text == "small drew a single trace: its agreement with itself is not trusted"


# -- route -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("probed", "answers"), [([1, 1, 1, 1], "a"), ([1, 1, 1, 2], "b"), ([1, 2, 3, 4], "c")])
async def test_a_problem_goes_to_the_model_that_its_probes_say(probed: list[int], answers: str) -> None:
    run = setting(a=probed, b=[7], c=[8])
    strategy = ww.Route(("a", "b", "c"), thresholds=(1.0, 0.5), worker=ww.BestOfN(2) | ww.MajorityVote())
    result = await as_strategy(strategy).solve(PROBLEM, run)
    assert calls(run) == {"a": 4, "b": 0, "c": 0} | {answers: 2 + 4 * (answers == "a")}
    assert result.answer == {"a": "1", "b": "7", "c": "8"}[answers]
    assert result.ledger.samples == 6


def digits(solution: Solution) -> StepScores:
    """A tenth of the last digit, but nothing for a 9."""
    digit = int(solution.steps[-1].strip("\0 ="))
    return StepScores(None, 1, "unread") if digit == 9 else StepScores((digit / 10,), 1)


@pytest.mark.parametrize(
    ("probed", "answers", "noted"),
    [
        ([8, 8, 9, 9], "a", ["2 of 4 probes have no reward_model + mean_logprob", "of 0.30: a answers"]),
        ([4, 4, 4, 4], "b", ["of -0.10: b answers"]),
        ([9, 9, 9, 9], "c", ["have no reward_model + mean_logprob: c answers"]),
    ],
)
async def test_a_probe_without_a_score_is_told_and_is_not_worth_zero(
    probed: list[int], answers: str, noted: list[str]
) -> None:
    """Each token's log-probability is -0.5, so the problem would go to another model if a missing score were 0."""
    run = replace(setting(a=probed, b=[7], c=[8]), reward_model=Told(digits))
    strategy = ww.Route(("a", "b", "c"), thresholds=(0.2, -0.3), by="reward_model + mean_logprob")
    result = await as_strategy(strategy).solve(PROBLEM, run)
    assert calls(run) == {"a": 4, "b": 0, "c": 0} | {answers: 1 + 4 * (answers == "a")}
    told = " ".join(note.text for note in result.notes)
    assert [words in told for words in noted] == [True] * len(noted)


# -- mixture of agents -----------------------------------------------------------------------------------------


async def test_layers_see_what_the_layer_before_has_said() -> None:
    seen: dict[str, list[str]] = {"a": [], "b": []}

    def says(name: str) -> Any:
        def reply(prompt: str, index: int) -> str:
            seen[name].append(prompt.strip())
            return f"{name}{len(seen[name])} =2"

        return reply

    run = setting(a=says("a"), b=says("b"))
    result = await as_strategy(ww.MixtureOfAgents(("a", "b"), aggregator="b")).solve(PROBLEM, run)
    second = "2 said [a1 =2][b1 =2]"
    assert seen["a"][0] == seen["b"][0] == "1+1?"
    assert (seen["a"][1], seen["b"][1]) == (second, second)
    assert seen["b"][2] == "2 said [a2 =2][b2 =2]"
    assert calls(run) == {"a": 2, "b": 3}
    assert result.answer == "2"
    requests = run.backend.requests  # type: ignore[attr-defined]
    assert {request.params.temperature for request in requests} == {0.7}


async def test_a_model_named_twice_proposes_twice_and_one_layer_is_one_answer() -> None:
    run = setting(a=[1, 2], b=[3])
    await as_strategy(ww.MixtureOfAgents(("a", "a", "b"), layers=2)).solve(PROBLEM, run)
    assert calls(run) == {"a": 3, "b": 1}
    run = setting(a=[1, 2], b=[3])
    await as_strategy(ww.MixtureOfAgents(("a", "b"), layers=1)).solve(PROBLEM, run)
    assert calls(run) == {"a": 1, "b": 0}


async def test_proposals_are_returned_where_the_aggregator_states_nothing() -> None:
    run = setting(a=[5], b=lambda prompt, index: "nothing")
    result = await (ww.MixtureOfAgents(("a",), layers=2, aggregator="b") | ww.MajorityVote()).solve(PROBLEM, run)
    assert result.answer == "5"


# -- refusals --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (lambda: ww.Escalate(), "needs the name of the model"),
        (lambda: ww.Escalate(model="b", when="unsure"), "needs a threshold"),
        (lambda: ww.Escalate(model="b", when="never"), "when"),  # type: ignore[arg-type]
        (lambda: ww.Escalate(model="b", n=0), "n must be at least 1"),
        (lambda: ww.Cascade(("a",)), "two or more different names"),
        (lambda: ww.Cascade(("a", "a"), thresholds=(1,)), "two or more different names"),
        (lambda: ww.Cascade(("a", "b")), "2 models need 1 thresholds"),
        (lambda: ww.Cascade(("a", "b"), thresholds=(1,), worker=ww.Single(model="a")), "worker names a model"),
        (lambda: ww.Route(("a", "b"), thresholds=(1,), probes=0), "probes must be at least 1"),
        (lambda: ww.Route(("a", "b"), thresholds=(1,), probes=1), "a single probe agrees with itself: draw several"),
        (lambda: ww.Cascade(("a", "b"), thresholds=(1,), worker=ww.Single()), "give a worker that draws several"),
        (lambda: ww.Cascade(("a", "b"), thresholds=(1,), worker=ww.BestOfN(1)), r"or a score .* \(by='mean_logprob'\)"),
        (lambda: ww.Cascade("hot", thresholds=(1,)), r"cascade: models must be a tuple of texts, .* not 'hot'"),  # type: ignore[arg-type]
        (lambda: ww.Cascade(("a", 1), thresholds=(1,)), r"models must be a tuple of texts, .* not \('a', 1\)"),  # type: ignore[arg-type]
        (lambda: ww.MixtureOfAgents("hot"), "mixture_of_agents: models must be a tuple of texts"),  # type: ignore[arg-type]
        (lambda: ww.ABMCTS(models="hot"), "ab_mcts: models must be a tuple of texts"),  # type: ignore[arg-type]
        (lambda: ww.Cascade(("a", "b"), thresholds=0.5), r"thresholds must be a tuple of numbers, .* not 0.5"),  # type: ignore[arg-type]
        (lambda: ww.Cascade(("a", "b"), thresholds=("a",)), "thresholds must be a tuple of numbers"),  # type: ignore[arg-type]
        (lambda: ww.Route(("a", "b"), thresholds=(True,)), r"thresholds must be a tuple of numbers, .* not \(True,\)"),
        (lambda: ww.Route(("a", "b"), thresholds=(float("nan"),)), "thresholds must be a tuple of numbers"),
        (
            lambda: ww.Cascade(("a", "b"), thresholds=(1,), worker="single"),
            "'single' is a text.* not a text that names it",
        ),
        (
            lambda: ww.ConfidenceGate("knockout", agreement=0.5),
            "'knockout' does not fit: an aggregator.* not a text that names it",
        ),
        (lambda: ww.Cascade(("a", "b"), thresholds=(1,), model="a"), "named by models"),
        (lambda: ww.Route(("a", "b"), thresholds=(1,), model="a"), "named by models"),
        (lambda: ww.MixtureOfAgents(("a",), model="a"), "named by models"),
        (lambda: ww.ABMCTS(models=("a",), model="a"), "named by models"),
        (lambda: ww.MixtureOfAgents(), "names of the models that propose"),
        (lambda: ww.MixtureOfAgents(("a",), layers=0), "layers must be at least 1"),
    ],
)
def test_what_makes_no_sense_is_refused(part: Any, reason: str) -> None:
    with pytest.raises(ww.UsageError, match=reason):
        part()


def test_a_list_of_names_is_as_good_as_a_tuple() -> None:
    listed: Any = ["a", "b"]
    assert list(ww.MixtureOfAgents(listed).models) == listed


@pytest.mark.parametrize(
    "strategy",
    [
        "cascade(('a', 'x'), thresholds=(1.0,))",
        "route(('a', 'x'), thresholds=(1.0,))",
        "mixture_of_agents(('a', 'x'))",
        "mixture_of_agents(('a', 'b'), aggregator='x')",
        "best_of_n(n=2) | escalate(model='x')",
    ],
)
async def test_models_that_the_run_does_not_have_are_refused_at_once(strategy: str) -> None:
    run = setting(a=[1], b=[2])
    with pytest.raises(ww.UsageError, match="the run has no model 'x'; it has: a, b"):
        await ww.RunSettings.of(strategy).strategy.solve(PROBLEM, run)
    assert calls(run) == {"a": 0, "b": 0}
