"""What a client gets instead of an answer, in the form that OpenAI's clients read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from widthwise.core.secrets import masked

_LONGEST = 1000
"""How many characters of a message are sent: others' errors may quote a whole generation."""
_TYPES = {401: "authentication_error", 429: "rate_limit_error"}


class Refusal(Exception):
    """A request answered with an error: its HTTP ``status``, a sentence, and the wrong parameter."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.code = status, param, code
        self.headers = dict(headers or {})

    @property
    def body(self) -> dict[str, Any]:
        """The error as OpenAI's API writes it."""
        said = masked(str(self))
        message = said if len(said) <= _LONGEST else f"{said[: _LONGEST - 4]} ..."
        kind = _TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": message, "type": kind, "param": self.param, "code": self.code}}

    @property
    def response(self) -> Response:
        return json_response(self.body, self.status, self.headers)


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """``value`` as a JSON response."""
    return Response(spelled(value), status, headers, media_type="application/json")


def spelled(value: Any) -> str:
    """``value`` as one line of JSON in ASCII: no text from a model can break a line or an encoding."""
    return json.dumps(value, allow_nan=False, separators=(",", ":"))
