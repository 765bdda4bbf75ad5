"""A real headless browser, driven over WebDriver's plain HTTP."""

import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
KEYS = {"Down": "\ue015", "Enter": "\ue007", "Escape": "\ue00c", "End": "\ue010", "Home": "\ue011", "Tab": "\ue004"}
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


def missing() -> str | None:
    """Why no browser test can run here; None if one can."""
    if not shutil.which("chromedriver"):
        return "chromedriver is not installed"
    return None if any(map(shutil.which, BROWSERS)) else "no Chromium is installed"


class Browser:
    """One window."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}"
        self._session = ""

    def start(self, *arguments: str) -> None:
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", *arguments]
        options = {"goog:chromeOptions": {"args": flags}, "goog:loggingPrefs": {"browser": "ALL"}}
        wanted = {"alwaysMatch": {**options, "timeouts": {"script": 300_000}}}
        self._session = self._call("POST", "/session", {"capabilities": wanted})["sessionId"]

    def open(self, page: Path, fragment: str = "") -> None:
        """Load a page from disk and wait until it is rendered."""
        self._command("POST", "url", {"url": "about:blank"})
        self._command("POST", "url", {"url": page.absolute().as_uri() + fragment})
        self.wait("return document.getElementById('page').getAttribute('aria-busy') === 'false'")

    def script(self, text: str) -> Any:
        return self._command("POST", "execute/sync", {"script": text, "args": []})

    def promised(self, text: str) -> Any:
        """The value of the promise that the expression ``text`` returns."""
        script = f"const done = arguments[arguments.length - 1]; ({text}).then(done, (e) => done(String(e)))"
        return self._command("POST", "execute/async", {"script": script, "args": []})

    def narrow(self, width: int) -> None:
        """Show pages at this width from now on, as a phone does: a window cannot be made this narrow."""
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self._command("POST", "goog/cdp/execute", {"cmd": "Emulation.setDeviceMetricsOverride", "params": metrics})

    def wait(self, condition: str, seconds: float = 300) -> None:
        end = time.monotonic() + seconds
        while not self.script(condition):
            if time.monotonic() > end:
                raise AssertionError(f"the page never came to: {condition}")
            time.sleep(0.02)

    def keys(self, *names: str) -> None:
        """Press keys one by one, wherever the focus is."""
        actions = [{"type": t, "value": KEYS.get(n, n)} for n in names for t in ("keyDown", "keyUp")]
        self._command("POST", "actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def log(self) -> list[str]:
        """The messages in the page's error log."""
        return [entry["message"] for entry in self._command("POST", "se/log", {"type": "browser"})]

    def close(self) -> None:
        if self._session:
            self._call("DELETE", f"/session/{self._session}")

    def _command(self, verb: str, name: str, body: dict[str, Any]) -> Any:
        return self._call(verb, f"/session/{self._session}/{name}", body)

    def _call(self, verb: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, data, {"Content-Type": "application/json"}, method=verb)
        with urllib.request.urlopen(request, timeout=300) as answer:
            return json.load(answer)["value"]


@contextmanager
def running(*arguments: str) -> Iterator[Browser]:
    """A browser with these additional flags, closed at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    browser = Browser(port)
    try:
        _await_port(port)
        browser.start(*arguments)
        yield browser
    finally:
        try:
            browser.close()
        finally:
            process.terminate()
            process.wait()


def _await_port(port: int) -> None:
    end = time.monotonic() + 300
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=10).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("chromedriver did not start")
