"""The report of a sweep with many runs, in a real browser: names, narrow pages, the tree, threads, accessibility."""

from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.evals import browser
from tests.evals.made_runs import made_run
from tests.evals.test_report import blocks
from widthwise.cli.app import app
from widthwise.core.problem import Problem
from widthwise.core.trace.trace import Segment, Trace
from widthwise.evals.measure.curves import curve
from widthwise.evals.measure.equal_budgets import NEAR, matched_budgets
from widthwise.evals.measure.run_names import told_apart
from widthwise.evals.store.outcome import Leaf, Outcome
from widthwise.evals.store.store import Store
from widthwise.evals.views.report import write_report

needs_browser = pytest.mark.skipif(browser.missing() is not None, reason=browser.missing() or "")
AXE = "axe_playwright_python"
needs_axe = pytest.mark.skipif(find_spec(AXE) is None, reason=f"{AXE}, which holds axe-core, is not installed")

_AXE = (
    "axe.run(document).then(r => [r.passes.map(p => p.id),"
    " r.violations.map(v => [v.impact, v.id, ...v.nodes.slice(0, 3).map(n => n.html.slice(0, 200))])])"
)
WIDTHS = (360, 768, 1440)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a real sweep with 13 runs, one of them a tree search."""
    folder = tmp_path_factory.mktemp("sweep")
    strategies = [
        "best_of_n() | majority_vote()",
        "best_of_n() | stop_when_decided() | majority_vote()",
        "best_of_n(width=2) | short() | majority_vote()",
        "rebase() | weighted_vote(by='score', weight='identity')",
    ]
    options = [word for strategy in strategies for word in ("--strategy", strategy)]
    arguments = ["--suite", "countdown", "--limit", "3", "--budgets", "1,2,4,8", "--reward-model", "scorer"]
    done = CliRunner().invoke(app, ["sweep", *arguments, "--folder", str(folder), *options])
    assert done.exit_code == 0, done.output
    return folder


@pytest.fixture(scope="module")
def window() -> Iterator[browser.Browser]:
    with browser.running("--window-size=1200,900") as opened:
        yield opened


def runs_of(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.db"))


def threaded(path: Path) -> Path:
    """A run of one problem whose trace spawned two threads and continued after them."""
    root = Trace((0,), Segment("prompt", np.arange(2), "Q", metadata={"question": "solve"}))
    plan = Trace((0, 0), Segment("sampled", np.arange(4), "plan", finish="stop"), root, 4)
    tags = [Trace((0, 0, i), Segment("inserted", np.arange(1), "<thread>", metadata={"thread": str(i + 1)}), plan, 4)
            for i in (0, 1)]  # fmt: skip
    threads = [Trace((*tag.id, 0), Segment("sampled", np.arange(3 + i), f"work {i}", finish="stop"), tag, 7 + i)
               for i, tag in enumerate(tags)]  # fmt: skip
    leaves = tuple(Leaf(t.id, "stop", t.tokens, "1", True) for t in threads)
    problem = Problem("p", "Q?", "1")
    with Store.begin(path, {"suite": "made", "model": "none", "strategy": "threads()"}, [problem]) as store:
        store.finish(Outcome(problem, "done", "1", True, leaves=leaves), threads)
    return path


def wide_as_the_page(window: browser.Browser) -> list[str]:
    """Elements that extend past the page's right edge, or scroll sideways."""
    return list(window.script(
        "return [...document.querySelectorAll('main, main *')].filter(e => e.checkVisibility() && !e.closest('thead')"
        " && (e.getBoundingClientRect().right > document.documentElement.clientWidth + 1"
        " || (['auto', 'scroll'].includes(getComputedStyle(e).overflowX) && e.scrollWidth > e.clientWidth)))"
        ".map(e => `${e.tagName} ${e.className} ${e.textContent.slice(0, 60)}`)"
    ))  # fmt: skip


@needs_browser
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("view", ["", "#problem=countdown-2026-0000&run=12&trace=0.0.0"])
def test_nothing_is_wider_than_the_page(sweep: Path, window: browser.Browser, width: int, view: str) -> None:
    window.narrow(width)
    write_report(runs_of(sweep), sweep / "all.html")
    for page in ("countdown.html", "all.html"):
        window.open(sweep / page, view)
        window.script("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert window.script("return document.documentElement.scrollWidth - innerWidth") <= 0
        assert wide_as_the_page(window) == []


@needs_browser
def test_each_run_has_one_label_in_a_problem_row(sweep: Path, window: browser.Browser) -> None:
    window.narrow(360)
    window.open(sweep / "countdown.html")
    names = window.script("return [...document.querySelectorAll('.runs .name')].map(n => n.textContent)")
    assert len(names) == len(set(names)) == 13
    row = "document.querySelector('.list .row')"
    tags = window.script(f"return [...{row}.querySelectorAll('.tag')].map(t => [t.textContent.slice(0, -1), t.title])")
    assert [tag[0] for tag in tags] == [str(i) for i in range(1, 14)]
    assert all(title.startswith(f"{name}: ") for (_, title), name in zip(tags, names, strict=True))
    last = window.script(f"return [...{row}.querySelectorAll('.tag')].at(-1).getBoundingClientRect().bottom")
    assert last <= window.script(f"return {row}.getBoundingClientRect().bottom"), "the row is as high as its marks"


def cut_ends(window: browser.Browser) -> list[str]:
    """Texts of problem rows, ids and numbers of runs, whose last four characters cannot be seen."""
    return list(window.script(
        "return [...document.querySelectorAll('.list .row .line')].flatMap(line => [line.querySelector('.id'),"
        " line.querySelector('.dim, .said')]).filter(said => {"
        "  const walk = document.createTreeWalker(said, NodeFilter.SHOW_TEXT), range = document.createRange();"
        "  let text = null; while (walk.nextNode()) text = walk.currentNode;"
        "  range.setStart(text, Math.max(text.length - 4, 0)); range.setEnd(text, text.length);"
        "  const at = range.getBoundingClientRect();"
        "  for (let box = said; !box.matches('.list'); box = box.parentElement) {"
        "    const seen = box.getBoundingClientRect();"
        "    if (at.right > seen.right + 1 || at.bottom > seen.bottom + 1 || at.left < seen.left - 1) return true; }"
        "  return false; }).map(said => said.textContent)"
    ))  # fmt: skip


@needs_browser
@pytest.mark.parametrize("width", [320, 360, 600, 620, 1440])
def test_the_end_of_an_id_is_seen(sweep: Path, tmp_path: Path, window: browser.Browser, width: int) -> None:
    ids = ["p", *(f"{'long-name/' * 20}2026-{i:04d}" for i in range(3))]
    problems = [Problem(each, "Q?", "1") for each in ids]
    made = [tmp_path / "a.db", tmp_path / "b.db"]
    for path in made:
        with Store.begin(path, {"suite": "made", "model": "none", "strategy": "single()"}, problems) as store:
            for problem in problems:
                root = Trace((0,), Segment("prompt", np.arange(2), "Q", metadata={"question": "solve"}))
                trace = Trace((0, 0), Segment("sampled", np.arange(4), "1", finish="stop"), root, 4)
                leaves = (Leaf(trace.id, "stop", 4, "1", True),)
                store.finish(Outcome(problem, "done", "1", True, leaves=leaves), [trace])
    write_report(made, tmp_path / "two.html")
    write_report(made[:1], tmp_path / "one.html")
    window.narrow(width)
    for page in (sweep / "countdown.html", tmp_path / "two.html", tmp_path / "one.html"):
        window.open(page)
        assert window.script("return document.querySelectorAll('.list .row .id').length") >= 3
        assert cut_ends(window) == []
        assert wide_as_the_page(window) == []
    assert window.script("return [...document.querySelectorAll('.list .row .id')].map(n => n.textContent)") == ids


@needs_browser
def test_the_tree_shows_steps_and_scores(sweep: Path, window: browser.Browser) -> None:
    run = next(run for run in runs_of(sweep) if "rebase_n_8" in run.name)
    with Store.read(run) as store:
        trace = store.traces("countdown-2026-0000")[0]
    step = trace.path[1]
    write_report([run], sweep / "one.html")
    window.narrow(1440)
    window.open(sweep / "one.html", "#problem=countdown-2026-0000&trace=" + ".".join(map(str, trace.id)))
    rows = window.script("return [...document.querySelectorAll('.list .row')].map(r => r.textContent)")
    score = f"score {step.metadata['score']:.3f}"
    assert any(score in row and step.text.strip() in row for row in rows)
    assert score in window.script("return document.querySelector('article').textContent")


@needs_browser
def test_threads_have_a_timeline(tmp_path: Path, window: browser.Browser) -> None:
    write_report([threaded(tmp_path / "a.db")], tmp_path / "a.html")
    window.narrow(1440)
    window.open(tmp_path / "a.html", "#problem=p")
    lanes = window.script(
        "return [...document.querySelectorAll('.lanes li')].map(l => [l.querySelector('.who').textContent,"
        " ...[...l.querySelectorAll('.track span')].map(i => [parseFloat(i.style.left), parseFloat(i.style.width)])])"
    )
    assert [lane[0] for lane in lanes] == ["trace 0.0", "thread 1 0.0.0.0", "thread 2 0.0.1.0"]
    assert lanes[0][1] == [0, 50], "4 of 8 sequential tokens"
    assert lanes[2][1] == [50, 50]
    window.script("document.querySelector('.lanes li:nth-child(2) a').click()")
    window.wait("return document.querySelector('article')?.getAttribute('aria-label') === 'trace 0.0.0.0'")


@pytest.mark.slow
@needs_browser
@needs_axe
@pytest.mark.parametrize(("scheme", "width"), [("light", 360), ("dark", 1440)])
def test_axe_finds_nothing_serious(sweep: Path, tmp_path: Path, scheme: str, width: int) -> None:
    axe = (files(AXE) / "axe.min.js").read_text(encoding="utf-8")
    threads = tmp_path / "threads.html"
    write_report([threaded(tmp_path / "a.db")], threads)
    views = [(sweep / "countdown.html", ""), (threads, "#problem=p&trace=0.0.0.0"),
             (sweep / "countdown.html", "#problem=countdown-2026-0000&trace=0.0")]  # fmt: skip
    dark = ("--force-dark-mode", "--blink-settings=preferredColorScheme=0")
    with browser.running("--window-size=1200,900", *(dark if scheme == "dark" else ())) as window:
        window.narrow(width)
        for page, view in views:
            window.open(page, view)
            window.script("document.querySelectorAll('details').forEach(d => d.open = true)")
            window.script(f"{axe}; window.axe = window.axe ?? axe")
            passed, found = window.promised(_AXE)
            assert "color-contrast" in passed, "axe has looked at the page"
            assert [one for one in found if one[0] in ("serious", "critical")] == []


def test_runs_of_one_strategy_are_told_apart(tmp_path: Path) -> None:
    made = {}
    for name, more in {"a": {"budget_tokens": 100}, "b": {"budget_tokens": 200}, "c": {"seed": 0}, "d": {"seed": 1},
                       "e": {"seed": 1}}.items():  # fmt: skip
        path = made_run(tmp_path / f"{name}.db", [["1", "2"], ["1", "1"]], strategy="single()")
        with Store.edit(path) as store:
            store.note({"configuration": {**store.manifest["configuration"], **more}})
        made[name] = curve(path)
    assert [c.label for c in told_apart(list(made.values()))] == [
        "single() | budget(tokens=100)",
        "single() | budget(tokens=200)",
        "single() (seed 0)",
        "single() (seed 1) (d)",
        "single() (seed 1) (e)",
    ]
    assert [c.label for c in told_apart([made["a"]])] == ["single() | budget(tokens=100)"]
    write_report([c.path for c in made.values()], tmp_path / "page.html")
    main = blocks(tmp_path / "page.html")["main"]
    assert len({point["method"] for point in main["comparison"]["points"]}) == 5 * len(curve(made["a"].path).lines) - 5


def test_near_budgets_are_one(tmp_path: Path) -> None:
    of = curve(made_run(tmp_path / "a.db", [["1", "2"], ["1", "1"]]))

    def spending(tokens: float) -> Any:
        lines = {name: replace(line, budgets={"tokens": np.array([tokens])}) for name, line in of.lines.items()}
        return replace(of, lines=lines)

    ends = [100, 104, 108, 200, 215, 400]
    assert matched_budgets([spending(end) for end in ends], "tokens") == [108, 215, 400]
    chain = [100 * (NEAR - 0.01) ** i for i in range(8)]
    assert len(matched_budgets([spending(end) for end in chain], "tokens")) == 4, "no budget stands for one far below"
