"""Which files a strategy crosses from the command line to a token and the store; likewise a score and a verdict.

Runs the command line on one problem with the bundled models and takes the stack of calls at each station of the walk. A
task's stack continues in that of its creator. A file counts as crossed twice if a walk comes back to it.

    python bench/walks.py                 # all walks, in files
    python bench/walks.py token --calls   # one walk, in functions
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
Call = tuple[str, str]
"""A file, relative to the repository, and a function in it."""


@dataclass(frozen=True, slots=True)
class Station:
    """A place on a walk: the first call of ``function`` in ``file`` after the stations before it.

    With ``last`` it is the last call before the next station: a default is read before the given value.
    """

    what: str
    file: str
    function: str
    last: bool = False

    def is_at(self, frame: FrameType) -> bool:
        return frame.f_code.co_name == self.function and _file(frame) == self.file


@dataclass(frozen=True, slots=True)
class Walk:
    """A strategy to run, and where on its way to take the stack."""

    title: str
    strategy: str
    stations: tuple[Station, ...]
    options: tuple[str, ...] = ()


WALKS = {
    "token": Walk(
        "a strategy string: from the command line to a sampled token and into the store",
        "best_of_n(n=2) | majority_vote()",
        (
            Station("read", "samplers/best_of_n.py", "__post_init__", last=True),
            Station("sampled", "backends/embedded/sampling.py", "choose"),
            Station("stored", "evals/store/database.py", "transaction"),
        ),
    ),
    "score": Walk(
        "a score: from an aggregator to the reward model's engine",
        "best_of_n(n=2) | best_by('reward_model')",
        (
            Station("asked for", "aggregators/best_by.py", "__call__"),
            Station("read", "backends/embedded/probe.py", "take"),
        ),
        ("--reward-model", "scorer"),
    ),
    "verdict": Walk(
        "a pruner's verdict: from a draw to the pruner, and to the engine that stops",
        "best_of_n(n=8) | short(m=1) | majority_vote()",
        (
            Station("asked", "pruning/short.py", "__call__"),
            Station("stopped", "backends/embedded/engine.py", "abort"),
        ),
    ),
}


@dataclass(slots=True)
class Tracer:
    """Takes the stack at each station of a walk, in their order."""

    stations: list[Station]
    found: list[tuple[Station, list[Call]]] = field(default_factory=list)
    called: set[str] = field(default_factory=set)
    created: dict[int, list[Call]] = field(default_factory=dict)

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        if event != "call" or not self.stations:
            return
        self.called.add(_file(frame) or "")
        if self.stations[0].is_at(frame):
            self.found.append((self.stations.pop(0), self.stack(frame)))
        elif self.found and self.found[-1][0].last and self.found[-1][0].is_at(frame):
            self.found[-1] = (self.found[-1][0], self.stack(frame))

    def stack(self, frame: FrameType | None) -> list[Call]:
        """The calls that lead to ``frame``, outermost first; below the event loop, those of the task's creator."""
        own: list[Call] = []
        while frame is not None and not frame.f_code.co_filename.endswith("asyncio/events.py"):
            file = _file(frame)
            if file is not None:
                own.append((file, frame.f_code.co_name))
            frame = frame.f_back
        return [*self._before(), *reversed(own)]

    def _before(self) -> list[Call]:
        """The calls that created the running task."""
        try:
            task = asyncio.current_task()
        except RuntimeError:
            return []
        return self.created.get(id(task), [])

    def create_task(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Any:
        """A task factory that remembers where each task was made."""
        made = asyncio.Task(coroutine, loop=loop, **options)
        self.created[id(made)] = self.stack(sys._getframe(1))
        self.kept.append(made)
        return made

    kept: list[Any] = field(default_factory=list)
    """Tasks, kept so that no other task gets the id of one that has ended."""


def _file(frame: FrameType) -> str | None:
    """The frame's file in the repository, None for any other."""
    name = frame.f_code.co_filename
    path = _known.get(name)
    if path is None:
        real = Path(name).resolve() if os.path.isabs(name) else Path()
        # A virtual environment may be inside the repository, as the README makes it.
        inside = real.is_relative_to(ROOT) and not {"bench", "site-packages"} & set(real.relative_to(ROOT).parts)
        path = _known[name] = str(real.relative_to(ROOT)) if inside else ""
    return path or None


_known: dict[str, str] = {}


def walked(walk: Walk) -> Tracer:
    """Run the walk's command; returns the tracer with the stack at each of its stations."""
    from typer.testing import CliRunner

    from widthwise.cli.app import app

    tracer = Tracer(list(walk.stations))

    class Policy(asyncio.DefaultEventLoopPolicy):
        def new_event_loop(self) -> asyncio.AbstractEventLoop:
            loop = super().new_event_loop()
            loop.set_task_factory(tracer.create_task)  # type: ignore[arg-type]
            return loop

    asyncio.set_event_loop_policy(Policy())
    with tempfile.TemporaryDirectory() as folder:
        run = ["--run", f"{folder}/walk.db", "--max-tokens", "40", "--limit", "1", *walk.options]
        sys.setprofile(tracer)
        try:
            result = CliRunner().invoke(app, ["eval", "arithmetic", "--strategy", walk.strategy, *run])
        finally:
            sys.setprofile(None)
            asyncio.set_event_loop_policy(None)
    if result.exit_code or tracer.stations:
        raise SystemExit(f"{walk.title}: not reached: {[s.what for s in tracer.stations]}\n{result.output}")
    return tracer


def files(calls: list[Call]) -> list[str]:
    """The files that a stack crosses, in order; a file is repeated if the stack comes back to it."""
    return [file for file, _ in groupby(file for file, _ in calls)]


def repeated(crossed: list[str]) -> Iterator[str]:
    """The files that a walk comes back to."""
    yield from sorted({file for file in crossed if crossed.count(file) > 1})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("walk", nargs="?", choices=WALKS, help="one walk; all of them if not given")
    parser.add_argument("--calls", action="store_true", help="print functions too")
    parser.add_argument("--json", action="store_true", help="print one JSON object per walk")
    chosen = parser.parse_args()
    for name in [chosen.walk] if chosen.walk else WALKS:
        tracer = walked(WALKS[name])
        found = tracer.found
        if chosen.json:
            crossed = {station.what: files(calls) for station, calls in found}
            print(json.dumps({"walk": name, "stations": crossed}))
            continue
        print(f"{name}: {WALKS[name].title}\n")
        for station, calls in found:
            print(f"  {station.what}")
            for file, group in groupby(calls, key=lambda call: call[0]):
                print(f"    {file}" + (f"  ({' > '.join(f for _, f in group)})" if chosen.calls else ""))
            print(f"    twice: {', '.join(repeated(files(calls))) or 'none'}\n")
        crossing = {file for _, calls in found for file, _ in calls}
        print(f"  {len(crossing)} files in all; {len(tracer.called - {''})} in which anything was called meanwhile\n")


if __name__ == "__main__":
    main()
