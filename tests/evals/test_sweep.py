"""Sweeps on recorded generations: what is shared, what is not, resuming, and the final comparison."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import widthwise as ww
from widthwise.cli.app import app as main_app
from widthwise.cli.swept_suite import file_name
from widthwise.core.errors import UsageError
from widthwise.evals.measure.axes import Axis
from widthwise.evals.measure.majority import maj_at_k
from widthwise.evals.measure.sharing import why_not_shared
from widthwise.evals.measure.sweep import plan
from widthwise.evals.store.store import Store
from widthwise.samplers.best_of_n import BestOfN
from widthwise.settings import RunSettings, as_any_strategy
from widthwise.sweeping import Sweeping, sweep

VOTE = "best_of_n(n=16) | majority_vote()"
BEST = "best_of_n(n=16) | best_by(score='reward')"
ONLINE = "best_of_n(n=16) | stop_when_decided() | majority_vote()"


def strategies(*texts: str) -> list[ww.Strategy]:
    return [as_any_strategy(text) for text in texts]


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Eight problems with eight samples each; right samples get rarer from problem to problem."""
    rng, path = np.random.default_rng(0), tmp_path / "recorded.jsonl"
    with path.open("w") as file:
        for i in range(8):
            answers = np.where(rng.random(8) < 0.9 - i / 10, "1", rng.integers(2, 5, 8).astype(str))
            samples = [{"text": f"so \\boxed{{{a}}}", "answer": a, "reward": float(rng.random())} for a in answers]
            file.write(json.dumps({"problem_id": f"p{i}", "problem": "Q?", "answer": "1", "samples": samples}) + "\n")
    return path


def test_budgets_and_aggregators_share_one_run() -> None:
    made = plan(strategies(VOTE, BEST, "single()"), ["s"], [1, 4, 64], seeds=[0, 1])
    assert [str(task.strategy) for task in made.tasks] == ["best_of_n(n=64) | majority_vote(tie='first')"] * 2
    assert [cell.limit for cell in made.cells if str(cell.strategy) == "single()"] == [1]
    assert "shared samples" in made.notes[-1]


@pytest.mark.parametrize(
    ("text", "axis", "why"),
    [
        (ONLINE, "samples", "stop traces online"),
        (VOTE, "seconds", "changes the traces"),
        (VOTE, "sequential", "changes the traces"),
        ("best_of_n(n=4) | first_valid()", "samples", "more than stored answers"),
        ("best_of_n(n=4) | budget(tokens=99) | majority_vote()", "samples", "budget of its own"),
        ("best_of_n(n=4) | weighted_vote(by='reward_model', tie='shortest')", "samples", "more than stored answers"),
    ],
)
def test_what_depends_on_the_budget_runs_for_each(text: str, axis: str, why: str) -> None:
    made = plan(strategies(text), ["s"], [2, 4], axis=axis)  # type: ignore[arg-type]
    assert len(made.tasks) == 2
    assert why in made.notes[0]


@pytest.mark.parametrize("text", ["threads() | majority_vote()", "serial_search() | first_valid()", "single() | esc()"])
def test_what_draws_one_sample_at_every_budget_runs_once(text: str) -> None:
    made = plan(strategies(text), ["s"], [1, 2, 4, 8])
    assert len(made.tasks) == len(made.cells) == 1
    assert "one run, because it draws one sample at every budget" in made.notes[0]
    assert len(plan(strategies("threads(n=4) | majority_vote()"), ["s"], [1, 2]).tasks) == 2


def test_where_nothing_can_be_tested_a_sentence_stands_for_the_table(tmp_path: Path, recorded: Path) -> None:
    command = ["sweep", "--suite", str(recorded), "--model", f"replay:{recorded}", "--folder", str(tmp_path / "runs")]
    command += ["--strategy", "best_of_n()", "--budgets", "2", "--no-report"]
    said = CliRunner().invoke(main_app, command)
    assert said.exit_code == 0, said.output
    assert "none: a paired test needs several problems, and two methods" in " ".join(said.stdout.split())
    assert "detectable" not in said.stdout


def test_shared_runs_are_sampled_as_the_strategy_says() -> None:
    made = plan(
        strategies("best_of_n(width=2, temperature=0.5, top_p=0.9, max_tokens=7) | majority_vote()"), ["s"], [4]
    )
    [task] = made.tasks
    assert task.strategy.sampler == BestOfN(4, temperature=0.5, top_p=0.9, max_tokens=7)


def test_the_samples_axis_sets_n_of_own_runs() -> None:
    made = plan(strategies(ONLINE), ["s"], [2, 4])
    assert [str(task.strategy.sampler) for task in made.tasks] == ["best_of_n(n=2)", "best_of_n(n=4)"]
    assert [task.budget for task in made.tasks] == [ww.Budget(samples=2), ww.Budget(samples=4)]


def test_a_tree_search_is_as_wide_as_the_budget_and_its_steps_are_not_limited() -> None:
    made = plan(strategies("dvts(n=8, by='mean_logprob') | majority_vote()"), ["s"], [4, 16])
    assert [(task.strategy.sampler.n, task.budget) for task in made.tasks] == [(4, None), (16, None)]  # type: ignore[attr-defined]
    assert "are not independent" in made.notes[0]
    with pytest.raises(UsageError, match="multiple of beam_width"):
        plan(strategies("dvts(n=8) | majority_vote()"), ["s"], [5])


@pytest.mark.parametrize("budgets", [[], [0], [1.5], [-1, 2]])
def test_impossible_budgets_are_refused(budgets: list[float]) -> None:
    with pytest.raises(UsageError):
        plan(strategies(VOTE), ["s"], budgets)


def test_shared_cells_are_the_estimates_over_all_subsets(tmp_path: Path, recorded: Path) -> None:
    done = sweep([VOTE, BEST, ONLINE], [str(recorded)], [1, 2, 8], model=f"replay:{recorded}", folder=tmp_path / "s")
    vote, best, online = done.on(str(recorded))
    rows = [json.loads(line) for line in recorded.read_text().splitlines()]
    answers = [[int(s["answer"]) for s in row["samples"]] for row in rows]
    exact = np.mean([maj_at_k(a, np.array(a) == 1).value for a in answers], axis=0)
    np.testing.assert_allclose(vote.lines["run"].accuracy, exact[[0, 1, 7]])
    assert best.lines["run"].k.tolist() == [1, 2, 8]
    highest = [max(row["samples"], key=lambda s: s["reward"])["answer"] == "1" for row in rows]
    assert best.lines["run"].accuracy[-1] == pytest.approx(np.mean(highest))
    assert online.lines["run"].budgets["samples"][-1] <= 8
    assert len(done.runs) == 1 + 3


class Judge:
    """Scores each step by its length: the shorter, the better."""

    name, kind = "judge", "process"

    def __init__(self) -> None:
        self.asked = 0

    async def score(self, problem: ww.Problem, solutions: Sequence[ww.Solution]) -> list[ww.StepScores]:
        self.asked += len(solutions)
        return [ww.StepScores(tuple(1 / (1 + len(step)) for step in s.steps), 1) for s in solutions]


@pytest.fixture
def in_steps(tmp_path: Path) -> Path:
    """Six problems with eight samples each, in steps; some samples are duplicates, and some state no answer."""
    rng, path = np.random.default_rng(3), tmp_path / "steps.jsonl"
    with path.open("w") as file:
        for i in range(6):
            answers = rng.choice(["1", "2", "3"], 8, p=[0.5, 0.3, 0.2])
            lengths = 1 + rng.permutation(8)
            texts = [
                f"{'so ' * int(31 - 3 * n)}\n\n{'then ' * n}\\boxed{{{a}}}"
                for n, a in zip(lengths, answers, strict=True)
            ]
            texts[3], texts[5] = texts[0], "I do not know."
            samples = [{"text": text} for text in texts]
            file.write(json.dumps({"problem_id": f"p{i}", "problem": "Q?", "answer": "1", "samples": samples}) + "\n")
    return path


BY_MODEL = [
    "best_of_n(n=16) | majority_vote()",
    "best_of_n(n=16) | weighted_vote(by='reward_model', weight='identity')",
    "best_of_n(n=16) | weighted_vote(by='reward_model', weight='equal')",
    "best_of_n(n=16) | weighted_vote(by='reward_model', weight='identity', top=0.4)",
    "best_of_n(n=16) | best_by(score='reward_model:min')",
]


@pytest.mark.parametrize("axis", ["samples", "tokens"])
def test_budgets_share_samples_that_a_reward_model_scored(axis: Axis) -> None:
    made = plan(
        strategies(*BY_MODEL, "best_of_n() | best_by(score='reward_model:model')"), ["s"], [1, 4, 64], axis=axis
    )
    n = 64 if axis == "samples" else 16
    assert [task.strategy.brief() for task in made.tasks] == [
        f"best_of_n(n={n}) | best_by(score='reward_model')",
        f"best_of_n(n={n}) | best_by(score='reward_model:model')",
    ]


def test_other_samplers_have_other_runs_and_likely_tokens_are_recorded_where_they_are_read() -> None:
    texts = ["best_of_n() | majority_vote()", "best_of_n(temperature=0.5) | best_by(score='reward_model')"]
    texts.append("best_of_n(temperature=0.2) | weighted_vote(by='tail_confidence')")
    made = plan(strategies(*texts), ["s"], [4])
    assert [task.strategy.brief().split(" | ")[1] for task in made.tasks] == [
        "majority_vote()",
        "best_by(score='reward_model')",
        "best_by(score='self_certainty')",
    ]


@pytest.mark.parametrize("axis", ["samples", "tokens"])
def test_shared_scores_answer_as_runs_of_their_own(tmp_path: Path, in_steps: Path, axis: Axis) -> None:
    judge = Judge()
    most = 8 if axis == "samples" else 10_000
    asked: dict[str, Any] = {"axis": axis, "model": f"replay:{in_steps}", "reward_model": judge, "seeds": [0]}
    texts = [text.replace("n=16", "n=8") for text in BY_MODEL]
    done = sweep(texts, [str(in_steps)], [most], folder=tmp_path / "s", **asked)
    assert len(done.runs) == 1
    assert judge.asked == 6 * 6  # of eight samples, one is a copy of another, and one states nothing
    own = [text.replace(" | ", " | budget(seconds=1000) | ", 1) for text in texts]
    runs = sweep(own, [str(in_steps)], [most], folder=tmp_path / "own", **asked)
    assert len(runs.runs) == len(own)
    for shared, alone in zip(done.curves, runs.curves, strict=True):
        np.testing.assert_allclose(shared.lines["run"].scores[:, -1], alone.lines["run"].scores[:, -1])
    accuracies = {tuple(curve.lines["run"].scores[:, -1]) for curve in done.curves}
    assert len(accuracies) > 1  # the scores make a difference


def test_a_part_of_scored_samples_is_their_mean_over_subsets(tmp_path: Path, in_steps: Path) -> None:
    text = "best_of_n(n=8) | best_by(score='reward_model:min')"
    done = sweep([text], [str(in_steps)], [1, 2, 8], model=f"replay:{in_steps}", reward_model=Judge(), folder=tmp_path)
    line = done.curves[0].lines["run"]
    rows = [json.loads(row) for row in in_steps.read_text().splitlines()]

    def chosen(texts: Sequence[str]) -> float:
        known = [t for t in texts if "boxed" in t]
        best = max(known, key=lambda t: min(1 / (1 + len(step.strip())) for step in t.split("\n\n")), default="")
        return float(best.endswith("{1}"))

    texts = [[sample["text"] for sample in row["samples"]] for row in rows]
    for i, k in enumerate([1, 8]):
        exact = [np.mean([chosen(subset) for subset in combinations(of_one, k)]) for of_one in texts]
        np.testing.assert_allclose(line.scores[:, [0, 2][i]], exact)


def test_a_token_budget_buys_as_many_whole_samples_as_fit(tmp_path: Path, recorded: Path) -> None:
    model = f"replay:{recorded}"
    strategy = "best_of_n(n=8) | majority_vote()"
    done = sweep([strategy], [str(recorded)], [1, 30, 10_000], axis="tokens", model=model, folder=tmp_path / "s")
    line = done.curves[0].lines["run"]
    each = line.budgets["tokens"][-1] / 8
    assert line.limits is not None
    assert line.limits.tolist() == [1, 30, 10_000]
    assert line.k.tolist() == [1, int(30 / each), 8]
    assert line.budgets["tokens"].tolist() == [1, int(30 / each) * each, 8 * each]
    assert line.cut is not None
    assert line.cut.tolist() == [1, 0, 0]
    assert line.accuracy[0] == 0


@pytest.fixture
def uneven(tmp_path: Path) -> Path:
    """Sixteen problems with twelve samples each, of very different lengths."""
    rng, path = np.random.default_rng(1), tmp_path / "uneven.jsonl"
    with path.open("w") as file:
        for i in range(16):
            answers = rng.choice(["1", "2", "3"], 12, p=[0.5, 0.3, 0.2])
            lengths = np.ceil(rng.lognormal(2.5, 0.8, 12)).astype(int)
            samples = [
                {"text": "word " * int(n) + f"\\boxed{{{a}}}", "answer": a, "reward": float(rng.random())}
                for n, a in zip(lengths, answers, strict=True)
            ]
            file.write(json.dumps({"problem_id": f"p{i}", "problem": "Q?", "answer": "1", "samples": samples}) + "\n")
    return path


@pytest.mark.slow
def test_at_every_token_budget_shared_samples_answer_as_a_run_of_its_own(tmp_path: Path, uneven: Path) -> None:
    limits = [5, 40, 80, 150, 10_000]
    pairs = {
        "best_of_n(n=12) | majority_vote()": "best_of_n(n=12) | stop_when_decided() | majority_vote()",
        "best_of_n(n=12) | best_by(score='reward')": "best_of_n(n=12) | budget(seconds=1000) | best_by(score='reward')",
        "best_of_n(n=12) | majority_vote(tie='random')": "best_of_n(n=12) | budget(seconds=1000) "
        "| majority_vote(tie='random')",
        "single()": "single() | budget(seconds=1000)",
    }
    texts = [text for pair in pairs.items() for text in pair]
    model = f"replay:{uneven}"
    done = sweep(texts, [str(uneven)], limits, axis="tokens", model=model, folder=tmp_path / "s")
    lines = dict(zip(texts, (curve.lines["run"] for curve in done.curves), strict=True))
    assert sum("read from shared" in note for note in done.plan.notes) == 1
    for shared, own in pairs.items():
        assert why_not_shared(as_any_strategy(shared), "tokens") == ""
        assert why_not_shared(as_any_strategy(own), "tokens") != ""
        np.testing.assert_array_equal(lines[shared].scores, lines[own].scores)
        assert 0 < lines[shared].accuracy[2] < 1
        assert lines[shared].cut == pytest.approx(lines[own].cut)
        if "stop_when_decided" not in own:
            np.testing.assert_array_equal(lines[shared].budgets["tokens"], lines[own].budgets["tokens"])


@pytest.mark.slow
def test_a_stopped_sweep_goes_on_and_ends_the_same(tmp_path: Path, recorded: Path) -> None:
    def curves(folder: str) -> list[list[float]]:
        done = sweep([VOTE, ONLINE], [str(recorded)], [2, 4], model=f"replay:{recorded}", folder=tmp_path / folder)
        return [curve.lines["run"].accuracy.tolist() for curve in done.curves]

    whole = curves("whole")
    sweeping = Sweeping(
        [VOTE, ONLINE],
        [str(recorded)],
        [2, 4],
        folder=tmp_path / "cut",
        settings=RunSettings.of(model=f"replay:{recorded}"),
    )
    evaluation = sweeping.evaluations[sweeping.plan.tasks[0]]
    with Store.begin(evaluation.path, evaluation.configuration, evaluation.suite.problems):
        pass  # killed before the first problem was finished
    assert curves("cut") == whole
    assert curves("cut") == whole


@pytest.mark.slow
def test_a_sweep_killed_at_any_moment_ends_the_same(tmp_path: Path, recorded: Path) -> None:
    def curves(folder: Path) -> list[list[float]]:
        done = sweep([VOTE, ONLINE], [str(recorded)], [2, 4, 8], model=f"replay:{recorded}", folder=folder)
        return [curve.lines["run"].accuracy.tolist() for curve in done.curves]

    whole, cut = curves(tmp_path / "whole"), tmp_path / "cut"
    program = (
        "from widthwise.sweeping import sweep; import sys;"
        f"sweep({[VOTE, ONLINE]!r}, [sys.argv[1]], [2, 4, 8], model='replay:' + sys.argv[1], folder=sys.argv[2])"
    )
    for files in (1, 2, 3):
        process = subprocess.Popen([sys.executable, "-c", program, str(recorded), str(cut)])
        while process.poll() is None and len(list(cut.glob("*.db"))) < files:
            time.sleep(0.005)
        process.kill()
        process.wait()
    assert curves(cut) == whole


def test_seeds_are_averaged(tmp_path: Path, recorded: Path) -> None:
    done = sweep([VOTE], [str(recorded)], [4], seeds=[0, 1], model=f"replay:{recorded}", folder=tmp_path / "s")
    assert len(done.runs) == 2
    assert done.curves[0].lines["run"].scores.shape == (8, 1)


@pytest.mark.slow
def test_the_command_plans_runs_and_compares(tmp_path: Path, recorded: Path) -> None:
    from widthwise.cli.sweep import run_sweep

    app = typer.Typer()
    app.command()(run_sweep)
    options = ["--suite", str(recorded), "--budgets", "1,2,4", "--model", f"replay:{recorded}"]
    options += ["--strategy", VOTE, "--strategy", ONLINE, "--folder", str(tmp_path / "s")]
    planned = CliRunner().invoke(app, [*options, "--dry-run"])
    assert planned.exit_code == 0, planned.output
    assert "6 cells, 4 runs" in planned.output
    assert not (tmp_path / "s").exists()
    done = CliRunner().invoke(app, options)
    assert done.exit_code == 0, done.output
    assert "at equal budgets (samples)" in done.output
    assert "Pareto set" in done.output
    assert (tmp_path / "s" / "recorded.svg").exists()
    assert (tmp_path / "s" / "recorded.html").exists()


@pytest.mark.parametrize(
    ("suite", "others", "name"),
    [
        ("math500(levels=[1])", ["countdown"], "math500"),
        ("math500(levels=[1])", ["math500(levels=[2, 3])"], "math500_levels_1"),
        ("math500", ["math500(levels=[2, 3])"], "math500"),
        ("gym:ab(n=3)", ["gym:bf(n=3)"], "gym_ab"),
        ("gym:ab(n=3)", ["gym:ab(n=4)"], "gym_ab_n_3"),
        ("mine:sums(n=2)", [], "mine_sums"),
    ],
)
def test_suites_of_one_name_have_files_of_their_own(suite: str, others: list[str], name: str) -> None:
    assert file_name(suite, {suite, *others}) == name
    assert file_name(suite, {suite, *others}) not in {file_name(other, {suite, *others}) for other in others}
