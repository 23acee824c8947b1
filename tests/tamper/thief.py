"""Whoever administers the database: it changes rows and repairs what it can; an insider has the hub's keys, too."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exchange.audit.chain import Frontier
from exchange.audit.checkpoint import Checkpoint, signed_note
from exchange.audit.leaf import commitment, digest, finding_text, leaf
from exchange.settings import settings
from tests.passage.world import World, patient_of, seal_all
from tests.sample.observation import an_observation
from tests.sample.requester import POST

TABLES = ("audit_event", "audit_leaf", "audit_node", "audit_checkpoint")
HEADS = (2, 8, 14)
_EVENT = (
    "l.leaf_index, l.compartment, e.id, body, text_digest, manifest, e.compartment, custodian, last_updated, e.id,"
    " clinical_at, agent, tokens::text, ranges::text"
)


class Thief:
    """A hub's database in the hands of somebody who wants another history: 14 events under three heads."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.post.store(patient_of(POST, 1), patient_of(POST, 2))
        seal_all(world)
        world.post.store(*(an_observation(f"posta-o{n}", f"posta-p{1 + n % 2}") for n in range(6)))
        seal_all(world)
        for number in range(6):
            world.hospital.get(f"Patient/posta-p{1 + number % 2}")
        seal_all(world)
        self.kept_heads = {size: self.note(size) for size in HEADS}
        self.run(*(f"DROP TABLE IF EXISTS kept_{name}" for name in TABLES))
        self.run(*(f"CREATE TABLE kept_{name} AS SELECT * FROM {name}" for name in TABLES))

    def undo(self) -> None:
        """The log as it was."""
        for name in TABLES:
            self.run(f"DELETE FROM {name}", f"INSERT INTO {name} SELECT * FROM kept_{name}")

    def close(self) -> None:
        self.run(*(f"DROP TABLE IF EXISTS kept_{name}" for name in TABLES))

    def run(self, *statements: str, **values: Any) -> None:
        with self.world.sql() as cursor:
            for each in statements:
                cursor.execute(each, values or None)

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        with self.world.sql() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()

    def note(self, size: int) -> str:
        return self.ask(f"SELECT note FROM audit_checkpoint WHERE size = {size}")[0][0]

    def flip(self, table: str, column: str, where: str, at: int = 3) -> None:
        """Change one bit."""
        self.run(
            f"UPDATE {table} SET {column} = set_byte({column}, {at}, get_byte({column}, {at}) # 1) WHERE {where}"
        )

    def cut(self, leaf: int, events: bool = True, heads: bool = False) -> None:
        """Remove everything from a leaf on."""
        if events:
            self.run(
                f"DELETE FROM audit_event WHERE id IN (SELECT id::text FROM audit_leaf WHERE leaf_index >= {leaf})"
            )
        self.run(f"DELETE FROM audit_leaf WHERE leaf_index >= {leaf}")
        if heads:
            self.run(f"DELETE FROM audit_checkpoint WHERE size > {leaf}")

    def close_up(self) -> None:
        """Renumber leaves and records' sequences, as if nothing was missing."""
        rows = self.ask("SELECT leaf_index, compartment FROM audit_leaf ORDER BY leaf_index")
        self.run("UPDATE audit_leaf SET leaf_index = -1 - leaf_index, sequence = -sequence")
        counts: dict[int, int] = {}
        for place, (index, compartment) in enumerate(rows):
            if compartment > 0:
                counts[compartment] = counts.get(compartment, 0) + 1
            self.run(
                "UPDATE audit_leaf SET leaf_index = %(place)s, sequence = %(number)s WHERE leaf_index = %(index)s",
                place=place, number=counts.get(compartment, 0), index=-1 - index,
            )  # fmt: skip

    def repair(self, signer: Ed25519PrivateKey | None = None, *, as_hub: bool = False) -> None:
        """Make digests, leaves and the frontier fit, and sign the heads anew where there is a key to do it with."""
        frontier, roots = Frontier(), {}
        for index, place, event_id, body, text, manifest, *row in self.ask(
            f"SELECT {_EVENT} FROM audit_leaf l JOIN audit_event e ON e.id = l.id::text AND e.compartment = l.compartment"
            " ORDER BY 1"
        ):
            shown = bytes(32) if manifest is None else digest(bytes(manifest))
            made = commitment(digest(bytes(body)), bytes(text), digest(finding_text(*row)), shown)
            sequence = self.ask(f"SELECT sequence FROM audit_leaf WHERE leaf_index = {index}")[0][0]
            found = leaf(made, place, sequence)
            self.run("UPDATE audit_event SET commitment = %(made)s WHERE id = %(id)s", made=made, id=event_id)
            self.run(
                "UPDATE audit_leaf SET leaf = %(found)s WHERE leaf_index = %(index)s",
                found=found,
                index=index,
            )
            frontier.append(found)
            roots[frontier.size] = frontier.root()
        self.run(
            "UPDATE audit_checkpoint SET frontier = %(bytes)s WHERE size = %(size)s",
            bytes=frontier.to_bytes(),
            size=frontier.size,
        )
        if signer is None and not as_hub:
            return
        for size in HEADS:
            if size in roots:
                self.sign(size, roots[size], signer)

    def sign(self, size: int, root: bytes, signer: Ed25519PrivateKey | None, signed_at: int = 0) -> None:
        """Write a head: under a key of the thief's, or - an insider - under the hub's own."""
        crypto = self.world.database_store.crypto
        then = int(self.kept_heads[size].split("time ")[1].split("\n")[0])
        head = Checkpoint(settings().audit_origin, size, root, signed_at or then)
        sign = signer.sign if signer else crypto.sign_checkpoint
        public = signer.public_key().public_bytes_raw() if signer else crypto.checkpoint_key
        note = signed_note(head, [(public, sign(head.body().encode()))])
        self.run("UPDATE audit_checkpoint SET note = %(note)s WHERE size = %(size)s", note=note, size=size)

    def swap(self, columns: tuple[str, ...], first: int, second: int) -> None:
        """Exchange columns of the events of two leaves."""
        sets = ", ".join(f"{name} = other.{name}" for name in columns)
        pair = f"(e.id = {at(first)} AND other.id = {at(second)})"
        back = f"(e.id = {at(second)} AND other.id = {at(first)})"
        self.run(f"UPDATE audit_event e SET {sets} FROM audit_event other WHERE {pair} OR {back}")

    def copy(self, leaf_index: int, new_id: str, **changed: str) -> None:
        """Insert an event like another's."""
        names = [row[0] for row in self.ask(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'audit_event' ORDER BY ordinal_position"
        )]  # fmt: skip
        values = {name: name for name in names} | {"id": f"'{new_id}'"} | changed
        self.run(
            f"INSERT INTO audit_event ({', '.join(names)}) SELECT {', '.join(values[name] for name in names)}"
            f" FROM audit_event WHERE id = {at(leaf_index)}"
        )


def at(leaf: int) -> str:
    """The id of a leaf's event, as SQL."""
    return f"(SELECT id::text FROM audit_leaf WHERE leaf_index = {leaf})"


def new_id(number: int) -> str:
    """An event id that nobody has."""
    raw = sha256(str(number).encode()).hexdigest()
    return f"{raw[:8]}-{raw[8:12]}-7{raw[13:16]}-8{raw[17:20]}-{raw[20:32]}"
