"""A real Orthanc with its DICOMweb plugin, and an image archive that misbehaves.

Orthanc is Debian's; it runs from a configuration and a folder of its own, with no DICOM port. This version binds its HTTP
port to every interface: so it runs in a network that has loopback alone.
"""

from __future__ import annotations

import base64
import io
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Self
from urllib.parse import parse_qs, urlsplit

import httpx

from tests.simulators.alone import can_be_alone, reached

PROGRAM = shutil.which("Orthanc")
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
IS_INSTALLED = PROGRAM is not None and PLUGIN.exists() and can_be_alone()
MISSING = "needs Debian's packages orthanc and orthanc-dicomweb, and the right to make a network of its own"
INNER_PORT = 8042
USER, PASSWORD = "lector", "una-clave-de-prueba"
START_SECONDS = 30


class Orthanc:
    """One running archive."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.web = f"{url}/dicom-web"
        self.http = httpx.Client(auth=(USER, PASSWORD), trust_env=False, timeout=20)

    def store(self, content: bytes) -> str:
        """Store one file; the archive's own id of its study."""
        answer = self.http.post(f"{self.url}/instances", content=content)
        answer.raise_for_status()
        return answer.json()["ParentStudy"]

    def delete(self, study_id: str) -> None:
        self.http.delete(f"{self.url}/studies/{study_id}").raise_for_status()


@contextmanager
def orthanc() -> Iterator[Orthanc]:
    """Run one until the block ends."""
    assert PROGRAM is not None
    with tempfile.TemporaryDirectory(prefix="chorth") as name:
        folder = Path(name)
        door = folder / "door"
        (folder / "orthanc.json").write_text(
            json.dumps({
                "Name": "prueba", "StorageDirectory": str(folder / "db"), "IndexDirectory": str(folder / "db"),
                "HttpPort": INNER_PORT, "DicomServerEnabled": False, "RemoteAccessAllowed": False,
                "AuthenticationEnabled": True, "RegisteredUsers": {USER: PASSWORD}, "StableAge": 1,
                "Plugins": [str(PLUGIN)], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
                "SynchronousCMove": False, "HttpVerbose": False,
            })
        )  # fmt: skip
        alone = ["unshare", "--net", "--map-root-user", sys.executable, "-m", "tests.simulators.alone"]
        command = [*alone, str(door), str(INNER_PORT), PROGRAM, str(folder / "orthanc.json")]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            with reached(door) as port:
                server = Orthanc(f"http://127.0.0.1:{port}")
                _wait(server, process, folder / "log")
                yield server
                server.http.close()
        finally:
            process.terminate()
            process.wait(20)


def _wait(server: Orthanc, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        assert process.poll() is None, log.read_text("utf-8", "replace")[-2000:]
        assert time.monotonic() < deadline
        try:
            if server.http.get(f"{server.web}/studies", params={"limit": "1"}).status_code in {200, 204}:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)


def a_dicom_file(study: str, series: str, instance: str, **attributes: object) -> bytes:
    """A small file of an image without pixels, as a modality would send it."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    meta.MediaStorageSOPInstanceUID = instance
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    file.SpecificCharacterSet = attributes.pop("charset", "ISO_IR 100")
    file.SOPClassUID, file.SOPInstanceUID = meta.MediaStorageSOPClassUID, instance
    file.StudyInstanceUID, file.SeriesInstanceUID = study, series
    for name, told in attributes.items():
        setattr(file, name, told)
    buffer = io.BytesIO()
    file.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


class ArchiveSimulator:
    """An archive of data sets in memory. `spoil` may answer instead of it: (status, headers, body), or None."""

    def __init__(self) -> None:
        self.studies: dict[str, dict] = {}
        self.series: dict[str, list[dict]] = {}
        self.asked: list[str] = []
        self.spoil: Callable[[str, dict[str, list[str]]], tuple[int, dict[str, str], bytes] | None] = (
            lambda _path, _query: None
        )
        self.largest_page = 1000
        simulator = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                query = parse_qs(parts.query, keep_blank_values=True)
                simulator.asked.append(self.path)
                simulator.authorization = self.headers.get("Authorization", "")
                found = simulator.spoil(parts.path, query) or simulator.answer(parts.path, query)
                status, headers, body = found
                try:
                    self.send_response(status)
                    for name, value in ({"Content-Length": str(len(body))} | headers).items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    self.close_connection = True

            def log_message(self, *_args: object) -> None:
                pass

        self.authorization = ""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/dicom-web"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def add(self, study: dict, *series: dict) -> None:
        uid = study["0020000D"]["Value"][0]
        self.studies[uid], self.series[uid] = study, list(series)

    def answer(self, path: str, query: dict[str, list[str]]) -> tuple[int, dict[str, str], bytes]:
        """What QIDO-RS says."""
        parts = path.removeprefix("/dicom-web/").split("/")
        if parts[-1] == "series":
            return as_json(self.series.get(parts[1], []))
        found = list(self.studies.values())
        if day := query.get("StudyDate", [""])[0]:
            first, _, last = day.partition("-")
            found = [
                each
                for each in found
                if first <= each.get("00080020", {}).get("Value", [""])[0] <= (last or first)
            ]
        if uid := query.get("StudyInstanceUID", [""])[0]:
            found = [each for each in found if each["0020000D"]["Value"][0] == uid]
        start = int(query.get("offset", ["0"])[0])
        size = min(int(query.get("limit", ["1000"])[0]), self.largest_page)
        return as_json(found[start : start + size])


def as_json(found: object) -> tuple[int, dict[str, str], bytes]:
    return 200, {"Content-Type": "application/dicom+json"}, json.dumps(found).encode()


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
