"""Builds the FastAPI application: mounts the doors, nothing else."""

from __future__ import annotations

import gc
import logging
import sys
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import anyio.to_thread
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route

from exchange import __version__
from exchange.hub import open_hub
from exchange.problems import NotFound, NotSupported, Problem
from exchange.provider.routes import provider_router
from exchange.rest import adapter_state, enrolment, metrics, openapi, routes, sign_in, token
from exchange.rest.dispatch import Application, Dispatch
from exchange.rest.outcome import problem_response
from exchange.settings import settings

SWITCH_SECONDS = 0.001
COLLECT_AFTER_OBJECTS = 20_000


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    # Few threads and quick switches: blocking calls convoy behind the interpreter lock otherwise.
    sys.setswitchinterval(SWITCH_SECONDS)
    anyio.to_thread.current_default_thread_limiter().total_tokens = settings().threads_per_worker
    hub = open_hub(settings())
    app.state.spine, app.state.store = hub.spine, hub.store
    app.state.threads = ThreadPoolExecutor(settings().threads_per_worker, thread_name_prefix="act")
    stopped = threading.Event()
    counting = threading.Thread(target=hub.spine.fleet.count_until, args=(stopped,), name="count")
    counting.start()
    # What stands after the start stays: the collector looks at requests' garbage only, and less often.
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_OBJECTS, 20, 50)
    try:
        yield
    finally:
        app.state.threads.shutdown()
        stopped.set()
        counting.join()
        hub.spine.close()
        hub.store.close()


def create_app() -> FastAPI:
    """The hub's application. `uvicorn exchange.app:create_app --factory` serves it."""
    app = Application(
        title="Chasqui",
        version=__version__,
        lifespan=_lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.include_router(token.router)
    app.include_router(sign_in.router)
    app.include_router(enrolment.router)
    app.include_router(adapter_state.router)
    app.include_router(metrics.router)
    if settings().has_own_provider:
        app.include_router(provider_router())
    app.include_router(routes.router)
    app.include_router(openapi.router)
    acts = routes.fhir_routes()
    app.router.routes.extend(acts)
    app.dispatch, app.on_defect = Dispatch(acts), _on_defect
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(404, _on_unknown)
    app.add_exception_handler(405, _on_method)
    app.add_exception_handler(Exception, _on_defect)
    app.add_api_route("/health/live", _live, methods=["GET", "HEAD"], tags=["open"])
    app.add_api_route("/health/ready", _ready, methods=["GET", "HEAD"], tags=["open"])
    return app


def _live() -> Response:
    """Whether this process answers; open to everybody."""
    return JSONResponse({"status": "live"})


def _ready(request: Request) -> Response:
    """Whether this process can serve: its database answers; open to everybody."""
    is_ready = request.app.state.spine.is_ready()
    return JSONResponse({"status": "ready" if is_ready else "waiting"}, 200 if is_ready else 503)


def _on_problem(request: Request, problem: Exception) -> Response:
    if not isinstance(problem, Problem):
        raise problem
    return problem_response(problem, routes.wanted_or_json(request))


def _on_unknown(request: Request, _problem: Exception) -> Response:
    return problem_response(NotFound("there is nothing at this address"), routes.wanted_or_json(request))


def _on_method(request: Request, problem: Exception) -> Response:
    words = NotSupported("this address does not take this method")
    response = problem_response(words, routes.wanted_or_json(request))
    response.status_code = 405
    response.headers["Allow"] = ", ".join(sorted(_methods(request, problem)))
    return response


def _methods(request: Request, problem: Exception) -> set[str]:
    """The methods that an address takes, on whichever of its routes."""
    told = (getattr(problem, "headers", None) or {}).get("Allow", "")
    found = {each.strip() for each in told.split(",") if each.strip()}
    for route in request.app.router.routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            found |= route.methods or set()
    return found


def _on_defect(request: Request, problem: Exception) -> Response:
    # The class alone: a message may quote what somebody sent.
    logging.getLogger("exchange.app").error("E-500 defect of class %s", type(problem).__name__)
    return problem_response(
        Problem("the hub failed; the failure is in its log"), routes.wanted_or_json(request)
    )
