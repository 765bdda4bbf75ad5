"""The first wall around a program that a model wrote: what may be written, checked before anything runs.

numpy and sympy are not among the modules: their contents lead to the memory (``ndarray.ctypes``), to files
(``numpy.load``) and to ``eval`` (``sympify``) by ordinary names, so no list of names could hold this wall.
"""

from __future__ import annotations

import ast
import builtins
import math
import string
from types import FunctionType, MethodType
from typing import Any

FORMAT = "format of strings"
"""The name of its replacement, which no program can spell."""

BUILTINS = """
abs all any ascii bin bool bytes callable chr complex dict divmod enumerate filter float format frozenset hash hex int
isinstance issubclass iter len list map max min next object oct ord pow print property range repr reversed round set
slice sorted classmethod staticmethod str sum super tuple type zip True False None NotImplemented Ellipsis
ArithmeticError AssertionError AttributeError Exception IndexError KeyError LookupError NameError NotImplementedError
OverflowError RecursionError RuntimeError StopIteration TypeError ValueError ZeroDivisionError bytearray
"""
ALLOWED = frozenset(BUILTINS.split())

MODULES = {
    "bisect": "bisect bisect_left bisect_right insort insort_left insort_right",
    "cmath": "acos asin atan cos e exp inf isclose isfinite isinf isnan log log10 nan phase pi polar rect sin sqrt tan",
    "collections": "Counter OrderedDict defaultdict deque",
    "copy": "copy deepcopy",
    "dataclasses": "dataclass field",
    "datetime": "date datetime time timedelta timezone",
    "decimal": "Decimal ROUND_CEILING ROUND_DOWN ROUND_FLOOR ROUND_HALF_EVEN ROUND_HALF_UP ROUND_UP getcontext",
    "fractions": "Fraction",
    "functools": "cache cmp_to_key lru_cache partial reduce",
    "hashlib": "md5 sha1 sha224 sha256 sha384 sha512",
    "heapq": "heapify heappop heappush heappushpop heapreplace merge nlargest nsmallest",
    "itertools": "accumulate chain combinations combinations_with_replacement compress count cycle dropwhile "
    "filterfalse groupby islice pairwise permutations product repeat starmap takewhile tee zip_longest",
    "math": " ".join(name for name in dir(math) if not name.startswith("_")),
    "operator": "add and_ eq floordiv ge gt itemgetter le lt mod mul ne neg not_ or_ pow sub truediv xor",
    "random": "Random choice choices randint random randrange sample seed shuffle uniform",
    "re": "compile escape findall finditer fullmatch match search split sub subn "
    "A ASCII DOTALL I IGNORECASE M MULTILINE S VERBOSE X",
    "statistics": "fmean mean median mode multimode pstdev pvariance stdev variance",
    "string": "ascii_letters ascii_lowercase ascii_uppercase digits hexdigits octdigits printable punctuation "
    "whitespace",
    "typing": "Any Callable Collection Counter DefaultDict Deque Dict FrozenSet Generator Generic Hashable Iterable "
    "Iterator List Literal Mapping MutableMapping MutableSequence NoReturn Optional OrderedDict Sequence Set Text "
    "Tuple Type TypeVar Union",
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
"""How attributes of frames, code and tracebacks begin: ways into the interpreter without any underscore."""

_IDENTIFIERS = ("id", "arg", "attr", "name", "asname", "rest")
"""Fields of syntax trees that hold a name."""

_OPERATORS = "add sub mul truediv floordiv mod divmod pow and or xor lshift rshift"
_OWN_METHODS = f"""
init post_init repr str eq ne lt le gt ge hash bool len iter next contains getitem setitem delitem call int float neg
pos abs invert {_OPERATORS} radd rsub rmul rtruediv rfloordiv rmod rpow iadd isub imul
"""
_METHODS = frozenset(f"__{name}__" for name in _OWN_METHODS.split())
"""Which of the language's own methods a class may define: none of them is called with interpreter internals."""

_CLOCKS = ("now", "today", "utcnow")
"""Names in dates that tell the time: equal programs must print the same."""


class Refusal(Exception):
    """Why a program is not run, or not run any further."""


def checked(program: str) -> ast.Module:
    """The program's syntax tree; raises ``Refusal`` for anything outside the allow-list."""
    try:
        tree = ast.parse(program)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Refusal(f"it is not readable Python: {str(error)[:100]}") from None
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
    _check_member(node.attr)


def _check_member(name: str) -> None:
    """Refuse an attribute that may lead to the interpreter; those with one underscore are renamed (``Rewriting``)."""
    if name.startswith("__") or name.startswith(_INNER) or name == "format_map" or name in _CLOCKS:
        raise Refusal(f"the attribute {name[:50]!r} is not allowed")


def _check_read(name: str) -> None:
    """Refuse an attribute that is read by its name alone, so that nothing can replace what it gives."""
    _check_member(name)
    if name == "format":
        raise Refusal("the attribute 'format' is not allowed here")


def _is_parents_init(node: ast.Attribute) -> bool:
    """``super().__init__``, as every class that extends another calls it."""
    value = node.value
    is_super = isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "super"
    return is_super and node.attr == "__init__" and isinstance(value, ast.Call) and not value.args


_OWN = "own_"


def own_name(name: str) -> str:
    """A program's name as it is at run time: a name with a leading underscore is the program's alone."""
    return f"{_OWN}{name}" if name.startswith("_") and not name.startswith("__") else name


def as_written(text: str) -> str:
    """``text`` with its names as the program wrote them."""
    return text.replace(f"{_OWN}_", "_")


class Rewriting(ast.NodeTransformer):
    """Replaces the strings' ``format`` with our own, and names with leading underscores with the program's own.

    The original ``format`` walks from attribute to attribute: ``x.format(...)`` becomes a call of a function that a
    program cannot name; ``x.format`` without a call is refused. Attributes with a leading underscore are either a
    program's own or a way into a library (``_evaluate`` of typing's references): since all are renamed alike, they can
    only ever be its own.
    """

    def visit(self, node: ast.AST) -> Any:
        for field, value in ast.iter_fields(node):
            if isinstance(value, str) and field in _IDENTIFIERS:
                setattr(node, field, own_name(value))
            elif field in ("names", "kwd_attrs"):
                setattr(node, field, [own_name(each) if isinstance(each, str) else each for each in value])
        return super().visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Attribute) and node.func.attr == "format":
            node.args.insert(0, node.func.value)
            node.func = ast.copy_location(ast.Name(FORMAT, ast.Load()), node.func)
        return self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if node.attr == "format":
            text = node.value.value if isinstance(node.value, ast.Constant) else None
            if not isinstance(text, str) or "_" in text:
                raise Refusal("format without a call is allowed on plain literals only")
        return self.generic_visit(node)


class _Formatter(string.Formatter):
    """Fields are values as they are, without access to anything inside them."""

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> Any:
        if "." in field_name or "[" in field_name:
            raise ValueError("format takes plain values only")
        return super().get_field(field_name, args, kwargs)


def formatted(text: object, /, *args: Any, **kwargs: Any) -> object:
    """Replaces the method ``format`` of strings, and calls that of a program's own classes."""
    if isinstance(text, str):
        return _Formatter().vformat(plain(text), args, {as_written(name): value for name, value in kwargs.items()})
    method = getattr(text, "format", None)
    if isinstance(method, MethodType) and isinstance(method.__func__, FunctionType):
        return method(*args, **kwargs)
    raise ValueError("format is a method of strings")


def kind(value: object, /) -> type:
    """Replaces ``type`` of a value; classes have none here, and none can be made."""
    found = type(value)
    if issubclass(found, type):
        raise TypeError("'type' takes a value that is not a class")
    return found


def _check_name(name: str) -> None:
    if name != "__name__" and (name.startswith("__") or (hasattr(builtins, name) and name not in ALLOWED)):
        raise Refusal(f"the name {name[:50]!r} is not allowed")


def plain(text: str) -> str:
    """``text`` as the language's own string: a program's kind of string may answer for itself."""
    return str.__str__(text)
