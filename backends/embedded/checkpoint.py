"""The tensors of a Hugging Face checkpoint folder, as float32 numpy arrays."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from widthwise.core.backend import FloatArray
from widthwise.core.errors import BackendError

_DTYPES = {"F16": np.float16, "F32": np.float32, "F64": np.float64}


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file; raises BackendError where there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BackendError(f"{path} is missing; name the folder of a Hugging Face checkpoint") from error
    except (OSError, ValueError) as error:
        raise BackendError(f"{path} cannot be read as JSON ({error}); fetch the checkpoint again") from error
    if not isinstance(content, dict):
        raise BackendError(f"{path} holds no JSON object; fetch the checkpoint again")
    return content


@dataclass(frozen=True, slots=True)
class _Tensor:
    dtype: str
    shape: tuple[int, ...]
    data: memoryview


class Checkpoint:
    """``model.safetensors``, or the shards that ``model.safetensors.index.json`` names, read whole.

    ``digest`` is the SHA-256 of the weight files in the order of their names. Raises BackendError for missing
    or damaged files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tensors: dict[str, _Tensor] = {}
        digest = hashlib.sha256()
        for file in _weight_files(folder):
            content = _read(file)
            digest.update(content)
            self._tensors.update(_tensors(file, content))
        self.digest = digest.hexdigest()

    @property
    def parameters(self) -> int:
        """How many numbers the weights are."""
        return sum(math.prod(tensor.shape) for tensor in self._tensors.values())

    def tensor(self, name: str, *shape: int) -> FloatArray:
        """One tensor as float32; raises BackendError where it is missing or not of this shape."""
        tensor = self._tensors.get(name)
        if tensor is None:
            raise BackendError(f"{self._folder} has no tensor {name}; its weights do not belong to its config.json")
        if tensor.shape != shape:
            raise BackendError(
                f"tensor {name} of {self._folder} has shape {tensor.shape} where config.json asks for {shape}; "
                "its weights do not belong to its config.json"
            )
        return _to_float32(tensor, name).reshape(shape)


def _weight_files(folder: Path) -> list[Path]:
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.is_file():
        return [single]
    if not index.is_file():
        raise BackendError(f"{folder} has no model.safetensors; convert the weights to safetensors first")
    names = read_json(index).get("weight_map", {}).values()
    return [folder / name for name in sorted(set(names))]


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise BackendError(f"{file} cannot be read ({error.strerror}); fetch the checkpoint again") from error


def _tensors(file: Path, content: bytes) -> dict[str, _Tensor]:
    """The safetensors format: eight bytes of header length, a JSON header, the numbers.

    Read by hand since the library's numpy side knows no bf16.
    """
    try:
        start = 8 + int.from_bytes(content[:8], "little")
        header = json.loads(content[8:start])
        header.pop("__metadata__", None)
        numbers = memoryview(content)[start:]
        tensors = {name: _tensor(entry, numbers) for name, entry in header.items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BackendError(f"{file} is damaged ({error}); fetch the checkpoint again") from error
    return tensors


def _tensor(entry: dict[str, Any], numbers: memoryview) -> _Tensor:
    begin, end = entry["data_offsets"]
    data = numbers[begin:end]
    if len(data) != end - begin:
        raise ValueError("it ends too early")
    return _Tensor(entry["dtype"], tuple(entry["shape"]), data)


def _to_float32(tensor: _Tensor, name: str) -> FloatArray:
    if tensor.dtype == "BF16":  # the upper half of a float32
        bits = np.frombuffer(tensor.data, np.uint16).astype(np.uint32) << 16
        return bits.view(np.float32)
    if tensor.dtype not in _DTYPES:
        raise BackendError(f"tensor {name} is {tensor.dtype}; the embedded engine reads bf16, fp16, fp32 and fp64 only")
    return np.frombuffer(tensor.data, _DTYPES[tensor.dtype]).astype(np.float32)
