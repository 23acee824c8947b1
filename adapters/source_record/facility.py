"""Facility codes as the systems write them: of 5, 8 and 9 digits, with zeros or without.

Spec:    RENIPRESS, código único of 8 digits; docs/adapters.md, "HIS".
Leaves:  internal numbers of a system to its masters and settings.
"""

from __future__ import annotations

import re
from typing import Final

UPS_SYSTEM: Final = "urn:chasqui:pe:ups"
_DIGITS: Final = re.compile(r"^\d{1,9}$", re.ASCII)
_RENIPRESS_DIGITS: Final = 8


def eight_digits(code: str) -> str | None:
    """`05196`, `00005196`, `000005196` → `00005196`."""
    if not _DIGITS.match(code):
        return None
    bare = code.lstrip("0")
    return bare.zfill(_RENIPRESS_DIGITS) if bare and len(bare) <= _RENIPRESS_DIGITS else None
