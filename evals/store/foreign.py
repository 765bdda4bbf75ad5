"""Generations that other tools recorded, in the recorded-trace schema.

Read are the per-sample logs of EleutherAI's lm-evaluation-harness (``--log_samples``, ``samples_TASK_DATE.jsonl``), the
logs of the UK AISI's inspect_ai (``.eval``, or ``.json``), and the completions of Hugging Face's search-and-learn
(``APPROACH_completions.jsonl``). Which one a file is, is told from its content.
"""

from __future__ import annotations

import json
import logging
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from widthwise.core.errors import UsageError
from widthwise.core.plain_json import parse
from widthwise.core.prompting.begun import with_begun
from widthwise.core.registry import register
from widthwise.core.session.answers import stated_in
from widthwise.core.trace.recording import Recording
from widthwise.evals.grading.extraction import MATH, extract
from widthwise.evals.grading.graders import MathGrader
from widthwise.evals.input_file import LARGEST_VALUE, json_file, regular_file, unpacking
from widthwise.evals.store.importer import Importer, Row, importer_named, recognised
from widthwise.evals.store.recording_rows import from_row, read_recordings
from widthwise.evals.suites.rows import read_rows

_log = logging.getLogger(__name__)

_QUESTION = ("question", "problem", "query", "input", "prompt")
_NOT_FOUND = "[invalid]"
"""What lm-evaluation-harness's filters say where they find no answer."""

_FINISHES = {"stop": "stop", "max_tokens": "length", "length": "length", "model_length": "length"}


def read_generations(path: str | Path, importer: str | None = None) -> list[Recording]:
    """Recorded generations of our own schema or of another tool's log.

    ``importer`` names who reads the file; None tells it from the file's name and content. Raises ``UsageError`` for a
    file that nobody knows, or that is damaged.
    """
    file = Path(path)
    reader = importer_named(importer) if importer else recognised(file, _first_row(file))
    return read_recordings(file) if reader is None else _recordings(file, reader.read(file))


def _first_row(file: Path) -> Mapping[str, Any]:
    """The first row of a JSON Lines file; empty for any other."""
    if file.suffix in (".eval", ".json", ".parquet"):
        return {}
    return next(iter(read_rows(file)), (0, {}))[1]


def _recordings(path: Path, rows: Iterable[Row]) -> list[Recording]:
    found: list[Recording] = []
    unread: list[list[bool]] = []
    try:
        for row in rows:
            unread.append(["answer" not in sample for sample in row["samples"]])
            found.append(from_row(row))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise UsageError(f"{path}, problem {len(found) + 1}: {str(error)[:200]}") from error
    if not found:
        raise UsageError(f"{path} has no generations in it")
    return [_answered(*each) for each in zip(with_begun(found), unread, strict=True)]


def _answered(recording: Recording, unread: Sequence[bool]) -> Recording:
    """The recording, its answers read by the math grader's rules where the other tool read none."""
    if any(unread):
        _log.debug("problem %s: answers are read by the math grader's rules", recording.problem.id)
    pairs = zip(recording.samples, unread, strict=True)
    samples = [replace(sample, answer=stated_in(sample, MathGrader())) if new else sample for sample, new in pairs]
    return replace(recording, samples=tuple(samples))


def _reference(target: Any) -> str | None:
    """The answer that a target states: after ``####``, in a box, or all of it."""
    if target is None:
        return None
    text = str(target)
    if "####" in text:
        return text.rpartition("####")[2].strip().replace(",", "")
    return (extract(text, MATH) if "\\boxed" in text else None) or text.strip()


# -- lm-evaluation-harness -------------------------------------------------------------------------------------


def _harness_rows(path: Path) -> Iterator[Row]:
    """One row a document; where a task has several answer filters there is a line for each, and the first is taken."""
    named = re.match(r"samples_(.+?)_\d{4}-\d\d-\d\dT", path.name)
    task, chosen = named[1] if named else path.stem, None
    for number, line in read_rows(path):
        chosen = line.get("filter") if chosen is None else chosen
        if line.get("filter") != chosen:
            _log.info("%s, line %d: the filter %s is left out, %s is taken", path, number, line.get("filter"), chosen)
        else:
            yield _harness_row(path, number, task, line)


def _harness_row(path: Path, number: int, task: str, line: Mapping[str, Any]) -> Row:
    texts = _generations(line.get("resps") or line.get("filtered_resps"))
    if texts is None:
        raise UsageError(f"{path}, line {number}: likelihoods of given choices, not generations")
    answers = _generations(line.get("filtered_resps")) or []
    samples: list[Row] = [{"text": text} for text in texts]
    if len(answers) == len(texts):
        for sample, answer in zip(samples, answers, strict=True):
            # A filter that leaves the text as it is has read no answer.
            sample |= {} if answer == sample["text"] else {"answer": _stated(answer)}
    metric = next((line[m] for m in line.get("metrics") or ("exact_match", "acc") if m in line), None)
    # With repeats the metric is that of all of them together.
    if len(samples) == 1 and metric in (0, 1):
        samples[0]["correct"] = bool(metric)
    return {
        "problem_id": f"{task}-{line['doc_id']}",
        "problem": _question(line),
        "answer": _reference(line.get("target")),
        "samples": samples,
        "source": f"lm-evaluation-harness {task}",
    }


def _generations(responses: Any) -> list[str] | None:
    """The texts of a generation task, ``[[text, ...]]`` or ``[text, ...]``; None for likelihood pairs."""
    flat = responses
    while isinstance(flat, list) and len(flat) == 1 and isinstance(flat[0], list):
        flat = flat[0]
    if isinstance(flat, list) and flat and all(isinstance(text, str) for text in flat):
        is_pair = len(flat) == 2 and flat[1] in ("True", "False")
        return None if is_pair else flat
    return None


def _stated(answer: str) -> str | None:
    return None if answer == _NOT_FOUND or not answer.strip() else answer


def _question(line: Mapping[str, Any]) -> str:
    """The document's question, else the prompt that the model was given."""
    document = line.get("doc") or {}
    for name in _QUESTION:
        if isinstance(document.get(name), str) and document[name].strip():
            return str(document[name])
    arguments = line.get("arguments") or {}
    first = arguments.get("gen_args_0", {}).get("arg_0") if isinstance(arguments, dict) else arguments[0][0]
    return first if isinstance(first, str) else json.dumps(first, ensure_ascii=False)


# -- inspect_ai ------------------------------------------------------------------------------------------------


def _inspect_rows(path: Path) -> Iterator[Row]:
    """One row a sample id, its epochs as samples."""
    header, samples = _inspect_log(path)
    about = header.get("eval") or {}
    problems: dict[str, list[Row]] = {}
    for sample in samples:
        if not isinstance(sample, dict) or "id" not in sample:
            raise UsageError(f"{path} is no log of inspect_ai: a sample has no id")
        problems.setdefault(str(sample["id"]), []).append(sample)
    for name, epochs in problems.items():
        ordered = sorted(epochs, key=lambda sample: int(sample.get("epoch", 0)))
        targets = ordered[0].get("target")
        yield {
            "problem_id": name,
            "problem": _last_question(ordered[0]) or f"(sample {name})",
            "answer": _reference(targets[0] if isinstance(targets, list) and targets else targets or None),
            "samples": [_inspect_sample(sample) for sample in ordered],
            "model": about.get("model"),
            "source": f"inspect_ai {about.get('task', '')}".strip(),
        }


def _inspect_log(path: Path) -> tuple[Row, list[Any]]:
    """The log's header and its samples, from either format."""
    try:
        if path.suffix == ".json":
            log = json_file(path)
            if not isinstance(log, dict) or not isinstance(log.get("samples"), list):
                raise UsageError(f"{path} is no log of inspect_ai: it has no samples")
            return log, log["samples"]
        with zipfile.ZipFile(regular_file(path)) as log_zip:
            unpacking(path, sum(member.file_size for member in log_zip.infolist()))
            names = log_zip.namelist()
            head = next((n for n in ("header.json", "start.json", "_journal/start.json") if n in names), None)
            header = _member(log_zip, head) if head else {}
            parts = sorted(n for n in names if n.startswith("samples/") and n.endswith(".json"))
            return header, [_member(log_zip, n) for n in parts]
    except (OSError, ValueError, EOFError, RuntimeError, zlib.error, zipfile.BadZipFile) as error:
        raise UsageError(f"{path} is no readable log of inspect_ai, or is cut short: {error}") from error


def _member(log_zip: zipfile.ZipFile, name: str) -> Any:
    size = log_zip.getinfo(name).file_size
    if size > LARGEST_VALUE:
        raise ValueError(f"{name} would unpack to {size >> 20} MiB")
    return parse(log_zip.read(name))


def _inspect_sample(sample: Row) -> Row:
    output = sample.get("output") or {}
    choice: Row = next(iter(output.get("choices") or []), {})
    score: Row = next(iter((sample.get("scores") or {}).values()), {})
    text = _content((choice.get("message") or {}).get("content"), sample.get("attachments") or {})
    row: Row = {"text": text or output.get("completion") or ""}
    row["finish"] = "error" if sample.get("error") else _FINISHES.get(choice.get("stop_reason", ""))
    row["tokens"] = (output.get("usage") or {}).get("output_tokens")
    row["correct"] = _verdict(score.get("value"))
    if score.get("answer"):
        row["answer"] = score["answer"]
    return row


def _content(content: Any, attachments: Mapping[str, str]) -> str:
    """A message's text, its reasoning as thinking before it; long texts are apart, under ``attachment://`` names."""
    if isinstance(content, str):
        return attachments.get(content.removeprefix("attachment://"), content)
    parts = [part for part in content or [] if isinstance(part, dict)]
    thought = [_content(text, attachments) for part in parts if (text := part.get("reasoning"))]
    said = [_content(text, attachments) for part in parts if not part.get("reasoning") and (text := part.get("text"))]
    closed = "\n</think>\n\n" if said else ""
    return ("<think>\n" + "\n\n".join(thought) + closed if thought else "") + "\n\n".join(said)


def _verdict(value: Any) -> bool | None:
    """Right or wrong as inspect_ai's scorers say it; None for partial credit and unscored samples."""
    if isinstance(value, str):
        return {"C": True, "I": False, "N": False, "true": True, "false": False}.get(value)
    return bool(value) if value in (0, 1) else None


def _last_question(sample: Row) -> str:
    asked = sample.get("input")
    if isinstance(asked, list):
        users = [m for m in asked if isinstance(m, dict) and m.get("role") == "user"]
        asked = _content(users[-1].get("content"), sample.get("attachments") or {}) if users else ""
    return _content(asked, sample.get("attachments") or {}) if isinstance(asked, str) else ""


# -- search-and-learn ------------------------------------------------------------------------------------------


def _search_and_learn_rows(path: Path) -> Iterator[Row]:
    """One row a problem; ``reward`` is the score after the last step, which its own predictions use."""
    approach = path.name.partition("_completions")[0]
    for number, line in read_rows(path):
        completions, scores = line["completions"], line.get("scores") or []
        tokens = line.get("completion_tokens")
        samples = [
            {
                "text": text,
                "step_scores": list(scores[i]) if i < len(scores) else None,
                "reward": scores[i][-1] if i < len(scores) and scores[i] else None,
                "tokens": tokens[i] if isinstance(tokens, list) and i < len(tokens) else None,
            }
            for i, text in enumerate(completions)
        ]
        yield {
            "problem_id": str(line.get("unique_id") or line.get("id") or f"{path.stem}-{number}"),
            "problem": line["problem"],
            "answer": _reference(line.get("answer")),
            "samples": samples,
            "sampler": approach if approach in ("best_of_n", "beam_search", "dvts") else None,
            "source": "search-and-learn",
        }


LM_EVAL = register("importer")(
    Importer(
        "lm_eval",
        _harness_rows,
        lambda path, first: "doc_id" in first and not first.keys().isdisjoint({"resps", "filtered_resps"}),
        "samples that EleutherAI's lm-evaluation-harness logged (--log_samples)",
    )
)
INSPECT = register("importer")(
    Importer(
        "inspect_ai",
        _inspect_rows,
        lambda path, first: path.suffix in (".eval", ".json"),
        "logs of the UK AISI's inspect_ai (.eval or .json)",
    )
)
SEARCH_AND_LEARN = register("importer")(
    Importer(
        "search_and_learn",
        _search_and_learn_rows,
        lambda path, first: "completions" in first and "problem" in first and "samples" not in first,
        "completions of Hugging Face's search-and-learn",
    )
)
