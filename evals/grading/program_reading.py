"""Reading the program that a text answers with: the last fenced block that defines what is asked for, or bare code."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator

MAX_PROGRAM_CHARS = 20_000
"""A longer program is not an answer."""

_FENCE = re.compile(r"\s*(`{3,}|~{3,})\s*([\w+#.-]*)[^`~]*$")
_CODE_LINE = re.compile(
    r"\s|$|[#@)\]}]|(?:def|class|import|from|if|for|while|try|except|else|elif|finally|with|async|return)\b"
    r"|[A-Za-z_]\w*\s*(?:=|[-+*/]=|:\s*\w+\s*=|\()"
)
_BEGINNING = re.compile(r"(?:def|class|import|from|async)\s|@\w")
_MAX_BLOCKS = 64


def program_in(text: str, entry: str | None = None, starter: str = "") -> str | None:
    """The program that ``text`` states: one that defines ``entry``, or that continues ``starter`` (a function's head).

    Without ``entry`` it is the last fenced block. None if there is none.
    """
    fenced = list(blocks(text))[-_MAX_BLOCKS:]
    if entry is None:
        return _kept(fenced[-1]) if fenced else None
    for candidates in (fenced, [code_lines(text)]):
        defining = [block for block in candidates if defines(block, entry)]
        whole = [block for block in defining if tree_of(block) is not None]
        if defining:
            return _kept((whole or defining)[-1])
    for body in (*reversed(fenced), *([] if fenced else [_until_prose(text)])):
        if starter and body.strip() and (goes_on := _continued(starter, body, entry)):
            return _kept(goes_on)
    return None


def blocks(text: str) -> Iterator[str]:
    """The fenced blocks of a text, without their indentation; the last may lack its end."""
    mark: str | None = None
    lines: list[str] = []
    for line in text.splitlines():
        fence = _FENCE.match(line)
        if mark is None:
            mark, lines = (fence[1] if fence else None), []
        elif fence and fence[1].startswith(mark) and not fence[2]:
            yield textwrap.dedent("\n".join(lines))
            mark = None
        else:
            lines.append(line)
    if mark is not None and lines:
        yield textwrap.dedent("\n".join(lines))


def defines(program: str, name: str) -> bool:
    """Whether ``program`` defines the function, class or name at its top level, judging by its lines."""
    named = re.escape(name)
    pattern = rf"(?m)^(?:(?:async\s+)?def\s+{named}\s*\(|class\s+{named}\b|{named}\s*=)"
    return re.search(pattern, program) is not None


def code_lines(text: str) -> str:
    """Bare code in a text: from the first line that begins a program to the last that may belong to it."""
    lines = text.splitlines()
    first = next((i for i, line in enumerate(lines) if _BEGINNING.match(line)), len(lines))
    last = next((i for i in range(first, len(lines)) if not _CODE_LINE.match(lines[i])), len(lines))
    return "\n".join(lines[first:last])


def _until_prose(text: str) -> str:
    """The indented lines that a text begins with."""
    lines = text.strip("\n").splitlines()
    last = next((i for i, line in enumerate(lines) if line and not line[0].isspace()), len(lines))
    return "\n".join(lines[:last])


def _continued(starter: str, body: str, entry: str) -> str | None:
    """The head of a function with its body; the whole body, or its first line, may lack its indentation."""
    for indented in (textwrap.indent(textwrap.dedent(body), "    "), f"    {body.lstrip()}"):
        program = f"{starter.rstrip()}\n{indented}"
        if tree_of(program) is not None and defines(program, entry):
            return program
    return None


def tree_of(program: str) -> ast.Module | None:
    """The syntax tree of a program; None if it cannot be parsed."""
    if len(program) > MAX_PROGRAM_CHARS:
        return None
    try:
        return ast.parse(program)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def normal_form(program: str) -> str:
    """A form that is the same for programs that differ only in layout, comments and docstrings."""
    tree = tree_of(program)
    if tree is None:
        return " ".join(program.split())
    try:
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
                node.body = [line for line in node.body if not _is_remark(line)] or [ast.Pass()]
        return ast.unparse(tree)
    except RecursionError:
        return " ".join(program.split())


def _is_remark(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _kept(program: str) -> str | None:
    program = program.strip("\n").rstrip()
    return program if 0 < len(program) <= MAX_PROGRAM_CHARS else None
