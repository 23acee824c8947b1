"""Bodies on their way in: bounded in size and time, inflated, and turned into the JSON that the rooms read.

Spec:    https://hl7.org/fhir/R4/http.html#general, RFC 9110 8.4
Leaves:  media types to media_type.py; content that is no FHIR to binary.py; what a resource may say to the rooms.

Nothing but the reading happens before the caller is known.
"""

from __future__ import annotations

import asyncio
import zlib
from typing import Annotated, Final

from fastapi import Depends
from starlette.requests import Request

from exchange.fhir.resource import dump
from exchange.fhir.xml_read import read_xml
from exchange.problems import Malformed, Problem, TooCostly
from exchange.rest.media_type import (
    JSON_PATCH,
    KINDS,
    UnsupportedMediaType,
    body_kind,
    media_type,
    require_ours,
)
from exchange.settings import settings

FHIR_PATH: Final = "/fhir"
SMALL_BYTES: Final = 16_384
SMALL_SECONDS: Final = 20
_GZIP: Final = frozenset({"gzip", "x-gzip"})
_GZIP_WINDOW: Final = 31


class TooSlow(Problem):
    """The body did not come in the time that the hub waits (408)."""

    code = "timeout"


async def bounded_body(request: Request) -> bytes:
    """The request's body as it came.

    Raises: TooCostly - longer than the hub takes, told before it is read whole; TooSlow - not there in time.
    """
    if request.method in ("GET", "HEAD", "DELETE"):
        return b""
    if "authorization" not in request.headers and request.url.path.startswith(FHIR_PATH):
        return b""  # it will be refused: nothing of it needs to be read
    return await _within(request, settings().max_body_bytes, settings().body_timeout_seconds)


async def small_body(request: Request) -> bytes | Problem:
    """The body of what is never long; the problem where it is, for the endpoint to refuse as an act of its own."""
    try:
        return await _within(request, SMALL_BYTES, SMALL_SECONDS)
    except (TooCostly, TooSlow) as problem:
        return problem


async def _within(request: Request, most: int, seconds: int) -> bytes:
    told = request.headers.get("content-length", "0")
    if told.isdigit() and int(told) > most:
        raise TooCostly("the body is larger than this hub takes")
    parts, size = [], 0
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise TooCostly("the body is larger than this hub takes")
                parts.append(part)
    except TimeoutError:
        raise TooSlow("the body did not come in time") from None
    return b"".join(parts)


Body = Annotated[bytes, Depends(bounded_body)]
SmallBody = Annotated[bytes | Problem, Depends(small_body)]


def is_encoded(request: Request) -> bool:
    """Whether the body is compressed."""
    return request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity")


def inflated(request: Request, body: bytes) -> bytes:
    """The body without its compression. Raises: UnsupportedMediaType, Malformed, TooCostly - it grows too large."""
    if not is_encoded(request):
        return body
    if request.headers["content-encoding"].strip().lower() not in _GZIP:
        raise UnsupportedMediaType("this hub inflates gzip alone", "http.Content-Encoding")
    most = settings().max_body_bytes
    reader = zlib.decompressobj(wbits=_GZIP_WINDOW)
    try:
        text = reader.decompress(body, most + 1)
    except zlib.error:
        raise Malformed("the body is not valid gzip", "http.Content-Encoding") from None
    if len(text) > most:
        raise TooCostly("the body is larger than this hub takes")
    if not reader.eof or reader.unused_data:
        raise Malformed("the body is not valid gzip", "http.Content-Encoding")
    return text


def as_json(content_type: str, body: bytes) -> tuple[str, bytes]:
    """A FHIR body as JSON, with its type. Raises: UnsupportedMediaType, Malformed, TooCostly."""
    if body_kind(content_type) == "json":
        return media_type(content_type).name, body
    most = settings()
    return "application/fhir+json", dump(
        read_xml(body, max_bytes=most.max_body_bytes, max_depth=most.max_json_depth)
    )


def patch_body(content_type: str, body: bytes) -> tuple[str, bytes]:
    """A patch: JSON Patch as it is, Parameters as JSON. Raises: UnsupportedMediaType, Malformed, TooCostly."""
    told = media_type(content_type)
    if told.name == JSON_PATCH:
        require_ours(told)
        return JSON_PATCH, body
    if told.name not in KINDS:
        words = f"a patch is {JSON_PATCH}, or Parameters in application/fhir+json or application/fhir+xml"
        raise UnsupportedMediaType(words, "http.Content-Type")
    if body.lstrip()[:1] == b"[":
        raise UnsupportedMediaType(f"a JSON Patch is sent as {JSON_PATCH}", "http.Content-Type")
    return as_json(content_type, body)
