"""Every resource that an adapter's reviewed examples become passes the hub's own admission, and lies where it belongs."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from adapters.source_record.bundle import encode
from exchange.fhir.definitions import type_code
from exchange.request import Request
from tests.passage.world import Caller, entry
from tests.sample.requester import EVERY_SCOPE, a_requester

GOLDEN = Path(__file__).parents[1] / "adapters" / "golden"
FILES = sorted(GOLDEN.rglob("*.fhir.json"))
# The files of one folder are one site's, and lean on one another; a file beside the folders is a site of its own.
SITES = sorted({path.relative_to(GOLDEN).parts[0] for path in FILES})
FACILITY = "ipress-00005196"
PREFIX = "i00005196-"
OF_NOBODY = ("Endpoint", "Location", "Medication", "Organization", "Practitioner", "PractitionerRole")


def told(site: str) -> list[dict]:
    """The records of a site's reviewed files, with ids as a registered site has them."""
    texts = [path.read_text("utf-8") for path in FILES if path.relative_to(GOLDEN).parts[0] == site]
    renamed = (
        text.replace("/00005196-", f"/{PREFIX}").replace('"id": "00005196-', f'"id": "{PREFIX}')
        for text in texts
    )
    return [record for text in renamed for record in json.loads(text, parse_float=Decimal)]


@pytest.mark.parametrize("site", SITES)
def test_what_adapters_send_is_admitted(empty, site):
    caller = Caller(empty.spine, a_requester(FACILITY, EVERY_SCOPE, id_prefix=PREFIX, client="adapter"))
    records = [each["entries"] for each in told(site) if "entries" in each]
    assert records
    sent = {}
    for entries in records:
        body = {"resourceType": "Bundle", "type": "transaction", "entry": [put(each) for each in entries]}
        said = caller.ask(Request("transaction", body=encode(body), described="POST /fhir"))
        assert said.status == 200, said.text
        sent |= {f"{each['resourceType']}/{each['id']}": each for each in entries}
    # Nothing that is about somebody lies outside of a record.
    with empty.sql() as cursor:
        cursor.execute(
            "SELECT count(*) FROM resource WHERE compartment = 0 AND NOT type = ANY(%s)",
            ([type_code(each) for each in OF_NOBODY],),
        )
        assert cursor.fetchone()[0] == 0
    for place in sent:
        assert caller.get(place).status == 200, place


def put(resource: dict) -> dict:
    return entry("PUT", f"{resource['resourceType']}/{resource['id']}", resource)
