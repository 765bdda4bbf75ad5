"""Figures that need no display: matplotlib's, shown by a notebook as they are."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO
from typing import Any

from matplotlib.figure import Figure

from widthwise.core.visible import visible

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe and Ito's palette, which colour-blind readers can distinguish, too."""

_DPI = 110


class Drawing(Figure):
    """A matplotlib figure that a notebook shows by itself."""

    def _repr_png_(self) -> bytes:
        return _png(self)


def axes_for(ax: Any = None, *, size: tuple[float, float] = (7, 4.5)) -> tuple[Any, Any]:
    """The figure and the axes to draw in: those of ``ax``, or new ones, ``size`` in inches."""
    if ax is not None:
        return ax.figure, ax
    figure = Drawing(figsize=size, layout="constrained")
    return figure, figure.subplots()


def plain(text: str, longest: int = 120) -> str:
    """A text for a figure: on one line, and not as a formula, whatever dollars it contains."""
    shown = visible(" ".join(text[: 2 * longest].split()))
    return (shown if len(shown) <= longest else f"{shown[: longest - 1]}…").replace("$", r"\$")


def picture(figure: Any) -> str:
    """A figure as HTML: an image, which contains no script."""
    return f'<img alt="figure" src="data:image/png;base64,{b64encode(_png(figure)).decode()}">'


def _png(figure: Any) -> bytes:
    file = BytesIO()
    figure.savefig(file, format="png", dpi=_DPI)
    return file.getvalue()
