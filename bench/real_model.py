"""Record a real model on problems of GSM8K and MATH-500, and pack the recordings as the suites ship them.

Recording takes hours on a CPU, and continues where it was stopped (``FOLDER`` holds Qwen2.5-Coder-1.5B-Instruct,
``DATA`` the problems as JSON Lines; the 20 of MATH-500 are the first of levels 1 to 3)::

    python bench/real_model.py record FOLDER DATA/gsm8k_test.jsonl DATA/math500.jsonl RUNS
    python bench/real_model.py pack RUNS evals/suites/data

From the packed files, the table of ``docs/measured.md``, in a minute::

    python bench/real_model.py table FOLDER

The packed files hold for each sample: its text, why it ended, where its tokens end, and the log-probabilities of the
tokens and of the 20 most likely ones in float16. Token ids are left out: a replay does not need them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from widthwise.core.trace.recording import Recording, Sample
from widthwise.evals.store.exchange import stored_recordings
from widthwise.evals.store.store import Store

_ABOUT = {
    "model": "Qwen/Qwen2.5-Coder-1.5B-Instruct",
    "weights": "of its official Q4_K_M GGUF, computed in bfloat16 by vLLM's CPU build",
    "model_licence": "Apache-2.0, (c) 2024 Alibaba Cloud",
    "sampling": "temperature 0.7, top_p 0.8, top_k 20",
}
_NOTICES = {
    "recorded_gsm8k": "GSM8K, MIT License, Copyright (c) 2021 OpenAI",
    "recorded_math": "MATH, MIT License, Copyright (c) 2021 Dan Hendrycks",
}
_STRATEGIES = (
    "best_of_n(n={n}) | majority_vote()",
    "single()",
    "best_of_n(n={n}) | weighted_vote(by='mean_logprob')",
    "best_of_n(n={n}) | weighted_vote(by='mean_confidence')",
    "best_of_n(n={n}) | weighted_vote(by='tail_confidence')",
    "best_of_n(n={n}) | weighted_vote(by='lowest_group_confidence(window=64)')",
    "best_of_n(n={n}) | borda_vote()",
    "best_of_n(n={n}) | best_by('mean_logprob')",
    "best_of_n(n={n}) | best_by('self_certainty')",
    "best_of_n(n={n}) | stop_when_decided() | majority_vote()",
    "best_of_n(n={n}) | esc() | majority_vote()",
    "best_of_n(n={n}) | adaptive_consistency() | majority_vote()",
    "best_of_n(n={n}, width=1) | adaptive_consistency() | majority_vote()",
    "best_of_n(n={n}, width=1) | anytime() | majority_vote()",
    "best_of_n(n={n}) | deepconf(warmup=4, window=64) | weighted_vote(by='lowest_group_confidence(window=64)')",
    "best_of_n(n={n}) | deepconf(warmup=4, window=64, eta=90) | weighted_vote(by='lowest_group_confidence(window=64)')",
)
"""Defaults, with warm-ups and windows that fit 16 texts of a few hundred tokens; chosen before looking at the results.
"""

_SAID = {*_ABOUT, "source", "licence"}
_FLOATS = pa.list_(pa.float16())
_SAMPLE = pa.struct(
    {
        "text": pa.string(),
        "finish": pa.string(),
        "token_ends": pa.list_(pa.int32()),
        "logprobs": _FLOATS,
        "top_logprobs": pa.list_(_FLOATS),
    }
)


def record(model: Path, gsm8k: Path, math: Path, runs: Path) -> None:
    """Sample both sets with the settings that the model recommends."""
    runs.mkdir(parents=True, exist_ok=True)
    low = runs / "math_low.jsonl"
    if not low.exists():
        rows = [row for row in map(json.loads, math.read_text("utf-8").splitlines()) if row["level"] <= 3]
        low.write_text("".join(json.dumps(row) + "\n" for row in rows[:20]), "utf-8")
    _sample("gsm8k", gsm8k, model, runs / "recorded_gsm8k.db", 40, 16, 1024)
    _sample("math500", low, model, runs / "recorded_math.db", 20, 8, 1536)


def _sample(suite: str, data: Path, model: Path, run: Path, problems: int, n: int, tokens: int) -> None:
    options = {
        "data": data, "limit": problems, "model": f"vllm:{model}", "backend-arg": "max_model_len=4096",
        "strategy": f"best_of_n(n={n}) | majority_vote()", "logprobs": 20, "max-tokens": tokens, "run": run,
        "concurrency": 64 // n,
    }  # fmt: skip
    said = [f"--{name}={value}" for name, value in options.items()]
    subprocess.run([sys.executable, "-m", "widthwise", "eval", suite, *said], check=True)


def pack(runs: Path, out: Path) -> None:
    """Write the recordings of finished problems as Parquet."""
    for name, notice in _NOTICES.items():
        with Store.read(runs / f"{name}.db") as store:
            rows = [_row(recording, notice) for recording in stored_recordings(store)]
        table = pa.Table.from_pylist(rows, schema=_schema(rows[0]))
        pq.write_table(table, out / f"{name}.parquet", compression="zstd", compression_level=19, row_group_size=4)
        tokens = sum(len(sample["token_ends"]) for row in rows for sample in row["samples"])
        size = (out / f"{name}.parquet").stat().st_size
        print(f"{name}: {len(rows)} problems, {tokens} tokens, {size / 1e6:.1f} MB")


def _schema(row: dict[str, Any]) -> pa.Schema:
    texts = {name: pa.string() for name in row if name != "samples"}
    numbers = {name: pa.int64() for name in row if isinstance(row[name], int)}
    return pa.schema({**texts, **numbers, "samples": pa.list_(_SAMPLE)})


def _row(recording: Recording, notice: str) -> dict[str, Any]:
    problem = recording.problem
    return {
        "problem_id": problem.id,
        "problem": problem.text,
        "answer": problem.answer,
        **{k: v for k, v in problem.metadata.items() if isinstance(v, int | str) and k not in _SAID},
        **_ABOUT,
        "licence": notice,
        "samples": [_packed(sample) for sample in recording.samples],
    }


def _packed(sample: Sample) -> dict[str, Any]:
    stats = sample.stats
    assert stats is not None
    assert stats.top_logprobs is not None
    assert sample.token_ends is not None
    return {
        "text": sample.text,
        "finish": sample.finish,
        "token_ends": sample.token_ends.astype(np.int32),
        "logprobs": stats.logprobs.astype(np.float16),
        "top_logprobs": list(stats.top_logprobs.astype(np.float16)),
    }


def table(folder: Path) -> None:
    """What votes, scores and stopping rules achieve on the recordings, against the majority vote over all samples."""
    folder.mkdir(parents=True, exist_ok=True)
    for suite, n in (("recorded_gsm8k", 16), ("recorded_math", 8)):
        runs = [folder / f"{suite}-{i}.db" for i in range(len(_STRATEGIES))]
        for run, strategy in zip(runs, _STRATEGIES, strict=True):
            _widthwise("eval", suite, "--strategy", strategy.format(n=n), "--run", str(run), "--json")
        print(_widthwise("compare", *map(str, runs)))


def _widthwise(*words: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "widthwise", *words], check=True, capture_output=True, text=True
    ).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    recording = commands.add_parser("record")
    for name in ("model", "gsm8k", "math", "runs"):
        recording.add_argument(name, type=Path)
    recording.set_defaults(do=record)
    packing = commands.add_parser("pack")
    for name in ("runs", "out"):
        packing.add_argument(name, type=Path)
    packing.set_defaults(do=pack)
    showing = commands.add_parser("table")
    showing.add_argument("folder", type=Path)
    showing.set_defaults(do=table)
    arguments = vars(parser.parse_args())
    arguments.pop("do")(**arguments)


if __name__ == "__main__":
    main()
