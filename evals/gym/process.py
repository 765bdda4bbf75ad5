"""The process in which reasoning-gym makes problems and scores answers, with one child per request.

Its scorers read answers with ``eval`` (through sympy, for example), so a model's answer is scored in a child that has
given up everything that computing does not need; see :mod:`widthwise.core.sandbox.confinement`, whose folder is
``argv[1]``. Requests are JSON objects, one per line on stdin; replies, on stdout, are too: the result as ``value``, or
the reason why there is none. The process ends with its stdin.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import sys
from collections.abc import Callable
from typing import Any

if __name__ == "__main__":  # a script finds the walls by their folder: importing the package would take seconds
    sys.path.insert(0, sys.argv[1])
    import confinement  # type: ignore[import-not-found, unused-ignore]

    del sys.path[0]
else:
    from widthwise.core.sandbox import confinement


class OtherProblem(ValueError):
    """The generator now makes a different problem than when the question was made."""


def main() -> None:
    """Answer requests until there are no more."""
    replies = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints is not a reply
    import reasoning_gym  # noqa: F401

    for line in sys.stdin:
        request = json.loads(line)
        reply = _in_a_child({"make": made, "score": scored}[request["do"]], request)
        os.write(replies, reply + b"\n")


def _in_a_child(work: Callable[[dict[str, Any]], Any], request: dict[str, Any]) -> bytes:
    """The result of ``work`` in a separate process."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(writing, 1)
        _work(work, request)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        said = file.read(request["reply_bytes"])
    _, status = os.waitpid(child, 0)
    return said or json.dumps({"ended": os.waitstatus_to_exitcode(status)}).encode()


def _work(work: Callable[[dict[str, Any]], Any], request: dict[str, Any]) -> None:
    try:
        confinement.restrain(request["cpu_seconds"], request["memory_bytes"])
        said = {"value": work(request)}
    except BaseException as error:
        said = {"refusal": f"{type(error).__name__}: {error}"[:300]}
    with contextlib.suppress(BaseException):
        data = json.dumps(said).encode()
        while data:
            data = data[os.write(1, data) :]
    os._exit(0)


def made(request: dict[str, Any]) -> dict[str, Any]:
    """The problems of a generator; for an unknown one, the names of the known ones."""
    from reasoning_gym.factory import DATASETS

    name = request["name"]
    if name not in DATASETS:
        return {"names": sorted(DATASETS)}
    config = DATASETS[name][1]
    unknown = set(request["config"]).difference(f.name for f in dataclasses.fields(config))
    if unknown:
        return {"unknown": sorted(unknown), "fields": [f.name for f in dataclasses.fields(config)]}
    dataset = _dataset(request)
    entries = [dataset[i] for i in range(request["config"]["size"])]
    return {"entries": [[str(e["question"]), None if e["answer"] is None else str(e["answer"])] for e in entries]}


def scored(request: dict[str, Any]) -> dict[str, Any]:
    """The score of an answer, from 0 to 1, or what the scorer raised because of it.

    Raises ``OtherProblem`` if the generator now makes a different problem than when the question was made.
    """
    dataset = _dataset(request)
    entry = dataset[request["index"]]
    if str(entry["question"]) != request["question"]:
        raise OtherProblem("it now makes a different problem from these arguments")
    with contextlib.suppress(Exception):  # so that everything it imports is loaded before the walls are up
        dataset.score_answer(entry["answer"], entry)
    confinement.lock_down()
    try:
        return {"score": float(dataset.score_answer(request["answer"], entry))}
    except Exception as error:
        return {"raised": f"{type(error).__name__}: {error}"[:200]}


def _dataset(request: dict[str, Any]) -> Any:
    import reasoning_gym

    return reasoning_gym.create_dataset(request["name"], **request["config"])


if __name__ == "__main__":
    main()
