"""The program around a program that a model wrote: it checks it, locks the process down, and runs it.

Run by :mod:`widthwise.core.sandbox.sandbox` as a script, with nothing but the standard library. The request, a JSON
object, is read from stdin; the reply, another, goes to stdout. There are three walls: an allow-list of syntax, names
and modules, checked before anything runs; an audit hook; and the system's own limits on processor time, memory,
processes and files with the kernel's filter of system calls. If one of them cannot be built, nothing is run.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import ctypes
import errno
import heapq  # noqa: F401 - Counter.most_common imports it, when no file can be read any more
import importlib
import json
import math
import os
import platform
import random
import signal
import struct
import sys
from collections.abc import Callable
from types import CodeType, SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

if TYPE_CHECKING or __package__:
    from widthwise.core.sandbox.examination import tested
    from widthwise.core.sandbox.language import (
        ALLOWED,
        FORMAT,
        MODULES,
        Refusal,
        Rewriting,
        as_written,
        checked,
        formatted,
        kind,
        own_name,
        plain,
    )
else:  # a script with only the standard library finds its neighbour by its folder
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    from examination import tested
    from language import (
        ALLOWED,
        FORMAT,
        MODULES,
        Refusal,
        Rewriting,
        as_written,
        checked,
        formatted,
        kind,
        own_name,
        plain,
    )

    del sys.path[0]

_Made: TypeAlias = tuple[CodeType, dict[str, Any]]

NO_WALL = "nothing is run here: "
"""How a refusal begins that is due to the machine, whatever the program."""

_LETHAL_EVENTS = ("open", "socket.", "subprocess.", "os.", "ctypes.", "import", "shutil.", "signal.", "pty.", "mmap.")

_SYSTEM_CALLS = {
    # read write mmap mprotect munmap brk rt_sigaction rt_sigprocmask rt_sigreturn mremap madvise sched_yield exit futex
    # exit_group clock_gettime getrandom
    "x86_64": (0xC000003E, (0, 1, 9, 10, 11, 12, 13, 14, 15, 25, 28, 24, 60, 202, 231, 228, 318)),
    "aarch64": (0xC00000B7, (63, 64, 222, 226, 215, 214, 134, 135, 139, 216, 233, 124, 93, 98, 94, 113, 278)),
}


class NoWall(Refusal):
    """A wall cannot be built on this machine."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{NO_WALL}{what}")


def main() -> None:
    """Run the request of stdin and reply on stdout."""
    request = json.loads(sys.stdin.buffer.read())
    tests = request.get("tests")
    prints = _Prints(request["output_chars"])
    try:
        restrain(request["cpu_seconds"], request["memory_bytes"])
        program, names = _made(request["program"], prints if tests is None else _Unheard(0))
        examination, own = _with_long_numbers(lambda: _made(tests or "", prints))
        lock_down()
        exec(program, names)
        exec(examination, own | tested(names, list(map(own_name, request.get("tested", [])))))
        _reply(prints.text)
    except BaseException as error:
        _reply(prints.text, _sentence(error))


def _made(program: str, prints: _Prints) -> _Made:
    """The program, ready to run, and its own copy of the names that it begins with."""
    tree = Rewriting().visit(checked(program))
    names = _names(tree, prints)
    return compile(tree, "<program>", "exec"), names


def _with_long_numbers(make: Callable[[], _Made]) -> _Made:
    """What ``make`` makes while numbers may have any number of digits: tests hold the results of programs."""
    digits = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        return make()
    finally:
        sys.set_int_max_str_digits(digits)


def _reply(output: str, refusal: str | None = None) -> NoReturn:
    """Send the reply and end the process at once, so that nothing a program left running gets a chance."""
    with contextlib.suppress(BaseException):
        os.write(1, json.dumps({"output": output, "refusal": refusal}).encode())
    os._exit(0)


def _sentence(error: BaseException) -> str:
    """What went wrong, in few words whatever the error says."""
    if isinstance(error, Refusal):
        return plain(str(error))[:200]
    if isinstance(error, MemoryError):
        return "it ran out of memory"
    try:
        return as_written(f"it raised {type(error).__name__[:100]}: {plain(str(error))[:200]}")
    except BaseException:
        return f"it raised {type(error).__name__[:100]}"


# -- what it finds when it runs ------------------------------------------------------------------------------------


class _Prints:
    """What a program printed, up to a limit."""

    def __init__(self, limit: int) -> None:
        self._parts: list[str] = []
        self._room = limit

    def print(self, *values: object, sep: str | None = " ", end: str | None = "\n", **_: object) -> None:
        """Replaces ``print``."""
        between, last = " " if sep is None else plain(sep), "\n" if end is None else plain(end)
        for i, value in enumerate(values):
            self._take((between if i else "") + plain(str(value)))
        self._take(last)

    def _take(self, text: str) -> None:
        self._parts.append(text[: self._room])
        self._room -= len(text)
        if self._room < 0:
            _reply(self.text, "it printed too much")

    @property
    def text(self) -> str:
        return "".join(self._parts)


class _Unheard(_Prints):
    """What a program prints while it is tested: it is not read, however much it is."""

    def _take(self, text: str) -> None: ...


def _names(tree: ast.Module, prints: _Prints) -> dict[str, Any]:
    """The names that a program begins with; the modules it imports are loaded now, while there still are files."""
    wanted = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    wanted |= {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module}
    modules: dict[str, Any] = {name: _excerpt(name) for name in wanted}
    if "typing" in wanted:  # a reference by its text, which a program may receive, must not be evaluated
        importlib.import_module("typing").ForwardRef.evaluate = None
    if "datetime" in wanted:  # its methods import these through our own `__import__`; a program cannot ask for them
        modules |= {name: importlib.import_module(name) for name in ("_strptime", "time")}
    random.seed(0)

    def load(name: str, *_: object) -> Any:
        return modules[name]

    allowed = {name: getattr(builtins, name) for name in ALLOWED}
    allowed |= {"print": prints.print, "__import__": load, "__build_class__": builtins.__build_class__, "type": kind}
    allowed[FORMAT] = formatted
    return {"__builtins__": allowed, "__name__": "__main__"}


def _excerpt(name: str) -> SimpleNamespace:
    """A module's allowed names, and nothing of the module itself."""
    module = importlib.import_module(name)
    names = MODULES[name].split()
    return SimpleNamespace(__all__=names, **{member: getattr(module, member) for member in names})


# -- the other walls -----------------------------------------------------------------------------------------------


def restrain(cpu_seconds: float, memory_bytes: int) -> None:
    """Limit processor time and memory, including those of reading the program."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
    _limit(CPU=math.ceil(cpu_seconds) + 1, AS=memory_bytes, DATA=memory_bytes, CORE=0)


def lock_down() -> None:
    """Give up everything that computing does not need, for good; raises ``NoWall`` if that is impossible."""
    _limit(NPROC=0, FSIZE=0, NOFILE=0)
    try:
        _cut_off(ctypes.CDLL(None, use_errno=True))
    except (OSError, AttributeError):
        raise NoWall("this system has no filter of system calls") from None
    sys.addaudithook(_audit)


def _audit(event: str, _: object) -> None:
    """End the process when it does what only an escaped program would."""
    if event.startswith(_LETHAL_EVENTS):
        _reply("", f"it tried what is not allowed ({event})")


def _limit(**limits: int) -> None:
    """Set the system's limits on what a process may take, by their names."""
    try:
        import resource

        for name, most in limits.items():
            kind = getattr(resource, f"RLIMIT_{name}")
            hard = resource.getrlimit(kind)[1]
            most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(kind, (most, most))
    except (ImportError, ValueError, OSError, AttributeError):
        raise NoWall("this system does not limit what a process may take") from None


def _cut_off(libc: Any) -> None:
    """No network, no other processes in reach, no life beyond the parent's, and only harmless system calls (Linux)."""
    die_with_parent, no_new_privileges, set_seccomp, filtering = 1, 38, 22, 2
    new_user, new_network, new_ipc = 0x10000000, 0x40000000, 0x08000000
    libc.unshare(new_user | new_network | new_ipc)  # if permitted; the filter refuses the same and more
    rules = _filter()
    if sys.platform != "linux" or rules is None:
        raise NoWall("the filter of system calls is written for Linux on x86-64 and arm64")
    buffer = ctypes.create_string_buffer(rules, len(rules))
    program = struct.pack("HxxxxxxP", len(rules) // 8, ctypes.addressof(buffer))
    asked = (
        (die_with_parent, signal.SIGKILL, 0, 0, 0),
        (no_new_privileges, 1, 0, 0, 0),
        (set_seccomp, filtering, ctypes.create_string_buffer(program, len(program)), 0, 0),
    )
    for request in asked:
        if libc.prctl(*request) != 0:
            raise NoWall("the kernel, or the container, does not let system calls be filtered")


def _filter() -> bytes | None:
    """The kernel's filter of system calls: those of computing pass, all others are refused; None if unknown here."""
    if platform.machine() not in _SYSTEM_CALLS:
        return None
    architecture, numbers = _SYSTEM_CALLS[platform.machine()]
    load, equal, answer = 0x20, 0x15, 0x06
    kill, refuse, allow = 0x80000000, 0x00050000 | errno.EPERM, 0x7FFF0000
    rules = [(load, 0, 0, 4), (equal, 1, 0, architecture), (answer, 0, 0, kill), (load, 0, 0, 0)]
    rules += [(equal, len(numbers) - i, 0, number) for i, number in enumerate(numbers)]
    rules += [(answer, 0, 0, refuse), (answer, 0, 0, allow)]
    return b"".join(struct.pack("HBBI", *rule) for rule in rules)


if __name__ == "__main__":
    main()
