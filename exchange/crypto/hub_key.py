"""Hub keys as they lie in the database: wrapped, with their versions and states.

Spec:    NIST SP 800-57 part 1, 7 (states of a key); docs/decisions/0024-key-tree.md.
Leaves:  opening them to keyring; rotation to store/key_rotation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ACTIVE: Final = "active"
RETIRED: Final = "retired"
DESTROYED: Final = "destroyed"
STATES: Final = (ACTIVE, RETIRED, DESTROYED)

PURPOSES: Final = ("record", "index", "place", "token", "audit", "backup")


@dataclass(frozen=True, slots=True)
class HubKey:
    """One version of one purpose's key.

    Of several active versions the newest makes what is new; the others still open, and are on their way out.

    Units:  wrapped is empty once destroyed; fingerprint 8 bytes; public 32 bytes, of `audit` alone.
    """

    purpose: str
    version: int
    state: str
    root_version: int
    wrapped: bytes
    fingerprint: bytes
    public: bytes = b""
    made_at: int = 0
