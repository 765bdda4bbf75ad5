"""What the program writes on stderr besides its result: warnings, and more with ``-v`` and ``-vv``."""

from __future__ import annotations

import logging
from collections import Counter
from copy import copy
from typing import Any

from widthwise.cli.terminal import say, say_sentence

_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)
_SHOWN = 3
"""How many messages of one kind are shown before only every tenth, then every hundredth ... is shown."""


def show_logs(verbosity: int) -> None:
    """Show the package's log: warnings at 0, notes of the run at 1, every detail at 2."""
    logger = logging.getLogger("widthwise")
    handler = next((h for h in logger.handlers if isinstance(h, _Stderr)), None)
    if handler is None:
        handler = _Stderr()
        logger.addHandler(handler)
    handler.verbosity = verbosity
    logger.setLevel(_LEVELS[min(verbosity, 2)])


def verbosity_of(command: Any, group: Any) -> None:
    """Let ``command`` take the ``-v`` of its ``group`` too, so that it may follow the command's name."""
    if any(option.name == "verbose" for option in command.params):
        return
    option = copy(next(option for option in group.params if option.name == "verbose"))
    option.expose_value, option.callback = False, _ask_for_more
    command.params.append(option)


def _ask_for_more(context: Any, option: Any, value: int) -> None:
    if value:
        show_logs(value)


class _Stderr(logging.Handler):
    """Writes to the current ``sys.stderr``: a progress bar replaces it to have lines printed above the bar."""

    def __init__(self) -> None:
        super().__init__()
        self.verbosity = 0
        self._seen: Counter[str] = Counter()
        self.setFormatter(_Sentence())

    def emit(self, record: logging.LogRecord) -> None:
        kind = record.getMessage() if record.msg == "%s" else record.msg  # a sentence that was formatted before
        self._seen[kind] += 1
        times = self._seen[kind]
        if self.verbosity < 2 and not _is_shown(times):
            return
        if self.verbosity < 2:
            record = copy(record)
            record.exc_info = record.exc_text = record.stack_info = None  # a warning is a sentence
        more = f" ({times} times so far)" if times > _SHOWN and self.verbosity < 2 else ""
        (say if self.verbosity > 1 else say_sentence)(self.format(record) + more, err=True)


class _Sentence(logging.Formatter):
    """For a warning, the message alone; for what ``-v`` adds, also its source."""

    def format(self, record: logging.LogRecord) -> str:
        source = "widthwise" if record.levelno >= logging.WARNING else record.name
        return f"{source}: {record.levelname.lower()}: {super().format(record)}"


def _is_shown(times: int) -> bool:
    return times <= _SHOWN or (set(str(times)[1:]) == {"0"} and str(times)[0] == "1")
