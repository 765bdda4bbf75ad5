"""Every rule acts the same on recorded traces as on a live model: same code, same result."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from widthwise.core.backend import Backend, SamplingParams
from widthwise.core.errors import UsageError
from widthwise.core.strategy.composition import parse_strategy
from widthwise.core.strategy.strategy import Strategy
from widthwise.evals.runner import run, setting_for
from widthwise.evals.store.outcome import Outcome
from widthwise.evals.store.store import Store
from widthwise.evals.suites.suites import load_suite
from widthwise.models.formats import REASONER
from widthwise.opening import open_backend

PROBLEMS = 6
N = 12

RULES = {
    "stop_when_decided()": "width=5",
    "esc(window=3)": "width=3",
    "esc(window=2, sliding=True, order='completion')": "",
    "adaptive_consistency()": "width=4",
    "adaptive_consistency(threshold=0.9, prior='dirichlet')": "width=4",
    "anytime(epsilon=0.2)": "width=2",
    "short(m=2)": "",
    "short(m=2, every=8)": "width=4",
    "too_long(factor=1.0, least=2)": "",
    "repetition(times=2, tokens=2, every=4)": "",
    "deepconf(warmup=4, eta=50.0, window=16, every=4)": "",
    "deepconf(warmup=4, window=24, consensus=None)": "width=3",
    "deepprune(at=32, keep=2)": "",
    "deepprune(at=32, keep=2, vote='sizes', judge=answer_probe())": "width=5",
    "deepconf(warmup=4, window=16) | adaptive_consistency()": "width=4",
}


QUICK = {"stop_when_decided()"}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with every trace complete, and with all that the rules look at."""
    path = tmp_path_factory.mktemp("recorded") / "full.db"
    strategy = parse_strategy(f"best_of_n(n={N}, temperature=1.6) | majority_vote()")
    evaluate("reasoner", strategy, path, logprobs=20)
    return path


def evaluate(
    model: str, strategy: Strategy, path: Path, *, logprobs: int = 0, behind: str | None = None
) -> list[Outcome]:
    async def work(store: Store) -> None:
        backend: Backend = await open_backend(model, {} if behind is None else {"model": behind})
        params = SamplingParams(logprobs=logprobs)
        await run(suite, strategy, setting_for(suite, backend, REASONER, params=params), store, concurrency=4)
        await backend.close()

    suite = load_suite("arithmetic", limit=PROBLEMS)
    with Store.begin(path, {"strategy": str(strategy), "model": model}, suite.problems) as store:
        asyncio.run(work(store))
        return list(store.outcomes())


@pytest.mark.parametrize(
    "rule", [pytest.param(rule, marks=() if rule in QUICK else pytest.mark.slow) for rule in RULES]
)
def test_a_rule_does_the_same_live_and_replayed(rule: str, recorded: Path, tmp_path: Path) -> None:
    width = f", {RULES[rule]}" if RULES[rule] else ""
    strategy = parse_strategy(f"best_of_n(n={N}, temperature=1.6{width}) | {rule} | majority_vote()")
    live = evaluate("reasoner", strategy, tmp_path / "live.db")
    replayed = evaluate(f"replay:{recorded}", strategy, tmp_path / "replayed.db", behind="reasoner")
    for a, b in zip(live, replayed, strict=True):
        assert (a.answer, a.correct, a.leaves, a.errors) == (b.answer, b.correct, b.leaves, b.errors)
        spent = ("sampled", "discarded", "judging", "samples", "sequential")
        assert [getattr(a.ledger, name) for name in spent] == [getattr(b.ledger, name) for name in spent]
    full = sum(o.ledger.sampled for o in Store.read(recorded).outcomes())
    assert sum(o.ledger.sampled for o in live) < full, "the rule stops nothing: the test would show nothing"


@pytest.mark.slow
def test_at_every_token_budget_a_rule_that_cannot_change_the_vote_does_not(recorded: Path, tmp_path: Path) -> None:
    sampler, answered = f"best_of_n(n={N}, temperature=1.6)", []
    for limit in (40, 150, 300, 450):
        full, stopped = (
            evaluate(f"replay:{recorded}", parse_strategy(text), tmp_path / f"{limit}-{i}.db", behind="reasoner")
            for i, text in enumerate(
                f"{sampler} | {rule}budget(tokens={limit}) | majority_vote()" for rule in ("", "stop_when_decided() | ")
            )
        )
        assert [o.answer for o in full] == [o.answer for o in stopped]
        assert all(o.ledger.sampled <= limit for o in (*full, *stopped))
        answered.append([o.answer for o in full])
        if limit == 300:  # the live model does not know lengths in advance, but buys the same traces
            live = evaluate("reasoner", parse_strategy(f"{sampler} | budget(tokens={limit}) | majority_vote()"),
                            tmp_path / "live.db")  # fmt: skip
            assert [(o.answer, o.leaves) for o in live] == [(o.answer, o.leaves) for o in full]
    assert len({tuple(answers) for answers in answered}) > 1, "the budgets change nothing: the test would show nothing"


def test_a_recording_without_the_likeliest_tokens_says_so(recorded: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.db"
    evaluate("reasoner", parse_strategy("best_of_n(n=4) | majority_vote()"), bare)
    strategy = parse_strategy("best_of_n(n=4) | deepconf(warmup=2, window=8) | majority_vote()")
    with pytest.raises(UsageError, match="has those of the sampled ones only: record it with logprobs=20"):
        evaluate(f"replay:{bare}", strategy, tmp_path / "replayed.db")


def test_a_judge_that_cannot_be_asked_is_an_error_and_not_a_silent_guess(recorded: Path, tmp_path: Path) -> None:
    strategy = parse_strategy(f"best_of_n(n={N}) | deepprune(at=32) | majority_vote()")
    outcomes = evaluate(f"replay:{recorded}", strategy, tmp_path / "replayed.db")
    failed = [o for o in outcomes if o.ledger.judging == 0 and o.errors]
    assert failed
    assert "needs a model" in failed[0].errors[0]
