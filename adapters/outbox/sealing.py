"""Keys made on the spot, rows sealed under them, and names turned into keyed hashes.

Spec:    NIST SP 800-38D, 8.2; docs/adapters.md, "Outbox".
Leaves:  what is sealed to the outbox.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path
from typing import Final

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

OUTBOX_KEY_FILE: Final = "outbox.key"
ID_KEY_FILE: Final = "ids.key"
_FORMAT: Final = b"\x01\x00"
"""The format, and no dictionary: as the hub writes it, so that one list of examples holds for both."""
_NONCE_BYTES: Final = 12
_HEADER_BYTES: Final = len(_FORMAT) + _NONCE_BYTES
_LEVEL: Final = 3
_MAX_TEXT_BYTES: Final = 512 * 1024 * 1024
_KEY_BYTES: Final = 32


class OutboxFull(Exception):  # noqa: N818 - a state of the disk, told to the IT desk
    """The disk does not take another record: nothing may be acknowledged."""


class OutboxDamaged(Exception):  # noqa: N818 - a state of the file, told to the IT desk
    """The outbox or its key cannot be read, or a sealed row does not open."""


class IdKeyLost(Exception):  # noqa: N818 - a state of the folder, told to the IT desk
    """Records were taken under a key of ids that is not there: a new one would name everything anew."""


def make_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, durably, and never over an existing one."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_data_folder(folder: Path) -> None:
    """Make the folder of outbox and keys, closed to everybody else."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)


class Seals:
    """Two keys out of one: one seals, one hashes."""

    def __init__(self, master: bytes) -> None:
        self._hash_key = hashlib.sha256(b"chasqui outbox hash" + master).digest()
        self._cipher = AESGCM(hashlib.sha256(b"chasqui outbox seal" + master).digest())

    def seal(self, message_id: str, column: str, content: bytes) -> bytes:
        """Seal one column of one row; it opens nowhere else.

            format 1 byte │ dictionary 1 byte, none │ nonce 12 bytes │ AES-256-GCM(zstd(content)) + tag 16 bytes

        Units:  nonce 12 random bytes, key 32 bytes.
        """
        return seal(self._cipher, content, f"{message_id}|{column}".encode())

    def open(self, message_id: str, column: str, sealed: bytes) -> bytes:
        """Open a sealed column.

        Raises: OutboxDamaged - altered, moved, or sealed under another key.
        """
        return open_sealed(self._cipher, sealed, f"{message_id}|{column}".encode())

    def hash(self, purpose: str, text: str) -> str:
        """A keyed hash: equal texts are equal, nothing can be read back."""
        return hmac.new(self._hash_key, f"{purpose}|{text}".encode(), hashlib.sha256).hexdigest()[:40]


def seal(key: AESGCM, content: bytes, bound_to: bytes) -> bytes:
    """Seal bytes to their place."""
    nonce = os.urandom(_NONCE_BYTES)
    packed = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=False).compress(content)
    return _FORMAT + nonce + key.encrypt(nonce, packed, _FORMAT + bound_to)


def open_sealed(key: AESGCM, sealed: bytes, bound_to: bytes) -> bytes:
    """Open what was sealed to this place.

    Raises: OutboxDamaged - altered, moved, of another format, or sealed under another key.
    """
    if len(sealed) <= _HEADER_BYTES or sealed[: len(_FORMAT)] != _FORMAT:
        raise OutboxDamaged
    try:
        packed = key.decrypt(sealed[len(_FORMAT) : _HEADER_BYTES], sealed[_HEADER_BYTES:], _FORMAT + bound_to)
        return bytes(zstandard.ZstdDecompressor().decompress(packed, max_output_size=_MAX_TEXT_BYTES))
    except (InvalidTag, zstandard.ZstdError):
        raise OutboxDamaged from None


def new_key() -> bytes:
    """A key out of the system's randomness. Units: 32 bytes."""
    return os.urandom(_KEY_BYTES)


def read_key(path: Path) -> bytes | None:
    """The key of a file, or None where there is no file.

    Raises: OutboxDamaged - there is one, and it holds no key.
    """
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        return None
    if len(key) != _KEY_BYTES:
        raise OutboxDamaged
    return key


def make_key(path: Path) -> bytes:
    """Make a key on the spot, durably; of two who make it at once, both get the first one's."""
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.unlink(missing_ok=True)
    make_private(temporary, new_key())
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return path.read_bytes()


def read_or_make_outbox_key(folder: Path, database_path: Path) -> bytes:
    """Read the outbox key, or make it on the spot; a database without its key is never overwritten."""
    key = read_key(folder / OUTBOX_KEY_FILE)
    if key is not None:
        return key
    if database_path.exists() and database_path.stat().st_size:
        raise OutboxDamaged
    return make_key(folder / OUTBOX_KEY_FILE)
