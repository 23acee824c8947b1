"""What an adapter sends again after months makes no version, and its notice of an incomplete history is found in the record."""

from __future__ import annotations

import json

from adapters.cycle.notice import HISTORY_INCOMPLETE, RECORD_STATE, incomplete_history
from adapters.source_record import Entry, Mapped, Origin, SourceRecord
from adapters.source_record.bundle import encode, finish
from adapters.source_record.person import PersonIdentifier, PersonName, patient
from exchange.request import Request
from tests.passage.test_what_adapters_send_is_admitted import FACILITY, put
from tests.passage.world import Caller
from tests.sample.requester import EVERY_SCOPE, a_requester

ORIGIN = Origin("00005196", "i00005196", "his", bytes(range(32)))
SINCE = "2026-01-02T03:04:05Z"


def a_person(name: str = "ROSA") -> Mapped:
    record = SourceRecord(
        "00005196", "his", "paciente|p1", "p1", name.encode(), SINCE, source_time="2026-01-01T00:00:00Z"
    )
    who = patient(
        ORIGIN, "p1", [PersonIdentifier("dni", "01234567")], PersonName("PAREDES", given=(name,)), None, None
    )
    return finish(ORIGIN, record, [Entry(who)])


def send(caller: Caller, mapped: Mapped) -> list[str]:
    entries = [put(json.loads(encode(each.resource))) for each in mapped.entries]
    body = encode({"resourceType": "Bundle", "type": "transaction", "entry": entries})
    said = caller.ask(Request("transaction", body=body, described="POST /fhir"))
    assert said.status == 200, said.text
    return [each["response"]["etag"] for each in json.loads(said.text)["entry"]]


def adapter_of(empty) -> Caller:
    requester = a_requester(FACILITY, EVERY_SCOPE, id_prefix="i00005196-", client="adapter")
    return Caller(empty.spine, requester)


def test_equal_content_makes_no_version_and_other_content_does(empty):
    caller = adapter_of(empty)
    first = send(caller, a_person())
    assert send(caller, a_person()) == first
    changed = send(caller, a_person("ROSITA"))
    assert changed[0] != first[0]


def test_a_history_that_lacks_something_says_so_to_who_reads_it(empty):
    caller = adapter_of(empty)
    send(caller, a_person())
    url, active = incomplete_history(ORIGIN, "p1", SINCE, None)
    send(caller, active)
    clinician = Caller(empty.spine, a_requester(FACILITY, EVERY_SCOPE))
    [flag] = found(clinician, url)
    assert (flag["status"], flag["period"]) == ("active", {"start": SINCE})
    assert flag["code"]["coding"][0]["code"] == HISTORY_INCOMPLETE
    assert flag["code"]["coding"][0]["system"] == RECORD_STATE
    send(caller, incomplete_history(ORIGIN, "p1", SINCE, "2026-02-02T00:00:00Z")[1])
    [flag] = found(clinician, url)
    assert (flag["status"], flag["period"]["end"]) == ("inactive", "2026-02-02T00:00:00Z")


def found(caller: Caller, patient_url: str) -> list[dict]:
    said = caller.get(f"Flag?patient={patient_url}")
    assert said.status == 200, said.text
    return [
        each["resource"]
        for each in json.loads(said.text).get("entry", [])
        if each["resource"]["resourceType"] == "Flag"
    ]
