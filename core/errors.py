"""Errors that reach a user, each one sentence that names the cause and the way out."""


class WidthwiseError(Exception):
    """Base of every error raised on purpose; its text is what the command line prints."""


class UsageError(WidthwiseError):
    """The request itself is wrong: an unknown name, a bad argument, a malformed file."""


class BackendError(WidthwiseError):
    """A backend could not do what was asked.

    ``retryable`` says whether the same request may succeed when it is sent again; ``attempts`` how often it was sent.
    """

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.attempts = 1


class AccessRefused(BackendError):
    """A backend answers no further request: a wrong key, a quota that is used up, a model that it does not have.

    It is no failure of one problem: it ends the run, with what is finished kept.
    """


class PromptTooLong(BackendError):
    """The prompt leaves no room for even one new token in the model's context."""


class BudgetReached(WidthwiseError):
    """Nothing more may be spent; raised when work is asked for after a limit was hit."""


def reason_of(error: BaseException) -> str:
    """An error of others in words: its type and what it says, if anything; of a group of one, the error in it."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    try:
        said = str(error)
    except Exception:
        said = ""
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
