"""An attention as Encounter: class, period, where from and where to; and its diagnoses.

Spec:    https://hl7.org/fhir/R4/encounter.html, condition.html; docs/adapters.md, "GalenHos".
Leaves:  orders and medicines to `orders`; who the patient is to `patients`.
"""

from __future__ import annotations

from typing import Final

from adapters.code_map import Coding, cie10_coding, concept
from adapters.galenhos.hospital import Gathered, Hospital
from adapters.galenhos.reading import Case
from adapters.galenhos.values import Fields, moment
from adapters.source_record import Entry, Refusal, Resource
from adapters.source_record.diagnosis import STRENGTH, TERMINOLOGY, as_condition, known_as, status
from adapters.source_record.facility import UPS_SYSTEM
from adapters.source_record.person import is_dni
from exchange.fhir.peru import DNI_SYSTEM

_ACT: Final = TERMINOLOGY + "v3-ActCode"
_NULL: Final = TERMINOLOGY + "v3-NullFlavor"
_ADMIT: Final = TERMINOLOGY + "admit-source"
_DISCHARGE: Final = TERMINOLOGY + "discharge-disposition"
_ROLE: Final = TERMINOLOGY + "diagnosis-role"
_OVER_AT_ONCE: Final = frozenset({"AMB", "HH", "FLD", "VR", "SS"})
_PLACE: Final = "atenciones"


def is_void(hospital: Hospital, fields: Fields) -> bool:
    """Whether the attention itself was annulled: it did not happen. A voided bill is another matter."""
    return hospital.meaning("attention", "state", fields) == "void"


def beginning(gathered: Gathered, fields: Fields) -> Resource:
    """The Encounter of an attention, before anything is said of it."""
    encounter = gathered.add("Encounter", "")
    system = gathered.hospital.origin.identifier_system("atencion")
    encounter["identifier"] = [{"system": system, "value": fields["key"]}]
    return encounter


def in_error(gathered: Gathered, encounter: Resource) -> None:
    """Say only that the attention was entered in error; what was told at it is withdrawn with this version."""
    encounter["status"] = "entered-in-error"
    encounter["class"] = {"system": _NULL, "code": "UNK"}
    encounter["subject"] = gathered.subject


def tell(gathered: Gathered, encounter: Resource, case: Case) -> None:
    """What an attention says.

    Raises: Refusal - A-256 a date that is none, A-292 it ends before it begins.
    """
    fields, hospital = case.attention, gathered.hospital
    period = _period(hospital, fields)
    kind = hospital.meaning("attention", "kind", fields)
    encounter["status"] = _status(gathered, encounter, fields, kind, is_over="end" in period)
    encounter["class"] = {"system": _ACT, "code": kind} if kind else {"system": _NULL, "code": "UNK"}
    if kind is None:
        gathered.miss(encounter, "tipo_servicio", fields.get("kind", "NULL"))
    if fields.get("ups") or fields.get("service"):
        coding = [Coding(UPS_SYSTEM, fields["ups"]).as_fhir()] if fields.get("ups") else None
        words = {"text": fields["service"]} if fields.get("service") else {}
        encounter["serviceType"] = {**({"coding": coding} if coding else {}), **words}
    encounter["subject"] = gathered.subject
    if doctor := _doctor(hospital, fields):
        encounter["participant"] = [{"individual": doctor}]
    if period:
        encounter["period"] = period
    if fields.get("reason"):
        encounter["reasonCode"] = [{"text": fields["reason"]}]
    if stay := _stay(gathered, encounter, fields):
        encounter["hospitalization"] = stay
    if fields.get("bed"):
        encounter["location"] = [{"location": {"display": fields["bed"]}}]
    encounter["serviceProvider"] = hospital.origin.organization()


def diagnoses(gathered: Gathered, encounter: Resource, case: Case, recorded: str | None) -> None:
    """Each code once, however many rows repeat it: the surest kind wins, each use is told.

    R repeats a known condition: a reason of this attention, and a Condition only where none was ever told.
    """
    found: dict[str, list[Fields]] = {}
    for fields in sorted(case.diagnoses, key=lambda row: row.get("rank", "").zfill(9)):
        if fields.get("code"):
            found.setdefault(fields["code"].upper(), []).append(fields)
    for code, rows in found.items():
        _diagnosis(gathered, encounter, code, rows, recorded)


def _period(hospital: Hospital, fields: Fields) -> dict[str, str]:
    try:
        began = moment(fields, "admitted_date", hospital.zone, "admitted_time")
        ended = moment(fields, "left_date", hospital.zone, "left_time")
    except ValueError:
        text = "La fecha de ingreso o de egreso no es una fecha."
        raise Refusal("mapping", "A-256", text, location=_PLACE) from None
    if began and ended and ended[: len(began)] < began[: len(ended)]:
        text = "El egreso es anterior al ingreso. Corrija las fechas de la atención en GalenHos y se enviará sola."
        raise Refusal("mapping", "A-292", text, location=_PLACE)
    return {name: at for name, at in (("start", began), ("end", ended)) if at}


def _status(
    gathered: Gathered, encounter: Resource, fields: Fields, kind: str | None, *, is_over: bool
) -> str:
    told = gathered.hospital.meaning("attention", "state", fields)
    if told is None:
        if fields.get("state"):
            gathered.miss(encounter, "estado_atencion", fields["state"])
        return "finished" if is_over or kind in _OVER_AT_ONCE else "in-progress"
    return "finished" if told == "in-progress" and is_over else told


def _stay(gathered: Gathered, encounter: Resource, fields: Fields) -> Resource:
    """Where from, where to, and how the patient left."""
    hospital, stay = gathered.hospital, Resource()
    if origin := fields.get("origin"):
        code = hospital.meaning("attention", "origin", fields)
        local = Coding(hospital.origin.identifier_system("origen-atencion"), origin)
        standard = [Coding(_ADMIT, code).as_fhir()] if code else []
        stay["admitSource"] = {"coding": [*standard, local.as_fhir()]}
        if code is None:
            gathered.miss(encounter, "origen_atencion", origin)
    if destination := fields.get("destination"):
        system = hospital.origin.identifier_system("destino-atencion")
        stay["destination"] = {"identifier": {"system": system, "value": destination}}
    kinds = [
        Coding(hospital.origin.identifier_system(system), fields[name])
        for name, system in (("discharge_type", "tipo-alta"), ("discharge_condition", "condicion-alta"))
        if fields.get(name)
    ]
    if kinds:
        code = hospital.meaning("attention", "discharge_type", fields)
        standard = [Coding(_DISCHARGE, code).as_fhir()] if code else []
        stay["dischargeDisposition"] = {"coding": [*standard, *(item.as_fhir() for item in kinds)]}
        if code is None and fields.get("discharge_type"):
            gathered.miss(encounter, "tipo_alta", fields["discharge_type"])
    return stay


def _doctor(hospital: Hospital, fields: Fields) -> Resource | None:
    """Who attended, by name and number; the directory of professionals is the hub's."""
    result: Resource = {}
    if is_dni(fields.get("doctor_document", "")):
        identifier = {"system": DNI_SYSTEM, "value": fields["doctor_document"]}
        result = {"type": "Practitioner", "identifier": identifier}
    elif fields.get("doctor_college"):
        system = hospital.origin.identifier_system("colegiatura")
        result = {"type": "Practitioner", "identifier": {"system": system, "value": fields["doctor_college"]}}
    if fields.get("doctor"):
        result["display"] = fields["doctor"]
    return result or None


def _diagnosis(
    gathered: Gathered, encounter: Resource, code: str, rows: list[Fields], recorded: str | None
) -> None:
    hospital = gathered.hospital
    standard = cie10_coding(code) or hospital.codes.find("diagnosis", code)
    local = Coding(hospital.origin.identifier_system("diagnostico"), code)
    words = next((row["words"] for row in rows if row.get("words")), code)
    what = concept(local, standard, text=words)
    if standard is None:
        gathered.miss(encounter, "diagnosis", code)
    kinds = [kind for row in rows if (kind := hospital.meaning("diagnosis", "certainty", row))]
    kind = max(kinds, key=lambda each: STRENGTH[each], default="")
    if kind in {"", "R"}:
        encounter.setdefault("reasonCode", []).append(what)
        if not kind:
            gathered.miss(encounter, "certeza", rows[0].get("certainty", "NULL"))
            return
    condition = gathered.named("Condition", f"dx|{code}")
    stay = {"reference": f"Encounter/{encounter['id']}"}
    as_condition(condition, kind, what, gathered.subject, stay, recorded or "")
    if not recorded:
        del condition["recordedDate"]
    key = gathered.subject["reference"].partition("/")[2]
    gathered.entries.append(Entry(condition, kind == "R", known_as(key, code)))
    if kind == "R":
        return
    uses = dict.fromkeys(hospital.meaning("diagnosis", "use", row) for row in rows)
    for use in uses:
        told: Resource = {"condition": {"reference": f"Condition/{condition['id']}"}}
        if use == "mortality":
            told["use"] = {"text": "Causa de muerte"}
        elif use:
            told["use"] = status("diagnosis-role", use)
        encounter.setdefault("diagnosis", []).append(told)
