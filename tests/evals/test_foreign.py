"""Logs of other tools as recorded generations; the samples here are written by hand in their formats."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from widthwise.cli.app import app
from widthwise.core.errors import UsageError
from widthwise.evals.grading.graders import MathGrader
from widthwise.evals.measure.curves import curve
from widthwise.evals.store.exchange import import_recordings
from widthwise.evals.store.foreign import read_generations
from widthwise.evals.store.store import Store


def jsonl(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def harness(doc: int, texts: list[str], answers: list[str], name: str, right: float) -> dict[str, Any]:
    return {
        "doc_id": doc,
        "doc": {"question": f"Question {doc}?", "answer": "so it is\n#### 1,018"},
        "target": "so it is\n#### 1,018",
        "arguments": {"gen_args_0": {"arg_0": f"Question: {doc}", "arg_1": {"until": ["\n\n"]}}},
        "resps": [texts],
        "filtered_resps": answers,
        "filter": name,
        "metrics": ["exact_match"],
        "doc_hash": "d",
        "exact_match": right,
    }


def test_samples_of_lm_evaluation_harness(tmp_path: Path) -> None:
    rows = [
        harness(0, ["1018 it is #### 1018"], ["1018"], "strict-match", 1.0),
        harness(0, ["1018 it is #### 1018"], ["1018"], "flexible-extract", 1.0),
        harness(1, ["who knows"], ["[invalid]"], "strict-match", 0.0),
        harness(1, ["who knows"], ["7"], "flexible-extract", 0.0),
    ]
    found = read_generations(jsonl(tmp_path / "samples_gsm8k_2026-01-01T00-00-00.000.jsonl", *rows))
    assert [(r.problem.id, r.problem.answer, len(r.samples)) for r in found] == [
        ("gsm8k-0", "1018", 1),
        ("gsm8k-1", "1018", 1),
    ]
    assert [(r.samples[0].answer, r.samples[0].correct) for r in found] == [("1018", True), (None, False)]


def test_repeated_samples_of_lm_evaluation_harness_are_graded_one_by_one(tmp_path: Path) -> None:
    texts = ["\\boxed{1018}", "\\boxed{3}", "\\boxed{1018}"]
    path = jsonl(tmp_path / "samples_x.jsonl", harness(0, texts, texts, "none", 1.0))
    assert [s.answer for s in read_generations(path)[0].samples] == ["1018", "3", "1018"]
    assert curve(path).lines["pass"].accuracy[0] == pytest.approx(2 / 3)


def test_likelihoods_are_no_generations(tmp_path: Path) -> None:
    row = harness(0, ["-1.2", "False"], [], "none", 1.0) | {"filtered_resps": [["-1.2", "False"], ["-3", "True"]]}
    row["resps"] = [[["-1.2", "False"]], [["-3.0", "True"]]]
    with pytest.raises(UsageError, match="line 1: likelihoods of given choices"):
        read_generations(jsonl(tmp_path / "samples_mc.jsonl", row))


def inspect_sample(name: int, epoch: int, text: Any, value: Any, **more: Any) -> dict[str, Any]:
    return {
        "id": name,
        "epoch": epoch,
        "input": [{"role": "system", "content": "S"}, {"role": "user", "content": f"Question {name}?"}],
        "target": "4",
        "messages": [],
        "output": {
            "model": "m",
            "choices": [{"message": {"role": "assistant", "content": text}, "stop_reason": "stop"}],
            "usage": {"input_tokens": 3, "output_tokens": 10 * epoch, "total_tokens": 13},
        },
        "scores": {"match": {"value": value, "answer": None}},
    } | more


SAMPLES = [
    inspect_sample(1, 2, "It is \\boxed{5}", "I"),
    inspect_sample(1, 1, [{"type": "reasoning", "reasoning": "hm, 3"}, {"type": "text", "text": "\\boxed{4}"}], "C"),
    inspect_sample(2, 1, "attachment://abc", 1.0, attachments={"abc": "long \\boxed{4}"}),
    inspect_sample(2, 2, "", None, error={"message": "broke"}, scores=None),
]


def test_both_formats_of_inspect_ai(tmp_path: Path) -> None:
    header = {"version": 2, "status": "success", "eval": {"task": "sums", "model": "openai/x"}}
    (tmp_path / "log.json").write_text(json.dumps(header | {"samples": SAMPLES}))
    with zipfile.ZipFile(tmp_path / "log.eval", "w", zipfile.ZIP_DEFLATED) as log:
        log.writestr("header.json", json.dumps(header))
        for sample in SAMPLES:
            log.writestr(f"samples/{sample['id']}_epoch_{sample['epoch']}.json", json.dumps(sample))
    for name in ("log.json", "log.eval"):
        one, two = read_generations(tmp_path / name)
        assert (one.problem.text, one.problem.answer, one.fields["model"]) == ("Question 1?", "4", "openai/x")
        assert [(s.text, s.answer, s.correct) for s in one.samples] == [
            ("<think>\nhm, 3\n</think>\n\n\\boxed{4}", "4", True),
            ("It is \\boxed{5}", "5", False),
        ]
        assert [(s.text, s.finish) for s in two.samples] == [("long \\boxed{4}", "stop"), ("", "error")]
    line = curve(tmp_path / "log.eval").lines["pass"]
    assert line.accuracy.tolist() == [0.5, 1.0]
    assert line.budgets["tokens"].tolist() == [15.0, 30.0]


@pytest.mark.parametrize("target", [["5", "so it is\n#### 4"], ["4", "5"]])
async def test_each_of_several_targets_is_right(tmp_path: Path, target: list[str]) -> None:
    unscored = [
        inspect_sample(1, i, f"\\boxed{{{n}}}", None, target=target, scores=None) for i, n in enumerate((4, 5, 6))
    ]
    (tmp_path / "log.json").write_text(json.dumps({"version": 2, "status": "success", "samples": unscored}))
    [one] = read_generations(tmp_path / "log.json")
    assert [await MathGrader().correct(one.problem, answer) for answer in ("4", "5", "6")] == [True, True, False]
    assert curve(tmp_path / "log.json").lines["pass"].accuracy[0] == pytest.approx(2 / 3)
    import_recordings(tmp_path / "log.json", tmp_path / "a.db")
    with Store.read(tmp_path / "a.db") as store:
        [problem] = store.problems()
    assert await MathGrader().correct(problem, "5")


async def test_several_right_options_are_meant_together_and_not_each(tmp_path: Path) -> None:
    asked = inspect_sample(1, 1, "\\boxed{B}", "I", target=["A", "B"], choices=["x", "y", "z"])
    (tmp_path / "log.json").write_text(json.dumps({"version": 2, "status": "success", "samples": [asked]}))
    [one] = read_generations(tmp_path / "log.json")
    assert not await MathGrader().correct(one.problem, "B")


def test_an_imported_run_keeps_the_counts_of_its_source(tmp_path: Path) -> None:
    (tmp_path / "log.json").write_text(json.dumps({"version": 2, "status": "success", "samples": SAMPLES[:2]}))
    import_recordings(tmp_path / "log.json", tmp_path / "a.db")
    listed = json.loads(CliRunner().invoke(app, ["traces", str(tmp_path / "a.db"), "1", "--json"]).stdout)
    assert [trace["tokens"] for trace in listed["traces"]] == [10, 20]
    shown = CliRunner().invoke(app, ["traces", str(tmp_path / "a.db")]).stdout
    assert shown.splitlines()[1].split()[-1] == "30"
    assert curve(tmp_path / "a.db").lines["pass"].budgets["tokens"].tolist() == [15.0, 30.0]


@pytest.mark.parametrize("said", [None, -3, 2.5, True, "12", 10**30])
def test_a_count_that_is_none_leaves_the_tokens_unknown(tmp_path: Path, said: Any) -> None:
    counted, other = inspect_sample(1, 1, "\\boxed{4}", "C"), inspect_sample(1, 2, "\\boxed{5}", "I")
    other["output"]["usage"]["output_tokens"] = said
    (tmp_path / "log.json").write_text(json.dumps({"version": 2, "status": "success", "samples": [counted, other]}))
    import_recordings(tmp_path / "log.json", tmp_path / "a.db")
    assert "tokens" not in curve(tmp_path / "a.db").lines["pass"].budgets


def test_what_a_model_only_thought_is_no_answer(tmp_path: Path) -> None:
    thought = {"type": "reasoning", "reasoning": "It may be \\boxed{8}"}
    log = {"version": 2, "eval": {"task": "sums"}, "samples": [inspect_sample(1, 1, [thought], "I")]}
    (tmp_path / "log.json").write_text(json.dumps(log))
    [recording] = read_generations(tmp_path / "log.json")
    assert [(s.text, s.answer) for s in recording.samples] == [("<think>\nIt may be \\boxed{8}", None)]


def test_a_sample_cut_inside_thinking_that_its_prompt_opened_is_told_by_the_others(tmp_path: Path) -> None:
    """R1's template opens the thinking, so its samples only close it; a sample that does not has stated nothing."""

    def line(doc: int, text: str) -> dict[str, Any]:
        return {"doc_id": doc, "doc": {"question": "?"}, "target": "7", "resps": [[text]], "filtered_resps": [text]}

    thought, cut = "Is it \\boxed{8}?</think> \\boxed{7}", "Is it \\boxed{8}?"
    r1 = jsonl(tmp_path / "samples_r1.jsonl", line(1, thought), line(2, cut))
    assert [r.samples[0].answer for r in read_generations(r1)] == ["7", None]
    other = jsonl(tmp_path / "samples_qwen.jsonl", line(1, "<think>" + thought), line(2, cut))
    assert [r.samples[0].answer for r in read_generations(other)] == ["7", "8"]
    plain = jsonl(tmp_path / "samples_plain.jsonl", line(1, cut))
    assert [r.samples[0].answer for r in read_generations(plain)] == ["8"]


def test_a_log_that_was_cut_short(tmp_path: Path) -> None:
    (tmp_path / "log.eval").write_bytes(b"PK\x03\x04 and no more")
    (tmp_path / "log.json").write_text('{"samples": [{"id"')
    for name in ("log.eval", "log.json"):
        with pytest.raises(UsageError, match="cut short"):
            read_generations(tmp_path / name)


def test_a_json_file_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "log.json").write_text("{}")
    with pytest.raises(UsageError, match="not a log of inspect_ai"):
        read_generations(tmp_path / "log.json")


def completions(approach: str, tmp_path: Path) -> Path:
    row = {
        "problem": "Question?",
        "answer": "4",
        "unique_id": "test/algebra/1.json",
        "completions": ["a\n\n\\boxed{4}", "b\n\n\\boxed{5}", "\\boxed{5}"],
        "scores": [[0.2, 0.9], [0.5, 0.1], [0.3]],
        "pred": "a\n\n\\boxed{4}",
        "completion_tokens": [11, 12, 7],
        "agg_scores": [0.9, 0.1, 0.3],
        "pred_maj@1": "\\boxed{4}",
    }
    return jsonl(tmp_path / f"{approach}_completions.jsonl", row)


def test_completions_of_search_and_learn(tmp_path: Path) -> None:
    path = completions("best_of_n", tmp_path)
    samples = read_generations(path)[0].samples
    assert [s.metadata["reward"] for s in samples] == [0.9, 0.1, 0.3]
    found = curve(path, methods=["maj", "best:reward"])
    assert found.problems == ("test/algebra/1.json",)
    assert found.lines["maj"].accuracy[-1] == pytest.approx(0)
    assert found.lines["best:reward"].accuracy[-1] == pytest.approx(1)
    assert found.lines["maj"].budgets["tokens"][0] == pytest.approx(10)


def test_beams_of_search_and_learn_are_not_sub_sampled(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="beam_search are not independent"):
        curve(completions("beam_search", tmp_path))


def test_our_own_schema_is_read_as_ever(tmp_path: Path) -> None:
    row = {"problem_id": "p", "problem": "Q?", "answer": "1", "samples": [{"text": "1", "correct": True}]}
    assert read_generations(jsonl(tmp_path / "own.jsonl", row))[0].problem.id == "p"
