"""Logs written by the real programs: small ones kept beside the tests, and variants of them."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from widthwise.cli.app import app
from widthwise.core.errors import UsageError
from widthwise.evals import input_file
from widthwise.evals.store.exchange import import_recordings
from widthwise.evals.store.foreign import read_generations
from widthwise.evals.store.importer import accepted
from widthwise.evals.store.store import Store
from widthwise.evals.store.zip_members import DAMAGE, ZSTANDARD, json_member, read_member

LOGS = Path(__file__).parent / "data" / "logs"
INSPECT = LOGS / "inspect_sums.eval"


def test_a_log_of_inspect_is_read_on_every_python() -> None:
    """Its members are compressed with Zstandard, which Python's zipfile supports from 3.14 on."""
    with zipfile.ZipFile(INSPECT) as log:
        assert {member.compress_type for member in log.infolist()} == {ZSTANDARD}
    one, two = sorted(read_generations(INSPECT), key=lambda r: r.problem.id, reverse=True)
    assert (one.problem.id, one.problem.text, one.problem.answer) == ("two and two", "What is 2+2?", "4")
    assert one.fields["model"] == "mockllm/model"
    # The scorer was includes(), whose answer is the whole text in lower case.
    assert [(s.answer, s.correct) for s in one.samples] == [("4", True), ("4", True)]
    assert [(s.answer, s.correct) for s in two.samples] == [("5", False), ("4", True)]
    assert one.samples[1].text == "<think>\n9? No.\n</think>\n\n\\boxed{4}"
    assert two.samples[1].text == "4"


def test_a_log_becomes_a_run(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["import", str(INSPECT), str(tmp_path / "run.db")])
    assert result.exit_code == 0, result.output
    with Store.read(tmp_path / "run.db") as store:
        assert {o.problem.id: [leaf.correct for leaf in o.leaves] for o in store.outcomes()} == {
            "two and two": [True, True],
            "7": [False, True],
        }


# -- Zstandard in zip files ------------------------------------------------------------------------------------


def zipped(path: Path, packed: bytes, size: int, crc: int) -> Path:
    """A zip file with one member ``a`` that is already compressed with Zstandard."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", packed)
    raw = bytearray(path.read_bytes())
    for at, fields in ((raw.find(b"PK\x03\x04"), (8, 14, 22)), (raw.find(b"PK\x01\x02"), (10, 16, 24))):
        method, checksum, length = fields
        struct.pack_into("<H", raw, at + method, ZSTANDARD)
        struct.pack_into("<I", raw, at + checksum, crc)
        struct.pack_into("<I", raw, at + length, size)
    path.write_bytes(raw)
    return path


def member(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return read_member(archive, "a")


def packing() -> Callable[[bytes], bytes]:
    import sys

    if sys.version_info >= (3, 14):
        from compression.zstd import compress
    else:
        from backports.zstd import compress
    return compress


def test_members_of_several_frames_are_read_whole(tmp_path: Path) -> None:
    import zlib

    compress = packing()
    said = [b"one " * 50_000, b"", b"two " * 50_000]
    data = b"".join(said)
    path = zipped(tmp_path / "a.eval", b"".join(map(compress, said)), len(data), zlib.crc32(data))
    assert member(path) == data


def test_a_member_that_unpacks_to_more_than_it_says_is_not_unpacked(tmp_path: Path) -> None:
    """Bombs declare a small size: unpacking stops at most one step beyond the declared size."""
    path = zipped(tmp_path / "a.eval", packing()(b"x" * (1 << 28)), 10, 0)
    import tracemalloc

    tracemalloc.start()
    with pytest.raises(zipfile.BadZipFile, match="damaged"):
        member(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 24


def test_an_archive_that_would_fill_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_file, "LARGEST_UNPACKED", 1 << 16)
    path = zipped(tmp_path / "a.eval", packing()(b"x" * (1 << 24)), 1 << 24, 0)
    with pytest.raises(UsageError, match="would unpack to 16 MiB"):
        read_generations(path)


@pytest.mark.parametrize("damage", ["cut", "changed", "empty"])
def test_damaged_members_are_refused_in_a_sentence(damage: str, tmp_path: Path) -> None:
    packed = packing()(b'{"id": 1}' * 1000)
    packed = {"cut": packed[:-9], "changed": packed[:8] + b"\xff\xff" + packed[10:], "empty": b""}[damage]
    zipped(tmp_path / "a.eval", packed, 9000, 0)
    with zipfile.ZipFile(tmp_path / "a.eval") as archive, pytest.raises(Exception, match=r".") as refused:
        json_member(archive, "a")
    assert isinstance(refused.value, DAMAGE)


def test_a_sample_that_was_written_again_counts_once(tmp_path: Path) -> None:
    """A log that was appended to keeps its old members: of two with the same name, the later one is the sample."""
    path = tmp_path / "a.eval"
    outputs = [{"choices": [{"message": {"content": f"\\boxed{{{n}}}"}, "stop_reason": "stop"}]} for n in (1, 2)]
    samples = [json.dumps({"id": 1, "input": "?", "output": output}) for output in outputs]
    with zipfile.ZipFile(path, "w") as log:
        log.writestr("samples/1_epoch_1.json", samples[0])
        with pytest.warns(UserWarning, match="Duplicate"):
            log.writestr("samples/1_epoch_1.json", samples[1])
    [recording] = read_generations(path)
    assert [sample.answer for sample in recording.samples] == ["2"]


def test_a_run_that_did_not_finish_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sample = {"id": 1, "input": "?", "output": {"choices": []}}
    (tmp_path / "a.json").write_text(json.dumps({"status": "cancelled", "samples": [sample]}))
    read_generations(tmp_path / "a.json")
    assert "the run has the status 'cancelled'" in caplog.text


def test_scores_that_are_no_numbers_are_read(tmp_path: Path) -> None:
    """Inspect writes unscored samples as NaN, which is not valid JSON."""
    sample = '{"id": 1, "input": "?", "output": {"completion": "It is \\\\boxed{3}"}, "scores": {"f": {"value": NaN}}}'
    (tmp_path / "a.json").write_text('{"status": "success", "samples": [' + sample + "]}")
    [recording] = read_generations(tmp_path / "a.json")
    assert [(s.answer, s.correct) for s in recording.samples] == [("3", None)]


@pytest.mark.parametrize(("value", "right"), [("P", 0.5), (0.25, 0.25), (1, True), ("N", False), ({"a": 1}, None)])
def test_partial_credit_is_kept(value: Any, right: Any, tmp_path: Path) -> None:
    output = {"completion": "\\boxed{3}"}
    sample = {"id": 1, "input": "?", "target": "3", "output": output, "scores": {"f": {"value": value}}}
    (tmp_path / "a.json").write_text(json.dumps({"status": "success", "samples": [sample]}))
    [recording] = read_generations(tmp_path / "a.json")
    assert [(s.answer, s.correct) for s in recording.samples] == [("3", right)]


# -- lm-evaluation-harness -------------------------------------------------------------------------------------


def test_repeats_under_several_filters_are_samples(caplog: pytest.LogCaptureFixture) -> None:
    found = read_generations(next(LOGS.glob("samples_sums_*")))
    assert [(r.problem.id, r.problem.text, r.problem.answer) for r in found] == [
        ("sums-0", "What is 2+2?", "4"),
        ("sums-1", "What is 3+4?", "7"),
    ]
    assert [len(r.samples) for r in found] == [3, 3]
    assert "using the answers of the filter score-first and leaving out those of maj@3, plain" in caplog.text


def test_a_chat_is_asked_by_its_last_message(tmp_path: Path) -> None:
    line = json.loads(next(LOGS.glob("samples_plain_*")).read_text().splitlines()[0])
    line["doc"] = {"row": 3}
    (tmp_path / "samples_x.jsonl").write_text(json.dumps(line))
    [recording] = read_generations(tmp_path / "samples_x.jsonl")
    assert recording.problem.text == "Question: What is 2+2?\nAnswer:"


def test_the_harness_scores_choices_and_says_no_texts() -> None:
    with pytest.raises(UsageError, match="line 1: likelihoods of given choices"):
        read_generations(next(LOGS.glob("samples_mc_*")))


def test_two_samples_that_look_like_a_likelihood(tmp_path: Path) -> None:
    """A pair of texts is a likelihood only if a text was scored."""
    arguments = {"gen_args_0": {"arg_0": "Is it so?", "arg_1": {"until": []}}}
    row = {"doc_id": 0, "doc": {}, "target": ["True", "Yes"], "arguments": arguments, "resps": [["7", "True"]]}
    (tmp_path / "samples_x.jsonl").write_text(json.dumps({**row, "filtered_resps": ["7"], "filter": "none"}))
    [recording] = read_generations(tmp_path / "samples_x.jsonl")
    assert [s.text for s in recording.samples] == ["7", "True"]
    assert recording.problem.answer == "True"


# -- batches ---------------------------------------------------------------------------------------------------


def chat_reply(*texts: str, **message: Any) -> dict[str, Any]:
    choices = [
        {"index": i, "message": {"role": "assistant", "content": text, **message}, "finish_reason": "stop"}
        for i, text in enumerate(texts)
    ]
    return {"object": "chat.completion", "model": "m", "choices": choices, "usage": {"completion_tokens": 7}}


def output(name: str, body: Any, status: int = 200, error: Any = None) -> dict[str, Any]:
    response = {"status_code": status, "request_id": "r", "body": body}
    return {"id": f"batch_req_{name}", "custom_id": name, "response": response, "error": error}


def request(name: str, question: str) -> dict[str, Any]:
    messages = [{"role": "system", "content": "S"}, {"role": "user", "content": question}]
    return {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": {"messages": messages}}


def lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def batch(tmp_path: Path) -> tuple[Path, Path]:
    outputs = [
        output("gsm-0-1", chat_reply("\\boxed{4}")),
        output("gsm-0-0", chat_reply("\\boxed{4}", reasoning="2 and 2")),
        output("gsm-1-0", chat_reply("\\boxed{8}", "\\boxed{7}")),
        output("gsm-1-1", {"error": "no"}, status=500),
        output("gsm-1-2", None, error={"code": "batch_expired"}),
    ]
    asked = {"gsm-0": "Please: what is 2+2?", "gsm-1": "Please: what is 3+4?"}
    requests = [request(o["custom_id"], asked[o["custom_id"].rpartition("-")[0]]) for o in outputs]
    return lines(tmp_path / "out.jsonl", outputs), lines(tmp_path / "in.jsonl", requests)


def test_requests_of_a_batch_that_ask_the_same_are_one_problem(batch: tuple[Path, Path]) -> None:
    one, two = read_generations(batch[0], requests=batch[1])
    assert (one.problem.text, two.problem.text) == ("Please: what is 2+2?", "Please: what is 3+4?")
    assert [s.answer for s in one.samples] == ["4", "4"]
    assert one.samples[1].text == "<think>\n2 and 2\n</think>\n\n\\boxed{4}"
    assert [(s.answer, s.finish) for s in two.samples] == [
        ("8", "stop"), ("7", "stop"), (None, "error"), (None, "error"),
    ]  # fmt: skip
    assert [s.metadata.get("tokens") for s in (*one.samples, two.samples[0])] == [7, 7, None]


def test_a_batch_of_a_suite_is_graded(batch: tuple[Path, Path], tmp_path: Path) -> None:
    problems = [{"id": f"gsm-{i}", "problem": q, "answer": a} for i, q, a in ((0, "what is 2+2?", "4"), (1, "b", "7"))]
    data = lines(tmp_path / "problems.jsonl", problems)
    arguments = ["import", str(batch[0]), str(tmp_path / "run.db"), "--data", str(data)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    with Store.read(tmp_path / "run.db") as store:
        outcomes = {o.problem.id: o for o in store.outcomes()}
    assert [leaf.correct for leaf in outcomes["gsm-0"].leaves] == [True, True]
    assert [leaf.correct for leaf in outcomes["gsm-1"].leaves] == [False, True, None, None]
    assert outcomes["gsm-1"].problem.text == "b"


def test_a_problem_is_found_by_its_text_too(batch: tuple[Path, Path], tmp_path: Path) -> None:
    from widthwise.evals.suites.suites import load_suite

    data = lines(tmp_path / "problems.jsonl", [{"id": "other", "problem": "what is 3+4?", "answer": "7"}])
    [found] = read_generations(batch[0], requests=batch[1], suite=load_suite(None, data))
    assert (found.problem.id, [s.correct for s in found.samples]) == ("other", [False, True, None, None])


def test_a_batch_that_vllm_ran() -> None:
    """Two questions, each asked twice, and a request that vLLM refused."""
    found = read_generations(LOGS / "vllm_batch_output.jsonl", requests=LOGS / "vllm_batch_requests.jsonl")
    assert [(r.problem.text, [(s.answer, s.finish) for s in r.samples]) for r in found] == [
        ("Compute 17 + 5.", [("22", "stop")] * 2),
        ("Compute (23 + 9) * 4 - 17.", [("111", "stop")] * 2),
        ("Compute 1 + 1.", [(None, "error")]),
    ]
    assert [r.fields["model"] for r in found[:2]] == ["reasoner"] * 2
    assert all(s.metadata["tokens"] > 10 for r in found[:2] for s in r.samples)


def test_every_endpoint_of_batches_that_says_texts(tmp_path: Path) -> None:
    completion = {"model": "m", "choices": [{"index": 0, "text": "\\boxed{1}", "finish_reason": "length"}]}
    items = [
        {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "hm"}], "summary": []},
        {"type": "message", "content": [{"type": "output_text", "text": "\\boxed{2}"}]},
    ]
    response = {"model": "m", "status": "completed", "output": items, "usage": {"output_tokens": 5}}
    path = lines(tmp_path / "out.jsonl", [output("a", completion), output("b", response)])
    one, two = read_generations(path)
    assert [(s.answer, s.finish) for s in one.samples] == [("1", "length")]
    assert [(s.text, s.answer) for s in two.samples] == [("<think>\nhm\n</think>\n\n\\boxed{2}", "2")]
    lines(path, [output("a", {"object": "list", "data": [{"embedding": [0.1]}]})])
    with pytest.raises(UsageError, match="line 1: the reply of a batch has no text in it, but object, data"):
        read_generations(path)


# -- what is none of them --------------------------------------------------------------------------------------

NONE = {
    "rows.jsonl": '{"a": 1}',
    "text.jsonl": "no json",
    "log.json": "{}",
    "rows.json": '[{"a": 1}]',
    "log.eval": "PK",
    "rows.parquet": "PAR1",
}


@pytest.mark.parametrize("name", NONE)
def test_an_error_names_the_formats_that_are_read(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(NONE[name])
    with pytest.raises(UsageError) as refused:
        read_generations(tmp_path / name)
    assert str(refused.value).endswith(f"(accepted formats: {accepted()})")
    for known in ("inspect_ai", "lm-evaluation-harness", "search-and-learn", "vllm run-batch", "Parquet"):
        assert known in accepted()


def test_a_row_list_in_json_is_read_like_json_lines(tmp_path: Path) -> None:
    rows = [json.loads(line) for line in next(LOGS.glob("samples_plain_*")).read_text().splitlines()]
    (tmp_path / "x.json").write_text(json.dumps(rows))
    assert [r.problem.id for r in read_generations(tmp_path / "x.json")] == ["x-0", "x-1"]


def test_no_run_is_made_of_what_is_none_of_them(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"a": 1}')
    with pytest.raises(UsageError):
        import_recordings(tmp_path / "a.jsonl", tmp_path / "run.db")
    assert not (tmp_path / "run.db").exists()
