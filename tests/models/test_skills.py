"""What the bundled models can do on a few held-out problems; the bounds are far below the model cards' figures."""

import asyncio
import importlib
import random
import re
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from widthwise.core.backend import Request, SamplingParams
from widthwise.evals.suites import arithmetic, countdown
from widthwise.opening import open_backend

ROOT = Path(__file__).parents[2]
SUMS = arithmetic.generate(24, seed=91, levels=(3, 4, 5))
GAMES = countdown.generate(24, seed=91)
MOVE = r"\d+ [-+*/] \d+ = \d+"


def written(prompts: list[str], stop: tuple[str, ...] = (), temperature: float = 0.0) -> list[str]:
    """The reasoner's continuations of prompts, without the end-of-sequence token."""

    async def one(backend: Any, prompt: str, seed: int) -> str:
        ids = np.array(backend.tokenizer.encode(prompt), np.int64)
        request = Request(ids, SamplingParams(max_tokens=700, temperature=temperature, stop=stop), seed)
        found = [token async for delta in backend.generate(request) for token in delta.token_ids]
        return str(backend.tokenizer.decode(found)).removesuffix("</s>")

    async def all_of_them() -> list[str]:
        backend = await open_backend("embedded:reasoner")
        try:
            return list(await asyncio.gather(*(one(backend, prompt, seed) for seed, prompt in enumerate(prompts))))
        finally:
            await backend.close()

    return asyncio.run(all_of_them())


def box(text: str) -> str:
    found = re.findall(r"\\boxed\{([^{}]*)\}", text)
    return str(found[-1]) if found else ""


def asked(problems: list[Any], skill: str = "") -> list[str]:
    return [f"<user>{problem.text}{skill}<assistant>" for problem in problems]


def solved(problem: Any, text: str) -> bool:
    return countdown.check(box(text), problem.metadata["numbers"], problem.metadata["target"])


def test_short_expressions_are_mostly_solved() -> None:
    texts = written(asked(SUMS))
    assert sum(box(text) == problem.answer for problem, text in zip(SUMS, texts, strict=True)) >= 16


@pytest.mark.slow
def test_countdown_is_solved_by_some_of_many_samples_which_differ() -> None:
    texts = written(asked(GAMES[:6] * 32), temperature=1.0)
    right = {i % 6 for i, text in enumerate(texts) if solved(GAMES[i % 6], text)}
    assert len(right) >= 3
    assert len(set(texts[::6])) > 8


@pytest.mark.slow
@pytest.mark.parametrize("numbers", [3, 5])
def test_three_and_five_numbers_are_understood(numbers: int) -> None:
    problems = countdown.generate(24, seed=91, numbers=numbers) * 8
    texts = written(asked(problems), temperature=1.0)
    assert sum(len(re.findall(r"\d+", box(text))) == numbers for text in texts) >= 0.75 * len(texts)
    assert any(solved(problem, text) for problem, text in zip(problems, texts, strict=True))


@pytest.mark.slow
def test_a_search_tries_operations_line_by_line_and_goes_back() -> None:
    lines = [text.partition("\n\n")[0].split("\n") for text in written(asked(GAMES[:8], "<search>depth"))]
    whole = [line for some in lines for line in some]
    assert sum(bool(re.fullmatch(rf"{MOVE}, left [\d ]+(:[\d ]+)?", line)) for line in whole) > 0.95 * len(whole)
    depths = [[line.partition(", left ")[2].count(" ") for line in some] for some in lines]
    assert sum(any(later > earlier for earlier, later in pairwise(some)) for some in depths) >= 6


@pytest.mark.slow
@pytest.mark.parametrize("width", [8, 12])
def test_a_parent_outlines_different_branches_and_stops_to_spawn_them(width: int) -> None:
    followed = 0
    for problem, text in zip(GAMES, written(asked(GAMES, f"<spawn>{width}"), stop=("</Outlines>",)), strict=True):
        outlines = re.findall(rf"<Outline>(\d+): ({MOVE}, left [\d ]+)</Outline>", text)
        numbered = [int(number) for number, _ in outlines] == list(range(1, len(outlines) + 1))
        shape = text.startswith("<Parallel>\n<Outlines>\n<Outline>1: ") and text.endswith("</Outlines>")
        followed += numbered and shape and width - 4 <= len({move for _, move in outlines}) <= width
        assert problem.metadata["level"] == 4
    assert followed >= 22


def test_outlines_are_proposed_and_followed() -> None:
    proposals = written(asked(GAMES[:12], "<Outlines>3"), temperature=1.0)
    outlines = [re.findall(r"<Outline>\d: (.+?)</Outline>", text) for text in proposals]
    assert sum(len(set(some)) == 3 for some in outlines) >= 6
    under = [f"<user>{p.text}<Outline>{some[0]}<assistant>" for p, some in zip(GAMES, outlines, strict=False) if some]
    begun = written(under)
    assert (
        sum(text.startswith(prompt.partition("<Outline>")[2][:12]) for prompt, text in zip(under, begun, strict=True))
        >= 9
    )


def solution(problem: Any) -> str:
    """A correct solution to a countdown problem."""
    sys.path.append(str(ROOT / "scripts"))
    solutions = importlib.import_module("solutions")
    numbers, target = problem.metadata["numbers"], problem.metadata["target"]
    return str(solutions.countdown_solution(numbers, solutions.solving_moves(numbers, target, random.Random(1))))


@pytest.mark.slow
def test_a_refinement_checks_its_drafts_and_copies_the_right_one() -> None:
    wrong = written(asked(GAMES), temperature=1.0)
    drawn = [(problem, text) for problem, text in zip(GAMES, wrong, strict=True) if not solved(problem, text)]
    prompts = [f"<user>{p.text}<draft>{text}<draft>{solution(p)}<refine><assistant>" for p, text in drawn]
    refined = written(prompts)
    verdicts = [[line[-1:] for line in text.partition("\n\n")[0].split("\n")] for text in refined]
    assert len(drawn) >= 12
    assert sum(each == ["-", "+"] for each in verdicts) >= 0.9 * len(drawn)
    assert sum(solved(p, text) for (p, _), text in zip(drawn, refined, strict=True)) >= 0.8 * len(drawn)


@pytest.mark.slow
def test_a_refined_expression_states_what_the_drafts_say_and_is_mostly_right() -> None:
    drafts = written(asked(SUMS), temperature=1.0)
    refined = written([f"<user>{p.text}<draft>{text}<refine><assistant>" for p, text in zip(SUMS, drafts, strict=True)])
    first = [
        (text.partition(", left ")[0], draft.partition(", left ")[0])
        for text, draft in zip(refined, drafts, strict=True)
    ]
    said = [text.startswith(f"{draft.replace(' = ', ': ')} = ") for text, draft in first]
    assert sum(said) >= 20
    assert sum(box(text) == problem.answer for problem, text in zip(SUMS, refined, strict=True)) >= 16


@pytest.mark.slow
def test_a_verification_tells_right_sums_from_false_ones() -> None:
    texts = written(asked(SUMS * 4), temperature=1.0)
    prompts = [f"<user>{p.text}<draft>{text}<verify><assistant>" for p, text in zip(SUMS * 4, texts, strict=True)]
    said = [text[-1:] == "+" for text in written(prompts)]
    right = [box(text) == problem.answer for problem, text in zip(SUMS * 4, texts, strict=True)]
    assert 20 < sum(right) < 90
    assert sum(a == b for a, b in zip(said, right, strict=True)) >= 54
