"""The ASGI application: paths, keys, and the service that answers."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from widthwise.core.strategy.strategy import Strategy
from widthwise.serving.body import LARGEST
from widthwise.serving.endpoint import Endpoint
from widthwise.serving.forms import ChatForm, TextForm
from widthwise.serving.guard import Guard
from widthwise.serving.refusal import Refusal, json_response
from widthwise.serving.service import Service

_FIGURES = "text/plain; version=0.0.4; charset=utf-8"


def application_of(
    service: Service,
    *,
    keys: Sequence[str] = (),
    hosts: Collection[str] | None = None,
    origins: Sequence[str] = (),
    largest: int = LARGEST,
) -> Starlette:
    """An ASGI application that answers with ``service``, which it opens when it starts, or at the first request.

    Clients must have one of ``keys`` (none: anyone may ask). ``hosts`` are the names by which it may be called (None:
    any), ``origins`` the web pages that may read its replies, ``largest`` the maximum size of a body in bytes.
    """
    forms = [(form.path, Endpoint(service, form, largest)) for form in (ChatForm(), TextForm())]
    return Starlette(
        routes=[*(Route(path, endpoint, methods=["POST"]) for path, endpoint in forms), *_notices(service)],
        middleware=[*_cross_origin(origins), Middleware(Guard, keys=keys, hosts=hosts)],
        exception_handlers={HTTPException: _refused},
        lifespan=_lifespan(service),
    )


def _lifespan(service: Service) -> Any:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await service.open()
        try:
            yield
        finally:
            await service.close()

    return lifespan


def _notices(service: Service) -> list[Route]:
    """The paths that say what the server has and does."""
    began = int(time.time())

    async def models(request: Request) -> Response:
        cards = [_card(name, strategy, began) for name, strategy in service.menu.strategies.items()]
        return json_response({"object": "list", "data": cards})

    async def model(request: Request) -> Response:
        name = request.path_params["name"]
        try:
            return json_response(_card(name, service.menu.strategy(name), began))
        except Refusal as refusal:
            return refusal.response

    async def health(request: Request) -> Response:
        return json_response({"status": "ok"})

    async def metrics(request: Request) -> Response:
        return Response(service.metrics.text, media_type=_FIGURES)

    paths = {"/v1/models": models, "/v1/models/{name:path}": model, "/health": health, "/metrics": metrics}
    return [Route(path, endpoint) for path, endpoint in paths.items()]


def _card(name: str, strategy: Strategy, began: int) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": began, "owned_by": "widthwise", "strategy": str(strategy)}


def _cross_origin(origins: Sequence[str]) -> list[Middleware]:
    if not origins:
        return []
    return [Middleware(CORSMiddleware, allow_origins=origins, allow_methods=["GET", "POST"], allow_headers=["*"])]


async def _refused(request: Request, error: Exception) -> Response:
    """A path or a method that does not exist, in the form that OpenAI's clients read."""
    assert isinstance(error, HTTPException)
    return Refusal(
        error.status_code, f"{request.method} {request.url.path}: {error.detail}", headers=error.headers
    ).response
