"""Content negotiation and the headers that shape an answer.

Spec:    https://hl7.org/fhir/R4/http.html#mime-type, https://hl7.org/fhir/R4/http.html#prefer
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping
from typing import Final

from exchange.problems import Malformed, NotSupported, TooCostly

_JSON: Final = frozenset({"application/fhir+json", "application/json", "json", "text/json"})
_ANY: Final = frozenset({"*/*", "application/*"})
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9.\-_:]{1,128}", re.ASCII)
_RETURN: Final = re.compile(r"(?:^|[,;\s])return=(minimal|representation|OperationOutcome)(?:$|[,;\s])")
MAX_QUERY_BYTES: Final = 16_384


class NotAcceptable(NotSupported):
    """The answer is asked for in a format that this hub does not write (406)."""


class UnsupportedMediaType(NotSupported):
    """The body is in a format that this hub does not read (415)."""


def require_json_answer(headers: Mapping[str, str], query: Iterable[tuple[str, str]]) -> None:
    """Whether JSON is wanted, by `_format` or Accept. Raises: NotAcceptable."""
    formats = [value for name, value in query if name == "_format"]
    if formats:
        if formats[-1].split(";")[0].strip().replace(" ", "+") not in _JSON:
            raise NotAcceptable("this hub answers in JSON", "http._format")
        return
    accept = headers.get("accept", "")
    offers = {offer.split(";")[0].strip().lower() for offer in accept.split(",")} - {""}
    if offers and not offers & (_JSON | _ANY):
        raise NotAcceptable("this hub answers in JSON", "http.Accept")


def require_json_body(headers: Mapping[str, str]) -> None:
    """Whether the body says that it is JSON. Raises: UnsupportedMediaType."""
    kind = headers.get("content-type", "").split(";")[0].strip().lower()
    if kind not in _JSON:
        raise UnsupportedMediaType("this hub reads JSON", "http.Content-Type")


def require_form(headers: Mapping[str, str], body: bytes) -> None:
    """Whether the body is a search form, and a bounded one. Raises: UnsupportedMediaType, TooCostly."""
    kind = headers.get("content-type", "").split(";")[0].strip().lower()
    if body and kind != "application/x-www-form-urlencoded":
        raise UnsupportedMediaType("a search is posted as a form", "http.Content-Type")
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


def prefer_return(headers: Mapping[str, str]) -> str:
    """What a write shall answer with."""
    match = _RETURN.search(headers.get("prefer", ""))
    return match.group(1) if match else "representation"


def is_lenient(headers: Mapping[str, str]) -> bool:
    """Whether unknown search parameters are passed over: only where the caller asks for it."""
    return "handling=lenient" in headers.get("prefer", "")


def request_id(headers: Mapping[str, str]) -> str:
    """The caller's X-Request-Id where it can stand in a log, else a new one."""
    told = headers.get("x-request-id", "")
    return told if _REQUEST_ID.fullmatch(told) else str(uuid.uuid4())
