"""Faults inside vLLM's own process, for tests."""

from __future__ import annotations

from typing import Any


class Starving:
    """Added to vLLM's workers (``worker_extension_cls``): after ``starve``, their next step runs out of memory."""

    model_runner: Any

    def starve(self) -> None:
        import torch

        def execute_model(*_: Any, **__: Any) -> None:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

        self.model_runner.execute_model = execute_model
