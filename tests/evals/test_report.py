"""The report page, in a real browser if one is installed."""

import base64
import gzip
import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.evals import browser
from tests.evals.made_runs import made_run
from widthwise.core.errors import UsageError
from widthwise.core.problem import Problem
from widthwise.core.trace.trace import Segment, Trace
from widthwise.evals.measure.standings import standings
from widthwise.evals.store.outcome import Leaf, Outcome
from widthwise.evals.store.store import Store
from widthwise.evals.views.report import write_report

MIXED = [["1", "1", "2", None], ["1", "2", "2", "2"], ["1", "1", "1", "1"], ["3", None, None, "4"]]
HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"> \\boxed{1}"

needs_browser = pytest.mark.skipif(browser.missing() is not None, reason=browser.missing() or "")


@pytest.fixture(scope="module")
def window() -> Iterator[browser.Browser]:
    with browser.running("--window-size=1200,900") as opened:
        yield opened


def blocks(page: Path) -> dict[str, Any]:
    found = re.findall(r'<script type="application/octet-stream" id="([^"]+)">([^<]*)</script>', page.read_text())
    return {name: json.loads(gzip.decompress(base64.b64decode(data))) for name, data in found}


def text(window: browser.Browser, selector: str) -> str:
    return str(window.script(f"return document.querySelector({selector!r})?.textContent ?? ''"))


def test_the_page_is_one_file_that_asks_for_nothing(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    write_report([made_run(tmp_path / "a.db", MIXED)], page)
    written = page.read_text()
    assert "default-src 'none'" in written
    assert not re.findall(r'(?:src|href)="(?!#)[^"]+"', written)
    data = blocks(page)["main"]
    assert data["runs"][0]["problems"][0]["cells"] == "rrw-"
    assert data["runs"][0]["manifest"]["configuration"]["suite"] == "made"


def test_the_same_run_gives_the_same_page(tmp_path: Path) -> None:
    run = made_run(tmp_path / "a.db", MIXED)
    for name in ("one.html", "two.html"):
        write_report([run], tmp_path / name)
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_a_page_may_leave_the_traces_out(tmp_path: Path) -> None:
    write_report([made_run(tmp_path / "a.db", MIXED)], tmp_path / "a.html", traces=False)
    assert list(blocks(tmp_path / "a.html")) == ["main"]


def test_runs_on_different_problems_have_no_common_page(tmp_path: Path) -> None:
    runs = [made_run(tmp_path / f"{name}.db", MIXED, problem=name) for name in ("a", "b")]
    with pytest.raises(UsageError, match="in common"):
        write_report(runs, tmp_path / "a.html")


@needs_browser
def test_curves_tables_and_problems_are_drawn(tmp_path: Path, window: browser.Browser) -> None:
    write_report([made_run(tmp_path / "a.db", MIXED)], tmp_path / "a.html")
    window.open(tmp_path / "a.html")
    assert window.script("return document.querySelectorAll('svg polyline').length") == 2
    assert window.script("return document.querySelectorAll('.list .row').length") == 4
    assert "50.00" in text(window, "main")
    assert not [line for line in window.log() if "favicon" not in line]


@needs_browser
def test_the_keyboard_reaches_every_trace_and_back(tmp_path: Path, window: browser.Browser) -> None:
    write_report([made_run(tmp_path / "a.db", MIXED)], tmp_path / "a.html")
    window.open(tmp_path / "a.html")
    window.script("document.querySelector('.list').focus()")
    window.keys("Down", "Enter")
    window.wait("return document.querySelector('h2').textContent === 'p1'")
    window.keys("Down", "Enter")
    window.wait("return !!document.querySelector('article')")
    assert "trace 0.1" in text(window, "article")
    assert window.script("return document.querySelectorAll('article .step').length") == 2
    window.keys("Escape")
    window.wait("return !!document.querySelector('svg')")


@needs_browser
def test_unlikely_tokens_are_coloured(tmp_path: Path, window: browser.Browser) -> None:
    write_report([made_run(tmp_path / "a.db", MIXED)], tmp_path / "a.html")
    window.open(tmp_path / "a.html", "#problem=p0&trace=0.0")
    shades = window.script("return [...document.querySelectorAll('.text span')].map(s => s.style.background)")
    assert not shades[0]
    assert "0.75" in shades[-1]


@needs_browser
def test_pruned_traces_say_why(tmp_path: Path, window: browser.Browser) -> None:
    write_report([made_run(tmp_path / "a.db", MIXED, finish="pruned")], tmp_path / "a.html")
    window.open(tmp_path / "a.html", "#problem=p0")
    assert "pruned: not worth more" in text(window, ".list")


@needs_browser
def test_hostile_text_stays_text(tmp_path: Path, window: browser.Browser) -> None:
    run = made_run(tmp_path / "a.db", [["1", "1"], ["<b>2</b>", "1"]], text=HOSTILE, strategy="single() | <i>x</i>")
    write_report([run], tmp_path / "a.html")
    window.open(tmp_path / "a.html", "#problem=p1&trace=0.0")
    assert HOSTILE in text(window, "article")
    assert "owned" not in window.script("return document.title")
    assert window.script("return document.querySelectorAll('img, b, i:not(.key i)').length") == 0


@needs_browser
def test_several_runs_are_compared(tmp_path: Path, window: browser.Browser) -> None:
    runs = [made_run(tmp_path / "a.db", MIXED), made_run(tmp_path / "b.db", [["1"] * 4] * 4, strategy="single()")]
    write_report(runs, tmp_path / "a.html")
    window.open(tmp_path / "a.html")
    assert "At equal budgets" in text(window, "main")
    window.script("const w = document.getElementById('which'); w.value = 'mixed'; w.dispatchEvent(new Event('change'))")
    assert window.script("return document.querySelectorAll('.list .row').length") == 2


def test_the_page_says_where_differences_come_from(tmp_path: Path) -> None:
    runs = [made_run(tmp_path / "a.db", MIXED), made_run(tmp_path / "b.db", [["1"] * 4] * 4)]
    write_report(runs, tmp_path / "a.html")
    first, second = standings(runs)
    told = blocks(tmp_path / "a.html")["main"]["gains"]
    assert [each["split"] for each in told] == [None, asdict(second.split)]  # type: ignore[arg-type]
    assert [each["coverage"] for each in told] == [first.coverage, 1.0]
    write_report(runs[:1], tmp_path / "one.html")
    assert blocks(tmp_path / "one.html")["main"]["gains"] == []
    recorded = made_run(tmp_path / "c.db", MIXED, strategy=None)
    write_report([runs[0], recorded], tmp_path / "recorded.html")
    assert blocks(tmp_path / "recorded.html")["main"]["gains"] == []


@needs_browser
def test_the_gains_are_drawn_and_fit_a_narrow_page(tmp_path: Path) -> None:
    runs = [made_run(tmp_path / "a.db", MIXED), made_run(tmp_path / "b.db", [["1"] * 4] * 4)]
    write_report(runs, tmp_path / "a.html")
    with browser.running("--window-size=1200,900") as narrow:
        narrow.narrow(360)
        narrow.open(tmp_path / "a.html")
        assert "Where the differences come from" in text(narrow, "main")
        assert narrow.script("return document.documentElement.scrollWidth") <= 360


@needs_browser
def test_the_dark_scheme_is_followed(tmp_path: Path) -> None:
    write_report([made_run(tmp_path / "a.db", MIXED)], tmp_path / "a.html")
    with browser.running("--force-dark-mode", "--blink-settings=preferredColorScheme=0") as dark:
        dark.open(tmp_path / "a.html")
        back = dark.script("return getComputedStyle(document.body).backgroundColor")
    assert max(map(int, re.findall(r"\d+", back)[:3])) < 60


@pytest.mark.slow
@needs_browser
def test_ten_thousand_traces_need_no_element_each(tmp_path: Path, window: browser.Browser) -> None:
    """Only the rows in sight are in the page, wherever the list is scrolled to."""
    answers = [["1" if (i * j) % 3 else "2" for j in range(200)] for i in range(49)] + [["1"] * 200]
    run = made_run(tmp_path / "a.db", answers, text="Step.\n\n" * 40 + "\\boxed{%s}")
    write_report([run], tmp_path / "a.html")
    window.open(tmp_path / "a.html")
    assert window.script("return document.querySelectorAll('*').length") < 12_000
    window.script("document.querySelector('.list').focus()")
    window.keys("End", "Enter")
    window.wait("return document.querySelector('h2').textContent === 'p49'")
    most = window.script(
        "const list = document.querySelector('.list'); let most = 0;"
        "for (let i = 0; i < 100; i++) { list.scrollTop = i * 50; list.dispatchEvent(new Event('scroll'));"
        "most = Math.max(most, list.querySelectorAll('.row').length); }"
        "return most"
    )
    assert 0 < most < 80


def test_recordings_are_imported_first(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="widthwise import"):
        write_report([tmp_path / "a.jsonl"], tmp_path / "a.html")


@needs_browser
def test_threads_are_shown_as_a_tree(tmp_path: Path, window: browser.Browser) -> None:
    root = Trace((0,), Segment("prompt", np.arange(2), "Q"))
    plan = Trace((0, 0), Segment("sampled", np.arange(4), "plan", finish="stop"), root, 4)
    tag = Trace((0, 0, 0), Segment("inserted", np.arange(1), "<thread>"), plan, 4)
    threads = [Trace((0, 0, 0, i), Segment("sampled", np.arange(3), f"t{i}", finish="stop"), tag, 7) for i in (0, 1)]
    leaves = tuple(Leaf(t.id, "stop", t.tokens, "1", True) for t in threads)
    configuration = {"suite": "made", "model": "none", "strategy": "threads()"}
    with Store.begin(tmp_path / "a.db", configuration, [Problem("p", "Q?", "1")]) as store:
        store.finish(Outcome(Problem("p", "Q?", "1"), "done", "1", True, leaves=leaves), threads)
    write_report([tmp_path / "a.db"], tmp_path / "a.html")
    window.open(tmp_path / "a.html", "#problem=p&trace=0.0.0.1")
    rows = window.script("return [...document.querySelectorAll('.list .row')].map(r => r.textContent)")
    assert [row.strip().split()[0] for row in rows] == ["0.0", "└", "└", "└"]
    assert "inserted" in rows[1]
    assert "7 sequential" in rows[3]
    assert text(window, "article").count("sampled") == 2
    assert "<thread>" in text(window, ".segment.inserted")
