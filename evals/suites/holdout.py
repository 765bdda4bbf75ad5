"""The held-out part of a generated problem space: tests are drawn from it, and training never sees it."""

import hashlib

SHARE = 16
"""One problem in `SHARE` is held out."""


def held_out(key: str) -> bool:
    """Whether the problem with this canonical key belongs to the tests.

    The split is a property of the problem, not of a list: a test set drawn later, with any seed, is
    unseen by every model whose training data left these problems out.
    """
    return hashlib.sha256(key.encode()).digest()[0] % SHARE == 0
