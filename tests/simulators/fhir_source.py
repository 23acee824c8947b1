"""A facility's FHIR server in memory: search by change, history, exports. It can be told to misbehave."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

Spoiled = tuple[int, dict[str, str], bytes]
FHIR = {"Content-Type": "application/fhir+json"}


class FhirSource:
    """`spoil` may answer instead of the server; `patience` is how often an export is not ready yet."""

    def __init__(self) -> None:
        self.resources: dict[str, dict[str, Any]] = {}
        self.deleted: dict[str, str] = {}
        self.asked: list[str] = []
        self.export: list[tuple[str, bytes]] = []
        self.deletions = b""
        self.patience = 1
        self.version = "4.0.1"
        self.is_sorted = True
        self.spoil: Callable[[str, dict[str, list[str]]], Spoiled | None] = lambda _path, _query: None
        source = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                query = parse_qs(parts.query, keep_blank_values=True)
                source.asked.append(f"{self.command} {self.path}")
                status, headers, body = source.spoil(parts.path, query) or source.answer(
                    self.command, parts.path, query
                )
                try:
                    self.send_response(status)
                    for name, value in ({"Content-Length": str(len(body))} | headers).items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    self.close_connection = True

            def do_DELETE(self) -> None:
                self.do_GET()

            def log_message(self, *_args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.root = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.url = f"{self.root}/fhir"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def put(self, resource: dict[str, Any], at: str) -> None:
        resource = {**resource, "meta": {**resource.get("meta", {}), "versionId": "1", "lastUpdated": at}}
        self.resources[f"{resource['resourceType']}/{resource['id']}"] = resource

    def delete(self, name: str, at: str) -> None:
        self.resources.pop(name)
        self.deleted[name] = at

    def answer(self, method: str, path: str, query: dict[str, list[str]]) -> Spoiled:
        parts = path.removeprefix("/fhir/").split("/")
        if method == "DELETE":
            return 202, {}, b""
        if parts == ["metadata"]:
            return as_json({"resourceType": "CapabilityStatement", "fhirVersion": self.version})
        if parts[-1] == "$export":
            return 202, {"Content-Location": f"{self.url}/status/1"}, b""
        if parts[0] == "status":
            if self.patience:
                self.patience -= 1
                return 202, {"Retry-After": "0"}, b""
            return as_json({
                "transactionTime": "2026-03-07T00:00:00Z", "request": self.url, "requiresAccessToken": True,
                "output": [{"type": kind, "url": f"{self.url}/file/{n}"} for n, (kind, _) in enumerate(self.export)],
                "deleted": [{"type": "Bundle", "url": f"{self.url}/file/deleted"}] if self.deletions else [],
                "error": [],
            })  # fmt: skip
        if parts[0] == "file":
            body = self.deletions if parts[1] == "deleted" else self.export[int(parts[1])][1]
            return 200, {"Content-Type": "application/fhir+ndjson"}, body
        if parts[-1] == "_history":
            gone = [
                {
                    "request": {"method": "DELETE", "url": name},
                    "response": {"status": "204", "lastModified": at},
                }
                for name, at in self.deleted.items()
                if name.startswith(parts[0] + "/")
            ]
            return as_json({"resourceType": "Bundle", "type": "history", "entry": gone})
        if len(parts) == 2:
            found = self.resources.get("/".join(parts))
            return as_json(found) if found else (404, FHIR, b'{"resourceType":"OperationOutcome"}')
        return self._search(parts[0], query)

    def _search(self, kind: str, query: dict[str, list[str]]) -> Spoiled:
        since = query.get("_lastUpdated", ["ge"])[0].removeprefix("ge")
        found = [
            each
            for each in self.resources.values()
            if each["resourceType"] == kind and each["meta"]["lastUpdated"] >= since
        ]
        if self.is_sorted:
            found.sort(key=lambda each: each["meta"]["lastUpdated"])
        start, size = int(query.get("_start", ["0"])[0]), int(query.get("_count", ["100"])[0])
        bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset", "link": []}
        bundle["entry"] = [
            {"resource": each, "search": {"mode": "match"}} for each in found[start : start + size]
        ]
        if start + size < len(found):
            more = f"{self.url}/{kind}?_count={size}&_start={start + size}&_lastUpdated=ge{since}"
            bundle["link"].append({"relation": "next", "url": more})
        return as_json(bundle)


def as_json(found: object) -> Spoiled:
    return 200, dict(FHIR), json.dumps(found).encode()


def ndjson(*resources: object) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in resources)
