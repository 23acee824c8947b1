"""Binary: content of any type, which comes and goes as it is.

Spec:    https://hl7.org/fhir/R4/binary.html#rest
Leaves:  who may read it to the rooms, which see a resource like any other.

What a browser would run is not run: content is sent as a file, never as a page of this hub's.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from exchange.fhir.datatype import parse_reference
from exchange.fhir.resource import dump, load
from exchange.problems import Malformed
from exchange.request import Answer
from exchange.rest.media_type import (
    FHIR_TYPES,
    FORM,
    KINDS,
    UnsupportedMediaType,
    accepted,
    accepts,
    is_media_type,
    media_type,
)

SECURITY_CONTEXT: Final = "X-Security-Context"
AS_A_FILE: Final = {
    "Content-Disposition": "attachment",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
}
_CHARSET: Final = re.compile(r"[a-z0-9\-]{1,40}", re.ASCII)


def is_content(content_type: str) -> bool:
    """Whether a body sent to Binary is the content itself and no resource."""
    return media_type(content_type).name not in KINDS


def resource_of(request: Request, resource_id: str, body: bytes) -> bytes:
    """The Binary that holds a posted content. Raises: UnsupportedMediaType, Malformed."""
    told = media_type(request.headers.get("content-type", ""))
    if not is_media_type(told.name) or told.name == FORM:
        raise UnsupportedMediaType("a Binary's content says its type", "http.Content-Type")
    encoding = told.parameter("charset")
    more = f"; charset={encoding}" if _CHARSET.fullmatch(encoding) else ""
    resource: dict[str, Any] = {"resourceType": "Binary"} | ({"id": resource_id} if resource_id else {})
    resource["contentType"] = told.name + more
    context = request.headers.get(SECURITY_CONTEXT)
    if context is not None:
        named = parse_reference(context)
        if not named.type or not named.id:
            raise Malformed("the security context is a reference", f"http.{SECURITY_CONTEXT}")
        resource["securityContext"] = {"reference": context}
    if body:
        resource["data"] = b64encode(body).decode()
    return dump(resource)


def wants_resource(accept: str, formats: tuple[str, ...]) -> bool:
    """Whether a caller names FHIR's own types: only then a Binary is told as a resource."""
    return bool(formats) or any(offer.name in FHIR_TYPES and offer.weight > 0 for offer in accepted(accept))


def content_response(answer: Answer, accept: str, headers: dict[str, str]) -> Response | None:
    """The content alone, where the caller takes its type; else None."""
    resource = load(answer.body)
    told = str(resource.get("contentType", ""))
    name = media_type(told).name
    if not is_media_type(name) or not told.isascii() or not told.isprintable() or not accepts(accept, name):
        return None
    context = resource.get("securityContext", {}).get("reference", "")
    if context and context.isascii() and context.isprintable():
        headers[SECURITY_CONTEXT] = context
    content = b64decode(resource.get("data", ""))
    response = Response(content, 200, headers | AS_A_FILE)
    response.headers["Content-Type"] = told  # exactly as it was said: no charset is added
    return response
