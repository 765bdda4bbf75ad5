"""Wilson's interval, separate from the others so that a finished run prints at once, without loading scipy."""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist


def wilson(right: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for ``right`` of ``n`` problems; unlike the normal interval it stays within 0 and 1.

    For answers that are right in part it is conservative: no grades vary more than those that are 0 or 1.
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    centre = (right + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * sqrt(right * (n - right) / n + z * z / 4)
    return centre - half if right else 0.0, centre + half if right < n else 1.0
