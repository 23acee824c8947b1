"""The root key's place, for those who may not hold the keyring: a file, in demo mode made on the spot.

Spec:    docs/decisions/0008-sealed-by-default.md.
"""

from __future__ import annotations

from exchange.crypto.keyring import make_root_key_file as make_demo_root_key
from exchange.crypto.keyring import read_root_key_file as read_root_key

__all__ = ["make_demo_root_key", "read_root_key"]
