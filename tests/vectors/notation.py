"""The notation of the vectors: who asks, what patients said and what lies in a record, as a person would jot it down.

tests/vectors/README.md explains it. Each text becomes plain FHIR here; nothing of what consents mean is decided here.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from exchange.fhir import peru
from tests.passage.world import PREFIXES
from tests.sample.consent import a_consent, a_provision
from tests.sample.requester import HOSPITAL, INSTITUTE, POST

FACILITIES = {"post": POST, "hospital": HOSPITAL, "institute": INSTITUTE}
BODIES = {"network": "red-trujillo", "diresa": "diresa-la-libertad", "geresa": "geresa"}
SYSTEMS = {
    "cie10": "http://hl7.org/fhir/sid/icd-10", "loinc": peru.LOINC_SYSTEM, "snomed": "http://snomed.info/sct",
    "atc": "http://www.whocc.no/atc", "dci": "urn:chasqui:pe:dci",
}  # fmt: skip
ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
ACTION = "http://terminology.hl7.org/CodeSystem/consentaction"
TYPES = "http://hl7.org/fhir/resource-types"
USER_ROLE = "urn:chasqui:user-role"
LEVELS = ("U", "L", "M", "N", "R", "V")


class NotUnderstood(ValueError):  # noqa: N818 - says what happened
    """A vector that is not written in the notation."""


@dataclass
class Names:
    """The ids behind the short names of one vector: unlike those of every other."""

    number: int
    place_of: dict[str, str] = field(default_factory=dict)

    def id_of(self, name: str) -> str:
        return f"{PREFIXES[FACILITIES[self.place_of.get(name, 'post')]]}v{self.number}{name}"

    def reference(self, text: str) -> str:
        """`Encounter/e1` with the id that e1 has; what is no such reference stays."""
        kind, slash, name = text.partition("/")
        return f"{kind}/{self.id_of(name)}" if slash and kind.isalpha() and name.isalnum() else text


def clauses(text: str, keywords: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """The words before the first keyword, and those after each; commas are for the eye."""
    head: list[str] = []
    found: dict[str, list[str]] = {}
    into = head
    for word in text.replace(",", " ").split():
        if word in keywords:
            into = found.setdefault(word, [])
        else:
            into.append(word)
    return head, found


# --- consents -------------------------------------------------------------------------------------------------------

PROVISION = (
    "to",
    "for",
    "from",
    "until",
    "action",
    "class",
    "code",
    "label",
    "dated-from",
    "dated-until",
    "data",
)


def consent(text: str, name: str, names: Names) -> tuple[str, dict[str, Any]]:
    """The facility that files it, and the Consent: `[at institute] permit to hospital (but deny label HIV)`."""
    flags = dict(_flag(each) for each in re.findall(r"\[([^]]*)\]", text))
    told = re.sub(r"\[[^]]*\]", "", text).strip()
    facility = flags.get("at", "post")
    names.place_of[name] = facility
    made = a_consent(names.id_of(name), names.id_of(flags.get("of", "p1")), provision=_tree(told, names))
    if "nothing" in told.split():
        del made["provision"]
    if "status" in flags:
        made["status"] = flags["status"]
    if "scope" in flags:
        made["scope"]["coding"][0]["code"] = flags["scope"]
    if "dated" in flags:
        made["dateTime"] = flags["dated"]
    if "undated" in flags:
        del made["dateTime"]
    if "signed-by" in flags:
        made["performer"] = [{"reference": names.reference(flags["signed-by"])}]
    return facility, made


def _flag(text: str) -> tuple[str, str]:
    name, _, value = text.partition(" ")
    return name, value.strip()


def _tree(text: str, names: Names) -> dict[str, Any]:
    """A provision with those that stand in parentheses behind it."""
    own, inside = [], []
    depth, start = 0, 0
    for place, letter in enumerate(text):
        if letter == "(":
            depth += 1
            start = place + 1 if depth == 1 else start
        elif letter == ")":
            depth -= 1
            if depth == 0:
                inside.append(text[start:place].strip().removeprefix("but "))
        elif depth == 0:
            own.append(letter)
    if depth:
        raise NotUnderstood(text)
    return _provision("".join(own), [_tree(each, names) for each in inside], names)


def _provision(text: str, inside: list[dict[str, Any]], names: Names) -> dict[str, Any]:
    head, told = clauses(text, PROVISION)
    if head not in (["permit"], ["deny"], ["untyped"], ["nothing"]):
        raise NotUnderstood(text)
    made = a_provision(
        head[0] if head[0] in ("permit", "deny") else None,
        start=_one(told, "from"), end=_one(told, "until"), inside=inside,
    )  # fmt: skip
    readers: dict[str, tuple[str, Callable[[str], dict[str, Any]]]] = {
        "for": ("purpose", lambda each: _coding(each, ACT_REASON)),
        "action": ("action", lambda each: {"coding": [_coding(each, ACTION)]}),
        "class": ("class", _class),
        "code": ("code", _concept),
        "label": (
            "securityLabel",
            lambda each: _coding(each, CONFIDENTIALITY if each in LEVELS else ACT_CODE),
        ),
        "data": ("data", lambda each: _data(each, names)),
    }
    for word, (element, read) in readers.items():
        if word in told:
            made[element] = [read(each) for each in told[word]]
    if told.get("to", ["anybody"]) != ["anybody"]:
        made["actor"] = [_actor(each, names) for each in told["to"]]
    dated = {"start": _one(told, "dated-from"), "end": _one(told, "dated-until")}
    if any(dated.values()):
        made["dataPeriod"] = {name: value for name, value in dated.items() if value}
    return made


def _one(told: dict[str, list[str]], word: str) -> str | None:
    return told[word][0] if word in told else None


def _coding(text: str, system: str) -> dict[str, Any]:
    """A code of the system that belongs there; `other:x` is one of a system that nobody knows."""
    name, colon, code = text.partition(":")
    return (
        {"system": SYSTEMS.get(name, f"urn:example:{name}"), "code": code}
        if colon
        else {"system": system, "code": text}
    )


def _class(text: str) -> dict[str, Any]:
    if text.startswith("profile="):
        return {"system": "urn:ietf:rfc:3986", "code": text.removeprefix("profile=")}
    return _coding(text, TYPES)


def _concept(text: str) -> dict[str, Any]:
    return (
        {"text": text.removeprefix("text:")} if text.startswith("text:") else {"coding": [_coding(text, "")]}
    )


def _data(text: str, names: Names) -> dict[str, Any]:
    meaning, _, reference = text.partition(":")
    return {"meaning": meaning, "reference": {"reference": names.reference(reference)}}


def _actor(text: str, names: Names) -> dict[str, Any]:
    role = {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}]
    }
    if text.startswith("role:"):
        told: dict[str, Any] = {"identifier": {"system": USER_ROLE, "value": text.removeprefix("role:")}}
    elif text.startswith("system:"):
        told = {"reference": f"Device/{text.removeprefix('system:')}"}
    elif text in FACILITIES or text in BODIES:
        told = {"reference": f"Organization/{FACILITIES.get(text) or BODIES[text]}"}
    else:
        told = {"reference": names.reference(text)}
    return {"role": role, "reference": told}


# --- what lies in a record ------------------------------------------------------------------------------------------

RESOURCE = (
    "at",
    "of",
    "code",
    "label",
    "dated",
    "in",
    "by",
    "profile",
    "tells",
    "points",
    "kind",
    "members",
    "born",
    "like",
)
DATES = {
    "Observation": "effectiveDateTime", "Condition": "onsetDateTime", "Procedure": "performedDateTime",
    "MedicationRequest": "authoredOn", "DiagnosticReport": "effectiveDateTime", "AllergyIntolerance": "onsetDateTime",
}  # fmt: skip
FIXED: dict[str, dict[str, Any]] = {
    "Observation": {"status": "final", "code": {"coding": [{"system": peru.LOINC_SYSTEM, "code": "8480-6"}]}},
    "Condition": {"code": {"coding": [{"system": SYSTEMS["cie10"], "code": "I10"}]}},
    "Procedure": {
        "status": "completed",
        "code": {"coding": [{"system": SYSTEMS["snomed"], "code": "80146002"}]},
    },
    "AllergyIntolerance": {
        "clinicalStatus": {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical",
                    "code": "active",
                }
            ]
        },
        "code": {"coding": [{"system": SYSTEMS["snomed"], "code": "91936005"}]},
    },
    "MedicationRequest": {"status": "active", "intent": "order"},
    "DiagnosticReport": {
        "status": "final",
        "code": {"coding": [{"system": peru.LOINC_SYSTEM, "code": "58410-2"}]},
    },
    "Encounter": {
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
    },
    "Appointment": {"status": "proposed"},
    "CareTeam": {"status": "active"},
    "Group": {"type": "practitioner", "actual": True},
    "RelatedPerson": {},
    "DocumentReference": {"status": "current"},
    "Binary": {"contentType": "application/fhir+json"},
    "List": {"status": "current", "mode": "working"},
    "Provenance": {"recorded": "2026-05-30T10:00:00-05:00", "agent": [{"who": {"display": "sistema"}}]},
    "Patient": {},
}


def resource(text: str, names: Names, default_name: str = "r1") -> tuple[str, str, dict[str, Any]]:
    """Facility, short name and resource: `Condition c1 at institute of p2 code cie10:F20.0 label R dated 2026-03-01`."""
    head, told = clauses(text, RESOURCE)
    kind, name = (*head, default_name)[:2]
    if kind not in FIXED or len(head) > 2:
        raise NotUnderstood(text)
    facility = _one(told, "at") or "post"
    names.place_of[name] = facility
    made: dict[str, Any] = {"resourceType": kind, "id": names.id_of(name)} | json.loads(
        json.dumps(FIXED[kind])
    )
    patients = [
        {"reference": f"Patient/{names.id_of(each)}"} for each in told.get("of", ["p1"]) if each != "nobody"
    ]
    _about(made, patients)
    if "code" in told:
        codings = [_coding(each, "") for each in told["code"]]
        made["medicationCodeableConcept" if kind == "MedicationRequest" else "code"] = {"coding": codings}
    if kind == "MedicationRequest" and "medicationCodeableConcept" not in made:
        made["medicationCodeableConcept"] = {"coding": [{"system": SYSTEMS["atc"], "code": "C09AA02"}]}
    if "label" in told:
        made["meta"] = {
            "security": [
                _coding(each, CONFIDENTIALITY if each in LEVELS else ACT_CODE) for each in told["label"]
            ]
        }
    if "profile" in told:
        made.setdefault("meta", {})["profile"] = told["profile"]
    _dated(made, told)
    if "in" in told:
        episode = {"reference": names.reference(told["in"][0])}
        if kind == "DocumentReference":
            made["context"] = {"encounter": [episode]}
        else:
            made["encounter"] = episode
    if "by" in told:
        _written_by(made, [{"reference": names.reference(each)} for each in told["by"]])
    if "kind" in told:
        made["type"] = {"coding": [_coding(each, "") for each in told["kind"]]}
    if "members" in told:
        _with_members(made, [names.reference(each) for each in told["members"]])
    if "points" in told:
        _pointing(made, [{"reference": names.reference(each)} for each in told["points"]])
    _content(made, told.get("tells"), names)
    return facility, name, made


def _about(made: dict[str, Any], patients: list[dict[str, Any]]) -> None:
    kind = made["resourceType"]
    if not patients or kind == "Patient":
        return
    if kind == "Appointment":
        made["participant"] = [{"actor": each, "status": "accepted"} for each in patients]
    elif kind == "Provenance":
        made["target"] = patients
    elif kind == "Binary":
        made["securityContext"] = patients[0]
    elif kind in ("AllergyIntolerance", "RelatedPerson"):
        made["patient"] = patients[0]
    elif kind != "Group":
        made["subject"] = patients[0]
    if len(patients) > 1 and kind == "Observation":
        made["performer"] = patients[1:]


def _dated(made: dict[str, Any], told: dict[str, list[str]]) -> None:
    kind, days = made["resourceType"], told.get("dated", ["2026-03-01"])
    if days == ["never"]:
        return
    if kind == "Encounter":
        made["period"] = {"start": days[0], "end": days[-1]}
    elif len(days) > 1:
        made[DATES[kind].replace("DateTime", "Period")] = {"start": days[0], "end": days[1]}
    elif kind in DATES:
        made[DATES[kind]] = days[0]


def _written_by(made: dict[str, Any], people: list[dict[str, Any]]) -> None:
    element = {"Observation": "performer", "DocumentReference": "author", "DiagnosticReport": "performer"}
    if made["resourceType"] in element:
        made[element[made["resourceType"]]] = people
    elif made["resourceType"] == "Procedure":
        made["performer"] = [{"actor": each} for each in people]
    else:
        made["recorder" if made["resourceType"] in ("Condition", "AllergyIntolerance") else "requester"] = (
            people[0]
        )


def _with_members(made: dict[str, Any], members: list[str]) -> None:
    if made["resourceType"] == "Group":
        made["member"] = [{"entity": {"reference": each}} for each in members]
    else:
        made["participant"] = [{"member": {"reference": each}} for each in members]


def _pointing(made: dict[str, Any], targets: list[dict[str, Any]]) -> None:
    kind = made["resourceType"]
    if kind == "Provenance":
        made["target"] = [*targets, *made.get("target", [])]
    elif kind == "List":
        made["entry"] = [{"item": each} for each in targets]
    elif kind == "DiagnosticReport":
        made["result"] = targets
    elif kind == "Encounter":
        made["diagnosis"] = [{"condition": each} for each in targets]
    elif kind == "DocumentReference":
        made["content"] = [
            {"attachment": {"url": each["reference"], "contentType": "application/fhir+json"}}
            for each in targets
        ]
    else:
        made["derivedFrom"] = targets


def _content(made: dict[str, Any], codes: list[str] | None, names: Names) -> None:
    """What a document tells: a list of findings with these codes, as FHIR; `unreadable` is a picture."""
    kind = made["resourceType"]
    if kind not in ("DocumentReference", "Binary") or "content" in made:
        return
    told = codes or ["cie10:I10"]
    findings = {
        "resourceType": "List", "status": "current", "mode": "working",
        "entry": [{"item": {"display": "hallazgo"}, "flag": {"coding": [_coding(each, "")]}} for each in told],
    }  # fmt: skip
    text = b"\x89PNG" if told == ["unreadable"] else json.dumps(findings).encode()
    data = base64.b64encode(text).decode()
    content_type = "image/png" if told == ["unreadable"] else "application/fhir+json"
    if kind == "Binary":
        made |= {"contentType": content_type, "data": data}
    else:
        made["content"] = [{"attachment": {"contentType": content_type, "data": data}}]
