"""Two systems of invented facilities that answer over HTTP on loopback: an image archive, and a FHIR server.

Spec:    DICOM PS3.18 2024, 10.6 (QIDO-RS); https://hl7.org/fhir/R4/http.html#search
Leaves:  what they hold to `images` and `fhir_resources`.

They answer what an adapter asks, and no more: they stand in for products that a hospital buys.
"""

from __future__ import annotations

import json
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

Json = dict[str, Any]
Query = dict[str, list[str]]
Answer = tuple[int, str, object]

_DICOM: Final = "application/dicom+json"
_FHIR: Final = "application/fhir+json"
_MOST: Final = "100"
_NAMED: Final = 2


class Sources:
    """Both systems, until `stop`."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._studies: list[Json] = []
        self._resources: list[Json] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True

    def start(self, archive: Path, resources: Path) -> None:
        """Answer from what was written."""
        self._studies = json.loads(archive.read_text("utf-8"))
        self._resources = sorted(json.loads(resources.read_text("utf-8")), key=_moment)
        Thread(target=self._server.serve_forever, name="sources", daemon=True).start()

    def stop(self) -> None:
        """Answer no more."""
        if self._studies or self._resources:
            self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str, query: Query) -> Answer:
        """What is at a path."""
        door, _, rest = path.strip("/").partition("/")
        parts = rest.split("/")
        if door == "dicom-web" and parts[0] == "studies":
            return self._images(parts, query)
        if door == "fhir":
            return self._fhir(parts, query)
        return 404, "application/json", {}

    def _images(self, parts: list[str], query: Query) -> Answer:
        found = self._studies
        uid = parts[1] if len(parts) > 1 else query.get("StudyInstanceUID", [""])[0]
        if uid:
            found = [each for each in found if each["study"]["0020000D"]["Value"] == [uid]]
        if parts[-1] == "series":
            return 200, _DICOM, [series for each in found for series in each["series"]]
        if day := query.get("StudyDate", [""])[0]:
            first, _, last = day.partition("-")
            found = [
                each for each in found if first <= each["study"]["00080020"]["Value"][0] <= (last or first)
            ]
        return 200, _DICOM, [each["study"] for each in _page(found, query, "offset", "limit")]

    def _fhir(self, parts: list[str], query: Query) -> Answer:
        if parts == ["metadata"]:
            return 200, _FHIR, {"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1"}
        if parts[-1] == "_history":
            return 200, _FHIR, {"resourceType": "Bundle", "type": "history"}
        found = [each for each in self._resources if each["resourceType"] == parts[0]]
        if len(parts) == _NAMED:
            one = [each for each in found if each["id"] == parts[1]]
            return (200, _FHIR, one[0]) if one else (404, _FHIR, {"resourceType": "OperationOutcome"})
        if since := query.get("_lastUpdated", [""])[0].removeprefix("ge"):
            found = [each for each in found if _moment(each) >= datetime.fromisoformat(since)]
        page = _page(found, query, "_start", "_count")
        bundle: Json = {"resourceType": "Bundle", "type": "searchset", "link": []}
        bundle["entry"] = [{"resource": each, "search": {"mode": "match"}} for each in page]
        start, size = int(query.get("_start", ["0"])[0]), int(query.get("_count", [_MOST])[0])
        if start + size < len(found):
            asked = f"_sort=_lastUpdated&_count={size}&_start={start + size}"
            asked += f"&_lastUpdated=ge{since.replace('+', '%2B')}" if since else ""
            bundle["link"] = [{"relation": "next", "url": f"{self.url}/fhir/{parts[0]}?{asked}"}]
        return 200, _FHIR, bundle

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        sources = self

        class Handler(BaseHTTPRequestHandler):
            """One request."""

            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                """Answer a request."""
                parts = urlsplit(self.path)
                status, kind, found = sources.answer(parts.path, parse_qs(parts.query))
                body = json.dumps(found, ensure_ascii=False).encode()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                """Keep quiet: an address names a patient."""

        return Handler


def _page(found: list[Json], query: Query, start: str, size: str) -> list[Json]:
    first = int(query.get(start, ["0"])[0])
    return found[first : first + int(query.get(size, [_MOST])[0])]


def _moment(resource: Json) -> datetime:
    return datetime.fromisoformat(resource["meta"]["lastUpdated"])
