"""How long something will still take, as far as the finished part tells."""

from __future__ import annotations


def seconds_left(elapsed: float, done: float, rest: float, under_way: float) -> float | None:
    """Seconds that ``rest`` takes if ``done`` took ``elapsed``, in any unit of work; None while too little is done.

    Work ``under_way``, a part of the rest, counts half: it goes on beside what is done. The first problems to finish of
    many begun together are the short ones, so nothing is known until as much is done as is under way.
    """
    under_way = min(under_way, rest)
    if done < under_way or (rest and not done):
        return None
    halfway = under_way / 2
    return elapsed * (rest - halfway) / (done + halfway) if rest else 0.0


def duration(seconds: float) -> str:
    """A length of time in words: ``40 s``, ``12 min``, ``3.5 h``."""
    if seconds > 90 * 60:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds > 90 else f"{seconds:.0f} s"
