"""What the hub asks of whoever keeps the root of its key tree.

Spec:    NIST SP 800-57 part 1, 5.3 and 8.2; docs/decisions/0024-key-tree.md.
Leaves:  the keeping itself to the files beside: file, pkcs11, transit.
"""

from __future__ import annotations

from typing import Final, Protocol

DOCUMENTED: Final = "docs/keys.md"


class Root(Protocol):
    """The root key in its versions, from 1. Only `file` lets a version enter the hub's memory.

    Raises: Unavailable - it does not answer now, or refuses the hub; SealBroken - what it was given does not open.
    """

    name: str

    def newest(self) -> int:
        """The newest version; 0 where there is no key yet."""
        ...

    def versions(self) -> list[int]:
        """Those that are still there, the oldest first."""
        ...

    def wrap(self, key: bytes, bound_to: bytes) -> tuple[int, bytes]:
        """A key wrapped under the newest version, and that version."""
        ...

    def unwrap(self, version: int, wrapped: bytes, bound_to: bytes) -> bytes:
        """The key again, where it was bound to the same."""
        ...

    def rotate(self) -> int:
        """Make a new version, or the first one; its number."""
        ...

    def destroy(self, version: int) -> None:
        """Destroy a version, and every older one where the keeper knows no other way. Nothing brings it back."""
        ...
