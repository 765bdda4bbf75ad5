"""The servers of a pool, each described before it gets any request: they must be alike."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import PurePath

from widthwise.backends.http.address import shown
from widthwise.backends.http.enquiry import Enquiry, Patience
from widthwise.backends.http.profile import ServerProfile, common, compare, together
from widthwise.backends.http.refusals import Refusals
from widthwise.backends.http.server_pool import Server
from widthwise.backends.http.transport import Transport
from widthwise.backends.notes import Notes
from widthwise.core.errors import BackendError, UsageError

Describe = Callable[[Enquiry, Refusals], Awaitable[ServerProfile]]
"""Asks one server what it is; on the way it learns what the server does not take."""

_ALIKE = ("model", "root", "dialect", "template", "bos")
"""In what the servers of a pool must not differ: otherwise chance would decide what a problem gets."""


class Members:
    """Describes the servers of a pool; one that was not there at the start is described before its first request."""

    def __init__(self, transport: Transport, patience: Patience, describe: Describe, notes: Notes) -> None:
        self._transport, self._patience, self._describe, self._notes = transport, patience, describe, notes
        self._profiles: dict[str, ServerProfile] = {}
        self._refusals: dict[str, Refusals] = {}
        self._admitting = asyncio.Lock()
        self._shared: ServerProfile | None = None
        self._servers: Sequence[Server] = ()

    async def described(self, servers: Sequence[Server]) -> ServerProfile:
        """What all servers that answer can do.

        Raises ``UsageError`` if they serve different models or need to be addressed differently, ``BackendError`` if
        none answers.
        """
        self._servers = servers
        failure: BackendError | None = None
        for answer in await asyncio.gather(*map(self._probed, servers), return_exceptions=True):
            if isinstance(answer, BackendError) and answer.retryable:
                failure = answer
            elif isinstance(answer, BaseException):
                raise answer
        found = [self._profiles[server.url] for server in servers if server.url in self._profiles]
        if not found:
            assert failure is not None
            raise failure
        for profile in found[1:]:
            self._check_alike(found[0], profile)
        self._shared = common(found)
        compare(self._shared, found, self._notes)
        return self._shared

    async def admit(self, server: Server) -> None:
        """Describe a server that was not there at the start.

        Raises ``BackendError`` if it is not there yet, or, as a final error, if it is a different one.
        """
        if server.url in self._profiles:
            return
        async with self._admitting:
            if server.url not in self._profiles:
                await self._probed(server, Patience(self._patience.answer, 0.0))
                try:
                    self._check_alike(self.known, self._profiles[server.url])
                except UsageError as error:
                    del self._profiles[server.url]
                    said = f"{shown(server.url)} is left out of the pool: {error}"
                    raise BackendError(said, retryable=True) from error

    @property
    def known(self) -> ServerProfile:
        """What all servers can do, minus everything they have refused so far."""
        assert self._shared is not None
        refused = frozenset().union(*(refusals.names for refusals in self._refusals.values()))
        return replace(self._shared, refused=self._shared.refused | refused)

    def profile(self, server: Server) -> ServerProfile:
        """What this server is, limited to what all servers can do."""
        return together(self._profiles[server.url], self.known)

    @property
    def first(self) -> Server:
        """The first server that has been described."""
        return next(server for server in self._servers if server.url in self._profiles)

    @property
    def line(self) -> str:
        """The servers, described in one line."""
        others = len(self._servers) - 1
        return f"{shown(self.first.url)}{f' and {others} more' if others else ''}: {self.known}"

    @property
    def no_continuation(self) -> str:
        """Why a chat server cannot continue texts, and what can."""
        if self.known.kind == "DeepSeek":
            way_out = "DeepSeek's beta address does: https://api.deepseek.com/beta"
        elif self.known.kind == "Ollama":
            way_out = "serve the same model with llama.cpp or vLLM"
        else:
            way_out = (
                "use a sampler that asks for whole answers (best_of_n ...), serve the model with vLLM or "
                "llama.cpp, or say how this server continues an assistant's turn (--backend-arg prefix=...)"
            )
        server = f"{shown(self.first.url)} ({self.known.kind or 'a chat server'})"
        return f"{server} only answers whole conversations; {way_out}"

    def refusals(self, server: Server) -> Refusals:
        """What this server does not take."""
        if server.url not in self._refusals:
            self._refusals[server.url] = Refusals(self._notes, shown(server.url))
        return self._refusals[server.url]

    async def _probed(self, server: Server, patience: Patience | None = None) -> None:
        enquiry = Enquiry(server, self._transport, patience or self._patience)
        try:
            self._profiles[server.url] = await self._describe(enquiry, self.refusals(server))
        except BackendError as error:
            if error.retryable:
                server.failed(error)
                self._notes.warn(f"{shown(server.url)} did not answer at the start")
            raise

    def _check_alike(self, first: ServerProfile, other: ServerProfile) -> None:
        for name in _ALIKE:
            here, there = getattr(first, name), getattr(other, name)
            if here != there and not (name == "root" and _same_place(here, there)):
                said = f"({here} and {there})" if name != "template" else "of their models"
                raise UsageError(
                    f"the servers of the pool differ in the {name} {said}: what a problem gets would depend on its "
                    "server; use them separately, or name what they shall have in common (--backend-arg "
                    "dialect=..., URL#MODEL)"
                )


def _same_place(first: str | None, second: str | None) -> bool:
    """Whether two roots may be the same model's: folders differ between machines, and not every server has one."""
    return first is None or second is None or PurePath(first).name == PurePath(second).name
