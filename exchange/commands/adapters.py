"""`exchange adapters`: how every adapter stands, what is wrong first.

Leaves:  what a state comes to to fleet; the same for auditors to $adapter-states, for programs to /metrics.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer
from rich.table import Column, Table

from exchange.authentication.enrolment import waiting_invitations
from exchange.commands.opened import opened_hub, out
from exchange.fleet.report import Report
from exchange.fleet.state import State, states
from exchange.settings import settings

app: Final = typer.Typer()
_SECOND: Final = 1_000_000
_FULL_DISK_PERCENT: Final = 70
_SOON_DAYS: Final = 30
_DAY_SECONDS: Final = 86_400
_HOUR_SECONDS: Final = 3_600


@app.command("adapters")
def adapters(as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """How every adapter stands, what is wrong first; ends with 1 where one is silent or in trouble."""
    with opened_hub().store.transaction() as transaction:
        found, now = states(transaction), transaction.now
        waiting = waiting_invitations(transaction)
    rows = sorted(
        ((each, wrong(each, now, waiting)) for each in found),
        key=lambda row: (-_weight(row[0], now), not row[1], row[0].organization_id, row[0].client_id),
    )
    if as_json:
        print(json.dumps([_as_json(each, what, now) for each, what in rows], ensure_ascii=False))
    else:
        _print(rows, now)
    raise typer.Exit(1 if any(_weight(each, now) for each in found) else 0)


def wrong(state: State, now: int, waiting: dict[str, int]) -> list[str]:
    """What somebody should look into, the worst first."""
    told = []
    if state.contact_at is None:
        is_waiting = state.client_id in waiting and waiting[state.client_id] > now // _SECOND
        told.append("invited, no key yet" if is_waiting else "never heard of")
    elif state.is_silent(now):
        told.append(f"silent for {span((now - state.contact_at) // _SECOND)}")
    report = state.report
    if report is None:
        return told or ["has not reported yet"]
    if report.trouble:
        told.append(f"trouble {report.trouble}")
    told += _overdue(report, now)
    quarantined = sum(each.times for each in report.quarantine)
    if quarantined:
        told.append(f"{quarantined} in quarantine")
    if report.parked_patients:
        told.append(f"{report.parked_patients} patients parked")
    if state.late:
        told.append(f"{state.late} late in 7 days")
    return told


def _overdue(report: Report, now: int) -> list[str]:
    told = []
    if report.waiting_late:
        told.append(f"{report.waiting_late} wait longer than 24 h")
    if report.disk_used_percent >= _FULL_DISK_PERCENT:
        told.append(f"disk {report.disk_used_percent} %")
    for what, at in (("key", report.client_key_expires_at), ("certificate", report.certificate_expires_at)):
        if at is not None and (days := (int(at.timestamp()) - now // _SECOND) // _DAY_SECONDS) < _SOON_DAYS:
            told.append(f"{what} expires in {days} days" if days >= 0 else f"{what} expired")
    return told


def span(seconds: int) -> str:
    """A length of time as people say it."""
    if seconds >= 2 * _DAY_SECONDS:
        return f"{seconds // _DAY_SECONDS} days"
    if seconds >= 2 * _HOUR_SECONDS:
        return f"{seconds // _HOUR_SECONDS} h"
    return f"{seconds // 60} min" if seconds >= 60 else f"{seconds} s"  # noqa: PLR2004 - a minute


def _weight(state: State, now: int) -> int:
    """Silent before in trouble before all others."""
    if not state.is_active:
        return 0
    return 2 if state.is_silent(now) else 1 if state.report is not None and state.report.trouble else 0


def _print(rows: list[tuple[State, list[str]]], now: int) -> None:
    table = Table(
        Column("adapter", no_wrap=True), "facility", "state", "what is wrong", Column("last heard", justify="right"),
        Column("waiting", justify="right"), Column("7 days", justify="right"), "source, version",
    )  # fmt: skip
    for each, what in rows:
        report = each.report
        heard = span((now - each.contact_at) // _SECOND) if each.contact_at is not None else "never"
        table.add_row(
            each.client_id, each.organization_id, each.condition(now) if each.is_active else "suspended",
            "; ".join(what), heard, str(report.pending) if report else "", str(each.on_time + each.late),
            f"{report.source_kind} {report.version}" if report else "",
        )  # fmt: skip
    out.print(table)
    at = datetime.fromtimestamp(time.time(), UTC).astimezone(settings().zone)
    out.print(f"{len(rows)} adapters at {at:%Y-%m-%d %H:%M}")


def _as_json(state: State, what: list[str], now: int) -> dict[str, Any]:
    import msgspec

    return {
        "client": state.client_id,
        "facility": state.organization_id,
        "active": state.is_active,
        "state": state.condition(now),
        "silent": state.is_silent(now),
        "wrong": what,
        "last_contact_at": _instant(state.contact_at),
        "last_report_at": _instant(state.reported_at),
        "on_time_7_days": state.on_time,
        "late_7_days": state.late,
        "worst_seconds_7_days": state.worst_seconds,
        "report": msgspec.to_builtins(state.report) if state.report else None,
    }


def _instant(microseconds: int | None) -> str | None:
    if microseconds is None:
        return None
    return datetime.fromtimestamp(microseconds // _SECOND, UTC).isoformat().replace("+00:00", "Z")
