"""A hospital's GalenHos tables as FHIR, by configuration only: patients, attentions, diagnoses, orders, medicines.

Spec:    docs/adapters.md, "GalenHos"; docs/decisions/0031.
Leaves:  when and how far to read to the source; statements to `reading`; meaning to the modules beside this one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final, Protocol

import msgspec

from adapters.galenhos import attention, orders
from adapters.galenhos.hospital import Gathered, Hospital
from adapters.galenhos.patients import allergies, person_key, read_person
from adapters.galenhos.reading import Case
from adapters.galenhos.values import moment
from adapters.source_record import Entry, Mapped, Outcome, Refusal, Refused, SourceRecord
from adapters.source_record.bundle import finish
from adapters.source_record.moment import as_instant

__all__ = ["Case", "Hospital", "Owner", "map_case", "map_kept", "unreadable"]

_MAX_CASE_BYTES: Final = 5_000_000
_encoder: Final = msgspec.json.Encoder(order="deterministic")


class Owner(Protocol):
    """Of whom each thing was last told."""

    def __call__(self, thing_key: str) -> str | None:
        """The key of the patient, or nothing where the thing is new."""
        ...

    def tell(self, thing_key: str, patient_key: str) -> None:
        """Remember what is being told now."""
        ...


def map_case(hospital: Hospital, case: Case, received_at: str, owner: Owner) -> Iterator[Outcome]:
    """A patient, and the attention that was read with them: taken from its former patient first where it moved."""
    if case.patient.get("key"):
        own = _patient_record(hospital, case, received_at)
        yield _mapped(own, lambda: _map_patient(hospital, own, case))
    if not case.attention:
        return
    record = _attention_record(hospital, case, received_at)
    former = owner(f"atencion|{case.attention['key']}")
    if former is not None and former != record.patient_key:
        yield _taken_back(hospital, record, case, former)
    if record.patient_key:
        owner.tell(record.thing_key, record.patient_key)
    yield _mapped(record, lambda: _map_attention(hospital, record, case))


def map_kept(hospital: Hospital, record: SourceRecord) -> Outcome:
    """A record that was kept, mapped again with today's map and code tables."""
    try:
        case = msgspec.json.decode(record.original, type=Case)
    except (msgspec.DecodeError, RecursionError):
        text = "El registro ya no se puede interpretar por sí solo: se volverá a leer de la base de datos."
        return Refused(record, Refusal("mapping", "A-259", text))
    if record.natural_key.startswith("paciente|"):
        return _mapped(record, lambda: _map_patient(hospital, record, case))
    return _mapped(record, lambda: _map_attention(hospital, record, case))


def unreadable(hospital: Hospital, key: str, received_at: str) -> Refused:
    """An attention that the database cannot give: known by its key, and read again with the last days."""
    place = f"atenciones:{key}"
    record = _record(hospital, f"atencion|{key}", key.encode(), received_at, place)
    text = "La base de datos no pudo dar esta atención: un valor imposible o demasiadas filas. Revísela en GalenHos."
    return Refused(record, Refusal("mapping", "A-294", text, location=place))


def _patient_record(hospital: Hospital, case: Case, received_at: str) -> SourceRecord:
    content = _encoder.encode(
        Case(patient=case.patient, allergies=case.allergies, is_patient_repeated=case.is_patient_repeated)
    )
    key = person_key(case.patient["key"])
    record = _record(hospital, key, content, received_at, f"pacientes:{case.patient['key']}")
    return replace(record, patient_key=key, source_time=_changed(hospital, case.patient), states_all=True)


def _attention_record(hospital: Hospital, case: Case, received_at: str) -> SourceRecord:
    fields = case.attention
    thing = f"atencion|{fields['key']}"
    key = person_key(fields["patient"]) if fields.get("patient") else ""
    whole = Case(
        attention=fields,
        patient=case.patient,
        diagnoses=case.diagnoses,
        orders=case.orders,
        dispenses=case.dispenses,
        is_repeated=case.is_repeated,
        is_patient_repeated=case.is_patient_repeated,
    )
    content = _encoder.encode(whole)
    record = _record(
        hospital, f"{thing}|{key}" if key else thing, content, received_at, f"atenciones:{fields['key']}"
    )
    return replace(
        record,
        patient_key=key,
        source_time=_changed(hospital, fields),
        states_all=True,
        thing_key=thing if key else "",
    )


def _record(hospital: Hospital, name: str, content: bytes, received_at: str, location: str) -> SourceRecord:
    return SourceRecord(
        facility=hospital.origin.renipress,
        system=hospital.origin.system,
        natural_key=name,
        patient_key="",
        original=content[:_MAX_CASE_BYTES],
        received_at=received_at,
        location=location,
    )


def _changed(hospital: Hospital, fields: dict[str, str]) -> str | None:
    """The row's own last change, where the hospital keeps one: an older row never replaces a newer one."""
    try:
        return as_instant(moment(fields, "changed_at", hospital.zone), hospital.zone)
    except ValueError:
        return None


def _mapped(record: SourceRecord, read: Callable[[], Mapped]) -> Outcome:
    """What a record says, or why it cannot be told: a patient who is not identified lets later records wait."""
    if len(record.original) >= _MAX_CASE_BYTES:
        text = "La atención tiene demasiadas filas para enviarla junta. Llame al soporte de la región."
        return Refused(record, Refusal("mapping", "A-293", text, location=record.location))
    try:
        return read()
    except Refusal as refusal:
        parks = record.natural_key.startswith("paciente|")
        kept = Refusal(
            refusal.reason_class, refusal.code, refusal.text, location=record.location, parks=parks
        )
        return Refused(record, kept)


def _map_patient(hospital: Hospital, record: SourceRecord, case: Case) -> Mapped:
    person = read_person(hospital, case)
    gathered = Gathered(hospital, record.natural_key, hospital.origin.reference("Patient", person.key))
    gathered.entries.append(Entry(person.resource))
    allergies(gathered, case)
    return finish(hospital.origin, record, gathered.entries, gathered.unmapped)


def _map_attention(hospital: Hospital, record: SourceRecord, case: Case) -> Mapped:
    """An attention with what hangs under it; of an annulled one only that it was entered in error."""
    if case.is_repeated:
        text = "La llave del mapa se repite en la tabla de atenciones. Revise key de [attention] en el mapa."
        raise Refusal("identity", "A-291", text)
    person = read_person(hospital, case)
    gathered = Gathered(hospital, record.natural_key, hospital.origin.reference("Patient", person.key))
    gathered.entries.append(Entry(person.resource, only_if_absent=True))
    encounter = attention.beginning(gathered, case.attention)
    if attention.is_void(hospital, case.attention):
        attention.in_error(gathered, encounter)
    else:
        attention.tell(gathered, encounter, case)
        began = encounter.get("period", {}).get("start")
        attention.diagnoses(gathered, encounter, case, began)
        orders.orders(gathered, encounter, case)
        orders.dispenses(gathered, encounter, case)
    return finish(hospital.origin, record, gathered.entries, gathered.unmapped)


def _taken_back(hospital: Hospital, record: SourceRecord, case: Case, former: str) -> Mapped:
    """An attention that is another patient's now, withdrawn from the one of whom it was told."""
    old = replace(
        record,
        natural_key=f"atencion|{case.attention['key']}|{former}",
        patient_key=former,
        context="de otro paciente",
        thing_key="",
    )
    gathered = Gathered(hospital, old.natural_key, hospital.origin.reference("Patient", former))
    attention.in_error(gathered, attention.beginning(gathered, case.attention))
    return finish(hospital.origin, old, gathered.entries)
