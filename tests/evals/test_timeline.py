"""A stored problem's threads and rounds against sequential tokens; threads are not samples."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from tests.core.scripted import PlainGrader, Replying
from widthwise import MajorityVote, Problem, Session, Threads
from widthwise.cli.app import app
from widthwise.core.prompting.prompt import PromptFormat
from widthwise.core.strategy.strategy import as_strategy
from widthwise.core.trace.trace import Trace, TraceNote
from widthwise.evals.runner import run, setting_for
from widthwise.evals.store.exchange import export_run
from widthwise.evals.store.store import Store, compare
from widthwise.evals.suites.suite import Suite
from widthwise.evals.views.timeline import timeline
from widthwise.models.thread_grammars import GRAMMARS

SUITE = Suite("sums", (Problem("p1", "1+1?", "2"),), PlainGrader(), "test")
BLOCK = "<Outlines><Outline>1: add</Outline><Outline>2: multiply</Outline></Outlines>"
TABLE = {
    "1+1?\n": BLOCK,
    "1:": " = 7 </Thread>",
    "2:": "x" * 30 + "</Thread>",
    "</Thread>\n": "so = 2",
    "again\n": "= 3",
}


def backend() -> Replying:
    def reply(prompt: str, index: int) -> str:
        return TABLE[next(end for end in TABLE if prompt.endswith(end))]

    return Replying(reply)


def format() -> PromptFormat:
    return PromptFormat("made", prompts={"refine": "{drafts} again"}, grammars=GRAMMARS, threads="threadweaver")


async def refined_threads(session: Session) -> list[Trace]:
    """A round of threads, and a second round made from it."""
    drafts = await Threads()(session)
    session.note(drafts[0], "drafted")
    return await session.sample(session.ask("refine", drafts=drafts[0].completion, after=drafts))


async def stored(path: Path) -> Path:
    with Store.begin(path, {"suite": "sums", "strategy": "x"}, SUITE.problems) as store:
        await run(SUITE, as_strategy(refined_threads) | MajorityVote(), setting_for(SUITE, backend(), format()), store)
    return path


async def test_lanes_begin_where_what_they_waited_for_ended(tmp_path: Path) -> None:
    with Store.read(await stored(tmp_path / "run.db")) as store:
        lanes = timeline(store.tree("p1"), [TraceNote((0, 0), "drafted")])
        main, first, second, refined = lanes
        assert [lane.question for lane in lanes] == ["solve", "solve", "solve", "refine"]
        assert [(lane.thread, lane.outline, lane.depth) for lane in lanes] == [
            (None, "", 0), ("1", "add", 1), ("2", "multiply", 1), (None, "", 0)
        ]  # fmt: skip
        spawn, longest = len(BLOCK), len(TABLE["2:"])
        assert [(bar.start, bar.end) for bar in main.bars] == [(0, spawn), (spawn + longest, spawn + longest + 7)]
        assert [bar.reason for bar in main.bars] == ["</Outlines>", None]
        assert (first.bars[0].start, second.bars[0].start, second.end) == (spawn, spawn, spawn + longest)
        assert (refined.round, refined.after, refined.bars[0].start) == (2, (main.bars[1].trace,), main.end)
        assert {lane.round for lane in lanes[:3]} == {1}
        assert sum(lane.tokens for lane in lanes) == store.outcome("p1").ledger.sampled
        assert max(lane.end for lane in lanes) == store.outcome("p1").ledger.sequential


async def test_threads_are_stored_but_are_no_samples(tmp_path: Path) -> None:
    with Store.read(await stored(tmp_path / "run.db")) as store:
        outcome = store.outcome("p1")
        assert [leaf.finish for leaf in outcome.leaves] == ["joined", "joined", "stop", "stop"]
        assert [leaf.answer for leaf in outcome.samples] == ["2", "3"]
        assert sum(leaf.tokens for leaf in outcome.leaves) == outcome.ledger.sampled
        assert [trace.metadata["thread"] for trace in store.traces("p1")[:2]] == ["1", "2"]
        assert outcome.fields == {"notes": [["0.0.2.0", "drafted"]]}
        export_run(store, tmp_path / "out.jsonl")
    [row] = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    assert len(row["samples"]) == 2


async def test_a_run_that_stopped_within_a_block_ends_as_it_would_have(tmp_path: Path) -> None:
    whole, stopped = await stored(tmp_path / "whole.db"), tmp_path / "stopped.db"

    class Killed(Exception):
        pass

    class Dying(Replying):
        async def generate(self, request):  # type: ignore[no-untyped-def]
            if len(self.requests) == 3:
                raise Killed
            async for delta in super().generate(request):
                yield delta

    dying = Dying(backend()._reply)
    strategy = as_strategy(refined_threads) | MajorityVote()
    with Store.begin(stopped, {"suite": "sums", "strategy": "x"}, SUITE.problems) as store:
        await run(SUITE, strategy, setting_for(SUITE, dying, format()), store)
        assert store.outcome("p1").state == "error"
        again = backend()
        await run(SUITE, strategy, setting_for(SUITE, again, format()), store)
        assert len(again.requests) == 2
        with Store.read(whole) as other:
            assert compare(store, other) == []


async def test_the_terminal_shows_a_line_for_each_and_json_the_same(tmp_path: Path) -> None:
    path = str(await stored(tmp_path / "run.db"))
    shown = CliRunner().invoke(app, ["traces", path, "p1", "--timeline"]).stdout.splitlines()
    [first] = [line for line in shown if "thread 1 add" in line]
    [refined] = [line for line in shown if "refine" in line]
    assert "stop at </Thread>" in first
    assert refined.index("█") > first.rindex("█")
    lanes = json.loads(CliRunner().invoke(app, ["traces", path, "p1", "--timeline", "--json"]).stdout)["lanes"]
    assert [lane["id"] for lane in lanes] == ["0.0", "0.0.0.0", "0.0.1.0", "1.0"]
    assert lanes[3]["after"] == ["0.0.2.0"]
    assert lanes[0]["notes"] == ["drafted"]
    assert CliRunner().invoke(app, ["traces", path, "--timeline"]).exit_code == 2
