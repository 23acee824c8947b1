"""IHE BALP 1.1.3 as tables: what its profiles say of an AuditEvent, and a check that knows nothing of the hub's.

Facts from https://profiles.ihe.net/ITI/BALP/1.1.3/ (StructureDefinition-IHE.BasicAudit.*, ValueSet-AllReadVS,
ValueSet-DataSources, ValueSet-RestObjectRoles). Displays are not compared: patterns name system and code.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

PREFIX = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."
DICOM = "http://dicom.nema.org/resources/ontology/DCM"
RESTFUL = "http://hl7.org/fhir/restful-interaction"
ENTITY_TYPE = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
ROLE = "http://terminology.hl7.org/CodeSystem/object-role"
PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
PROVENANCE = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
BALP_ENTITY = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType"
USER_AGENT = "https://profiles.ihe.net/ITI/BALP/CodeSystem/UserAgentTypes"
REST = ("http://terminology.hl7.org/CodeSystem/audit-event-type", "rest")
JTI = "urn:ietf:params:oauth:jti:"

Code = tuple[str, str]


@dataclass(frozen=True)
class Slice:
    """Agents or entities whose type has one of these codes: how many there are, and what each has and has not."""

    name: str
    types: frozenset[Code]
    least: int
    most: int
    has: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    roles: frozenset[Code] = frozenset()
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Profile:
    """One profile: the codes of its kind, and its slices. An empty table says nothing."""

    subtypes: frozenset[Code] = frozenset()
    action: str = ""
    agents: tuple[Slice, ...] = ()
    least_agents: int = 1
    entities: tuple[Slice, ...] = ()
    least_entities: int = 0


def codes(system: str, *values: str) -> frozenset[Code]:
    return frozenset((system, each) for each in values)


def side(name: str, system: str, code: str) -> Slice:
    return Slice(name, codes(system, code), 1, 1, has=("who", "network"), lacks=("media",))


def person(types: frozenset[Code]) -> Slice:
    return Slice("user", types, 0, 1, has=("who",), lacks=("media", "network"), values={"requestor": True})


SOURCES = codes(PARTICIPATION, "AUT", "INF", "CST")
RECIPIENT = codes(PARTICIPATION, "IRCP")
TRANSACTION = Slice("transaction", codes(BALP_ENTITY, "XrequestId"), 0, 1, has=("what.identifier.value",))
DATA = Slice("data", codes(ENTITY_TYPE, "2"), 1, 1, has=("what", "role"), roles=codes(ROLE, "3", "4", "20"))
QUERY = Slice(
    "query", codes(ENTITY_TYPE, "2"), 1, 1, has=("query", "role"), lacks=("what", "lifecycle", "detail"),
    roles=codes(ROLE, "24"),
)  # fmt: skip
PATIENT = Slice("patient", codes(ENTITY_TYPE, "1"), 1, 1, has=("what", "role"), roles=codes(ROLE, "1"))
WRITING = (side("client", DICOM, "110153"), side("server", DICOM, "110152"), person(SOURCES))
PROFILES = {
    "Create": Profile(codes(RESTFUL, "create"), "C", WRITING, 2, (TRANSACTION, DATA), 1),
    "Update": Profile(codes(RESTFUL, "update", "patch"), "U", WRITING, 2, (TRANSACTION, DATA), 1),
    "Delete": Profile(
        codes(RESTFUL, "delete"), "D",
        (side("client", DICOM, "110150"), side("server", PROVENANCE, "custodian"), person(SOURCES)), 2,
        (TRANSACTION, DATA), 1,
    ),
    "Read": Profile(
        codes(RESTFUL, "read", "vread"), "R",
        (side("client", DICOM, "110152"), side("server", DICOM, "110153"), person(RECIPIENT)), 2,
        (TRANSACTION, DATA), 1,
    ),
    "Query": Profile(
        codes(RESTFUL, "search", "search-type", "search-system"), "E",
        (side("client", DICOM, "110153"), side("server", DICOM, "110152"), person(RECIPIENT)), 2,
        (TRANSACTION, QUERY), 1,
    ),
    "OAUTHaccessTokenUse.Minimal": Profile(
        agents=(Slice("oUser", codes(USER_AGENT, "UserOauthAgent"), 1, 99, has=("policy",), lacks=("media", "network"),
                      values={"requestor": True}),),
    ),
}  # fmt: skip


def failures(event: dict[str, Any], profile: str) -> list[str]:
    """What of an event does not hold to a profile; [] where all does."""
    name = profile.removeprefix(PREFIX)
    is_patient = name.startswith("Patient")
    wanted = PROFILES[name.removeprefix("Patient")]
    found: list[str] = []
    if wanted.subtypes:
        if coded(event["type"]) != REST:
            found.append("type")
        if len([each for each in event["subtype"] if coded(each) in wanted.subtypes]) != 1:
            found.append("subtype")
        if event["action"] != wanted.action:
            found.append("action")
        if event["outcome"] != "0":
            found.append("outcome")
    agents, entities = event["agent"], event.get("entity", [])
    least = wanted.least_entities + (is_patient and name != "PatientQuery")
    if len(agents) < wanted.least_agents or len(entities) < least:
        found.append("too few")
    for each in wanted.agents:
        found += slice_failures(agents, each)
    for each in (*wanted.entities, *((PATIENT,) if is_patient else ())):
        found += slice_failures(entities, each)
    if is_patient:
        found += [
            "patient is no Patient"
            for each in of(entities, PATIENT)
            if not each["what"].get("reference", "").startswith("Patient/")
        ]
    if wanted.agents[0].name == "oUser":
        for each in of(agents, wanted.agents[0]):
            told = each.get("policy", [])
            if len(told) != 1 or not told[0].startswith(JTI):
                found.append("policy")
    return found


def slice_failures(rows: list[dict[str, Any]], wanted: Slice) -> list[str]:
    members = of(rows, wanted)
    found = [] if wanted.least <= len(members) <= wanted.most else [f"{wanted.name}: {len(members)}"]
    for each in members:
        found += [f"{wanted.name}.{path} missing" for path in wanted.has if not reached(each, path)]
        found += [f"{wanted.name}.{path} told" for path in wanted.lacks if path in each]
        found += [f"{wanted.name}.{key}" for key, value in wanted.values.items() if each.get(key) != value]
        if wanted.roles and coded(each.get("role", {})) not in wanted.roles:
            found.append(f"{wanted.name}.role")
    return found


def of(rows: list[dict[str, Any]], wanted: Slice) -> list[dict[str, Any]]:
    """The members of a slice: an agent's type is a CodeableConcept, an entity's a Coding."""
    return [
        row
        for row in rows
        if {coded(each) for each in row.get("type", {}).get("coding", [row.get("type", {})])} & wanted.types
    ]


def reached(row: dict[str, Any], path: str) -> bool:
    found: Any = row
    for part in path.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found not in (None, "", [], {})


def coded(coding: Any) -> Code:
    return (coding.get("system", ""), coding.get("code", "")) if isinstance(coding, dict) else ("", "")
