"""What the models of stored runs cost: prices that are given, laid over those that the files have."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from shlex import quote
from typing import Any

from widthwise.core.errors import UsageError
from widthwise.core.session.prices import Price, Prices, check_prices, recorded_prices
from widthwise.evals.store.configuration import models_in
from widthwise.evals.store.foreign import RECORDINGS
from widthwise.evals.store.outcome import Outcome
from widthwise.evals.store.store import Store

_log = logging.getLogger(__name__)


def models_of(manifest: Mapping[str, Any], outcomes: Sequence[Outcome]) -> list[str]:
    """The names of a run's models, used or not; the empty name for a single one that has none."""
    named = [name for name in models_in(manifest) if name]
    return list(dict.fromkeys([*named, *_used(outcomes)])) or [""]


def prices_in(path: str | Path, manifest: Mapping[str, Any], outcomes: Sequence[Outcome], given: Prices) -> Prices:
    """The prices of a run's models: the ``given`` ones laid over its own; one without a name is that of its only model.

    Raises ``UsageError`` if prices are given, but a model that was used has none.
    """
    if "imported" in manifest.get("configuration", {}):
        return {}  # it does not say what its prompts cost
    models, only = models_of(manifest, outcomes), dict[str, Price]()
    if "" in given and len(models) == 1:
        only = {models[0]: given[""]}
    known = recorded_prices(manifest) | only | {name: price for name, price in given.items() if name in models}
    lacking = sorted((set(_used(outcomes)) or set(models[:1])) - known.keys())
    who = ", ".join(filter(None, lacking)) or "its model"
    if given and lacking:
        raise UsageError(f"{path} has no price for {who}: give {_options(lacking)}")
    if known and lacking:
        _log.warning("%s has no price for %s, so what it cost in money is not known", path, who)
    return known


def check_known(prices: Prices, runs: Sequence[str | Path]) -> None:
    """Raises ``UsageError`` for a price of a model that none of ``runs`` has; recorded generations have none."""
    if not prices:
        return
    models = [found for run in runs if Path(run).suffix not in RECORDINGS and (found := _models_of(run))]
    if not models:
        raise UsageError("recorded generations do not say what their prompts cost: prices (--price) are for run files")
    check_prices(prices, [*chain.from_iterable(models), *[""] * any(len(each) == 1 for each in models)])


def _models_of(run: str | Path) -> list[str]:
    """The names of a run's models; none if it was imported."""
    with Store.read(run) as store:
        if "imported" in store.manifest.get("configuration", {}):
            return []
        return models_of(store.manifest, list(store.outcomes()))


def _used(outcomes: Sequence[Outcome]) -> list[str]:
    return [name for outcome in outcomes for name in outcome.ledger.models]


def _options(models: Sequence[str]) -> str:
    """The options that give the prices of ``models``."""
    return " ".join(f"--price {quote(name) + '=' if name else ''}PROMPT,COMPLETION" for name in models)
