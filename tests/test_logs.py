"""The program's log on the command line: what is shown where, and how much of it."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from typer.testing import CliRunner

from widthwise.cli.app import app
from widthwise.cli.logs import show_logs

_LOGGER = logging.getLogger("widthwise")
_ROW = {"problem_id": "p", "problem": "What is 1 plus 1?", "answer": "2", "samples": [{"text": "\\boxed{2}"}]}


@pytest.mark.parametrize("time", ["first", "second"])
def test_a_command_decides_nothing_in_the_next_test(time: str) -> None:
    assert (_LOGGER.level, _LOGGER.handlers) == (logging.NOTSET, []), time
    assert CliRunner().invoke(app, ["-v", "graders"]).exit_code == 0
    assert (_LOGGER.level, len(_LOGGER.handlers)) == (logging.INFO, 1)


def test_warnings_are_shown_and_notes_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    show_logs(0)
    logging.getLogger("widthwise.somewhere").warning("a server %s", "fell")
    logging.getLogger("widthwise.somewhere").info("a note")
    said = capsys.readouterr()
    assert said.err == "widthwise: warning: a server fell\n"
    assert said.out == ""


@pytest.mark.parametrize(("verbosity", "shown"), [(0, ["w"]), (1, ["w", "i"]), (2, ["w", "i", "d"]), (5, list("wid"))])
def test_each_v_shows_more(verbosity: int, shown: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    show_logs(verbosity)
    log = logging.getLogger("widthwise.somewhere")
    log.warning("w"), log.info("i"), log.debug("d")
    assert [line[-1] for line in capsys.readouterr().err.splitlines()] == shown


@pytest.mark.parametrize(("verbosity", "traces"), [(0, 0), (1, 0), (2, 1)])
def test_a_traceback_is_a_detail(verbosity: int, traces: int, capsys: pytest.CaptureFixture[str]) -> None:
    show_logs(verbosity)
    try:
        raise ValueError("why")
    except ValueError:
        logging.getLogger("widthwise.somewhere").warning("it failed", exc_info=True)
    assert capsys.readouterr().err.count("Traceback") == traces


def test_sentences_that_were_made_before_are_of_their_own_kinds(capsys: pytest.CaptureFixture[str]) -> None:
    show_logs(0)
    for i in range(8):
        logging.getLogger("widthwise.somewhere").warning("%s", f"note {i}")
    assert [line[-6:] for line in capsys.readouterr().err.splitlines()] == [f"note {i}" for i in range(8)]


def test_a_message_that_comes_a_thousand_times_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    show_logs(1)
    for i in range(1000):
        logging.getLogger("widthwise.somewhere").warning("request %d is sent again", i)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 6
    assert lines[-1] == "widthwise: warning: request 999 is sent again (1000 times so far)"


def test_every_detail_is_every_message(capsys: pytest.CaptureFixture[str]) -> None:
    show_logs(2)
    for _ in range(50):
        logging.getLogger("widthwise.somewhere").debug("again")
    assert len(capsys.readouterr().err.splitlines()) == 50


@pytest.mark.parametrize("arguments", [("-v", "traces"), ("traces", "-v"), ("--verbose", "traces")])
def test_v_stands_before_or_behind_the_command(arguments: tuple[str, ...], tmp_path: Path) -> None:
    CliRunner().invoke(app, [*arguments, str(tmp_path / "none.db")])
    assert _LOGGER.level == logging.INFO


def test_a_run_says_on_stderr_what_was_left_out_and_json_stays_json(tmp_path: Path) -> None:
    file = tmp_path / "sums.jsonl"
    file.write_text(json.dumps(_ROW | {"samples": [*_ROW["samples"], {"text": "", "finish": "error"}]}) + "\n")  # type: ignore[misc]
    call = ["eval", "--data", str(file), "--model", f"replay:{file}", "--run", str(tmp_path / "run.db"), "--json", "-v"]
    result = CliRunner().invoke(app, [*call, "--strategy", "best_of_n(n=1) | majority_vote()"])
    assert json.loads(result.stdout)["samples"] == 1, result.stderr
    assert "widthwise.backends.replay: info: problem p: 1 of 2 recorded samples can be replayed" in result.stderr
