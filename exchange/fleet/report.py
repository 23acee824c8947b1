"""What an adapter reports of itself: counts, codes and instants, each bounded, and nothing of a patient.

Spec:    docs/region.md, "What an adapter reports".
Leaves:  whose report it is to state.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from exchange.problems import Malformed, TooCostly

MOST_REPORT_BYTES: Final = 16_384
MOST_DAYS: Final = 31
_COUNT: Final = 2**31 - 1
_PLACE: Final = re.compile(r"at `\$\.?([A-Za-z_.\[\]0-9]{0,80})`")

Count = Annotated[int, Meta(ge=0, le=_COUNT)]
Instant = Annotated[datetime, Meta(tz=True)]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,39}\Z")]
Code = Annotated[str, Meta(pattern=r"^A-[0-9]{3}(/[0-9]{3})?\Z")]
# A code of a source, never a number as long as a person's document.
SourceCode = Annotated[str, Meta(pattern=r"^(?!.*[0-9]{8})[A-Za-z0-9][A-Za-z0-9./^_+*-]{0,31}\Z")]
ReasonClass = Literal["mapping", "validation", "identity", "consent", "transport"]


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What holds what is named, and nothing else."""


class Quarantined(_Strict, frozen=True):
    """How many records wait for a person, for one reason."""

    reason_class: ReasonClass
    code: Code
    times: Count


class Unmapped(_Strict, frozen=True):
    """A code that no table translates."""

    table: Name
    code: SourceCode
    times: Count


class Day(_Strict, frozen=True):
    """One day's records against the 24 h rule, by the day on which the hub applied them."""

    day: date
    on_time: Count
    late: Count
    worst_seconds: Count = 0


class Report(_Strict, frozen=True):
    """One report. `number` grows with each, over restarts, too; `oldest_pending_at` is of what waits to be sent."""

    number: Annotated[int, Meta(ge=1, le=2**53)]
    phase: Literal["running", "stopped"]
    version: Name
    source_kind: Name
    source_system: Name
    reported_at: Instant
    started_at: Instant
    pending: Count
    parked_patients: Count
    disk_used_percent: Annotated[int, Meta(ge=0, le=100)]
    mapping_version: Name | None = None
    last_received_at: Instant | None = None
    last_applied_at: Instant | None = None
    oldest_pending_at: Instant | None = None
    quarantine: Annotated[tuple[Quarantined, ...], Meta(max_length=50)] = ()
    waiting_consent: Count = 0
    waiting_late: Count = 0
    client_key_expires_at: Instant | None = None
    certificate_expires_at: Instant | None = None
    trouble: Code | None = None
    unmapped: Annotated[tuple[Unmapped, ...], Meta(max_length=20)] = ()
    days: Annotated[tuple[Day, ...], Meta(max_length=MOST_DAYS)] = ()


_REPORT: Final = msgspec.json.Decoder(Report)


def read_report(text: bytes) -> Report:
    """A report. Raises: TooCostly; Malformed - it names the element, never what stood there."""
    if len(text) > MOST_REPORT_BYTES:
        raise TooCostly("a report is no longer than 16 kB")
    try:
        return _REPORT.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as wrong:
        place = _PLACE.search(str(wrong))
        raise Malformed("this is no report of an adapter", place[1] or None if place else None) from None


def kept_report(text: bytes | str) -> Report:
    """A report that was checked when it was taken."""
    return _REPORT.decode(text)
