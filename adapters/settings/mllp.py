"""What a port that speaks MLLP needs to know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from adapters.settings.checker import Checker

MLLP_KEYS: Final = frozenset({
    "mllp_host", "mllp_port", "idle_seconds", "max_message_bytes", "max_connections"
})  # fmt: skip
_MAX_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class MllpSettings:
    """Where an adapter listens, and its bounds. Units: seconds and bytes as the names say; port 0 takes a free one."""

    host: str
    port: int
    idle_seconds: float
    max_message_bytes: int
    max_connections: int


def check_mllp(checker: Checker) -> MllpSettings:
    """The keys of the port in `[source]`."""
    remedy = "escriba la dirección en la que escucha"
    return MllpSettings(
        host=checker.text("source", "mllp_host", bool, remedy, "127.0.0.1"),
        port=int(checker.number("source", "mllp_port", 2575, 0, _MAX_PORT)),
        idle_seconds=checker.number("source", "idle_seconds", 300.0, 0.1, 86400.0),
        max_message_bytes=int(checker.number("source", "max_message_bytes", 16_000_000, 1000, 200_000_000)),
        max_connections=int(checker.number("source", "max_connections", 32, 1, 1000)),
    )
