"""How a site stands, for Prometheus: the text that `status` prints and that node_exporter picks up.

Spec:    https://prometheus.io/docs/instrumenting/exposition_formats/; docs/adapters.md, "Watching over it".
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

_COUNTS: Final = {
    "pending": ("pending_records", "Records that wait to be sent."),
    "parked": ("parked_records", "Records that wait behind a bad one of the same patient."),
    "waiting_consent": ("waiting_consent_records", "Records that wait for the authorisation to send them."),
    "discarded": ("discarded_records", "Records that somebody gave up."),
    "applied": ("applied_records", "Records that the hub has applied."),
    "consent_withdrawn_patients": (
        "consent_withdrawn_patients",
        "Patients who withdrew their authorisation.",
    ),
    "clock_skew_seconds": ("clock_skew_seconds", "This computer's clock against the hub's."),
}
_INSTANTS: Final = {
    "oldest": ("oldest_pending_timestamp_seconds", "When the oldest waiting record came."),
    "last_received_at": ("last_received_timestamp_seconds", "When a record came last."),
    "last_applied_at": ("last_applied_timestamp_seconds", "When the hub applied a record last."),
    "certificate_expires_at": ("certificate_expiry_timestamp_seconds", "When the port's certificate ends."),
}


def exposition(status: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    """The metrics of a status, as text."""
    lines: list[str] = []
    for key, (name, text) in _COUNTS.items():
        lines += _metric(name, text, [({}, status.get(key))], labels)
    for key, (name, text) in _INSTANTS.items():
        told = status.get(key)
        moment = datetime.fromisoformat(told).timestamp() if told else None
        lines += _metric(name, text, [({}, moment)], labels)
    reasons = [
        ({"reason_class": each["reason_class"], "code": each["code"]}, each["times"])
        for each in status["quarantine_reasons"]
    ]
    lines += _metric("quarantined_records", "Records that wait for a person.", reasons, labels)
    used = status["disk_used_percent"] / 100
    lines += _metric("disk_used_ratio", "How full the disk of the outbox is.", [({}, used)], labels)
    trouble = [({"code": status["trouble"]}, 1)] if status["trouble"] else []
    lines += _metric("trouble", "What bars the way to the hub.", trouble, labels)
    return "\n".join(lines) + "\n"


def write_metrics(path: Path, text: str) -> None:
    """Put the text in the place of what was there, whole or not at all. Raises: OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, "utf-8")
    temporary.chmod(0o644)
    temporary.replace(path)


def _metric(
    name: str, text: str, values: Iterable[tuple[Mapping[str, str], float | None]], labels: Mapping[str, str]
) -> list[str]:
    told = [(more, value) for more, value in values if value is not None]
    if not told:
        return []
    full = f"chasqui_adapter_{name}"
    head = [f"# HELP {full} {text}", f"# TYPE {full} gauge"]
    return head + [f"{full}{{{_labels({**labels, **more})}}} {value:.10g}" for more, value in told]


def _labels(pairs: Mapping[str, str]) -> str:
    return ",".join(f'{key}="{_escaped(value)}"' for key, value in pairs.items())


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
