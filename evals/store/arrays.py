"""Arrays as the run store keeps them: bytes that state their own type and shape."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

_HEAD = re.compile(rb"(?P<dtype>[|<>][iuf][1248]):(?P<shape>\d{1,18}(,\d{1,18})?)\n")


def pack(array: NDArray[Any] | None) -> bytes | None:
    """``array`` as bytes, with integers in the smallest type that holds them; None stays None."""
    if array is None:
        return None
    small = np.ascontiguousarray(_smallest(array) if array.dtype.kind == "i" else array)
    shape = ",".join(map(str, small.shape))
    return f"{small.dtype.str}:{shape}\n".encode() + small.tobytes()


def unpack(blob: bytes | None) -> Any:
    """The array again: integers as int64, others as they were; ``ValueError`` for other bytes."""
    if blob is None:
        return None
    head = _HEAD.match(blob)
    if head is None:
        raise ValueError("an array does not state its type and shape")
    shape = [int(n) for n in head["shape"].split(b",")]
    array = np.frombuffer(blob[head.end() :], np.dtype(head["dtype"].decode())).reshape(shape)
    return array.astype(np.int64 if array.dtype.kind in "iu" else array.dtype)


def _smallest(array: NDArray[Any]) -> NDArray[Any]:
    if not array.size:
        return array.astype(np.uint8)
    return array if array.min() < 0 else array.astype(np.min_scalar_type(array.max()))
