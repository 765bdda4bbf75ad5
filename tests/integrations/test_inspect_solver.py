"""The solver in the real Inspect: either side's models, its limits, its usage, its log."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("inspect_ai", reason="Inspect is not installed: pip install '.[inspect]'")

from inspect_ai import Task, eval
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.log import EvalLog, read_eval_log
from inspect_ai.model import (
    ChatMessageAssistant,
    ChatMessageUser,
    ContentReasoning,
    ContentText,
    GenerateConfig,
    Model,
    ModelOutput,
    ModelUsage,
    get_model,
)
from inspect_ai.scorer import choice, includes
from inspect_ai.solver import Solver, generate, system_message

import widthwise as package
from tests.integrations.installed import installed
from widthwise.core.errors import UsageError
from widthwise.evals.store.foreign import read_generations
from widthwise.integrations.inspect import graded, widthwise

VOTE = "best_of_n(n=6) | majority_vote()"
QUESTION = "Compute 17 + 5."
"""A question that the bundled reasoner answers in few tokens."""


class Script:
    """An Inspect model: its replies in order, and what it was asked."""

    def __init__(self, *said: Any, wait: float = 0.0) -> None:
        self.said = said
        self.wait = wait
        self.asked: list[tuple[list[tuple[str, str]], GenerateConfig]] = []
        self.ended = 0

    async def __call__(self, input: Any, tools: Any, tool_choice: Any, config: GenerateConfig) -> ModelOutput:
        said = self.said[len(self.asked) % len(self.said)]
        self.asked.append(([(m.role, m.text) for m in input], config))
        await asyncio.sleep(self.wait)
        self.ended += 1
        if isinstance(said, Exception):
            raise said
        output = ModelOutput.from_content("mockllm/model", said)
        output.usage = ModelUsage(input_tokens=5, output_tokens=9, total_tokens=14)
        return output

    @property
    def model(self) -> Model:
        return get_model("mockllm/model", custom_outputs=self, memoize=False)


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., EvalLog]:
    def run(solver: Solver, model: Any, *samples: Sample, scorer: Any = None, **options: Any) -> EvalLog:
        data = MemoryDataset(list(samples) or [Sample(id="sum", input="What is 2+2?", target="4")])
        task = Task(dataset=data, solver=solver, scorer=scorer or graded())
        [log] = eval(task, model=model, display="none", log_dir=str(tmp_path), max_retries=0, **options)
        return read_eval_log(log.location)

    return run


def test_the_vote_of_inspects_own_model(run: Callable[..., EvalLog]) -> None:
    script = Script("It is \\boxed{4}", "It is \\boxed{5}", "So \\boxed{4}")
    log = run(widthwise(VOTE), script.model)
    assert (log.status, log.error) == ("success", None)
    [sample] = log.samples or []
    assert sample.scores is not None
    assert (sample.scores["graded"].value, sample.scores["graded"].answer) == ("C", "4")
    assert sample.output.completion in ("It is \\boxed{4}", "So \\boxed{4}")
    report = sample.metadata["widthwise"]
    assert (report["answer"], report["model"]) == ("4", "mockllm/model")
    assert [(c["answer"], c["votes"]) for c in report["classes"]] == [("4", 4.0), ("5", 2.0)]
    # The ledger counts what Inspect counted.
    assert report["ledger"]["sampled"] == sample.model_usage["mockllm/model"].output_tokens == 6 * 9
    assert report["ledger"]["prompt_computed"] == 6 * 5
    assert sample.output.usage is not None
    assert sample.output.usage.total_tokens == 6 * 14
    traces = sample.store["widthwise:traces"]
    assert sorted(trace["answer"] for trace in traces) == ["4"] * 4 + ["5"] * 2
    assert [event.event for event in sample.events].count("model") == 6
    shown = [event.data for event in sample.events if event.event == "info"]
    assert shown[0] == report
    assert shown[1:] == traces


def test_requests_differ_in_their_seeds_and_keep_inspects_own_settings(run: Callable[..., EvalLog]) -> None:
    script = Script("\\boxed{4}")
    run(widthwise("best_of_n(n=4) | majority_vote()"), script.model, temperature=0.3)
    configs = [config for _, config in script.asked]
    assert len({config.seed for config in configs}) == 4
    assert {(config.temperature, config.top_p, config.max_tokens) for config in configs} == {(0.3, None, None)}
    script = Script("\\boxed{4}")
    run(widthwise("best_of_n(n=2) | majority_vote()", temperature=1.0, stop="END", max_tokens=50), script.model)
    assert {(c.temperature, tuple(c.stop_seqs or ()), c.max_tokens) for _, c in script.asked} == {(1.0, ("END",), 50)}


def test_the_conversation_before_the_question_is_asked_too(run: Callable[..., EvalLog]) -> None:
    turns = [ChatMessageUser(content="Hi"), ChatMessageAssistant(content="Hello"), ChatMessageUser(content="2+2?")]
    script = Script("\\boxed{4}")
    solver = [system_message("Be brief."), widthwise("best_of_n(n=2) | majority_vote()", instruction="Box it.")]
    log = run(solver, script.model, Sample(input=turns, target="4"))  # type: ignore[arg-type]
    expected = [("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello"), ("user", "2+2?\n\nBox it.")]
    assert [asked for asked, _ in script.asked] == [expected] * 2
    assert log.samples is not None
    assert [message.role for message in log.samples[0].messages] == ["system", "user", "assistant", "user", "assistant"]


def test_what_a_model_thinks_apart_stays_apart(run: Callable[..., EvalLog]) -> None:
    said = [ContentReasoning(reasoning="Is it \\boxed{9}?"), ContentText(text="\\boxed{4}")]
    log = run(widthwise("best_of_n(n=2) | majority_vote()"), Script(said).model)
    assert log.samples is not None
    content = log.samples[0].output.message.content
    assert [part.type for part in content] == ["reasoning", "text"]  # type: ignore[union-attr]
    assert log.samples[0].output.completion == "\\boxed{4}"
    assert log.samples[0].metadata["widthwise"]["answer"] == "4"


def test_a_question_with_options_is_scored_by_choice(run: Callable[..., EvalLog]) -> None:
    script = Script("I say \\boxed{B}", "\\boxed{A}", "The answer is B.")
    sample = Sample(input="Capital of France?", choices=["Rome", "Paris"], target="B")
    log = run(widthwise("best_of_n(n=3) | majority_vote()"), script.model, sample, scorer=choice())
    assert log.samples is not None
    assert log.samples[0].scores is not None
    assert log.samples[0].scores["choice"].value == "C"
    assert script.asked[0][0][0][1].startswith("Capital of France?\n\n(A) Rome\n(B) Paris\n\nThink step by step")


# -- limits, failures ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [{"token_limit": 30}, {"message_limit": 1}])
def test_inspects_limits_end_the_sample(limit: dict[str, int], run: Callable[..., EvalLog]) -> None:
    [(name, most)] = limit.items()
    log = run(widthwise("best_of_n(n=20) | majority_vote()"), Script("\\boxed{4}").model, max_connections=1, **limit)
    assert (log.status, log.samples is not None) == ("success", True)
    [sample] = log.samples or []
    assert sample.limit is not None
    assert (sample.limit.type, sample.limit.limit) == (name.removesuffix("_limit"), most)
    used = sum(usage.total_tokens for usage in sample.model_usage.values())
    assert used <= (3 * 14 if name == "token_limit" else 0)


def test_a_sample_that_is_out_of_time_leaves_no_request(run: Callable[..., EvalLog]) -> None:
    script = Script("\\boxed{4}", wait=600.0)
    log = run(widthwise(VOTE), script.model, time_limit=1)
    [sample] = log.samples or []
    assert sample.limit is not None
    assert (sample.limit.type, script.ended) == ("time", 0)
    assert len(script.asked) == 6


def test_a_model_that_always_fails_fails_the_sample(run: Callable[..., EvalLog]) -> None:
    log = run(widthwise(VOTE), Script(RuntimeError("no such key")).model, fail_on_error=False)
    [sample] = log.samples or []
    assert sample.error is not None
    assert "every request failed: mockllm/model failed: RuntimeError: no such key" in sample.error.message


def test_a_request_that_fails_costs_its_trace(run: Callable[..., EvalLog]) -> None:
    log = run(widthwise(VOTE), Script(RuntimeError("busy"), "\\boxed{4}").model)
    [sample] = log.samples or []
    report = sample.metadata["widthwise"]
    assert report["answer"] == "4"
    assert len(report["errors"]) == 3
    assert [t["finish"] for t in sample.store["widthwise:traces"]].count("error") == 3


def test_what_a_chat_cannot_do_is_refused(run: Callable[..., EvalLog]) -> None:
    log = run(widthwise("beam_search(n=4) | majority_vote()"), Script("\\boxed{4}").model, fail_on_error=False)
    [sample] = log.samples or []
    assert sample.error is not None
    assert "UsageError" in sample.error.message
    with pytest.raises(UsageError, match="there is no setting 'temprature'"):
        widthwise(VOTE, temprature=1)


# -- models of ours --------------------------------------------------------------------------------------------


def test_a_model_of_ours_counts_as_usage_and_is_limited(run: Callable[..., EvalLog]) -> None:
    sample = Sample(id="sum", input=QUESTION, target="22")
    solver = widthwise("best_of_n(n=4) | majority_vote()", model="reasoner")
    log = run(solver, "none/none", sample)
    [found] = log.samples or []
    assert found.scores is not None
    assert found.scores["graded"].value == "C"
    ledger, usage = found.metadata["widthwise"]["ledger"], found.model_usage["widthwise/reasoner"]
    assert (usage.output_tokens, usage.input_tokens) == (
        ledger["sampled"],
        ledger["prompt_computed"] + ledger["prompt_cached"],
    )
    log = run(solver, "none/none", sample, token_limit=usage.total_tokens // 2)
    [found] = log.samples or []
    assert found.limit is not None
    assert found.limit.type == "token"


def test_what_is_asked_of_our_model_by_id_is_what_eval_asks(run: Callable[..., EvalLog], tmp_path: Path) -> None:
    """The sample's id is the problem's id: with the seed, it determines all randomness."""
    asked = package.Problem("game", "Use the numbers 18, 27, 24, 25 to reach 60.")
    direct = package.solve(asked, "best_of_n(n=4) | majority_vote()", "reasoner", seed=3, grader="math")
    sample = Sample(id="game", input="Use the numbers 18, 27, 24, 25 to reach 60.", target="60")
    solver = widthwise("best_of_n(n=4) | majority_vote()", model="reasoner", seed=3)
    log = run(solver, "none/none", sample, epochs=2)
    first, second = sorted(log.samples or [], key=lambda s: s.epoch)
    texts = [[trace["text"] for trace in sample.store["widthwise:traces"]] for sample in (first, second)]
    assert texts[0] == [trace.completion for trace in direct.traces]
    assert texts[1] != texts[0]


def test_our_models_are_a_provider(run: Callable[..., EvalLog]) -> None:
    sample = Sample(id="sum", input=QUESTION, target="22")
    log = run(generate(), "widthwise/reasoner", sample, scorer=includes(), temperature=0.5)
    [found] = log.samples or []
    assert found.scores is not None
    assert found.scores["includes"].value == "C"
    assert found.output.completion.endswith("\\boxed{22}")
    log = run(widthwise("best_of_n(n=2) | majority_vote()"), "widthwise/reasoner", sample)
    assert (log.samples or [])[0].metadata["widthwise"]["answer"] == "22"


# -- names and files -------------------------------------------------------------------------------------------


def test_the_log_is_read_back_with_all_traces(run: Callable[..., EvalLog], tmp_path: Path) -> None:
    script = Script("It is \\boxed{4}", "It is \\boxed{5}")
    run(widthwise(VOTE), script.model, epochs=2)
    [path] = tmp_path.glob("*.eval")
    [recording] = read_generations(path)
    assert recording.problem.answer == "4"
    assert sorted(str(sample.answer) for sample in recording.samples) == ["4"] * 6 + ["5"] * 6


def test_inspect_finds_the_solver_by_its_entry_point(tmp_path: Path) -> None:
    """As an installed package: Inspect prefixes the solver's name with the package's name."""
    site = installed(tmp_path / "site-packages", Path(package.__file__).parent)
    look = "from inspect_ai._util.registry import registry_lookup as look; " + "".join(
        f"assert look({kind!r}, {name!r}), {name!r}; "
        for kind, name in (("solver", "widthwise/widthwise"), ("scorer", "widthwise/graded"))
    )
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run([sys.executable, "-c", look], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
