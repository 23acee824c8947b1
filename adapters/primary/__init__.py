"""A first-level post's files as FHIR: patients from the master, visits from the monthly trama, births from the register.

Spec:    HIS-MINSA trama nominal, both shapes (docs/adapters.md, "HIS"); https://hl7.org/fhir/R4/encounter.html.
Leaves:  which files are there to the cycle; lines and columns to `tables`; meaning to `visit` and `patients`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from adapters.primary.births import map_births
from adapters.primary.masters import Masters, Post
from adapters.primary.patients import map_patient
from adapters.primary.tables import Table, read_table
from adapters.primary.trama import PARTIAL, Visit, bad_row, visits
from adapters.primary.visit import map_visit
from adapters.source_record import Outcome, Refusal, Refused, SourceRecord

__all__ = [
    "Masters",
    "Post",
    "Skipped",
    "Table",
    "is_single_row",
    "map_births",
    "map_patients",
    "map_record",
    "map_trama",
    "read_table",
]


@dataclass(slots=True)
class Skipped:
    """What was left out on purpose, counted."""

    group_activity_rows: int = 0
    rows: int = 0


def map_patients(post: Post, table: Table, file_time: str) -> Iterator[Outcome]:
    """Every row of a patients' master."""
    for row in table.rows:
        if row.fault:
            yield bad_row(
                post, table, row, Refusal("mapping", "A-251", row.fault, location=table.place(row)), file_time
            )
        else:
            yield map_patient(post, table, row, file_time)


def map_trama(
    post: Post, masters: Masters, table: Table, file_time: str, skipped: Skipped
) -> Iterator[Outcome]:
    """Every visit of a monthly file, and every row of it that cannot be read."""
    for item in visits(post, masters, table, file_time, skipped):
        yield map_visit(post, masters, item) if isinstance(item, Visit) else item


def map_record(post: Post, masters: Masters, record: SourceRecord) -> Outcome:
    """Map a quarantined record again, with today's masters and code tables."""
    table = read_table(record.location.partition(":")[0], record.original)
    file_time = record.source_time or record.received_at
    outcomes: list[Outcome] = []
    if table is not None and table.kind == "patients":
        outcomes = list(map_patients(post, table, file_time))
    elif table is not None and table.kind == "births":
        outcomes = list(map_births(post, masters, table, file_time))
    elif table is not None and table.kind == "trama":
        outcomes = list(map_trama(post, masters, table, file_time, Skipped()))
    if len(outcomes) == 1:
        return _in_its_place(record, outcomes[0])
    text = "El registro ya no se puede interpretar por sí solo. Corríjalo en el HIS y vuelva a exportar."
    return Refused(record, Refusal("mapping", "A-259", text))


def is_single_row(record: SourceRecord) -> bool:
    """Whether a record is a row that was set aside alone, not a whole visit or patient."""
    return record.natural_key.startswith("fila|")


def _in_its_place(record: SourceRecord, outcome: Outcome) -> Outcome:
    """The outcome, with the place that the record had in its file."""
    if isinstance(outcome, Refused):
        refusal = outcome.refusal
        kept = Refusal(
            refusal.reason_class, refusal.code, refusal.text, location=record.location, parks=refusal.parks
        )
        return Refused(record, kept)
    states_all = outcome.record.states_all and record.context != PARTIAL
    return replace(outcome, record=replace(outcome.record, context=record.context, states_all=states_all))
