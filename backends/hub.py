"""The Hugging Face hub: whether it answers, and what is available without it.

The libraries that download from it retry for half a minute and more before they give up and use their caches. So this
module first checks whether the hub answers at all.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from widthwise.core.errors import BackendError

_log = logging.getLogger(__name__)

PATIENCE = 3.0
"""Seconds in which the hub must answer something, including name lookup and proxies."""

AGAIN = 60.0
"""Seconds after which a hub that did not answer is asked again."""

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_known: set[str] = set()
"""Addresses that have answered."""
_silent: dict[str, float] = {}
"""Those that have not answered, and when they were asked."""


def hub_answers() -> bool:
    """Whether the hub answers; it is asked until it has done so once, at most once every ``AGAIN`` seconds."""
    from huggingface_hub import constants

    endpoint = str(constants.ENDPOINT)
    if constants.HF_HUB_OFFLINE or endpoint in _known:
        return not constants.HF_HUB_OFFLINE
    if time.monotonic() - _silent.get(endpoint, -AGAIN) < AGAIN:
        return False
    asked = threading.Event()
    # A missing name server blocks for as long as the system likes: the thread is then abandoned.
    threading.Thread(target=_ask, args=(endpoint, asked), daemon=True).start()
    asked.wait(PATIENCE)
    if endpoint not in _known:
        _silent[endpoint] = time.monotonic()
        _log.warning("%s does not answer: using only what was downloaded before", endpoint)
    return endpoint in _known


def why_not() -> str:
    """The sentence about a hub that does not answer."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set, and it was not downloaded before"
    return f"{constants.ENDPOINT} does not answer, and it was not downloaded before"


@contextmanager
def offline(wanted: bool) -> Iterator[None]:
    """Make the hub's libraries use only their caches, if ``wanted``."""
    import datasets
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    if wanted:
        constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before


def downloaded(model: str, patterns: list[str] | None = None) -> Path:
    """The folder of a hub id's files that match ``patterns``, downloaded or from the cache.

    Raises whatever the hub's library raises if they are not available.
    """
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(model, allow_patterns=patterns, local_files_only=not hub_answers()))


def check_reachable(model: str) -> None:
    """Raise ``BackendError`` if ``model`` is a hub id that was not downloaded before and the hub does not answer."""
    if Path(model).exists() or not _HUB_ID.fullmatch(model) or os.environ.get("VLLM_USE_MODELSCOPE"):
        return
    if hub_answers():
        return
    try:
        downloaded(model, ["config.json"])
    except Exception as error:  # whatever the cache contains or lacks
        raise BackendError(
            f"the model {model} is not a folder here, and is not available from the Hugging Face hub "
            f"({why_not()}); give the path of a folder with its files"
        ) from error


def _ask(endpoint: str, asked: threading.Event) -> None:
    from huggingface_hub import get_session

    try:
        get_session().head(endpoint, timeout=PATIENCE)
        _known.add(endpoint)
    except Exception as error:  # whatever is wrong on the way
        _log.info("%s: %s", endpoint, error)
    finally:
        asked.set()
