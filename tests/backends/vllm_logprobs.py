"""Log-probabilities of given texts by vLLM in float32, run as a process: `python vllm_logprobs.py MODEL`.

Reads token id lists as JSON from standard input; prints, per list, the log-probability of each token but the first, as
JSON after the word "said".
"""

from __future__ import annotations

import json
import sys

from vllm import LLM, SamplingParams


def main() -> None:
    sequences: list[list[int]] = json.load(sys.stdin)
    llm = LLM(
        sys.argv[1],
        dtype="float32",
        enforce_eager=True,
        block_size=32,
        kv_cache_memory_bytes=1 << 27,
        enable_chunked_prefill=False,
        max_num_batched_tokens=4096,
        max_model_len=1024,
    )
    params = SamplingParams(max_tokens=1, prompt_logprobs=0, detokenize=False)
    outputs = llm.generate([{"prompt_token_ids": ids} for ids in sequences], params, use_tqdm=False)
    logprobs = [
        [position[token].logprob for position, token in zip(o.prompt_logprobs[1:], ids[1:], strict=True)]
        for o, ids in zip(outputs, sequences, strict=True)
    ]
    print("said " + json.dumps(logprobs), flush=True)


if __name__ == "__main__":
    main()
