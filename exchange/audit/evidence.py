"""Evidence packs: all events of one record up to the request for the pack, with what proves them, in one file.

Spec:    docs/audit.md, "The formats"; docs/decisions/0012-audit-log.md, 0026-proofs-and-witnesses.md.
Leaves:  who may ask, and the event of asking, to the command; verifying to offline/verify.py.

A pack says who looked at whom: it is made for a case whose number stands in the log, where the patient reads it, too.
"""

from __future__ import annotations

import base64
import json
import os
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from exchange.audit.checkpoint import Checkpoint, read
from exchange.audit.proof import stored_tree
from exchange.audit.receipt import Placed, event_at, events_of, head_over, proved
from exchange.fhir.resource import parse
from exchange.problems import Conflict
from exchange.store.session import Transaction

OFFLINE: Final = files("exchange.audit.offline")
MEMBERS: Final = ("LEEME.txt", "README.txt", "verify.py")
MOST_MINUTES: Final = 60

LAST: Final = "SELECT max(sequence) FROM audit_leaf WHERE compartment = %s AND sequence > 0"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a pack is about.

    described  the request as its own event names it: the pack ends with that event
    since      events before it, or after `until`, are in the pack as digests alone; microseconds since 1970 UTC
    seen       the note of a head that the other side kept; the pack proves that the log grew out of it
    """

    patient_id: str
    case: str
    described: str
    since: int | None = None
    until: int | None = None
    seen: str = ""
    with_manifests: bool = False

    def shows(self, event: Placed) -> bool:
        """Whether an event is shown, by its instant."""
        return (self.since is None or self.since <= event.last_updated) and (
            self.until is None or event.last_updated <= self.until
        )


@dataclass(frozen=True, slots=True)
class Packed:
    """What was written: all events of the record, those that are shown, the size of the head, its cosignatures."""

    events: int
    shown: int
    size: int
    cosignatures: int


def number_of_request(transaction: Transaction, compartment: int, asked: Asked) -> int:
    """The number of the request's own event among those of its record; 0: it has no place in the log yet.

    It is looked for from the newest event back: somebody may have asked for the record meanwhile.
    """
    last = transaction.rows(LAST, (compartment,))[0][0] or 0
    for number in range(last, max(0, last - 50), -1):
        found = event_at(transaction, compartment, number)
        if asked.described in queries(parse(found.text(transaction), max_bytes=1 << 24)):
            return number
    return 0


def write_pack(
    transaction: Transaction, compartment: int, last: int, asked: Asked, keys: Iterable[str], out: Path
) -> Packed:
    """Write a pack whose last event is the request for it, whole or not at all.

    1. A head over the last event. 2. It grew out of the one that somebody kept. 3. Each event agrees with its leaf, lies
    under the head, and - where it is shown - opens. 4. What proves them, each hash once. 5. Keys, verifier, how to.

    Raises: Conflict - the file is there already; NotFound; SealBroken - the log was changed; KeyDestroyed.
    """
    if out.exists():
        raise Conflict("the file is there already: a pack is not written over another")
    transaction.run(f"SET LOCAL statement_timeout = '{MOST_MINUTES}min'")
    # 1.
    final = event_at(transaction, compartment, last)
    note, head = head_over(transaction, final.leaf_index)
    tree = stored_tree(transaction, head.size)
    hashes: dict[bytes, int] = {}
    proof: dict[str, Any] = {
        "format": "chasqui-evidence/v1", "case": asked.case, "patient": asked.patient_id, "record": str(compartment),
        "since": asked.since, "until": asked.until,
    }  # fmt: skip
    beside = out.with_name(out.name + ".part")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w+b") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as pack:
        # 2.
        if asked.seen:
            seen = read(asked.seen, transaction.crypto.checkpoint_keys)
            proof["seen"] = _numbered(hashes, tree.consistency(seen.size))
            pack.writestr("seen.note", asked.seen)
        # 3.
        proof["events"] = listed = []
        shown = 0
        for event in events_of(transaction, compartment, last):
            entry = event.listed() | {"path": _numbered(hashes, proved(tree, head, event))}
            if asked.shows(event) or event.sequence == last:
                shown += 1
                entry |= _show(transaction, pack, event, with_manifest=asked.with_manifests)
            else:
                del entry["digests"]
            listed.append(entry)
        # 4.
        proof["hashes"] = [each.hex() for each in hashes]
        pack.writestr("proof.json", json.dumps(proof, indent=1))
        pack.writestr("head.note", note)
        # 5.
        pack.writestr("keys.txt", "".join(f"{each}\n" for each in keys))
        for name in MEMBERS:
            pack.writestr(name, OFFLINE.joinpath(name).read_bytes())
    beside.rename(out)
    return Packed(len(listed), shown, head.size, _cosignatures(note, head))


def queries(event: dict[str, Any]) -> list[str]:
    """The requests that an event names, as they were made."""
    return [base64.b64decode(each["query"]).decode() for each in event.get("entity", ()) if "query" in each]


def _show(
    transaction: Transaction, pack: zipfile.ZipFile, event: Placed, *, with_manifest: bool
) -> dict[str, str]:
    """Put an event into the pack exactly as it was written, and what it showed if that is asked for."""
    place = f"events/{event.sequence:06d}.json"
    pack.writestr(place, event.text(transaction))
    names = {"text": place}
    manifest = event.shown(transaction) if with_manifest else None
    if manifest is not None:
        names["manifest"] = f"manifests/{event.sequence:06d}.json"
        pack.writestr(names["manifest"], manifest)
    return names


def _numbered(hashes: dict[bytes, int], path: Iterable[bytes]) -> list[int]:
    """A proof by the numbers of its hashes, each of which is in the pack once."""
    return [hashes.setdefault(each, len(hashes)) for each in path]


def _cosignatures(note: str, head: Checkpoint) -> int:
    lines = note.partition("\n\n")[2].splitlines()
    return sum(not each.startswith(f"— {head.origin} ") for each in lines)
