"""Strategies as a model of EleutherAI's lm-evaluation-harness (extra ``lm-eval``).

The harness finds models of its own only; this registers the model ``widthwise`` and starts its command line::

    python -m widthwise.integrations.lm_eval run --model widthwise --tasks gsm8k_cot \\
        --model_args 'strategy=best_of_n(n=16) | majority_vote()' model=vllm:Qwen/Qwen3-8B

In Python, importing this registers it for ``lm_eval.simple_evaluate(model="widthwise", ...)``.
"""

from __future__ import annotations

from importlib.util import find_spec

from widthwise.core.installation import install_command

if find_spec("lm_eval") is None:
    raise ModuleNotFoundError(f"lm-evaluation-harness is not installed: {install_command('lm-eval')}")

import lm_eval.models  # noqa: F401  (the harness registers its own models only if there are none yet)
from lm_eval.api.registry import model_registry

from widthwise.integrations.lm_eval.model import WidthwiseLM

if "widthwise" not in model_registry:
    model_registry.register("widthwise")(WidthwiseLM)

__all__ = ["WidthwiseLM"]
