"""Which server of a pool gets a request: the one that holds the problem's prefix, while it can take it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic

from widthwise.backends.http.address import shown
from widthwise.backends.http.rate import Gate
from widthwise.backends.http.statuses import is_full
from widthwise.core.errors import BackendError

_log = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 60.0
# A server keeps its problems until it has this many requests and twice its share of the pool's.
_ENOUGH_REQUESTS = 32
_MOST_TRIED = 4
"""How many servers get a request at most before it counts as failed once: not all servers of a pool that is down are
asked each time.
"""


@dataclass(slots=True, eq=False)
class Server:
    """One server of a pool, with the base of its paths. While it fails, it is put aside for growing pauses."""

    url: str
    gate: Gate = field(default_factory=Gate)
    in_flight: int = 0
    failures: int = 0
    aside_until: float = 0.0

    @property
    def healthy(self) -> bool:
        return monotonic() >= self.aside_until

    def failed(self, reason: object) -> None:
        """Put the server aside; failures of requests that were in flight together count once."""
        if self.healthy:
            self.failures += 1
            pause = min(_FIRST_PAUSE * 2.0 ** (self.failures - 1), _LONGEST_PAUSE)
            self.aside_until = monotonic() + pause
            _log.warning("%s failed and is put aside for %g seconds: %s", shown(self.url), pause, reason)

    def may_pass_on(self, error: BackendError) -> bool:
        """Whether another server may be asked after this one answered with ``error``.

        This one is put aside if it failed, but not if it only takes no more at present.
        """
        if error.retryable and not is_full(error):
            self.failed(error)
        return error.retryable

    def succeeded(self) -> None:
        if self.failures:
            _log.info("%s answers again", shown(self.url))
        self.failures, self.aside_until = 0, 0.0


class ServerPool:
    """Rendezvous hashing: every problem ranks the servers in its own order.

    All requests of a problem go to the first server in its order, so that the tree's prefixes meet in one KV cache;
    when that server fails or has far more than its share, they go to the next.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        self.servers = [Server(url) for url in urls]

    def candidates(self, problem: str) -> list[Server]:
        """The servers to try, in order; those put aside come last. Of many servers only some are tried."""
        if len(self.servers) == 1:
            return self.servers
        ranked = sorted(self.servers, key=lambda server: _rank(server.url, problem))
        return sorted(ranked, key=self._reluctance)[:_MOST_TRIED]

    def _reluctance(self, server: Server) -> tuple[int, float]:
        if not server.healthy:
            return 2, server.aside_until
        return int(self._overloaded(server) or not server.gate.is_open), 0.0

    def _overloaded(self, server: Server) -> bool:
        share = sum(s.in_flight for s in self.servers) / len(self.servers)
        return server.in_flight > max(_ENOUGH_REQUESTS, 2 * share)


def _rank(url: str, problem: str) -> bytes:
    return hashlib.blake2b(f"{url}\0{problem}".encode(), digest_size=8).digest()
