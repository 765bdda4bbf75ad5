"""llama.cpp's server with a GGUF file, without a `llama-server` binary: the server of the `xllamacpp` package.

    python scripts/llama_server.py FILE.gguf [--port 0] [--alias NAME] [--key KEY] [--slots 8] [--context 1024]
        [--embedding]

It prints the port when it is ready. It uses one thread, because the bundled models are too small for more.
"""

from __future__ import annotations

import argparse
import signal
from typing import Any

import xllamacpp


def parameters(arguments: argparse.Namespace) -> Any:
    params = xllamacpp.CommonParams()
    params.model.path = arguments.file
    params.port = arguments.port
    params.n_parallel = arguments.slots
    params.n_ctx = arguments.context * arguments.slots
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    if arguments.embedding:
        params.embedding = True
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    if arguments.alias:
        params.model_alias = {arguments.alias}
    if arguments.key:
        params.api_keys = [arguments.key]
    return params


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--alias")
    parser.add_argument("--key")
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--context", type=int, default=1024, help="tokens of one slot")
    parser.add_argument("--embedding", action="store_true", help="serve vectors of texts, and nothing else")
    server = xllamacpp.Server(parameters(parser.parse_args()))
    print(server.listening_address.rpartition(":")[2], flush=True)
    signal.pause()
