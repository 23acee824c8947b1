"""A visit of HIS as FHIR: one Encounter, and what its items mean.

Spec:    docs/adapters.md, "HIS": P presuntivo, D definitivo, R repetido; CX, CP and vaccines by the master.
Leaves:  measures to `measures`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from adapters.code_map import Coding, cie10_coding, concept
from adapters.primary.masters import Item, Masters, Post
from adapters.primary.measures import measures
from adapters.primary.trama import Visit
from adapters.source_record import Entry, Outcome, Refusal, Refused, Resource
from adapters.source_record.bundle import finish, flag_unmapped
from adapters.source_record.diagnosis import CERTAINTY, STRENGTH, TERMINOLOGY, as_condition, known_as
from adapters.source_record.facility import UPS_SYSTEM
from exchange.fhir.peru import CPMS_SYSTEM, CVX_SYSTEM

# CPMS has codes of a letter and four digits, such as dental acts and home visits: only the master tells them apart.
_COULD_BE_EITHER: Final = re.compile(r"^[A-Z]\d{4}$")
HIS_ITEM_SYSTEM: Final = "urn:chasqui:pe:his-item"
_PROCEDURE_CODE: Final = re.compile(r"^\d{5}(\.\d+)?$|^[A-Z]?\d{4,5}\.\d{2}$")


@dataclass(slots=True)
class _Act:
    """An item of a visit, however many rows repeat it."""

    code: str
    kind: str
    values: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Read:
    """What is gathered of one visit."""

    post: Post
    visit: Visit
    encounter: Resource
    entries: list[Entry] = field(default_factory=list)
    unmapped: list[tuple[str, str]] = field(default_factory=list)

    def resource(self, resource_type: str, code: str) -> Resource:
        key = f"cita|{self.visit.number}|{code}"
        return {"resourceType": resource_type, "id": self.post.origin.resource_id(resource_type, key)}

    def subject(self) -> Resource:
        return self.post.origin.reference("Patient", self.visit.record.patient_key)

    def stay(self) -> Resource:
        return {"reference": f"Encounter/{self.encounter['id']}"}


def map_visit(post: Post, masters: Masters, visit: Visit) -> Outcome:
    """A visit as a transaction's entries, or its refusal where nobody knows the patient."""
    if visit.record.patient_key not in masters.patients:
        text = "El paciente de la cita no está en MAESTRO_PACIENTE. Exporte el maestro y se enviará solo."
        return Refused(visit.record, Refusal("identity", "A-262", text, location=visit.record.location))
    read = _Read(post, visit, _encounter(post, masters, visit))
    read.entries.append(Entry(read.encounter))
    for act in _acts(visit):
        _read_act(read, masters, act)
    found = measures(post, visit, read.subject(), read.stay(), read.unmapped)
    read.entries.extend(map(Entry, found))
    read.encounter["serviceProvider"] = post.origin.organization()
    return finish(post.origin, visit.record, read.entries, read.unmapped)


def _encounter(post: Post, masters: Masters, visit: Visit) -> Resource:
    row = visit.rows[0]
    encounter: Resource = {
        "resourceType": "Encounter",
        "id": post.origin.resource_id("Encounter", visit.record.natural_key),
        "identifier": [{"system": post.origin.identifier_system("his-cita"), "value": visit.number}],
        "status": "finished",
        "class": {"system": TERMINOLOGY + "v3-ActCode", "code": "AMB"},
    }
    if ups := row.get("Id_Ups"):
        encounter["serviceType"] = {"coding": [{"system": UPS_SYSTEM, "code": ups}]}
    encounter["subject"] = post.origin.reference("Patient", visit.record.patient_key)
    if professional := masters.practitioner(row.get("Id_Personal")):
        encounter["participant"] = [{"individual": professional}]
    encounter["period"] = {"start": visit.date}
    return encounter


def _acts(visit: Visit) -> list[_Act]:
    """The items of a visit, each once, with every Valor_Lab that its rows carry; the surest kind wins."""
    found: dict[str, _Act] = {}
    for row in visit.rows:
        code, kind = row.get("Codigo_Item").upper(), row.get("Tipo_Diagnostico").upper()
        act = found.setdefault(code, _Act(code, kind))
        if STRENGTH.get(kind, -1) > STRENGTH.get(act.kind, -1):
            act.kind = kind
        value = row.get("Valor_Lab")
        if value and value not in act.values:
            act.values.append(value)
    return list(found.values())


def _read_act(read: _Read, masters: Masters, act: _Act) -> None:
    """What an item is: by the master; without it by the form of its code; else words of the visit."""
    item = masters.items.get(act.code)
    original = Coding(HIS_ITEM_SYSTEM, act.code)
    if item is None:
        read.unmapped.append(("item", act.code))
    diagnosis = None if item is None and _COULD_BE_EITHER.match(act.code) else cie10_coding(act.code)
    if item is not None and item.cvx:
        _immunization(read, act, item, original)
    elif diagnosis is not None and (item is None or item.kind == "CX") and act.kind in CERTAINTY:
        code = concept(original, diagnosis, text=item.text if item else act.code)
        if act.kind == "R":
            _repeated(read, act, code)
        else:
            _condition(read, act, code)
    elif item.kind == "CP" if item is not None else _PROCEDURE_CODE.match(act.code):
        _procedure(read, act, item, original)
    else:
        standard = read.post.codes.find("items", act.code)
        if standard is None and (item is None or item.kind == "CX"):
            standard = diagnosis  # a diagnosis of unknown certainty is a reason, not a condition
        _reason(read, act, concept(original, standard, text=item.text if item else act.code))
        if standard is None:
            flag_unmapped(read.encounter)
            if item is not None:
                read.unmapped.append(("item", act.code))


def _condition(read: _Read, act: _Act, code: Resource, *, only_if_absent: bool = False) -> None:
    condition = read.resource("Condition", act.code)
    as_condition(condition, act.kind, code, read.subject(), read.stay(), read.visit.date)
    _note(condition, act)
    name = known_as(read.visit.record.patient_key, act.code)
    read.entries.append(Entry(condition, only_if_absent, name))
    if not only_if_absent:
        reference = {"condition": {"reference": f"Condition/{condition['id']}"}}
        read.encounter.setdefault("diagnosis", []).append(reference)


def _repeated(read: _Read, act: _Act, code: Resource) -> None:
    """R: no new condition; the visit says why it was, and a condition is written only if none is known."""
    _reason(read, act, code)
    _condition(read, act, code, only_if_absent=True)


def _reason(read: _Read, act: _Act, code: Resource) -> None:
    """Why the visit was, with Valor_Lab: no other resource of this visit is sure to carry it."""
    if act.values:
        code = {**code, "text": f"{code.get('text', act.code)} (Valor Lab: {', '.join(act.values)})"}
    read.encounter.setdefault("reasonCode", []).append(code)


def _procedure(read: _Read, act: _Act, item: Item | None, original: Coding) -> None:
    procedure = read.resource("Procedure", act.code)
    procedure["status"] = "completed"
    procedure["code"] = concept(original, Coding(CPMS_SYSTEM, act.code), text=item.text if item else act.code)
    procedure["subject"] = read.subject()
    procedure["encounter"] = read.stay()
    procedure["performedDateTime"] = read.visit.date
    _note(procedure, act)
    read.entries.append(Entry(procedure))


def _immunization(read: _Read, act: _Act, item: Item, original: Coding) -> None:
    dose = read.resource("Immunization", act.code)
    dose["status"] = "completed"
    dose["vaccineCode"] = concept(original, Coding(CVX_SYSTEM, item.cvx), text=item.text)
    dose["patient"] = read.subject()
    dose["encounter"] = read.stay()
    dose["occurrenceDateTime"] = read.visit.date
    dose["primarySource"] = True
    if act.values:
        number = act.values[0]
        told = (
            {"doseNumberPositiveInt": int(number)}
            if re.match(r"^[1-9]$", number)
            else {"doseNumberString": number}
        )
        dose["protocolApplied"] = [told]
    _note(dose, act, act.values[1:])
    read.entries.append(Entry(dose))


def _note(resource: Resource, act: _Act, values: list[str] | None = None) -> None:
    """Valor_Lab as it was typed: its meaning depends on the item, so it stays text."""
    kept = act.values if values is None else values
    if kept:
        resource["note"] = [{"text": f"Valor Lab: {', '.join(kept)}"}]
