"""What the embedded engine refuses before it starts."""

from __future__ import annotations

from widthwise.core.backend import Request
from widthwise.core.errors import BackendError, PromptTooLong


def check(request: Request, vocab_size: int, max_len: int) -> None:
    """Raises PromptTooLong or BackendError if the model cannot serve this request."""
    prompt, params = request.prompt, request.params
    if not len(prompt):
        raise BackendError("the prompt is empty; send at least one token")
    if len(prompt) >= max_len:
        raise PromptTooLong(
            f"the prompt has {len(prompt)} tokens, but the model's context is {max_len}; shorten the prompt"
        )
    if int(prompt.min()) < 0 or int(prompt.max()) >= vocab_size:
        raise BackendError(f"the prompt holds token ids outside 0..{vocab_size - 1}; use this model's own tokenizer")
    if request.seed < 0:
        raise BackendError(f"the seed {request.seed} is negative; use 0 or more")
    if max(params.logprobs or 0, params.prompt_logprobs or 0) > vocab_size:
        raise BackendError(f"the vocabulary has only {vocab_size} tokens; ask for at most as many log-probabilities")
