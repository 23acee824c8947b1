"""What a facility is called and which level it has."""

from __future__ import annotations

import re
from typing import Final

LEVELS: Final = ("I-1", "I-2", "I-3", "I-4", "II-1", "II-2", "II-E", "III-1", "III-2", "III-E")
RENIPRESS: Final = re.compile(r"^\d{8}$")
