"""Values as tables, figures and HTML: whatever a model wrote is shown as text."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import widthwise as ww
from tests.evals.made_runs import made_run
from widthwise.core.errors import UsageError
from widthwise.core.tabular import Plotted, Tabular
from widthwise.evals.measure.comparison import Comparison
from widthwise.evals.store.outcome import Outcome
from widthwise.evals.suites.suites import load_suite
from widthwise.run import Run

HOSTILE = "</pre><script>alert(1)</script><img src=x onerror='alert(2)'>$x^{$ \x1b[2J \u202e &amp;"
RIGHT, WRONG = ["1"] * 4, ["2", "2", "1", "1"]
VOTE = "best_of_n(n=16) | majority_vote()"


class Tags(HTMLParser):
    """All tags of a page with their attributes; every tag must be closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Four problems whose questions and answers are hostile texts."""
    path = tmp_path / "recorded.jsonl"
    rows = [
        {"problem_id": f"p{i}", "problem": f"Q{i}? {HOSTILE}", "answer": "1", "samples": [
            {"text": f"{HOSTILE} \\boxed{{{answer}}}"} for answer in ("1", "<b>2</b>", "1", "3")]}
        for i in range(4)
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def hostile_result() -> ww.Result:
    traces = tuple(
        ww.Trace((0, i), ww.Segment("sampled", [1], text, finish="stop")).stating(HOSTILE)  # type: ignore[arg-type]
        for i, text in enumerate([HOSTILE, "plain"])
    )
    classes = (ww.AnswerClass(HOSTILE, traces, 2.0),)
    return ww.Result(HOSTILE, traces, ww.Ledger(sampled=2), ww.Answer(HOSTILE, traces[0], classes))


@pytest.fixture
def values(tmp_path: Path, recorded: Path) -> dict[str, Any]:
    """One value of every kind that has a table, made from hostile texts."""
    model = f"replay:{recorded}"
    run = made_run(tmp_path / "a.db", [RIGHT, WRONG], strategy=f"{VOTE} | {HOSTILE}", suite=HOSTILE)
    made_run(tmp_path / "b.db", [RIGHT, RIGHT])
    sweep = ww.sweep([VOTE], [str(recorded)], [1, 4], model=model, folder=tmp_path / "s")
    return {
        "result": hostile_result(),
        "trace": hostile_result().traces[0],
        "answer": hostile_result().election,
        "ledger": ww.Ledger(sampled=3),
        "suite": load_suite(data=recorded),
        "run": Run.read(sweep.runs[0]),
        "made": Run.read(run),
        "curve": ww.curve(run),
        "comparison": ww.compare(run, tmp_path / "b.db"),
        "sweep": sweep,
        "plan": sweep.plan,
        "tree": ww.StepTree([ww.Node(hostile_result().traces[0])], 1, []),
    }


def test_a_notebook_shows_hostile_texts_as_texts(values: dict[str, Any]) -> None:
    pictures = 0
    for name, value in values.items():
        page = value._repr_html_()
        tags = Tags(page)
        assert not tags.open
        assert {tag for tag, _ in tags.seen} <= {"p", "b", "pre", "table", "thead", "tbody", "tr", "th", "td", "img"}
        for tag, attributes in tags.seen:
            assert set(attributes) <= {"style", "alt", "src"}
            assert tag != "img" or (attributes["src"] or "").startswith("data:image/png;base64,")
        assert "\x1b" not in page
        assert "\u202e" not in page
        pictures += "<img alt" in page
        assert len(page) < 500_000, name
    assert pictures == sum(isinstance(value, Plotted) for value in values.values()) == 6


def test_every_table_becomes_a_data_frame(values: dict[str, Any]) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    for value in values.values():
        if isinstance(value, Tabular):
            columns = value.table()
            arrow, frame = value.to_arrow(), value.to_pandas()
            assert isinstance(frame, pandas.DataFrame)
            assert arrow.column_names == list(frame.columns) == list(columns)
            assert arrow.num_rows == len(frame) == len(next(iter(columns.values()))) > 0


def test_tables_say_what_values_hold(values: dict[str, Any]) -> None:
    assert values["run"].table()["correct"] == [True] * 4
    assert values["run"].table()["right"] == [2] * 4
    assert values["made"].to_arrow().to_pydict()["answer"] == ["1", "2"]
    comparison = values["comparison"]
    assert isinstance(comparison, Comparison)
    assert isinstance(comparison, Sequence)
    assert comparison.table()["accuracy"] == [each.accuracy for each in comparison] == [0.5, 1.0]
    assert comparison.table()["difference"] == [None, 0.5]
    swept = values["sweep"].table()
    assert swept["budget"] == [1, 4]
    assert swept["strategy"] == ["best_of_n(n=budget) | majority_vote()"] * 2
    assert swept["accuracy"] == values["sweep"].curves[0].lines["run"].accuracy.tolist()
    assert values["result"].table()["answer"] == [HOSTILE] * 2


def test_without_pandas_one_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert hostile_result().to_arrow().num_rows == 2
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError, match="pip install pandas"):
        hostile_result().to_pandas()


def test_figures_are_drawn_without_a_display(values: dict[str, Any]) -> None:
    for value in values.values():
        if isinstance(value, Plotted):
            figure = value.plot()
            assert len(figure.axes) == 1
            assert figure._repr_png_().startswith(b"\x89PNG")


def test_figures_are_drawn_in_axes_of_ones_own(values: dict[str, Any]) -> None:
    from matplotlib.figure import Figure

    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert values["curve"].plot(ax=left) is figure
    assert values["curve"].plot("tokens", ax=right) is figure
    assert [len(axes.get_lines()) > 0 for axes in (left, right)] == [True, True]
    assert values["sweep"].plot(axis="tokens").axes[0].get_xlabel() == "sampled tokens per problem"
    with pytest.raises(UsageError, match="choose another axis"):
        values["curve"].plot("thinking")


def test_a_result_without_an_answer_is_shown() -> None:
    empty = ww.Result(None, (), ww.Ledger(), ww.Answer(None))
    assert Tags(empty._repr_html_()).open == []
    assert empty.plot().axes[0].get_xlabel() == "no trace states an answer"


def test_answers_that_are_right_in_part_are_numbers_in_a_table(tmp_path: Path) -> None:
    problem = ww.Problem("p", "Q?", "1")
    graded = [Outcome(problem, "done", "1", grade) for grade in (True, 0.5, False, None)]
    run = Run.read(made_run(tmp_path / "a.db", [RIGHT]))
    assert replace(run, outcomes=tuple(graded)).to_arrow().to_pydict()["correct"] == [1.0, 0.5, 0.0, None]
    assert replace(run, outcomes=tuple(graded[2:])).to_arrow().to_pydict()["correct"] == [False, None]
