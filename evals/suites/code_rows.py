"""Code tasks from rows: the layouts of HumanEval+ and MBPP+ on the hub.

HumanEval+ shows the head of a function with its docstring. MBPP+ describes what is wanted; only the assertions of the
original MBPP (``test_list``) tell which name its tests call, so these are shown, as in MBPP's own prompt.
"""

from __future__ import annotations

import ast
import json
from typing import Any

from widthwise.core.problem import Problem
from widthwise.evals.grading.unit_tests import CodeTask, facts
from widthwise.evals.suites.columns import Row
from widthwise.evals.suites.rows import identity

WRITE_CODE = "Write the whole function, with the imports that it needs, in one fenced block of Python code (```python)."
"""The instruction of code suites."""


def code_problem(row: Row, default_id: str, prefix: str) -> Problem:
    """A function to be written; raises ValueError, saying what is missing or wrong."""
    task = _humaneval(row) if row.get("entry_point") is not None else _mbpp(row)
    return Problem(identity(row, default_id, prefix), _asked(row, task), task.reference or None, facts(task))


def _asked(row: Row, task: CodeTask) -> str:
    if task.starter:
        return f"Complete this function:\n\n```python\n{task.starter.strip()}\n```"
    tests = "\n".join([*task.imports, *task.examples])
    return f"{_text(row, 'prompt', 'text').strip()}\n\nThe function must pass these tests:\n\n```python\n{tests}\n```"


def _humaneval(row: Row) -> CodeTask:
    entry, starter = _text(row, "entry_point"), _text(row, "prompt")
    if not entry.isidentifier() or f"def {entry}(" not in starter:
        raise ValueError(f"the column 'prompt' must hold the head of the function {entry[:80]!r}, its 'entry_point'")
    solution = row.get("canonical_solution")
    reference = f"{starter}{solution}" if isinstance(solution, str) and solution.strip() else ""
    return CodeTask(entry, _text(row, "test"), starter, reference=reference)


def _mbpp(row: Row) -> CodeTask:
    if "test_list" not in row:
        raise ValueError("this is not a code task: it has neither the column 'entry_point' nor 'test_list'")
    code, examples = _text(row, "code"), _texts(row, "test_list")
    if not examples:
        raise ValueError("the column 'test_list' is empty: it says which function is wanted")
    test = row.get("test")
    whole = test if isinstance(test, str) and test.strip() else "\n".join(examples)
    return CodeTask(_called(examples, code), whole, "", examples, _texts(row, "test_imports"), code)


def _called(examples: tuple[str, ...], code: str) -> str:
    """The function of ``code`` that the assertions call."""
    try:
        defined = [node.name for node in ast.parse(code).body if isinstance(node, ast.FunctionDef)]
        calls = {node.func.id for node in ast.walk(ast.parse("\n".join(examples)))
                 if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}  # fmt: skip
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"'code' and 'test_list' must be Python that can be read: {str(error)[:100]}") from None
    found = [name for name in defined if name in calls]
    if not found:
        raise ValueError("the assertions in 'test_list' call no function that 'code' defines")
    return found[-1]


def _text(row: Row, *names: str) -> str:
    value = next((row[name] for name in names if row.get(name) is not None), None)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"the column {names[0]!r} is missing or empty")
    return value


def _texts(row: Row, name: str) -> tuple[str, ...]:
    """A list of texts; a CSV file holds it as a JSON list."""
    value: Any = row.get(name) or []
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = None
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise ValueError(f"the column {name!r} must hold a list of texts")
    return tuple(value)
