"""Figures of a server, in Prometheus' format."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from widthwise.core.session.ledger import Ledger
from widthwise.serving.admission import Admission

_TOKENS = ("prompt_computed", "prompt_cached", "sampled", "discarded", "judging", "scoring", "embedding")
_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000)


class Metrics:
    """Counts requests, and what they cost: ``totals`` is the sum of their ledgers, including aborted ones."""

    def __init__(self, admission: Admission) -> None:
        self.totals = Ledger()
        self._registry = own = CollectorRegistry()
        by_status, by_kind = ["model", "status"], ["model", "kind"]
        self._requests = Counter("widthwise_requests", "Requests, by status (499: left)", by_status, registry=own)
        self._seconds = Histogram(
            "widthwise_request_seconds", "From body to reply", ["model"], buckets=_SECONDS, registry=own
        )
        self._tokens = Counter("widthwise_tokens", "Tokens, as ledgers count them", by_kind, registry=own)
        self._samples = Counter("widthwise_samples", "Samples begun", ["model"], registry=own)
        running = Gauge("widthwise_requests_running", "Requests being worked on", registry=own)
        running.set_function(lambda: admission.running)
        waiting = Gauge("widthwise_requests_waiting", "Requests waiting for their turn", registry=own)
        waiting.set_function(lambda: admission.waiting)

    def charge(self, model: str, ledger: Ledger) -> None:
        """A session of ``model`` has ended, with a result or without."""
        self.totals.add(ledger)
        spent = ledger.asdict()
        for kind in _TOKENS:
            self._tokens.labels(model, kind).inc(spent[kind])
        self._samples.labels(model).inc(max(ledger.samples, 0))

    def count(self, model: str, status: int, seconds: float) -> None:
        """A request has been answered."""
        self._requests.labels(model, str(status)).inc()
        self._seconds.labels(model).observe(seconds)

    @property
    def text(self) -> bytes:
        return generate_latest(self._registry)
