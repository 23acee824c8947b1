"""How far the rotation of the index key is: by which version every process searches, and which versions it writes.

Spec:    docs/decisions/0008-sealed-by-default.md; docs/blind-indexes.md, "Rotating the index key".
Leaves:  the steps themselves to exchange/rekeying; making and retiring versions to key_rotation.

noted, both                 new rows bear the tokens of both versions; searches go by the former
filling                     old rows get the new tokens, beside those that they have
switched, switching         searches go by the new version; rows bear both, since somebody may still search by the former
alone, leaving              new rows bear the new tokens alone
removing, entries, keys     the former tokens leave the rows, the population index, the cross-reference
done                        the former version may be retired
"""

from __future__ import annotations

from typing import Any, Final

from exchange.crypto.blind_index import Versions
from exchange.crypto.hub_key import HubKey
from exchange.store.session import Transaction

BEFORE: Final = ("noted", "both", "filling")
BETWEEN: Final = ("switched", "switching")

NEWEST: Final = """
SELECT version, former, state, since, done, done_type, moved FROM index_rotation ORDER BY version DESC LIMIT 1"""
LEFT: Final = """
SELECT EXISTS (SELECT FROM token_entry WHERE hash & 1 = %(bit)s)
  OR EXISTS (SELECT FROM identity_key WHERE hash & 1 = %(bit)s)
  OR EXISTS (SELECT FROM resource r, unnest(r.tokens) t WHERE t & 1 = %(bit)s)"""


def know(transaction: Transaction) -> None:
    """Search and write by the versions that the rotation has come to."""
    found = transaction.rows(NEWEST)
    if found:
        version, former, state = found[0][:3]
        transaction.crypto.blind_index.versions = versions_of(version, former, state)


def versions_of(version: int, former: int, state: str) -> Versions:
    """What searches read by and new rows bear, in a state of a rotation."""
    if state in BEFORE:
        return Versions(former, (former, version))
    return Versions(version, (former, version) if state in BETWEEN else (version,))


def needs(transaction: Transaction, version: int, _newer: HubKey) -> str:
    """What still needs a version of the index key, in words; empty where nothing does."""
    found = transaction.rows(NEWEST)
    if not found or found[0][1] != version or found[0][2] != "done":
        return (
            progress(transaction) or "searches go by it; 'exchange work' moves the index to the new version"
        )
    transaction.run("SET LOCAL statement_timeout = 0")
    is_left: Any = transaction.rows(LEFT, {"bit": version & 1})[0][0]
    return "hashes of it are left in the index" if is_left else ""


def progress(transaction: Transaction) -> str:
    """How far the newest rotation is, in words; empty where there was none."""
    found = transaction.rows(NEWEST)
    if not found:
        return ""
    version, former, state, *_, moved = found[0]
    return f"index: from version {former} to {version}: {state}, {moved} rows gone through"
