"""A health centre's e-Qhali exports as FHIR: each row of the FUA detail is one visit and what was told at it.

Spec:    docs/adapters.md, "e-Qhali": FUA detail as CSV and as Excel workbook.
Leaves:  which files are there to the sources; bytes to `export` and `workbook`; meaning to `patients` and `visit`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

from adapters.delimited import Row
from adapters.eqhali.center import Center
from adapters.eqhali.export import Export, open_export, read_kept
from adapters.eqhali.fua import read_fua, thing_key
from adapters.eqhali.patients import map_kept, map_patient
from adapters.eqhali.visit import map_visit, withdraw_visit
from adapters.source_record import Mapped, Outcome, Refusal, Refused, SourceRecord

__all__ = ["Center", "Export", "map_export", "map_record", "open_export", "refused_file"]


class Owner(Protocol):
    """Of whom each thing was last told."""

    def __call__(self, thing_key: str) -> str | None:
        """The key of the patient, or nothing where the thing is new."""
        ...

    def tell(self, thing_key: str, patient_key: str) -> None:
        """Remember what is being told now."""
        ...


def map_export(center: Center, export: Export, file_time: str, owner: Owner) -> Iterator[Outcome]:
    """Every row of an export: its patient, and its visit, withdrawn first where it was told of somebody else.

    A file that turns out unreadable on the way ends in one refusal; what came before it stands.
    """
    try:
        for row in export.rows:
            yield from _map_row(center, export, row, file_time, owner)
    except Refusal as refusal:
        yield refused_file(center, export.name, export.header.line, refusal, file_time)


def map_record(center: Center, record: SourceRecord) -> Outcome:
    """Map a patient or a row that was kept again, by itself."""
    try:
        outcome = map_kept(center, record) or _map_kept_row(center, record)
        return replace(outcome, record=replace(outcome.record, location=record.location))
    except Refusal as refusal:
        kept = Refusal(refusal.reason_class, refusal.code, refusal.text, location=record.location)
        return Refused(record, kept)


def _map_kept_row(center: Center, record: SourceRecord) -> Mapped:
    export = read_kept(record.location.partition(":")[0], record.original)
    rows = list(export.rows) if export is not None else []
    if export is None or len(rows) != 1:
        text = "El registro ya no se puede interpretar por sí solo. Corríjalo en e-Qhali y vuelva a exportar."
        raise Refusal("mapping", "A-259", text)
    return map_visit(center, read_fua(center, export, rows[0], record.received_at))


def refused_file(center: Center, name: str, content: bytes, refusal: Refusal, file_time: str) -> Refused:
    """A whole file that cannot be read: kept by its beginning, so that somebody asks why."""
    record = SourceRecord(
        facility=center.origin.renipress,
        system=center.origin.system,
        natural_key=f"archivo|{name}",
        patient_key="",
        original=content,
        received_at=file_time,
        location=name,
        context=refusal.code,
    )
    return Refused(record, refusal)


def _map_row(center: Center, export: Export, row: Row, file_time: str, owner: Owner) -> Iterator[Outcome]:
    try:
        fua = read_fua(center, export, row, file_time)
    except Refusal as refusal:
        yield _bad_row(center, export, row, refusal, file_time)
        return
    former = owner(fua.record.thing_key)
    if former is not None and former != fua.patient_key:
        yield withdraw_visit(center, fua, former)
    owner.tell(fua.record.thing_key, fua.patient_key)
    if not fua.is_void:
        yield map_patient(center, fua.person, fua.row, fua.record)
    yield map_visit(center, fua)


def _bad_row(center: Center, export: Export, row: Row, refusal: Refusal, file_time: str) -> Refused:
    """A row set aside: under its FUA's name where it has one, so that the corrected row takes its place."""
    number = row.get("fua_id")
    name = thing_key(number) if number else f"fila|{hashlib.sha256(row.raw).hexdigest()[:32]}"
    record = SourceRecord(
        facility=center.origin.renipress,
        system=center.origin.system,
        natural_key=name,
        patient_key="",
        original=export.original(row),
        received_at=file_time,
        location=export.place(row),
        source_time=file_time,
        stated_at=file_time,
    )
    return Refused(record, refusal)
