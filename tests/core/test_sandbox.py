"""Programs from models: they compute and print, and everything else they try is refused within limits."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import cast

import pytest

from widthwise.aggregators.program_check import ProgramCheck
from widthwise.core.errors import UsageError
from widthwise.core.sandbox import confinement, examination, language, sandbox
from widthwise.core.sandbox.sandbox import Execution, Limits, execute
from widthwise.core.session.conditions import Conditions

LIMITS = Limits(cpu_seconds=1.0, wall_seconds=60.0, memory_bytes=256 << 20, output_chars=2_000)

HONEST = {
    "print(6 * 7)": "42\n",
    "print(type(3) is int, type([]) == type([1]), type('')(5))": "True True 5\n",
    "import copy\nx = [[1]]\ny = copy.deepcopy(x)\ny[0].append(2)\nprint(x, copy.copy(y))": "[[1]] [[1, 2]]\n",
    "import hashlib\nprint(hashlib.md5('a'.encode()).hexdigest()[:8])": "0cc175b9\n",
    "import random\nprint(0 <= random.Random(3).random() < 1)": "True\n",
    "from typing import DefaultDict, Deque, Text, TypeVar\nprint(len('x'))": "1\n",
    "try:\n    raise NotImplementedError\nexcept NotImplementedError:\n    print('so')": "so\n",
    "from fractions import Fraction as F\nprint(F(1, 3) + F(1, 6))": "1/2\n",
    "import math, itertools\nprint(math.gcd(12, 18), len(list(itertools.permutations(range(4)))))": "6 24\n",
    "from math import *\nprint(sqrt(16) == 4)": "True\n",
    "from functools import cache\n@cache\ndef f(n):\n    return n if n < 2 else f(n-1) + f(n-2)\nprint(f(60))":
        "1548008755920\n",
    "from typing import List\ndef f(x: List[int]):\n    return x[0]\nif __name__ == '__main__':\n    print(f([1]))":
        "1\n",
    "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    print(e)": "division by zero\n",
    "print('{:.2f}'.format(3.14159), f'{2:>3}', sep='|')": "3.14|  2\n",
    "import statistics, decimal\nprint(statistics.mean([1, 2]), decimal.Decimal('0.1') * 3)": "1.5 0.3\n",
    "from collections import Counter\nprint(Counter('abca').most_common(1))": "[('a', 2)]\n",
    "from random import choice, shuffle\nx = [1, 2]\nshuffle(x)\nprint(choice(x) in x)": "True\n",
    "class P:\n    def __init__(self, x):\n        self._x = x\n"
    "    def __add__(self, other):\n        return P(self._x + other._x)\n"
    "    def __repr__(self):\n        return f'P({self._x})'\nprint(P(1) + P(2), [P(3)])": "P(3) [P(3)]\n",
    "class A:\n    def __init__(self):\n        self.x = 1\n"
    "class B(A):\n    def __init__(self):\n        super().__init__()\n"
    "    @property\n    def double(self):\n        return 2 * self.x\nprint(B().double)": "2\n",
    "class E(ValueError):\n    pass\ntry:\n    raise E('no')\nexcept E as e:\n    print(e)": "no\n",
    "from dataclasses import dataclass, field\n@dataclass(order=True)\nclass P:\n    x: int\n"
    "    y: list = field(default_factory=list)\n"
    "print(P(1), P(1) < P(2))": "P(x=1, y=[]) True\n",
    "import dataclasses\n@dataclasses.dataclass(frozen=True)\nclass P:\n    x: int\n"
    "match P(3):\n    case P(x=3):\n        print('three')":
        "three\n",
    "match [1, 2, 3]:\n    case [a, *rest]:\n        print(a, rest)": "1 [2, 3]\n",
    "match {'a': 1, 'b': 2}:\n    case {'a': 1 | 2 as n, **others}:\n        print(n, others)": "1 {'b': 2}\n",
    "import re\nprint(re.findall(r'\\d+', 'a1b22'), re.sub('a', 'b', 'aa', flags=re.I))": "['1', '22'] bb\n",
    "import re\nm = re.compile(r'(?P<n>\\d+)').search('x42')\nprint(m.group('n'), m.span())": "42 (1, 3)\n",
    "from datetime import date, timedelta\nprint(date(2024, 2, 28) + timedelta(days=2), date(2024, 1, 1).weekday())":
        "2024-03-01 0\n",
    "import datetime as d\nprint(d.datetime.strptime('2024-05-06', '%Y-%m-%d').strftime('%d %B'))": "06 May\n",
    "text = '{}-{:>4}|{name!r}'\nprint(text.format(1, 2.5, name='x'), '{:{w}}'.format(1, w=3))": "1- 2.5|'x'   1\n",
    "class T:\n    def format(self, x):\n        return x + 1\nprint(T().format(1))": "2\n",
    "print(list(map('{:02d}'.format, [1, 2])))": "['01', '02']\n",
    "_n, __name__ = 1, 'x'\ndef _f(_a, *_b, _c=2, **_d):\n    global _n\n    _n += 1\n    return _a, _b, _c, _d\n"
    "print(_f(1, _c=3, e=4), _n, [_ for _ in range(2)])": "(1, (), 3, {'e': 4}) 2 [0, 1]\n",
    "class A:\n    _k = 1\n    def _go(self):\n        return self._k\na = A()\na._k = 5\nprint(a._go(), A._k)":
        "5 1\n",
    "from dataclasses import dataclass\n@dataclass\nclass P:\n    _x: int\n"
    "match P(_x=3):\n    case P(_x=_y):\n        print(_y)": "3\n",
    "from math import gcd as _g\nmatch {'a': [1, 2]}:\n"
    "    case {'a': [_p, *_q], **_r}:\n        print(_g(4, 6), _p, _q, _r)": "2 1 [2] {}\n",
    "print('{_x}-{}'.format(1, _x=2))\ntry:\n    1 / 0\nexcept ZeroDivisionError as _e:\n    print(_e)":
        "2-1\ndivision by zero\n",
    "pass": "",
}  # fmt: skip

REFUSED = {
    # the system
    "import os\nwhile True: os.fork()": "importing 'os'",
    "import subprocess": "importing 'subprocess'",
    "from os import kill, getppid\nkill(getppid(), 9)": "importing 'os'",
    "import sys": "importing 'sys'",
    "import importlib": "importing 'importlib'",
    "from . import x": "importing '.'",
    "import os.path as math": "importing 'os.path'",
    # files and network
    "open('/etc/passwd').read()": "'open'",
    "open('/tmp/x', 'w').write('x')": "'open'",
    "import socket\nsocket.socket()": "importing 'socket'",
    "import urllib.request": "importing",
    "import io\nio.open('/etc/passwd')": "importing 'io'",
    # ways into the interpreter
    "__import__('os').system('true')": "'__import__'",
    "__builtins__['open']('/etc/passwd')": "'__builtins__'",
    "().__class__.__mro__[1].__subclasses__()": "attribute '__",
    "(lambda: 0).__globals__": "attribute '__globals__'",
    "(x for x in []).gi_frame.f_back.f_globals": "attribute",
    "'{0.__class__.__mro__}'.format(0)": "plain values",
    "'{0[0].__class__}'.format([0])": "plain values",
    "'{:{0.__class__}}'.format(0)": "plain values",
    "'{x.__init__.__globals__}'.format(x=print)": "plain values",
    "'{0.__cla' 'ss__}'.format(0)": "plain values",
    "s = '{0._' + '_class__}'\nprint(s.format(0))": "plain values",
    "class S(str): pass\nprint(S('{0.__class__}').format(0))": "plain values",
    "print(str.format('{0.__class__}', 0))": "method of strings",
    "class S(str):\n    def go(self):\n        return super().format(0)\nS('{0.__class__}').go()": "method of strings",
    "f = '{0.real}{}'.format\ns = str.format": "plain literals",
    "s = ''\nf = s.format": "plain literals",
    "print(list(map(str.format, ['{0.real}'], [1])))": "plain literals",
    "'{x}'.format_map({})": "format_map",
    "getattr(0, '__class__')": "'getattr'",
    "eval('1')": "'eval'",
    "exec('import os')": "'exec'",
    "compile('1', '', 'eval')": "'compile'",
    "type('X', (), {})": "takes 1 positional argument",
    "type(int)": "'type' takes a value that is not a class",
    "class A: pass\ntype(A)": "'type' takes a value that is not a class",
    "type(type)('x', (), {})": "it raised TypeError",
    "isinstance(int, type)": "it raised TypeError",
    "type(lambda: 0)(1, {})": "it raised TypeError",
    "globals()": "'globals'",
    "match 0:\n    case int(__class__=c): print(c)": "attribute '__class__'",
    "match '':\n    case str(format=f): print(f)": "attribute 'format'",
    "match '':\n    case str(format_map=f): print(f)": "attribute 'format_map'",
    "match 0:\n    case {'a': 1, **__builtins__}: pass": "'__builtins__'",
    "match 0:\n    case [*__builtins__]: pass": "'__builtins__'",
    "match 0:\n    case __builtins__: pass": "'__builtins__'",
    "class A(metaclass=print): pass": "keywords",
    "class A:\n    __slots__ = ()": "'__slots__'",
    "class A:\n    __match_args__ = ('__class__',)": "'__match_args__'",
    "class A:\n    def __getattr__(self, name): pass": "'__getattr__'",
    "class A:\n    def __del__(self): pass": "'__del__'",
    "class A:\n    def __class_getitem__(self): pass": "'__class_getitem__'",
    "class A:\n    def __init_subclass__(cls): pass": "'__init_subclass__'",
    "class A: pass\nA().__dict__": "attribute '__dict__'",
    "class A: pass\nA.__init__.__globals__": "attribute '__",
    "class A:\n    def __init__(self): self.__globals__": "attribute '__globals__'",
    "super(int, 1).__init__": "attribute '__init__'",
    "class A:\n    x: int\nx = A()._hidden": "attribute '_hidden'",
    "from dataclasses import *\n@dataclass\nclass S(str):\n    format: object = field(init=False)": "'format'",
    "from dataclasses import dataclass\n@dataclass\nclass S:\n    gi_frame: int": "'gi_frame'",
    "from dataclasses import dataclass\n@dataclass\nclass S:\n    __globals__: int": "'__globals__'",
    "from dataclasses import make_dataclass": "'make_dataclass' from",
    "import dataclasses\ndataclasses.sys": "no attribute 'sys'",
    "from datetime import datetime\ndatetime.now()": "attribute 'now'",
    "import datetime\nprint(datetime.date.today())": "attribute 'today'",
    "import datetime\nprint(datetime.sys)": "no attribute 'sys'",
    "import re\nre.enum": "no attribute 'enum'",
    # a library's own ways in, after one underscore
    "from random import Random\nself = Random(3)\nself._randbelow(5)": "no attribute '_randbelow'",
    "from typing import List\nclass A:\n    def __hash__(self): return 1\n    def __eq__(self, other):\n"
    "        try: print(other._evaluate({}, {}, frozenset()))\n        except AttributeError: return False\n"
    "        return True\nprint(List['__import__(\"os\").listdir(\"/\")'] == List[A()])\n1 / 0": "ZeroDivisionError",
    "from typing import List\nclass A:\n    def __hash__(self): return 1\n    def __eq__(self, other):\n"
    "        try: print(other.evaluate())\n        except (AttributeError, TypeError): return False\n"
    "        return True\nprint(List['1 + 1'] == List[A()])\n1 / 0": "ZeroDivisionError",
    "from typing import List\nself = List\nself._inst": "no attribute '_inst'",
    "import numpy": "importing 'numpy'",
    "import sympy": "importing 'sympy'",
    "class S(str):\n    def __len__(self): return 0\n    def __getitem__(self, i): return self\n"
    "class T:\n    def __str__(self): return S('x' * 10 ** 6)\nprint(T())": "printed too much",
    "class E(Exception):\n    def __str__(self): return 'x' * 10 ** 7\nraise E": "it raised E: xxx",
    "class E(Exception):\n    def __str__(self): return 5\nraise E": "it raised E",
    "async def f(): pass": "Async",
    "with x: pass": "With",
    "import operator\noperator.attrgetter('__class__')(0)": "no attribute 'attrgetter'",
    "from operator import attrgetter": "'attrgetter' from 'operator'",
    "import statistics\nstatistics.sys.exit()": "no attribute 'sys'",
    "import random\nrandom._os": "attribute '_os'",
    "import string\nstring.Formatter()": "no attribute 'Formatter'",
    "from collections import namedtuple": "'namedtuple' from",
    "try:\n    x\nexcept Exception as __builtins__: pass": "'__builtins__'",
    "def __import__(): pass": "'__import__'",
    "from math import sqrt as open": "'open'",
    "breakpoint()": "'breakpoint'",
    # too much (on a loaded machine the wall-clock limit may strike first)
    "while True: pass": "it ran for more than",
    "try:\n    while True:\n        try: [0] * 10 ** 11\n        except: pass\nexcept: pass": "it ran for more than",
    "x = [0] * 10 ** 11": "memory",
    "x = 'ab' * 10 ** 12": "memory",
    "x = []\nwhile True: x.append('a' * 10 ** 6 + str(len(x)))": "memory",
    "print(9 ** 9 ** 9)": "it ran for more than",
    "print(1 << 10 ** 12)": "",
    "print(10 ** 5000)": "4300 digits",
    "def f(): return f()\nf()": "RecursionError",
    "while True: print('x' * 1000)": "printed too much",
    "print('x' * 10 ** 7)": "printed too much",
    "import re\nre.match('(a+)+b', 'a' * 99)": "it ran for more than",
    "import itertools\nfor _ in itertools.count(): pass": "it ran for more than",
    "x = {}\nfor i in range(10 ** 9): x[i] = x": "",
    # odd ends
    "raise SystemExit": "'SystemExit'",
    "raise Exception('x' * 10 ** 7)": "it raised Exception: xxx",
    "raise Exception from Exception": "it raised Exception",
    "x = []\nx.append(x)\nraise ValueError(x, {1: x})": "it raised ValueError",
    "assert False, 'no'": "it raised AssertionError: no",
    "def g():\n    try: yield\n    finally:\n        while True: pass\nx = g()\nnext(x)\n1 / 0": "ZeroDivisionError",
    "def f(:": "not readable Python",
    "(" * 5_000: "not readable Python",
    "1" + "+1" * 9_000: "",
    "-" * 9_000 + "1": "",
    "\0": "no text",
    "\ud800": "no text",
    "#" * 30_000: "longer than",
}  # fmt: skip


UNBUILDABLE = [
    ("libc.prctl(*request) != 0", "libc.prctl(99999, *request[1:]) != 0",
     "the kernel, or the container, does not let system calls be filtered"),
    ("if platform.machine() not in", "if True or platform.machine() not in",
     "the filter of system calls is written for Linux on x86-64 and arm64"),
    ("ctypes.CDLL(None, use_errno=True)", "ctypes.CDLL('nowhere.so')", "this system has no filter of system calls"),
    ("        import resource\n", "        import resource_of_another_system as resource\n",
     "this system does not limit what a process may take"),
]  # fmt: skip
"""How to make each wall unavailable, as on a machine that lacks it, and the reason that is then given."""


@pytest.mark.parametrize("program", HONEST)
async def test_honest_programs_run(program: str) -> None:
    assert await execute(program, LIMITS) == Execution(HONEST[program])


@pytest.mark.slow
@pytest.mark.parametrize("program", REFUSED, ids=lambda p: p[:40].encode("unicode_escape").decode())
async def test_everything_else_ends_in_a_refusal_within_its_limits(program: str) -> None:
    execution = await execute(program, LIMITS)
    assert execution.refusal is not None
    assert REFUSED[program] in execution.refusal
    assert len(execution.refusal) < 400
    assert len(execution.output) <= LIMITS.output_chars


async def test_what_was_printed_before_a_refusal_is_kept() -> None:
    assert await execute("print(1)\n1 / 0", LIMITS) == Execution("1\n", "it raised ZeroDivisionError: division by zero")


async def test_many_at_once_and_each_is_its_own() -> None:
    done = await asyncio.gather(*(execute(f"print({n})" if n % 3 else "1 / 0", LIMITS) for n in range(12)))
    assert [e.output for e in done] == ["" if n % 3 == 0 else f"{n}\n" for n in range(12)]


async def test_equal_programs_print_the_same() -> None:
    program = "import random\nprint(random.random if 0 else random.randint(1, 10 ** 9), hash(1.5))"
    assert await execute(program, LIMITS) == await execute(program, LIMITS)


@pytest.mark.slow
async def test_a_program_that_only_waits_is_killed_by_the_clock(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Programs have no allowed way to wait; if one finds a way, the wall-clock limit ends it and its children."""
    pids = tmp_path / "pids"
    idler = tmp_path / "idler.py"
    idler.write_text(
        f"import os, time\nchild = os.fork()\nopen({str(pids)!r}, 'a').write(f'{{os.getpid()}} ')\ntime.sleep(100)\n"
    )
    monkeypatch.setattr(confinement, "__file__", str(idler))
    execution = await execute("pass", Limits(wall_seconds=10.0))
    assert execution.refusal == "it ran for more than 10 seconds"
    assert len(pids.read_text().split()) == 2
    for pid in pids.read_text().split():  # the child is killed with its parent, but only the parent's end is awaited
        while _alive(int(pid)):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_a_cancelled_caller_leaves_no_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    idler = tmp_path / "idler.py"
    idler.write_text(f"import os, time\nopen({str(pid)!r}, 'w').write(str(os.getpid()))\ntime.sleep(100)\n")
    monkeypatch.setattr(confinement, "__file__", str(idler))
    task = asyncio.create_task(execute("pass"))
    while not (pid.exists() and pid.read_text()):  # noqa: ASYNC110 - another process writes it
        await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not _alive(int(pid.read_text()))


async def test_a_flood_of_replies_is_cut_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    flood = tmp_path / "flood.py"
    flood.write_text("import sys\nwhile True: sys.stdout.write('[' * 10 ** 5)\n")
    monkeypatch.setattr(confinement, "__file__", str(flood))
    execution = await execute("pass", Limits(wall_seconds=20))
    assert execution == Execution("", execution.refusal)
    assert execution.refusal


async def test_a_process_that_filled_its_pipe_is_seen_to_end() -> None:
    flood = "import sys\nwhile True: sys.stdout.write('[' * 10 ** 5)\n"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", flood, stdin=PIPE, stdout=PIPE, start_new_session=True
    )
    assert process.stdout is not None
    await process.stdout.read(1)
    await asyncio.sleep(0.5)  # the reader stops reading, and does not see the end of the pipe by itself
    async with asyncio.timeout(60):
        await sandbox._end(process)
    assert process.returncode == -signal.SIGKILL


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


_ESCAPED = """
import ctypes, os, signal, socket, subprocess, sys, threading
sys.path.insert(0, {folder!r})
import confinement
{before}
confinement.restrain(5, 1 << 30)
confinement.lock_down()
try:
    {attempt}
    outcome = "succeeded"
except BaseException as error:
    outcome = type(error).__name__
os.write(1, outcome.encode())
os._exit(0)
"""
ATTEMPTS = [
    "os.fork()",
    "open('/etc/passwd')",
    "os.open('/tmp/never-written', os.O_CREAT | os.O_WRONLY)",
    "socket.socket()",
    "socket.create_connection(('127.0.0.1', 9), timeout=1)",
    "os.kill(os.getppid(), 0)",
    "os.execv('/bin/true', ['true'])",
    "subprocess.run(['true'])",
    "ctypes.CDLL(None).fork()",
    "os.remove('/tmp/nothing')",
    "os.listdir('/')",
]
UNHOOKED = ("threading.Thread(target=print).start()", "os.setuid(0)")
"""Attempts that no audit event reports."""


@pytest.mark.parametrize("hooked", [True, False], ids=["hook", "system"])
@pytest.mark.parametrize("attempt", [*ATTEMPTS, *UNHOOKED])
def test_the_walls_behind_the_first_hold_alone(attempt: str, *, hooked: bool) -> None:
    """A program that gets past the syntax check is stopped by the audit hook; past that as well, by the kernel."""
    if not hooked and confinement._filter() is None:
        pytest.skip("the kernel's filter of system calls is not known on this machine")
    if not hooked and attempt.startswith("ctypes"):
        attempt = "assert ctypes.CDLL(None).fork() >= 0"
    before = "" if hooked else "sys.addaudithook = lambda hook: None"
    script = _ESCAPED.format(folder=str(Path(confinement.__file__).parent), before=before, attempt=attempt)
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, timeout=600)
    if hooked and attempt not in UNHOOKED:
        assert "it tried what is not allowed" in done.stdout, done
    else:
        refused = ("PermissionError", "OSError", "RuntimeError", "AssertionError", "LookupError")
        assert done.stdout in refused, done


async def test_where_a_wall_cannot_be_built_nothing_is_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither programs nor strategies that need them are run; they used to run with fewer walls."""
    own = Path(confinement.__file__).read_text()  # noqa: ASYNC240
    for neighbour in (language, examination):
        shutil.copy(str(neighbour.__file__), tmp_path)
    for number, (change, by, why) in enumerate(UNBUILDABLE):
        assert change in own
        script = tmp_path / f"confinement{number}.py"
        script.write_text(own.replace(change, by))
        monkeypatch.setattr(confinement, "__file__", str(script))
        execution = await execute("print(1)", LIMITS)
        assert execution == Execution("", f"{confinement.NO_WALL}{why}")
        sandbox.require_walls.cache_clear()
        with pytest.raises(UsageError, match=f"cannot be run here: {why}. They run on Linux"):
            sandbox.require_walls()
    monkeypatch.undo()
    sandbox.require_walls.cache_clear()
    sandbox.require_walls()


def test_a_strategy_with_programs_is_refused_before_the_first_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "INTERPRETER", "/nowhere/python")
    sandbox.require_walls.cache_clear()
    try:
        with pytest.raises(UsageError, match="cannot be run here: its process could not be started"):
            ProgramCheck().check(cast(Conditions, None))
    finally:
        sandbox.require_walls.cache_clear()


def _interpreters() -> list[str]:
    """Other working versions of Python on this machine."""
    found = []
    for minor in (11, 12, 13):
        name = shutil.which(f"python3.{minor}")
        if name and f"3.{minor}" in sys.version[:5]:
            continue
        if name and subprocess.run([name, "-c", ""], capture_output=True).returncode == 0:
            found.append(name)
    return [*found, *filter(None, os.environ.get("WIDTHWISE_PYTHONS", "").split(os.pathsep))]


@pytest.mark.parametrize("interpreter", _interpreters() or [None])
async def test_other_versions_of_python_hold_as_well(monkeypatch: pytest.MonkeyPatch, interpreter: str | None) -> None:
    if interpreter is None:
        pytest.skip("no other Python is here: WIDTHWISE_PYTHONS may name some")
    monkeypatch.setattr(sandbox, "INTERPRETER", interpreter)
    for program, printed in HONEST.items():
        assert await execute(program, LIMITS) == Execution(printed), program
    for program in REFUSED:
        assert (await execute(program, LIMITS)).refusal, program


def test_an_ordinary_user_without_namespaces_is_held_as_well() -> None:
    """Only root may make namespaces; without them, the system call filter refuses the same calls and more."""
    before = "import resource\nsys.addaudithook = lambda hook: None\nnone = lambda *_: -1\n"
    before += "real = confinement.ctypes.CDLL(None)\nreal.unshare = none\n"
    before += "confinement.ctypes.CDLL = lambda *_, **__: real\n"
    before += "os.setgid(65534); os.setuid(65534)"
    if os.getuid() != 0:
        before = before.rpartition("\n")[0]
    for attempt in ("socket.socket()", "os.fork()", "os.kill(os.getppid(), 0)", "os.listdir('/')"):
        script = _ESCAPED.format(folder=str(Path(confinement.__file__).parent), before=before, attempt=attempt)
        done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, timeout=600)
        assert done.stdout in ("PermissionError", "OSError"), (attempt, done)


def test_bad_limits() -> None:
    with pytest.raises(ValueError, match="positive"):
        Limits(cpu_seconds=0)


# --- Programs under test ----------------------------------------------------------------------------------------------

LIAR = "class Liar:\n    def __eq__(self, other): return True\n    def __hash__(self): return 3\n"
EXAMINED = {
    "def f(x): return x + 1": "finished",
    "def f(x): return x": "raised",
    "f = lambda x: x + 1": "finished",
    "def g(x): return x + 1": "raised",
    "def f(x):\n    print('heard by nobody ' * 9999)\n    return x + 1": "finished",
    "def f(x):\n    while True: pass": "out of time",
    "def f(x): return [0] * 10 ** 12": "out of memory",
    "def f(x): return f(x)": "raised",
    "import os": "refused",
    "def f(x": "refused",
    LIAR + "def f(x): return Liar()": "raised",
    LIAR + "def f(x): return x + 1 if x == 2 else Liar()": "raised",
    "class I(int):\n    def __eq__(self, other): return True\ndef f(x): return I(0)": "raised",
    "def same(a, b): return True\ndef f(x):\n    global same\n    same = lambda *_: True\n    return 0": "raised",
    "def isinstance(*_): return True\ndef all(*_): return True\ndef f(x): return 0": "raised",
    "import math\nmath.isclose = lambda *_: True\ndef f(x): return 0": "raised",
    "def f(x): raise AssertionError": "raised",
    "def f(x): raise StopIteration": "raised",
    "raise ValueError": "raised",
}


@pytest.mark.parametrize("program", EXAMINED, ids=lambda p: p[-40:].encode("unicode_escape").decode())
async def test_a_program_is_tested_where_it_cannot_reach_its_tests(program: str) -> None:
    text = "import math\ndef same(a, b): return a == b and math.isclose(a, b) and all([isinstance(a, int), a == b])\n"
    tests = sandbox.Tests(f"{text}for x in (2, 3, 40):\n    assert same(f(x), x + 1)\nprint('tested')", ("f",))
    execution = await execute(program, LIMITS, tests)
    assert execution.ending == EXAMINED[program], execution.refusal
    assert execution.output == ("tested\n" if execution.ending == "finished" else "")


async def test_tests_hold_numbers_of_any_length() -> None:
    tests = sandbox.Tests(f"assert f() == 1{'0' * 4999}", ("f",))
    assert (await execute("def f(): return 10 ** 4999", LIMITS, tests)).ending == "finished"
    printing = await execute("def f(): return 10 ** 4999\nstr(f())", LIMITS, tests)
    assert "Exceeds the limit" in str(printing.refusal), "a program has the language's own limit"


@pytest.mark.parametrize(
    ("returned", "seen"),
    [
        ("[1, (2, {3}), {4: 'x'}]", "[1, (2, {3}), {4: 'x'}]"),
        ("Counter('aa')", "{'a': 2}"),
        ("Liar()", None),
        ("[Liar()]", None),
        ("Counter({1: Liar()})", None),
        ("deque([1, 2])", "deque([1, 2])"),
        ("map(abs, [-1])", "[1]"),
        ("(Liar() for _ in 'a')", None),
        ("None", "None"),
        ("frozenset([1])", "frozenset({1})"),
    ],
)
async def test_what_tests_see_are_plain_values(returned: str, seen: str | None) -> None:
    program = f"from collections import *\n{LIAR}def f(): return {returned}"
    shown = "print(list(f()))" if returned.startswith(("map", "(")) else "print(f())"
    execution = await execute(program, LIMITS, sandbox.Tests(shown, ("f",)))
    assert execution.output.strip() == seen if seen else "Foreign" in execution.output
