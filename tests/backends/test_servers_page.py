"""`docs/servers.md` agrees with the code: its table, its commands, and what was run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.backends.test_real_servers import WAYS
from widthwise.backends.http.address import named
from widthwise.backends.http.profile import dialect_named, prefix_named
from widthwise.backends.http.programs import CONTINUING, Program, hosted_at, prefix_of

PAGE = (Path(__file__).parents[2] / "docs" / "servers.md").read_text()
ADDRESSES = re.findall(r"--model (https?://\S+)", PAGE)
TESTED = {"vllm": "vLLM", "llama": "llama.cpp", "litellm": "LiteLLM in front of vLLM"}


def rows() -> dict[str, list[str]]:
    """The table of servers by name: dialects, whether it continues texts, log-probabilities, and who checked it."""
    lines = PAGE.partition("| server |")[2].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[: lines.index("")]]
    return {name: rest for name, *rest in cells}


def program_at(url: str) -> Program:
    """What the address alone reveals."""
    return hosted_at(url) or Program()


@pytest.mark.parametrize("url", [url for url in ADDRESSES if url.startswith("https:")])
def test_hosted_servers_go_on_where_the_page_says_so(url: str) -> None:
    (base,), model = named(url, None)
    assert model is not None
    program = program_at(base)
    goes_on = prefix_of(program, base) is not None
    assert program.kind in rows()
    assert rows()[program.kind][1].startswith("yes") == goes_on


def test_every_hosted_server_has_its_command() -> None:
    hosted = {program_at(named(url, None)[0][0]).kind for url in ADDRESSES if url.startswith("https:")}
    own = {"vLLM", "llama.cpp", "SGLang", "Ollama", "LiteLLM in front of vLLM"}
    assert hosted == rows().keys() - own


@pytest.mark.parametrize("name", ["vLLM", "llama.cpp", "SGLang", "Ollama", "LiteLLM in front of vLLM"])
def test_other_servers_go_on_where_the_page_says_so(name: str) -> None:
    assert rows()[name][1].startswith("yes") == (name in CONTINUING)
    assert rows()[name][1].startswith("yes") == (prefix_of(Program(name), "http://h/v1") is not None)


def test_what_the_page_calls_run_is_what_the_tests_run() -> None:
    ran = {name for name, row in rows().items() if row[3].startswith("run")}
    assert ran == {TESTED[way.fixture.removesuffix("_url")] for way in WAYS.values()}
    for way in WAYS.values():
        dialects = rows()[TESTED[way.fixture.removesuffix("_url")]][0]
        assert all(name.removeprefix("dialect=") in dialects for name in way.arguments if "dialect" in name)


def test_the_words_for_dialects_and_prefixes_are_taken() -> None:
    for name in re.findall(r"dialect=(\w+)", PAGE):
        assert dialect_named(name)
    for name in re.findall(r"prefix=(\w+)", PAGE):
        assert prefix_named(name)
