"""A vector's situation as resources: whose they are, which records are of one person."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tests.passage.world import patient_of
from tests.vectors.notation import FACILITIES, Names, clauses, consent, resource
from tests.vectors.vector import Vector

PATIENT = ("at", "like", "born", "label")


@dataclass
class Situation:
    """What lies where before anybody asks."""

    names: Names
    change: dict[str, Any] = field(default_factory=dict)
    resources: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By `Type/id`."""
    consents: list[dict[str, Any]] = field(default_factory=list)
    facility_of: dict[str, str] = field(default_factory=dict)
    person_of: dict[str, int] = field(default_factory=dict)
    target: dict[str, Any] = field(default_factory=dict)

    @property
    def has_representatives(self) -> bool:
        """Whether the age of somebody counts."""
        return any("performer" in each for each in self.consents)

    def add(self, facility: str, name: str, made: dict[str, Any]) -> dict[str, Any]:
        made |= self.change.get(name, {})
        self.facility_of[made["id"]] = facility
        self.resources[f"{made['resourceType']}/{made['id']}"] = made
        return made

    def add_resource(self, text: str, default_name: str = "r1") -> dict[str, Any]:
        if text.split(maxsplit=1)[0] == "Patient":
            return self.add_patient(text)
        return self.add(*resource(text, self.names, default_name))

    def add_consent(self, text: str, name: str) -> dict[str, Any]:
        facility, made = consent(text, name, self.names)
        made = self.add(facility, name, made)
        self.consents = [each for each in self.consents if each["id"] != made["id"]] + [made]
        return made

    def add_patient(self, text: str) -> dict[str, Any]:
        """`Patient p2 at institute like p1 born 2010-05-31`: `like` is the same person as another facility sees it."""
        head, told = clauses(text, PATIENT)
        name = head[1]
        facility = told.get("at", ["post"])[0]
        self.names.place_of[name] = facility
        same = told.get("like", [name])[0]
        number = self.names.number * 10 + int(same[1:])
        if text.endswith("unlike"):
            number += 5_000
        made = patient_of(
            FACILITIES[facility], number, **({"birth_date": told["born"][0]} if "born" in told else {})
        )
        made["id"] = self.names.id_of(name)
        if "label" in told:
            made["meta"] = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality",
                                          "code": told["label"][0]}]}  # fmt: skip
        self.person_of[made["id"]] = number
        return self.add(facility, name, made)


def situation(vector: Vector) -> Situation:
    """What a vector describes, one Patient of the post in it unless it describes that one itself."""
    change = {name: json.loads(text) for name, text in (vector.change or {}).items()}
    made = Situation(Names(vector.number), change)
    patients = [each for each in vector.also if each.split()[0] == "Patient"]
    if not any(each.split()[1] == "p1" for each in patients):
        made.add_patient("Patient p1")
    for each in patients:
        made.add_patient(each)
    others = [each for each in vector.also if each not in patients]
    for number, each in enumerate(others, start=1):
        made.add_resource(each, f"x{number}")
    if not vector.steps:
        name = vector.resource.split()[1] if vector.resource.startswith("Patient ") else ""
        made.target = (
            made.resources[f"Patient/{made.names.id_of(name)}"]
            if name
            else made.add_resource(vector.resource)
        )
    for number, each in enumerate(vector.consents, start=1):
        made.add_consent(each, f"c{number}")
    return made
