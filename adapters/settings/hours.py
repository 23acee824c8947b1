"""The hours of the day in which something may be done."""

from __future__ import annotations

import re
from datetime import time
from typing import Final

from adapters.settings.checker import Checker
from adapters.settings.galenhos import Hours

_HOURS: Final = re.compile(r"^([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)$")


def hours_of(checker: Checker, key: str) -> Hours | None:
    """`20:00-06:00` of `[source]`; nothing where the site does not say."""
    value = checker.value("source", key)
    if value is None:
        return None
    found = _HOURS.match(value) if isinstance(value, str) else None
    if found is None:
        checker.fault("A-105", f"source.{key}", f'{key} en [source] debe ser como "01:00-05:00"')
        return None
    numbers = [int(part) for part in found.groups()]
    return Hours(time(numbers[0], numbers[1]), time(numbers[2], numbers[3]))
