"""The one place that knows HTTP status codes: answers and problems as responses.

Spec:    https://hl7.org/fhir/R4/http.html#Status-Codes, https://hl7.org/fhir/R4/operationoutcome.html
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final

import msgspec
from starlette.responses import Response

from exchange import problems
from exchange.fhir.resource import pretty
from exchange.problems import Problem
from exchange.request import Answer
from exchange.rest.negotiation import NotAcceptable, UnsupportedMediaType
from exchange.settings import settings

FHIR_JSON: Final = "application/fhir+json; charset=utf-8"

STATUS: Final[dict[type[Problem], int]] = {
    problems.Malformed: 400,
    problems.NotSupported: 400,
    problems.TooCostly: 413,
    problems.Unauthenticated: 401,
    problems.Denied: 403,
    problems.NotFound: 404,
    problems.Gone: 410,
    problems.KeyDestroyed: 410,
    problems.Conflict: 409,
    problems.PreconditionFailed: 412,
    problems.Invalid: 422,
    problems.SealBroken: 500,
    problems.Unavailable: 503,
    Problem: 500,
}
OUTCOMES: Final = {
    "ok": 200,
    "created": 201,
    "updated": 200,
    "unchanged": 200,
    "deleted": 204,
    "not-modified": 304,
}
RETRY_AFTER_SECONDS: Final = "5"


def status_of(problem: Problem) -> int:
    """The status of a problem: its own where it is more exact, its class's, or that of the nearest class above."""
    if isinstance(problem, NotAcceptable):
        return 406
    if isinstance(problem, UnsupportedMediaType):
        return 415
    return next(STATUS[each] for each in type(problem).__mro__ if each in STATUS)


def operation_outcome(problem: Problem) -> bytes:
    """The OperationOutcome of a problem."""
    issues = []
    for issue in problem.issues:
        row: dict[str, object] = {
            "severity": issue.severity,
            "code": issue.code,
            "diagnostics": issue.diagnostics,
        }
        if issue.expression:
            row["expression"] = [issue.expression]
        issues.append(row)
    return msgspec.json.encode({"resourceType": "OperationOutcome", "issue": issues})


def problem_response(problem: Problem) -> Response:
    """A problem as a response."""
    status = status_of(problem)
    headers = {}
    if status == 401:  # noqa: PLR2004
        headers["WWW-Authenticate"] = 'Bearer realm="chasqui"'
    if status == 503:  # noqa: PLR2004
        headers["Retry-After"] = RETRY_AFTER_SECONDS
    return Response(operation_outcome(problem), status, headers, media_type=FHIR_JSON)


def answer_response(
    answer: Answer,
    *,
    is_pretty: bool = False,
    prefer: str = "representation",
    if_none_match: str | None = None,
) -> Response:
    """An answer as a response, with the headers of its version."""
    if answer.entries or (answer.outcome == "ok" and not answer.body):
        return Response(_batch_response(answer), 200, media_type=FHIR_JSON)
    headers: dict[str, str] = {}
    if answer.version_id:
        etag = f'W/"{answer.version_id}"'
        headers["ETag"] = etag
        moment = datetime.fromtimestamp(answer.last_updated // 1_000_000, UTC)
        headers["Last-Modified"] = format_datetime(moment, usegmt=True)
        if answer.outcome in ("created", "updated", "unchanged"):
            headers["Location"] = _location(answer)
        if answer.outcome == "ok" and if_none_match is not None and etag in if_none_match:
            return Response(b"", OUTCOMES["not-modified"], headers)
    status = OUTCOMES[answer.outcome]
    if status == OUTCOMES["deleted"]:
        return Response(b"", status, headers)
    is_write = answer.outcome in ("created", "updated", "unchanged")
    if is_write and prefer == "minimal":
        return Response(b"", status, headers)
    body = answer.body
    if is_write and prefer == "OperationOutcome":
        body = (
            b'{"resourceType":"OperationOutcome","issue":[{"severity":"information","code":"informational"}]}'
        )
    return Response(pretty(body) if is_pretty else body, status, headers, media_type=FHIR_JSON)


def _location(answer: Answer) -> str:
    place = f"{settings().fhir_url}/{answer.resource_type}/{answer.resource_id}"
    return f"{place}/_history/{answer.version_id}"


def _batch_response(answer: Answer) -> bytes:
    rows = []
    for each in answer.entries:
        if isinstance(each, Problem):
            response = {"status": str(status_of(each)), "outcome": msgspec.Raw(operation_outcome(each))}
            rows.append(msgspec.json.encode({"response": response}))
            continue
        response = {"status": str(OUTCOMES[each.outcome])}
        if each.version_id:
            response |= {"etag": f'W/"{each.version_id}"', "location": _location(each)}
        row: dict[str, object] = {"resource": msgspec.Raw(each.body)} if each.body else {}
        rows.append(msgspec.json.encode(row | {"response": response}))
    entries = b',"entry":[' + b",".join(rows) + b"]" if rows else b""
    return b'{"resourceType":"Bundle","type":"batch-response"' + entries + b"}"
