"""Blind indexes: keyed hashes that let equal values be found and nothing be read.

Spec:    RFC 7693 (BLAKE2b with a key); docs/blind-indexes.md, docs/decisions/0008-sealed-by-default.md.
Leaves:  which values are indexed, and whether under their record, to search/index and search/population.

Two keys. `place` names things - compartments, resources that rules lean on, what audit leaves commit to - and is never
rotated. `index` hashes what resources say, and is rotated (exchange/rekeying).

A searched value is hashed twice. Its trapdoor, under the key, stands nowhere in the database; its token is the hash of
the trapdoor and the record that the row lies in. So equal values of two records do not look alike, and whoever knows
the trapdoor - a search that the hub runs - finds the value in any record. A token's lowest bit says whether an odd or an
even version of the key made it: what a former version left behind is found without being opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b, sha256
from typing import Final

from exchange.crypto.keyring import Keyring

TRAPDOOR_BYTES: Final = 16
EVERYWHERE: Final = 0
"""The record that a token of no record is hashed under."""

DERIVED: Final = (
    "((('x' || encode(substring(sha256({trapdoor} || int8send(greatest({record}, 0))) FROM 1 FOR 8), 'hex'))"
    "::bit(64)::bigint & -2) | (get_byte({trapdoor}, 0) & 1))"
)
"""The token of a trapdoor under a record, as the database computes it for a search that names no record."""


@dataclass(frozen=True, slots=True)
class Versions:
    """Which versions of the index key searches read by, and which new rows bear."""

    reading: int
    writing: tuple[int, ...]


class BlindIndex:
    """Keyed hashes under the hub's keys. Collisions of tokens: about n²/2^63 for n values."""

    def __init__(self, keyring: Keyring) -> None:
        place = keyring.key("place")
        # BLAKE2b's state after absorbing the key is copied for each value: half the cost of keying anew.
        self._value = blake2b(key=place, digest_size=8, person=b"value")
        self._place = blake2b(key=place, digest_size=8, person=b"compartment")
        self._keyring = keyring
        self._states: dict[int, blake2b] = {}
        self.versions = Versions(1, (1,))
        """Of the index key; exchange/rekeying moves them on while the process serves."""

    def value(self, text: str) -> int:
        """The keyed number of a text that names a thing: the same for ever, as a signed 64-bit number."""
        state = self._value.copy()
        state.update(text.encode())
        return int.from_bytes(state.digest(), "big", signed=True)

    def patient_compartment(self, patient_id: str) -> int:
        """The compartment of a source patient record: positive, and the same for ever."""
        state = self._place.copy()
        state.update(b"Patient/" + patient_id.encode())
        return (int.from_bytes(state.digest(), "big") >> 1) or 1

    def own_compartment(self, resource_type: str, resource_id: str) -> int:
        """The compartment of a resource that belongs to no patient: negative, spread by type and id."""
        state = self._place.copy()
        state.update(f"{resource_type}/{resource_id}".encode())
        return -((int.from_bytes(state.digest(), "big") >> 1) or 1)

    def trapdoor(self, text: str, version: int | None = None) -> bytes:
        """What finds a (type, parameter, value) text in any record: never stored.

        Units:  16 bytes; the lowest bit of the first is the version's.
        Raises: SealBroken - there is no such version of the key.
        """
        version = self.versions.reading if version is None else version
        state = self._states.get(version)
        if state is None:
            key = self._keyring.key("index", version)
            state = blake2b(key=key, digest_size=TRAPDOOR_BYTES, person=b"search value")
            self._states[version] = state
        state = state.copy()
        state.update(text.encode())
        digest = state.digest()
        return bytes((digest[0] & 0xFE | version & 1,)) + digest[1:]

    def token(self, text: str, record: int) -> int:
        """The token that a search looks for in the rows of one record."""
        return token(self.trapdoor(text), record)

    def tokens(self, text: str, record: int) -> list[int]:
        """The tokens that a new row of a record bears: one for each version that is written."""
        return [token(self.trapdoor(text, version), record) for version in self.versions.writing]


def token(trapdoor: bytes, record: int) -> int:
    """The token of a trapdoor in the rows of one record, or of nobody's where it is none. DERIVED says the same.

    Units: a signed 64-bit number.
    Spec:  FIPS 180-4 (SHA-256), its first 64 bits.
    """
    made = sha256(trapdoor + max(record, EVERYWHERE).to_bytes(8, "big")).digest()
    return int.from_bytes(made[:8], "big", signed=True) & -2 | trapdoor[0] & 1
