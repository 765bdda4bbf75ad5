"""What must be known of a backend to read its results."""

from __future__ import annotations

import logging

_log = logging.getLogger(__name__)


class Notes(list[str]):
    """Sentences for the run's manifest; each is logged too."""

    def tell(self, note: str) -> None:
        """Add what is so by design."""
        _log.info("%s", note)
        self.append(note)

    def warn(self, note: str) -> None:
        """Add what falls short of what was asked for."""
        _log.warning("%s", note)
        self.append(note)
