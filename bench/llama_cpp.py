"""The bundled reasoner on llama.cpp's server and embedded: do both give the same text and the same accuracy?

* ``same``: how many greedy answers to ``--problems`` arithmetic problems are the same text;
* ``embedded`` and ``llama_cpp``: percent of single samples that are right, four for each of ``--sampled`` problems at
  temperature 1;
* ``resumed``: how many of the samples stored when a run was killed are unchanged in the end.

Exit status 1 below 95 % equal texts, above 4 points of difference, or if a stored sample was lost or sampled again.

    python bench/llama_cpp.py [--problems 100] [--sampled 200] [--json]

The model is turned into a GGUF file and served by `scripts/llama_server.py`; the run is an ordinary `widthwise eval
arithmetic --model http://127.0.0.1:PORT`. Needs pip install '.[dev]'.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from conclusion import status

SCRIPTS = Path(__file__).parents[1] / "scripts"
VOTE = ("--strategy", "best_of_n(n=4) | majority_vote()")
GREEDY = ("--strategy", "best_of_n(n=1) | majority_vote()", "--temperature", "0")
GOAL_SAME, GOAL_POINTS = 0.95, 4.0
Key = tuple[str, str]


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a llama.cpp server with the bundled reasoner."""
    file = folder / "reasoner.gguf"
    subprocess.run([sys.executable, SCRIPTS / "reasoner_gguf.py", file], check=True, stdout=subprocess.DEVNULL)
    command = [sys.executable, SCRIPTS / "llama_server.py", file]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def command(model: str, file: Path, limit: int, options: Sequence[str]) -> list[str]:
    words = ["eval", "arithmetic", "--model", model, "--limit", str(limit), "--run", str(file), "--json", *options]
    return [sys.executable, "-m", "widthwise", *words]


def ran(*wanted: Any) -> dict[str, Any]:
    """The summary of a run."""
    done = subprocess.run(command(*wanted), check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return dict(json.loads(done.stdout))


def texts(file: Path) -> dict[Key, str]:
    """What was sampled, by problem and trace; nothing if the file is not there yet."""
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as db:
            rows = db.execute("SELECT problem, trace, text FROM segments WHERE origin = 'sampled'").fetchall()
    except sqlite3.Error:
        return {}
    return {(problem, trace): text.removesuffix("</s>") for problem, trace, text in rows}


def killed(wanted: Sequence[Any], samples: int) -> dict[Key, str]:
    """What is stored of a run that was killed after so many samples."""
    process = subprocess.Popen(command(*wanted), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and len(texts(wanted[1])) < samples:
        time.sleep(0.05)
    process.kill()
    process.wait()
    return texts(wanted[1])


def measure(url: str, folder: Path, problems: int, sampled: int) -> dict[str, Any]:
    greedy = {name: folder / f"greedy-{name}.db" for name in ("reasoner", "server")}
    ran("reasoner", greedy["reasoner"], problems, GREEDY)
    ran(url, greedy["server"], problems, GREEDY)
    ours, theirs = texts(greedy["reasoner"]), texts(greedy["server"])
    same = sum(theirs.get(key) == text for key, text in ours.items())
    embedded = 100 * ran("reasoner", folder / "embedded.db", sampled, VOTE)["mean_accuracy"]
    run = (url, folder / "killed.db", sampled, VOTE)
    before = killed(run, 2 * sampled)
    llama = 100 * ran(*run)["mean_accuracy"]
    kept = before.items() & texts(run[1]).items()
    return {
        "same": same,
        "problems": problems,
        "embedded": round(embedded, 2),
        "llama_cpp": round(llama, 2),
        "resumed": f"{len(kept)} of {len(before)}",
        "reached": same >= GOAL_SAME * problems and abs(embedded - llama) <= GOAL_POINTS and len(kept) == len(before),
    }


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=100)
    parser.add_argument("--sampled", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as name, served(Path(name)) as url:
        return status(measure(url, Path(name), arguments.problems, arguments.sampled), arguments.json)


if __name__ == "__main__":
    sys.exit(main())
