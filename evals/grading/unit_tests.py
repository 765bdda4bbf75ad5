"""What a code task is tested by: its unit tests, and the examples in its prompt."""

from __future__ import annotations

import ast
import doctest
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from widthwise.core.errors import UsageError
from widthwise.core.problem import Problem
from widthwise.core.sandbox.sandbox import Tests
from widthwise.evals.grading import numpy_stand_in

_IMPORT = re.compile(r"(?m)^([ \t]*)import[ \t]+numpy(?:[ \t]+as[ \t]+(\w+))?[ \t]*$")
_FROM = re.compile(r"(?m)^[ \t]*(?:from[ \t]+numpy\b.*|import[ \t]+.*\bnumpy\..*)$")
_KNOWN = ("ndarray", "float64", "float32", "allclose", "testing")
_CHECK = re.compile(r"(?m)^def check\(")
_MAX_EXAMPLES = 20
_MAX_CALL_CHARS, _MAX_BRACKETS = 2_000, 40
_SHOWN = """
def shown(value):
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")) or value != int(value):
            return "%.9g" % value
        return hex(int(value))
    if isinstance(value, int):
        return hex(value)
    if isinstance(value, (list, tuple)):
        inside = ", ".join([shown(item) for item in value])
        return "[" + inside + "]" if isinstance(value, list) else "(" + inside + ")"
    if isinstance(value, (set, frozenset)):
        return "{" + ", ".join(sorted([shown(item) for item in value])) + "}"
    if isinstance(value, dict):
        return "{" + ", ".join(sorted([shown(key) + ": " + shown(item) for key, item in value.items()])) + "}"
    if value is None or isinstance(value, (str, bytes, complex)):
        return repr(value)
    return "an object"
for call in calls:
    try:
        print(shown(call()))
    except Exception:
        print("an error")
"""
"""Prints what calls return, so that equal values look equal: sets and dictionaries in one order, 1.0 and True as 1."""


class NotRunnable(Exception):
    """The tests of a problem cannot be run here, whatever the program."""


@dataclass(frozen=True, slots=True)
class CodeTask:
    """A problem whose answer is a program.

    ``entry`` is the name that the program must define. ``starter`` is the head of the function, if the prompt shows
    one; anything before it there (imports, helpers) is put before every program. ``test`` are the unit tests,
    ``examples`` the assertions in the prompt, ``reference`` a program that passes.
    """

    entry: str
    test: str
    starter: str = ""
    examples: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    reference: str = ""

    @classmethod
    def of(cls, problem: Problem) -> CodeTask:
        """Raises UsageError for a problem that is not a code task."""
        said = problem.metadata
        if not is_code(problem) or not isinstance(said["test"], str):
            raise UsageError(f"problem {problem.id} is not a code task: it needs `entry_point` and `test`")
        examples, imports = (tuple(map(str, said.get(name) or ())) for name in ("test_list", "test_imports"))
        starter, reference = str(said.get("starter", "")), problem.answer or ""
        return cls(str(said["entry_point"]), said["test"], starter, examples, imports, reference)

    @property
    def preamble(self) -> str:
        """The imports and helpers in the prompt before the function."""
        head, found, _ = self.starter.rpartition(f"def {self.entry}(")
        return head if found else ""

    def whole(self, program: str) -> str:
        """``program`` after the preamble."""
        return f"{self.preamble.rstrip()}\n{program}" if self.preamble.strip() else program

    @property
    def unit_tests(self) -> Tests:
        """Raises ``NotRunnable`` for tests that need what the sandbox does not have."""
        lines = [self.preamble.rstrip(), *self.imports]
        if not _CHECK.search(self.test):
            return self._tests(*lines, f"candidate = {self.entry}", self.test)
        called = re.search(rf"(?m)^check\({re.escape(self.entry)}\)", self.test)
        return self._tests(*lines, self.test, "" if called else f"check({self.entry})")

    @property
    def shown_tests(self) -> Tests:
        """The tests of a program without the unit tests: the examples of its prompt."""
        return self._tests(self.preamble.rstrip(), *self.imports, *self.examples, *_promised(self.starter, self.entry))

    @property
    def behaviour_tests(self) -> Tests | None:
        """Prints what a program's function returns for the calls in the prompt; None if it shows none."""
        calls = [*filter(None, map(_compared, self.examples)), *_calls(self.starter, self.entry)][:_MAX_EXAMPLES]
        if not calls:
            return None
        listed = ", ".join(f"lambda: ({call})" for call in dict.fromkeys(calls))
        return self._tests(self.preamble.rstrip(), *self.imports, f"calls = [{listed}]", _SHOWN)

    def _tests(self, *parts: str) -> Tests:
        text, stands_in = _without_numpy("\n".join(filter(None, parts)))
        classes = re.findall(r"(?m)^class\s+(\w+)", self.reference)
        needed = [name for name in classes if re.search(rf"\b{name}\b", text)]
        return Tests(f"{_stand_in()}\n{text}" if stands_in else text, (self.entry, *needed))

    @property
    def numpy_stands_in(self) -> bool:
        """Whether the unit tests compare numbers with numpy."""
        return _IMPORT.search(self.test) is not None


def is_code(problem: Problem) -> bool:
    """Whether a problem says which program it wants, and how it is tested."""
    return "entry_point" in problem.metadata and "test" in problem.metadata


def _without_numpy(text: str) -> tuple[str, bool]:
    """The tests with our own comparison in place of numpy's, and whether they use numpy at all."""
    if other := _FROM.search(text):
        raise NotRunnable(f"its tests contain the line {other[0].strip()[:80]!r}")
    names = {match[2] or "numpy" for match in _IMPORT.finditer(text)}
    for name in names:
        unknown = set(re.findall(rf"\b{name}\.(\w+)", text)).difference(_KNOWN)
        if unknown:
            raise NotRunnable(f"its tests use numpy's {', '.join(sorted(unknown))[:80]}")
    return _IMPORT.sub(lambda m: f"{m[1]}{m[2] or 'numpy'} = numpy_stand_in", text), bool(names)


@cache
def _stand_in() -> str:
    return Path(numpy_stand_in.__file__).read_text(encoding="utf-8") + "\nnumpy_stand_in = numpy\n"


def _compared(assertion: str) -> str | None:
    """What an assertion evaluates: its left side if it is a comparison; None for a line that is not an assertion."""
    node = _statement(assertion)
    if not isinstance(node, ast.Assert):
        return None
    test = node.test
    return ast.unparse(test.left if isinstance(test, ast.Compare) and len(test.ops) == 1 else test)


def _calls(starter: str, entry: str) -> Iterator[str]:
    """The calls of ``entry`` with plain values in a docstring, whatever it writes around them."""
    body = starter.rpartition(f"def {entry}(")[2]
    for match in islice(re.finditer(rf"(?<!\w){re.escape(entry)}\(", body), _MAX_EXAMPLES):
        if call := _call_at(body, match.start()):
            yield call


def _call_at(text: str, start: int) -> str | None:
    window = text[start : start + _MAX_CALL_CHARS]
    for end in islice(re.finditer(r"\)", window), _MAX_BRACKETS):
        node = _statement(window[: end.end()])
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            plain = all(map(_is_plain, [*node.value.args, *(word.value for word in node.value.keywords)]))
            return ast.unparse(node.value) if plain and (node.value.args or node.value.keywords) else None
    return None


def _promised(starter: str, entry: str) -> Iterator[str]:
    """The examples of a docstring, in the form of an interpreter session, as assertions."""
    try:
        examples = doctest.DocTestParser().get_examples(starter)
    except ValueError:  # a prompt that only looks like a session
        return
    for example in examples:
        call, want = _statement(example.source), _statement(example.want)
        if (
            isinstance(call, ast.Expr)
            and isinstance(want, ast.Expr)
            and _is_plain(want.value)
            and entry in example.source
        ):
            yield f"assert ({ast.unparse(call.value)}) == ({ast.unparse(want.value)})"


def _statement(text: str) -> ast.stmt | None:
    """The single statement that ``text`` consists of; None for other text."""
    try:
        body = ast.parse(text.strip()).body if len(text) <= _MAX_CALL_CHARS else []
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return body[0] if len(body) == 1 else None


def _is_plain(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return False
    return True


def facts(task: CodeTask) -> dict[str, Any]:
    """The task as a problem's metadata."""
    said = {"entry_point": task.entry, "test": task.test, "starter": task.starter}
    return {**said, "test_list": list(task.examples), "test_imports": list(task.imports)}
