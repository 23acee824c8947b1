"""An adapter of a facility, in tests: its registration, and what it reports."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from exchange.authentication.registration import Client, register
from exchange.requester import parse_registered_scopes
from tests.exchange.authentication.test_jwks import public_key
from tests.sample.requester import POST

SCOPE = "system/*.cu"


def enter_adapter(spine: Any, client_id: str, organization: str = POST, **more: Any) -> None:
    """Register an adapter."""
    scopes = parse_registered_scopes(SCOPE)
    assert scopes is not None
    told: dict[str, Any] = {
        "purposes": ("TREAT",), "id_prefix": f"z{client_id.replace('-', '')[:17]}-",
        "jwks": {"keys": [public_key()]}, "is_adapter": True,
    } | more  # fmt: skip
    client = Client(client_id, f"Adapter {client_id}", organization, "system", scopes, **told)
    spine.operate(f"clients register {client_id}", lambda tx: register(tx, client))


def instant(ago_seconds: float = 0) -> str:
    at = datetime.now(UTC) - timedelta(seconds=ago_seconds)
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")


def a_report(number: int = 1, **more: Any) -> dict[str, Any]:
    """What an adapter says of itself; `...` leaves an element out."""
    told = {
        "number": number, "phase": "running", "version": "0.1.0", "source_kind": "his-trama", "source_system": "his",
        "reported_at": instant(), "started_at": instant(7200), "pending": 12, "parked_patients": 2,
        "disk_used_percent": 41, "last_received_at": instant(60), "last_applied_at": instant(90),
        "oldest_pending_at": instant(600), "waiting_consent": 1, "waiting_late": 3,
        "quarantine": [{"reason_class": "mapping", "code": "A-255", "times": 4},
                       {"reason_class": "validation", "code": "A-311", "times": 1}],
        "unmapped": [{"table": "lab", "code": "HB-2", "times": 9}],
        "days": [{"day": f"{datetime.now(UTC) - timedelta(hours=5):%Y-%m-%d}", "on_time": 30, "late": 2,
                  "worst_seconds": 100_000}],
    } | more  # fmt: skip
    return {name: value for name, value in told.items() if value is not ...}


def encoded(report: dict[str, Any]) -> bytes:
    return msgspec.json.encode(report)
