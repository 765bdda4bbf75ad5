"""The tensors of a Hugging Face checkpoint folder, as float32 numpy arrays."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import safetensors

from widthwise.core.arrays import FloatArray
from widthwise.core.errors import BackendError
from widthwise.core.file_bytes import file_bytes
from widthwise.core.plain_json import parse

_deserialize: Callable[[bytes], list[tuple[str, dict[str, Any]]]] = safetensors.deserialize
_DTYPES = {"F16": np.float16, "F32": np.float32, "F64": np.float64}


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file; raises BackendError if there is none."""
    try:
        content = parse(file_bytes(path))
    except FileNotFoundError as error:
        raise BackendError(f"{path} is missing; name the folder of a Hugging Face checkpoint") from error
    except (OSError, ValueError) as error:
        raise BackendError(f"{path} cannot be read as JSON ({error}); fetch the checkpoint again") from error
    if not isinstance(content, dict):
        raise BackendError(f"{path} does not hold a JSON object; fetch the checkpoint again")
    return content


class Checkpoint:
    """``model.safetensors``, or the shards that ``model.safetensors.index.json`` names, read whole.

    ``digest`` is the SHA-256 of the weight files in the order of their names. Raises BackendError for missing
    or damaged files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tensors: dict[str, dict[str, Any]] = {}
        digest = hashlib.sha256()
        for file in _weight_files(folder):
            content = _read(file)
            digest.update(content)
            self._tensors.update(_tensors(file, content))
        self.digest = digest.hexdigest()

    @property
    def parameters(self) -> int:
        """How many numbers the weights consist of."""
        return sum(math.prod(tensor["shape"]) for tensor in self._tensors.values())

    def tensor(self, name: str, *shape: int) -> FloatArray:
        """One tensor as float32; raises BackendError if it is missing or has another shape."""
        tensor = self._tensors.get(name)
        if tensor is None:
            raise BackendError(f"{self._folder} has no tensor {name}; its weights do not belong to its config.json")
        if tuple(tensor["shape"]) != shape:
            raise BackendError(
                f"tensor {name} of {self._folder} has shape {tuple(tensor['shape'])}, but config.json asks for "
                f"{shape}; its weights do not belong to its config.json"
            )
        return _to_float32(tensor["dtype"], tensor["data"], name).reshape(shape)


def _weight_files(folder: Path) -> list[Path]:
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.is_file():
        return [single]
    if not index.is_file():
        raise BackendError(f"{folder} has no model.safetensors; convert the weights to safetensors first")
    return [folder / name for name in sorted(set(_shards(index)))]


def _shards(index: Path) -> Iterator[str]:
    """The files that an index names. They must lie beside it: an index is a download, and may name no other place."""
    weight_map = read_json(index).get("weight_map")
    for name in weight_map.values() if isinstance(weight_map, dict) else [None]:
        if not (isinstance(name, str) and name.endswith(".safetensors") and Path(name).name == name):
            raise BackendError(f"{index} names no files beside it; fetch the checkpoint again")
        yield name


def _read(file: Path) -> bytes:
    try:
        return file_bytes(file, most=None)
    except OSError as error:
        raise BackendError(f"{file} cannot be read ({error.strerror}); fetch the checkpoint again") from error


def _tensors(file: Path, content: bytes) -> dict[str, dict[str, Any]]:
    """Each tensor's ``dtype``, ``shape`` and ``data``: raw bytes, because numpy has no bf16."""
    try:
        return dict(_deserialize(content))
    except safetensors.SafetensorError as error:
        raise BackendError(f"{file} is damaged ({error}); fetch the checkpoint again") from error


def _to_float32(dtype: str, data: bytearray, name: str) -> FloatArray:
    if dtype == "BF16":  # the upper half of a float32
        bits = np.frombuffer(data, np.uint16).astype(np.uint32) << 16
        return bits.view(np.float32)
    if dtype not in _DTYPES:
        raise BackendError(f"tensor {name} is {dtype}; the embedded engine only reads bf16, fp16, fp32 and fp64")
    return np.frombuffer(data, _DTYPES[dtype]).astype(np.float32)
