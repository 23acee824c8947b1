"""The headers that shape an answer, and the bounds of a query.

Spec:    https://hl7.org/fhir/R4/http.html#prefer, https://hl7.org/fhir/R4/http.html#cread
Leaves:  formats to media_type.py.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from starlette.datastructures import Headers

from exchange.problems import Malformed, TooCostly
from exchange.rest.media_type import FORM, MAX_OFFERS, UnsupportedMediaType, media_type

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9.\-_:]{1,128}", re.ASCII)
_RETURNS: Final = {each.lower(): each for each in ("minimal", "representation", "OperationOutcome")}
_ETAG: Final = re.compile(r'(?:W/)?"([^"]{0,64})"|(\*)', re.ASCII)
MAX_QUERY_BYTES: Final = 16_384


def require_form(headers: Mapping[str, str], body: bytes) -> None:
    """Whether the body is a search form, and a bounded one. Raises: UnsupportedMediaType, TooCostly."""
    if body and media_type(headers.get("content-type", "")).name != FORM:
        raise UnsupportedMediaType(f"a search is posted as {FORM}", "http.Content-Type")
    if len(body) > MAX_QUERY_BYTES:
        raise TooCostly("the query is too long", "http.query")


def require_bounded(query: str, *parts: str) -> None:
    """Bound a query string. Raises: TooCostly, Malformed - it, or a part of the path, holds NUL."""
    if len(query) > MAX_QUERY_BYTES:
        raise TooCostly("the query is too long", "http.query")
    if "%00" in query:
        raise Malformed("the query holds a NUL character", "http.query")
    if any("\x00" in part for part in parts):
        raise Malformed("the address holds a NUL character", "http.url")


def stated_return(headers: Headers) -> str:
    """The return preference where one is stated, else ""."""
    return _RETURNS.get(_preferences(headers).get("return", ""), "")


def is_lenient(headers: Headers) -> bool:
    """Whether unknown search parameters are passed over: only where the caller asks for it."""
    return _preferences(headers).get("handling") == "lenient"


def _preferences(headers: Headers) -> dict[str, str]:
    """The Prefer headers: the first of equal preferences counts.

    Spec: RFC 7240, 2
    """
    found: dict[str, str] = {}
    for part in ",".join(headers.getlist("prefer")).replace(";", ",").split(",", MAX_OFFERS):
        name, _, value = part.lower().partition("=")
        found.setdefault(name.strip(), value.strip().strip('"'))
    return found


def is_known(headers: Headers, version_id: int, last_updated: int) -> bool:
    """Whether the caller has this version already, by If-None-Match or, without it, by If-Modified-Since.

    Spec: https://hl7.org/fhir/R4/http.html#cread, RFC 9110 13.1
    """
    told = headers.getlist("if-none-match")
    if told:
        return any(star or etag == str(version_id) for etag, star in _ETAG.findall(",".join(told)))
    try:
        since = parsedate_to_datetime(headers.get("if-modified-since", ""))
    except (TypeError, ValueError, OverflowError):
        return False
    since = since if since.tzinfo else since.replace(tzinfo=UTC)
    return last_updated // 1_000_000 <= since.timestamp()


def request_id(headers: Mapping[str, str]) -> str:
    """The caller's X-Request-Id where it can stand in a log, else a new one."""
    told = headers.get("x-request-id", "")
    return told if _REQUEST_ID.fullmatch(told) else str(uuid.uuid4())
