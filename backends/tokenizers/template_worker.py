"""A process that renders chat templates, so that none can take up the time or the memory of the run.

A template comes with downloaded weights. Even inside Jinja's sandbox it can loop for ever or build a string of
terabytes. This file is run as a script of its own, outside the package: it imports only Jinja and the standard library.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from functools import lru_cache
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.environment import Template
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

MEMORY_BYTES = 1 << 30
SPARE_CHARS = 1_000_000
"""How much longer than ten times its conversation a rendered text may be."""


def template_environment() -> ImmutableSandboxedEnvironment:
    """Jinja as the checkpoints expect it; sandboxed."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationBlock, loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = None
    return environment


class _GenerationBlock(Extension):
    """``{% generation %}`` marks assistant text for training masks; here it only passes its body through."""

    tags = {"generation"}  # noqa: RUF012  (jinja2 declares it so)

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_pass_through"), [], [], body).set_lineno(line)

    def _pass_through(self, caller: Callable[[], str]) -> str:
        return caller()


def _tojson(value: Any, ensure_ascii: bool = False, indent: int | None = None, sort_keys: bool = False) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, sort_keys=sort_keys)


def _raise_exception(message: str) -> None:
    raise TemplateError(message)


@lru_cache(maxsize=16)
def _compiled(source: str) -> Template:
    return template_environment().from_string(source)


def rendered(task: dict[str, Any]) -> dict[str, str]:
    """``{"text": ...}`` for a task ``{"source", "today", "context"}``, or ``{"error": ...}``, whatever goes wrong."""
    today = date.fromisoformat(task["today"])
    allowed = 10 * len(json.dumps(task["context"])) + SPARE_CHARS
    parts, length = [], 0
    try:
        for part in _compiled(task["source"]).generate(strftime_now=today.strftime, **task["context"]):
            parts.append(part)
            length += len(part)
            if length > allowed:
                return {"error": f"it writes more than {allowed:,} characters"}
    except TemplateError as error:
        return {"error": str(error) or type(error).__name__}
    except Exception as error:  # a template may raise anything
        return {"error": f"{type(error).__name__}: {error}"}
    return {"text": "".join(parts)}


def _limit(seconds: int) -> None:
    """From now on, limit processor time and memory (``MEMORY_BYTES``); beyond them, the process ends."""
    with suppress(ImportError, ValueError, OSError):  # not available everywhere; the caller has a limit too
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        end = math.ceil(time.process_time()) + seconds
        resource.setrlimit(resource.RLIMIT_CPU, (end, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def main() -> None:
    """Answer tasks, one JSON value per line, until the input ends."""
    for line in sys.stdin.buffer:
        task = json.loads(line)
        _limit(task["seconds"])
        reply = json.dumps(rendered(task))
        sys.stdout.buffer.write(reply.encode() + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
