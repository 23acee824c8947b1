"""Prints what 100 HIS visits and 100 HL7 v2 messages cost on the line: `python -m tests.adapters.link`."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path

from adapters.cycle import Cycle
from adapters.outbox import Outbox
from adapters.sender.client_key import make_client_key
from adapters.settings import read_settings
from tests.adapters.bulk import an_admission, write_his
from tests.adapters.conftest import write_site
from tests.simulators.hub import HubSimulator

NUMBER = 100


def measure(kind: str) -> None:
    with tempfile.TemporaryDirectory() as folder, HubSimulator() as hub:
        settings = read_settings(write_site(Path(folder), hub.url, kind, "II-1"), {})
        hub.register(settings.client_id, make_client_key(settings.data_folder).public_jwk)
        if kind == "his-trama":
            write_his(settings.source_folder, NUMBER, rows_each=3)
        else:
            (settings.source_folder / "m.hl7").write_bytes(b"".join(map(an_admission, range(NUMBER))))
        box = Outbox(settings.data_folder)
        Cycle(settings, box).run(threading.Event(), once=True, announce=print)
        status = box.status()
        box.close()
        bare = sum(map(len, hub.bodies))
        print(
            f"{kind}: {status['applied']} records applied, {status['quarantined']} in quarantine;"
            f" {hub.attempts} round trips and {hub.token_requests} for a token;"
            f" {hub.received_bytes:,} bytes sent, {bare:,} before compression"
        )


if __name__ == "__main__":
    measure("his-trama")
    measure("hl7v2-folder")
