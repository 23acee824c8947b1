"""A hospital whose system is a FHIR server already: what it holds, of people who also go there.

Spec:    https://hl7.org/fhir/R4/
Leaves:  answering for it to `sources`; reading it to the fhir adapter.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from exchange.demo.facilities import BY_CODE, Facility
from exchange.demo.history import Visit
from exchange.demo.people import Person
from exchange.demo.records import SourceRecord
from exchange.demo.region import Region
from exchange.fhir import peru

FHIR_SITE: Final[Facility] = BY_CODE["00090023"]
RESOURCES: Final = "resources.json"
_HL7: Final = "http://terminology.hl7.org/CodeSystem/"
_DNI: Final = "http://sierra-azul.example/dni"
_HC: Final = "http://sierra-azul.example/hc"
_VISITS: Final = 2
_DAYS_LATER: Final = 50
_HC_FIRST: Final = 900_000

Json = dict[str, Any]


def write_resources(region: Region, folder: Path) -> Path:
    """Write what the server holds. Raises: OSError - the folder cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / RESOURCES
    path.write_text(json.dumps(list(_resources(region)), ensure_ascii=False), "utf-8")
    return path


def _resources(region: Region) -> Iterator[Json]:
    for person, record in region.records_at(region.secondary):
        is_here = person.slot % 3 == 2  # noqa: PLR2004 - a third of them
        if not is_here or record.duplicate_of or {"plain", "newborn"} & set(person.traits):
            continue
        visits = region.history(person).at(region.secondary.renipress)[-_VISITS:]
        if not visits:
            continue
        patient = f"p{person.slot}"
        yield _changed(_patient(patient, person, record), visits[-1].started_at)
        for visit in visits:
            yield from _visit(patient, visit)


def _patient(name: str, person: Person, record: SourceRecord) -> Json:
    numbers = [{"system": _HC, "value": str(_HC_FIRST + person.slot)}]
    if record.document is not None and record.document.kind == "DNI":
        numbers.append({"system": _DNI, "value": record.document.number})
    family = " ".join(part for part in (record.name.paternal, record.name.maternal) if part)
    return {
        "resourceType": "Patient",
        "id": name,
        "identifier": numbers,
        "name": [{"family": family, "given": list(record.name.given)}],
        "gender": "female" if person.sex == "F" else "male",
        "birthDate": record.birth_date.isoformat(),
    }


def _visit(patient: str, visit: Visit) -> Iterator[Json]:
    later = timedelta(days=_DAYS_LATER)
    began, ended = visit.started_at + later, visit.ended_at + later
    subject = {"reference": f"Patient/{patient}"}
    encounter = {
        "resourceType": "Encounter",
        "id": f"e{visit.number}",
        "status": "finished",
        "class": {"system": _HL7 + "v3-ActCode", "code": visit.kind},
        "subject": subject,
        "period": {"start": began.isoformat(), "end": ended.isoformat()},
        "serviceProvider": {"reference": "Organization/1", "display": FHIR_SITE.name},
    }
    yield _changed(encounter, ended)
    for place, one in enumerate(visit.diagnoses):
        condition = {
            "resourceType": "Condition",
            "id": f"c{visit.number}-{place}",
            "clinicalStatus": {"coding": [{"system": _HL7 + "condition-clinical", "code": "active"}]},
            "code": {
                "coding": [{"system": peru.CIE10_SYSTEM, "code": one.disease.code}],
                "text": one.disease.label,
            },
            "subject": subject,
            "encounter": {"reference": f"Encounter/e{visit.number}"},
            "recordedDate": began.date().isoformat(),
        }
        yield _changed(condition, ended)


def _changed(resource: Json, at: datetime) -> Json:
    instant = at.isoformat(timespec="seconds")
    return {**resource, "meta": {"versionId": "1", "lastUpdated": instant}}
