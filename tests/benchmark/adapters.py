"""How fast adapters bring records into a hub that shares their two cores: `make adapters-bench`.

A real hub with a durable PostgreSQL, a real adapter process each: a post with a month of HIS (three items a visit, a patient each), a hospital over MLLP on
eight connections. Counted from the first byte read, or sent, to the last record applied by the hub.
"""

from __future__ import annotations

import argparse
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Final

from adapters.hl7v2.framing import frame
from exchange.authentication.registration import Client, register
from exchange.crypto.roots.choice import open_root
from exchange.requester import parse_registered_scopes
from exchange.settings import Settings
from exchange.store.hub import open_store, prepare_keys
from exchange.store.migrate import migrate
from tests.crash.killed import Killed
from tests.passage.world import World
from tests.sample.requester import EVERY_SCOPE
from tests.simulators.mllp_answer import mllp_answer
from tests.torture.adapter import Adapter
from tests.torture.post import INTERNAL, Post

GOALS: Final = {
    "his_rows_per_second": (">=", 300),
    "hl7_messages_per_second": (">=", 150),
    "adapter_rss_mb": ("<=", 150),
}
CONNECTIONS: Final = 8
ITEMS: Final = ("E119", "99401", "Z000")
RESULTS_A_PATIENT: Final = 10
ADMISSION: Final = (
    "MSH|^~\\&|SIGH|H|C|G|20260315101500-0500||ADT^A01|A{0}|P|2.5.1\rEVN|A01|20260315101500-0500\r"
    "PID|1||HC{0}^^^00005197^HC~{1}^^^RENIEC^DNI||QUISPE MAMANI^ROSA||19900412|F\r"
    "PV1|1|I|MED^1||||||||||||||||V{0}|||||||||||||||||||||||||20260315100000-0500\r"
)
RESULT: Final = (
    "MSH|^~\\&|LIS|H|C|G|20260315111500-0500||ORU^R01|R{0}N{2}|P|2.5.1\r"
    "PID|1||HC{0}^^^00005197^HC~{1}^^^RENIEC^DNI||QUISPE MAMANI^ROSA||19900412|F\r"
    "OBR|1|P{0}N{2}|F{0}N{2}|58410-2^Hemograma^LN|||20260315110000-0500|||||||||||||||20260315111000-0500|||F\r"
    "OBX|1|NM|718-7^Hemoglobina^LN||1{2}.5|g/dL|12.0-15.5|N|||F|||20260315110000-0500\r"
    "OBX|2|NM|6690-2^Leucocitos^LN||{2}.2|10*3/uL|4-10|N|||F|||20260315110000-0500\r"
)


class Bench:
    """One hub, and one adapter after the other."""

    def __init__(self, folder: Path, visits: int, messages: int) -> None:
        self.folder, self.visits, self.messages = folder, visits, messages
        self.figures: dict[str, float] = {}
        self.hub = Killed()
        values = {name.removeprefix("EXCHANGE_").lower(): value for name, value in self.hub.environment.items()
                  if name.startswith("EXCHANGE_")}  # fmt: skip
        settings = Settings(**values)
        migrate(self.hub.cluster.url)
        root = open_root(settings)
        prepare_keys(self.hub.cluster.url, settings, root)
        self.world = World(open_store(self.hub.cluster.url, settings, root), self.hub.cluster.url)
        self.url = f"http://127.0.0.1:{self.hub.port}/fhir"

    def measure(self) -> dict[str, float]:
        try:
            self.hub.start()
            self._post()
            self._hospital()
            return self.figures
        finally:
            self.world.database_store.close()
            self.hub.close()

    def _post(self) -> None:
        adapter = self._adapter(
            "post", "00005196", "his-trama", f'internal_ids = {{ "{INTERNAL}" = "00005196" }}'
        )
        post = Post(adapter.source, "00005196", self.visits, ITEMS)
        post.export()
        rows = sum(path.read_bytes().count(b"\n") - 1 for path in adapter.source.glob("*.csv"))
        began = time.monotonic()
        adapter.start()
        self._applied(adapter, 2 * self.visits)
        self.figures["his_rows_per_second"] = round(rows / (time.monotonic() - began))
        self._rss(adapter)
        adapter.stop()

    def _hospital(self) -> None:
        adapter = self._adapter("hospital", "00005197", "hl7v2-mllp", "mllp_port = 0")
        adapter.start()
        began = time.monotonic()
        senders = [
            threading.Thread(target=self._send, args=(adapter.port, number)) for number in range(CONNECTIONS)
        ]
        for each in senders:
            each.start()
        for each in senders:
            each.join()
        self.figures["hl7_acknowledged_per_second"] = round(self.messages / (time.monotonic() - began))
        self._applied(adapter, self.messages)
        self.figures["hl7_messages_per_second"] = round(self.messages / (time.monotonic() - began))
        self._rss(adapter)
        adapter.stop()

    def _send(self, port: int, first: int) -> None:
        patients = self.messages // (RESULTS_A_PATIENT + 1)
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            for patient in range(first, patients, CONNECTIONS):
                texts = [ADMISSION.format(patient, 40_000_000 + patient)]
                texts += [
                    RESULT.format(patient, 40_000_000 + patient, number)
                    for number in range(RESULTS_A_PATIENT)
                ]
                for text in texts:
                    connection.sendall(frame(text.encode()))
                    assert b"MSA|AA|" in mllp_answer(connection)

    def _adapter(self, name: str, renipress: str, kind: str, more: str) -> Adapter:
        adapter = Adapter(self.folder / name, name, renipress, kind, self.url, 60, more)
        scopes = parse_registered_scopes(EVERY_SCOPE)
        assert scopes is not None
        name, prefix = adapter.settings.client_id, f"{adapter.settings.id_prefix}-"
        client = Client(
            name,
            name,
            adapter.organization,
            "system",
            scopes,
            ("TREAT",),
            prefix,
            adapter.jwks,
            is_adapter=True,
        )
        self.world.spine.operate(f"clients register {name}", lambda tx: register(tx, client))
        return adapter

    def _applied(self, adapter: Adapter, count: int) -> None:
        """Wait for the last one. What `status` costs is part of the figure: it is what an IT desk does."""
        while (status := adapter.status())["applied"] < count:
            assert not status["quarantined"], status["quarantine_reasons"]
            time.sleep(0.5)

    def _rss(self, adapter: Adapter) -> None:
        assert adapter.process is not None
        lines = Path(f"/proc/{adapter.process.pid}/status").read_text().splitlines()
        peak = next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
        self.figures["adapter_rss_mb"] = max(self.figures.get("adapter_rss_mb", 0), round(peak))


def main() -> int:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--visits", type=int, default=5_000)
    arguments.add_argument("--messages", type=int, default=5_500)
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="ch") as folder:
        figures = Bench(Path(folder), chosen.visits, chosen.messages).measure()
    short = False
    for name, value in figures.items():
        sign, goal = GOALS.get(name, ("", 0))
        is_short = (sign == ">=" and value < goal) or (sign == "<=" and value > goal)
        short = short or is_short
        print(f"{name:34}{value:>10}  {f'{sign} {goal}' if sign else ''}{'  SHORT' if is_short else ''}")
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
