"""Values in the form in which a page holds them: compressed JSON, as text that no HTML parser can misread."""

from __future__ import annotations

import base64
import gzip
import json
import math
from typing import Any

import numpy as np


def packed(value: Any) -> str:
    """``value`` as JSON, gzipped, in base64."""
    text = json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode("utf-8", "replace"), 6, mtime=0)).decode()


def _plain(value: Any) -> Any:
    """``value`` as JSON stores it: what is not a finite number becomes null."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)
