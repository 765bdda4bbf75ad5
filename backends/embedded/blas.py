"""The matrix library under numpy, held to one thread."""

from __future__ import annotations

import numpy as np
from threadpoolctl import ThreadpoolController


def pin_to_one_thread() -> bool:
    """Make matrix products run on the calling thread; False if numpy's matrix library cannot be reached.

    The setting holds for the whole process. On small matrices more threads are often slower, and the way they divide a
    product changes its last bits. An environment variable would come too late once numpy is loaded.
    """
    libraries = ThreadpoolController().select(user_api="blas")
    libraries.limit(limits=1)
    return len(libraries) > 0


def version() -> str:
    """Name and version of the library, e.g. "scipy-openblas 0.3.30"."""
    build = np.show_config(mode="dicts")
    blas = (build or {}).get("Build Dependencies", {}).get("blas", {})
    return f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip()
