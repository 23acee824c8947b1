"""Studies of an image archive as FHIR: one ImagingStudy each, its patient, and where its images are.

Spec:    docs/adapters.md, "DICOMweb"; docs/decisions/0033-images-and-fhir-servers.md.
Leaves:  asking the archive to the source; attributes to `model`; meaning to the modules beside this one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import msgspec

from adapters.dicomweb.archive import Archive
from adapters.dicomweb.model import Attributes, parse
from adapters.dicomweb.patients import PATIENT_TAGS, plain_date, read_person
from adapters.dicomweb.study import SERIES_TAGS, STUDY_TAGS, Told, identify, tell
from adapters.source_record import Entry, Mapped, Outcome, Refusal, Refused, Resource, SourceRecord
from adapters.source_record.bundle import finish
from adapters.source_record.moment import as_instant, compact_moment, is_missing_date

__all__ = [
    "SERIES_TAGS", "Archive", "Attributes", "Known", "Owner", "endpoint_record", "known_of", "map_cancelled",
    "map_kept", "map_study", "parse", "tags_asked", "unreadable",
]  # fmt: skip
_MAX_ORIGINAL_BYTES: Final = 2_000_000
_encoder: Final = msgspec.json.Encoder(order="deterministic")


class Owner(Protocol):
    """Of whom each thing was last told."""

    def __call__(self, thing_key: str) -> str | None:
        """The key of the patient, or nothing where the thing is new."""
        ...

    def tell(self, thing_key: str, patient_key: str) -> None:
        """Remember what is being told now."""
        ...


@dataclass(frozen=True, slots=True)
class Known:
    """A study that was told: enough of it to say that it is no longer there."""

    uid: str
    patient_key: str
    accession: str
    started: str


def tags_asked() -> tuple[str, ...]:
    """What is asked of each study beyond what every archive answers."""
    return (*STUDY_TAGS, *PATIENT_TAGS)


def map_study(
    archive: Archive, study: dict[str, Any], series: Sequence[dict[str, Any]], received_at: str, owner: Owner
) -> Iterator[Outcome]:
    """A study's patient, and the study: taken from its former patient first where it moved."""
    found = Attributes(study)
    uid = found.uid("0020000D")
    record = _record(
        archive, f"estudio|{uid}" if uid else "", {"study": study, "series": list(series)}, received_at
    )
    if not uid:
        text = "El PACS dio un estudio sin StudyInstanceUID válido: no se puede nombrar. Revíselo en el PACS."
        yield Refused(record, Refusal("mapping", "A-611", text, location="0020000D"))
        return
    try:
        person = read_person(archive, found)
    except Refusal as refusal:
        yield Refused(record, refusal)
        return
    taken = {tag: study[tag] for tag in PATIENT_TAGS if tag in study}
    at = _started(archive, found)
    own = replace(
        _record(archive, person.key, {"patient": taken}, received_at),
        patient_key=person.key,
        source_time=as_instant(at, archive.zone),
    )
    yield _mapped(own, lambda: finish(archive.origin, own, [Entry(person.resource)]))
    former = owner(f"estudio|{uid}")
    if former is not None and former != person.key:
        known = Known(uid, former, found.text("00080050"), at or "")
        yield map_cancelled(archive, known, received_at, "entered-in-error")
    owner.tell(f"estudio|{uid}", person.key)
    whole = replace(
        record,
        natural_key=f"estudio|{uid}|{person.key}",
        patient_key=person.key,
        thing_key=f"estudio|{uid}",
    )
    yield _mapped(whole, lambda: _map_study(archive, whole, found, series))


def unreadable(archive: Archive, study: dict[str, Any], received_at: str) -> Refused:
    """A study whose series the archive cannot give: searched for again with its day, and others go on."""
    uid = Attributes(study).uid("0020000D")
    record = _record(archive, f"estudio|{uid}", {"study": study, "series": []}, received_at)
    text = "El PACS no pudo dar las series de este estudio. Revíselo en el PACS; se vuelve a buscar con su fecha."
    return Refused(record, Refusal("mapping", "A-615", text, location=record.location))


def map_kept(archive: Archive, record: SourceRecord) -> Outcome:
    """A study that was kept, mapped again with today's tables and rules."""

    class Nobody:
        def __call__(self, thing_key: str) -> str | None:  # noqa: ARG002
            return None

        def tell(self, thing_key: str, patient_key: str) -> None:
            """Nothing is kept."""

    try:
        kept = msgspec.json.decode(record.original)
        found = list(map_study(archive, kept["study"], kept["series"], record.received_at, Nobody()))
    except (msgspec.DecodeError, RecursionError, KeyError, TypeError, ValueError):
        text = "El registro ya no se puede interpretar por sí solo: se volverá a leer del servidor."
        return Refused(record, Refusal("mapping", "A-259", text))
    return found[-1]


def map_cancelled(archive: Archive, known: Known, received_at: str, status: str = "cancelled") -> Mapped:
    """A study that is no longer where it was: in the archive, or with this patient."""
    told = {"uid": known.uid, "accession": known.accession, "started": known.started, "status": status}
    record = replace(
        _record(archive, f"estudio|{known.uid}|{known.patient_key}", told, received_at),
        patient_key=known.patient_key,
    )
    resource: Resource = {
        "resourceType": "ImagingStudy",
        "id": archive.origin.resource_id("ImagingStudy", record.natural_key),
    }
    identify(archive, resource, known.uid, known.accession)
    resource["status"] = status
    resource["subject"] = archive.origin.reference("Patient", known.patient_key)
    if known.started:
        resource["started"] = known.started
    return finish(archive.origin, record, [Entry(resource)])


def endpoint_record(archive: Archive, received_at: str) -> Mapped | None:
    """Where the images are, told again where the address changed."""
    endpoint = archive.endpoint()
    if endpoint is None:
        return None
    record = _record(archive, "endpoint", {"address": endpoint["address"]}, received_at)
    return finish(archive.origin, record, [Entry(endpoint)])


def known_of(outcome: Outcome) -> Known | None:
    """What has to be known of a study that was told, to see later that it is gone."""
    name = outcome.record.natural_key
    if not isinstance(outcome, Mapped) or not name.startswith("estudio|"):
        return None
    resource = next(
        each.resource for each in outcome.entries if each.resource["resourceType"] == "ImagingStudy"
    )
    if resource["status"] != "available":
        return None
    accession = resource["identifier"][1]["value"] if len(resource["identifier"]) > 1 else ""
    uid = resource["identifier"][0]["value"].removeprefix("urn:oid:")
    return Known(uid, outcome.record.patient_key, accession, resource.get("started", ""))


def _map_study(
    archive: Archive, record: SourceRecord, study: Attributes, series: Sequence[dict[str, Any]]
) -> Mapped:
    person = read_person(archive, study)
    resource = {
        "resourceType": "ImagingStudy",
        "id": archive.origin.resource_id("ImagingStudy", record.natural_key),
    }
    told = Told(archive, resource)
    tell(told, archive.origin.reference("Patient", person.key), study, [Attributes(each) for each in series])
    entries = [Entry(person.resource, only_if_absent=True), Entry(told.resource)]
    if endpoint := archive.endpoint():
        entries.append(Entry(endpoint, only_if_absent=True))
    return finish(archive.origin, record, entries, told.unmapped)


def _record(archive: Archive, name: str, content: dict[str, Any], received_at: str) -> SourceRecord:
    original = _encoder.encode(content)
    return SourceRecord(
        facility=archive.origin.renipress,
        system=archive.origin.system,
        natural_key=name or f"sin leer|{hashlib.sha256(original).hexdigest()[:32]}",
        patient_key="",
        original=original[:_MAX_ORIGINAL_BYTES],
        received_at=received_at,
        location=name if name.startswith("estudio|") else name.partition("|")[0],
    )


def _mapped(record: SourceRecord, read: Callable[[], Mapped]) -> Outcome:
    if len(record.original) >= _MAX_ORIGINAL_BYTES:
        text = "El estudio tiene demasiadas series para enviarlo junto. Llame al soporte de la región."
        return Refused(record, Refusal("mapping", "A-613", text, location=record.location))
    try:
        return read()
    except Refusal as refusal:
        return Refused(record, refusal)


def _started(archive: Archive, study: Attributes) -> str | None:
    day = plain_date(study.text("00080020"))
    if not day or is_missing_date(day):
        return None
    clock = study.text("00080030").replace(":", "")
    return compact_moment(day + clock, archive.zone) or compact_moment(day, archive.zone)
