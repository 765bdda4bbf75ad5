"""Several models in one run: parts name them, text is handed over, and each is charged for what it did."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import widthwise as ww
from tests.backends.killing import killed, ran
from tests.core.scripted import Characters, PlainGrader, Replying
from widthwise.cli.app import app
from widthwise.core.retry import Retry
from widthwise.core.session.scheduler import Scheduler
from widthwise.core.session.setting import Setting
from widthwise.core.strategy.composition import parse_strategy
from widthwise.evals.measure.sharing import pools_of
from widthwise.evals.store.store import Store, compare
from widthwise.given_models import model_option


class Shifted(Characters):
    """Tokens that mean something else to the other model: code points moved by a thousand."""

    eos_ids = frozenset({1000})

    def encode(self, text: str) -> list[int]:
        return [ord(c) + 1000 for c in text]

    def decode(self, ids: Any) -> str:
        return "".join(chr(i - 1000) for i in ids)


PROMPTS = {"verify": "Is this right? {draft}", "refine": "Look at {drafts}", "each_draft": "{text}"}


def setting(small: Replying, large: Replying) -> Setting:
    large.tokenizer = Shifted()
    formats = [ww.PromptFormat(name, template=f"{name}: {{problem}}", prompts=PROMPTS) for name in ("small", "large")]
    first, second = (
        Setting(Scheduler(backend, retry=Retry(attempts=1)), PlainGrader(), format, model=format.name)
        for backend, format in zip((small, large), formats, strict=True)
    )
    return Setting(first.scheduler, first.grader, first.format, model="small", others={"large": second})


def says(text: str) -> Replying:
    return Replying(lambda prompt, index: text)


PROBLEM = ww.Problem("p1", "1+1?", "2")


async def test_each_model_is_asked_in_its_own_words_and_tokens_and_charged_by_name() -> None:
    small, large = says("=1"), says("=2!")
    session = ww.Session(PROBLEM, setting(small, large))
    first = await session.sample(session.root, 3)
    other = session.by("large")
    second = await other.sample(other.root, 2)
    assert small.tokenizer.decode(small.requests[0].prompt) == "small: 1+1?\n"
    assert large.tokenizer.decode(large.requests[0].prompt) == "large: 1+1?\n"
    assert [t.completion for t in (*first, *second)] == ["=1\0"] * 3 + ["=2!\0"] * 2
    assert [session.answer(t) for t in (*first, *second)] == ["1"] * 3 + ["2"] * 2
    assert [t.model for t in (*first, *second)] == ["small"] * 3 + ["large"] * 2
    charged = session.ledger.record["models"]
    assert (charged["small"]["calls"], charged["small"]["sampled"]) == (3, 9)
    assert (charged["large"]["calls"], charged["large"]["sampled"]) == (2, 8)
    assert session.ledger.sampled == 17
    assert sum(each["prompt_computed"] for each in charged.values()) == session.ledger.prompt_computed


async def test_one_draw_may_continue_traces_of_several_models() -> None:
    session = ww.Session(PROBLEM, setting(says("=1"), says("=2")))
    roots = [session.root, session.by("large").root]
    drawn = await session.sample(roots, 2)
    assert sorted((t.model, session.answer(t)) for t in drawn) == [("large", "2")] * 2 + [("small", "1")] * 2


async def test_what_one_model_wrote_is_handed_over_as_text() -> None:
    small, large = says("half"), Replying(lambda prompt, index: "done = 2")
    session = ww.Session(PROBLEM, setting(small, large))
    [begun] = await session.sample(session.root, max_tokens=4)
    view = session.at(begun).by("large")
    assert large.tokenizer.decode(view.root.token_ids) == "large: 1+1?\nhalf"
    [ended] = await view.sample(view.root)
    assert ended.model == "large"
    assert view.answer(ended) == "2"


async def test_pieces_of_another_models_trace_are_encoded_anew() -> None:
    session = ww.Session(PROBLEM, setting(says("one"), says("two")))
    [trace] = await session.sample(session.root)
    other = session.by("large")
    joined = other.append(other.root, [session.excerpt(trace, session.root), "?"])
    assert joined.segment.text == "one?"
    assert joined.segment.token_ids.tolist() == [ord(c) + 1000 for c in "one?"]


async def test_a_worker_is_asked_the_same_question_by_its_own_model() -> None:
    small, large = says("=1"), says("=2")
    refine = ww.SequentialRefinement(rounds=2, chains=1, refiner=ww.Single(model="large"))
    result = await (refine | ww.FirstValid()).solve(PROBLEM, setting(small, large))
    assert "Look at =1" in large.tokenizer.decode(large.requests[0].prompt)
    assert [t.model for t in result.traces][-1] == "large"


async def test_an_aggregator_and_its_sampler_may_have_different_models() -> None:
    small = Replying(lambda prompt, index: f"={1 + index}")
    large = says("verdict: yes")
    strategy = ww.BestOfN(2) | ww.GenerativeVerification(k=1, model="large")
    result = await strategy.solve(PROBLEM, setting(small, large))
    assert len(small.requests) == 2
    assert len(large.requests) == 2
    assert result.ledger.models["large"].judging > 0
    assert result.ledger.models["small"].judging == 0


@pytest.mark.parametrize(
    "strategy",
    [
        "best_of_n(n=2, model='lage')",
        "best_of_n(n=2) | generative_verification(model='lage')",
        "sequential_refinement(chains=1, refiner=single(model='lage'))",
        "best_of_n(n=2) | deepprune(judge=same_answer(model='lage'))",
    ],
)
def test_an_unknown_model_is_refused_before_anything_is_sampled(strategy: str) -> None:
    small, large = says("=1"), says("=2")
    with pytest.raises(ww.UsageError, match=r"no model 'lage'; did you mean 'large'\? it has: small, large"):
        parse_strategy(strategy).check_against(setting(small, large), [PROBLEM])
    assert not small.requests + large.requests


def test_a_run_with_one_model_has_no_names() -> None:
    with pytest.raises(ww.UsageError, match="only model has no name"):
        ww.solve("1+1?", "best_of_n(n=1, model='small')", max_tokens=5)
    assert ww.solve("1+1?", "single", max_tokens=5).ledger.record["models"] == {}


@pytest.mark.parametrize(
    ("given", "means"),
    [
        ([], None),
        (["reasoner"], "reasoner"),
        (["http://host:1/v1?a=b"], "http://host:1/v1?a=b"),
        (["a=reasoner"], {"a": "reasoner"}),
        (["a=reasoner", "b=http://host/v1#m=1"], {"a": "reasoner", "b": "http://host/v1#m=1"}),
    ],
)
def test_what_the_option_means(given: Sequence[str], means: Any) -> None:
    assert model_option(given) == means


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (["a=x", "y"], "'y' has no name"),
        (["x", "a=y"], "'x' has no name"),
        (["a=x", "a=y"], "two models are called 'a'"),
    ],
)
def test_what_the_option_cannot_mean(given: Sequence[str], reason: str) -> None:
    with pytest.raises(ww.UsageError, match=reason):
        model_option(given)


TWO: dict[str, Any] = {
    "model": {"cold": "reasoner", "hot": "reasoner"},
    "model_settings": {"hot": {"temperature": 1.3}},
}


def test_settings_of_one_of_the_models() -> None:
    settings = ww.RunSettings.of(**TWO, temperature=0.5)
    assert settings.asking_of("cold").given == {"temperature": 0.5}
    assert settings.asking_of("hot").given == {"temperature": 1.3}
    assert settings.configuration["model"] == "cold=embedded:reasoner, hot=embedded:reasoner"
    with pytest.raises(ww.UsageError, match="no setting 'temprature'; did you mean 'temperature'"):
        ww.RunSettings.of(model=TWO["model"], model_settings={"hot": {"temprature": 1}})
    with pytest.raises(ww.UsageError, match=r"does not say for which model.*has: cold, hot"):
        ww.RunSettings.of(model=TWO["model"], backend_args={"threads": 1})


def test_from_python_and_in_the_run_file(tmp_path: Path) -> None:
    strategy = "best_of_n(n=2, model='hot') | generative_verification(k=1, model='cold')"
    run = ww.evaluate(strategy, "arithmetic", **TWO, limit=2, run=tmp_path / "run.db")
    spent = run.ledger.models
    assert spent["hot"].calls == 4
    assert spent["hot"].sampled == run.ledger.sampled
    assert spent["cold"].judging == run.ledger.judging > 0
    assert run.summary.models == spent
    assert {t.model for t in run.traces(run.outcomes[0].problem)} == {"hot"}
    with pytest.raises(ww.UsageError, match="other settings"):
        ww.evaluate(strategy, "arithmetic", **{**TWO, "model": {"cold": "scorer", "hot": "reasoner"}}, limit=2, run=run)
    with pytest.raises(ww.UsageError, match=r"several models \(cold, hot\)"):
        ww.evaluate("single", "arithmetic", model=f"replay:{run.path}", limit=2, run=tmp_path / "again.db")
    [listed] = [line for line in said("traces", run.path, run.outcomes[0].problem.id) if line.startswith("1.0")]
    assert listed.split()[1] == "hot"


def test_the_summary_says_how_each_model_is_asked(tmp_path: Path) -> None:
    run = ww.evaluate("single(model='hot')", "arithmetic", **TWO, limit=1, max_tokens=5, run=tmp_path / "run.db")
    by_name = run.summary.asking_by_model
    assert {name: asked and asked["sampling"]["temperature"] for name, asked in by_name.items()} == {
        "cold": 1.0,
        "hot": 1.3,
    }
    assert by_name["cold"] == run.summary.asking
    models = ["--model", "cold=reasoner", "--model", "hot=reasoner", "--model-setting", "hot.temperature=1.3"]
    strategy = ["--strategy", "single(model='hot')", "--limit", "1", "--max-tokens", "5", "--run", run.path]
    shown = said("eval", "arithmetic", *models, *strategy)
    lines = {line.split("  ")[0]: line for line in shown}
    assert "temperature 1 (the model's generation_config.json)" in lines["sampling (cold)"]
    assert "temperature 1.3 (given)" in lines["sampling (hot)"]
    [printed] = said("eval", "arithmetic", *models, *strategy, "--json")
    assert json.loads(printed)["asking_by_model"] == by_name
    single = ww.evaluate("single", "arithmetic", limit=1, max_tokens=5, run=tmp_path / "one.db")
    assert single.summary.asking_by_model == {}


def said(*arguments: object) -> list[str]:
    result = CliRunner().invoke(app, [str(each) for each in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def test_an_exported_run_of_several_models_is_no_recording_of_one(tmp_path: Path) -> None:
    strategy = "cascade(('hot', 'cold'), thresholds=(1.0,), by='mean_logprob')"  # which no trace reaches
    run = ww.evaluate(strategy, "arithmetic", **TWO, limit=2, max_tokens=40, run=tmp_path / "run.db")
    said("export", run.path, tmp_path / "run.jsonl")
    with pytest.raises(ww.UsageError, match=r"several models \(cold, hot\), and a replay stands for one"):
        ww.evaluate("single", "arithmetic", model=f"replay:{tmp_path / 'run.jsonl'}", limit=2, run=tmp_path / "b.db")


def test_samples_of_one_model_are_not_read_for_another() -> None:
    named = [ww.BestOfN(4, model=name) | ww.MajorityVote() for name in ("cold", "hot")]
    strategies = [*named, ww.Single(model="hot") | ww.MajorityVote()]
    shared = pools_of(strategies, [1, 2], "samples")
    assert [getattr(shared[each].sampler, "model", None) for each in strategies] == ["cold", "hot", "hot"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "strategy",
    [
        "best_of_n(n=6, model='hot') | generative_verification(k=2, model='cold')",
        "best_of_n(n=4, model='hot') | escalate(model='cold', n=4)",
        "cascade(('hot', 'cold'), thresholds=(1.0,), worker=best_of_n(n=4) | majority_vote())",
        "route(('hot', 'cold'), thresholds=(0.8,), worker=best_of_n(n=4) | majority_vote())",
        "mixture_of_agents(('hot', 'cold'))",
        "ab_mcts(n=6, models=('hot', 'cold'), belief='mixed', by='mean_logprob') | best_by(score='score')",
    ],
)
def test_a_killed_run_ends_as_if_it_had_not_been_killed(strategy: str, tmp_path: Path) -> None:
    models = ["--model", "cold=reasoner", "--model", "hot=reasoner", "--model-setting", "hot.temperature=1.3"]
    command = ["arithmetic", *models, "--limit", "6", "--strategy", strategy]
    whole = ran(command, tmp_path / "whole.db")
    before = killed(command, tmp_path / "broken.db", after=5)
    resumed = ran(command, tmp_path / "broken.db")
    assert before.items() <= resumed.items()
    assert resumed == whole
    with Store.read(tmp_path / "whole.db") as a, Store.read(tmp_path / "broken.db") as b:
        assert compare(a, b) == []
