"""AuditEvents after IHE BALP 1.1.

Spec:    https://profiles.ihe.net/ITI/BALP/1.1.3/content.html; https://hl7.org/fhir/R4/auditevent.html
Leaves:  sealing and storing to log.
"""

from __future__ import annotations

import base64
import getpass
import os
import re
from datetime import UTC, datetime
from typing import Any, Final

from exchange.audit.leaf import BLINDING_BYTES, digest
from exchange.problems import Denied, Problem
from exchange.request import Linkage, Request, Touched
from exchange.requester import Requester, User
from exchange.settings import settings

_EVENT_TYPE: Final = "http://terminology.hl7.org/CodeSystem/audit-event-type"
_RESTFUL: Final = "http://hl7.org/fhir/restful-interaction"
_DICOM: Final = "http://dicom.nema.org/resources/ontology/DCM"
_OBJECT_TYPE: Final = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_RESOURCE_TYPES: Final = "http://hl7.org/fhir/resource-types"
_OBJECT_ROLE: Final = "http://terminology.hl7.org/CodeSystem/object-role"
_BALP_ENTITY: Final = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType"
_ACT_REASON: Final = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
_PARTICIPATION: Final = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
_USER_AGENT: Final = "https://profiles.ihe.net/ITI/BALP/CodeSystem/UserAgentTypes"
_FUNCTIONAL_ROLE: Final = "urn:chasqui:functional-role"
_PROVENANCE: Final = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
_ABSENT: Final = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
_TOKEN_ID: Final = "urn:ietf:params:oauth:jti:"  # noqa: S105 - a name space, no secret
_PROFILE: Final = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."

_ACTIONS: Final = {
    "create": "C", "update": "U", "patch": "U", "delete": "D", "transaction": "U", "batch": "U",
    "search-type": "E", "search-system": "E", "operation": "E",
}  # fmt: skip
_PROFILES: Final = {
    "create": "Create", "update": "Update", "patch": "Update", "delete": "Delete", "read": "Read", "vread": "Read",
    "search-type": "Query", "search-system": "Query",
}  # fmt: skip
_SOURCE_ROLE: Final = {"system": _DICOM, "code": "110153", "display": "Source Role ID"}
_DESTINATION_ROLE: Final = {"system": _DICOM, "code": "110152", "display": "Destination Role ID"}
_APPLICATION: Final = {"system": _DICOM, "code": "110150", "display": "Application"}
_CUSTODIAN: Final = {"system": _PROVENANCE, "code": "custodian", "display": "Custodian"}
_SIDES: Final = {
    "read": (_DESTINATION_ROLE, _SOURCE_ROLE), "vread": (_DESTINATION_ROLE, _SOURCE_ROLE),
    "delete": (_APPLICATION, _CUSTODIAN),
}  # fmt: skip
"""What client and server are to each other. In a read the data flows to the client; a query flows to the server."""
_RECIPIENT: Final = {"system": _PARTICIPATION, "code": "IRCP", "display": "information recipient"}
_AUTHOR: Final = {"system": _PARTICIPATION, "code": "AUT", "display": "author (originator)"}
_AUTHORED: Final = frozenset({"create", "update", "patch", "delete"})
_SEARCHES: Final = frozenset({"search-type", "search-system"})
_AMENDMENTS: Final = frozenset({"update", "patch", "delete"})
_OVERRIDES: Final = {
    "open-emergency": {"system": _DICOM, "code": "110127", "display": "Emergency Override Started"},
    "close-emergency": {"system": _DICOM, "code": "110138", "display": "Emergency Override Stopped"},
}
_EXPORTED: Final = frozenset({"report-output"})
_READING: Final = frozenset({"report-output"})
_NAME: Final = re.compile(r"[a-z][a-z-]{0,63}")
_SYSTEM_OBJECT: Final = {"system": _OBJECT_TYPE, "code": "2", "display": "System Object"}
_HUB: Final = "Chasqui regional hub"
_SOURCE: Final = {
    "site": "chasqui",
    "observer": {"display": _HUB},
    "type": [{"system": "http://terminology.hl7.org/CodeSystem/security-source-type", "code": "4"}],
}
EVENT_KINDS: Final = "urn:chasqui:audit-event"
BLINDING: Final = "urn:chasqui:blinding"
ENTITY_KINDS: Final = "urn:chasqui:audit-entity"
MANIFEST_DIGEST: Final = "urn:chasqui:manifest-sha256"
SUCCESS: Final = "0"
MINOR_FAILURE: Final = "4"
SERIOUS_FAILURE: Final = "8"


def instant(microseconds: int) -> str:
    """A FHIR instant in UTC with milliseconds."""
    whole, part = divmod(microseconds, 1_000_000)
    return f"{datetime.fromtimestamp(whole, UTC).isoformat()[:19]}.{part // 1000:03d}Z"


def fixed_part(
    request: Request,
    requester: Requester | None,
    reason: str,
    problem: Problem | None,
    *,
    is_about_patient: bool,
    is_named: bool = False,
) -> dict[str, Any]:
    """What the events of like acts have in common: kind, outcome, agents, source.

    `reason` says which rules decided; a refusal's own reason joins it. `is_named` says that the event names the one
    resource of the act.
    """
    profiles = _profiles(request, requester, problem, is_about_patient=is_about_patient, is_named=is_named)
    event: dict[str, Any] = {"resourceType": "AuditEvent"}
    if profiles:
        event["meta"] = {"profile": profiles}
    event |= {
        "type": _kind(request, problem),
        "subtype": [
            {"system": _RESTFUL, "code": request.interaction, "display": request.interaction},
            *_operation(request),
        ],
        "action": _ACTIONS.get(request.interaction, "R") if request.operation not in _READING else "R",
        "outcome": _outcome(problem),
        "outcomeDesc": _described(reason, problem),
        "agent": _agents(request, requester),
        "source": _SOURCE,
    }
    if requester is not None:
        event["purposeOfEvent"] = [_coding(_ACT_REASON, requester.purpose_of_use)]
    return event


def linkage_part(change: Linkage) -> dict[str, Any]:
    """What an event says of records that were linked, unlinked or noted for a person's judgement, by the hub itself."""
    return {
        "resourceType": "AuditEvent",
        "type": {"system": _DICOM, "code": "110110", "display": "Patient Record"},
        "subtype": [{"system": EVENT_KINDS, "code": change.kind}],
        "action": "U",
        "outcome": SUCCESS,
        "outcomeDesc": change.reason,
        "agent": [
            {
                "type": {"coding": [{"system": _DICOM, "code": "110150", "display": "Application"}]},
                "who": {"display": _HUB},
                "requestor": True,
            }
        ],
        "source": _SOURCE,
    }


def varying_part(
    event_id: str, recorded_at: int, request: Request, touched: Touched | None, patient_id: str
) -> dict[str, Any]:
    """What each event says for itself: when, about whom, which request. No value of a chart enters an event."""
    event: dict[str, Any] = {
        "resourceType": "AuditEvent",
        "id": event_id,
        "recorded": instant(recorded_at),
    }
    entities = _entities(request, touched, patient_id)
    return event | {"entity": entities} if entities else event


def blinded(event: dict[str, Any], manifest: bytes) -> dict[str, Any]:
    """The event with what its digest needs: chance, so that nobody finds it by trying; and its manifest's digest."""
    extensions = [{"url": BLINDING, "valueString": os.urandom(BLINDING_BYTES).hex()}]
    if manifest:
        extensions.append({"url": MANIFEST_DIGEST, "valueString": digest(manifest).hex()})
    return event | {"extension": extensions}


def _profiles(
    request: Request,
    requester: Requester | None,
    problem: Problem | None,
    *,
    is_about_patient: bool,
    is_named: bool,
) -> list[str]:
    """The profiles of BALP that the event holds to, and none that it does not.

    Spec: https://profiles.ihe.net/ITI/BALP/1.1.3/content.html; docs/audit.md, "The form of an event".
    """
    if requester is None:
        return []
    found = []
    pattern = _PROFILES.get(request.interaction)
    is_whole = bool(request.described) if pattern == "Query" else is_named
    if pattern is not None and problem is None and is_whole:
        found.append(_PROFILE + ("Patient" if is_about_patient else "") + pattern)
    if requester.user is not None:
        found.append(f"{_PROFILE}OAUTHaccessTokenUse.Minimal")
    return found


def _kind(request: Request, problem: Problem | None) -> dict[str, Any]:
    if request.interaction == "operation" and request.operation in _EXPORTED and problem is None:
        return {"system": _DICOM, "code": "110106", "display": "Export"}
    return {"system": _EVENT_TYPE, "code": "rest", "display": "Restful Operation"}


def _operation(request: Request) -> list[dict[str, Any]]:
    """Which operation it was: refused ones are found by it, too. An emergency began or ended as DICOM names it."""
    if request.interaction != "operation" or not _NAME.fullmatch(request.operation):
        return []
    override = _OVERRIDES.get(request.operation)
    named = {"system": EVENT_KINDS, "code": request.operation}
    return [override, named] if override else [named]


def _outcome(problem: Problem | None) -> str:
    if problem is None:
        return SUCCESS
    return SERIOUS_FAILURE if problem.code in ("exception", "transient", "security") else MINOR_FAILURE


def _described(reason: str, problem: Problem | None) -> str:
    if problem is None:
        return reason or "allowed"
    refused = problem.reason if isinstance(problem, Denied) else problem.code
    return f"{refused}; {reason}" if reason else refused


def is_operated(request: Request) -> bool:
    """Whether an act is an operator's, at the command line."""
    return request.interaction == "operation" and request.operation == "operate"


def _operator() -> dict[str, Any]:
    """Who ran a command: the account on the hub's machine, which its owner has to keep personal."""
    try:
        account = getpass.getuser()
    except (OSError, KeyError):
        account = str(os.getuid())
    return {
        "type": {"coding": [{"system": _DICOM, "code": "110151", "display": "Application Launcher"}]},
        "who": {
            "identifier": {"system": "urn:chasqui:operator", "value": account},
            "display": os.environ.get("SUDO_USER", account)[:64],
        },
        "requestor": True,
    }


def _agents(request: Request, requester: Requester | None) -> list[dict[str, Any]]:
    client_side, server_side = _SIDES.get(request.interaction, (_SOURCE_ROLE, _DESTINATION_ROLE))
    server = {
        "type": {"coding": [server_side]},
        "who": {"display": _HUB},
        "requestor": False,
        "network": {"address": settings().fhir_url, "type": "5"},
    }
    if requester is None:
        return [_operator() if is_operated(request) else _nobody_known(request), server]
    client = {
        "type": {"coding": [client_side]},
        "who": {
            "reference": f"Organization/{requester.organization_id}",
            "identifier": {"system": "urn:chasqui:client", "value": requester.client_id},
            "display": requester.client_name,
        },
        "requestor": requester.user is None,
        "policy": [_TOKEN_ID + requester.token_id],
        "network": _network(request),
        "purposeOfUse": [_coding(_ACT_REASON, requester.purpose_of_use)],
    }
    people = [] if requester.user is None else [_user_agent(request, requester, requester.user)]
    return [client, server, *people]


def _nobody_known(request: Request) -> dict[str, Any]:
    return {
        "type": {"coding": [_SOURCE_ROLE]},
        "who": {"display": "unknown"},
        "requestor": True,
        "network": _network(request),
    }


def _network(request: Request) -> dict[str, Any]:
    """Where the connection came from; what did not come over one says that it is not known."""
    if request.address:
        return {"address": request.address, "type": "2"}
    return {"extension": [{"url": _ABSENT, "valueCode": "unknown"}]}


def _user_agent(request: Request, requester: Requester, user: User) -> dict[str, Any]:
    """The person for whom the client asks: who initiated the act."""
    who: dict[str, Any] = {
        "identifier": {"system": f"urn:chasqui:user:{requester.organization_id}", "value": user.id},
        "display": user.name or user.id,
    }
    agent: dict[str, Any] = {
        "type": {
            "coding": [
                {"system": _USER_AGENT, "code": "UserOauthAgent", "display": "User OAuth Agent participant"},
                _AUTHOR if request.interaction in _AUTHORED else _RECIPIENT,
            ]
        },
        "role": [_coding("urn:chasqui:role", requester.role)],
        "who": {"reference": user.reference} | who if user.reference else who,
        "altId": user.id,
        "requestor": True,
        "policy": [_TOKEN_ID + requester.token_id],
        "purposeOfUse": [_coding(_ACT_REASON, requester.purpose_of_use)],
    }
    if user.name:
        agent["name"] = user.name
    if user.role:
        agent["role"].append(_coding(_FUNCTIONAL_ROLE, user.role))
    return agent


def _entities(request: Request, touched: Touched | None, patient_id: str) -> list[dict[str, Any]]:
    entities: list[dict[str, Any]] = []
    if patient_id:
        entities.append(
            {
                "what": {"reference": f"Patient/{patient_id}"},
                "type": {"system": _OBJECT_TYPE, "code": "1", "display": "Person"},
                "role": {"system": _OBJECT_ROLE, "code": "1", "display": "Patient"},
            }
        )
    if touched is not None and len(touched.references) == 1:
        # One resource is named. What a search showed stands in its manifest: here are the query, and the record.
        entities.append(_named(request, touched.references[0]))
    if request.request_id:
        entities.append(
            {
                "what": {"identifier": {"value": request.request_id}},
                "type": {"system": _BALP_ENTITY, "code": "XrequestId"},
            }
        )
    if request.described:
        # BALP tells slices apart by the type alone: in a query the system object is the query, else the resource.
        is_search = request.interaction in _SEARCHES
        entities.append(
            {
                "type": _SYSTEM_OBJECT if is_search else {"system": ENTITY_KINDS, "code": "request"},
                "role": {"system": _OBJECT_ROLE, "code": "24", "display": "Query"},
                "query": base64.b64encode(request.described.encode()).decode(),
            }
        )
    return entities


def _named(request: Request, versioned: str) -> dict[str, Any]:
    """The one resource of an act, with its version; an amendment names the version before, too."""
    reference, _, version = versioned.partition("/_history/")
    entity: dict[str, Any] = {
        "what": {"reference": reference},
        "type": {"system": _RESOURCE_TYPES, "code": reference.partition("/")[0]}
        if request.interaction in _SEARCHES
        else _SYSTEM_OBJECT,
        "role": {"system": _OBJECT_ROLE, "code": "4", "display": "Domain Resource"},
    }
    if version:
        entity["detail"] = [{"type": "version", "valueString": version}]
        if request.interaction in _AMENDMENTS and version != "1":
            entity["detail"].append({"type": "superseded", "valueString": str(int(version) - 1)})
    return entity


def _coding(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}
