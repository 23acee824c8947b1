"""The one place that knows HTTP status codes: answers and problems as responses.

Spec:    https://hl7.org/fhir/R4/http.html#Status-Codes, https://hl7.org/fhir/R4/operationoutcome.html
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final

import msgspec
from starlette.responses import Response, StreamingResponse

from exchange import problems
from exchange.problems import Problem
from exchange.request import WRITES, Answer
from exchange.rest.body import TooSlow
from exchange.rest.media_type import JSON, Format, NotAcceptable, UnsupportedMediaType
from exchange.rest.rendering import rendered
from exchange.settings import settings

STATUS: Final[dict[type[Problem], int]] = {
    problems.Malformed: 400,
    problems.NotSupported: 400,
    problems.WrongMethod: 405,
    problems.TooCostly: 413,
    problems.Unauthenticated: 401,
    problems.Throttled: 429,
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
    "existing": 200,
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
    if isinstance(problem, TooSlow):
        return 408
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


def problem_response(problem: Problem, wanted: Format = JSON) -> Response:
    """A problem as a response."""
    status = status_of(problem)
    headers = {}
    if status == 401:  # noqa: PLR2004
        headers["WWW-Authenticate"] = 'Bearer realm="chasqui"'
    if status == 503:  # noqa: PLR2004
        headers["Retry-After"] = RETRY_AFTER_SECONDS
    if isinstance(problem, problems.Throttled):
        headers["Retry-After"] = str(problem.retry_after_seconds)
    if isinstance(problem, problems.WrongMethod):
        headers["Allow"] = "POST"
    if status == 408:  # noqa: PLR2004
        headers["Connection"] = "close"
    return _response(operation_outcome(problem), status, headers, wanted)


def answer_response(answer: Answer, wanted: Format = JSON, *, prefer: str = "representation") -> Response:
    """An answer as a response, with the headers of its version. Raises: NotAcceptable - see rendering."""
    if answer.bundle:
        return _response(_batch_response(answer), 200, {}, wanted)
    status = OUTCOMES[answer.outcome]
    headers = version_headers(answer)
    is_write = answer.outcome in WRITES or answer.outcome == "deleted"
    if is_write and prefer == "OperationOutcome":
        return _response(_done(answer), 200 if status == OUTCOMES["deleted"] else status, headers, wanted)
    if answer.outcome in ("deleted", "not-modified") or (is_write and prefer == "minimal"):
        return Response(b"", status, headers)
    if answer.stream is not None and wanted.kind == "json" and not wanted.is_pretty:
        return StreamingResponse(answer.stream, status, headers, media_type=wanted.media_type)
    return _response(answer.body or b"".join(answer.stream or ()), status, headers, wanted)


def version_headers(answer: Answer) -> dict[str, str]:
    """The headers that tell which version an answer is about."""
    headers: dict[str, str] = {}
    if answer.version_id:
        etag = f'W/"{answer.version_id}"'
        headers["ETag"] = etag
        moment = datetime.fromtimestamp(answer.last_updated // 1_000_000, UTC)
        headers["Last-Modified"] = format_datetime(moment, usegmt=True)
        if answer.outcome in WRITES:
            headers["Location"] = _location(answer)
    return headers


def _response(body: bytes, status: int, headers: dict[str, str], wanted: Format) -> Response:
    return Response(rendered(body, wanted), status, headers, media_type=wanted.media_type)


def _done(answer: Answer) -> bytes:
    """What a write came to, in words.

    Spec: https://hl7.org/fhir/R4/http.html#ops
    """
    place = f"{answer.resource_type}/{answer.resource_id}"
    words = {
        "created": "was created as", "updated": "was updated to", "unchanged": "said the same already and stays at",
        "existing": "existed already, at", "deleted": "was deleted as",
    }  # fmt: skip
    told = f"{place} {words[answer.outcome]} version {answer.version_id}"
    issue = {"severity": "information", "code": "informational", "diagnostics": told}
    return msgspec.json.encode({"resourceType": "OperationOutcome", "issue": [issue]})


def _location(answer: Answer) -> str:
    place = f"{settings().fhir_url}/{answer.resource_type}/{answer.resource_id}"
    return f"{place}/_history/{answer.version_id}"


def _batch_response(answer: Answer) -> bytes:
    """What each entry came to, in the entries' order.

    Spec: https://hl7.org/fhir/R4/http.html#transaction-response
    """
    rows = []
    for each in answer.entries:
        if isinstance(each, Problem):
            response = {"status": str(status_of(each)), "outcome": msgspec.Raw(operation_outcome(each))}
            rows.append(msgspec.json.encode({"response": response}))
            continue
        response = {"status": str(OUTCOMES[each.outcome])}
        if each.version_id:
            place = f"{each.resource_type}/{each.resource_id}/_history/{each.version_id}"
            response |= {"etag": f'W/"{each.version_id}"', "lastModified": _instant(each.last_updated)}
            response |= {} if each.outcome == "deleted" else {"location": place}
        row: dict[str, object] = {"resource": msgspec.Raw(each.body)} if each.body else {}
        rows.append(msgspec.json.encode(row | {"response": response}))
    entries = b',"entry":[' + b",".join(rows) + b"]" if rows else b""
    return b'{"resourceType":"Bundle","type":"%s"' % answer.bundle.encode() + entries + b"}"


def _instant(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds // 1_000_000, UTC).strftime(
        f"%Y-%m-%dT%H:%M:%S.{microseconds % 1_000_000:06d}Z"
    )
