"""How long something will still take, as far as the finished part tells."""

from __future__ import annotations


def seconds_left(elapsed: float, done: float, rest: float, under_way: float) -> float:
    """Seconds that ``rest`` takes if ``done`` took ``elapsed``, in any unit of work.

    Work ``under_way``, a part of the rest, counts half: of many problems begun together, the first is finished when the
    others nearly are, and judging by it alone would overestimate the time many times over.
    """
    halfway = min(under_way, rest) / 2
    return elapsed * (rest - halfway) / (done + halfway)


def duration(seconds: float) -> str:
    """A length of time in words: ``40 s``, ``12 min``, ``3.5 h``."""
    if seconds > 90 * 60:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds > 90 else f"{seconds:.0f} s"
