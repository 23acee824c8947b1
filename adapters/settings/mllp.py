"""What a port that speaks MLLP needs to know.

Spec:    docs/adapters.md, "MLLP".
Leaves:  certificates to `mllp_tls`, senders to `messages`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from adapters.settings.checker import Checker
from adapters.settings.messages import MESSAGE_KEYS, NO_RULES, SENDER_KEYS, MessageSettings, check_messages
from adapters.settings.mllp_tls import TLS_KEYS, TlsSettings, check_tls

MLLP_KEYS: Final = MESSAGE_KEYS | {
    "mllp_host", "mllp_port", "idle_seconds", "message_seconds", "answer_seconds", "max_message_bytes",
    "max_connections", "allow_plain", "allow_plain_reason",
}  # fmt: skip
MLLP_SECTIONS: Final[Mapping[str, frozenset[str]]] = {
    "mllp_tls": TLS_KEYS,
    "sender": SENDER_KEYS,
}
_MAX_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class MllpSettings:
    """Where an adapter listens, and its bounds. Units: seconds and bytes as the names say; port 0 takes a free one."""

    host: str
    port: int
    idle_seconds: float
    message_seconds: float
    answer_seconds: float
    max_message_bytes: int
    max_connections: int
    messages: MessageSettings = NO_RULES
    tls: TlsSettings | None = None


def check_mllp(checker: Checker) -> MllpSettings:
    """The keys of the port in `[source]`, `[mllp_tls]` and every `[[sender]]`."""
    remedy = "escriba la dirección en la que escucha"
    number = checker.number
    settings = MllpSettings(
        host=checker.text("source", "mllp_host", bool, remedy, "127.0.0.1"),
        port=int(number("source", "mllp_port", 2575, 0, _MAX_PORT)),
        idle_seconds=number("source", "idle_seconds", 300.0, 0.1, 86400.0),
        message_seconds=number("source", "message_seconds", 120.0, 0.1, 3600.0),
        answer_seconds=number("source", "answer_seconds", 30.0, 0.1, 600.0),
        max_message_bytes=int(number("source", "max_message_bytes", 16_000_000, 1000, 200_000_000)),
        max_connections=int(number("source", "max_connections", 32, 1, 1000)),
        messages=check_messages(checker),
        tls=check_tls(checker),
    )
    _check_plain(checker, settings)
    return settings


def _check_plain(checker: Checker, settings: MllpSettings) -> None:
    """Nobody listens in the clear on a network by mistake: who means it says so, and why."""
    if settings.tls is None and any(rule.certificates for rule in settings.messages.senders):
        text = "certificates en [[sender]] necesita [mllp_tls] con client_authorities"
        checker.fault("A-112", "sender.certificates", text)
    if settings.tls is not None or _is_loopback(settings.host):
        return
    reason = checker.value("source", "allow_plain_reason")
    if not checker.truth("source", "allow_plain", default=False):
        text = (
            "mllp_host sale de esta computadora y no hay [mllp_tls]: los mensajes viajarían a la vista. Configure"
            " [mllp_tls], escuche en 127.0.0.1, o escriba allow_plain = true con su allow_plain_reason"
        )
        checker.fault("A-110", "source.mllp_host", text)
    elif not isinstance(reason, str) or not reason.strip():
        text = "allow_plain = true necesita allow_plain_reason: por qué aquí no hace falta TLS, y quién lo decidió"
        checker.fault("A-110", "source.allow_plain", text)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
