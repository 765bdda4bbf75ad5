"""The program around a program that a model wrote: checks it, locks the process down, and runs it.

Run by :mod:`widthwise.core.sandbox.sandbox` as a script, with nothing but the standard library. The request, a JSON
object, is read from stdin; the reply, another, goes to stdout. There are three walls: an allow-list of syntax, names
and modules, checked before anything runs; an audit hook; and the system's own limits on processor time, memory,
processes and files with the kernel's filter of system calls. Where one of them cannot be built, nothing is run.

numpy and sympy are not among the modules: what they hold leads to the memory (``ndarray.ctypes``), to files
(``numpy.load``) and to ``eval`` (``sympify``) by ordinary names, so that no list of names could keep the first wall.
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
import string
import struct
import sys
from types import FunctionType, MethodType, SimpleNamespace
from typing import Any, NoReturn

_FORMAT = "format of strings"
"""The name of what stands in for it: none that a program can spell."""

BUILTINS = """
abs all any ascii bin bool bytes callable chr complex dict divmod enumerate filter float format frozenset hash hex int
isinstance issubclass iter len list map max min next object oct ord pow print property range repr reversed round set
slice sorted classmethod staticmethod str sum super tuple zip True False None NotImplemented Ellipsis
ArithmeticError AssertionError Exception IndexError KeyError LookupError OverflowError RuntimeError StopIteration
TypeError ValueError ZeroDivisionError
"""
_BUILTINS = frozenset(BUILTINS.split())

MODULES = {
    "bisect": "bisect bisect_left bisect_right insort insort_left insort_right",
    "cmath": "acos asin atan cos e exp inf isclose isfinite isinf isnan log log10 nan phase pi polar rect sin sqrt tan",
    "collections": "Counter OrderedDict defaultdict deque",
    "dataclasses": "dataclass field",
    "datetime": "date datetime time timedelta timezone",
    "decimal": "Decimal ROUND_CEILING ROUND_DOWN ROUND_FLOOR ROUND_HALF_EVEN ROUND_HALF_UP ROUND_UP getcontext",
    "fractions": "Fraction",
    "functools": "cache cmp_to_key lru_cache partial reduce",
    "heapq": "heapify heappop heappush heappushpop heapreplace merge nlargest nsmallest",
    "itertools": "accumulate chain combinations combinations_with_replacement compress count cycle dropwhile "
    "filterfalse groupby islice pairwise permutations product repeat starmap takewhile tee zip_longest",
    "math": " ".join(name for name in dir(math) if not name.startswith("_")),
    "operator": "add and_ eq floordiv ge gt itemgetter le lt mod mul ne neg not_ or_ pow sub truediv xor",
    "random": "choice choices randint random randrange sample seed shuffle uniform",
    "re": "compile escape findall finditer fullmatch match search split sub subn "
    "A ASCII DOTALL I IGNORECASE M MULTILINE S VERBOSE X",
    "statistics": "fmean mean median mode multimode pstdev pvariance stdev variance",
    "string": "ascii_letters ascii_lowercase ascii_uppercase digits hexdigits punctuation",
    "typing": "Any Callable Dict Iterable Iterator List Optional Sequence Set Tuple Union",
}  # fmt: skip
"""What a program may import, name by name: a module's other names may lead to the interpreter or the system."""

_NODES = """
Module FunctionDef Return Delete Assign AugAssign AnnAssign For While If Raise Try Assert Import ImportFrom Global
Nonlocal Expr Pass Break Continue BoolOp NamedExpr BinOp UnaryOp Lambda IfExp Dict Set ListComp SetComp DictComp
GeneratorExp Yield YieldFrom Compare Call FormattedValue JoinedStr Constant Attribute Subscript Starred Name List Tuple
Slice comprehension ExceptHandler arguments arg keyword alias expr_context boolop operator unaryop cmpop
ClassDef Match match_case MatchValue MatchSingleton MatchSequence MatchMapping MatchClass MatchStar MatchAs MatchOr
"""
_SYNTAX = tuple(getattr(ast, name) for name in _NODES.split())
_INNER = ("gi_", "cr_", "ag_", "tb_", "co_", "f_")
"""How attributes of frames, code and tracebacks begin: ways into the interpreter that no underscore marks."""

_OPERATORS = "add sub mul truediv floordiv mod divmod pow and or xor lshift rshift"
_OWN_METHODS = f"""
init post_init repr str eq ne lt le gt ge hash bool len iter next contains getitem setitem delitem call int float neg
pos abs invert {_OPERATORS} radd rsub rmul rtruediv rfloordiv rmod rpow iadd isub imul
"""
_METHODS = frozenset(f"__{name}__" for name in _OWN_METHODS.split())
"""What a class may define of the language's own methods: none of them is called with anything of the interpreter."""

_CLOCKS = ("now", "today", "utcnow")
"""Of dates, what says the time: equal programs print the same."""

NO_WALL = "nothing is run here: "
"""How a refusal begins that is the machine's, whatever the program."""

_LETHAL_EVENTS = ("open", "socket.", "subprocess.", "os.", "ctypes.", "import", "shutil.", "signal.", "pty.", "mmap.")

_SYSTEM_CALLS = {
    # read write mmap mprotect munmap brk rt_sigaction rt_sigprocmask rt_sigreturn mremap madvise sched_yield exit futex
    # exit_group clock_gettime getrandom
    "x86_64": (0xC000003E, (0, 1, 9, 10, 11, 12, 13, 14, 15, 25, 28, 24, 60, 202, 231, 228, 318)),
    "aarch64": (0xC00000B7, (63, 64, 222, 226, 215, 214, 134, 135, 139, 216, 233, 124, 93, 98, 94, 113, 278)),
}


class Refusal(Exception):
    """Why a program is not run, or not any further."""


class NoWall(Refusal):
    """A wall cannot be built on this machine."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{NO_WALL}{what}")


def main() -> None:
    """Run the request of stdin and reply on stdout."""
    request = json.loads(sys.stdin.buffer.read())
    prints = _Prints(request["output_chars"])
    try:
        restrain(request["cpu_seconds"], request["memory_bytes"])
        tree = _Formatting().visit(checked(request["program"]))
        names = _names(tree, prints)
        code = compile(tree, "<program>", "exec")
        lock_down()
        exec(code, names)
        _reply(prints.text)
    except BaseException as error:
        _reply(prints.text, _sentence(error))


def _reply(output: str, refusal: str | None = None) -> NoReturn:
    """Send the reply and end the process at once: what a program left behind gets no chance to run."""
    with contextlib.suppress(BaseException):
        os.write(1, json.dumps({"output": output, "refusal": refusal}).encode())
    os._exit(0)


def _sentence(error: BaseException) -> str:
    """What went wrong, in few words whatever the error says."""
    if isinstance(error, Refusal):
        return _plain(str(error))[:200]
    if isinstance(error, MemoryError):
        return "it ran out of memory"
    try:
        return f"it raised {type(error).__name__[:100]}: {_plain(str(error))[:200]}"
    except BaseException:
        return f"it raised {type(error).__name__[:100]}"


def _plain(text: str) -> str:
    """``text`` as a string of the language's own: a program's kind of string may answer for itself."""
    return str.__str__(text)


# -- the first wall: what may be written ---------------------------------------------------------------------------


def checked(program: str) -> ast.Module:
    """The program's syntax tree; raises ``Refusal`` for whatever the allow-list does not hold."""
    try:
        tree = ast.parse(program)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Refusal(f"it is no Python that can be read: {str(error)[:100]}") from None
    for node in ast.walk(tree):
        if not isinstance(node, _SYNTAX):
            raise Refusal(f"{type(node).__name__} is not allowed")
        _check(node)
    return tree


def _check(node: ast.AST) -> None:
    if isinstance(node, ast.Import):
        for alias in node.names:
            _check_import(alias.name, ())
    elif isinstance(node, ast.ImportFrom):
        _check_import("." * node.level + (node.module or ""), [alias.name for alias in node.names])
    elif isinstance(node, ast.Attribute):
        _check_attribute(node)
    elif isinstance(node, ast.ClassDef) and node.keywords:
        raise Refusal("a class with keywords is not allowed")
    elif isinstance(node, ast.MatchClass):
        for attribute in node.kwd_attrs:  # a pattern reads attributes too
            _check_read(attribute)
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        _check_read(node.target.id)  # a field of a dataclass: patterns and comparisons read it
    elif isinstance(node, ast.FunctionDef) and node.name in _METHODS:
        return
    for field in ("id", "arg", "name", "asname", "rest"):
        name = getattr(node, field, None)
        if isinstance(name, str) and not isinstance(node, ast.alias | ast.keyword):
            _check_name(name)
    if isinstance(node, ast.alias) and node.asname:
        _check_name(node.asname)


def _check_import(module: str, names: Any) -> None:
    if module not in MODULES:
        raise Refusal(f"importing {module[:50]!r} is not allowed")
    for name in names:
        if name != "*" and name not in MODULES[module].split():
            raise Refusal(f"importing {name[:50]!r} from {module!r} is not allowed")


def _check_attribute(node: ast.Attribute) -> None:
    if _is_parents_init(node):
        return
    _check_member(node.attr, own=isinstance(node.value, ast.Name) and node.value.id in ("self", "other"))


def _check_member(name: str, *, own: bool = False) -> None:
    """Refuse an attribute that may lead to the interpreter; ``own`` ones of an object may begin with an underscore."""
    hidden = name.startswith("__" if own else "_")
    if hidden or name.startswith(_INNER) or name == "format_map" or name in _CLOCKS:
        raise Refusal(f"the attribute {name[:50]!r} is not allowed")


def _check_read(name: str) -> None:
    """Refuse an attribute that is read by its name alone, so that nothing can stand in for what it gives."""
    _check_member(name, own=True)
    if name == "format":
        raise Refusal("the attribute 'format' is not allowed here")


def _is_parents_init(node: ast.Attribute) -> bool:
    """``super().__init__``, as every class that extends another calls it."""
    value = node.value
    is_super = isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "super"
    return is_super and node.attr == "__init__" and isinstance(value, ast.Call) and not value.args


class _Formatting(ast.NodeTransformer):
    """Puts our own ``format`` in the place of the strings': theirs walks from attribute to attribute.

    ``x.format(...)`` becomes a call of a function that a program cannot name; ``x.format`` that is not called is
    refused.
    """

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Attribute) and node.func.attr == "format":
            node.args.insert(0, node.func.value)
            node.func = ast.copy_location(ast.Name(_FORMAT, ast.Load()), node.func)
        return self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if node.attr == "format":
            text = node.value.value if isinstance(node.value, ast.Constant) else None
            if not isinstance(text, str) or "_" in text:
                raise Refusal("format without a call is allowed on plain literals only")
        return self.generic_visit(node)


class _Formatter(string.Formatter):
    """Fields are values as they are, and nothing inside them."""

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> Any:
        if "." in field_name or "[" in field_name:
            raise ValueError("format takes plain values only")
        return super().get_field(field_name, args, kwargs)


def _format(text: object, /, *args: Any, **kwargs: Any) -> object:
    """Stands in for the method ``format`` of strings, and calls that of a program's own classes."""
    if isinstance(text, str):
        return _Formatter().vformat(_plain(text), args, kwargs)
    method = getattr(text, "format", None)
    if isinstance(method, MethodType) and isinstance(method.__func__, FunctionType):
        return method(*args, **kwargs)
    raise ValueError("format is a method of strings")


def _check_name(name: str) -> None:
    if name != "__name__" and (name.startswith("__") or (hasattr(builtins, name) and name not in _BUILTINS)):
        raise Refusal(f"the name {name[:50]!r} is not allowed")


# -- what it finds when it runs ------------------------------------------------------------------------------------


class _Prints:
    """What a program printed, up to a limit."""

    def __init__(self, limit: int) -> None:
        self._parts: list[str] = []
        self._room = limit

    def print(self, *values: object, sep: str | None = " ", end: str | None = "\n", **_: object) -> None:
        """Stands in for ``print``."""
        between, last = " " if sep is None else _plain(sep), "\n" if end is None else _plain(end)
        for i, value in enumerate(values):
            self._take((between if i else "") + _plain(str(value)))
        self._take(last)

    def _take(self, text: str) -> None:
        self._parts.append(text[: self._room])
        self._room -= len(text)
        if self._room < 0:
            _reply(self.text, "it printed too much")

    @property
    def text(self) -> str:
        return "".join(self._parts)


def _names(tree: ast.Module, prints: _Prints) -> dict[str, Any]:
    """The names that a program begins with; the modules it imports are loaded now, while there still are files."""
    wanted = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    wanted |= {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module}
    modules: dict[str, Any] = {name: _excerpt(name) for name in wanted}
    if "datetime" in wanted:  # its methods import these by our own `__import__`; a program cannot ask for them
        modules |= {name: importlib.import_module(name) for name in ("_strptime", "time")}
    random.seed(0)

    def load(name: str, *_: object) -> Any:
        return modules[name]

    allowed = {name: getattr(builtins, name) for name in _BUILTINS}
    allowed |= {"print": prints.print, "__import__": load, "__build_class__": builtins.__build_class__}
    allowed[_FORMAT] = _format
    return {"__builtins__": allowed, "__name__": "__main__"}


def _excerpt(name: str) -> SimpleNamespace:
    """A module's allowed names, and nothing of the module itself."""
    module = importlib.import_module(name)
    names = MODULES[name].split()
    return SimpleNamespace(__all__=names, **{member: getattr(module, member) for member in names})


# -- the other walls -----------------------------------------------------------------------------------------------


def restrain(cpu_seconds: float, memory_bytes: int) -> None:
    """Limit processor time and memory, of reading the program too."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
    _limit(CPU=math.ceil(cpu_seconds) + 1, AS=memory_bytes, DATA=memory_bytes, CORE=0)


def lock_down() -> None:
    """Give up everything that computing does not need, for good; raises ``NoWall`` where that cannot be."""
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
    """Limits of the system on what a process may take, by their names."""
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
    libc.unshare(new_user | new_network | new_ipc)  # where it is permitted; the filter refuses the same and more
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
