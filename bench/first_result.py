"""How long a new user waits: `pip install` into a fresh environment, then `widthwise eval arithmetic`.

    python bench/first_result.py [--source FOLDER_OR_WHEEL]

Prints the seconds of both, and when the command first said how long it would take. Downloads count, and pip's cache is
used as it is.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default=str(Path(__file__).parents[1]))
    source = parser.parse_args().source
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", "--", f"{folder}/env"], check=True)
        begun = time.monotonic()
        subprocess.run([f"{folder}/env/bin/pip", "install", "-q", source], check=True)
        print(f"pip install: {time.monotonic() - begun:.0f} s", flush=True)
        first_result(folder, begun)


def first_result(folder: str, installing: float) -> None:
    """Run the first command, and print when it said how long it would take and when its result was there."""
    begun = time.monotonic()
    command = [f"{folder}/env/bin/widthwise", "eval", "arithmetic"]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stderr is not None
        assert run.stdout is not None
        estimate = run.stderr.readline().strip()
        print(f"after {time.monotonic() - begun:.0f} s it says: {estimate or 'nothing'}", flush=True)
        run.stderr.read()
        result = next((line for line in run.stdout if line.startswith("accuracy")), "no result")
    print(f"after {time.monotonic() - begun:.0f} s: {result.strip()}")
    print(f"from the start of pip install: {time.monotonic() - installing:.0f} s")


if __name__ == "__main__":
    main()
