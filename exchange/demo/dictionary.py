"""Trains the compression dictionary that a new hub starts with, from invented records.

    python -m exchange.demo.dictionary

Leaves:  sealing the dictionary to crypto - a site's own one is trained from records, and holds fragments of them.
"""

from __future__ import annotations

from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any, Final

import zstandard

from exchange.audit.event import fixed_part, varying_part
from exchange.demo.bundles import organizations, patient_bundles
from exchange.demo.region import build_region
from exchange.fhir.resource import dump, parse
from exchange.request import Request, Touched
from exchange.requester import Requester

SEED: Final = 20_26
PEOPLE: Final = 400
RESOURCES: Final = 30
SIZE_BYTES: Final = 110 * 1024
FILE: Final = Path(__file__).parent.parent / "crypto" / "dictionary-1.zdict"


def samples() -> list[bytes]:
    """Resources as they are stored, and the audit events of reading them."""
    region = build_region(seed=SEED, people=PEOPLE, reference_date=date(2026, 6, 30))
    found: list[bytes] = [dump(each) for each in organizations(region)]
    requester = Requester(
        "regional-hospital", "Hospital", "ipress-00090032", "system", (), "TREAT", "hr-", "token"
    )
    for bundle in islice(patient_bundles(region, resources_per_patient=RESOURCES), PEOPLE):
        ids = {entry["fullUrl"]: entry["fullUrl"][9:] for entry in bundle["entry"]}
        for entry in bundle["entry"]:
            resource = _stored(entry, ids)
            found.append(dump(resource))
        reference = f"{resource['resourceType']}/{resource['id']}"
        patient = next(iter(ids.values()))
        for interaction in ("read", "search-type", "transaction"):
            asked = Request(interaction, request_id=patient, described=f"GET /fhir/{reference}")
            fixed = fixed_part(asked, requester, "own records", None, is_about_patient=True)
            varying = varying_part(patient, 1_780_000_000_000_000, asked, Touched(1, (reference,)), patient)
            found.append(dump(fixed | varying))
    return found


def _stored(entry: dict[str, Any], ids: dict[str, str]) -> dict[str, Any]:
    resource = entry["resource"]
    meta = {
        "versionId": "1",
        "lastUpdated": "2026-06-30T12:00:00.000000Z",
        "source": "urn:chasqui:organization:ipress-00090011",
    }
    stored = {"resourceType": resource["resourceType"], "id": ids[entry["fullUrl"]],
              "meta": meta | resource.get("meta", {})} | resource  # fmt: skip
    text = dump(stored)
    for url, logical in ids.items():
        text = text.replace(url.encode(), b"Patient/" + logical.encode())
    return parse(text)


if __name__ == "__main__":
    FILE.write_bytes(zstandard.train_dictionary(SIZE_BYTES, [*samples()], level=3).as_bytes())
