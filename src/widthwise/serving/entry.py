"""Serving strategies from Python: a server that runs until it is stopped, or an application to mount in another one."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from widthwise.core.errors import UsageError
from widthwise.core.installation import install_command
from widthwise.core.run_sync import run_sync
from widthwise.core.session.limits import Limits
from widthwise.settings import AnyModel, RunSettings

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from widthwise.evals.suites.suite import Suite
    from widthwise.serving.service import Service

HOST, PORT = "127.0.0.1", 8000

_EXTRA = "serving needs packages that are not installed ({}): {}"


@dataclass(frozen=True, slots=True)
class Offer:
    """What is served, and to whom.

    ``strategies`` are one strategy (text or a value), a list of texts ``NAME=STRATEGY``, or strategies by name;
    ``allow_strategies`` lets a request give its own as the model's name, made of built-in and installed parts.
    ``settings`` say which model samples and how it is asked. ``suite`` (a suite, its name, or a file) says how
    questions are asked and answers are read, and has the problems that requests may name; None: as in ``solve``.
    ``limits`` are what a request may cost at most. ``concurrency`` requests are worked on at once, ``queue`` more may
    wait. ``seed`` is that of requests without one; None gives each its own. Clients must have one of ``keys``;
    ``origins`` are the web pages that may read the replies.
    """

    settings: RunSettings
    strategies: Any = None
    allow_strategies: bool = False
    suite: Suite | str | Path | None = None
    limits: Limits | None = None
    concurrency: int | None = None
    queue: int | None = None
    seed: int | None = None
    keys: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()

    def service(self) -> Service:
        """The service, with its models not yet open; raises ``UsageError`` for what cannot be served."""
        menu, service = _imported()
        given = {"concurrency": self.concurrency, "queue": self.queue}
        return service(  # type: ignore[no-any-return]
            menu(self.strategies, open=self.allow_strategies),
            self.settings,
            suite=_suite(self.suite, self.settings.limit),
            limits=self.limits,
            seed=self.seed,
            **{name: value for name, value in given.items() if value is not None},
        )


def serve(
    strategies: Any = None,
    model: AnyModel = None,
    *,
    host: str = HOST,
    port: int = PORT,
    **options: Any,
) -> None:
    """Serve strategies as models of an OpenAI-compatible server, until Ctrl-C or SIGTERM.

    ``strategies``, ``allow_strategies``, ``suite``, ``concurrency``, ``queue`` and ``origins`` are those of ``Offer``,
    ``api_key`` is the key that clients need (or several), ``budget`` what a request may cost at most, ``seed`` that of
    requests without one. ``model`` and all other ``options`` are as for ``solve``. Raises ``UsageError`` for wrong
    arguments, for an address that is not available, and for one that others can reach without a key; ``BackendError``
    if the model is not available.
    """
    run_sync(serve_async(strategies, model, host=host, port=port, **options))


async def serve_async(
    strategies: Any = None,
    model: AnyModel = None,
    *,
    host: str = HOST,
    port: int = PORT,
    **options: Any,
) -> None:
    """``serve`` for ``async`` programs; cancelling it stops the server."""
    await run_server(_offer(strategies, model, options), host=host, port=port)


def asgi_app(strategies: Any = None, model: AnyModel = None, **options: Any) -> Starlette:
    """The server's ASGI application, for any ASGI server, or for mounting in another application.

    The arguments are those of ``serve``. The models are opened when the application starts, or, if it is mounted and
    not told of the start, at the first request. Raises ``UsageError`` for wrong arguments.
    """
    offer = _offer(strategies, model, options)
    service = offer.service()
    from widthwise.serving.app import application_of

    return application_of(service, keys=offer.keys, origins=offer.origins)


async def run_server(
    offer: Offer,
    *,
    host: str,
    port: int,
    grace: int | None = None,
    ready: Callable[[str, Sequence[str]], None] = lambda *_: None,
) -> None:
    """Serve the offer until a signal; ``ready`` gets the address and the models' names when clients may connect."""
    local = _is_local(host)
    if not (local or offer.keys):
        raise UsageError(
            f"{host} can be reached from other machines, and anyone there could use the model: set a key "
            "(--api-key, or WIDTHWISE_API_KEY in the environment), or serve at 127.0.0.1"
        )
    service = offer.service()
    from widthwise.serving.app import application_of
    from widthwise.serving.guard import LOCAL
    from widthwise.serving.server import GRACE, address_of, listening, serve_at

    with listening(host, port) as listener:  # an address in use is reported before a model is loaded
        try:
            await service.open()
            say = partial(ready, address_of(listener, host), list(service.menu.strategies))
            names = {*LOCAL, host.lower()} if local and not offer.keys else None
            app = application_of(service, keys=offer.keys, hosts=names, origins=offer.origins)
            await serve_at(app, listener, GRACE if grace is None else grace, say)
        finally:
            await service.close()


def _offer(strategies: Any, model: Any, options: Mapping[str, Any]) -> Offer:
    own = {f.name for f in fields(Offer)} - {"settings", "strategies", "keys", "limits"}
    given = dict(options)
    key, budget = given.pop("api_key", None), given.pop("budget", None)
    offered = {name: given.pop(name) for name in list(given) if name in own}
    offered["origins"] = tuple(offered.get("origins", ()))
    keys = (key,) if isinstance(key, str) else tuple(key or ())
    return Offer(
        RunSettings.of(model=model, **given).unshared("a server's requests"),
        strategies,
        limits=budget,
        keys=keys,
        **offered,
    )


def _imported() -> tuple[Any, Any]:
    """What makes a menu, and the service; raises ``UsageError`` if the extra is not installed."""
    try:
        import uvicorn  # noqa: F401

        from widthwise.serving.menu import Menu
        from widthwise.serving.service import Service
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "widthwise":
            raise
        raise UsageError(_EXTRA.format(error.name, install_command("serve"))) from None
    return Menu.of, Service


def _suite(given: Suite | str | Path | None, limit: int | None) -> Suite | None:
    from widthwise.evals.suites.suites import load_suite

    if isinstance(given, Path):
        return load_suite(data=given, limit=limit)
    return load_suite(given, limit=limit) if isinstance(given, str) else given


def _is_local(host: str) -> bool:
    """Whether only this machine can reach the address."""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host.lower() == "localhost"
