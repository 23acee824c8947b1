"""One access, read out of its event: who, where, when, what, why, and what came of it; in rows for people and sheets.

Spec:    https://profiles.ihe.net/ITI/BALP/1.1.3/content.html; RFC 4180 (CSV).
Leaves:  which events to operations/accesses.
"""

from __future__ import annotations

import base64
import binascii
import csv
import io
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from typing import Any, Final

from exchange.audit.event import EVENT_KINDS

GRANTED: Final = "granted"
REFUSED: Final = "refused"
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True, slots=True)
class Access:
    """An access as an auditor reads it. What the event does not say is ""; lists are joined by spaces."""

    recorded: str
    event: str
    act: str
    resource_type: str
    patient: str
    resource: str
    facility: str
    client: str
    user: str
    user_name: str
    role: str
    purpose: str
    outcome: str
    reason: str
    request: str
    request_id: str
    operation: str


def access_of(event: dict[str, Any]) -> Access:
    """The access that an event tells of."""
    asker = _asker(event)
    client = next((each for each in event["agent"] if "reference" in each.get("who", {})), asker)
    entities = event.get("entity", [])
    request = _request(entities)
    role = [code for each in asker.get("role", ()) for code in _codes(each)]
    resource = _reference(entities, "4")
    return Access(
        recorded=event["recorded"],
        event=event["id"],
        act=event["subtype"][0]["code"],
        resource_type=resource.partition("/")[0] or _type_asked(request),
        patient=_reference(entities, "1"),
        resource=resource,
        facility=client.get("who", {}).get("reference", ""),
        client=client.get("who", {}).get("identifier", {}).get("value", ""),
        user=asker.get("altId", ""),
        user_name=asker.get("name", ""),
        role=" ".join(role),
        purpose=" ".join(code for each in event.get("purposeOfEvent", ()) for code in _codes(each)),
        outcome=GRANTED if event["outcome"] == "0" else REFUSED,
        reason=event.get("outcomeDesc", ""),
        request=request,
        request_id=next(
            (each["what"]["identifier"]["value"] for each in entities if _is_request_id(each)), ""
        ),
        operation=next(
            (each["code"] for each in event["subtype"][1:] if each.get("system") == EVENT_KINDS), ""
        ),
    )


def sheet(accesses: Iterable[Access]) -> str:
    """CSV with a line of names. What a spreadsheet would run as a formula is marked as text.

    Spec: RFC 4180; https://owasp.org/www-community/attacks/CSV_Injection
    """
    written = io.StringIO()
    out = csv.writer(written, quoting=csv.QUOTE_ALL)
    out.writerow([each.name for each in fields(Access)])
    for access in accesses:
        out.writerow([_inert(each) for each in astuple(access)])
    return written.getvalue()


def _inert(cell: str) -> str:
    text = cell.replace("\x00", "")
    return f"'{text}" if text.lstrip(" \u00a0\u200b\ufeff").startswith(_FORMULA) else text


def _asker(event: dict[str, Any]) -> dict[str, Any]:
    asker: dict[str, Any] = next(each for each in event["agent"] if each["requestor"])
    return asker


def _reference(entities: list[dict[str, Any]], role: str) -> str:
    for each in entities:
        if each.get("role", {}).get("code") == role and "reference" in each.get("what", {}):
            return str(each["what"]["reference"])
    return ""


def _request(entities: list[dict[str, Any]]) -> str:
    encoded = next((each["query"] for each in entities if "query" in each), "")
    try:
        return base64.b64decode(encoded).decode("utf-8", "replace")
    except binascii.Error:
        return ""


def _type_asked(request: str) -> str:
    """The resource type in a request line: `GET /fhir/Observation?...`."""
    path = request.partition(" ")[2].partition("?")[0]
    place = path.partition("/fhir/")[2].split("/")[0]
    return place if place[:1].isupper() else ""


def _is_request_id(entity: dict[str, Any]) -> bool:
    return bool(entity.get("type", {}).get("code") == "XrequestId")


def _codes(concept: dict[str, Any]) -> list[str]:
    return [each["code"] for each in concept.get("coding", ()) if "code" in each]
