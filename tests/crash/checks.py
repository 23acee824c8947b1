"""What must hold after every crash, read from the database and from the opened events."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exchange.audit import export
from exchange.audit.chain import is_consistent
from exchange.audit.checkpoint import Checkpoint, read, verifier_key
from exchange.audit.log import AUDIT_TYPE
from exchange.audit.proof import stored_tree
from exchange.audit.verify import verify_log
from exchange.crypto.envelope import associated_data, open_sealed
from exchange.fhir.resource import load
from exchange.settings import settings
from exchange.store.data_keys import key_place
from tests.crash.asking import Note
from tests.passage.world import World, seal_all

VERIFIER = Path(export.__file__).parent / "offline" / "verify.py"

EVENTS = """
SELECT id, compartment, body, transaction FROM audit_event WHERE transaction >= %s ORDER BY transaction, id LIMIT 5000"""
VERSIONS = """
SELECT id, version_id FROM resource WHERE id LIKE 'posta-c%%' UNION ALL
SELECT id, version_id FROM resource_history WHERE id LIKE 'posta-c%%'"""
GAPS = """
SELECT count(*) FROM (SELECT 1 FROM audit_leaf WHERE sequence > 0 GROUP BY compartment
  HAVING max(sequence) <> count(*) OR min(sequence) <> 1) gap"""
HALF = """
SELECT (SELECT count(*) FROM resource r WHERE id LIKE 'posta-c%%' AND version_id <> 1 + (
          SELECT count(*) FROM resource_history h WHERE h.id = r.id AND h.type = r.type))
     + (SELECT count(*) FROM token_entry t WHERE NOT EXISTS (
          SELECT 1 FROM data_key k WHERE k.compartment = t.compartment) AND t.compartment > 0)"""


@dataclass
class Told:
    """The figures. `wrong` says what does not hold, and where."""

    points: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    asked: int = 0
    answered: int = 0
    in_part: int = 0
    acknowledged: int = 0
    events: int = 0
    lost: int = 0
    without_event: int = 0
    doubled: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return self.acknowledged > 0 and not (self.lost or self.without_event or self.doubled or self.wrong)


class Checks:
    """Everything that was noted, held against one hub's database."""

    def __init__(self, world: World, told: Told) -> None:
        self.world, self.told = world, told
        self.events: dict[str, tuple[str, int, str, bool]] = {}
        """Of each event: request id, compartment, resource, whether a version was granted."""
        self._from = 0
        self._head: Checkpoint | None = None

    def after(self, notes: Iterable[Note]) -> None:
        """What was noted until now has its versions and its events, whatever was killed."""
        known = list(notes)
        self.world.database_store.close()  # connections of before the crash
        with self.world.sql() as cursor:
            cursor.execute(VERSIONS)
            versions = set(cursor.fetchall())
            cursor.execute(HALF)
            if half := cursor.fetchone()[0]:
                self._wrong(f"{half} rows are half written")
        self._read_events()
        told = self.told
        told.asked, told.answered = len(known), sum(each.status > 0 for each in known)
        told.in_part = sum(each.status > 0 and not each.is_whole for each in known)
        told.acknowledged = sum(each.is_acknowledged for each in known)
        told.lost = sum(
            (each.place.split("/")[1], each.version) not in versions for each in known if each.is_acknowledged
        )
        counts = Counter((request, place) for request, place, _, _ in self.events.values())
        seen = {request for request, _ in counts}
        own = {each.request_id for each in known}
        missing = [each for each in known if each.needs_event and each.request_id not in seen]
        told.without_event = len(missing)
        if missing:
            self._wrong(f"answers without an event, such as {missing[0]}")
        told.doubled = sum(number > 1 and request in own for (request, _), number in counts.items())
        told.events = len(self.events)
        # Each version that stands was written by an act that has its event, acknowledged or not.
        written = Counter(name for _, _, name, is_write in self.events.values() if is_write)
        standing = Counter(name for name, _ in versions)
        if bare := [name for name in standing if standing[name] > written[name]]:
            self._wrong(f"{len(bare)} resources have more versions than events that wrote them: {bare[0]}")
        self._grows()

    def whole(self) -> None:
        """The log verifies, and no record's numbers have a gap."""
        with self.world.database_store.transaction() as transaction:
            for finding in verify_log(transaction).findings:
                self._wrong(finding)
        with self.world.sql() as cursor:
            cursor.execute(GAPS)
            if gaps := cursor.fetchone()[0]:
                self._wrong(f"{gaps} records have gaps in their numbers")

    def offline(self, folder: Path) -> None:
        """The log verifies for whoever has its export alone."""
        seal_all(self.world)
        log, keys = folder / "log", folder / "keys.txt"
        with self.world.database_store.transaction() as transaction:
            export.export_log(transaction, log)
            keys.write_text(verifier_key(settings().audit_origin, transaction.crypto.checkpoint_key) + "\n")
        done = subprocess.run(
            [sys.executable, "-I", str(VERIFIER), str(log), "--keys", str(keys)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            self._wrong(f"offline: {done.stdout[-300:]}")

    def _read_events(self) -> None:
        """Open the events that are new; those of transactions that may still have run are read again."""
        with self.world.database_store.transaction() as transaction:
            oldest = transaction.rows("SELECT transaction_horizon()")[0][0]
            while rows := transaction.rows(EVENTS, (self._from,)):
                for event_id, compartment, body, _ in rows:
                    if event_id not in self.events:
                        self.events[event_id] = _told(transaction, event_id, compartment, bytes(body))
                if len(rows) < 5_000:
                    break
                self._from = rows[-1][3]
            self._from = min(self._from or oldest, oldest)

    def _grows(self) -> None:
        """As a witness does: the newest head is no smaller than the last one, and grew out of it."""
        with self.world.database_store.transaction() as transaction:
            rows = transaction.rows("SELECT note FROM audit_checkpoint ORDER BY size DESC LIMIT 1")
            if not rows:
                return
            newest = read(rows[0][0], transaction.crypto.checkpoint_keys)
            last, self._head = self._head, newest
            if last is None:
                return
            if newest.size < last.size or newest.signed_at < last.signed_at:
                self._wrong(f"the head went back from {last.size} to {newest.size} events")
                return
            proof = stored_tree(transaction, newest.size).consistency(last.size)
            if not is_consistent(last.size, newest.size, last.root, newest.root, proof):
                self._wrong(f"the head of {newest.size} events did not grow out of that of {last.size}")

    def _wrong(self, text: str) -> None:
        self.told.wrong.append(f"point {self.told.points}: {text}")


def _told(transaction: Any, event_id: str, compartment: int, body: bytes) -> tuple[str, int, str, bool]:
    cipher = transaction.store.data_keys.ciphers(transaction, (compartment,))[key_place(compartment)]
    bound_to = associated_data(compartment, AUDIT_TYPE, event_id, 1)
    event = load(open_sealed(cipher, transaction.crypto.dictionaries, body, bound_to))
    request = name = ""
    for each in event.get("entity", ()):
        if each.get("type", {}).get("code") == "XrequestId":
            request = each["what"]["identifier"]["value"]
        reference = each.get("what", {}).get("reference", "")
        if reference.startswith("Observation/posta-c"):
            name = reference.split("/")[1]
    is_write = event["subtype"][0]["code"] in ("create", "update") and event["outcome"] == "0"
    return request, compartment, name, is_write
