"""What is wrong in a site file: all of it, each with its line and a remedy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong in a site file: where, and what to do about it."""

    code: str
    text: str
    line: int | None = None

    def __str__(self) -> str:
        place = f"línea {self.line}: " if self.line else ""
        return f"{self.code} {place}{self.text}"


class SettingsError(Exception):
    """A site file that cannot be used; `faults` has everything that is wrong, not the first thing only."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults
