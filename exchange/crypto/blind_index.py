"""Blind indexes: keyed hashes that let equal values be found and nothing be read.

Spec:    RFC 7693 (BLAKE2b with a key); docs/decisions/0008-sealed-by-default.md.
Leaves:  which values are indexed to search/index and identity - low-entropy values alone leak by rank.
"""

from __future__ import annotations

from hashlib import blake2b

from exchange.crypto.keyring import Keyring


class BlindIndex:
    """Keyed 64-bit hashes under the hub's index key. Collisions: about n²/2^64 for n values."""

    def __init__(self, keyring: Keyring) -> None:
        key = keyring.key("index")
        # BLAKE2b's state after absorbing the key is copied for each value: half the cost of keying anew.
        self._value = blake2b(key=key, digest_size=8, person=b"value")
        self._place = blake2b(key=key, digest_size=8, person=b"compartment")

    def value(self, text: str) -> int:
        """The token of a (type, parameter, value) text, as a signed 64-bit number."""
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
