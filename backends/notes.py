"""What a reader of results must know about the backend."""

from __future__ import annotations

import logging

_log = logging.getLogger(__name__)


class Notes(list[str]):
    """Sentences for the run's manifest; each is logged too."""

    def tell(self, note: str) -> None:
        """Add something that is so by design."""
        _log.info("%s", note)
        self.append(note)

    def warn(self, note: str) -> None:
        """Add something that falls short of what was requested."""
        _log.warning("%s", note)
        self.append(note)
