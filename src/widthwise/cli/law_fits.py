"""Scaling laws fitted to a curve: as a table, and as JSON values."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from widthwise.cli.display import rows_table
from widthwise.cli.terminal import say

if TYPE_CHECKING:
    from widthwise.evals.measure.curves import Curve, CurveLine
    from widthwise.evals.measure.scaling import Fitted, Law

_log = logging.getLogger(__name__)


def fits_of(curve: Curve) -> list[dict[str, Any]]:
    """The laws fitted to each line of a curve, with what they predict for its last point.

    Laws that do not fit are left out, and logged.
    """
    return [_row(line.method, fit) for line in curve.lines.values() for fit in _fits(line)]


def _fits(line: CurveLine) -> list[Fitted]:
    from widthwise.evals.measure.scaling import BetaLaw, CeilingLaw, LogLaw, PowerLaw, SaturatingLaw, fit_curve

    laws: tuple[type[Law], ...] = (LogLaw, CeilingLaw, SaturatingLaw)
    found = []
    for law in (PowerLaw, BetaLaw, SaturatingLaw) if line.method == "pass" else laws:
        try:
            found.append(fit_curve(law, line.scores))
        except ValueError as error:
            _log.warning("the %s law of %s is left out: %s", law.name, line.method, error)
    return found


def _row(method: str, fit: Fitted) -> dict[str, Any]:
    from widthwise.evals.measure.scaling import BetaLaw, SaturatingLaw

    parameters = {
        name: {"value": getattr(fit.law, name), "low": fit.low[name], "high": fit.high[name]} for name in fit.low
    }
    return {
        "method": method,
        "law": fit.law.name,
        "parameters": parameters,
        "predicted": fit.predicted,
        "observed": fit.observed,
        "saturates_at": fit.law.saturation() if isinstance(fit.law, BetaLaw | SaturatingLaw) else None,
    }


def print_fits(fits: Sequence[dict[str, Any]]) -> None:
    """Print the laws of one curve."""
    say("")
    columns = ["method", "law", "parameters", "last point predicted / seen, %", "next sample adds under 1 point"]
    rows_table(columns, [_said(fit) for fit in fits])
    say("note: a law that misses the last point should not be extrapolated; none holds beyond four times it")


def _said(fit: dict[str, Any]) -> list[str]:
    spans = [f"{n} {p['value']:.3g} [{p['low']:.3g}, {p['high']:.3g}]" for n, p in fit["parameters"].items()]
    stops = "–" if fit["saturates_at"] is None else f"k = {fit['saturates_at']}"
    checked = f"{100 * fit['predicted']:.2f} / {100 * fit['observed']:.2f}"
    return [fit["method"], fit["law"], ", ".join(spans), checked, stops]
