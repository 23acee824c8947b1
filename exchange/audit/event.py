"""AuditEvents after IHE BALP 1.1.

Spec:    https://profiles.ihe.net/ITI/BALP/1.1.3/content.html; https://hl7.org/fhir/R4/auditevent.html
Leaves:  sealing and storing to log.
"""

from __future__ import annotations

import base64
import getpass
import os
from datetime import UTC, datetime
from typing import Any, Final

from exchange.audit.leaf import BLINDING_BYTES, digest
from exchange.problems import Denied, Problem
from exchange.request import Linkage, Request, Touched
from exchange.requester import Requester, User

_EVENT_TYPE: Final = "http://terminology.hl7.org/CodeSystem/audit-event-type"
_RESTFUL: Final = "http://hl7.org/fhir/restful-interaction"
_DICOM: Final = "http://dicom.nema.org/resources/ontology/DCM"
_OBJECT_TYPE: Final = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_OBJECT_ROLE: Final = "http://terminology.hl7.org/CodeSystem/object-role"
_BALP_ENTITY: Final = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType"
_ACT_REASON: Final = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
_PARTICIPATION: Final = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
_USER_AGENT: Final = "https://profiles.ihe.net/ITI/BALP/CodeSystem/UserAgentTypes"
_FUNCTIONAL_ROLE: Final = "urn:chasqui:functional-role"
_PROFILE: Final = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."

_ACTIONS: Final = {
    "create": "C", "update": "U", "patch": "U", "delete": "D", "transaction": "U", "batch": "U",
    "search-type": "E", "search-system": "E", "operation": "E",
}  # fmt: skip
_PROFILES: Final = {
    "create": "Create", "update": "Update", "patch": "Update", "delete": "Delete", "read": "Read", "vread": "Read",
    "history-instance": "Read", "search-type": "Query", "search-system": "Query",
}  # fmt: skip
_AMENDMENTS: Final = frozenset({"update", "patch", "delete"})
_OVERRIDES: Final = {
    "open-emergency": {"system": _DICOM, "code": "110127", "display": "Emergency Override Started"},
    "close-emergency": {"system": _DICOM, "code": "110138", "display": "Emergency Override Stopped"},
}
_HUB: Final = "Chasqui regional hub"
_SOURCE: Final = {
    "site": "chasqui",
    "observer": {"display": _HUB},
    "type": [{"system": "http://terminology.hl7.org/CodeSystem/security-source-type", "code": "4"}],
}
_SERVER: Final = {
    "type": {"coding": [{"system": _DICOM, "code": "110152", "display": "Destination Role ID"}]},
    "who": {"display": _HUB},
    "requestor": False,
}
EVENT_KINDS: Final = "urn:chasqui:audit-event"
BLINDING: Final = "urn:chasqui:blinding"
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
) -> dict[str, Any]:
    """What the events of like acts have in common: kind, outcome, agents, source.

    `reason` says which rules decided; a refusal's own reason joins it.
    """
    profile = _PROFILES.get(request.interaction)
    event: dict[str, Any] = {"resourceType": "AuditEvent"}
    if profile is not None and problem is None:
        event["meta"] = {"profile": [_PROFILE + ("Patient" if is_about_patient else "") + profile]}
    event |= {
        "type": {"system": _EVENT_TYPE, "code": "rest", "display": "Restful Operation"},
        "subtype": [{"system": _RESTFUL, "code": request.interaction}, *_overridden(request)],
        "action": _ACTIONS.get(request.interaction, "R"),
        "outcome": _outcome(problem),
        "outcomeDesc": _described(reason, problem),
        "agent": [_operator(), _SERVER] if requester is None and is_operated(request) else _agents(requester),
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


def _overridden(request: Request) -> list[dict[str, Any]]:
    """That an emergency began or ended, as DICOM names it: whoever looks for these finds them, refused ones too."""
    override = _OVERRIDES.get(request.operation) if request.interaction == "operation" else None
    return [override] if override else []


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


def _agents(requester: Requester | None) -> list[dict[str, Any]]:
    if requester is None:
        unknown = {
            "type": {"coding": [{"system": _DICOM, "code": "110153", "display": "Source Role ID"}]},
            "who": {"display": "unknown"},
            "requestor": True,
        }
        return [unknown, _SERVER]
    client = {
        "type": {"coding": [{"system": _DICOM, "code": "110153", "display": "Source Role ID"}]},
        "who": {
            "reference": f"Organization/{requester.organization_id}",
            "identifier": {"system": "urn:chasqui:client", "value": requester.client_id},
            "display": requester.client_name,
        },
        "requestor": requester.user is None,
        "policy": [f"urn:chasqui:token:{requester.token_id}"],
        "purposeOfUse": [_coding(_ACT_REASON, requester.purpose_of_use)],
    }
    people = [] if requester.user is None else [_user_agent(requester, requester.user)]
    return [client, _SERVER, *people]


def _user_agent(requester: Requester, user: User) -> dict[str, Any]:
    """The person for whom the client asks: who initiated the act."""
    who: dict[str, Any] = {
        "identifier": {"system": f"urn:chasqui:user:{requester.organization_id}", "value": user.id},
        "display": user.name or user.id,
    }
    agent: dict[str, Any] = {
        "type": {
            "coding": [
                {"system": _USER_AGENT, "code": "UserOauthAgent", "display": "User OAuth Agent participant"},
                {"system": _PARTICIPATION, "code": "IRCP", "display": "information recipient"},
            ]
        },
        "role": [_coding("urn:chasqui:role", requester.role)],
        "who": {"reference": user.reference} | who if user.reference else who,
        "altId": user.id,
        "requestor": True,
        "policy": [f"urn:chasqui:token:{requester.token_id}"],
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
        entities.append(
            {
                "type": {"system": _OBJECT_TYPE, "code": "2", "display": "System Object"},
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
        "type": {"system": _OBJECT_TYPE, "code": "2", "display": "System Object"},
        "role": {"system": _OBJECT_ROLE, "code": "4", "display": "Domain Resource"},
    }
    if version:
        entity["detail"] = [{"type": "version", "valueString": version}]
        if request.interaction in _AMENDMENTS and version != "1":
            entity["detail"].append({"type": "superseded", "valueString": str(int(version) - 1)})
    return entity


def _coding(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}
