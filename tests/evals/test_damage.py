"""A sample of ``bench/damage.py``: damaged files give one sentence, in bounded time, and stay unchanged."""

from __future__ import annotations

import importlib
import os
import shutil
import sqlite3
import sys
from pathlib import Path

import pytest

from tests.evals.made_runs import made_run
from widthwise.core.errors import WidthwiseError
from widthwise.core.file_bytes import file_bytes
from widthwise.core.problem import Problem
from widthwise.evals.store.database import StoreError
from widthwise.evals.store.outcome import Outcome
from widthwise.evals.store.store import Store
from widthwise.evals.views.report import write_report

sys.path.append(str(Path(__file__).parents[2] / "bench"))
damage = importlib.import_module("damage")


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "cases"), [("runs", 60), ("recordings", 60), ("checkpoints", 12)])
def test_altered_files_are_answered_in_one_sentence(kind: str, cases: int) -> None:
    ends, findings = damage.cases([kind], range(cases), 1, 60.0, lambda _: None)
    assert findings == []
    assert {f"{kind}: exit 0"} < set(ends)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    problems = [Problem(f"p{i}", f"{i}?", "1") for i in range(3)]
    Store.begin(tmp_path / "a.db", {"suite": "s"}, problems).close()
    return tmp_path / "a.db"


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE VIEW v AS SELECT 1",
        "CREATE TRIGGER t AFTER UPDATE ON problems BEGIN DELETE FROM problems; END",
        "CREATE VIRTUAL TABLE f USING fts5(x)",
        "CREATE INDEX i ON problems (text)",
        "DROP TABLE answers",
        "ALTER TABLE problems RENAME COLUMN text TO words",
        "UPDATE problems SET text = x'ff'",
        "UPDATE problems SET metadata = '[1]'",
        "UPDATE problems SET fields = 'NaN,'",
        "INSERT INTO attempts (began, seconds) VALUES ('x', 'y')",
        "UPDATE manifest SET value = '5' WHERE key = 'configuration'",
        "UPDATE manifest SET value = '{\"suite\": 5}' WHERE key = 'configuration'",
    ],
)
def test_a_run_file_that_holds_what_none_does_is_damaged(run: Path, statement: str) -> None:
    with sqlite3.connect(run) as db:
        db.execute(statement)
    db.close()
    before = run.read_bytes()
    with pytest.raises(StoreError, match=r"a\.db is damaged or cut short"), Store.read(run) as store:
        store.check()
    with pytest.raises(StoreError, match=r"a\.db is damaged or cut short"):
        Store.edit(run)
    assert run.read_bytes() == before


def test_a_view_in_a_tables_place_is_not_run(run: Path) -> None:
    """The view counts without end, and SQLite would run it."""
    with sqlite3.connect(run) as db:
        db.execute("DROP TABLE problems")
        columns = "1 AS id, x AS position, '' AS text, '' AS answer, '' AS metadata, '' AS fields, '' AS state"
        endless = "WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r)"
        db.execute(f"CREATE VIEW problems AS {endless} SELECT {columns} FROM r")
    db.close()
    with pytest.raises(WidthwiseError, match="holds a view"):
        Store.read(run)


def test_a_query_that_does_not_end_is_ended(run: Path) -> None:
    with Store.read(run) as store, pytest.raises(StoreError, match="damaged or cut short"):
        store._db.rows("WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r) SELECT count(*) FROM r")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tokenizer_config.json", '{"bos_token": {"text": "<s>"}, "chat_template": "{{ bos_token }}"}'),
        ("tokenizer_config.json", '{"added_tokens_decoder": {"5": {"text": "<s>"}}}'),
        ("tokenizer_config.json", '{"added_tokens_decoder": {"99999999999999": {"content": "<s>"}}}'),
        ("tokenizer_config.json", '{"added_tokens_decoder": {"x": {"content": "<s>"}}}'),
        ("tokenizer_config.json", '{"added_tokens_decoder": [1]}'),
        ("tokenizer_config.json", '{"chat_template": [{"name": 5}, "x"]}'),
        ("config.json", '{"architectures": 5}'),
        ("config.json", "[" * 5000),
    ],
)
def test_a_checkpoint_whose_files_make_no_sense_is_read_or_refused(tmp_path: Path, name: str, content: str) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(damage._reasoner(), folder)
    (folder / name).write_text(content)
    code, wrong = damage.judged(damage.checkpoint_commands(str(folder), str(tmp_path))[0], 120.0)
    assert (code in (0, 1, 2), wrong) == (True, "")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors", "generation_config.json",
                                  "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja",
                                  "model.safetensors.index.json"])  # fmt: skip
def test_a_pipe_in_a_checkpoint_is_not_waited_for(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(damage._reasoner(), folder)
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    code, wrong = damage.judged(damage.checkpoint_commands(str(folder), str(tmp_path))[0], 60.0)
    assert (code in (0, 1, 2), wrong) == (True, "")


def test_files_are_read_only_where_they_are_some(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1234")
    assert file_bytes(tmp_path / "a", 4) == b"1234"
    for path, most, why in (
        (tmp_path / "a", 3, "larger than"),
        (tmp_path, None, "not a file"),
        ("/dev/zero", 9, "not a file"),
    ):
        with pytest.raises(OSError, match=why):
            file_bytes(Path(path), most)


@pytest.mark.parametrize("name", ["n" * 300 + ".db", "a\0.db", "loop.db/x.db"])
def test_a_name_that_is_no_files_is_a_mistake_of_use(name: str, tmp_path: Path) -> None:
    (tmp_path / "loop.db").symlink_to("loop.db")
    code, wrong = damage.judged(["eval", "arithmetic", "--limit", "1", "--run", str(tmp_path / name)], 60.0)
    assert (code, wrong) == (2, "")


def test_a_run_without_a_trace_has_a_page(tmp_path: Path) -> None:
    problem = Problem("p", "1?", "1")
    with Store.begin(tmp_path / "a.db", {"suite": "s", "strategy": "best_of_n(n=2)"}, [problem]) as store:
        store.finish(Outcome(problem, "done", answer="1", correct=True), [])
    assert write_report([tmp_path / "a.db"], tmp_path / "a.html") > 1000


def test_a_schema_that_is_no_text_is_damage(run: Path) -> None:
    run.write_bytes(run.read_bytes().replace(b"CREATE TABLE problems", b"CREATE TABLE \xd2roblems"))
    with pytest.raises(StoreError, match="damaged or cut short"):
        Store.read(run)


def test_tokens_that_do_not_end_with_their_text_are_damage(tmp_path: Path) -> None:
    made_run(tmp_path / "a.db", [["1"]])
    with sqlite3.connect(tmp_path / "a.db") as db:
        db.execute("UPDATE segments SET token_ends = ? WHERE origin = 'sampled'", (b"|u1:1\n\x00",))
    db.close()
    with Store.read(tmp_path / "a.db") as store, pytest.raises(StoreError, match="do not end with its text"):
        store.check()
