"""Whole programs as people write them: a notebook, an ``asyncio`` script, a script with threads."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

MISSING = [name for name in ("nbclient", "nbformat", "ipykernel") if find_spec(name) is None]
SOURCES = str(Path(__file__).parents[1] / "src")
pytestmark = pytest.mark.slow

SHARED = """
import widthwise as ww

QUESTION = "Compute (17 + 5) * 3 - 48."
STRATEGY = "best_of_n(n=4) | majority_vote()"
ROWS = [{"question": QUESTION, "answer": 18}, {"question": "Compute 6 * 7.", "answer": 41}]
CONVERSATION = [
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hi"},
    {"role": "user", "content": QUESTION},
]


async def doubling(session):
    traces = await session.sample(session.root, 4)
    return ww.elect(await session.classes(traces))


def half(problem, text):
    return 0.5 if problem.answer in text else False


async def parrot(messages, params):
    return "It is \\\\boxed{18}."


def short(problem, text):
    return 1 / (1 + len(text))
"""

CELLS = [
    SHARED,
    """
with ww.open("reasoner") as model:
    result = ww.solve(QUESTION, STRATEGY, model)
    assert result.answer == result.best.answer == result.classes[0].answer == "18"
    assert ww.solve(QUESTION, doubling, model).answer == "18"
    asked = ww.solve(CONVERSATION, "single()", model, system="Be brief.", instruction="Say it.", max_tokens=1)
    assert all(text in asked.traces[0].path[0].text for text in ("Be brief.", "Hello", "Hi", "Say it."))
    run = ww.evaluate(STRATEGY, ROWS, model=model, grader=half)
    swept = ww.sweep([STRATEGY], [ROWS], [1, 2], model=model, grader=half)
assert run.accuracy in (0, 0.25, 0.5) and run.failures == () and swept.failures == 0
assert ww.Run.read(run.path).accuracy == run.accuracy
assert [trace.answer for trace in run.traces(run.outcomes[0].problem)]
""",
    """
assert ww.curve(run, replicates=10).lines and len(ww.compare(run, run)) == 2
""",
    """
assert ww.solve(QUESTION, STRATEGY, parrot, reward_model=short).answer == "18"
assert ww.evaluate("best_of_n(n=2) | best_by('reward_model')", ROWS, model=parrot, reward_model=short).accuracy == 0.5
""",
    """
async with ww.open("reasoner") as model:
    result = await ww.solve_async(QUESTION, STRATEGY, model)
    run = await ww.evaluate_async(STRATEGY, ROWS, model=model)
    swept = await ww.sweep_async([STRATEGY], [ROWS], [1, 2], model=model)
assert result.answer == "18" and run.failures == () and swept.failures == 0
assert (await ww.curve_async(run, replicates=10)).lines and len(await ww.compare_async(run, run)) == 2
assert (await ww.solve_async(QUESTION, STRATEGY, parrot)).answer == "18"
""",
    """
from concurrent.futures import ThreadPoolExecutor

with ww.open("reasoner") as model, ThreadPoolExecutor(2) as threads:
    done = list(threads.map(lambda seed: ww.evaluate(STRATEGY, ROWS, model=model, seed=seed), (1, 2)))
assert [run.failures for run in done] == [(), ()]
""",
    """
try:
    ww.solve(QUESTION, ww.BestOfN("four"))
except ww.UsageError as error:
    assert "n must be a whole number" in str(error)
print("all of it")
""",
]


@pytest.mark.skipif(bool(MISSING), reason=f"{', '.join(MISSING)} not installed (extra docs)")
def test_a_notebook_does_everything(tmp_path: Path) -> None:
    import nbformat
    from nbclient import NotebookClient

    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", SOURCES, prepend=os.pathsep)
        NotebookClient(book, timeout=600, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    assert book.cells[-1].outputs[0].text == "all of it\n"


def _run(program: str, folder: Path) -> str:
    (folder / "program.py").write_text(program)
    environment = {**os.environ, "PYTHONPATH": SOURCES}
    command = [sys.executable, "-W", "error::RuntimeWarning", "program.py"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _inside(head: str, cells: list[str]) -> str:
    return "\n".join([head, *(f"    {line}" for line in "\n".join(cells).splitlines()), ""])


def test_an_asyncio_script_does_everything(tmp_path: Path) -> None:
    program = SHARED + _inside("async def main():", CELLS[1:]) + "import asyncio\nasyncio.run(main())\n"
    assert _run(program, tmp_path) == "all of it\n"


def test_a_plain_script_and_its_threads_do_everything(tmp_path: Path) -> None:
    plain = [cell for cell in CELLS[1:] if "await" not in cell]
    begun = "from threading import Thread\nthread = Thread(target=work)\nthread.start()\nthread.join()\n"
    threaded = _inside("def work():", plain) + begun
    assert _run(SHARED + "\n".join(plain), tmp_path) == "all of it\n"
    assert _run(SHARED + threaded, tmp_path) == "all of it\n"
