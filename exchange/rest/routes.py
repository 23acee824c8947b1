"""The routes, one table in the order of FHIR's http page, and what they share.

Spec:    https://hl7.org/fhir/R4/http.html
Leaves:  everything behind a request to perform.

Acts run in the process's few threads, since psycopg2 blocks (docs/decisions/0003-blocking-calls.md).
"""

from __future__ import annotations

from asyncio import get_running_loop
from collections.abc import Awaitable, Callable
from typing import Annotated, Final
from urllib.parse import parse_qsl

import msgspec
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response
from starlette.routing import Route

from exchange.fhir.definitions import is_resource_type
from exchange.perform import Spine
from exchange.problems import NotFound, NotSupported, Problem, TooCostly
from exchange.request import Interaction
from exchange.request import Request as Asked
from exchange.rest import negotiation
from exchange.rest.outcome import FHIR_JSON, answer_response, problem_response
from exchange.settings import settings

ROUTES: Final[tuple[tuple[str, str, Interaction], ...]] = (
    ("GET", "/${operation}", "operation"),
    ("POST", "/${operation}", "operation"),
    ("GET", "/_history", "history-system"),
    ("GET", "", "search-system"),
    ("POST", "/_search", "search-system"),
    ("POST", "", "transaction"),
    ("GET", "/{resource_type}/${operation}", "operation"),
    ("POST", "/{resource_type}/${operation}", "operation"),
    ("GET", "/{resource_type}/_history", "history-type"),
    ("POST", "/{resource_type}/_search", "search-type"),
    ("GET", "/{resource_type}/{resource_id}", "read"),
    ("PUT", "/{resource_type}/{resource_id}", "update"),
    ("PATCH", "/{resource_type}/{resource_id}", "patch"),
    ("DELETE", "/{resource_type}/{resource_id}", "delete"),
    ("GET", "/{resource_type}", "search-type"),
    ("POST", "/{resource_type}", "create"),
    ("PUT", "/{resource_type}", "update"),
    ("PATCH", "/{resource_type}", "patch"),
    ("DELETE", "/{resource_type}", "delete"),
    ("GET", "/{resource_type}/{resource_id}/_history/{version_id}/${operation}", "operation"),
    ("POST", "/{resource_type}/{resource_id}/_history/{version_id}/${operation}", "operation"),
    ("GET", "/{resource_type}/{resource_id}/_history/{version_id}", "vread"),
    ("GET", "/{resource_type}/{resource_id}/_history", "history-instance"),
    ("GET", "/{resource_type}/{resource_id}/${operation}", "operation"),
    ("POST", "/{resource_type}/{resource_id}/${operation}", "operation"),
    ("GET", "/{compartment_type}/{compartment_id}/*", "search-system"),
    ("GET", "/{compartment_type}/{compartment_id}/{resource_type}", "search-type"),
    ("POST", "/{compartment_type}/{compartment_id}/{resource_type}/_search", "search-type"),
)
"""Method, path below the FHIR base, interaction. Open routes stand in `open_routes` and app."""


class _Kind(msgspec.Struct):
    """The one element of a posted Bundle that says which act it is."""

    type: str = ""


_KIND: Final = msgspec.json.Decoder(_Kind)

FHIR_PATH: Final = "/fhir"

router: Final = APIRouter(prefix=FHIR_PATH)


async def bounded_body(request: Request) -> bytes:
    """The request's body. Raises: TooCostly - longer than the hub takes, told before it is read whole."""
    if request.method in ("GET", "HEAD", "DELETE"):
        return b""
    if "authorization" not in request.headers and request.url.path.startswith(FHIR_PATH):
        return b""  # it will be refused: nothing of it needs to be read
    most = settings().max_body_bytes
    told = request.headers.get("content-length", "0")
    if told.isdigit() and int(told) > most:
        raise TooCostly("the body is larger than this hub takes")
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise TooCostly("the body is larger than this hub takes")
        parts.append(part)
    return b"".join(parts)


Body = Annotated[bytes, Depends(bounded_body)]


@router.get("/metadata", tags=["open"])
def metadata(request: Request) -> Response:
    """The CapabilityStatement; open to everybody."""
    spine: Spine = request.app.state.spine
    return Response(spine.capabilities(), media_type=FHIR_JSON)


def fhir_routes() -> list[Route]:
    """The table as routes.

    They are Starlette's own: FastAPI's parameters and dependencies, which these acts do not use, would cost a fifth of
    a read.
    """
    return [
        Route(FHIR_PATH + path, _endpoint(interaction), methods=[method], name=f"{interaction} {method}")
        for method, path, interaction in ROUTES
    ]


def _endpoint(interaction: Interaction) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            body = await bounded_body(request)
        except Problem as problem:
            return problem_response(problem)
        # psycopg2 blocks: the act runs in one of the process's few threads.
        threads = request.app.state.threads
        return await get_running_loop().run_in_executor(threads, answer, request, body, interaction)

    return endpoint


def answer(request: Request, body: bytes, interaction: Interaction) -> Response:
    """Turn an HTTP request into an act, and its answer or problem into a response."""
    spine: Spine = request.app.state.spine
    headers = request.headers
    asked = _asked(request, body, interaction)
    try:
        # 1. Who asks: nothing else is looked at before.
        told = headers.getlist("authorization")
        requester = spine.requester(told[0] if len(told) == 1 else "", asked)
        # 2. Whether it can be asked so.
        try:
            _require_speakable(request, body, asked)
        except Problem as problem:
            spine.refuse(asked, requester, problem)
            raise
        # 3. The act.
        done = spine.perform(asked, requester)
    except Problem as problem:
        return problem_response(problem)
    is_pretty = any(pair == ("_pretty", "true") for pair in asked.query)
    return answer_response(
        done,
        is_pretty=is_pretty,
        prefer=negotiation.prefer_return(headers),
        if_none_match=headers.get("if-none-match"),
    )


def _require_speakable(request: Request, body: bytes, asked: Asked) -> None:
    """Hold a request against what this door speaks. Raises: the problem that it would be answered with."""
    named = [asked.resource_type] if asked.resource_type else []
    named += [asked.compartment[0]] if asked.compartment else []
    if not all(is_resource_type(each) for each in named):
        raise NotFound("there is no such resource type")
    negotiation.require_bounded(request.url.query, asked.resource_id, asked.version_id)
    negotiation.require_json_answer(request.headers, asked.query)
    if request.url.path.endswith("/_search"):
        negotiation.require_form(request.headers, body)
    elif request.method in ("POST", "PUT"):
        negotiation.require_json_body(request.headers)
    if not asked.operation and asked.resource_id.startswith("$"):
        raise NotSupported("there is no such operation", "http.url")


def _asked(request: Request, body: bytes, interaction: Interaction) -> Asked:
    headers, parameters = request.headers, request.path_params
    pairs = parse_qsl(request.url.query, keep_blank_values=True)
    described = f"{request.method} {request.url.path}" + (
        f"?{request.url.query}" if request.url.query else ""
    )
    if request.url.path.endswith("/_search"):
        # Nobody is known yet, so no more is read than a search may say; a longer form is refused.
        form = body[: negotiation.MAX_QUERY_BYTES].decode("utf-8", "replace")
        described += f" {form}"
        pairs += parse_qsl(form, keep_blank_values=True)
    if interaction == "transaction" and b'"batch"' in body and _is_batch(body):
        interaction = "batch"
    return Asked(
        interaction=interaction,
        resource_type=parameters.get("resource_type", ""),
        resource_id=parameters.get("resource_id", ""),
        version_id=parameters.get("version_id", ""),
        operation=parameters.get("operation", ""),
        compartment=(
            (parameters["compartment_type"], parameters["compartment_id"])
            if "compartment_type" in parameters
            else None
        ),
        query=tuple(pairs),
        body=body,
        content_type=headers.get("content-type", "").split(";")[0].strip().lower(),
        if_match=headers.get("if-match"),
        if_none_match=headers.get("if-none-match"),
        if_none_exist=headers.get("if-none-exist"),
        if_modified_since=headers.get("if-modified-since"),
        is_lenient=negotiation.is_lenient(headers),
        request_id=negotiation.request_id(headers),
        described=described[: negotiation.MAX_QUERY_BYTES],
    )


def _is_batch(body: bytes) -> bool:
    """Whether a body is a Bundle of type batch; what cannot be read is refused later, as a transaction."""
    try:
        return _KIND.decode(body).type == "batch"
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return False
