"""How a run's model is asked: which settings apply, where they came from, and that a resumed run keeps them."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.core.scripted import Scripted
from widthwise.asking import Asking, recorded_asking
from widthwise.cli.app import app
from widthwise.core.errors import UsageError
from widthwise.core.prompting.profile import ModelFacts
from widthwise.evals.store.store import Store

QWEN = ModelFacts(
    "vllm:Qwen3-8B",
    config={"model_type": "qwen3"},
    generation={"temperature": 0.6, "top_k": 20},
    template="{{ '<think>' if enable_thinking }}",
    arguments=frozenset({"enable_thinking"}),
)


class Known(Scripted):
    """A scripted model with known facts."""

    def __init__(self, facts: ModelFacts = QWEN) -> None:
        super().__init__([])
        self.facts = facts
        self.recorded = False


def test_the_users_word_goes_before_the_models_before_the_defaults() -> None:
    asked = Asking({"temperature": 1.0, "top_p": None}).settled(Known())
    assert (asked.params.temperature, asked.params.top_k, asked.params.top_p) == (1.0, 20, 1.0)
    assert asked.record["sampling_from"] == {"temperature": "given", "top_k": "the model's generation_config.json"}
    assert asked.record["sampling"] == {
        "temperature": 1.0,
        "top_p": 1.0,
        "top_k": 20,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
    }
    assert asked.profile.name == "qwen3"
    assert asked.record["thinks"]


def test_plain_sampling_takes_no_recommendation() -> None:
    asked = Asking({"top_p": 0.5}, sampling="plain").settled(Known())
    assert (asked.params.temperature, asked.params.top_k, asked.params.top_p) == (1.0, 0, 0.5)
    with pytest.raises(UsageError, match="model, plain, not 'best'"):
        Asking(sampling="best")


def test_without_thinking_other_settings_are_recommended() -> None:
    asked = Asking(template_args={"enable_thinking": False}).settled(Known())
    assert (asked.params.temperature, asked.params.top_p) == (0.7, 0.8)
    assert asked.chat.arguments == {"enable_thinking": False}
    assert not asked.record["thinks"]


def test_an_argument_that_the_template_does_not_have() -> None:
    said = "no argument 'enable_thinkin'; did you mean 'enable_thinking'.* it has: enable_thinking, system"
    with pytest.raises(UsageError, match=said):
        Asking(template_args={"enable_thinkin": False}).settled(Known())


def test_the_system_prompt_is_a_message() -> None:
    asked = Asking(template_args={"system": "Be brief."}).settled(Known())
    assert asked.chat.arguments == {}
    assert asked.format.system == "Be brief."


def test_a_run_goes_on_with_what_was_in_force_when_it_was_begun(caplog: pytest.LogCaptureFixture) -> None:
    begun = json.loads(json.dumps(Asking({"min_p": 0.1}).settled(Known()).record)) | {"date": "2024-02-29"}
    changed = ModelFacts("elsewhere", config={"model_type": "gemma3"}, generation={"temperature": 0.1})
    asked = Asking({"min_p": 0.1}).settled(Known(changed), begun)
    assert asked.profile.name == "qwen3"
    assert (asked.params.temperature, asked.params.top_k, asked.params.min_p) == (0.6, 20, 0.1)
    assert asked.chat.today == date(2024, 2, 29)
    assert asked.record == begun
    assert "this run continues with" in caplog.text


@pytest.mark.parametrize(
    "damage",
    [
        {"sampling": 3},
        {"sampling": {"temperature": "hot"}},
        {"sampling_from": {"nothing": "given"}},
        {"date": "yesterday"},
        {"profile": None},
        {"why": ["x"]},
    ],
)
def test_a_files_word_is_checked(damage: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="the run file is damaged"):
        recorded_asking({"asking": Asking().settled(Known()).record | damage})
    with pytest.raises(UsageError, match="import path"):
        Asking().settled(Known(), Asking().settled(Known()).record | {"profile": "os:path"})


def test_what_is_replayed_was_sampled_before() -> None:
    replay = Known()
    replay.recorded = True
    asked = Asking({"top_p": 0.5}).settled(replay)
    assert asked.params.temperature == 1.0
    assert asked.record["sampling"] == asked.record["sampling_from"] == {}


def test_a_run_from_before_there_were_recommendations_follows_none() -> None:
    assert recorded_asking({}) is None
    asked = Asking().settled(Known(), recorded_asking({"backend": {}}))
    assert (asked.params.temperature, asked.params.top_k) == (1.0, 0)


def run(*arguments: str) -> Any:
    result = CliRunner().invoke(app, ["eval", "arithmetic", "--limit", "1", "--strategy", "single()", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_command_line_says_and_stores_what_is_in_force(tmp_path: Path) -> None:
    file = tmp_path / "run.db"
    settings = ["--max-tokens", "40", "--presence-penalty", "0.5", "--run", str(file)]
    for _ in range(2):  # a finished run says it too
        said = json.loads(run(*settings, "--json"))["asking"]
        assert said["profile"] == "reasoner"
        assert said["sampling"]["presence_penalty"] == 0.5
        assert said["sampling_from"]["presence_penalty"] == "given"
    table = run(*settings)
    assert "reasoner: its config.json names its profile" in table
    assert "presence_penalty 0.5 (given)" in table
    assert "min_p 0" in table
    with Store.read(file) as store:
        assert store.manifest["asking"] == said
        assert store.manifest["configuration"]["presence_penalty"] == 0.5


def test_a_format_can_be_named_and_is_a_setting_of_the_run(tmp_path: Path) -> None:
    file = tmp_path / "run.db"
    said = json.loads(run("--format", "qwen2.5-math", "--max-tokens", "8", "--run", str(file), "--json"))["asking"]
    assert (said["profile"], said["why"]) == ("qwen2.5-math", "its format was named")
    with Store.read(file) as store:
        assert store.manifest["configuration"]["format"] == "qwen2.5-math"
        assert "\\boxed" in store.traces(next(iter(store.problems())).id)[0].beginning.segment.text
