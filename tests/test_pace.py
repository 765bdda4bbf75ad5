"""How much longer a run takes: an early estimate from the first problems."""

import heapq
import random
import re
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from widthwise.cli import progress as view
from widthwise.cli.app import app
from widthwise.core.problem import Problem
from widthwise.core.session.ledger import Ledger
from widthwise.evals.store.outcome import Outcome
from widthwise.pace import duration, seconds_left


def finished(latencies: list[float], concurrency: int) -> list[float]:
    """When each problem finishes, if ``concurrency`` of them run at once."""
    running: list[float] = []
    ends = []
    for latency in latencies:
        begun = heapq.heappop(running) if len(running) == concurrency else 0.0
        heapq.heappush(running, begun + latency)
        ends.append(begun + latency)
    return sorted(ends)


@pytest.mark.parametrize("concurrency", [1, 8, 32])
def test_the_first_problems_tell_the_rest(concurrency: int) -> None:
    source = random.Random(0)
    for _ in range(50):
        ends = finished([source.uniform(0.7, 1.3) for _ in range(200)], concurrency)
        for done in (concurrency, 2 * concurrency, 100, 199):
            said = seconds_left(ends[done - 1], done, 200 - done, concurrency)
            assert said is not None
            true = ends[-1] - ends[done - 1]
            assert said <= 2.5 * true + 1
            assert said >= true / 2.5 - 1


def test_the_short_ones_that_finish_first_tell_nothing() -> None:
    """Before, the first of 32 problems, done after 2 s, promised that all 200 take half a minute; they take minutes."""
    source = random.Random(0)
    ends = finished([2.0 + source.expovariate(1 / 100) for _ in range(200)], 32)
    known = [seconds_left(ends[done - 1], done, 200 - done, 32) for done in range(1, 201)]
    assert known[:31] == [None] * 31
    assert None not in known[31:]
    left = known[31]
    assert left is not None
    assert left > (ends[-1] - ends[31]) / 2.5


@pytest.mark.parametrize(("done", "known"), [(1, False), (9, False), (10, True), (19, True)])
def test_problems_that_all_run_at_once_tell_the_time_from_half_of_them_on(done: int, known: bool) -> None:
    assert (seconds_left(60.0, done, 20 - done, 32) is not None) == known


def test_a_meter_says_no_time_while_it_knows_none_but_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(view.time, "monotonic", lambda: clock[0])
    said: list[str] = []
    monkeypatch.setattr(view, "say", lambda text, err: said.append(text))
    meter = view.Meter(20, 4, view._line_now_and_then())
    for seconds in (2.0, 6.0, 7.0, 12.0):
        clock[0] = 100.0 + seconds
        meter.finished(outcome(seconds=seconds))
    assert [line.partition(": ")[0] for line in said] == ["2 of 20 problems", "4 of 20 problems"]
    assert ["left" in line for line in said] == [False, True]
    assert said[1].endswith("about 28 s left"), "14 of 16 problems, at 6 in 12 s"


def test_what_is_left_is_nothing_at_the_end() -> None:
    assert seconds_left(10.0, 5, 0, 32) == 0


@pytest.mark.parametrize(
    ("seconds", "words"), [(4.4, "4 s"), (90, "90 s"), (100, "2 min"), (3600, "60 min"), (3 * 3600, "3.0 h")]
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def outcome(state: Any = "done", seconds: float = 2.0) -> Outcome:
    return Outcome(Problem("p", "?", "1"), state, "1", True, ledger=Ledger(sampled=100, seconds=seconds))


def test_a_meter_counts_from_the_first_problem_and_not_what_was_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = count(100.0, 0.0)
    monkeypatch.setattr(view.time, "monotonic", lambda: next(clock))
    drawn: list[str] = []
    meter = view.Meter(20, 1, lambda meter: drawn.append(str(meter)))
    for _ in range(9):
        meter.stored(outcome())
    meter.finished(outcome())
    assert drawn == ["accuracy 100.0 %, 50 tokens/s, about 13 s left"], "10 problems of 2 s, one of them half done"
    for _ in range(10):
        meter.finished(outcome())
    assert drawn[-1].endswith("tokens/s"), "nothing is left"


def test_the_first_command_says_how_long_it_will_take(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(view, "_LINE_EVERY", 0.0)
    arguments = ["eval", "arithmetic", "--limit", "4", "--concurrency", "1", "--run", str(tmp_path / "a.db")]
    said = CliRunner().invoke(app, [*arguments, "--strategy", "best_of_n(n=2) | majority_vote()"])
    assert said.exit_code == 0
    first = said.stderr.splitlines()[0]
    assert re.fullmatch(r"1 of 4 problems: accuracy .* %, [\d,]+ tokens/s, about \d+ s left", first), said.stderr
    assert "left" not in said.stderr.splitlines()[-1], "the last problem leaves nothing to be done"
