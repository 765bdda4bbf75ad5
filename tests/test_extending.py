"""User-defined parts, installed by entry point: those of the documentation, and those that do not fit.

``tests/test_documents.py`` runs what the documentation names by import path, with its other snippets.
"""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner, Result

import widthwise as ww
from widthwise.cli.app import app
from widthwise.core import registry
from widthwise.core.errors import UsageError
from widthwise.core.roles import ROLES, STRATEGY
from widthwise.core.strategy.composition import parse_strategy
from widthwise.evals.store.exchange import import_recordings

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"
ROWS = '{"problem_id": "p", "problem": "1+1?", "answer": "2", "samples": [{"text": "= 2"}, {"text": "= 3"}]}\n'
MOST_LINES = 15


class Example(NamedTuple):
    """One role's part: its file, its installed names, and the commands that use it once it is installed."""

    role: str
    module: str
    code: str
    installed: list[str]

    @property
    def entry_point(self) -> str:
        """The entry in a package's metadata: the installed name, and the part's import path."""
        defined = re.findall(r"^(?:async def|def|class) (\w+)|^([A-Z]+) = ", self.code, re.MULTILINE)
        return f"{self.module} = {self.module}:{defined[-1][0] or defined[-1][1]}"


def examples() -> Iterator[Example]:
    for section in PAGE.read_text().split("\n## ")[1:]:
        code, shell = re.search(r"```python\n(.*?)```", section, re.S), re.search(r"```bash\n(.*?)```", section, re.S)
        assert code is not None, section
        assert shell is not None, section
        role = section.partition("\n")[0].lower().removesuffix("s").replace(" ", "_")
        name = re.match(r"# (\w+)\.py\n", code[1])
        assert name is not None, code[1]
        marked = [line for line in shell[1].splitlines() if line.endswith("# installed")]
        yield Example(role, name[1], code[1], [re.sub(r"\s+# .*", "", line) for line in marked])


EXAMPLES = list(examples())


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_modules: None) -> Iterator[Path]:
    """An empty current folder with recordings and a run; what a test registers and imports is forgotten after it."""
    monkeypatch.chdir(tmp_path)
    registry.entries(*ROLES.values())  # register the built-in parts before those that a test adds
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "answers.txt").write_text("1 + 1?;2;It is 2;It is 3\n")
    yield tmp_path
    registry._installed.cache_clear()
    for name in list(getattr(app, "commands", {})):
        del app.commands[name]


def install(folder: Path, name: str, *points: tuple[str, str]) -> None:
    """The metadata that ``pip install`` writes for a package, in ``folder``, which is then on the import path."""
    metadata = folder / f"{name.replace('-', '_')}-0.1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n")
    lines = [f"[{ROLES[role].group}]\n{point}\n" for role, point in points]
    (metadata / "entry_points.txt").write_text("\n".join(lines))
    sys.path.append(str(folder))
    registry._installed.cache_clear()


def test_entry_points_are_searched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[str] = []

    class Points:
        def select(self, group: str) -> list[str]:
            searched.append(group)
            return []

    monkeypatch.setattr(registry, "entry_points", Points)
    registry._installed.cache_clear()
    for _ in range(3):
        registry.entries(ROLES["sampler"], ROLES["command"])
    assert sorted(searched) == sorted(role.group for role in ROLES.values())


def called(command: str) -> Result:
    program, *arguments = shlex.split(command)
    assert program == "widthwise"
    return CliRunner().invoke(app, arguments)


def ended(command: str) -> str:
    result = called(command)
    assert result.exit_code == 0, f"{command}\n{result.output}"
    return result.output


def test_every_role_is_shown() -> None:
    assert {example.role for example in EXAMPLES} == set(ROLES)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.role)
def test_an_installed_part_is_named_like_a_built_in_one(here: Path, example: Example) -> None:
    assert len([line for line in example.code.splitlines() if line and not line.startswith("#")]) <= MOST_LINES
    site = here / "site"
    install(site, "widthwise-example", (example.role, example.entry_point))
    (site / f"{example.module}.py").write_text(example.code)
    if example.role == "command":
        import_recordings(recordings(here), "run.db")
    assert example.installed
    for command in example.installed:
        ended(command)
    listed = {
        "suite": "suites",
        "grader": "graders",
        "importer": "importers",
        "allocator": "allocators",
        "command": "--help",
    }
    models = ("backend", "prompt_format", "reward_format")
    shown = ended(f"widthwise {listed.get(example.role, 'models' if example.role in models else 'strategies')}")
    assert example.module in shown


def recordings(folder: Path) -> Path:
    (folder / "rows.jsonl").write_text(ROWS)
    return folder / "rows.jsonl"


# -- parts that do not fit -------------------------------------------------------------------------------------------

WRONG = """
import dataclasses
import widthwise as ww

async def number(session): return 3
async def text(session, traces): return "4"
async def nothing(session, live, finished, total): return None
def plain(session): return []
class Bare:
    name = "bare"
    async def close(self): ...
class Mute(ww.Grader):
    name = "mute"
class Sync(ww.Grader):
    name = "sync"
    def extract(self, text): return text
    def correct(self, problem, answer): return True
def one(): return 1
def broken(): raise KeyError("x")
class Guess(ww.Grader):
    name = "guess"
    def extract(self, text): return "4"
    async def correct(self, problem, answer): return "yes"
class Length(ww.Grader):
    name = "length"
    def extract(self, text): return len(text)
    async def correct(self, problem, answer): return True
async def unsaid(session, trace, others): return []
@ww.register("judge")
async def few(session, trace, others): return []
@dataclasses.dataclass(frozen=True)
class Loser(ww.Selector):
    async def select(self, session, frontier): return ww.Selection({})
FORMAT = "{problem}"
def rows(path): return [1]
"""
EVAL = "widthwise eval arithmetic --limit 1 --max-tokens 4 --strategy"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (f"{EVAL} mine:number", "mine:number does not fit: a sampler is an async function of (session) that returns "
         "traces, an Answer or a text; it returned 3 (int)"),
        (f"{EVAL} 'single() | mine:text'", "an aggregator is an async function of (session, traces) that returns an "
         "Answer; it returned '4' (str)"),
        (f"{EVAL} 'single() | mine:nothing'", "(session, live, finished, total) that returns a Decision; it returned "
         "None (NoneType)"),
        (f"{EVAL} mine:plain", "mine:plain must be an `async def` function"),
        (f"{EVAL} 'single() | mine:Bare'", "mine:Bare"),
        (f"{EVAL} 'single()' --model mine:Bare", "found a Bare without capabilities, tokenizer, max_model_len, "
         "generate, describe"),
        (f"{EVAL} 'single()' --model mine:one", "found an int without name"),
        (f"{EVAL} 'single()' --model mine:broken", "KeyError"),
        (f"{EVAL} 'single()' --grader mine:Mute", "a grader is an object, or a class without arguments, that derives "
         "from ww.Grader and has name, extract(text), which returns the answer or None, and async correct"),
        (f"{EVAL} 'single()' --grader mine:Sync", "found a Sync whose correct is not async"),
        (f"{EVAL} 'single()' --grader mine:one", "found an int without name"),
        (f"{EVAL} 'single()' --grader mine:Guess", "that returns such a grade; it returned 'yes' (str)"),
        (f"{EVAL} 'best_of_n(n=2)' --grader mine:Length", "(int)"),
        (f"{EVAL} 'best_of_n(n=2) | deepprune(at=2, judge=mine:unsaid)'",
         "mine:unsaid does not fit: a judge is an async function of (session, trace, others)"),
        ("widthwise eval countdown --limit 2 --strategy 'best_of_n(n=8) | deepprune(at=8, judge=mine:few)'",
         "it returned [] (list)"),
        (f"{EVAL} \"tree_search(n=2, by='mean_logprob', select=mine:Loser())\"", "every node of the frontier"),
        (f"{EVAL} 'single()' --format mine:FORMAT", "a prompt format is a PromptFormat, or a Family, which also says "
         "how its models are recognised; it returned '{problem}' (str)"),
        (f"{EVAL} 'single()' --reward-model scorer --reward-arg format=mine:FORMAT", "a reward format is a "
         "RewardFormat; it returned '{problem}' (str)"),
        ("widthwise eval mine:one", "a suite is a Suite, or a function of its own arguments that returns a Suite or a "
         "list of Problems; it returned 1 (int)"),
        ("widthwise eval mine:broken", "KeyError"),
        ("widthwise eval 'mine:one(n=2)'", "unexpected keyword argument 'n'"),
        ("widthwise import answers.txt run.db --as mine:rows", "returns rows of the recorded-trace schema"),
        (f"{EVAL} mine:FORMAT", "mine:FORMAT is a text ('{problem}'), and a strategy consists of parts: give the "
         "import path of a sampler, a pruner, a budget or an aggregator"),
        (f"{EVAL} 'single() | mine:FORMAT'", "mine:FORMAT is a text ('{problem}'), and a strategy consists of parts"),
        (f"{EVAL} \"cascade(('a', 'b'), thresholds=(1,), worker=mine:FORMAT)\"",
         "is a text, and a strategy consists of parts: give the part itself, not a text that names it"),
        (f"{EVAL} 'single()' --model mine:FORMAT", "mine:FORMAT does not fit: a backend is a class or function"),
        ("widthwise mine:FORMAT", "mine:FORMAT does not fit: a command is a function"),
        ("widthwise import answers.txt run.db --as mine:FORMAT", "mine:FORMAT does not fit: an importer is"),
        ("widthwise mine:absent", "mine has no 'absent'"),
        ("widthwise mine_absent:f", "cannot import 'mine_absent'"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_part_is_one_sentence(here: Path, command: str, words: str) -> None:
    (here / "mine.py").write_text(WRONG)
    result = called(command)
    assert words in result.stderr
    assert result.exit_code in (1, 2)
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("role", "part", "words"),
    [
        ("samplr", "async def f(session): ...", "there is no role 'samplr'"),
        ("sampler", "def f(session): ...", "found a function that is not async"),
        ("sampler", "async def f(session, traces): ...", "found a function of (session, traces)"),
        ("aggregator", "async def f(session): ...", "found a function of (session)"),
        ("pruner", "class f: ...", "found a class without __call__"),
        ("selector", "async def f(session, frontier): ...", "derived from ww.Selector"),
        ("judge", "async def f(session, trace): ...", "found a function of (session, trace)"),
    ],
)
def test_a_decorator_refuses_what_does_not_fit(here: Path, role: str, part: str, words: str) -> None:
    (here / "mine.py").write_text(f"import widthwise as ww\n@ww.register({role!r})\n{part}\n")
    result = called("widthwise eval arithmetic --strategy mine:f")
    assert result.exit_code == 2
    assert words in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("folder", ["samplers", "pruning", "aggregators"])
def test_every_built_in_part_is_public_and_found_by_its_name(folder: str) -> None:
    known = {entry.source for entry in registry.entries(*(ROLES[role] for role in STRATEGY))}
    declared = {}
    for file in (PAGE.parents[1] / folder).glob("*.py"):
        for name in re.findall(r'^@register\("\w+"\)\n(?:@.*\n)*class (\w+)', file.read_text(), re.MULTILINE):
            declared[name] = f"widthwise.{folder}.{file.stem}:{name}"
    assert len(declared) >= 10
    assert set(declared) <= set(ww.__all__)
    assert set(declared.values()) <= known


# -- names -----------------------------------------------------------------------------------------------------------


def test_two_parts_of_one_name_are_refused_with_both_sources(here: Path) -> None:
    (here / "mine.py").write_text("async def three(session): ...\nasync def other(session): ...\n")
    install(here / "a", "widthwise-a", ("sampler", "three = mine:three"))
    install(here / "b", "widthwise-b", ("aggregator", "three = mine:other"), ("sampler", "best_of_n = mine:other"))
    sys.path.append(str(here))
    both = {
        "three": ("mine:three (widthwise-a 0.1)", "mine:other (widthwise-b 0.1)"),
        "best_of_n": ("widthwise.samplers.best_of_n:BestOfN (built in)", "mine:other"),
    }
    for name, sources in both.items():
        result = called(f"{EVAL} {name}")
        assert result.exit_code == 2
        assert all(source in result.stderr for source in sources)
    assert "is the name of 2 parts" in ended("widthwise strategies")


def test_a_name_that_is_registered_is_not_given_again() -> None:
    @registry.register("sampler", "twice_named")
    async def first(session: object) -> None: ...

    with pytest.raises(UsageError, match=r"'twice_named' is already the name of .*first"):

        @registry.register("sampler", "twice_named")
        async def second(session: object) -> None: ...


def test_the_same_part_found_in_two_ways_is_one(here: Path) -> None:
    (here / "mine.py").write_text(
        "import widthwise as ww\n@ww.register('sampler')\nasync def three(session):\n"
        "    return await session.sample(session.root, 3)\n"
    )
    install(here, "widthwise-three", ("sampler", "three = mine:three"))
    assert parse_strategy("mine:three").sampler is parse_strategy("three").sampler
    assert str(parse_strategy("three")) == "three"


def test_text_that_is_not_the_users_own_names_installed_parts_and_no_path(here: Path) -> None:
    (here / "mine.py").write_text("async def three(session): ...\n")
    install(here, "widthwise-three", ("sampler", "three = mine:three"))
    with pytest.raises(UsageError, match="only your own command may name one"):
        parse_strategy("mine:three", trusted=False)
    assert "mine" not in sys.modules
    assert str(parse_strategy("three", trusted=False)) == "three"


def test_a_broken_plug_in_is_said_where_it_is_listed_and_breaks_nothing_else(here: Path) -> None:
    (here / "mine.py").write_text("import no_such_module\n")
    points = [("sampler", "gone = mine:f"), ("suite", "gone = mine:f"), ("command", "gone = mine:f"),
              ("grader", "gone = mine:f"), ("backend", "gone = mine:f"), ("importer", "module = mine")]  # fmt: skip
    install(here, "widthwise-gone", *points)
    for listing in ("strategies", "suites", "graders", "models", "--help"):
        assert "'gone' of widthwise-gone 0.1 cannot be loaded" in " ".join(ended(f"widthwise {listing}").split())
    assert "names no object in a module" in ended("widthwise importers")
    assert called("widthwise gone").exit_code == 2
    ended(f"{EVAL} 'single()'")


def test_a_suite_that_is_a_value_is_listed_with_its_size(here: Path) -> None:
    (here / "mine.py").write_text(
        "import widthwise as ww\nfrom widthwise.evals.suites.hub import MATH\n"
        "two = ww.Suite('two', tuple(ww.Problem(f'p{i}', '1+1?', '2') for i in range(2)), MATH, 'made by hand')\n"
    )
    install(here, "widthwise-two", ("suite", "two = mine:two"))
    assert re.search(r"two +2 +made by hand", ended("widthwise suites"))
    assert "two, 2 problems" in ended("widthwise eval mine:two --max-tokens 4 --strategy 'single()'")


def test_nothing_of_a_plug_in_is_imported_before_it_is_used(here: Path) -> None:
    (here / "mine.py").write_text("async def three(session): ...\n")
    install(here, "widthwise-three", ("sampler", "three = mine:three"), ("suite", "three = mine:three"))
    ended(f"{EVAL} 'single()'")
    assert "mine" not in sys.modules


# -- from Python -----------------------------------------------------------------------------------------------------


def test_own_parts_work_in_solve_and_sweep(here: Path) -> None:
    by_role = {example.role: example for example in EXAMPLES}
    for role in ("backend", "suite", "grader", "sampler", "prompt_format"):
        (here / f"{by_role[role].module}.py").write_text(by_role[role].code)
    result = ww.solve("1+1?", "three:three(n=2)", "echo:Echo", backend_args={"says": "so 2"}, grader="exact:Exact",
                      format="terse:TERSE")  # fmt: skip
    assert (result.answer, len(result.traces)) == ("2", 2)
    assert "Q: 1+1?" in result.traces[0].path[0].text
    swept = ww.sweep(["three:three(n=2) | majority_vote()"], ["sums:sums(n=2)"], [1], model="echo:Echo",
                     backend_args={"says": "so 2"}, grader="exact:Exact", folder=here / "sweep")  # fmt: skip
    assert swept.curves[0].lines["run"].accuracy.tolist() == [0.5]


REWARD = """
import widthwise as ww

class Short:
    name, kind = "short", "outcome"
    async def score(self, problem, solutions):
        return [ww.StepScores((1.0 / (1 + len("".join(s.steps))),)) for s in solutions]
    async def close(self): ...
"""


def test_a_reward_model_of_ones_own_is_named_like_a_model(here: Path) -> None:
    (here / "mine.py").write_text(REWARD)
    strategy = "best_of_n(n=4) | best_by('reward_model')"
    ended(f'widthwise eval arithmetic --limit 1 --strategy "{strategy}" --reward-model mine:Short')
    result = ww.solve("Compute 2 + 3 - 1.", strategy, reward_model="mine:Short")
    assert result.election.trace is min(result.traces, key=lambda trace: len(trace.completion))


def test_a_run_of_an_own_grader_is_graded_again_by_it_alone(here: Path) -> None:
    (here / "exact.py").write_text(next(example.code for example in EXAMPLES if example.role == "grader"))
    ended(f"{EVAL} 'single()' --grader exact:Exact --run a.db")
    refused = called("widthwise grade a.db")
    assert refused.exit_code == 2
    assert "graded by 'exact', which is neither built in nor installed; name it with --grader" in refused.stderr
    ended("widthwise grade a.db --grader exact:Exact")
    install(here, "widthwise-exact", ("grader", "exact = exact:Exact"))
    ended("widthwise grade a.db")


def test_the_package_is_light_and_its_names_are_a_static_list() -> None:
    heavy = "scipy matplotlib datasets pyarrow aiohttp sympy vllm torch"
    script = (
        "import sys, widthwise\n"
        "from widthwise.core.registry import entries\nfrom widthwise.core.roles import ROLES\n"
        f"for light in (lambda: None, lambda: entries(*ROLES.values())):\n"
        f"    light(); print(sorted(set({heavy.split()!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "[]"]
    tree = ast.parse(Path(ww.__file__).read_text())
    [names] = [node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "__all__"]  # type: ignore[attr-defined]
    assert ast.literal_eval(names) == ww.__all__
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert set(ww.__all__) <= {alias.name for node in imports for alias in node.names}
