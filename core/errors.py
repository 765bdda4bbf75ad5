"""Errors shown to users: one sentence each, with the cause and the way out."""


class WidthwiseError(Exception):
    """Base of every error raised on purpose; the command line prints its text."""


class UsageError(WidthwiseError):
    """The request itself is wrong: an unknown name, a bad argument, a malformed file."""


class BackendError(WidthwiseError):
    """A backend could not do what was asked.

    ``retryable`` says whether the same request may succeed if sent again, ``attempts`` how often it was sent.
    """

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.attempts = 1


class AccessRefused(BackendError):
    """A backend will answer no further request: the key is wrong, the quota is used up, or it does not have the model.

    This ends the run instead of failing one problem; what is finished is kept.
    """


class PromptTooLong(BackendError):
    """The prompt leaves no room for even one new token in the model's context."""


class BudgetReached(WidthwiseError):
    """Nothing more may be spent; raised when work is asked for after a limit was hit."""


def reason_of(error: BaseException) -> str:
    """Another library's error in words: its type and its message, if any. For a group of one, the error inside it."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    try:
        said = str(error)
    except Exception:
        said = ""
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
