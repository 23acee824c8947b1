"""A hub in a thread: loopback HTTP, SMART backend tokens, transactions, and every misbehaviour that we fear."""

from __future__ import annotations

import gzip
import json
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import jwt

ACTIONS = ("503", "500", "429", "409", "401", "hang", "stall", "drop", "refuse", "html")
"""What a transaction may meet: a status; `hang`, applied late; `stall`, applied and answered late; `drop`, applied
and never answered; `refuse`, not even read; `html`, somebody else's page."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass


@dataclass
class HubSimulator:
    """Start with `with HubSimulator() as hub:`; tell it to misbehave through `next_actions` or `refuse_ids`."""

    jwks: dict[str, dict[str, Any]] = field(default_factory=dict)
    check_tokens: bool = True
    refuse_tokens: bool = False
    hang_seconds: float = 1.0
    retry_after: str | None = None
    next_actions: deque[str] = field(default_factory=deque)
    chaos: Callable[[], str] | None = None
    refuse_ids: set[str] = field(default_factory=set)
    conflict_ids: set[str] = field(default_factory=set)
    unscoped_types: set[str] = field(default_factory=set)
    granted_scope: str | None = None
    resources: dict[str, list[Any]] = field(default_factory=dict)
    texts: dict[str, list[str]] = field(default_factory=dict)
    transactions: list[dict[str, Any]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    configuration: dict[str, Any] = field(default_factory=dict)
    takes_reports: bool = False
    report_status: int = 200
    reports: list[dict[str, Any]] = field(default_factory=list)
    token_requests: int = 0
    attempts: int = 0
    received_bytes: int = 0
    tokens: dict[str, float] = field(default_factory=dict)
    seen_jti: set[str] = field(default_factory=set)

    def __enter__(self):
        hub = self
        self._lock = threading.Lock()

        class Door(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_GET(self):
                if self.path == "/fhir/.well-known/smart-configuration":
                    hub._answer(self, 200, hub._configuration())
                else:
                    hub._answer(self, 404, _outcome("not-found"))

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                hub.received_bytes += len(body)
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                if self.path == "/token":
                    hub._token(self, body)
                elif self.path == "/fhir":
                    hub._transaction(self, body)
                elif self.path == "/adapters/state":
                    hub._report(self, body)
                else:
                    hub._answer(self, 404, _outcome("not-found"))

        self._server = _Server(("127.0.0.1", 0), Door)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/fhir"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def register(self, client_id: str, jwk: dict[str, Any]) -> None:
        self.jwks[client_id] = jwk

    def of_type(self, resource_type: str) -> list[dict[str, Any]]:
        return [
            versions[-1]
            for url, versions in sorted(self.resources.items())
            if url.startswith(f"{resource_type}/")
        ]

    def written_more_than_once(self) -> list[str]:
        return [url for url, versions in self.resources.items() if len(versions) != 1]

    def _configuration(self) -> dict[str, Any]:
        root = self.url.removesuffix("/fhir")
        told = {"token_endpoint": f"{root}/token"}
        if self.takes_reports:
            told["chasqui_adapter_state_endpoint"] = f"{root}/adapters/state"
        return told | self.configuration

    # --- endpoints -------------------------------------------------------------------------------

    def _token(self, door, body: bytes) -> None:
        self.token_requests += 1
        form = {key: values[0] for key, values in parse_qs(body.decode()).items()}
        try:
            assertion = form["client_assertion"]
            assert form["grant_type"] == "client_credentials"
            assert form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
            assert form["scope"]
            client = jwt.decode(assertion, options={"verify_signature": False})["iss"]
            jwk = self.jwks[client]
            header = jwt.get_unverified_header(assertion)
            assert header["alg"] == "ES384"
            assert header["kid"] == jwk["kid"]
            endpoint = self.url.removesuffix("/fhir") + "/token"
            claims = jwt.decode(assertion, jwt.PyJWK(jwk).key, algorithms=["ES384"], audience=endpoint)
            assert claims["iss"] == claims["sub"]
            assert claims["exp"] - time.time() <= 300
            assert claims["jti"] not in self.seen_jti
            self.seen_jti.add(claims["jti"])
        except Exception:  # noqa: BLE001 - whatever is wrong with an assertion, the client is not known
            self._answer(door, 401, {"error": "invalid_client"})
            return
        if self.granted_scope is not None and form["scope"] != self.granted_scope:
            self._answer(door, 400, {"error": "invalid_scope"})
            return
        token = uuid.uuid4().hex
        self.tokens[token] = time.time() + 300
        self._answer(
            door,
            200,
            {"access_token": token, "token_type": "bearer", "expires_in": 300, "scope": form["scope"]},
        )

    def _report(self, door, body: bytes) -> None:
        assert self.tokens[door.headers.get("Authorization", "").removeprefix("Bearer ")] > time.time()
        if self.report_status == 200:
            self.reports.append(json.loads(body))
        self._answer(door, self.report_status, {"taken": True})

    def _transaction(self, door, body: bytes) -> None:
        self.attempts += 1
        token = door.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.refuse_tokens or (self.check_tokens and self.tokens.get(token, 0) < time.time()):
            self._answer(door, 401, _outcome("login"))
            return
        with self._lock:
            action = self.next_actions.popleft() if self.next_actions else self.chaos() if self.chaos else ""
        if action.isdigit():
            self._answer(door, int(action), _outcome("transient"))
            return
        if action == "html":
            self._answer(door, 200, "<html>proxy</html>")
            return
        if action == "refuse":
            door.close_connection = True
            door.connection.close()
            return
        if action == "hang":
            time.sleep(self.hang_seconds)
        self.bodies.append(body)
        bundle = json.loads(body)
        assert door.headers["Content-Type"] == "application/fhir+json"
        assert bundle["resourceType"] == "Bundle"
        assert bundle["type"] == "transaction"
        urls = [entry["request"]["url"] for entry in bundle["entry"]]
        assert len(urls) == len(set(urls)), "a resource twice in one transaction"
        for index, entry in enumerate(bundle["entry"]):
            resource = entry["resource"]
            request = entry["request"]
            assert request["method"] == "PUT"
            assert request["url"] == f"{resource['resourceType']}/{resource['id']}"
            assert set(request) <= {"method", "url", "ifMatch", "ifNoneMatch"}
            if resource["id"] in self.refuse_ids:
                issue = _outcome("invalid", f"Bundle.entry[{index}].resource")
                self._answer(door, 422, issue)
                return
            if resource["resourceType"] in self.unscoped_types:
                self._answer(door, 403, _outcome("forbidden"))
                return
            if resource["id"] in self.conflict_ids:
                self._answer(door, 409, _outcome("conflict"))
                return
        with self._lock:
            if not all(self._holds(entry["request"]) for entry in bundle["entry"]):
                self._answer(door, 412, _outcome("conflict"))
                return
            answer = [
                self._put(url, entry["resource"]) for url, entry in zip(urls, bundle["entry"], strict=True)
            ]
            self.transactions.append({"id": door.headers.get("X-Request-Id"), "urls": urls})
        if action == "stall":
            time.sleep(self.hang_seconds)
        if action == "drop":
            door.close_connection = True
            door.connection.close()
            return
        self._answer(door, 200, {"resourceType": "Bundle", "type": "transaction-response", "entry": answer})

    def _holds(self, request: dict[str, Any]) -> bool:
        count = len(self.resources.get(request["url"], []))
        if "ifNoneMatch" in request:
            assert request["ifNoneMatch"] == "*"
            return count == 0
        return request.get("ifMatch", f'W/"{count}"') == f'W/"{count}"'

    def _put(self, url: str, resource: dict[str, Any]) -> dict[str, Any]:
        versions = self.resources.setdefault(url, [])
        is_new = not versions
        if is_new or versions[-1] != resource:
            versions.append(resource)
        return {"response": {"status": "201 Created" if is_new else "200 OK", "etag": f'W/"{len(versions)}"'}}

    def _answer(self, door, status: int, content: Any) -> None:
        body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        door.send_response(status)
        door.send_header("Content-Type", "text/html" if isinstance(content, str) else "application/fhir+json")
        door.send_header("Content-Length", str(len(body)))
        if self.retry_after and status >= 400:
            door.send_header("Retry-After", self.retry_after)
        door.end_headers()
        door.wfile.write(body)


def _outcome(code: str, expression: str | None = None) -> dict[str, Any]:
    issue: dict[str, Any] = {"severity": "error", "code": code, "diagnostics": "as told"}
    if expression:
        issue["expression"] = [expression]
    return {"resourceType": "OperationOutcome", "issue": [issue]}
