"""Answers on their way out: JSON as it is, or XML, indented for people, compressed where that is taken.

Spec:    https://hl7.org/fhir/R4/http.html#mime-type, https://hl7.org/fhir/R4/http.html#general
Leaves:  which format to media_type.py; status codes and headers to outcome.py.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterable, AsyncIterator
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response, StreamingResponse

from exchange.fhir.resource import load, pretty
from exchange.fhir.xml_write import write_xml
from exchange.problems import Malformed, NotSupported
from exchange.rest.media_type import MAX_OFFERS, Format, NotAcceptable, media_type, weight

COMPRESSED_FROM_BYTES: Final = 1_024
LEVEL: Final = 5
_GZIP_WINDOW: Final = 31
_TEXTUAL: Final = ("text/", "application/fhir+", "application/json", "application/xml")


def rendered(body: bytes, wanted: Format) -> bytes:
    """JSON text in the format that is wanted. Raises: NotAcceptable - XML has no way to say it."""
    if wanted.kind == "xml":
        try:
            return write_xml(load(body), is_pretty=wanted.is_pretty)
        except (Malformed, NotSupported) as problem:
            raise NotAcceptable(problem.issues[0].diagnostics, problem.issues[0].expression) from None
    return pretty(body) if wanted.is_pretty else body


def finished(response: Response, headers: Headers) -> Response:
    """The response as the connection carries it: compressed where the caller takes gzip and it pays."""
    response.headers["Vary"] = "Accept, Accept-Encoding, Authorization"
    is_small = not isinstance(response, StreamingResponse) and len(response.body) < COMPRESSED_FROM_BYTES
    kind = response.headers.get("content-type", "")
    if is_small or not kind.startswith(_TEXTUAL) or not takes_gzip(headers.get("accept-encoding", "")):
        return response
    response.headers["Content-Encoding"] = "gzip"
    if isinstance(response, StreamingResponse):
        response.body_iterator = _packed(response.body_iterator)
        return response
    packer = zlib.compressobj(LEVEL, wbits=_GZIP_WINDOW)
    response.body = packer.compress(response.body) + packer.flush()
    response.headers["Content-Length"] = str(len(response.body))
    return response


async def _packed(parts: AsyncIterable[str | bytes | memoryview]) -> AsyncIterator[bytes]:
    packer = zlib.compressobj(LEVEL, wbits=_GZIP_WINDOW)
    async for part in parts:
        ready = packer.compress(part.encode() if isinstance(part, str) else part)
        if ready:
            yield ready
    yield packer.flush()


def takes_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header takes gzip."""
    offers = [media_type(part) for part in accept_encoding.split(",", MAX_OFFERS)]
    weights = {offer.name: weight(offer) for offer in offers}
    return (weights.get("gzip", weights.get("*")) or 0.0) > 0
