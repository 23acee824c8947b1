"""What the folder of an HIS needs to know: the numbers by which it calls facilities inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from adapters.settings.checker import Checker
from adapters.settings.facility import RENIPRESS

HIS_KEYS: Final = frozenset({"internal_ids"})


@dataclass(frozen=True, slots=True)
class HisSettings:
    """RENIPRESS's code of each internal number that the master of facilities does not tell."""

    internal_ids: Mapping[str, str]


def check_his(checker: Checker) -> HisSettings:
    """`internal_ids` of `[source]`."""
    value = checker.value("source", "internal_ids")
    if value is None:
        return HisSettings({})
    if not isinstance(value, dict) or not all(
        isinstance(item, str) and RENIPRESS.match(item) for item in value.values()
    ):
        checker.fault("A-108", "source.internal_ids", 'internal_ids debe ser { "39058" = "00029333" }')
        return HisSettings({})
    return HisSettings(dict(value))
