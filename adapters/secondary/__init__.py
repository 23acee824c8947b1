"""A hospital's HL7 v2 messages as FHIR: stays, diagnoses, allergies, orders, results, vaccines, documents, appointments.

Spec:    HL7 v2.5.1 chapters 3, 4, 7, 9, 10; https://build.fhir.org/ig/HL7/v2-to-fhir/ for the pairing of fields.
Leaves:  frames and fields to `hl7v2`; each segment's meaning to the modules beside this one.
"""

from __future__ import annotations

import hashlib
from typing import Final

from adapters.hl7v2.message import Message, Segment, UnreadableMessage, parse
from adapters.secondary.appointments import TRIGGERS as APPOINTMENTS
from adapters.secondary.appointments import appointment
from adapters.secondary.documents import TRIGGERS as DOCUMENTS
from adapters.secondary.documents import documents
from adapters.secondary.gather import Gathered, Hospital
from adapters.secondary.identity import Person, merge, person
from adapters.secondary.orders import orders
from adapters.secondary.results import results
from adapters.secondary.vaccines import vaccines
from adapters.secondary.visits import allergies, diagnoses, visit
from adapters.source_record import Outcome, Refusal, Refused, SourceRecord
from adapters.source_record.bundle import finish
from adapters.source_record.moment import as_instant, compact_moment

_VISITS: Final = frozenset({"A01", "A02", "A03", "A04", "A08", "A11", "A12", "A13"})
_PERSONS: Final = frozenset({"A28", "A31"})
_MERGES: Final = frozenset({"A18", "A34", "A40"})
_SEVERAL_MERGES: Final = frozenset(f"ADT^{trigger}" for trigger in _MERGES)
_SEVERAL_PATIENTS: Final = frozenset({"ORU^R01"})
_SHARED: Final = frozenset({"MSH", "SFT", "EVN"})
_OTHERS: Final = {
    "ORU": frozenset({"R01"}),
    "VXU": frozenset({"V04"}),
    "MDM": DOCUMENTS,
    "SIU": APPOINTMENTS,
    "ORM": frozenset({"O01"}),
    "OML": frozenset({"O21"}),
}
_NAMES: Final = {
    "DFT": "movimientos de facturación",
    "BAR": "cuentas de facturación",
    "OMP": "órdenes de farmacia",
    "RDE": "órdenes de farmacia",
    "RDS": "entregas de farmacia",
    "RAS": "administraciones de farmacia",
    "PPR": "listas de problemas",
    "MDM": "avisos de documentos sin su contenido",
    "MFN": "maestros",
    "SIU": "cambios de cita de este tipo",
}


def map_message(
    hospital: Hospital, raw: bytes, received_at: str, location: str = "", message: Message | None = None
) -> Outcome:
    """A message as FHIR, or as a refusal; whatever the bytes are, one of the two."""
    record = SourceRecord(
        facility=hospital.origin.renipress,
        system=hospital.origin.system,
        natural_key=f"sin leer|{hashlib.sha256(raw).hexdigest()[:32]}",
        patient_key="",
        original=raw,
        received_at=received_at,
        location=location,
    )
    try:
        message = message or parse(raw, hospital.charset)
        record = _named(hospital, message, record)
        return _mapped(hospital, message, record)
    except UnreadableMessage as unreadable:
        return Refused(
            record, Refusal("mapping", unreadable.code, unreadable.text, location=unreadable.location)
        )
    except Refusal as refusal:
        return Refused(record, refusal)


def separate(raw: bytes, message: Message | None) -> list[bytes]:
    """The bytes of a message that is about one patient or merge, or of one about several, each by itself.

    Spec:   HL7 v2.5.1, 3.3.40: the group of PID and MRG repeats, and a second MRG beside one PID is read
            likewise; 7.3.1: the group of PID and results repeats.
    """
    if message is not None and message.event in _SEVERAL_MERGES and message.count("MRG") > 1:
        return _merges(message)
    if message is not None and message.event in _SEVERAL_PATIENTS and message.count("PID") > 1:
        return _patients(message)
    return [raw]


def _merges(message: Message) -> list[bytes]:
    shared = [segment for segment in message.segments if segment.name in _SHARED]
    person: list[Segment] = []
    parts = []
    for segment in message.segments:
        if segment.name == "PID":
            person = [segment]
        elif segment.name == "PD1":
            person.append(segment)
        elif segment.name == "MRG":
            parts.append(message.encoded([*shared, *person, segment]))
    return parts


def _patients(message: Message) -> list[bytes]:
    """Whatever follows a PID is about that patient; what stands before the first is about all."""
    shared: list[Segment] = []
    groups: list[list[Segment]] = []
    for segment in message.segments:
        if segment.name == "PID":
            groups.append([])
        (groups[-1] if groups else shared).append(segment)
    return [message.encoded([*shared, *group]) for group in groups]


def _named(hospital: Hospital, message: Message, record: SourceRecord) -> SourceRecord:
    """The record under the name that its sender gave it: application, facility, control id, time.

    The content is part of the name: systems that count from 1 every morning give one id to two messages,
    and the second is no correction of the first.
    """
    header = message.header
    digest = hashlib.sha256(record.original).hexdigest()[:16]
    sent_at = compact_moment(header.text(7), hospital.zone)
    return SourceRecord(
        facility=record.facility,
        system=record.system,
        natural_key="|".join((*(header.text(number) for number in (3, 4, 10, 7)), digest)),
        patient_key="",
        original=record.original,
        received_at=record.received_at,
        location=record.location,
        source_time=as_instant(sent_at, hospital.zone),
    )


def _mapped(hospital: Hospital, message: Message, record: SourceRecord) -> Outcome:
    """Choose by message type what is read out of it.

    1. Refuse types that say nothing which this exchange keeps: the patient's later messages do not wait.
    2. Know the patient, who is one: without an identifier nothing leaves.
    3. Read what the type is about.
    """
    # 1.
    if not hospital.is_known_sender:
        text = "El sitio no recibe mensajes de este sistema (MSH-3, MSH-4): falta su [[sender]]."
        raise Refusal("mapping", "A-222", text, location="MSH^1^3")
    kind, _, trigger = message.event.partition("^")
    if not _is_known(kind, trigger):
        what = _NAMES.get(kind, "mensajes de este tipo")
        shown = f"{kind[:3]}^{trigger[:3]}" if kind.isalnum() else "desconocido"
        text = f"El intercambio no recibe {what} ({shown}). No hace falta enviarlos; puede descartarlo."
        raise Refusal("mapping", "A-221", text, location="MSH^1^9")
    # 2.
    if message.count("PID") > 1:
        text = "El mensaje trae más de un paciente (PID): no se sabe de cuál es cada dato. Envíe uno por paciente."
        raise Refusal("identity", "A-235", text, location="PID^2")
    who = person(hospital, message)
    record = _about(record, who, merge_key=None)
    gathered = Gathered(hospital, who)
    try:
        # 3.
        if kind == "ADT" and trigger in _MERGES:
            old_key = merge(gathered, message)
            record = _about(record, who, merge_key=old_key)
        elif kind == "ADT":
            gathered.add(who.resource)
            if trigger in _VISITS:
                encounter = visit(gathered, message, trigger)
                diagnoses(gathered, message, encounter)
            allergies(gathered, message)
        else:
            gathered.add(who.resource, only_if_absent=True)
            _read(gathered, message, kind, trigger)
    except Refusal as refusal:
        return Refused(record, refusal)
    return finish(hospital.origin, record, gathered.entries(), gathered.unmapped)


def _read(gathered: Gathered, message: Message, kind: str, trigger: str) -> None:
    """What a message that is not about the patient alone says. Raises: Refusal."""
    if kind == "ORU":
        results(gathered, message)
    elif kind == "VXU":
        vaccines(gathered, message)
    elif kind == "MDM":
        documents(gathered, message, trigger)
    elif kind == "SIU":
        appointment(gathered, message, trigger)
    else:
        orders(gathered, message)


def _is_known(kind: str, trigger: str) -> bool:
    if kind == "ADT":
        return trigger in _VISITS | _PERSONS | _MERGES
    return trigger in _OTHERS.get(kind, ())


def _about(record: SourceRecord, who: Person, merge_key: str | None) -> SourceRecord:
    return SourceRecord(
        facility=record.facility,
        system=record.system,
        natural_key=record.natural_key,
        patient_key=who.key,
        original=record.original,
        received_at=record.received_at,
        location=record.location,
        source_time=record.source_time,
        merged_patient_key=merge_key,
    )
