"""Embeddings of texts: the code that all engines share."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray

_log = logging.getLogger(__name__)


def unit(rows: FloatArray | IntArray) -> FloatArray:
    """Each row divided by its length; a row of zeros stays as it is."""
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    scaled: FloatArray = (rows / np.where(norms > 0, norms, 1)[:, None]).astype(np.float32)
    return scaled


def cut_to(limit: int | None, texts: Sequence[list[int]], name: str) -> list[list[int]]:
    """The first ``limit`` tokens of each text, for the model ``name``."""
    long = 0 if limit is None else sum(len(text) > limit for text in texts)
    if long:
        _log.warning("%s embeds only the first %d tokens of %d texts", name, limit, long)
    return [text[:limit] for text in texts]
