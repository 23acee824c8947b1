r"""The file of a backup: a header that the root alone opens, and a stream sealed so that any change of it is found.

Spec:    V. T. Hoang et al., Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance, 2015 (STREAM);
         NIST SP 800-38D; docs/backup.md, "The file".
Leaves:  what is in the stream to making and restoring; where the file lies to new_file.

    file  = "chasqui backup 1\n" │ length of header 4 bytes │ header, JSON │ chunks
    chunk = AES-256-GCM of 1 MiB, the last one 1 byte to 1 MiB, under a random key of the file's own
    nonce = number of the chunk 11 bytes │ 1 for the last one, else 0
    associated data = SHA-256 of all that stands before the chunks

A chunk that is missing, moved, altered, of another file, or behind the last one does not open; nor
does one whose header changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Annotated, Any, BinaryIO, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from exchange.crypto.hub_crypto import open_backup_key
from exchange.crypto.hub_key import ACTIVE, HubKey
from exchange.crypto.roots.provider import Root
from exchange.problems import SealBroken

MAGIC: Final = b"chasqui backup 1\n"
CHUNK_BYTES: Final = 1024 * 1024
TAG_BYTES: Final = 16
KEY_BYTES: Final = 32
LENGTH_BYTES: Final = 4
MOST_HEADER_BYTES: Final = 64 * 1024
_COUNTER_BYTES: Final = 11

Count = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
VersionNumber = Annotated[int, msgspec.Meta(ge=1, le=32_767)]
Short = Annotated[str, msgspec.Meta(max_length=200)]


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands before the stream, in the open: of what it is a backup, and what opens it.

    Units:  made_at microseconds since 1970 UTC; log_size events; log_head a signed note, empty before the first one.
    """

    hub: Short
    number: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
    made_at: Count
    revision: Short
    server: Short
    database_bytes: Count
    log_size: Count
    log_head: Annotated[str, msgspec.Meta(max_length=8192)]
    root_version: VersionNumber
    key_version: VersionNumber
    wrapped_backup_key: Annotated[bytes, msgspec.Meta(max_length=4096)]
    fingerprint: Annotated[bytes, msgspec.Meta(max_length=64)]
    wrapped_file_key: Annotated[bytes, msgspec.Meta(max_length=256)]

    def to_bytes(self) -> bytes:
        """All that stands before the chunks."""
        text = msgspec.json.encode(self)
        return MAGIC + len(text).to_bytes(LENGTH_BYTES, "big") + text

    def open_key(self, root: Root) -> bytes:
        """The key of the file.

        The root opens the hub's key of backups, which the header brings along, and that one opens the file's.

        Raises: SealBroken - another hub's backup, or the root's version is gone; Unavailable - the root is away.
        """
        row = HubKey(
            "backup",
            self.key_version,
            ACTIVE,
            self.root_version,
            self.wrapped_backup_key,
            self.fingerprint,
        )
        return open_backup_key(root, row, self.wrapped_file_key, key_bound(self.number))


def key_bound(number: str) -> bytes:
    """What the key of a file is bound to."""
    return f"backup {number}".encode()


def read_header(file: BinaryIO) -> tuple[Header, bytes]:
    """The header of a file, and its bytes. Nothing in it is to be believed before a chunk has opened.

    Raises: SealBroken - no backup of this program.
    """
    if file.read(len(MAGIC)) != MAGIC:
        raise SealBroken("the file is no backup of this program")
    length = int.from_bytes(file.read(LENGTH_BYTES), "big")
    text = file.read(length) if length <= MOST_HEADER_BYTES else b""
    if not text or len(text) != length:
        raise SealBroken("the backup's header is cut off or too long")
    try:
        return msgspec.json.decode(text, type=Header), MAGIC + length.to_bytes(LENGTH_BYTES, "big") + text
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise SealBroken("the backup's header is malformed") from None


class SealingStream:
    """Seals what is written into chunks. The last one is written by `finish`: without it the file does not open."""

    def __init__(self, file: Any, key: bytes, header: Header) -> None:
        self._file = file
        self._cipher = AESGCM(key)
        before = header.to_bytes()
        self._bound_to = sha256(before).digest()
        self._held = bytearray()
        self._number = 0
        self.written = 0
        """Units: bytes of what was sealed, before sealing."""
        file.write(before)

    def write(self, text: bytes) -> None:
        """Take more of the stream. One byte more than a chunk is waited for: it may be the last."""
        self.written += len(text)
        self._held += text
        while len(self._held) > CHUNK_BYTES:
            self._seal(bytes(self._held[:CHUNK_BYTES]), is_last=False)
            del self._held[:CHUNK_BYTES]

    def finish(self) -> None:
        """Write the last chunk."""
        self._seal(bytes(self._held), is_last=True)

    def _seal(self, text: bytes, *, is_last: bool) -> None:
        self._file.write(self._cipher.encrypt(_nonce(self._number, is_last=is_last), text, self._bound_to))
        self._number += 1


def opened(file: BinaryIO, root: Root) -> Iterator[bytes]:
    """The chunks of a file, opened one by one from its beginning.

    1. The header, and the key that it wraps.
    2. Each chunk, in its place. Which one is the last is known by the end of the file, and has been sealed into it.

    Raises: SealBroken - at the first chunk that does not open: what came before it is a part of a backup, not a backup.
    """
    # 1.
    header, before = read_header(file)
    cipher = AESGCM(header.open_key(root))
    bound_to = sha256(before).digest()
    # 2.
    number, here = 0, file.read(CHUNK_BYTES + TAG_BYTES)
    while here:
        following = file.read(CHUNK_BYTES + TAG_BYTES)
        try:
            yield cipher.decrypt(_nonce(number, is_last=not following), here, bound_to)
        except (InvalidTag, ValueError):
            raise SealBroken(
                f"chunk {number} of the backup does not open: altered, moved or cut off"
            ) from None
        number, here = number + 1, following
    if not number:
        raise SealBroken("the backup ends before its first chunk")


def _nonce(number: int, *, is_last: bool) -> bytes:
    return number.to_bytes(_COUNTER_BYTES, "big") + bytes((is_last,))
