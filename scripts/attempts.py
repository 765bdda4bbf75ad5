"""What a checkpoint answers, and the skills that are learned from that.

`python scripts/attempts.py /path/to/reasoner attempts.jsonl --problems 6000 --samples 6` draws attempts at training
problems, `--test 1000` at held-out ones. `reasoner_data.py --attempts` and `scorer_data.py` make documents from them:
telling whether two beginnings end in the same answer, verifying a solution, scoring its steps, refining drafts and
taking notes on them (`refining.py`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import string
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice, takewhile
from pathlib import Path

import numpy as np
from documents import Document, document, turn
from labels import Task, beginnings, boxed, parts, right_operations, step_labels, steps_of, true_quantities
from rich.progress import track
from solutions import Expression, arithmetic_solution, countdown_solution, expressions, games, solving_moves

from widthwise.core.backend import Backend, Request, SamplingParams
from widthwise.core.prompting.prompt import PromptFormat
from widthwise.evals.suites import arithmetic, countdown
from widthwise.models import reward_formats
from widthwise.models.formats import QUANTITIES, REASONER, REASONER_PROMPTS
from widthwise.opening import open_backend

LEVELS = range(2, 11)
NUMBERS = (3, 4, 4, 4, 4, 5)
SHARES = (0.25, 0.5, 0.5, 0.75)
TEST_SEED = 777
WAVE = 32  # problems at once
DRAFTS = (1, 2, 3, 3, 4, 4, 8)
WITH_RIGHT = 0.7
NO_DIGITS = "".join(set(string.printable) - set(string.digits))
LONGEST_PROMPT = 900  # characters of all drafts


@dataclass(frozen=True, slots=True)
class Attempted:
    """A problem, a right solution of it, and what a model answered."""

    task: Task
    solution: str
    texts: tuple[str, ...]


# --- Drawing ------------------------------------------------------------------------------------------------------


def problems(seed: int, boards: int) -> Iterator[tuple[Task, str]]:
    """Endless training problems with a solution: one of arithmetic, then so many of countdown, and so on."""
    rng = random.Random(seed)
    expressed, played = sums(rng), countdowns(rng)
    while True:
        yield next(expressed)
        yield from islice(played, boards)


def sums(rng: random.Random) -> Iterator[tuple[Task, str]]:
    for problem in expressions(rng, LEVELS):
        yield task_of(problem), arithmetic_solution(problem.tree)


def task_of(problem: Expression) -> Task:
    return Task(problem.key, problem.question, arithmetic.value(problem.tree))


def countdowns(rng: random.Random) -> Iterator[tuple[Task, str]]:
    while True:
        game = next(games(rng, rng.choice(NUMBERS)))
        moves = solving_moves(game.numbers, game.target, rng)
        yield Task(game.key, game.question, game.target, game.numbers), countdown_solution(game.numbers, moves)


def tests(number: int, seed: int) -> list[tuple[Task, str]]:
    """So many held-out problems of each task, without solutions."""
    found = []
    for problem in arithmetic.generate(number, seed):
        found.append(Task(problem.id, problem.text, int(str(problem.answer))))
    for problem in countdown.generate(number, seed):
        found.append(Task(problem.id, problem.text, problem.metadata["target"], tuple(problem.metadata["numbers"])))
    return [(task, "") for task in found]


async def draw(backend: Backend, task: Task, samples: int, seed: int) -> tuple[str, ...]:
    """Sampled solutions of one problem, at temperature 1."""
    prompt = np.array(backend.tokenizer.encode(turn(task.question)), np.int64)

    async def one(index: int) -> str:
        request = Request(prompt, SamplingParams(max_tokens=500, logprobs=None), seed * samples + index)
        ids = [token async for delta in backend.generate(request) for token in delta.token_ids]
        return backend.tokenizer.decode(ids).removesuffix("</s>")

    return tuple(await asyncio.gather(*map(one, range(samples))))


async def collect(model: str, out: Path, drawn: Sequence[tuple[Task, str]], samples: int) -> None:
    """Write one line per problem."""
    backend = await open_backend(model)
    with out.open("w") as file:
        for start in track(range(0, len(drawn), WAVE), description="drawing attempts"):
            group = drawn[start : start + WAVE]
            texts = await asyncio.gather(*(draw(backend, t, samples, start + i) for i, (t, _) in enumerate(group)))
            for (task, solution), attempts in zip(group, texts, strict=True):
                file.write(json.dumps({"task": asdict(task), "solution": solution, "texts": attempts}) + "\n")
    await backend.close()


def read(path: Path) -> list[Attempted]:
    """The attempts of a file."""
    found = []
    for line in path.open():
        record = json.loads(line)
        task = record["task"] | {"numbers": tuple(record["task"]["numbers"])}
        found.append(Attempted(Task(**task), record["solution"], tuple(record["texts"])))
    return found


# --- Documents ----------------------------------------------------------------------------------------------------


def verify(attempted: Attempted, rng: random.Random) -> Iterator[Document]:
    """A solution, then its result computed anew, then the verdict."""
    text = rng.choice(attempted.texts)
    verdict = "+" if is_right(attempted.task, text) else "-"
    yield made(attempted, "verify", f"{checked(attempted.task, text)}\n\n{verdict}", draft=text)


def checked(task: Task, text: str) -> str:
    """The operations of a solution computed anew up to the first error; for countdown, what they reach.

    The target is shown beside it, so that a miss is visible.
    """
    steps = steps_of(text)
    if task.system:
        return "\n".join(true_quantities(task.system, steps))
    lines = list(right_operations(steps))
    if task.numbers and lines and lines[-1] in steps:
        lines.append(f"{lines[-1].rpartition(' ')[2]} to reach {task.target}")
    return "\n".join(lines)


def same_answer(attempted: Attempted, rng: random.Random) -> Iterator[Document]:
    """The beginnings of two solutions, then whether they end in the same answer."""
    answered = [(text, answer) for text in attempted.texts if (answer := canonical(attempted.task, text))]
    pairs = [(a, b) for i, a in enumerate(answered) for b in answered[i + 1 :]]
    for same in (True, False):
        some = [pair for pair in pairs if (pair[0][1] == pair[1][1]) == same]
        if some:
            (first, _), (second, _) = rng.choice(some)
            share = rng.choice(SHARES)
            cut = (
                (parts(first, share), parts(second, share)) if rng.random() < 0.5 else beginnings(first, second, share)
            )
            one, other = map(format_of(attempted.task).recent, cut)
            verdict = "+" if same else "-"
            yield watched(made(attempted, "same_answer", verdict, first=one, second=other), one, other, verdict)


def format_of(task: Task) -> PromptFormat:
    """How the model for a task is asked."""
    return QUANTITIES if task.system else REASONER


def scoring(task: Task) -> str:
    """The prompt after which a model scores the steps of a solution."""
    layout = reward_formats.QUANTITIES if task.system else reward_formats.SCORER
    return turn(layout.opening.replace("{problem}", task.question))


def made(attempted: Attempted, question: str, answer: str, **fields: str) -> Document:
    """A document that asks one of the reasoner's questions."""
    asked = REASONER_PROMPTS[question]
    for place, text in ({"problem": attempted.task.question} | fields).items():
        asked = asked.replace(f"{{{place}}}", text)
    return document(attempted.task.key, question, asked, answer)


def watched(asked: Document, first: str, second: str, verdict: str) -> Document:
    """The document with its verdict also learned within the second text: all over it, or from where it departs.

    At the end alone, the verdict is one bit of a long document, and models did not learn to compare texts from that.
    """
    (question, _), answer = asked.parts
    before, _, after = question.rpartition(second)
    same = "".join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], zip(second, first, strict=False)))
    # A token ends after a digit, so the text is cut as the tokenizer would.
    common = len(same.rstrip(NO_DIGITS)) if verdict == "-" else 0
    watching = ((before + second[:common], False), (second[common:], verdict), (after, False))
    return replace(asked, parts=(*watching, answer))


def chosen(attempted: Attempted, rng: random.Random) -> list[str]:
    """Some attempts, short enough to fit into one prompt; usually including a right one, if there is one."""
    drafts: list[str] = []
    count = min(rng.choice(DRAFTS), len(attempted.texts))
    picked = rng.sample(attempted.texts, count)
    right = [text for text in attempted.texts if is_right(attempted.task, text)]
    if right and rng.random() < WITH_RIGHT:
        picked[rng.randrange(count)] = rng.choice(right)
    for text in picked:
        if not drafts or sum(map(len, drafts)) + len(text) <= LONGEST_PROMPT:
            drafts.append(text)
    return drafts


def listed(drafts: Sequence[str]) -> str:
    return "".join(REASONER_PROMPTS["each_draft"].replace("{text}", text.strip()) for text in drafts)


def canonical(task: Task, text: str) -> str | None:
    """The answer of a solution in a form that is the same for equal answers."""
    answer = boxed(text)
    return answer if answer is None or not task.numbers else countdown.canonical(answer)


def is_right(task: Task, text: str) -> bool:
    """Whether a solution ends in a right answer by right steps; of quantities, some may have been for nothing."""
    if task.system:
        return boxed(text) == str(task.target)
    return all(step_labels(task, steps_of(text))) and boxed(text) is not None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of a checkpoint")
    parser.add_argument("out", type=Path)
    parser.add_argument("--problems", type=int, default=6000)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--boards", type=int, default=1, help="countdown problems for each arithmetic one")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--test", type=int, help="draw at so many held-out problems of each task instead")
    options = parser.parse_args()
    training = islice(problems(options.seed, options.boards), options.problems)
    drawn = tests(options.test, TEST_SEED) if options.test else list(training)
    asyncio.run(collect(f"embedded:{options.model}", options.out, drawn, options.samples))


if __name__ == "__main__":
    main()
