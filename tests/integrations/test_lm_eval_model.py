"""The model type in the real lm-evaluation-harness, on a local task."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed: pip install '.[lm-eval]'")

os.environ |= {"HF_DATASETS_OFFLINE": "1", "HF_HUB_OFFLINE": "1"}

from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager

import widthwise as ww
from widthwise.core.errors import UsageError
from widthwise.evals.store.foreign import read_generations
from widthwise.integrations.lm_eval import WidthwiseLM

VOTE = "best_of_n(n=4) | majority_vote()"
PROBLEMS = {"Compute 17 + 5.": "22", "Compute (986 / 29) * 17 - 14 * 23 + 76.": "332"}

TASK = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: {kind}
doc_to_text: "{{{{q}}}}"
doc_to_target: {target}
metric_list: [{{metric: {metric}, aggregation: mean, higher_is_better: true}}]
"""
GENERATE = """
generation_kwargs: {until: ["Question:"], do_sample: false}
filter_list: [{name: boxed, filter: [{function: regex, regex_pattern: 'boxed.(.*?)\\}'}, {function: take_first}]}]
"""


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """A folder of tasks: ``sums``, ``sums_twice`` (each document is asked twice), and ``choices`` by likelihood."""
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps({"q": q, "a": a, "options": [a, "7"]}) + "\n" for q, a in PROBLEMS.items()))
    folder = tmp_path / "tasks"
    folder.mkdir()
    generating = {"data": data, "kind": "generate_until", "metric": "exact_match", "target": '"{{a}}"'}
    (folder / "sums.yaml").write_text(TASK.format(name="sums", **generating) + GENERATE)
    (folder / "twice.yaml").write_text(TASK.format(name="sums_twice", **generating) + GENERATE + "repeats: 2\n")
    scored = {"data": data, "kind": "multiple_choice", "metric": "acc", "target": "0"}
    (folder / "choices.yaml").write_text(TASK.format(name="choices", **scored) + 'doc_to_choice: "{{options}}"\n')
    return folder


def evaluated(tasks: Path, task: str, arguments: Any, **options: Any) -> dict[str, Any]:
    manager = TaskManager(include_path=str(tasks), include_defaults=False)
    found = simple_evaluate("widthwise", arguments, tasks=[task], task_manager=manager, bootstrap_iters=0, **options)
    assert found is not None
    return dict(found)


def test_a_task_is_answered_by_the_vote(tasks: Path) -> None:
    found = evaluated(tasks, "sums", f"strategy={VOTE},model=reasoner,seed=5")
    assert found["results"]["sums"]["exact_match,boxed"] == 1.0
    config = found["config"]
    assert (config["strategy"].startswith("best_of_n(n=4)"), config["seed"]) == (True, 5)
    assert config["ledger"]["samples"] == 4 * len(PROBLEMS)
    said = [sample["resps"][0][0] for sample in found["samples"]["sums"]]
    for place, (question, text) in enumerate(zip(PROBLEMS, said, strict=True)):
        asked = ww.Problem(f"sums-{place}", question)
        # solve adds an instruction to the question, which the bundled model ignores.
        direct = ww.solve(asked, VOTE, "reasoner", seed=5, prompts={"solve": "{problem}"})
        assert direct.election.trace is not None
        assert direct.election.trace.completion.startswith(text)
        assert "</s>" not in text


def test_repeats_are_other_samples_and_all_traces_are_kept(tasks: Path, tmp_path: Path) -> None:
    traces = tmp_path / "traces.jsonl"
    found = evaluated(tasks, "sums_twice", {"strategy": VOTE, "model": "reasoner", "traces": str(traces)})
    assert [len(sample["resps"][0]) for sample in found["samples"]["sums_twice"]] == [2, 2]
    recordings = {r.problem.id: r for r in read_generations(traces)}
    assert {name: len(r.samples) for name, r in recordings.items()} == {"sums_twice-0": 8, "sums_twice-1": 8}
    hard = [sample.text for sample in recordings["sums_twice-1"].samples]
    assert hard[:4] != hard[4:]
    with pytest.raises(UsageError, match=r"traces\.jsonl already exists"):
        WidthwiseLM(VOTE, "reasoner", traces=str(traces))


def test_messages_of_a_chat_template_are_asked_as_messages(tasks: Path) -> None:
    model = WidthwiseLM(VOTE, "reasoner")
    plain = evaluated(tasks, "sums", {"strategy": VOTE, "model": "reasoner"})
    chat = evaluated(tasks, "sums", {"strategy": VOTE, "model": "reasoner"}, apply_chat_template=True)
    assert chat["results"]["sums"] == plain["results"]["sums"]
    assert json.loads(model.apply_chat_template([{"role": "user", "content": "é"}])) == [
        {"role": "user", "content": "é"}
    ]


def test_stop_sequences_end_traces_and_are_left_out(tasks: Path) -> None:
    text = (tasks / "sums.yaml").read_text().replace("Question:", "boxed")
    (tasks / "sums.yaml").write_text(text)
    found = evaluated(tasks, "sums", {"strategy": "single", "model": "reasoner"})
    said = [sample["resps"][0][0] for sample in found["samples"]["sums"]]
    assert said[0].startswith("17 + 5 = 22")
    assert all("boxed" not in text for text in said)


def test_greedy_tasks_are_sampled_and_that_is_said(tasks: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "widthwise"):
        evaluated(tasks, "sums", {"strategy": VOTE, "model": "reasoner"})
    assert [r.message for r in caplog.records if "greedy decoding" in r.message] != []
    sampled = {"do_sample": True, "temperature": 0.5, "max_gen_toks": 9, "until": "x"}
    model = WidthwiseLM(VOTE, "reasoner")
    assert model._sampling(sampled) == {"temperature": 0.5, "stop": ("x",), "max_tokens": 9}
    assert model._sampling({"temperature": 0.0, "until": []}) == {}


def test_likelihoods_are_refused_in_a_sentence(tasks: Path) -> None:
    with pytest.raises(UsageError, match="a strategy generates texts, and has no likelihood") as refused:
        evaluated(tasks, "choices", {"strategy": VOTE, "model": "reasoner"})
    assert "generate_until" in str(refused.value)


@pytest.mark.slow
def test_the_command_line_of_the_harness(tasks: Path, tmp_path: Path) -> None:
    arguments = ["--model", "widthwise", "--tasks", "sums", "--include_path", str(tasks), "--log_samples"]
    model = ["--model_args", "strategy=best_of_n(n=2) | majority_vote(tie='first')", "model=reasoner"]
    command = [sys.executable, "-m", "widthwise.integrations.lm_eval", "run", *arguments, *model]
    done = subprocess.run(
        [*command, "--output_path", str(tmp_path / "out")], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "exact_match" in done.stdout
    [samples] = (tmp_path / "out").rglob("samples_sums_*.jsonl")
    assert [r.problem.answer for r in read_generations(samples)] == list(PROBLEMS.values())
