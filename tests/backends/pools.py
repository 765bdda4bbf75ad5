"""Problems by their first server in a pool: ports differ from run to run, and with them which server gets which."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count, islice

from widthwise.backends.http.address import base_of
from widthwise.backends.http.server_pool import ServerPool


def problems_of(url: str, urls: Sequence[str], many: int) -> list[str]:
    """``many`` problems that the pool of ``urls`` gives to ``url`` while all its servers answer."""
    pool = ServerPool([base_of(each) for each in urls])
    names = (f"p{i}" for i in count())
    return list(islice((name for name in names if pool.candidates(name)[0].url == base_of(url)), many))
