"""What a caller wants to see of an answer inside a bundle: nothing it has already, no body that it did not ask for.

Spec:    https://hl7.org/fhir/R4/http.html#cread, https://hl7.org/fhir/R4/http.html#ops
Leaves:  the same for requests that stand alone to rest.
"""

from __future__ import annotations

from exchange.fhir.datatype import date_range
from exchange.problems import Malformed
from exchange.request import WRITES, Answer, Request
from exchange.settings import settings


def as_wanted(answer: Answer, request: Request) -> Answer:
    """An entry that reads: what the caller has by ifNoneMatch or ifModifiedSince, or asks for by HEAD, is not sent."""
    if _is_known(answer, request):
        answer.outcome = "not-modified"
    if request.is_head or answer.outcome == "not-modified":
        answer.body = b""
    return answer


def without_unwanted_bodies(answer: Answer, request: Request) -> Answer:
    """A bundle's entries that wrote show what they stored only where the caller prefers it."""
    if answer.bundle and request.prefer != "representation":
        for each in answer.entries:
            if isinstance(each, Answer) and each.outcome in WRITES:
                each.body = b""
    return answer


def _is_known(answer: Answer, request: Request) -> bool:
    told, since = request.if_none_match, request.if_modified_since
    if request.interaction not in ("read", "vread") or answer.outcome != "ok":
        return False
    if told is not None:
        return f'"{answer.version_id}"' in told or told.strip() == "*"
    if since is None:
        return False
    try:
        return answer.last_updated <= date_range(since, settings().zone)[1]
    except ValueError:
        raise Malformed("ifModifiedSince is an instant", "request.ifModifiedSince") from None
