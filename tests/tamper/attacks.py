"""The attacks: ten classes, several forms of each, from clumsy to careful."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exchange.audit.chain import Frontier, root_of
from tests.passage.world import seal_all
from tests.tamper.thief import Thief, at, new_id

DAY = 86_400_000_000


@dataclass(frozen=True)
class Attack:
    """One form of one class. `seen` is the size of a head that somebody kept outside; 0: nobody kept any."""

    kind: str
    form: str
    do: Callable[[Thief], None]
    seen: int = 0


ATTACKS: list[Attack] = []


def attack(kind: str, form: str, seen: int = 0):
    def taken(do: Callable[[Thief], None]) -> Callable[[Thief], None]:
        ATTACKS.append(Attack(kind, form, do, seen))
        return do

    return taken


_EVENT = f"WHERE id = {at(5)}"
_HEAD = "UPDATE audit_checkpoint SET note = replace(note, {}, {}) WHERE size = 14"
_STATEMENTS = {
    "of an event's body": f"UPDATE audit_event SET body = set_byte(body, 20, get_byte(body, 20) # 1) {_EVENT}",
    "of the open event's digest": f"UPDATE audit_event SET text_digest = sha256(text_digest) {_EVENT}",
    "of an event's commitment": f"UPDATE audit_event SET commitment = sha256(commitment) {_EVENT}",
    "of an event's facility": f"UPDATE audit_event SET custodian = custodian + 1 {_EVENT}",
    "of an event's agent": f"UPDATE audit_event SET agent = agent + 1 {_EVENT}",
    "of an event's date": f"UPDATE audit_event SET clinical_at = 0 {_EVENT}",
    "of an event's tokens": f"UPDATE audit_event SET tokens = '{{}}' {_EVENT}",
    "of an event's ranges": f"UPDATE audit_event SET ranges = '{{}}' {_EVENT}",
    "of an event's manifest": f"UPDATE audit_event SET manifest = 'x' {_EVENT}",
    "of an event, marked as deleted": f"UPDATE audit_event SET is_deleted = true {_EVENT}",
    "of a leaf": "UPDATE audit_leaf SET leaf = sha256(leaf) WHERE leaf_index = 5",
    "of a leaf's number": "UPDATE audit_leaf SET sequence = 100 WHERE leaf_index = 5",
    "of a head's size": _HEAD.format("E'\\n14\\n'", "E'\\n15\\n'"),
    "of a head's time": _HEAD.format("'time 1'", "'time 2'"),
    "of a head's origin": _HEAD.format("'chasqui.hub'", "'chasqui.hun'"),
    "of a head's form": _HEAD.format("E'\\n\\n'", "E'\\n'"),
}
ATTACKS.extend(
    Attack("alter a byte", form, lambda thief, sql=sql: thief.run(sql)) for form, sql in _STATEMENTS.items()
)


@attack("alter a byte", "with leaf, node and frontier repaired")
def altered_and_repaired(thief: Thief) -> None:
    thief.flip("audit_event", "body", f"id = {at(5)}")
    thief.repair()


@attack("delete", "an event")
def deleted(thief: Thief) -> None:
    thief.run(f"DELETE FROM audit_event WHERE id = {at(6)}")


@attack("delete", "an event and its leaf")
def deleted_with_leaf(thief: Thief) -> None:
    thief.run(f"DELETE FROM audit_event WHERE id = {at(6)}", "DELETE FROM audit_leaf WHERE leaf_index = 6")


@attack("delete", "with leaves and numbers closed up, and repaired")
def deleted_and_closed_up(thief: Thief) -> None:
    deleted_with_leaf(thief)
    thief.close_up()
    thief.repair()


@attack("delete", "the first event, closed up and repaired")
def deleted_first(thief: Thief) -> None:
    thief.run(f"DELETE FROM audit_event WHERE id = {at(0)}", "DELETE FROM audit_leaf WHERE leaf_index = 0")
    thief.close_up()
    thief.repair()


def _exchanged(thief: Thief, first: int, second: int) -> None:
    thief.run(
        f"UPDATE audit_leaf SET leaf_index = 1000 WHERE leaf_index = {first}",
        f"UPDATE audit_leaf SET leaf_index = {first} WHERE leaf_index = {second}",
        f"UPDATE audit_leaf SET leaf_index = {second} WHERE leaf_index = 1000",
    )


@attack("reorder", "two leaves")
def reordered(thief: Thief) -> None:
    _exchanged(thief, 4, 10)


@attack("reorder", "two leaves, numbered anew and repaired")
def reordered_and_repaired(thief: Thief) -> None:
    _exchanged(thief, 4, 10)
    thief.close_up()
    thief.repair()


@attack("back-date", "an event's instant")
def backdated(thief: Thief) -> None:
    thief.run(f"UPDATE audit_event SET last_updated = last_updated - {DAY} WHERE id = {at(10)}")


@attack("back-date", "an event's instant, repaired")
def backdated_and_repaired(thief: Thief) -> None:
    backdated(thief)
    thief.repair()


@attack("back-date", "an event's transaction")
def moved(thief: Thief) -> None:
    thief.run(f"UPDATE audit_event SET transaction = transaction - 3 WHERE id = {at(10)}")


@attack("back-date", "by an insider who has the hub's keys: a new event of yesterday")
def backdated_by_insider(thief: Thief) -> None:
    backdated(thief)
    thief.repair(as_hub=True)


@attack("back-date", "by an insider: a head of yesterday")
def head_backdated(thief: Thief) -> None:
    then = int(thief.note(14).split("time ")[1].split("\n")[0])
    thief.run("UPDATE audit_checkpoint SET note = note WHERE size = 14")
    frontier = thief.ask("SELECT frontier FROM audit_checkpoint WHERE size = 14")[0][0]
    thief.sign(14, Frontier.of(14, bytes(frontier)).root(), None, then - 86_400)


@attack("insert", "an event behind a head")
def inserted(thief: Thief) -> None:
    thief.copy(5, new_id(1))


@attack("insert", "an event under another's id")
def inserted_under_an_id(thief: Thief) -> None:
    thief.run("SELECT 1")
    thief.copy(5, thief.ask(f"SELECT {at(5)}")[0][0], compartment="compartment + 1")


@attack("insert", "an event with a leaf at the end")
def inserted_at_the_end(thief: Thief) -> None:
    thief.copy(5, new_id(2))
    thief.run(
        f"INSERT INTO audit_leaf (leaf_index, compartment, transaction, id, sequence, leaf) SELECT 14, compartment,"
        f" transaction, '{new_id(2)}', 100, leaf FROM audit_leaf WHERE leaf_index = 5"
    )


@attack("insert", "an event in the middle, numbered anew and repaired")
def inserted_in_the_middle(thief: Thief) -> None:
    thief.copy(5, new_id(3))
    thief.run("UPDATE audit_leaf SET leaf_index = leaf_index + 100 WHERE leaf_index > 5")
    thief.run("UPDATE audit_leaf SET leaf_index = leaf_index - 99 WHERE leaf_index > 100")
    thief.run(
        f"INSERT INTO audit_leaf (leaf_index, compartment, transaction, id, sequence, leaf) SELECT 6, compartment,"
        f" transaction, '{new_id(3)}', 100, leaf FROM audit_leaf WHERE leaf_index = 5"
    )
    thief.close_up()
    thief.repair()


@attack("fork", "an insider signs another history; a witness kept the newest head", seen=14)
def forked(thief: Thief) -> None:
    deleted_with_leaf(thief)
    thief.copy(5, new_id(4), transaction="(SELECT transaction FROM kept_audit_leaf WHERE leaf_index = 6)")
    thief.run(
        f"INSERT INTO audit_leaf (leaf_index, compartment, transaction, id, sequence, leaf) SELECT 6, compartment,"
        f" (SELECT transaction FROM kept_audit_leaf WHERE leaf_index = 6), '{new_id(4)}', 100, leaf FROM audit_leaf"
        " WHERE leaf_index = 5"
    )
    thief.close_up()
    thief.repair(as_hub=True)


@attack("fork", "an insider alters an event and signs; a witness kept an older head", seen=8)
def forked_in_one_event(thief: Thief) -> None:
    thief.flip("audit_event", "body", f"id = {at(5)}")
    thief.repair(as_hub=True)


@attack("truncate the tail", "events and leaves")
def truncated(thief: Thief) -> None:
    thief.cut(11)


@attack("truncate the tail", "leaves alone")
def truncated_leaves(thief: Thief) -> None:
    thief.cut(11, events=False)


@attack("truncate the tail", "events, leaves and heads; a witness kept the newest", seen=14)
def truncated_with_heads(thief: Thief) -> None:
    thief.cut(8, heads=True)


@attack("truncate the tail", "by an insider who signs a new last head; a witness kept the newest", seen=14)
def truncated_by_insider(thief: Thief) -> None:
    thief.cut(11)
    thief.run("UPDATE audit_checkpoint SET size = 11 WHERE size = 14")
    thief.kept_heads[11] = thief.kept_heads[14]
    frontier_roots = thief.ask("SELECT leaf FROM audit_leaf ORDER BY leaf_index")
    thief.sign(11, root_of(bytes(row[0]) for row in frontier_roots), None)


@attack("restore yesterday's backup", "and stop there; a witness kept the newest head", seen=14)
def restored(thief: Thief) -> None:
    thief.cut(8, heads=True)


@attack("restore yesterday's backup", "and go on, past the head that a witness kept", seen=14)
def restored_and_gone_on(thief: Thief) -> None:
    thief.cut(8, heads=True)
    thief.run("DELETE FROM audit_node")
    for _ in range(9):
        thief.world.hospital.get("Patient/posta-p1")
    seal_all(thief.world)


ROW = (
    "custodian",
    "last_updated",
    "clinical_at",
    "tokens",
    "ranges",
    "agent",
    "body",
    "manifest",
    "text_digest",
    "commitment",
    "mac",
)


@attack("swap two patients' rows", "their bodies")
def swapped_bodies(thief: Thief) -> None:
    thief.swap(("body",), 2, 3)


@attack("swap two patients' rows", "everything but ids")
def swapped_rows(thief: Thief) -> None:
    thief.swap(ROW, 2, 3)


@attack("swap two patients' rows", "their records, leaves included")
def swapped_records(thief: Thief) -> None:
    thief.run(f"UPDATE audit_event e SET compartment = (SELECT l.compartment FROM audit_leaf l WHERE l.leaf_index = CASE"
              f" e.id WHEN {at(2)} THEN 3 ELSE 2 END) WHERE id IN ({at(2)}, {at(3)})")  # fmt: skip
    thief.run("UPDATE audit_leaf SET sequence = -sequence WHERE leaf_index IN (2, 3)")
    thief.run(
        "UPDATE audit_leaf a SET compartment = b.compartment FROM audit_leaf b WHERE (a.leaf_index, b.leaf_index) IN ((2, 3), (3, 2))"
    )
    thief.run("UPDATE audit_leaf SET sequence = -sequence WHERE leaf_index IN (2, 3)")


@attack("swap two patients' rows", "their records, numbered anew and repaired")
def swapped_and_repaired(thief: Thief) -> None:
    swapped_records(thief)
    thief.close_up()
    thief.repair()


@attack("re-sign with another key", "every head of a changed log")
def signed_anew(thief: Thief) -> None:
    thief.flip("audit_event", "body", f"id = {at(5)}")
    thief.repair(Ed25519PrivateKey.from_private_bytes(bytes(32)))


@attack("re-sign with another key", "the newest head alone, of an unchanged log")
def newest_signed_anew(thief: Thief) -> None:
    frontier = thief.ask("SELECT frontier FROM audit_checkpoint WHERE size = 14")[0][0]
    thief.sign(14, Frontier.of(14, bytes(frontier)).root(), Ed25519PrivateKey.from_private_bytes(bytes(32)))


@attack("re-sign with another key", "under the number of the hub's key")
def signed_under_the_hubs_number(thief: Thief) -> None:
    body, _, line = thief.note(14).partition("\n\n")
    raw = base64.b64decode(line.strip().rsplit(" ", 1)[1])
    own = Ed25519PrivateKey.from_private_bytes(bytes(32))
    forged = base64.b64encode(raw[:4] + own.sign((body + "\n").encode())).decode()
    origin = body.split("\n")[0]
    thief.run(
        "UPDATE audit_checkpoint SET note = %(note)s WHERE size = 14",
        note=f"{body}\n\n\u2014 {origin} {forged}\n",
    )
