"""What runs of other strategies made of problems, for policies that choose among strategies."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from widthwise.core.brief import counted
from widthwise.core.errors import UsageError
from widthwise.core.session.derived_seed import derived_seed
from widthwise.core.strategy.composition import parse_strategy
from widthwise.evals.allocation.policy import alternative_of
from widthwise.evals.measure.answered import Answered
from widthwise.evals.measure.pools import Source, load
from widthwise.evals.store.configuration import difference
from widthwise.evals.store.foreign import RECORDINGS, read_generations
from widthwise.evals.store.store import Store

_log = logging.getLogger(__name__)

Answers = Mapping[str, Mapping[str, Sequence[Answered]]]
"""What strategies (as run files write them) made of problems, by problem; one result for each run."""

_OWN = ("problems", "limit", "strategy", "seed", "reward_model", "reward_args", "embedding_model", "judge_tokens")
"""Settings in which a run of another strategy may differ."""


def answers_in(runs: Sequence[str | Path], beside: Sequence[str | Path]) -> Answers:
    """What ``runs`` made of the problems of the runs ``beside`` them; see ``answers_of``."""
    return answers_of([load(path) for path in runs], beside)


def answers_of(sources: Sequence[Source], beside: Sequence[str | Path]) -> Answers:
    """What runs made of the problems of the runs ``beside`` them, from which samples come.

    Raises ``UsageError`` for a run that lacks one of these problems, or has another model.
    """
    texts = {problem: text for path in beside for problem, text in _texts(path).items()} if sources else {}
    found: dict[str, dict[str, list[Answered]]] = {}
    for source in sources:
        path = source.path
        if not source.strategy:
            raise UsageError(f"{path} names no strategy: an alternative is a run of `widthwise eval`")
        _check_whole(path)
        by_problem = found.setdefault(str(alternative_of(source.strategy)), {})
        answered = {each.problem: each for each in source.answered}
        _check_problems(path, texts, {name: text for name, text in _texts(path).items() if name in answered})
        _check_alike(path, beside[0])
        for problem in texts:
            by_problem.setdefault(problem, []).append(answered[problem])
    return found


def answered_in(answers: Answers, strategy: str, problem: str, seed: int) -> Answered:
    """One result of a strategy on a problem; ``UsageError`` if no run of it is known."""
    if strategy not in answers:
        brief = parse_strategy(strategy, trusted=False).brief()
        raise UsageError(f"the policy may choose {brief}: give a run of it on these problems (--alternative RUN.db)")
    known = answers[strategy][problem]
    return known[derived_seed(seed, problem, ("alternative",)) % len(known)]


def _texts(path: str | Path) -> dict[str, str]:
    """The problems of a file."""
    if Path(path).suffix in RECORDINGS:
        return {each.problem.id: each.problem.text for each in read_generations(Path(path))}
    with Store.read(path) as store:
        return {problem.id: problem.text for problem in store.problems()}


def _check_problems(path: str | Path, wanted: Mapping[str, str], known: Mapping[str, str]) -> None:
    lacking = [name for name, text in wanted.items() if known.get(name) != text]
    if lacking:
        raise UsageError(
            f"{path} lacks {counted(len(lacking), 'problem')} of {len(wanted):,}, such as {lacking[0]}: an alternative "
            "is a finished run on the same problems"
        )


def _check_whole(path: str | Path) -> None:
    """Refuse a run whose problems got what a pool gave them."""
    with Store.read(path) as store:
        shared = store.manifest["configuration"].get("suite_budget_tokens") is not None
    if shared:
        raise UsageError(f"{path} shared a suite budget, so it does not show what its strategy is worth by itself")


def _check_alike(path: str | Path, first: str | Path) -> None:
    """Refuse another model; warn of other settings that decide results."""
    if Path(first).suffix in RECORDINGS:
        return
    one, other = _settings(first), _settings(path)
    if one.get("model") != other.get("model"):
        raise UsageError(
            f"{path} is a run of another model than {first}: a policy chooses among strategies of one model, and "
            "`widthwise fit` learns which of several models to ask"
        )
    if differs := difference(one, other):
        _log.warning("%s was run with other settings than %s (%s)", path, first, differs)


def _settings(path: str | Path) -> dict[str, Any]:
    with Store.read(path) as store:
        return _without(store.manifest["configuration"], _OWN)


def _without(values: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in set(names)}
