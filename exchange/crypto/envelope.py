"""The envelope of a stored body: compressed with a dictionary, then sealed under the record's data key.

Spec:    NIST SP 800-38D (AES-GCM), 8.2.2 random nonces; RFC 8878 (zstd); docs/decisions/0008-sealed-by-default.md.
Leaves:  where bodies and wrapped keys lie to store.

    body = format 1 byte │ dictionary 1 byte │ nonce 12 bytes │ AES-256-GCM(zstd(text)) + tag 16 bytes
    associated data = compartment │ type │ id │ version, so that a moved or rolled-back row fails to open
"""

from __future__ import annotations

import os
import secrets
import struct
import threading
from typing import Final

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from exchange.crypto.keyring import KEY_BYTES, NONCE_BYTES, Keyring
from exchange.problems import SealBroken

FORMAT: Final = 1
LEVEL: Final = 3
HEADER_BYTES: Final = 2 + NONCE_BYTES
MAX_TEXT_BYTES: Final = 64 * 1024 * 1024


class Dictionaries:
    """The zstd dictionaries that bodies name by number; 0 is none.

    A compressor is not thread-safe, so each thread holds its own.
    """

    def __init__(self, texts: dict[int, bytes]) -> None:
        self._compression = {number: zstandard.ZstdCompressionDict(text) for number, text in texts.items()}
        for dictionary in self._compression.values():
            dictionary.precompute_compress(level=LEVEL)
        self.newest = max(texts, default=0)
        self._local = threading.local()

    def compress(self, text: bytes) -> bytes:
        """Zstd of the text under the newest dictionary."""
        compressor = getattr(self._local, "compressor", None)
        if compressor is None:
            compressor = zstandard.ZstdCompressor(
                level=LEVEL,
                dict_data=self._compression.get(self.newest),
                write_checksum=False,
                write_dict_id=False,
            )
            self._local.compressor = compressor
        return bytes(compressor.compress(text))

    def decompress(self, number: int, packed: bytes) -> bytes:
        """The text again. Raises: SealBroken - unknown dictionary or a broken frame."""
        known = getattr(self._local, "decompressors", None)
        if known is None:
            known = self._local.decompressors = {}
        opener = known.get(number)
        if opener is None:
            if number and number not in self._compression:
                raise SealBroken("a body names a dictionary that is not here")
            opener = known[number] = zstandard.ZstdDecompressor(dict_data=self._compression.get(number))
        try:
            return bytes(opener.decompress(packed, max_output_size=MAX_TEXT_BYTES))
        except zstandard.ZstdError:
            raise SealBroken("a body does not inflate") from None


def associated_data(compartment: int, type_code: int, resource_id: str, version_id: int) -> bytes:
    """What a sealed body is bound to."""
    return struct.pack(">qhi", compartment, type_code, version_id) + resource_id.encode()


def seal(key: AESGCM, dictionaries: Dictionaries, text: bytes, bound_to: bytes) -> bytes:
    """Seal one body.

    Units:  nonce 12 random bytes; at most 2^32 bodies under one data key.
    Spec:   NIST SP 800-38D, 8.2.2.
    """
    nonce = os.urandom(NONCE_BYTES)
    header = bytes((FORMAT, dictionaries.newest))
    return header + nonce + key.encrypt(nonce, dictionaries.compress(text), header + bound_to)


def open_sealed(key: AESGCM, dictionaries: Dictionaries, body: bytes, bound_to: bytes) -> bytes:
    """Open one body.

    Raises: SealBroken - altered, moved to another row, rolled back, or sealed under another key.
    Spec:   NIST SP 800-38D, 7.2.
    """
    if len(body) <= HEADER_BYTES or body[0] != FORMAT:
        raise SealBroken("a body has an unknown format")
    try:
        packed = key.decrypt(body[2:HEADER_BYTES], body[HEADER_BYTES:], body[:2] + bound_to)
    except InvalidTag:
        raise SealBroken("a sealed body does not open") from None
    return dictionaries.decompress(body[1], packed)


def wrap_data_key(keyring: Keyring, compartment: int, data_key: bytes) -> tuple[int, bytes]:
    """The wrapping key's version, and the data key wrapped and bound to its compartment."""
    version = keyring.version("record")
    nonce = os.urandom(NONCE_BYTES)
    sealed = AESGCM(keyring.key("record", version)).encrypt(nonce, data_key, struct.pack(">q", compartment))
    return version, nonce + sealed


def unwrap_data_key(keyring: Keyring, compartment: int, version: int, wrapped: bytes) -> AESGCM:
    """The cipher of one compartment. Raises: SealBroken - another hub or compartment made this wrap."""
    return AESGCM(_unwrapped(keyring, compartment, version, wrapped))


def rewrap_data_key(keyring: Keyring, compartment: int, version: int, wrapped: bytes) -> tuple[int, bytes]:
    """The same data key under the newest version: what it sealed stays as it is. Raises: SealBroken."""
    return wrap_data_key(keyring, compartment, _unwrapped(keyring, compartment, version, wrapped))


def _unwrapped(keyring: Keyring, compartment: int, version: int, wrapped: bytes) -> bytes:
    try:
        return AESGCM(keyring.key("record", version)).decrypt(
            wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], struct.pack(">q", compartment)
        )
    except (InvalidTag, ValueError):
        raise SealBroken("a data key does not unwrap") from None


def new_data_key() -> bytes:
    """A random data key. Units: 32 bytes."""
    return secrets.token_bytes(KEY_BYTES)
