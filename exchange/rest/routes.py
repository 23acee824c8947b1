"""The routes, one table in the order of FHIR's http page, and what they share.

Spec:    https://hl7.org/fhir/R4/http.html
Leaves:  everything behind a request to perform.

Acts run in the process's few threads, since psycopg2 blocks (docs/decisions/0003-blocking-calls.md).
"""

from __future__ import annotations

from asyncio import get_running_loop
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from functools import lru_cache
from time import perf_counter
from typing import Final
from urllib.parse import parse_qsl

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response
from starlette.routing import Route

from exchange.fhir.definitions import is_resource_type
from exchange.perform import Spine
from exchange.problems import NotFound, NotSupported, Problem
from exchange.request import Answer, Interaction
from exchange.request import Request as Asked
from exchange.rest import negotiation
from exchange.rest.binary import content_response, is_content, resource_of, wants_resource
from exchange.rest.body import FHIR_PATH, as_json, bounded_body, inflated, is_encoded, patch_body
from exchange.rest.media_type import JSON, Format, Kind, NotAcceptable, wanted_format
from exchange.rest.outcome import answer_response, problem_response, version_headers
from exchange.rest.rendering import finished, rendered

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


EXPORTS: Final = frozenset({"accesses"})
"""Operations that answer a Binary where `_outputFormat` asks for a sheet."""
_UNCONDITIONAL: Final = frozenset({"update", "patch", "delete"})
_KIND: Final = msgspec.json.Decoder(_Kind)

router: Final = APIRouter(prefix=FHIR_PATH)


@router.api_route("/metadata", methods=["GET", "HEAD"], tags=["open"])
def metadata(request: Request) -> Response:
    """The CapabilityStatement; open to everybody."""
    spine: Spine = request.app.state.spine
    query = parse_qsl(request.url.query[: negotiation.MAX_QUERY_BYTES], keep_blank_values=True)
    try:
        wanted = _wanted(request, query)
        body = _written(spine.capabilities(), wanted.kind, is_pretty=wanted.is_pretty)
    except Problem as problem:
        return problem_response(problem)
    return finished(Response(body, media_type=wanted.media_type), request.headers)


@lru_cache(4)
def _written(statement: bytes, kind: Kind, *, is_pretty: bool) -> bytes:
    """The CapabilityStatement in one format: written once, since anybody may ask."""
    return rendered(statement, Format(kind, is_pretty=is_pretty))


def fhir_routes() -> list[Route]:
    """The table as routes.

    They are Starlette's own: FastAPI's parameters and dependencies, which these acts do not use, would cost a fifth of
    a read.
    """
    return [
        Route(FHIR_PATH + place, _endpoint(interaction), methods=[method], name=f"{interaction} {method}")
        for method, path, interaction in ROUTES
        for place in ([path] if path else ["", "/"])  # many clients end the base with a slash
    ]


def _endpoint(interaction: Interaction) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            body = await bounded_body(request)
        except Problem as problem:
            response = problem_response(problem, wanted_or_json(request))
            response.headers["X-Request-Id"] = negotiation.request_id(request.headers)
            return response
        # psycopg2 blocks: the act runs in one of the process's few threads.
        threads = request.app.state.threads
        return await get_running_loop().run_in_executor(threads, answer, request, body, interaction)

    return endpoint


def answer(request: Request, body: bytes, interaction: Interaction) -> Response:
    """Turn an HTTP request into an act, and its answer or problem into a response."""
    spine: Spine = request.app.state.spine
    began = perf_counter()
    headers = request.headers
    # A compressed body is looked into once the caller is known.
    asked = _asked(request, b"" if is_encoded(request) else body, interaction)
    wanted = wanted_or_json(request)
    try:
        # 1. Who asks: nothing else is looked at before.
        told = headers.getlist("authorization")
        requester = spine.requester(told[0] if len(told) == 1 else "", asked)
        # 2. Whether it can be asked so, and what it says.
        try:
            _require_speakable(request, asked)
            wanted = _wanted_or_content(request, asked)
            asked = _read(request, body, asked, interaction)
        except Problem as problem:
            spine.refuse(asked, requester, problem)
            raise
        # 3. The act.
        done = spine.perform(asked, requester)
        # 4. Its answer, as it is wanted.
        response = _answered(request, asked, done, wanted)
    except Problem as problem:
        response = problem_response(problem, wanted)
    response.headers["X-Request-Id"] = asked.request_id
    spine.fleet.tally.count(asked.interaction, response.status_code, perf_counter() - began)
    return finished(response, headers)


def _answered(request: Request, asked: Asked, done: Answer, wanted: Format) -> Response:
    headers = request.headers
    is_read = asked.interaction in ("read", "vread") and done.outcome == "ok"
    if is_read and negotiation.is_known(headers, done.version_id, done.last_updated):
        done.outcome = "not-modified"
    elif (is_read or done.resource_type == "Binary") and _may_be_content(request, asked):
        content = content_response(done, _accept(request), version_headers(done))
        if content is not None:
            return content
        wanted = _wanted(request, asked.query)
    return answer_response(done, wanted, prefer=asked.prefer or "representation")


def _may_be_content(request: Request, asked: Asked) -> bool:
    """Whether a Binary is told as its content rather than as a resource."""
    is_read = asked.interaction in ("read", "vread") and asked.resource_type == "Binary"
    is_export = asked.operation in EXPORTS and any(name == "_outputFormat" for name, _ in asked.query)
    return (is_read or is_export) and not wants_resource(_accept(request), _formats(asked.query))


def _wanted_or_content(request: Request, asked: Asked) -> Format:
    """The format of the answer. Raises: NotAcceptable - but not where a Binary's own type may be meant."""
    return JSON if _may_be_content(request, asked) else _wanted(request, asked.query)


def _wanted(request: Request, query: Iterable[tuple[str, str]]) -> Format:
    pairs = tuple(query)
    found = wanted_format(_accept(request), _formats(pairs))
    return replace(found, is_pretty=True) if ("_pretty", "true") in pairs else found


def wanted_or_json(request: Request) -> Format:
    """The format of a problem: what is wanted, or JSON where that is nothing that this hub writes."""
    query = request.url.query
    if len(query) > negotiation.MAX_QUERY_BYTES:
        return JSON
    try:
        return _wanted(request, parse_qsl(query, keep_blank_values=True))
    except NotAcceptable:
        return JSON


def _accept(request: Request) -> str:
    return ",".join(request.headers.getlist("accept"))


def _formats(query: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(value for name, value in query if name == "_format")


def _require_speakable(request: Request, asked: Asked) -> None:
    """Hold an address against what this door speaks. Raises: the problem that answers it."""
    named = [asked.resource_type] if asked.resource_type else []
    named += [asked.compartment[0]] if asked.compartment else []
    if not all(is_resource_type(each) for each in named):
        raise NotFound("there is no such resource type")
    negotiation.require_bounded(request.url.query, asked.resource_id, asked.version_id)
    if not asked.operation and asked.resource_id.startswith("$"):
        raise NotSupported("there is no such operation", "http.url")
    if asked.interaction == "create" or (asked.resource_id and asked.interaction in _UNCONDITIONAL):
        for name, _ in asked.query:
            if name not in ("_format", "_pretty"):
                words = f"{asked.interaction} takes no criteria here; a conditional create says If-None-Exist"
                raise NotSupported(words, "http.query")


def _read(request: Request, body: bytes, asked: Asked, interaction: Interaction) -> Asked:
    """Turn a body into what the rooms read. Raises: the problem that answers it."""
    if asked.is_safe or request.method == "DELETE":
        return asked
    text = inflated(request, body)
    if is_encoded(request):
        asked = _asked(request, text, interaction)
    if request.url.path.endswith("/_search"):
        negotiation.require_form(request.headers, text)
        return asked
    told = request.headers.get("content-type", "")
    if asked.interaction == "operation" and not text:
        return asked
    if asked.interaction == "patch":
        kind, text = patch_body(told, text)
    elif asked.resource_type == "Binary" and asked.interaction in ("create", "update") and is_content(told):
        kind, text = "application/fhir+json", resource_of(request, asked.resource_id, text)
    else:
        kind, text = as_json(told, text)
    if asked.interaction == "transaction" and _is_batch(text):
        asked = replace(asked, interaction="batch")
    return replace(asked, content_type=kind, body=text)


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
        is_safe=request.method in ("GET", "HEAD"),
        prefer=negotiation.stated_return(headers),
        request_id=negotiation.request_id(headers),
        address=request.client.host if request.client else "",
        described=described[: negotiation.MAX_QUERY_BYTES],
    )


def _is_batch(body: bytes) -> bool:
    """Whether a body is a Bundle of type batch; what cannot be read is refused later, as a transaction."""
    try:
        return b'"batch"' in body and _KIND.decode(body).type == "batch"
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return False
