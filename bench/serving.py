"""What a server adds to the cost of a strategy, and how it handles a crowd.

* ``overhead``: ``single()`` on a model that answers at once, one request after another: milliseconds of CPU through the
  server, with its client in the same process, compared with the same work in Python.
* ``suite``: ``best_of_n(n=16) | majority_vote()`` on the bundled model, 50 problems at once: seconds of CPU through the
  server, including its client, compared with those in Python, and whether all answers are the same. The best of several
  rounds.
* ``crowd``: 200 clients at once on the bundled model, half of whom leave at random: answers that were lost, tokens that
  the server's ledgers charge but the model has not delivered, and requests and sessions left at the end.

    python -m bench.serving [--rounds 3]
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from tests.core.scripted import Scripted
from tests.serving.crowd import crowd
from tests.serving.serving import Server, question, served
from widthwise.core.problem import Problem
from widthwise.core.strategy.result import Result
from widthwise.engines import open_engines
from widthwise.evals.suites.suites import load_suite
from widthwise.evaluation import Evaluation
from widthwise.opening import open_backend
from widthwise.settings import RunSettings

REQUESTS, PROBLEMS, CLIENTS = 300, 50, 200
VOTE = "best_of_n(n=16) | majority_vote()"
SUITE = "arithmetic"


async def seconds(work: Callable[[], Awaitable[Any]]) -> float:
    """CPU seconds of this process: the machine may have other work."""
    began = time.process_time()
    await work()
    return time.process_time() - began


class InPython:
    """The same work without a server."""

    def __init__(self, model: Any, strategy: str) -> None:
        settings = RunSettings.of(strategy, model=model, seed=1)
        self._evaluation = Evaluation.of(load_suite(SUITE), settings)

    async def solve(self, problem: Problem) -> Result:
        engines = await open_engines(self._evaluation.settings)
        return await self._evaluation.strategy.solve(problem, self._evaluation.setting(engines))


async def through(server: Server, problem: Problem) -> dict[str, Any]:
    status, said, _ = await server.post(question(problem.text, metadata={"problem": problem.id}, seed=1))
    assert status == 200, said
    return said


async def overhead(rounds: int) -> None:
    """The cost of one request."""
    model, problem = Scripted(["\\boxed{2}"]), load_suite(SUITE, limit=1).problems[0]
    python, times = InPython(model, "single()"), {"server": [0.0], "python": [0.0]}
    async with served(model, "single()", suite=SUITE) as server:
        for _ in range(rounds):
            times["python"].append(await seconds(lambda: _in_turn(lambda: python.solve(problem))))
            times["server"].append(await seconds(lambda: _in_turn(lambda: through(server, problem))))
    best = {name: 1000 * min(found[1:]) / REQUESTS for name, found in times.items()}
    print(f"overhead: {best['server']:.2f} ms of CPU a request through the server, {best['python']:.2f} ms in Python")


async def _in_turn(work: Callable[[], Awaitable[Any]]) -> None:
    for _ in range(REQUESTS):
        await work()


async def suite(rounds: int) -> None:
    """The time of a suite, and its answers."""
    problems = load_suite(SUITE, limit=PROBLEMS).problems
    answers: dict[str, list[Any]] = {}
    times: dict[str, list[float]] = {"server": [], "python": []}
    backend = await open_backend("embedded:reasoner")
    python = InPython(backend, VOTE)
    async with served(backend, VOTE, suite=SUITE, concurrency=PROBLEMS) as server:

        async def by_server() -> None:
            said = await asyncio.gather(*(through(server, problem) for problem in problems))
            answers["server"] = [each["widthwise"]["answer"] for each in said]

        async def by_python() -> None:
            answers["python"] = [r.answer for r in await asyncio.gather(*map(python.solve, problems))]

        for _ in range(rounds):
            times["python"].append(await seconds(by_python))
            times["server"].append(await seconds(by_server))
    await backend.close()
    same = sum(a == b for a, b in zip(answers["server"], answers["python"], strict=True))
    best = {name: min(found) for name, found in times.items()}
    print(
        f"suite: {best['server']:.1f} s of CPU through the server, {best['python']:.1f} s in Python; "
        f"{same} of {PROBLEMS} answers are the same"
    )


async def many() -> None:
    """The crowd."""
    backend = await open_backend("embedded:reasoner")
    texts = [problem.text for problem in load_suite(SUITE, limit=CLIENTS).problems]
    found = await crowd(backend, "best_of_n(n=4) | majority_vote()", texts, leavers=CLIENTS // 2)
    await backend.close()
    lost = CLIENTS - len(found.answered) - len(found.left) + len(found.wrong)
    print(
        f"crowd: {len(found.answered)} answered, {len(found.left)} left, {lost} lost; {found.charged} tokens charged, "
        f"{found.sampled} handed out by the model; {found.live} requests and {found.sessions} sessions are left"
    )


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    await overhead(rounds)
    await suite(rounds)
    await many()


if __name__ == "__main__":
    asyncio.run(main())
