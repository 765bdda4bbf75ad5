"""Whether a run file knows what its traces waited for, and so how many of its tokens were sampled in sequence."""

from __future__ import annotations

import re

from widthwise.evals.store.store import Store

NOT_KNOWN = (
    "its sequential tokens are unknown: the run was begun by a version that did not store what traces waited for; "
    "evaluate again to get them"
)

_VOTES = "majority_vote|weighted_vote|borda_vote|best_by|first_valid"
_RULES = "stop_when_decided|esc|adaptive_consistency|anytime|short|too_long|repetition"
_ONE_WIDE_DRAW = re.compile(rf"(single|best_of_n)\((?![^|]*width=)[^|]*\)( \| ({_VOTES}|{_RULES})\([^|]*\))*")


def sequential_known(store: Store) -> bool:
    """True also for an older file whose strategy grew all its traces side by side: nothing waited for anything there.

    The same holds for recordings, which no strategy has made.
    """
    strategy = store.manifest["configuration"].get("strategy")
    return store.has_facts or strategy is None or _ONE_WIDE_DRAW.fullmatch(strategy) is not None
