"""The matrix library under numpy, held to one thread."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path

import numpy as np

# numpy's wheels carry OpenBLAS under a prefixed or suffixed name; a distribution's build has the plain one.
_SETTERS = (
    "scipy_openblas_set_num_threads64_",
    "scipy_openblas_set_num_threads",
    "openblas_set_num_threads64_",
    "openblas_set_num_threads",
)


def pin_to_one_thread() -> bool:
    """Make numpy's OpenBLAS run matrix products on the calling thread; False where it cannot be reached.

    It holds for the whole process. On small matrices more threads are often slower, and how they divide a
    product changes its last bits. An environment variable would come too late once numpy is loaded.
    """
    pinned = False
    for library in _loaded_libraries():
        setter = next((getattr(library, name) for name in _SETTERS if hasattr(library, name)), None)
        if setter is not None:
            setter.argtypes, setter.restype = (ctypes.c_int,), None
            setter(1)
            pinned = True
    return pinned


def version() -> str:
    """Name and version of the library, e.g. "scipy-openblas 0.3.30"."""
    build = np.show_config(mode="dicts")
    blas = (build or {}).get("Build Dependencies", {}).get("blas", {})
    return f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip()


def _loaded_libraries() -> Iterator[ctypes.CDLL]:
    for path in _candidates():
        try:
            yield ctypes.CDLL(str(path))
        except OSError:  # listed but not loadable on its own
            continue


def _candidates() -> list[Path]:
    """OpenBLAS libraries: those beside numpy (wheels), else those mapped into this process (Linux)."""
    root = Path(np.__file__).parent
    folders = (root.parent / "numpy.libs", root / ".libs", root / ".dylibs")
    beside = sorted(file for folder in folders if folder.is_dir() for file in folder.glob("*openblas*"))
    return beside or _mapped()


def _mapped() -> list[Path]:
    maps = Path("/proc/self/maps")
    if not maps.is_file():
        return []
    lines = maps.read_text(encoding="utf-8", errors="replace").splitlines()
    return sorted({Path("/" + line.split("/", 1)[1]) for line in lines if "openblas" in line and "/" in line})
