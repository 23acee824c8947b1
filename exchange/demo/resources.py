"""One function per resource type: the JSON that the benchmark's bundles are made of.

Spec:    https://hl7.org/fhir/R4/resourcelist.html; ConditionPe of the national guide.
Leaves:  the Patient to patient_resource; how many of each, and when, to bundles.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final

from exchange.demo import codes
from exchange.demo.facilities import Facility, Professional
from exchange.demo.history import Result, measure
from exchange.demo.history import body_size as draw_body_size
from exchange.fhir import peru

Json = dict[str, Any]

HL7: Final = "http://terminology.hl7.org/CodeSystem/"
_R4: Final = "http://hl7.org/fhir/StructureDefinition/"
_CLASS: Final = {"AMB": "ambulatory", "EMER": "emergency", "IMP": "inpatient encounter"}
_INTERPRETATION: Final = {"H": "High", "L": "Low", "N": "Normal"}


@dataclass(slots=True)
class Contact:
    """The encounter that a resource belongs to, with what every resource repeats of it."""

    patient: str
    display: str
    encounter: str
    facility: Facility
    professional: Professional
    at: datetime
    number: int
    issued: int = 0

    def subject(self) -> Json:
        """Reference to the patient."""
        return {"reference": self.patient, "display": self.display}

    def visit(self) -> Json:
        """Reference to the encounter."""
        return {"reference": self.encounter}

    def organization(self) -> Json:
        """Reference to the facility."""
        return {
            "reference": f"Organization/{peru.organization_id(self.facility.renipress)}",
            "display": self.facility.name,
        }

    def practitioner(self) -> Json:
        """The professional by college number, since practitioners are not loaded."""
        return {
            "type": "Practitioner",
            "identifier": {"system": peru.CMP_SYSTEM, "value": self.professional.college_number},
            "display": self.professional.display,
        }

    def identifier(self, kind: str) -> list[Json]:
        """A new identifier of the facility's own for a thing of that kind."""
        self.issued += 1
        system = peru.facility_system(self.facility.renipress, kind)
        return [{"system": system, "value": f"{self.number}-{self.issued}"}]


def _instant(at: datetime) -> str:
    return at.isoformat()


def _meta(profile: str, contact: Contact) -> Json:
    return {"source": f"urn:chasqui:ipress:{contact.facility.renipress}", "profile": [profile]}


def concept(system: str, code: str, display: str, text: str) -> Json:
    """A CodeableConcept of one coding and a text."""
    return {"coding": [{"system": system, "code": code, "display": display}], "text": text}


def encounter(contact: Contact, kind: str) -> Json:
    """A finished visit."""
    ended = contact.at + (timedelta(days=3) if kind == "IMP" else timedelta(minutes=25))
    return {
        "resourceType": "Encounter",
        "meta": _meta(_R4 + "Encounter", contact),
        "identifier": contact.identifier("atencion"),
        "status": "finished",
        "class": {"system": HL7 + "v3-ActCode", "code": kind, "display": _CLASS[kind]},
        "type": [
            {"coding": [{"system": "urn:chasqui:pe:ups", "code": "301601"}], "text": "Consulta externa"}
        ],
        "subject": contact.subject(),
        "participant": [
            {
                "type": [
                    concept(HL7 + "v3-ParticipationType", "ATND", "attender", "Responsable de la atención")
                ],
                "individual": contact.practitioner(),
            }
        ],
        "period": {"start": _instant(contact.at), "end": _instant(ended)},
        "serviceProvider": contact.organization(),
    }


def _observation(
    contact: Contact, category: tuple[str, str, str], profile: str, code: Json, value: Json
) -> Json:
    """What every Observation has."""
    return {
        "resourceType": "Observation",
        "meta": _meta(profile, contact),
        "identifier": contact.identifier("resultado"),
        "status": "final",
        "category": [concept(HL7 + "observation-category", *category)],
        "code": code,
        "subject": contact.subject(),
        "encounter": contact.visit(),
        "effectiveDateTime": _instant(contact.at),
        "issued": _instant(contact.at + timedelta(hours=1)),
        "performer": [contact.organization(), contact.practitioner()],
        **value,
    }


def _quantity(result: Result) -> Json:
    unit = result.measurement.unit
    number: int | float = float(result.value) if "." in result.value else int(result.value)
    return {"value": number, "unit": unit, "system": peru.UCUM_SYSTEM, "code": unit}


def _interpreted(result: Result) -> Json:
    """Value, interpretation and reference range."""
    measurement = result.measurement
    unit = measurement.unit
    scale = 10**measurement.decimals
    return {
        "valueQuantity": _quantity(result),
        "interpretation": [
            {
                "coding": [
                    {
                        "system": HL7 + "v3-ObservationInterpretation",
                        "code": result.flag,
                        "display": _INTERPRETATION[result.flag],
                    }
                ]
            }
        ],
        "referenceRange": [
            {
                "low": {
                    "value": measurement.low / scale,
                    "unit": unit,
                    "system": peru.UCUM_SYSTEM,
                    "code": unit,
                },
                "high": {
                    "value": measurement.high / scale,
                    "unit": unit,
                    "system": peru.UCUM_SYSTEM,
                    "code": unit,
                },
            }
        ],
    }


def _loinc(measurement: codes.Measurement) -> Json:
    return concept(peru.LOINC_SYSTEM, measurement.code, measurement.display, measurement.label)


_LABORATORY: Final = ("laboratory", "Laboratory", "Laboratorio")
_VITAL: Final = ("vital-signs", "Vital Signs", "Signos vitales")


def laboratory(contact: Contact, random: Random, measurement: codes.Measurement) -> Json:
    """A laboratory result."""
    value = _interpreted(measure(random, measurement))
    return _observation(contact, _LABORATORY, _R4 + "Observation", _loinc(measurement), value)


def vital_sign(contact: Contact, random: Random, measurement: codes.Measurement) -> Json:
    """A vital sign."""
    value = _interpreted(measure(random, measurement))
    return _observation(contact, _VITAL, _R4 + "vitalsigns", _loinc(measurement), value)


def body_size(contact: Contact, random: Random, months: int, sex: str, which: int) -> Json:
    """Weight (0) or height (1) that fits the age."""
    result = draw_body_size(random, months, sex)[which]
    value = {"valueQuantity": _quantity(result)}
    return _observation(contact, _VITAL, _R4 + "vitalsigns", _loinc(result.measurement), value)


def blood_pressure(contact: Contact, random: Random) -> Json:
    """Systolic and diastolic pressure as components of one Observation."""
    code = concept(
        peru.LOINC_SYSTEM, "85354-9", "Blood pressure panel with all children optional", "Presión arterial"
    )
    pair = (measure(random, codes.SYSTOLIC), measure(random, codes.DIASTOLIC))
    components = [{"code": _loinc(one.measurement), "valueQuantity": _quantity(one)} for one in pair]
    return _observation(contact, _VITAL, _R4 + "bp", code, {"component": components})


def report(contact: Contact, panel: codes.Panel, results: list[str]) -> Json:
    """A laboratory report that gathers its results."""
    return {
        "resourceType": "DiagnosticReport",
        "meta": _meta(_R4 + "DiagnosticReport", contact),
        "identifier": contact.identifier("informe"),
        "status": "final",
        "category": [concept(HL7 + "v2-0074", "LAB", "Laboratory", "Laboratorio")],
        "code": concept(peru.LOINC_SYSTEM, panel.code, panel.display, panel.label),
        "subject": contact.subject(),
        "encounter": contact.visit(),
        "effectiveDateTime": _instant(contact.at),
        "issued": _instant(contact.at + timedelta(hours=2)),
        "performer": [contact.organization()],
        "result": [{"reference": name} for name in results],
    }


def condition(contact: Contact, disease: codes.Disease, certainty: str) -> Json:
    """A diagnosis as ConditionPe."""
    status = "confirmed" if certainty == "D" else "provisional"
    state = "active" if disease.chronic else "resolved"
    resource: Json = {
        "resourceType": "Condition",
        "meta": _meta(peru.CONDITION_PROFILE, contact),
        "clinicalStatus": concept(HL7 + "condition-clinical", state, state.capitalize(), state),
        "verificationStatus": concept(HL7 + "condition-ver-status", status, status.capitalize(), status),
        "category": [
            concept(HL7 + "condition-category", "encounter-diagnosis", "Encounter Diagnosis", "Diagnóstico")
        ],
        "code": concept(peru.CIE10_SYSTEM, disease.code, disease.label, disease.label),
        "subject": contact.subject(),
        "encounter": contact.visit(),
        "onsetPeriod": {"start": contact.at.date().isoformat()},
        "recordedDate": _instant(contact.at),
        "asserter": contact.practitioner(),
        "note": [{"text": f"Registrado en {contact.facility.name}"}],
    }
    if not disease.chronic:
        resource["onsetPeriod"]["end"] = (contact.at.date() + timedelta(days=14)).isoformat()
        resource["abatementDateTime"] = (contact.at.date() + timedelta(days=14)).isoformat()
    return resource


def prescription(contact: Contact, drug: codes.Drug, days: int) -> Json:
    """A prescription of a generic medicine."""
    return {
        "resourceType": "MedicationRequest",
        "meta": _meta(_R4 + "MedicationRequest", contact),
        "status": "completed",
        "intent": "order",
        "category": [concept(HL7 + "medicationrequest-category", "outpatient", "Outpatient", "Ambulatorio")],
        "medicationCodeableConcept": {
            "coding": [{"system": "urn:chasqui:pe:dci", "code": drug.key}],
            "text": drug.label,
        },
        "subject": contact.subject(),
        "encounter": contact.visit(),
        "authoredOn": _instant(contact.at),
        "requester": contact.practitioner(),
        "dosageInstruction": [{"text": drug.dose}],
        "dispenseRequest": {
            "validityPeriod": {"start": contact.at.date().isoformat()},
            "expectedSupplyDuration": {"value": days, "unit": "d", "system": peru.UCUM_SYSTEM, "code": "d"},
            "performer": contact.organization(),
        },
    }


def immunization(contact: Contact, vaccine: codes.Vaccine, dose: int, lot: str) -> Json:
    """A vaccine that was given."""
    return {
        "resourceType": "Immunization",
        "meta": _meta(_R4 + "Immunization", contact),
        "status": "completed",
        "vaccineCode": concept(peru.CVX_SYSTEM, vaccine.cvx, vaccine.label, vaccine.label),
        "patient": contact.subject(),
        "encounter": contact.visit(),
        "occurrenceDateTime": _instant(contact.at),
        "primarySource": True,
        "lotNumber": lot,
        "performer": [{"actor": contact.organization()}, {"actor": contact.practitioner()}],
        "protocolApplied": [{"doseNumberPositiveInt": dose}],
    }


def procedure(contact: Contact, act: codes.Act) -> Json:
    """A procedure that was done."""
    return {
        "resourceType": "Procedure",
        "meta": _meta(_R4 + "Procedure", contact),
        "status": "completed",
        "code": concept(peru.CPMS_SYSTEM, act.code, act.label, act.label),
        "subject": contact.subject(),
        "encounter": contact.visit(),
        "performedDateTime": _instant(contact.at),
        "performer": [{"actor": contact.practitioner(), "onBehalfOf": contact.organization()}],
    }


def referral(contact: Contact, target: Facility, specialty: str) -> Json:
    """A referral to a higher level."""
    return {
        "resourceType": "ServiceRequest",
        "meta": _meta(_R4 + "ServiceRequest", contact),
        "identifier": contact.identifier("referencia"),
        "status": "active",
        "intent": "order",
        "category": [{"text": "Referencia"}],
        "priority": "routine",
        "code": {"text": f"Interconsulta: {specialty}"},
        "subject": contact.subject(),
        "encounter": contact.visit(),
        "authoredOn": _instant(contact.at),
        "requester": contact.organization(),
        "performerType": {"text": specialty},
        "performer": [
            {"reference": f"Organization/{peru.organization_id(target.renipress)}", "display": target.name}
        ],
    }


def allergy(contact: Contact, key: str, label: str, category: str, reaction: str) -> Json:
    """An active allergy."""
    return {
        "resourceType": "AllergyIntolerance",
        "meta": _meta(_R4 + "AllergyIntolerance", contact),
        "clinicalStatus": concept(HL7 + "allergyintolerance-clinical", "active", "Active", "Activa"),
        "verificationStatus": concept(
            HL7 + "allergyintolerance-verification", "confirmed", "Confirmed", "Confirmada"
        ),
        "type": "allergy",
        "category": [category],
        "criticality": "low",
        "code": {"coding": [{"system": "urn:chasqui:pe:alergeno", "code": key}], "text": label},
        "patient": contact.subject(),
        "encounter": contact.visit(),
        "recordedDate": _instant(contact.at),
        "reaction": [{"manifestation": [{"text": reaction}], "severity": "mild"}],
    }
