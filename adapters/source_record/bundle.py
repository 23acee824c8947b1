"""What every delivery has in common: where its resources come from, and the Provenance that says so.

Spec:    https://hl7.org/fhir/R4/provenance.html; ADAPTERS.md, rule 11, in docs/adapters.md "Provenance".
Leaves:  the transaction Bundle around the entries to the sender.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

import msgspec

from adapters import MAPPING_VERSION, __version__
from adapters.source_record import Entry, Mapped, Origin, Resource, SourceRecord
from adapters.source_record.profiles import claim

MESSAGE_SYSTEM: Final = "urn:chasqui:message"
MAPPING_SYSTEM: Final = "urn:chasqui:mapping"
_ASSEMBLER: Final = f"chasqui-adapter/{__version__} mapping/{MAPPING_VERSION}"
_PARTICIPANT: Final = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"

_encoder: Final = msgspec.json.Encoder(decimal_format="number")


def encode(value: object) -> bytes:
    """JSON bytes in which a Decimal keeps the digits that its source wrote."""
    return _encoder.encode(value)


def flag_unmapped(resource: Resource) -> None:
    """Mark a resource whose code passed as text only."""
    tags = resource.setdefault("meta", {}).setdefault("tag", [])
    tag = {"system": MAPPING_SYSTEM, "code": "unmapped"}
    if tag not in tags:
        tags.append(tag)


def finish(
    origin: Origin,
    record: SourceRecord,
    entries: Sequence[Entry],
    unmapped: Sequence[tuple[str, str]] = (),
) -> Mapped:
    """Stamp every resource with its source and the national profile that holds; add the Provenance of the whole."""
    for entry in entries:
        meta = entry.resource.setdefault("meta", {})
        meta["source"] = origin.identifier_system(origin.system)
        claim(entry.resource)
    provenance = _provenance(origin, record, [entry.resource for entry in entries])
    return Mapped(record, (*entries, Entry(provenance)), tuple(unmapped))


def with_targets(resource: Resource, left_out: AbstractSet[str], added: Iterable[str]) -> Resource:
    """A Provenance that speaks of what travels with it and of nothing else; any other resource as it is."""
    if resource["resourceType"] != "Provenance":
        return resource
    targets = [item for item in resource["target"] if item["reference"] not in left_out]
    targets = (targets or resource["target"]) + [{"reference": url} for url in added]
    return {**resource, "target": targets}


def _provenance(origin: Origin, record: SourceRecord, resources: Sequence[Resource]) -> Resource:
    """Who says so, in which message, through which adapter; no clock of ours in it."""
    return {
        "resourceType": "Provenance",
        "id": origin.resource_id("Provenance", f"{record.natural_key}|{record.content_hash}"),
        "meta": {"source": origin.identifier_system(origin.system)},
        "target": [{"reference": f"{item['resourceType']}/{item['id']}"} for item in resources],
        "recorded": record.recorded,
        "agent": [
            {"type": _participant("author"), "who": origin.organization()},
            {"type": _participant("assembler"), "who": {"display": _ASSEMBLER}},
        ],
        "entity": [
            {
                "role": "source",
                "what": {"identifier": {"system": MESSAGE_SYSTEM, "value": record.message_id(origin.id_key)}},
            }
        ],
    }


def _participant(code: str) -> Resource:
    return {"coding": [{"system": _PARTICIPANT, "code": code}]}
