"""The region as FHIR: one transaction Bundle a patient, of any size, and the facilities' Organizations.

Spec:    https://hl7.org/fhir/R4/http.html#transaction; the national guide's profiles where they exist.
Leaves:  loading to whoever measures. Types without a national profile are base R4.

These bundles feed benchmarks. They share the patients and codes of the region, not the very visits that the
adapters' files tell of.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from random import Random
from typing import Any, Final

from exchange.demo import codes, patient_resource, resources
from exchange.demo.facilities import FIRST_LEVEL, NETWORKS, SECOND_LEVEL, THIRD_LEVEL, Facility
from exchange.demo.history import LIMA, chronic_diseases, draw_disease
from exchange.demo.people import Person
from exchange.demo.records import SourceRecord
from exchange.demo.region import Region
from exchange.fhir import peru

Json = dict[str, Any]

# Of a thousand resources of a patient, the Patient itself apart.
_MIX: Final = (
    ("Encounter", 100),
    ("Observation", 610),
    ("Condition", 75),
    ("MedicationRequest", 75),
    ("DiagnosticReport", 50),
    ("Immunization", 35),
    ("Procedure", 30),
    ("ServiceRequest", 15),
    ("AllergyIntolerance", 10),
)
_THOUSAND: Final = 1000
_YEARS: Final = 8
_GERESA: Final = "ipress-geresa"
_HIS_FACILITY_SYSTEM: Final = "urn:chasqui:pe:his-establecimiento"
_NETWORK_SYSTEM: Final = "urn:chasqui:pe:red"
_MICRO_NETWORK_SYSTEM: Final = "urn:chasqui:pe:microred"
_UNIT_TYPE_SYSTEM: Final = "http://terminology.hl7.org/CodeSystem/organization-type"


def _quotas(total: int, random: Random) -> dict[str, int]:
    """How many of each type make `total` resources beside the Patient, rounded up or down by chance."""
    counts = {"Encounter": 1}
    left = total - 1
    for kind, share in _MIX:
        wanted = (share * total + random.randrange(_THOUSAND)) // _THOUSAND - counts.get(kind, 0)
        given = min(left, max(0, wanted))
        counts[kind] = counts.get(kind, 0) + given
        left -= given
    counts["Observation"] += left
    return counts


def patient_bundles(region: Region, *, resources_per_patient: int) -> Iterator[Json]:
    """A transaction Bundle for each person, one at a time, always equal for equal arguments.

    Units:  resources_per_patient counts the Patient; at least 2.
    """
    if resources_per_patient < 2:  # noqa: PLR2004 - a Patient and an Encounter
        raise ValueError("a patient bundle holds a Patient and at least one Encounter")
    for person in region.people():
        records = region.records(person)
        yield _Chart(region, person, records).bundle(resources_per_patient)


def _facilities(person: Person, records: tuple[SourceRecord, ...]) -> tuple[Facility, ...]:
    """Where the benchmark treats the person: as many levels as there are records, spread over the region."""
    by_level = {"I": FIRST_LEVEL, "II": SECOND_LEVEL, "III": THIRD_LEVEL}
    levels = {"00090011": "I", "00090021": "II", "00090031": "III"}
    found = (by_level[levels[record.renipress]] for record in records)
    return tuple(dict.fromkeys(group[(person.home + person.family) % len(group)] for group in found))


class _Chart:
    """One patient's bundle in the making: the cursor of dates, the encounters and the entries so far."""

    def __init__(self, region: Region, person: Person, records: tuple[SourceRecord, ...]) -> None:
        self.person = person
        self.records = records
        self.random = Random(f"{region.seed}/bundle/{person.slot}")
        self.facilities = _facilities(person, records)
        self.first = max(person.birth_date, region.reference_date - timedelta(days=_YEARS * 365))
        self.days = max(1, (region.reference_date - self.first).days)
        self.reference_date = region.reference_date
        self.entries: list[Json] = []
        self.patient = self._name()
        self.contacts: list[resources.Contact] = []
        self.lasting = chronic_diseases(self.random, person.years_at(region.reference_date), person.sex)

    def _name(self) -> str:
        """A new `urn:uuid:` name, version 4 in form, drawn from the seed."""
        text = f"{self.random.getrandbits(128):032x}"
        variant = "89ab"[int(text[16], 16) & 3]
        return f"urn:uuid:{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"

    def _add(self, resource: Json, full_url: str | None = None) -> str:
        """Append an entry that POSTs the resource."""
        name = full_url or self._name()
        request = {"method": "POST", "url": resource["resourceType"]}
        self.entries.append({"fullUrl": name, "resource": resource, "request": request})
        return name

    def bundle(self, total: int) -> Json:
        """The whole bundle with exactly `total` resources."""
        quotas = _quotas(total - 1, self.random)
        self._add(patient_resource.patient(self.person, self.records), self.patient)
        self._encounters(quotas["Encounter"])
        self._observations(quotas["Observation"], quotas["DiagnosticReport"])
        for position in range(quotas["Condition"]):
            self._condition(position)
        for _ in range(quotas["MedicationRequest"]):
            self._prescription()
        for _ in range(quotas["Immunization"]):
            vaccine = self.random.choice(codes.VACCINES)
            dose = 1 + self.random.randrange(len(vaccine.months))
            self._add(
                resources.immunization(
                    self._contact(), vaccine, dose, f"L{self.random.randrange(10_000):04d}"
                )
            )
        for _ in range(quotas["Procedure"]):
            self._add(resources.procedure(self._contact(), self.random.choice(codes.ACTS)))
        for _ in range(quotas["ServiceRequest"]):
            self._referral()
        for _ in range(quotas["AllergyIntolerance"]):
            self._add(resources.allergy(self._contact(), *self.random.choice(codes.ALLERGENS)))
        return {"resourceType": "Bundle", "type": "transaction", "entry": self.entries}

    def _encounters(self, count: int) -> None:
        """Encounters on different days of the years before the reference date, oldest first."""
        offsets = sorted(self.random.randrange(self.days) for _ in range(count))
        for position, offset in enumerate(offsets):
            day = self.first + timedelta(days=offset)
            started_at = _morning(day, self.random)
            facility = self.random.choice(self.facilities)
            contact = resources.Contact(
                patient=self.patient,
                display=self.person.name.display,
                encounter=self._name(),
                facility=facility,
                professional=self.random.choice(facility.staff),
                at=started_at,
                number=self.person.slot * 1000 + position,
            )
            kind = (
                "AMB"
                if facility.level.startswith("I-")
                else self.random.choice(("AMB", "AMB", "AMB", "EMER", "IMP"))
            )
            self.contacts.append(contact)
            self._add(resources.encounter(contact, kind), contact.encounter)

    def _contact(self) -> resources.Contact:
        """Any of the encounters."""
        return self.contacts[self.random.randrange(len(self.contacts))]

    def _observations(self, count: int, reports: int) -> None:
        """Exactly `count` Observations and `reports` reports: panels first, vital signs for the rest."""
        left = count
        for _ in range(reports):
            panel = self.random.choice(codes.PANELS)
            measured = panel.measurements[:left]
            contact = self._contact()
            names = [self._add(resources.laboratory(contact, self.random, one)) for one in measured]
            left -= len(names)
            self._add(resources.report(contact, panel, names))
        signs = codes.VITAL_SIGNS[2:]
        for position in range(left):
            contact = self.contacts[position % len(self.contacts)]
            kind = self.random.randrange(len(signs) + 3)
            if kind < len(signs):
                self._add(resources.vital_sign(contact, self.random, signs[kind]))
            elif kind == len(signs):
                self._add(resources.blood_pressure(contact, self.random))
            else:
                months = max(0, (contact.at.date() - self.person.birth_date).days // 30)
                self._add(
                    resources.body_size(contact, self.random, months, self.person.sex, kind - len(signs) - 1)
                )

    def _condition(self, position: int) -> None:
        """A lasting disease first, acute ones after."""
        contact = self._contact()
        disease: codes.Disease | None = None
        if position < len(self.lasting):
            disease = self.lasting[position]
        else:
            disease = draw_disease(
                self.random, self.person.years_at(contact.at.date()), self.person.sex, chronic=False
            )
        self._add(
            resources.condition(contact, disease or codes.DISEASES[0], self.random.choice(("D", "D", "P")))
        )

    def _prescription(self) -> None:
        """A generic medicine."""
        drug = codes.DRUGS[self.random.choice(_DRUG_KEYS)]
        self._add(resources.prescription(self._contact(), drug, self.random.choice((7, 10, 30, 60))))

    def _referral(self) -> None:
        """A referral to the next level."""
        contact = self._contact()
        above = SECOND_LEVEL if contact.facility.level.startswith("I-") else THIRD_LEVEL
        self._add(
            resources.referral(contact, self.random.choice(above), self.random.choice(codes.SPECIALTIES))
        )


_DRUG_KEYS: Final = tuple(codes.DRUGS)


def _morning(day: date, random: Random) -> datetime:
    """An instant between 08:00 and 16:55 in Lima."""
    return datetime(
        day.year, day.month, day.day, 8 + random.randrange(9), 5 * random.randrange(12), tzinfo=LIMA
    )


def organizations(region: Region) -> list[Json]:
    """Organization resources in loading order: the regional office, its networks, then the facilities."""
    office: Json = {
        "resourceType": "Organization",
        "id": _GERESA,
        "identifier": [{"system": _NETWORK_SYSTEM, "value": "18"}],
        "active": True,
        "type": [{"coding": [{"system": _UNIT_TYPE_SYSTEM, "code": "govt", "display": "Government"}]}],
        "name": "GERENCIA REGIONAL DE SALUD LA LIBERTAD",
    }
    networks: list[Json] = [
        {
            "resourceType": "Organization",
            "id": f"ipress-red-18-{code}",
            "identifier": [{"system": _NETWORK_SYSTEM, "value": f"18{code}"}],
            "active": True,
            "type": [
                {
                    "coding": [
                        {"system": _UNIT_TYPE_SYSTEM, "code": "dept", "display": "Hospital Department"}
                    ],
                    "text": "Red de salud",
                }
            ],
            "name": f"RED DE SALUD {name}",
            "partOf": {"reference": f"Organization/{_GERESA}"},
        }
        for code, name in NETWORKS
    ]
    return [office, *networks, *(_organization(facility) for facility in region.facilities)]


def _organization(facility: Facility) -> Json:
    """One facility as OrganizacionPe."""
    return {
        "resourceType": "Organization",
        "id": peru.organization_id(facility.renipress),
        "meta": {"profile": [peru.ORGANIZATION_PROFILE]},
        "identifier": [
            {
                "use": "official",
                "type": {
                    "coding": [{"system": peru.RENHICE + "CodeSystem/IPRESSCS", "code": facility.renipress}]
                },
                "system": peru.RENIPRESS_SYSTEM,
                "value": facility.renipress,
            },
            {"use": "secondary", "system": _HIS_FACILITY_SYSTEM, "value": facility.his_id},
            {
                "use": "secondary",
                "system": _MICRO_NETWORK_SYSTEM,
                "value": f"18{facility.network_code}{facility.micro_network_code}",
            },
        ],
        "active": True,
        "type": [
            {"coding": [{"system": _UNIT_TYPE_SYSTEM, "code": "prov", "display": "Healthcare Provider"}]},
            {
                "coding": [{"system": peru.LEVEL_SYSTEM, "code": facility.level}],
                "text": f"Categoría {facility.level}",
            },
        ],
        "name": facility.name,
        "address": [
            {
                "extension": [{"url": peru.UBIGEO_EXTENSION, "valueString": facility.ubigeo}],
                "use": "work",
                "city": facility.district,
                "district": facility.province,
                "state": "LA LIBERTAD",
                "country": "PER",
            }
        ],
        "partOf": {
            "reference": f"Organization/ipress-red-18-{facility.network_code}",
            "display": f"RED DE SALUD {facility.network}",
        },
    }
