"""The command ``serve`` as a process: what it prints, how it ends, what it refuses."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from widthwise.core.installation import install_command
from widthwise.serving.server import listening, serve_at

COMMAND = [sys.executable, "-m", "widthwise"]
KEY = "sk-abcdefghijklmnop"


@contextmanager
def serving(*arguments: str, **environment: str) -> Iterator[tuple[dict[str, Any], subprocess.Popen[str]]]:
    """A server as a process, and what it prints when it is ready."""
    command = [*COMMAND, "serve", "--port", "0", "--json", *arguments]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env={**os.environ, **environment}, **pipes) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline()), process
        finally:
            process.kill()


def refused(*arguments: str, **environment: str) -> str:
    """The error message of a command that ends with status 2."""
    ended = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, env={**os.environ, **environment})
    assert ended.returncode == 2, ended
    return " ".join(ended.stderr.split())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_what_was_begun_end_and_the_command_ends_in_good_order(number: signal.Signals) -> None:
    with serving("--strategy", "vote=best_of_n(n=64) | majority_vote()") as (said, process):
        assert said["models"] == ["vote"]
        body = json.dumps(
            {"model": "vote", "messages": [{"role": "user", "content": "Compute 2 + 3."}], "stream": True}
        )
        headers = {"Content-Type": "application/json"}
        with urlopen(Request(f"{said['address']}/chat/completions", body.encode(), headers)) as response:
            first = response.readline()  # it is working
            process.send_signal(number)
            rest = response.read().decode()
        assert process.wait(600) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert first.startswith(b"data: ")
    assert rest.endswith("data: [DONE]\n\n")
    assert '"answer":"5"' in rest


SERVING = """
import asyncio, signal, sys
from late_signal import late
from widthwise.core.event_loop import run_loop
from widthwise.interrupts import catch_signals
from widthwise.serving.server import listening, serve_at

hangs = sys.argv[1] == "while it ends"

async def app(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.complete"})
    signal.raise_signal(signal.SIGINT)
    await receive()
    if hangs:
        signal.raise_signal(signal.SIGINT)
        await wait()
    await send({"type": "lifespan.shutdown.complete"})

async def wait():
    late(signal.SIGINT)
    await asyncio.sleep(1000)

async def work():
    await serve_at(app, listening("127.0.0.1", 0))
    await wait()

catch_signals()
try:
    run_loop(work())
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize("when", ["while it ends", "after it"])
def test_a_signal_ends_what_hangs_when_a_server_was_stopped(when: str) -> None:
    path = os.pathsep.join([*sys.path, str(Path(__file__).parents[1])])
    command = [sys.executable, "-c", SERVING, when]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=600)
    assert done.stdout == "interrupted\n", done.stderr


AT_ONCE = """
import signal
from widthwise.cli import app, serve

def say(*given, as_it_is=serve._say_ready):
    as_it_is(*given)
    for _ in range(2):
        signal.raise_signal(signal.SIGINT)

serve._say_ready = say
app.main()
"""


def test_signals_right_after_the_address_end_a_server_in_good_order() -> None:
    """Before, the second one struck while the process ended, whose status was that of a killed one."""
    command = [sys.executable, "-c", AT_ONCE, "serve", "--port", "0", "--strategy", "single()"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("serving widthwise at http")


async def test_a_server_leaves_a_signal_alone_that_is_ignored() -> None:
    """As SIGINT is for `widthwise serve ... &` in a script."""
    started = asyncio.Event()

    async def app(scope: object, receive: Callable[[], Awaitable[object]], send: Callable[..., Awaitable[None]]) -> Any:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        started.set()
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        serving = asyncio.create_task(serve_at(app, listening("127.0.0.1", 0)))
        await started.wait()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        assert callable(signal.getsignal(signal.SIGTERM))
        serving.cancel()
        await asyncio.wait([serving])
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_key_comes_from_the_environment_and_is_said_nowhere() -> None:
    with serving("--strategy", "single()", WIDTHWISE_API_KEY=KEY) as (said, process):
        url = f"{said['address']}/models"
        with urlopen(Request(url, headers={"Authorization": f"Bearer {KEY}"})) as response:
            assert response.status == 200
        with pytest.raises(OSError, match="401"):
            urlopen(url)
        process.terminate()
        output, errors = process.communicate()
    assert KEY not in json.dumps(said) + output + errors


def test_wrong_offers_are_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"cannot listen at 127.0.0.1 port {port}" in refused("serve", "--port", port)
    assert "set a key (--api-key, or WIDTHWISE_API_KEY" in refused("serve", "--host", "0.0.0.0")
    assert "unknown" in refused("serve", "--strategy", "vote=best_of_m()")


def test_a_missing_extra_is_one_sentence_with_the_command_that_installs_it(tmp_path: Path) -> None:
    (tmp_path / "uvicorn.py").write_text("raise ModuleNotFoundError(\"No module named 'uvicorn'\", name='uvicorn')")
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    said = refused("serve", PYTHONPATH=path)
    assert said == (f"widthwise: serving needs packages that are not installed (uvicorn): {install_command('serve')}")


def test_the_package_is_imported_without_the_extra() -> None:
    extra = "{'uvicorn', 'starlette', 'prometheus_client'}"
    code = f"import sys, widthwise, widthwise.cli.app; print({extra} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
