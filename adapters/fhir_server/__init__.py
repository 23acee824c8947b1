"""Resources of a FHIR R4 server of the facility, told again under this site's names.

Spec:    docs/adapters.md, "FHIR servers"; docs/decisions/0033-images-and-fhir-servers.md.
Leaves:  asking the server to the source; references to `server`; the national form to `patients`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from adapters.fhir_server.patients import in_national_form
from adapters.fhir_server.server import Server, retold
from adapters.source_record import Entry, Mapped, Outcome, Refusal, Refused, Resource, SourceRecord
from adapters.source_record.bundle import finish
from exchange.fhir.compartment import patient_references
from exchange.fhir.resource import parse
from exchange.fhir.validate import check
from exchange.problems import Issue, Problem

__all__ = ["Server", "map_resource", "missing_patient", "patient_of", "withdrawn"]
MAX_RESOURCE_BYTES: Final = 2_000_000
_MAX_DEPTH: Final = 40
_RETOLD_NARRATIVES: Final = frozenset({"generated", "extensions", "empty"})
_KEPT_META: Final = ("profile", "security", "tag")


def map_resource(server: Server, raw: bytes, received_at: str) -> Outcome:
    """One resource of the server.

    1. It is FHIR, of a bounded size and depth, and its id says what it is called.
    2. It is about one patient of this server.
    3. Its references, its address at the source and its Patient's form are this exchange's; nothing of it is left out
       but the server's own version, time and source, and a narrative that repeats its data.
    4. What leaves is valid R4.
    """
    record = _record(server, raw, received_at)
    # 1.
    try:
        resource = parse(raw, max_bytes=MAX_RESOURCE_BYTES, max_depth=_MAX_DEPTH)
    except Problem as problem:
        return _refused(record, "A-621", _INVALID, problem.issues[0].expression or "")
    kind, logical_id = resource["resourceType"], resource.get("id")
    if isinstance(logical_id, str):
        record = replace(
            record, natural_key=f"{kind}/{logical_id[:64]}", location=kind, source_time=_changed(resource)
        )
    if issues := check(resource):
        return _refused(record, "A-621", _INVALID, _elements(issues))
    if not isinstance(logical_id, str) or "implicitRules" in resource or kind not in server.types:
        element = "id" if not isinstance(logical_id, str) else "implicitRules"
        return _refused(record, "A-621", _INVALID, f"{kind}.{element}")
    # 2.
    patient = patient_of(server, resource)
    if patient is None:
        text = "El recurso no dice de qué paciente de este servidor es: no se envía."
        return _refused(record, "A-623", text, kind, "identity")
    record = replace(record, patient_key=patient, thing_key=f"{kind}/{logical_id}", states_all=True)
    # 3.
    told = _told(server, resource, kind, logical_id)
    # 4.
    if issues := check(told):
        return _refused(record, "A-621", _INVALID, _elements(issues))
    return finish(server.origin, record, [Entry(told)])


def patient_of(server: Server, resource: Resource) -> str | None:
    """The key of the patient whom a resource is about: `Patient/` and the id at the source."""
    if resource["resourceType"] == "Patient":
        return f"Patient/{resource['id']}"
    for text in patient_references(resource):
        local = server.local(text)
        if local is not None and local[0] == "Patient":
            return "/".join(local)
    return None


def missing_patient(mapped: Mapped) -> Refused:
    """A resource whose patient the server does not give."""
    text = "El servidor no da al paciente de este recurso: no se envía hasta que lo dé. Revíselo allí y reintente."
    return _refused(replace(mapped.record, thing_key=""), "A-624", text, mapped.record.location, "identity")


def withdrawn(server: Server, name: str, patient_key: str, deleted_at: str, received_at: str) -> Mapped:
    """A resource that its source deleted: what was told of it is no longer said."""
    record = replace(
        _record(server, f"deleted|{name}|{deleted_at}".encode(), received_at),
        natural_key=name,
        patient_key=patient_key,
        thing_key=name,
        location=name.partition("/")[0],
        states_all=True,
    )
    mapped = finish(server.origin, record, [])
    # What it is about, where nothing of it stands any more; what is withdrawn is added by the outbox.
    mapped.entries[0].resource["target"] = [
        {"reference": f"Patient/{server.named(*patient_key.split('/', 1))}"}
    ]
    return mapped


_INVALID: Final = (
    "El recurso no es FHIR R4 válido: corríjalo en el servidor de origen; se lee otra vez cuando cambie."
)


def _told(server: Server, resource: Resource, kind: str, logical_id: str) -> Resource:
    told: Resource = {"resourceType": kind, "id": server.named(kind, logical_id)}
    found: Resource = retold(server, {key: value for key, value in resource.items() if key not in told})
    if kept := {key: found["meta"][key] for key in _KEPT_META if key in found.get("meta", {})}:
        told["meta"] = kept
    found.pop("meta", None)
    for each in (found, *found.get("contained", [])):
        if each.get("text", {}).get("status") in _RETOLD_NARRATIVES:
            each.pop("text")
    told |= found
    if kind == "Patient":
        in_national_form(server, told)
    told["identifier"] = [*told.get("identifier", []), server.address(kind, logical_id)]
    return told


def _elements(issues: Sequence[Issue]) -> str:
    return ", ".join(issue.expression or "" for issue in issues[:5])


def _changed(resource: Resource) -> str | None:
    """The server's own instant of this version."""
    meta = resource.get("meta")
    text: Any = meta.get("lastUpdated") if isinstance(meta, dict) else None
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return text if moment.tzinfo is not None else None


def _record(server: Server, raw: bytes, received_at: str) -> SourceRecord:
    return SourceRecord(
        facility=server.origin.renipress,
        system=server.origin.system,
        natural_key=f"sin leer|{hashlib.sha256(raw).hexdigest()[:32]}",
        patient_key="",
        original=raw[:MAX_RESOURCE_BYTES],
        received_at=received_at,
    )


def _refused(
    record: SourceRecord, code: str, text: str, element: str, reason_class: str = "validation"
) -> Refused:
    """A refusal; a Patient that cannot be told lets what is about them wait."""
    parks = record.natural_key.startswith("Patient/")
    record = replace(record, patient_key=record.natural_key) if parks else record
    return Refused(record, Refusal(reason_class, code, text, location=element, parks=parks))
