"""The short way of a FHIR request through the application: straight to its act.

Spec:    https://asgi.readthedocs.io/en/latest/specs/www.html
Leaves:  every address that is no FHIR act - and every method that an address does not take - to FastAPI.

FastAPI's layers (telemetry, limits, exit stacks, a walk along all routes) do nothing for these acts, which bound, answer
and audit everything themselves; they would cost a fifth of a read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeAlias

from fastapi import FastAPI
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from exchange.rest.body import FHIR_PATH

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]
Steps: TypeAlias = tuple[str, ...]

_OPEN: Final = (f"{FHIR_PATH}/metadata", f"{FHIR_PATH}/.well-known/")
"""What addresses below the FHIR base begin with that are no acts."""


class Dispatch:
    """The routes of acts by method and number of steps."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes: dict[tuple[str, int], list[tuple[Steps, Endpoint]]] = {}
        for route in routes:
            steps = _steps(route.path)
            for method in route.methods or ():
                self._routes.setdefault((method, len(steps)), []).append((steps, route.endpoint))

    def find(self, method: str, path: str) -> tuple[Endpoint, dict[str, str]] | None:
        """The act at an address, and what its path names; the first in the order of the routes."""
        if not path.startswith(FHIR_PATH) or path.startswith(_OPEN):
            return None
        steps = _steps(path)
        for pattern, endpoint in self._routes.get((method, len(steps)), ()):
            named = _named(pattern, steps)
            if named is not None:
                return endpoint, named
        return None


class Application(FastAPI):
    """FastAPI, with a short way for FHIR acts. `dispatch` has the routes, `on_defect` answers what nobody foresaw."""

    dispatch: Dispatch
    on_defect: Callable[[Request, Exception], Response]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        found = self.dispatch.find(scope["method"], scope["path"]) if scope["type"] == "http" else None
        if found is None:
            await super().__call__(scope, receive, send)
            return
        endpoint, scope["path_params"] = found
        scope["app"] = self
        request = Request(scope, receive)
        try:
            response = await endpoint(request)
        except ClientDisconnect:  # the caller went away while sending: there is nobody to answer
            return
        except Exception as defect:  # noqa: BLE001 - nothing of it may reach the caller
            response = self.on_defect(request, defect)
        await response(scope, receive, send)


def _steps(path: str) -> Steps:
    return tuple(path.split("/")[1:])


def _named(pattern: Steps, steps: Steps) -> dict[str, str] | None:
    named: dict[str, str] = {}
    for wanted, step in zip(pattern, steps, strict=True):
        if wanted.startswith("{"):
            if not step:
                return None
            named[wanted[1:-1]] = step
        elif wanted.startswith("${"):
            if len(step) < 2 or step[0] != "$":  # noqa: PLR2004 - a dollar sign and a name
                return None
            named[wanted[2:-1]] = step[1:]
        elif wanted != step:
            return None
    return named
