"""The hub as an adapter sees it: a token, a transaction, and what its answer means.

Spec:    https://hl7.org/fhir/smart-app-launch/STU2.2/backend-services.html;
         https://hl7.org/fhir/R4/http.html#transaction.
Leaves:  when to try again to the sender.
"""

from __future__ import annotations

import gzip
import logging
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import jwt
import msgspec

from adapters.outbox import Condition, WireEntry
from adapters.sender.client_key import ClientKey

_log = logging.getLogger("adapters.sender")
_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_SECONDS: Final = 240
_TOKEN_CAP_SECONDS: Final = 300
_TOKEN_MARGIN_SECONDS: Final = 20
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
MOST_SKEW_SECONDS: Final = 60
_REPORT_SECONDS: Final = 10.0
_RETRY_AFTER_CAP_SECONDS: Final = 3600.0
_REFUSED: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY})
_CONTESTED: Final = frozenset({HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED})
_TOKEN_REFUSED: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_HUB_BUSY: Final = frozenset(
    {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.BAD_GATEWAY}
)


@dataclass(frozen=True, slots=True)
class Applied:
    """The hub committed the transaction: the version of every entry, in order."""

    versions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rejected:
    """The hub does not take this content as it is: class of reason and the elements that it names.

    `is_final` is False where the same content may yet be taken: something else stood against it, such as
    another version than the one on which the delivery builds (`is_precondition`).
    """

    reason_class: str
    code: str
    expressions: tuple[str, ...]
    diagnostics: str
    is_final: bool = True
    is_precondition: bool = False


@dataclass(frozen=True, slots=True)
class Later:
    """No answer that settles anything: try again; `is_global` holds all patients, not this one only."""

    code: str
    is_global: bool
    after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Barred:
    """The hub does not let this adapter in, or not as far as it asks: no record is to blame, a person must act."""

    code: str


@dataclass(frozen=True, slots=True)
class Erased:
    """The hub erased this patient's record on an order: nothing of it is taken again."""


Answer = Applied | Rejected | Later | Barred | Erased


class _Token(Exception):  # noqa: N818 - carries the answer of the token endpoint to `send`
    def __init__(self, answer: Later | Barred) -> None:
        super().__init__(answer.code)
        self.answer = answer


class HubClient:
    """One hub, one client identity, any number of threads."""

    def __init__(
        self,
        hub_url: str,
        client_id: str,
        key: ClientKey,
        *,
        scope: str,
        timeout_seconds: float,
        proxy: str | None = None,
    ) -> None:
        self._url = hub_url
        self._client_id = client_id
        self._key = key
        self._scope = scope
        self._http = httpx.Client(
            timeout=httpx.Timeout(timeout_seconds, connect=min(timeout_seconds, 10.0)),
            headers={"Accept": "application/fhir+json", "Accept-Encoding": "gzip"},
            follow_redirects=False,
            **way_out(hub_url, proxy),
            event_hooks={"response": [self._look_at_clock]},
        )
        self.on_clock: Callable[[int], None] = lambda _seconds: None
        """Hears how far this computer's clock is ahead of the hub's, with every answer that says the hub's time."""
        self._is_clock_wrong = False
        self._lock = threading.Lock()
        self._token = ""
        self._token_until = 0.0
        self._token_endpoint = ""
        self._state_endpoint = ""

    def close(self) -> None:
        """Close every connection."""
        self._http.close()

    def send(self, entries: Sequence[WireEntry], request_id: str, conditions: Sequence[Condition]) -> Answer:
        """Send one transaction, with one renewed token if the first is not accepted."""
        body = gzip.compress(self.transaction(entries, conditions), compresslevel=6, mtime=0)
        try:
            token = self._bearer()
            response = self._post(body, token, request_id)
            if response.status_code == HTTPStatus.UNAUTHORIZED:
                token = self._bearer(not_this=token)
                response = self._post(body, token, request_id)
        except _Token as problem:
            return problem.answer
        except (httpx.ConnectError, httpx.ConnectTimeout):
            return Later("A-301", is_global=True)
        except httpx.HTTPError:
            return Later("A-302", is_global=False)
        return self._read(response, len(entries))

    def report(self, text: bytes) -> str:
        """Tell the hub how this adapter stands, if it asks for that; nothing, or the code of what came instead."""
        try:
            token = self._bearer()
            if not self._state_endpoint:
                return ""
            response = self._post_report(text, token)
            if response.status_code == HTTPStatus.UNAUTHORIZED:
                response = self._post_report(text, self._bearer(not_this=token))
        except _Token as problem:
            return problem.answer.code
        except httpx.HTTPError:
            return "A-301"
        return "" if response.status_code == HTTPStatus.OK else f"A-303/{response.status_code}"

    def _post_report(self, text: bytes, token: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        return self._http.post(self._state_endpoint, content=text, headers=headers, timeout=_REPORT_SECONDS)

    def transaction(self, entries: Sequence[WireEntry], conditions: Sequence[Condition]) -> bytes:
        """The transaction Bundle, every resource's JSON as it was mapped, and on what it builds."""
        return msgspec.json.encode(
            {
                "resourceType": "Bundle",
                "type": "transaction",
                "entry": [
                    {
                        "fullUrl": f"{self._url}/{entry.url}",
                        "resource": entry.resource,
                        "request": {"method": "PUT", "url": entry.url, **condition},
                    }
                    for entry, condition in zip(entries, conditions, strict=True)
                ],
            }
        )

    def _post(self, body: bytes, token: str, request_id: str) -> httpx.Response:
        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/fhir+json",
            "Content-Encoding": "gzip",
            "Prefer": "return=minimal",
            "X-Request-Id": request_id,
        }
        return self._http.post(self._url, content=body, headers=headers)

    def _read(self, response: httpx.Response, count: int) -> Answer:
        """What an answer means for the records that were sent.

        1. A transaction-response with as many entries as were sent: applied.
        2. 401 although the token is fresh, or an OperationOutcome with 403: the adapter is not let in.
        3. An OperationOutcome with 410 and `deleted`: the record was erased. With 400, 413 or 422: the content is
           refused; with 409 or 412: for now.
        4. Whatever else: it is not known to be applied, so it is sent again.
        """
        status = response.status_code
        content = _json(response)
        # 1.
        if status == HTTPStatus.OK and content.get("type") == "transaction-response":
            answers = [item.get("response", {}) for item in content.get("entry", [])]
            if len(answers) == count and all(str(item.get("status", "")).startswith("2") for item in answers):
                return Applied(tuple(str(item.get("etag", "")) for item in answers))
        # 2.
        if status == HTTPStatus.UNAUTHORIZED:
            return Barred("A-305")
        if content.get("resourceType") == "OperationOutcome":
            if status == HTTPStatus.FORBIDDEN:
                return Barred("A-313")
            # 3.
            if status == HTTPStatus.GONE and _is_erased(content):
                return Erased()
            if status in _REFUSED:
                return _rejected(content, "A-311")
            if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
                return _rejected(content, "A-312")
            if status in _CONTESTED:
                refused = _rejected(content, "A-314")
                is_precondition = status == HTTPStatus.PRECONDITION_FAILED
                return replace(refused, is_final=False, is_precondition=is_precondition)
        # 4.
        return Later(f"A-303/{status}", is_global=status in _HUB_BUSY, after_seconds=_retry_after(response))

    def _look_at_clock(self, response: httpx.Response) -> None:
        """Compare the hub's Date with this computer's clock. Its second is cut off, and the way takes its time."""
        try:
            hub_time = parsedate_to_datetime(response.headers["Date"]).timestamp()
        except (KeyError, TypeError, ValueError):
            return
        skew = round(time.time() - hub_time - 0.5)
        self.on_clock(skew)
        is_wrong = abs(skew) > MOST_SKEW_SECONDS
        if is_wrong and not self._is_clock_wrong:
            _log.warning("A-308 this computer's clock differs from the hub's: seconds=%d", skew)
        self._is_clock_wrong = is_wrong

    # --- token -----------------------------------------------------------------------------------

    def _bearer(self, not_this: str = "") -> str:
        """A token that is still good for a while; `not_this` was refused and is thrown away."""
        with self._lock:
            if self._token and self._token != not_this and time.monotonic() < self._token_until:
                return self._token
            self._token = ""
            if not self._token_endpoint or not_this:
                self._token_endpoint = self._discover()
            response = self._http.post(
                self._token_endpoint,
                headers={"Accept": "application/json"},
                data={
                    "grant_type": "client_credentials",
                    "scope": self._scope,
                    "client_assertion_type": _ASSERTION_TYPE,
                    "client_assertion": self._assertion(),
                },
            )
            content = _json(response)
            token = content.get("access_token")
            if response.status_code != HTTPStatus.OK or not isinstance(token, str):
                raise _Token(_token_refused(response, content))
            lifetime = min(float(content.get("expires_in", 60)), _TOKEN_CAP_SECONDS)
            self._token = token
            self._token_until = time.monotonic() + max(lifetime - _TOKEN_MARGIN_SECONDS, lifetime / 2)
            return token

    def _discover(self) -> str:
        response = self._http.get(
            f"{self._url}/.well-known/smart-configuration", headers={"Accept": "application/json"}
        )
        found = _json(response)
        endpoint, state = found.get("token_endpoint"), found.get("chasqui_adapter_state_endpoint")
        if response.status_code != HTTPStatus.OK or not isinstance(endpoint, str):
            raise _Token(Later("A-306", is_global=True, after_seconds=_retry_after(response)))
        is_ours = isinstance(state, str) and is_same_place(state, endpoint)
        self._state_endpoint = str(state) if is_ours else ""
        return endpoint

    def _assertion(self) -> str:
        now = int(time.time())
        claims = {
            "iss": self._client_id,
            "sub": self._client_id,
            "aud": self._token_endpoint,
            "jti": uuid.uuid4().hex,
            "iat": now,
            "exp": now + _ASSERTION_SECONDS,
        }
        return jwt.encode(claims, self._key.private, algorithm="ES384", headers={"kid": self._key.kid})


def way_out(hub_url: str, proxy: str | None) -> dict[str, Any]:
    """How the hub is reached: never by a proxy on this computer itself, else by the site's, else by the environment's."""
    if urlsplit(hub_url).hostname in LOOPBACK:
        return {"trust_env": False}
    return {"proxy": proxy} if proxy else {"trust_env": True}


def is_same_place(url: str, other: str) -> bool:
    """Whether two addresses are one server's: a token that was made for it goes nowhere else."""
    try:
        here, there = urlsplit(url), urlsplit(other)
        places = {(each.scheme, each.hostname, each.port) for each in (here, there)}
    except ValueError:
        return False
    return len(places) == 1


def _token_refused(response: httpx.Response, content: dict[str, Any]) -> Later | Barred:
    """A refusal in OAuth's own words is about this adapter; anything else is trouble on the way."""
    error = content.get("error")
    if response.status_code in _TOKEN_REFUSED and isinstance(error, str):
        return Barred("A-307" if error == "invalid_scope" else "A-304")
    code = f"A-303/{response.status_code}"
    return Later(code, is_global=True, after_seconds=_retry_after(response))


def _is_erased(outcome: dict[str, Any]) -> bool:
    """Whether the one issue of a refusal is that the record is no more."""
    issues = outcome.get("issue", [])
    return bool(issues) and all(isinstance(each, dict) and each.get("code") == "deleted" for each in issues)


def _rejected(outcome: dict[str, Any], code: str) -> Rejected:
    """The issues of a refusal: the elements that it names, and the hub's words for the quarantine."""
    expressions: list[str] = []
    words: list[str] = []
    for issue in outcome.get("issue", []):
        if isinstance(issue, dict) and issue.get("severity", "error") in {"error", "fatal"}:
            expressions.extend(str(item)[:200] for item in issue.get("expression", [])[:3])
            words.append(f"{issue.get('code', '')}: {issue.get('diagnostics', '')}"[:300])
    return Rejected("validation", code, tuple(expressions[:20]), " · ".join(words[:10]))


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        content = msgspec.json.decode(response.content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return content if isinstance(content, dict) else {}


def _retry_after(response: httpx.Response) -> float | None:
    """Retry-After in seconds, as a number or as a date."""
    text = response.headers.get("Retry-After", "")
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - time.time()
        except (TypeError, ValueError):
            return None
    return min(max(seconds, 0.0), _RETRY_AFTER_CAP_SECONDS)
