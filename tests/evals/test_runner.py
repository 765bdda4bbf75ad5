"""The runner: problems are answered or their errors recorded; runs resume where they stopped, are graded, summed up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from widthwise.aggregators.majority_vote import MajorityVote
from widthwise.backends.replay import ReplayBackend
from widthwise.core.backend import Delta, Request
from widthwise.core.errors import BackendError, UsageError
from widthwise.core.problem import Problem
from widthwise.core.prompting.saying import Saying
from widthwise.core.session.session import Session
from widthwise.core.strategy.budget import Budget
from widthwise.core.strategy.strategy import Strategy, as_strategy
from widthwise.core.trace.recording import Recording, Sample
from widthwise.core.trace.trace import Trace
from widthwise.evals.grading.graders import MathGrader
from widthwise.evals.measure.summary import Summary, summarise
from widthwise.evals.runner import regraded, run, setting_for
from widthwise.evals.store.database import StoreError
from widthwise.evals.store.outcome import Outcome
from widthwise.evals.store.recording_rows import read_recordings
from widthwise.evals.store.store import Store, compare
from widthwise.evals.suites.suite import Suite
from widthwise.samplers.best_of_n import BestOfN

N = 6
PROBLEMS = tuple(Problem(f"p{i}", f"What is {i} plus {i}?", str(2 * i)) for i in range(N))
SUITE = Suite("sums", PROBLEMS, MathGrader(), "test")
VOTE = BestOfN(3) | MajorityVote()


def recording(i: int) -> Recording:
    """Problem i: two samples right, one wrong; reversed if i is odd; the last problem's samples state nothing."""
    right, wrong = f"It is \\boxed{{{2 * i}}}", f"It is \\boxed{{{2 * i + 1}}}"
    texts = ["Hm."] * 3 if i == N - 1 else [right, wrong, wrong] if i % 2 else [right, wrong, right]
    return Recording(PROBLEMS[i], tuple(Sample(text) for text in texts))


class Faulty(ReplayBackend):
    """Fails for the problems in ``broken``; notes what it is asked, and how many problems run at once."""

    def __init__(self, broken: set[str] | None = None) -> None:
        super().__init__({f"p{i}": recording(i) for i in range(N)}, name="faulty")
        self.broken = broken or set()
        self.asked: list[str] = []
        self.working: list[str] = []
        self.most_problems = 0

    async def generate(self, request: Request) -> AsyncIterator[Delta]:
        self.asked.append(request.problem)
        if request.problem in self.broken:
            raise BackendError("the server is down")
        self.working.append(request.problem)
        self.most_problems = max(self.most_problems, len(set(self.working)))
        try:
            async for delta in super().generate(request):
                yield delta
        finally:
            self.working.remove(request.problem)


def opened(path: Path) -> Store:
    return Store.begin(path, {"suite": "sums", "model": "faulty", "strategy": "vote"}, PROBLEMS)


def ran(path: Path, backend: ReplayBackend, strategy: Strategy = VOTE, **options: object) -> Summary:
    with opened(path) as store:
        return asyncio.run(run(SUITE, strategy, setting_for(SUITE, backend), store, **options))  # type: ignore[arg-type]


def test_what_was_out_of_the_ordinary_is_counted_by_its_kind(tmp_path: Path) -> None:
    async def noting(session: Session) -> list[Trace]:
        number = int(session.problem.id[1:])
        if number:
            session.note(session.root, f"{number} of 9 judges' replies named no verdict")
        if number == 3:
            session.note(session.root, "the judge was out")
        return await session.sample(session.root)

    summary = ran(tmp_path / "a.db", Faulty(), as_strategy(noting))
    assert summary.notes == (("1 of 9 judges' replies named no verdict", 5), ("the judge was out", 1))


def test_a_run_in_figures(tmp_path: Path) -> None:
    summary = ran(tmp_path / "a.db", Faulty())
    assert (summary.problems, summary.errors, summary.samples) == (6, 0, 18)
    assert summary.accuracy == pytest.approx(3 / 6)
    assert summary.mean_accuracy == pytest.approx((3 * 2 / 3 + 2 * 1 / 3) / 6)
    assert summary.pass_at_n == pytest.approx(5 / 6)
    assert summary.accuracy_ci95 == pytest.approx((0.188, 0.812), abs=1e-3)
    assert summary.tokens.sampled > 0
    assert summary.tokens.prompt_computed == summary.tokens.prompt_ideal
    assert (summary.suite, summary.model, summary.strategy) == ("sums", "faulty", "vote")
    assert summary.run == str(tmp_path / "a.db")


def test_answers_and_traces_are_graded_and_missing_answers_are_not(tmp_path: Path) -> None:
    ran(tmp_path / "a.db", Faulty())
    with Store.read(tmp_path / "a.db") as store:
        first, last = store.outcome("p0"), store.outcome("p5")
    assert (first.answer, first.correct, first.tied, first.trace) == ("0", True, False, (0, 0))
    assert [(leaf.answer, leaf.correct, leaf.vote) for leaf in first.leaves] == [
        ("0", True, 0),
        ("1", False, 1),
        ("0", True, 0),
    ]
    assert (last.answer, last.correct) == (None, None)
    assert {(leaf.answer, leaf.correct, leaf.vote) for leaf in last.leaves} == {(None, None, None)}


def test_a_finished_run_asks_the_backend_nothing(tmp_path: Path) -> None:
    first = ran(tmp_path / "a.db", Faulty())
    again = Faulty()
    second = ran(tmp_path / "a.db", again)
    assert again.asked == []
    assert (first.accuracy, first.tokens) == (second.accuracy, second.tokens)


def test_a_failed_problem_stays_in_the_denominator_and_is_tried_again(tmp_path: Path) -> None:
    summary = ran(tmp_path / "a.db", Faulty({"p0", "p2"}))
    assert (summary.problems, summary.errors, summary.accuracy) == (6, 2, pytest.approx(1 / 6))
    with Store.read(tmp_path / "a.db") as store:
        assert store.outcome("p0").errors == ("the server is down",)
        assert store.outcome("p0").answer is None
    again = Faulty()
    assert ran(tmp_path / "a.db", again).errors == 0
    assert set(again.asked) == {"p0", "p2"}
    ran(tmp_path / "b.db", Faulty())
    with Store.read(tmp_path / "a.db") as a, Store.read(tmp_path / "b.db") as b:
        assert compare(a, b) == []


def test_a_run_is_not_continued_with_other_weights(tmp_path: Path) -> None:
    class Weights(Faulty):
        digest = "1" * 64

        def describe(self) -> dict[str, object]:
            return {**super().describe(), "model_digest": self.digest}

    first, other = Weights({"p0"}), Weights()
    ran(tmp_path / "a.db", first)
    other.digest = "2" * 64
    with pytest.raises(UsageError, match="begun with other weights of the same model"):
        ran(tmp_path / "a.db", other)
    assert other.asked == []
    assert ran(tmp_path / "a.db", Weights()).errors == 0


async def _breaks(session: Session) -> list[Trace]:
    traces = await session.sample(session.root, 3)
    if session.problem.id == "p1":
        raise ZeroDivisionError("oops")
    return traces


def test_a_strategy_that_breaks_is_an_error_of_its_problem(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    summary = ran(tmp_path / "a.db", Faulty(), as_strategy(_breaks) | MajorityVote())
    assert (summary.problems, summary.errors) == (6, 1)
    assert "problem p1 failed: the strategy failed with ZeroDivisionError: oops" in caplog.text
    with Store.read(tmp_path / "a.db") as store:
        assert store.outcome("p1").errors == ("the strategy failed with ZeroDivisionError: oops",)
        assert len(store.traces("p1")) == 3


@pytest.mark.parametrize("concurrency", [1, 2, 32])
def test_at_most_so_many_problems_at_once_and_the_same_store(tmp_path: Path, concurrency: int) -> None:
    backend = Faulty()
    ran(tmp_path / "a.db", backend, concurrency=concurrency)
    assert backend.most_problems <= concurrency
    ran(tmp_path / "b.db", Faulty())
    with Store.read(tmp_path / "a.db") as a, Store.read(tmp_path / "b.db") as b:
        assert compare(a, b) == []


def test_a_budget_is_each_problems_own(tmp_path: Path) -> None:
    summary = ran(tmp_path / "a.db", Faulty(), VOTE.within(Budget(samples=1)))
    assert summary.samples == 6


def test_cancelling_stores_what_is_finished(tmp_path: Path) -> None:
    def cancel_after(problems: int) -> Callable[[Outcome], None]:
        done: list[Outcome] = []

        def listen(outcome: Outcome) -> None:
            done.append(outcome)
            if len(done) == problems:
                asyncio.get_running_loop().call_soon(task.cancel)

        return listen

    async def cancelled(store: Store) -> None:
        nonlocal task
        task = asyncio.create_task(
            run(SUITE, VOTE, setting_for(SUITE, Faulty()), store, concurrency=1, on_outcome=cancel_after(2))
        )
        with pytest.raises(asyncio.CancelledError):
            await task

    task: asyncio.Task[Summary]
    with opened(tmp_path / "a.db") as store:
        asyncio.run(cancelled(store))
        states = [o.state for o in store.outcomes()]
    assert 2 <= states.count("done") < 6
    backend = Faulty()
    assert ran(tmp_path / "a.db", backend).accuracy == pytest.approx(3 / 6)
    assert "p0" not in backend.asked


def test_a_store_that_fails_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(Store, "record", full)
    with pytest.raises(StoreError, match="the disk is full"):
        ran(tmp_path / "a.db", Faulty())


def test_grading_again_uses_the_grader_of_today(tmp_path: Path) -> None:
    class Contrary(MathGrader):
        async def correct(self, problem: Problem, answer: str) -> bool:
            return not await MathGrader.correct(self, problem, answer)

    ran(tmp_path / "a.db", Faulty())
    with Store.edit(tmp_path / "a.db") as store:
        for outcome in store.outcomes():
            store.regrade(asyncio.run(regraded(Contrary(), outcome, store.traces(outcome.problem.id), Saying())))
        assert summarise(store).accuracy == pytest.approx(2 / 6)


HALF = "half a character \ud800 said"


async def _says_half(session: Session) -> Any:
    traces = await session.sample(session.root, 1)
    inserted = session.append(traces[0], HALF)
    session.note(inserted, HALF)
    if session.problem.id == "p1":
        raise RuntimeError(HALF)
    return HALF


def test_half_characters_are_replaced_and_end_nothing(tmp_path: Path) -> None:
    """A lone surrogate cannot be stored: SQLite refused it, and the whole run failed."""
    strategy = as_strategy(_says_half)
    for _ in range(2):
        summary = ran(tmp_path / "a.db", Faulty(), strategy)
        assert (summary.problems, summary.errors) == (N, 1)
    with Store.read(tmp_path / "a.db") as store:
        assert store.outcome("p0").answer == "half a character \ufffd said"
        assert store.outcome("p1").errors == ("the strategy failed with RuntimeError: half a character \ufffd said",)


def test_a_recording_with_half_characters_runs(tmp_path: Path) -> None:
    rows = [{"problem_id": f"p{i}", "problem": "w\ud800?", "answer": "1", "samples": [{"text": HALF, "x": HALF}] * 3}
            for i in range(N)]  # fmt: skip
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    backend = ReplayBackend({r.problem.id: r for r in read_recordings(tmp_path / "r.jsonl")})
    assert ran(tmp_path / "a.db", backend).errors == 0


def test_what_cannot_be_stored_is_an_error_of_its_problem_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = Store.finish

    def picky(store: Store, outcome: Outcome, traces: Sequence[Trace], **options: Any) -> None:
        if outcome.problem.id == "p2" and traces:
            raise OverflowError("Python int too large to convert to SQLite INTEGER")
        finish(store, outcome, traces, **options)

    monkeypatch.setattr(Store, "finish", picky)
    summary = ran(tmp_path / "a.db", Faulty())
    assert (summary.problems, summary.errors, summary.samples) == (N, 1, 3 * N)
    with Store.read(tmp_path / "a.db") as store:
        assert "could not be stored (OverflowError" in store.outcome("p2").errors[0]


def test_a_run_whose_generations_are_all_stored_goes_on_where_tokens_are_pieces(tmp_path: Path) -> None:
    """Another process does not know the pieces that the first one cut: it reads them from the run file."""

    async def breaks(session: Session) -> list[Trace]:
        await session.sample(session.root, 3)
        raise ZeroDivisionError("after sampling")

    ran(tmp_path / "a.db", Faulty(), as_strategy(breaks) | MajorityVote())
    backend = Faulty()
    assert ran(tmp_path / "a.db", backend, VOTE).errors == 0
    assert backend.asked == []
    ran(tmp_path / "b.db", Faulty())
    with Store.read(tmp_path / "a.db") as a, Store.read(tmp_path / "b.db") as b:
        assert compare(a, b) == []


def test_a_failure_is_kept_in_few_words(tmp_path: Path) -> None:
    async def verbose(session: Session) -> list[Trace]:
        raise ValueError("x" * 1_000_000)

    ran(tmp_path / "a.db", Faulty(), as_strategy(verbose) | MajorityVote())
    with Store.read(tmp_path / "a.db") as store:
        assert all(len(outcome.errors[0]) < 3000 for outcome in store.outcomes())


def test_a_disk_that_fills_up_at_the_end_is_a_sentence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(Store, "end_attempt", full)
    assert ran(tmp_path / "a.db", Faulty()).errors == 0
    [said] = [record for record in caplog.records if "attempt" in record.message]
    assert said.message == "could not store how long this attempt took: the disk is full"
    assert said.exc_info is None


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


@pytest.mark.parametrize("error", [Mute(), asyncio.CancelledError(), MemoryError(), ExceptionGroup("g", [Mute()])])
def test_whatever_a_strategy_raises_is_its_problems_error(error: BaseException, tmp_path: Path) -> None:
    """A strategy's own cancellation does not stop the run; before, the problem was silently left open."""

    async def failing(session: Session) -> list[Trace]:
        if session.problem.id == "p1":
            raise error
        return await session.sample(session.root, 3)

    summary = ran(tmp_path / "a.db", Faulty(), as_strategy(failing) | MajorityVote())
    assert (summary.problems, summary.errors) == (N, 1)
    with Store.read(tmp_path / "a.db") as store:
        assert store.outcome("p1").errors[0].startswith("the strategy failed with ")
