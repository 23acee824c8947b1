"""A hospital's image archive: what its studies would say over DICOMweb, of people who also go there.

Spec:    DICOM PS3.18 2024, F.2 (DICOM JSON Model).
Leaves:  answering for it to `sources`; reading it to the dicomweb adapter.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

from exchange.demo.facilities import BY_CODE, Facility
from exchange.demo.people import Person
from exchange.demo.records import SourceRecord
from exchange.demo.region import Region

ARCHIVE_SITE: Final[Facility] = BY_CODE["00090033"]
ARCHIVE: Final = "archive.json"
_KINDS: Final = (
    ("CR", "CHEST", "RX TÓRAX FRONTAL", 1),
    ("US", "ABDOMEN", "ECOGRAFÍA ABDOMINAL", 12),
    ("CT", "HEAD", "TEM CEREBRO SIN CONTRASTE", 120),
)
_ROOT: Final = "1.2.826.0.1.3680043.8.498.77"
_SPREAD_DAYS: Final = 20
_EVERY: Final = 3
_HC_FIRST: Final = 800_000

Json = dict[str, Any]


def write_archive(region: Region, folder: Path, today: date) -> Path:
    """Write the archive; its studies are of the last days, which an archive is asked for first.

    Raises: OSError - the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ARCHIVE
    path.write_text(json.dumps(list(_studies(region, today)), ensure_ascii=False), "utf-8")
    return path


def _studies(region: Region, today: date) -> Iterator[Json]:
    number = 0
    for person, record in region.records_at(region.tertiary):
        if person.slot % _EVERY or "plain" in person.traits or "newborn" in person.traits:
            continue
        number += 1
        yield _study(number, person, record, today - timedelta(days=number % _SPREAD_DAYS + 1))


def _study(number: int, person: Person, record: SourceRecord, day: date) -> Json:
    modality, part, words, images = _KINDS[number % len(_KINDS)]
    uid = f"{_ROOT}.{number}"
    is_by_dni = record.document is not None and record.document.kind == "DNI"
    document = record.document.number if record.document and is_by_dni else ""
    surnames = f"{record.name.paternal} {record.name.maternal}".strip()
    professional = ARCHIVE_SITE.staff[number % len(ARCHIVE_SITE.staff)]
    study = {
        "00080020": _value("DA", f"{day:%Y%m%d}"),
        "00080030": _value("TM", f"{8 + number % 10:02d}1500"),
        "00080050": _value("SH", f"IMG-{number:06d}"),
        "00080061": _value("CS", modality),
        "00080090": _value("PN", {"Alphabetic": f"{professional.paternal}^{professional.given}"}),
        "00081030": _value("LO", words),
        "00100010": _value("PN", {"Alphabetic": f"{surnames}^{record.name.given_text}"}),
        "00100020": _value("LO", document or str(_HC_FIRST + person.slot)),
        "00100030": _value("DA", f"{record.birth_date:%Y%m%d}"),
        "00100040": _value("CS", person.sex),
        "0020000D": _value("UI", uid),
        "00201206": _value("IS", 1),
        "00201208": _value("IS", images),
    }  # fmt: skip
    if is_by_dni:
        study["00100021"] = _value("LO", "RENIEC")
    series = {
        "00080060": _value("CS", modality),
        "0008103E": _value("LO", words),
        "00180015": _value("CS", part),
        "0020000E": _value("UI", f"{uid}.1"),
        "00200011": _value("IS", 1),
        "00201209": _value("IS", images),
    }
    return {"study": study, "series": [series]}


def _value(representation: str, value: object) -> Json:
    return {"vr": representation, "Value": [value]}
