"""Altered run files, recordings and checkpoints: every command answers in one sentence, in time, and changes no file.

Each case damages one file (bits flipped, cut, swapped, zeroed, doubled; cells and JSON values replaced by odd ones;
views and triggers added) and gives it to a command that reads such files. A finding is a raw exception, an answer
longer than a sentence, a command that takes longer than ``--seconds``, or a file that has changed although the command
failed. Exit status 1 if there is one; each is printed with the seed that reproduces it.

    python bench/damage.py [--cases 10000] [--kinds runs,recordings,checkpoints] [--seed 0]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from odd_values import ADDED, CELLS, ODD
from typer.testing import CliRunner

from widthwise.cli.app import app


@dataclass(frozen=True, slots=True)
class Finding:
    """What went wrong, in which case."""

    case: int
    kind: str
    command: Sequence[str]
    what: str


# -- damage ----------------------------------------------------------------------------------------------------------


def damage_bytes(path: Path, chance: random.Random) -> None:
    """Flip, cut, swap, zero, double or delete some of a file's bytes."""
    content = bytearray(path.read_bytes())
    at, size = chance.randrange(len(content)), chance.choice([1, 8, 64, 4096])
    match chance.choice(["flip", "cut", "swap", "zero", "double", "delete", "noise"]):
        case "flip":
            for _ in range(chance.choice([1, 4, 32])):
                content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        case "cut":
            del content[at:]
        case "swap":
            other = chance.randrange(len(content))
            content[at : at + size], content[other : other + size] = (
                content[other : other + size],
                content[at : at + size],
            )
        case "zero":
            content[at : at + size] = bytes(len(content[at : at + size]))
        case "double":
            content[at:at] = content[at : at + size]
        case "delete":
            del content[at : at + size]
        case "noise":
            content[at : at + size] = chance.randbytes(len(content[at : at + size]))
    path.write_bytes(content)


def damage_cells(path: Path, chance: random.Random) -> None:
    """Put odd values into a run file's tables, remove rows, or add what no run file has."""
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for _ in range(chance.choice([1, 1, 3])):
            try:
                table = chance.choice(tables)
                columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
                rows = [row for (row,) in db.execute(f"SELECT rowid FROM {table}")]
                if chance.random() < 0.1:
                    db.execute(chance.choice(ADDED))
                elif chance.random() < 0.2:
                    db.execute(f"DELETE FROM {table} WHERE rowid = ?", (chance.choice(rows),))
                else:
                    where = "" if chance.random() < 0.2 else f" WHERE rowid = {chance.choice(rows)}"
                    db.execute(
                        f"UPDATE OR REPLACE {table} SET {chance.choice(columns)} = ?{where}", (chance.choice(CELLS),)
                    )
            except (sqlite3.Error, IndexError):
                continue  # this table does not accept it
    db.close()


def damage_json(value: Any, chance: random.Random) -> Any:
    """``value`` with one of its values replaced by an odd one, removed or doubled."""
    if not isinstance(value, dict | list) or not value or chance.random() < 0.15:
        return chance.choice(ODD)
    key = chance.choice(list(value) if isinstance(value, dict) else range(len(value)))
    match chance.random():
        case share if share < 0.1:
            del value[key]
        case share if share < 0.15 and isinstance(value, list):
            value.append(value[key])
        case _:
            value[key] = damage_json(value[key], chance)
    return value


def damage_lines(path: Path, chance: random.Random) -> None:
    """Damage one value in one line of a JSON Lines file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    number = chance.randrange(len(lines))
    lines[number] = json.dumps(damage_json(json.loads(lines[number]), chance))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def damage_checkpoint(folder: Path, chance: random.Random) -> None:
    """Damage one file of a checkpoint: its bytes, or a value in its JSON (including the header of its weights)."""
    file = chance.choice(sorted(folder.iterdir()))
    if chance.random() < 0.3:
        damage_bytes(file, chance)
    elif file.suffix == ".json":
        file.write_text(json.dumps(damage_json(json.loads(file.read_text(encoding="utf-8")), chance)))
    elif file.suffix == ".safetensors":
        _damage_header(file, chance)
    else:
        damage_bytes(file, chance)


def _damage_header(file: Path, chance: random.Random) -> None:
    content = file.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header, numbers = json.loads(content[8 : 8 + size]), content[8 + size :]
    spelled = json.dumps(damage_json(header, chance)).encode()
    said = chance.choice([len(spelled)] * 5 + [0, 2**63, len(spelled) * 2])
    file.write_bytes(said.to_bytes(8, "little") + spelled + numbers)


# -- what is damaged -------------------------------------------------------------------------------------------------


def made(folder: Path) -> None:
    """A run of recordings, its export, recordings of several kinds, and a checkpoint."""
    (folder / "sums.jsonl").write_text("".join(json.dumps(_row(i)) + "\n" for i in range(3)), encoding="utf-8")
    strategy = "best_of_n(n=3) | majority_vote()"
    common = ["--strategy", strategy, "--limit", "2"]
    _must("eval", "--data", f"{folder}/sums.jsonl", "--model", f"replay:{folder}/sums.jsonl", "--strategy", strategy,
          "--run", f"{folder}/replayed.db")  # fmt: skip
    _must("eval", "arithmetic", *common, "--max-tokens", "60", "--logprobs", "1", "--run", f"{folder}/sampled.db")
    for ending in ("jsonl", "parquet"):
        _must("export", f"{folder}/sampled.db", f"{folder}/sampled.{ending}")
    samples = {"doc_id": 0, "doc": {"question": "1+1?"}, "target": "2", "resps": [["It is 2."]], "filter": "none",
               "filtered_resps": ["2"], "arguments": {"gen_args_0": {"arg_0": "1+1?"}}, "exact_match": 1.0}  # fmt: skip
    (folder / "harness.jsonl").write_text(json.dumps(samples) + "\n")
    search = {
        "problem": "1+1?",
        "answer": "2",
        "completions": ["So 2."],
        "scores": [[0.5, 0.9]],
        "completion_tokens": [3],
    }
    (folder / "search.jsonl").write_text(json.dumps(search) + "\n")
    choice = {"message": {"content": "It is 2."}, "stop_reason": "stop"}
    sample = {"id": 1, "epoch": 1, "input": "1+1?", "target": "2", "output": {"choices": [choice]},
              "scores": {"match": {"value": "C", "answer": "2"}}}  # fmt: skip
    (folder / "inspect.json").write_text(json.dumps({"eval": {"task": "t", "model": "m"}, "samples": [sample]}))
    shutil.copytree(_reasoner(), folder / "checkpoint")


def _row(i: int) -> dict[str, Any]:
    samples = [{"text": f"It is \\boxed{{{2 * i + wrong}}}", "answer": None, "reward": wrong} for wrong in (1, 0, 0)]
    return {"problem_id": f"sum-{i}", "problem": f"What is {i} plus {i}?", "answer": str(2 * i), "samples": samples}


def _reasoner() -> Path:
    from widthwise.opening import bundled_models

    return bundled_models()["reasoner"]


def _must(*arguments: str) -> None:
    result = CliRunner().invoke(app, list(arguments))
    if result.exit_code:
        raise SystemExit(f"{' '.join(arguments)}: {result.output}")


def run_commands(run: str, out: str) -> list[list[str]]:
    """The commands that read a run file."""
    problem = "sum-1" if "replayed" in run else "arithmetic-0001"
    replayed = ["--model", f"replay:{run}", "--strategy", "best_of_n(n=2) | majority_vote()", "--run", f"{out}/new.db"]
    return [
        ["traces", run], ["traces", run, "--json"], ["traces", run, problem], ["traces", run, problem, "--json"],
        ["traces", run, problem, "--tree"], ["traces", run, problem, "--timeline"],
        ["traces", run, problem, "--trace", "0.1"],
        ["export", run, f"{out}/a.jsonl"], ["export", run, f"{out}/a.parquet"], ["curve", run, "--replicates", "2"],
        ["curve", run, "--replicates", "2", "--method", "best:mean_logprob", "--method", "pass", "--json"],
        ["report", run, "--out", f"{out}/a.html"], ["compare", run, run], ["grade", run],
        ["eval", "--data", run, *replayed],
    ]  # fmt: skip


def recording_commands(file: str, out: str) -> list[list[str]]:
    """The commands that read recorded generations."""
    strategy = "best_of_n(n=1) | majority_vote()"
    return [
        ["import", file, f"{out}/new.db"],
        ["curve", file, "--replicates", "2"],
        ["eval", "--data", file, "--model", f"replay:{file}", "--strategy", strategy, "--run", f"{out}/new.db"],
    ]  # fmt: skip


def checkpoint_commands(folder: str, out: str) -> list[list[str]]:
    """The commands that read a checkpoint."""
    return [["eval", "arithmetic", "--limit", "1", "--model", f"embedded:{folder}", "--strategy", "single()",
             "--max-tokens", "3", "--run", f"{out}/new.db"]]  # fmt: skip


RECORDINGS = ("sums.jsonl", "sampled.jsonl", "sampled.parquet", "harness.jsonl", "search.jsonl", "inspect.json")


def altered(kind: str, pristine: Path, here: Path, chance: random.Random) -> tuple[Path, list[str]]:
    """A damaged copy in ``here``, and a command that reads it."""
    out = str(here / "out")
    if kind == "runs":
        path = here / chance.choice(["replayed.db", "sampled.db"])
        shutil.copy(pristine / path.name, path)
        chance.choice([damage_bytes, damage_cells, damage_cells])(path, chance)
        return path, chance.choice(run_commands(str(path), out))
    if kind == "recordings":
        path = here / chance.choice(RECORDINGS)
        shutil.copy(pristine / path.name, path)
        by_value = path.suffix != ".parquet" and chance.random() < 0.7
        (damage_lines if by_value else damage_bytes)(path, chance)
        return path, chance.choice(recording_commands(str(path), out))
    path = here / "checkpoint"
    shutil.copytree(pristine / "checkpoint", path)
    damage_checkpoint(path, chance)
    return path, chance.choice(checkpoint_commands(str(path), out))


# -- what must hold --------------------------------------------------------------------------------------------------


class TooLong(BaseException):
    """The command was still running when its time was up."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def judged(command: list[str], seconds: float) -> tuple[int | None, str]:
    """The command's exit code (None: it did not end), and what is wrong with how it ended."""
    try:
        with within(seconds):
            result = CliRunner().invoke(app, command)
    except TooLong:
        return None, f"still at work after {seconds:g} s"
    error = result.exception
    if isinstance(error, TooLong):
        return None, f"still at work after {seconds:g} s"
    if error is not None and not isinstance(error, SystemExit):
        return result.exit_code, f"{type(error).__name__}: {str(error)[:200]}"
    said = result.stderr.strip()
    if result.exit_code and (len(said) > 4000 or not said or "Traceback" in said):
        return result.exit_code, f"no sentence: {said[:200]!r}"
    return result.exit_code, ""


def content(path: Path) -> dict[str, bytes]:
    """The bytes of a file, or of all files of a folder."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return {file.name: file.read_bytes() for file in files}


def cases(
    kinds: Sequence[str], numbers: Sequence[int], seed: int, seconds: float, progress: Callable[[str], None] = print
) -> tuple[Counter[str], list[Finding]]:
    """Try the cases with these numbers; how they ended, and what was found."""
    ends: Counter[str] = Counter()
    findings: list[Finding] = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        pristine, here = Path(name) / "pristine", Path(name) / "here"
        pristine.mkdir()
        made(pristine)
        for count, case in enumerate(numbers, 1):
            chance = random.Random(f"{seed} {case}")
            kind = kinds[case % len(kinds)]
            shutil.rmtree(here, ignore_errors=True)
            here.mkdir()
            path, command = altered(kind, pristine, here, chance)
            before = content(path)
            code, wrong = judged(command, seconds)
            ends[f"{kind}: exit {code}"] += 1
            if not wrong and code and content(path) != before:
                wrong = "the file has changed"
            if wrong:
                findings.append(Finding(case, kind, command, wrong))
                progress(f"case {case} ({kind}) {' '.join(command).replace(name, '')}: {wrong}")
            if count % 500 == 0:
                progress(f"{count} cases, {len(findings)} findings, {time.monotonic() - began:.0f} s")
    return ends, findings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--only", type=int, default=None, help="one case, by its number")
    parser.add_argument("--kinds", default="runs,recordings,checkpoints")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=60.0, help="seconds that a command may take")
    arguments = parser.parse_args()
    os.environ.pop("WIDTHWISE_DEBUG", None)
    numbers = range(arguments.cases) if arguments.only is None else [arguments.only]
    ends, findings = cases(arguments.kinds.split(","), numbers, arguments.seed, arguments.seconds)
    print(json.dumps({"cases": len(numbers), "ends": dict(sorted(ends.items())), "findings": len(findings)}))
    sys.exit(bool(findings))


if __name__ == "__main__":
    main()
