"""Seeds derived from what a sample is, never from when it was drawn."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def derived_seed(run_seed: int, problem_id: str, place: Sequence[int | str]) -> int:
    """A 63-bit seed for one place of one problem's trace tree (or any other named use of randomness)."""
    text = "\x1f".join([str(run_seed), problem_id, *map(str, place)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1
