"""A log of any size, built fast and true: every leaf, number, subtree and signed head is what the hub would have written.

Events that questions open are sealed one by one; of the others body and tokens come from a pool. Each has its own id, record,
commitment and MAC, so that the whole log verifies.
"""

from __future__ import annotations

import io
import itertools
import random
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from exchange.audit.chain import Frontier
from exchange.audit.checkpoint import Checkpoint, signed_note
from exchange.audit.leaf import NO_MANIFEST, commitment, digest, finding_text, leaf
from exchange.audit.log import append_and_commit, event_authentication
from exchange.request import Request, Touched
from exchange.requester import User
from exchange.settings import settings
from exchange.store.session import Transaction
from exchange.store.transaction_numbers import go_on
from tests.passage.world import World, patient_of
from tests.sample.requester import HOSPITAL, POST, a_requester

DAYS = 30
HEAD_EVENTS = 400
EVENTS_OF_A_RECORD = 50
ORDINARY, LARGE = 100, 10_000
NEWEST = 2_000
WAITING = 20_000
PEOPLE = 40
FIRST_TRANSACTION = 1_000
TABLES = ("audit_event", "audit_leaf", "audit_node", "audit_checkpoint")
USER = "dra-quispe"

INDEXES = """
SELECT c.conname, pg_get_constraintdef(c.oid), i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid)
FROM pg_index i LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid AND c.contype = 'p'
WHERE i.indrelid = %s::regclass"""


class Caught(Transaction):
    """A transaction whose audit rows are caught instead of written."""

    caught: dict[str, Any]

    def finish_prepared(self, sql: str, parameters: Any) -> None:
        self.caught = dict(parameters)


class Pushed(io.RawIOBase):
    """Lines for COPY, made while PostgreSQL takes them."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        while len(self._rest) < size:
            more = "".join(itertools.islice(self._lines, 200)).encode()
            if not more:
                break
            self._rest += more
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


class Build:
    """One log."""

    def __init__(self, world: World, events: int, folder: Path) -> None:
        self.world, self.events, self.folder = world, events, folder
        self.crypto = world.database_store.crypto
        self.chance = random.Random(5)
        self.frontier = Frontier()
        self.counts: dict[int, int] = {}
        self.nodes: list[str] = []
        self.heads: list[str] = []
        self.until = time.time_ns() // 1000 - 60_000_000
        self.since = self.until - DAYS * 86_400_000_000
        self.pool = 0

    def run(self) -> float:
        """Fill the tables; the seconds that it took."""
        began = time.monotonic()
        self.world.post.store(*(patient_of(POST, number) for number in range(1, PEOPLE + 1)))
        self.compartments = [
            self.crypto.blind_index.patient_compartment(f"posta-p{number}") for number in range(1, PEOPLE + 1)
        ]
        with self.world.sql() as cursor, (self.folder / "leaves").open("w+") as leaves:
            cursor.execute(
                "SET statement_timeout = 0; SET synchronous_commit = off; SET maintenance_work_mem = '512MB'"
            )
            indexes = {}
            for table in TABLES:
                cursor.execute(f"TRUNCATE {table}")
                cursor.execute(INDEXES, (table,))
                indexes[table] = cursor.fetchall()
                for constraint, _, index, _ in indexes[table]:
                    drop = f"DROP CONSTRAINT {constraint}" if constraint else ""
                    cursor.execute(f"ALTER TABLE {table} {drop}" if drop else f"DROP INDEX {index}")
            columns = (
                "compartment, custodian, last_updated, transaction, version_id, type, id, clinical_at, tokens, ranges, agent,"
                " body, manifest, text_digest, commitment, mac"
            )
            cursor.copy_expert(
                f"COPY audit_event ({columns}) FROM STDIN", Pushed(self._lines(leaves)), 1 << 16
            )
            leaves.seek(0)
            cursor.copy_expert(
                "COPY audit_leaf (leaf_index, transaction, compartment, id, sequence, leaf) FROM STDIN",
                leaves,
                1 << 16,
            )
            cursor.copy_expert("COPY audit_node (height, index, hash) FROM STDIN", Pushed(iter(self.nodes)))
            cursor.copy_expert(
                "COPY audit_checkpoint (size, transaction, frontier, note, signed_at) FROM STDIN",
                Pushed(iter(self.heads)),
            )
            for table in TABLES:
                for constraint, definition, _, index in indexes[table]:
                    cursor.execute(
                        f"ALTER TABLE {table} ADD CONSTRAINT {constraint} {definition}"
                        if constraint
                        else index
                    )
                cursor.execute(f"VACUUM ANALYZE {table}")
        (self.folder / "leaves").unlink()
        with self.world.database_store.transaction() as transaction:
            go_on(transaction)
            transaction.commit()
        return time.monotonic() - began

    def _lines(self, leaves: Any) -> Iterator[str]:
        with self.world.database_store.transaction() as borrowed:
            caught = Caught.__new__(Caught)
            for name in ("_cursor", "_statements", "_prefix", "store", "crypto", "made_keys", "now"):
                setattr(caught, name, getattr(borrowed, name))
            yield from self._made(caught, leaves)

    def _made(self, caught: Caught, leaves: Any) -> Iterator[str]:
        pool = [self._real(caught, self.until, 3 + number % (PEOPLE - 3), "POOL") for number in range(200)]
        pool_text = [
            (row["body"].hex(), digest(row["body"]), row["text_digest"], row["text_digest"].hex())
            for row in pool
        ]
        self.pool = sum(len(row["body"]) for row in pool) // len(pool)
        records = [self.chance.getrandbits(62) + 1 for _ in range(max(1, self.events // EVENTS_OF_A_RECORD))]
        facilities = [self.chance.getrandbits(63) for _ in range(20)]
        agents = [self.chance.getrandbits(63) for _ in range(2_000)]
        of_one = dict.fromkeys(_spread(self.events, min(ORDINARY, self.events // 20), 0), 1)
        of_one |= dict.fromkeys(_spread(self.events, min(LARGE, self.events // 5), 1), 2)
        authenticate, shape = self.crypto.authenticate_event, sha256
        step, total = (self.until - self.since) / self.events, self.events + WAITING
        for at in range(total):
            now = self.since + int(at * step) if at < self.events else self.until + at
            if at in of_one or at >= self.events - NEWEST:
                row = self._real(
                    caught, now, of_one.get(at, 3 + at % (PEOPLE - 3)), USER if at in of_one else "otro"
                )
                compartment, custodian, event_id, clinical_at, tokens, ranges = (
                    row["compartment"], row["custodian"], row["id"], row["clinical_at"], row["tokens"], row["ranges"]
                )  # fmt: skip
                agent, body, made, mac = row["agent"], row["body"].hex(), row["commitment"], row["mac"]
                text, manifest = row["text_digest"].hex(), "\\N"
            else:
                number = at % 200
                row = pool[number]
                body, sealed, digest_, text = pool_text[number]
                compartment, custodian = self.chance.choice(records), facilities[at % 20]
                agent, tokens, ranges, manifest = (
                    self.chance.choice(agents),
                    row["tokens"],
                    row["ranges"],
                    "\\N",
                )
                clinical_at = now
                event_id = _event_id(now, at)
                found = finding_text(compartment, custodian, now, event_id, now, agent, tokens, ranges)
                made = commitment(sealed, digest_, shape(found).digest(), NO_MANIFEST)
                mac = authenticate(event_authentication(made, compartment, event_id))
            transaction = FIRST_TRANSACTION + at
            yield (
                f"{compartment}\t{custodian}\t{now}\t{transaction}\t1\t{row['type']}\t{event_id}\t{clinical_at}\t{tokens}\t{ranges}\t"
                f"{agent}\t\\\\x{body}\t{manifest}\t\\\\x{text}\t\\\\x{made.hex()}\t\\\\x{mac.hex()}\n"
            )
            if at < self.events:
                self._place(leaves, at, transaction, compartment, event_id, made, now)

    def _place(
        self, leaves: Any, at: int, transaction: int, compartment: int, event_id: str, made: bytes, now: int
    ) -> None:
        sequence = self.counts[compartment] = self.counts.get(compartment, 0) + 1
        found = leaf(made, compartment, sequence)
        leaves.write(f"{at}\t{transaction}\t{compartment}\t{event_id}\t{sequence}\t\\\\x{found.hex()}\n")
        for height, index, root in self.frontier.append(found):
            self.nodes.append(f"{height}\t{index}\t\\\\x{root.hex()}\n")
        if (at + 1) % HEAD_EVENTS == 0 or at + 1 == self.events:
            head = Checkpoint(
                settings().audit_origin, self.frontier.size, self.frontier.root(), now // 1_000_000 + 1
            )
            body = head.body().encode()
            note = signed_note(head, [(key, sign(body)) for key, sign in self.crypto.checkpoint_signers()])
            self.heads.append(
                f"{head.size}\t{transaction}\t\\\\x{self.frontier.to_bytes().hex()}\t" + note.replace("\n", "\\n")
                + f"\t{now}\n"
            )  # fmt: skip

    def _real(self, caught: Caught, now: int, number: int, user: str) -> dict[str, Any]:
        """An event as the hub writes it."""
        organization = HOSPITAL if user == USER else POST
        requester = a_requester(organization)
        object.__setattr__(requester, "user", User(user, "Rosa Quispe", "physician"))
        caught.now = now
        place = f"Observation?patient=posta-p{number}&code=http://loinc.org|{user}"
        request = Request("search-type", "Observation", described=f"GET /fhir/{place}")
        touched = Touched(self.compartments[number - 1], (f"Observation/posta-o{number}/_history/1",))
        append_and_commit(caught, request, requester, [touched], "treatment: Consent/posta-c1#p1")
        return caught.caught


def _spread(events: int, count: int, offset: int) -> Iterator[int]:
    """Places of a record's events, all over the log."""
    return (at * (events // count) + offset for at in range(count))


def _event_id(now: int, at: int) -> str:
    raw = f"{now // 1000:012x}"
    return f"{raw[:8]}-{raw[8:]}-7{at & 0xFFF:03x}-8{at >> 12 & 0xFFF:03x}-{at:012x}"
