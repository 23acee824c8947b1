"""How the region's adapters stand, as Devices: for who oversees it, in pages, by facility, and for nobody else."""

from __future__ import annotations

import json

import pytest

from exchange.fhir.validate import check
from tests.passage.world import Caller, patient_of
from tests.sample.adapter import a_report, encoded, enter_adapter
from tests.sample.emergency import an_officer, the_patient
from tests.sample.requester import HOSPITAL, POST, a_requester, an_administrator

EVENTS = "system/AuditEvent.rs"


@pytest.fixture
def region(empty):
    for client, facility in (("a-hospital", HOSPITAL), ("b-posta", POST), ("c-posta", POST)):
        enter_adapter(empty.spine, client, facility)
    tell(empty, "b-posta")
    return empty


def tell(world, client: str, **more) -> None:
    requester = a_requester(POST, "system/*.cu", client=client)
    assert world.spine.fleet.report(requester, encoded(a_report(**more)))


def devices(said) -> dict[str, dict]:
    assert said.status == 200, said.text
    return {each["identifier"][0]["value"]: each for each in said.matches}


def count(world) -> int:
    with world.sql() as cursor:
        cursor.execute("SELECT count(*) FROM audit_event")
        return cursor.fetchone()[0]


def value(device: dict, code: str):
    [found] = [each for each in device["property"] if each["type"]["coding"][0]["code"] == code]
    return found["valueQuantity"][0]["value"] if "valueQuantity" in found else found["valueCode"]


def reason(device: dict) -> str:
    [coding] = device["statusReason"][0]["coding"]
    assert coding["system"] == "http://terminology.hl7.org/CodeSystem/device-status-reason"
    return coding["code"]


def test_each_adapter_is_a_device_that_holds_to_r4(region):
    said = region.administrator.get("Device/$adapter-states")
    assert said.body["type"] == "searchset"
    assert check(said.body) == []
    found = devices(said)
    assert set(found) == {"a-hospital", "b-posta", "c-posta"}
    for each in found.values():
        assert check(each) == []
    device = found["b-posta"]
    assert device["owner"] == {"reference": f"Organization/{POST}"}
    assert (device["status"], reason(device)) == ("active", "online")
    assert device["version"][0]["value"] == "0.1.0"
    assert device["type"]["coding"][0]["code"] == "his-trama"
    told = {"pending": 12, "parked-patients": 2, "waiting-consent": 1, "waiting-late": 3, "disk-used": 41,
            "delivered-on-time": 30, "delivered-late": 2, "slowest-delivery": 100_000, "unmapped": 9}  # fmt: skip
    for code, number in told.items():
        assert value(device, code) == number
    assert 600 <= value(device, "oldest-pending-age") < 700
    quarantined = [each for each in device["property"] if each["type"]["coding"][0]["code"] == "quarantined"]
    assert [
        (each["valueQuantity"][0]["value"], *(one["coding"][0]["code"] for one in each["valueCode"]))
        for each in quarantined
    ] == [(4, "mapping", "A-255"), (1, "validation", "A-311")]
    assert reason(found["c-posta"]) == "not-ready"


def test_silence_rest_trouble_and_suspension_show(region):
    tell(region, "c-posta", trouble="A-313")
    with region.sql() as cursor:
        cursor.execute(
            "UPDATE adapter_state SET contact_at = contact_at - 960 * 1000000::bigint WHERE client_id = 'b-posta'"
        )
        cursor.execute("UPDATE client SET is_active = false WHERE client_id = 'a-hospital'")
    found = devices(region.administrator.get("Device/$adapter-states"))
    assert (reason(found["b-posta"]), reason(found["c-posta"])) == ("offline", "not-ready")
    [trouble] = value(found["c-posta"], "trouble")
    assert trouble["coding"][0]["code"] == "A-313"
    assert found["a-hospital"]["status"] == "inactive"
    tell(region, "b-posta", number=2, phase="stopped")
    assert reason(devices(region.administrator.get("Device/$adapter-states"))["b-posta"]) == "off"


def test_pages_and_facilities(region):
    place, seen = "Device/$adapter-states?_count=1", []
    while place:
        said = region.administrator.get(place)
        seen += devices(said)
        place = said.next
    assert sorted(seen) == ["a-hospital", "b-posta", "c-posta"]
    assert len(set(seen)) == 3
    of_post = region.administrator.get(f"Device/$adapter-states?facility=Organization/{POST}")
    assert set(devices(of_post)) == {"b-posta", "c-posta"}
    assert devices(region.administrator.get("Device/$adapter-states?facility=nobody")) == {}
    first = region.administrator.get("Device/$adapter-states?_count=1").next
    auditor = Caller(
        region.spine, a_requester("geresa", EVENTS, role="auditor", purpose="HOPERAT", client="other")
    )
    assert auditor.get(first).status == 400, "a page is for who asked for the first"


def test_who_oversees_the_region_asks_and_nobody_else(region):
    region.post.store(patient_of(POST, 1))
    auditor = Caller(region.spine, a_requester("geresa", EVENTS, role="auditor", purpose="HOPERAT"))
    assert len(devices(auditor.get("Device/$adapter-states"))) == 3
    others = [
        region.post,
        region.of(POST, "system/*.cu", client="b-posta"),
        an_officer(region),
        the_patient(region),
        Caller(region.spine, an_administrator("system/Organization.rs system/Device.rs")),
        Caller(region.spine, a_requester(POST, "system/*.rs", role="clinician")),
        Caller(region.spine, a_requester("geresa", EVENTS, role="operator", purpose="HOPERAT")),
    ]
    for each in others:
        before = count(region)
        said = each.get("Device/$adapter-states")
        assert said.status == 403, each.requester
        assert count(region) == before + 1
        for name in ("a-hospital", "c-posta", "his-trama"):
            assert name not in said.text.decode()


@pytest.mark.parametrize("place", [
    "Device/$adapter-states?_count=0", "Device/$adapter-states?client=x", "Device/$adapter-states?_page=x",
    "Patient/$adapter-states", "Device/x/$adapter-states",
])  # fmt: skip
def test_what_is_asked_wrongly_is_refused(region, place):
    assert region.administrator.get(place).status == 400


def test_nothing_of_it_is_stored(region):
    region.administrator.get("Device/$adapter-states")
    with region.sql() as cursor:
        cursor.execute("SELECT count(*) FROM resource")
        assert cursor.fetchone()[0] == 0
    assert region.administrator.get("Device/b-posta").status in (403, 404)
    assert "his-trama" not in json.dumps(region.events())
