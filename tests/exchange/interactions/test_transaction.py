"""transaction and batch: every verb, every kind of link, one order, one answer an entry."""

from __future__ import annotations

import uuid

import pytest

from exchange.fhir.validate import check
from tests.passage.world import entry, patient_of
from tests.sample.consent import a_consent
from tests.sample.observation import an_observation
from tests.sample.requester import HOSPITAL, POST

UNIT = {"resourceType": "Organization", "name": "UNIDAD", "identifier": [{"system": "urn:x", "value": "1"}]}
XHTML = 'xmlns="http://www.w3.org/1999/xhtml"'


def loose(subject: str, **more) -> dict:
    """An observation that has no id yet."""
    made = {name: value for name, value in an_observation("x", "x").items() if name != "id"}
    return made | {"subject": {"reference": subject}} | more


@pytest.fixture
def world(empty):
    empty.post.store(patient_of(POST, 1), an_observation("posta-o1", "posta-p1"))
    return empty


def statuses(said) -> list[str]:
    assert said.status == 200, said.text
    assert check(said.body) == []
    return [each["response"]["status"] for each in said.body["entry"]]


def places(said) -> list[str]:
    return [each["response"].get("location", "").partition("/_history")[0] for each in said.body["entry"]]


# --- verbs and their order


def test_every_verb_in_one_transaction_answered_in_the_entries_order(world):
    world.post.store(an_observation("posta-o2", "posta-p1"), an_observation("posta-o3", "posta-p1"))
    amend = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
        {"name": "type", "valueCode": "replace"}, {"name": "path", "valueString": "Observation.status"}, {"name": "value", "valueCode": "amended"}]}]}  # fmt: skip
    said = world.post.bundle("transaction", [
        entry("GET", "Observation/posta-o2"), entry("GET", "Observation?patient=posta-p1"), entry("PATCH", "Observation/posta-o2", amend),
        entry("PUT", "Observation/posta-o1", an_observation("posta-o1", "posta-p1", status="corrected")), entry("POST", "Observation", loose("Patient/posta-p1")),
        entry("DELETE", "Observation/posta-o3"), entry("HEAD", "Patient/posta-p1"), entry("GET", "Patient/posta-p1/$everything"), entry("GET", "Observation/posta-o1/_history"),
    ])  # fmt: skip
    assert statuses(said) == ["200", "200", "200", "200", "201", "204", "200", "200", "200"]
    rows = said.body["entry"]
    assert said.body["type"] == "transaction-response"
    # Reading entries see what the others wrote.
    assert rows[0]["resource"]["status"] == "amended"
    found = {
        each["resource"]["id"] for each in rows[1]["resource"]["entry"] if each["search"]["mode"] == "match"
    }
    assert found == {"posta-o1", "posta-o2", places(said)[4].split("/")[1]}
    assert len(rows[8]["resource"]["entry"]) == 2
    assert rows[7]["resource"]["total"] == 4
    assert "resource" not in rows[6]  # by HEAD
    # Writing entries show nothing unless it is preferred.
    assert all("resource" not in row for row in rows[2:6])
    assert rows[3]["response"]["etag"] == 'W/"2"'
    assert (
        rows[3]["response"]["lastModified"]
        == world.post.get("Observation/posta-o1").body["meta"]["lastUpdated"]
    )


def test_what_is_stored_is_shown_where_it_is_preferred(world):
    for kind in ("transaction", "batch"):
        said = world.post.bundle(kind, [entry("POST", "Organization", dict(UNIT))], prefer="representation")
        assert said.body["entry"][0]["resource"]["name"] == "UNIDAD"
        said = world.post.bundle(kind, [entry("POST", "Organization", dict(UNIT))])
        assert "resource" not in said.body["entry"][0]


def test_deletions_come_first(world):
    world.post.store(UNIT | {"id": "posta-u1"})
    said = world.post.bundle(
        "transaction",
        [
            entry("POST", "Organization", dict(UNIT), ifNoneExist="identifier=urn:x|1"),
            entry("DELETE", "Organization/posta-u1"),
        ],
    )
    assert statuses(said) == ["201", "204"]
    said = world.post.bundle(
        "transaction",
        [
            entry("PUT", "Organization?identifier=urn:x|1", dict(UNIT)),
            entry("DELETE", "Organization?identifier=urn:x|2"),
        ],
    )
    assert statuses(said) == ["200", "204"]


@pytest.mark.parametrize("entries", [
    [entry("PUT", "Organization/posta-u1", UNIT | {"id": "posta-u1"}), entry("DELETE", "Organization/posta-u1")],
    [entry("PUT", "Organization?identifier=urn:x|1", dict(UNIT)), entry("DELETE", "Organization/posta-u1")],
    [entry("PUT", "Organization?identifier=urn:x|1", dict(UNIT)), entry("PUT", "Organization?name=unidad", dict(UNIT))],
    [entry("PUT", "Organization?identifier=urn:x|9", dict(UNIT)), entry("POST", "Organization", dict(UNIT), ifNoneExist="identifier=urn:x|9")],
    [entry("DELETE", "Organization?identifier=urn:x|1"), entry("DELETE", "Organization/posta-u1")],
])  # fmt: skip
def test_two_entries_about_one_resource_fail(world, entries):
    world.post.store(UNIT | {"id": "posta-u1"})
    for order in (entries, entries[::-1]):
        said = world.post.bundle("transaction", order)
        # A deletion comes first, so that criteria no longer find what it took away.
        is_apart = any(
            "?" in each["request"]["url"] and each["request"]["method"] == "PUT" for each in entries
        ) and any(each["request"]["method"] == "DELETE" for each in entries)
        assert said.status == (200 if is_apart else 422), said.text
        world.post.put(UNIT | {"id": "posta-u1"})
        for each in world.post.get("Organization").ids:
            if each != "posta-u1":
                world.post.delete(f"Organization/{each}")


def test_a_get_that_fails_fails_the_transaction(world):
    said = world.post.bundle(
        "transaction", [entry("POST", "Organization", dict(UNIT)), entry("GET", "Patient/posta-none")]
    )
    assert said.status == 404
    assert world.post.get("Organization").ids == []


def test_what_is_read_in_a_transaction_is_decided_as_if_it_stood_alone(world):
    paths = ["Observation/posta-o1", "Observation?patient=posta-p1", "Patient/posta-p1/$everything"]
    assert world.hospital.bundle("transaction", [entry("GET", paths[0])]).status == 404
    assert world.hospital.bundle("transaction", [entry("GET", paths[2])]).status == 404
    said = world.hospital.bundle("transaction", [entry("GET", paths[1])])
    assert said.body["entry"][0]["resource"]["total"] == 0
    world.post.store(a_consent("posta-c1", "posta-p1", permit=HOSPITAL))
    said = world.hospital.bundle("transaction", [entry("GET", each) for each in paths])
    assert statuses(said) == ["200", "200", "200"]
    assert {each["entity"][0]["what"]["reference"] for each in world.events()[-1:]} == {"Patient/posta-p1"}
    assert (
        world.of(POST, "system/Organization.c").bundle("transaction", [entry("GET", paths[0])]).status == 403
    )


def test_a_consent_counts_within_its_own_transaction(world):
    world.hospital.store(patient_of(HOSPITAL, 1))
    revoked = a_consent("posta-c1", "posta-p1", deny=HOSPITAL)
    world.post.store(a_consent("posta-c1", "posta-p1", permit=HOSPITAL))
    assert world.hospital.get("Observation/posta-o1").status == 200
    said = world.post.bundle(
        "transaction", [entry("PUT", "Consent/posta-c1", revoked), entry("GET", "Observation/posta-o1")]
    )
    assert statuses(said) == ["200", "200"]
    assert world.hospital.get("Observation/posta-o1").status == 404


def test_posted_operations_stand_outside(world):
    assert (
        world.post.bundle(
            "transaction", [entry("POST", "Observation/posta-o1/$meta-add", {"resourceType": "Parameters"})]
        ).status
        == 400
    )


# --- links


def test_links_of_every_kind_are_replaced_and_canonicals_are_not(world):
    basic = {"resourceType": "Basic", "code": {"text": "x"},
             "extension": [{"url": "urn:a", "valueReference": {"reference": "urn:uuid:p"}}, {"url": "urn:a", "valueUri": "urn:uuid:p"}, {"url": "urn:a", "valueUrl": "urn:uuid:p#part"},
                           {"url": "urn:a", "valueCanonical": "urn:uuid:p"}, {"url": "urn:a", "valueString": "urn:uuid:p"}, {"url": "urn:a", "valueUuid": "urn:uuid:p"}],
             "_implicitRules": {"extension": [{"url": "urn:b", "valueReference": {"reference": "urn:oid:1.2.3"}}]},
             "text": {"status": "generated", "div": f'<div {XHTML}><a href="urn:uuid:p">p</a><img alt="x" src="urn:oid:1.2.3"/><b>urn:uuid:p</b></div>'}}  # fmt: skip
    said = world.post.bundle("transaction", [
        entry("POST", "Basic", basic, "urn:uuid:b"), entry("POST", "Organization", dict(UNIT), "urn:uuid:p"), entry("POST", "Location", {"resourceType": "Location", "name": "L"}, "urn:oid:1.2.3"),
    ])  # fmt: skip
    # A uuid is no longer one when it is replaced by Type/id, so that such an element is refused as FHIR says it.
    assert said.status == 400
    del basic["extension"][5]
    said = world.post.bundle("transaction", [
        entry("POST", "Basic", basic, "urn:uuid:b"), entry("POST", "Organization", dict(UNIT), "urn:uuid:p"), entry("POST", "Location", {"resourceType": "Location", "name": "L"}, "urn:oid:1.2.3"),
    ])  # fmt: skip
    basic_place, unit, location = places(said)
    stored = world.post.get(basic_place).body
    assert [each.get("valueReference", {}).get("reference") or next(value for name, value in each.items() if name != "url") for each in stored["extension"]] == [
        unit, unit, f"{unit}#part", "urn:uuid:p", "urn:uuid:p",
    ]  # fmt: skip
    assert stored["_implicitRules"]["extension"][0]["valueReference"]["reference"] == location
    assert f'href="{unit}"' in stored["text"]["div"]
    assert f'src="{location}"' in stored["text"]["div"]
    assert "<b>urn:uuid:p</b>" in stored["text"]["div"]


def test_absolute_and_relative_addresses_of_another_server_are_replaced(world):
    base = "http://clinic.example/fhir"
    said = world.post.bundle("transaction", [
        entry("POST", "Patient", {"resourceType": "Patient", "gender": "female"}, f"{base}/Patient/77"),
        entry("POST", "Observation", loose("Patient/77"), f"{base}/Observation/1"),
        entry("POST", "Observation", loose(f"{base}/Patient/77"), f"urn:uuid:{uuid.uuid4()}"),
    ])  # fmt: skip
    patient, *observations = places(said)
    assert {world.post.get(each).body["subject"]["reference"] for each in observations} == {patient}


def test_versioned_references_stay_versioned(world):
    world.post.store(UNIT | {"id": "posta-u1"})
    said = world.post.bundle("transaction", [
        entry("POST", "Provenance", {"resourceType": "Provenance", "recorded": "2026-01-01T00:00:00Z", "agent": [{"who": {"reference": "urn:uuid:u/_history/7"}}],
              "target": [{"reference": "urn:uuid:o/_history/1"}]}, "urn:uuid:v"),
        entry("POST", "Observation", loose("Patient/posta-p1"), "urn:uuid:o"),
        entry("PUT", "Organization/posta-u1", UNIT | {"id": "posta-u1"}, "urn:uuid:u"),
    ])  # fmt: skip
    provenance, observation, _ = places(said)
    stored = world.post.get(provenance).body
    assert stored["target"][0]["reference"] == f"{observation}/_history/1"
    assert stored["agent"][0]["who"]["reference"] == "Organization/posta-u1/_history/1"  # it was not changed


def test_conditional_references_find_what_the_transaction_makes(world):
    said = world.post.bundle("transaction", [
        entry("POST", "Observation", loose("Patient?identifier=urn:mrn|5", performer=[{"reference": "Organization?identifier=urn:x|1"}])),
        entry("POST", "Patient", {"resourceType": "Patient", "identifier": [{"system": "urn:mrn", "value": "5"}]}), entry("POST", "Organization", dict(UNIT)),
    ])  # fmt: skip
    observation, patient, unit = places(said)
    stored = world.post.get(observation).body
    assert (stored["subject"]["reference"], stored["performer"][0]["reference"]) == (patient, unit)


def test_a_patient_that_refers_by_criteria_is_there_for_what_is_about_it(world):
    said = world.post.bundle("transaction", [
        entry("POST", "Observation", loose("urn:uuid:p")), entry("POST", "Organization", dict(UNIT)),
        entry("POST", "Patient", {"resourceType": "Patient", "managingOrganization": {"reference": "Organization?identifier=urn:x|1"}}, "urn:uuid:p"),
    ])  # fmt: skip
    observation, unit, patient = places(said)
    assert world.post.get(patient).body["managingOrganization"]["reference"] == unit
    assert world.post.get(observation).body["subject"]["reference"] == patient


@pytest.mark.parametrize(
    "reference",
    [
        "urn:uuid:absent",
        "Patient?identifier=urn:mrn|none",
        "Patient?color=red",
        "Organization?identifier=urn:z|2",
    ],
)
def test_links_that_lead_nowhere_fail_and_name_the_entry(world, reference):
    world.post.store(UNIT | {"id": "posta-u1"}, UNIT | {"id": "posta-u2"})
    said = world.post.bundle(
        "transaction",
        [
            entry("POST", "Organization", dict(UNIT)),
            entry("POST", "Observation", loose("Patient/posta-p1", performer=[{"reference": reference}])),
        ],
    )
    assert said.status in (400, 422)
    assert said.body["issue"][0]["expression"][0].startswith("Bundle.entry[1]")


def test_several_matches_of_a_conditional_reference_fail(world):
    world.post.store(UNIT | {"id": "posta-u1"}, UNIT | {"id": "posta-u2"})
    said = world.post.bundle(
        "transaction",
        [
            entry(
                "POST",
                "Observation",
                loose("Patient/posta-p1", performer=[{"reference": "Organization?identifier=urn:x|1"}]),
            )
        ],
    )
    assert said.status == 412


def test_a_conditional_reference_needs_the_scope_to_search(world):
    entries = [entry("POST", "Observation", loose("Patient?identifier=urn:mrn|5"))]
    assert world.of(POST, "system/Observation.c").bundle("transaction", entries).status == 403


def test_references_in_a_patch_are_resolved(world):
    patch = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
        {"name": "type", "valueCode": "add"}, {"name": "path", "valueString": "Observation"}, {"name": "name", "valueString": "performer"},
        {"name": "value", "valueReference": {"reference": "urn:uuid:u"}}]}]}  # fmt: skip
    said = world.post.bundle(
        "transaction",
        [
            entry("PATCH", "Observation/posta-o1", patch),
            entry("POST", "Organization", dict(UNIT), "urn:uuid:u"),
        ],
    )
    assert world.post.get("Observation/posta-o1").body["performer"] == [{"reference": places(said)[1]}]


# --- conditions inside of bundles


def test_conditions_hold_inside_of_bundles(world):
    changed = an_observation("posta-o1", "posta-p1", status="amended")
    assert (
        world.post.bundle(
            "transaction", [entry("PUT", "Observation/posta-o1", dict(changed), ifMatch='W/"9"')]
        ).status
        == 412
    )
    said = world.post.bundle("batch", [
        entry("PUT", "Observation/posta-o1", dict(changed), ifMatch='W/"9"'), entry("PUT", "Observation/posta-o1", dict(changed), ifNoneMatch="*"),
        entry("GET", "Observation/posta-o1", ifNoneMatch='W/"1"'), entry("GET", "Observation/posta-o1", ifModifiedSince="2999-01-01T00:00:00Z"),
        entry("GET", "Observation/posta-o1", ifModifiedSince="2020-01-01T00:00:00Z"), entry("PUT", "Observation/posta-o1", dict(changed), ifMatch='W/"1"'),
    ])  # fmt: skip
    assert statuses(said) == ["412", "412", "304", "304", "200", "200"]
    assert "resource" not in said.body["entry"][2]


def test_each_entry_of_a_batch_stands_alone(world):
    said = world.post.bundle("batch", [
        entry("GET", "Observation?patient=posta-p1&_include=Observation:subject"), entry("GET", "Patient/posta-p1/$everything"), entry("GET", "Observation/posta-o1/_history"),
        entry("GET", "Observation/posta-o1/_history/1"), entry("GET", "Patient/posta-none"), entry("DELETE", "Organization?identifier=urn:x|1"), entry("POST", "Organization", dict(UNIT)),
        entry("PUT", "Organization?identifier=urn:x|1", UNIT | {"name": "B"}), entry("GET", "Observation/$lastn?patient=posta-p1&code=8480-6"), entry("GET", "Patient/posta-p1/Observation"),
        entry("GET", "/Observation/posta-o1"), entry("GET", "http://127.0.0.1:8780/fhir/Observation/posta-o1"), entry("PATCH", "Observation/posta-o1"), entry("OPTIONS", "Patient"), {},
    ])  # fmt: skip
    assert said.status == 200
    found = [each["response"]["status"] for each in said.body["entry"]]
    assert found == [
        "200",
        "200",
        "200",
        "200",
        "404",
        "204",
        "201",
        "200",
        "200",
        "200",
        "200",
        "200",
        "400",
        "400",
        "400",
    ]
    first = said.body["entry"][0]["resource"]["entry"]
    assert [each["search"]["mode"] for each in first] == ["match", "include", "outcome"]
    assert said.body["entry"][4]["response"]["outcome"]["issue"][0]["code"] == "not-found"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "Nothing/1",
        "Observation/a/b/c",
        "Observation/posta-o1/_history/1/2",
        "Patient/a_b/Observation",
        "Observation/a b",
        "Patient/x/Nothing",
        "x" * 5000,
    ],
)
@pytest.mark.parametrize("method", ["PUT", "GET"])
def test_urls_that_lead_nowhere_are_refused(world, url, method):
    if (method, url) == ("GET", ""):
        return  # a search over the whole system
    said = world.post.bundle("batch", [entry(method, url, an_observation("posta-o1", "posta-p1"))])
    assert said.body["entry"][0]["response"]["status"] in ("400", "404", "413")
    assert world.post.bundle(
        "transaction", [entry(method, url, an_observation("posta-o1", "posta-p1"))]
    ).status in (400, 404, 413)


def test_an_instant_that_is_none_fails_its_entry_alone(world):
    said = world.post.bundle(
        "batch",
        [entry("GET", "Observation/posta-o1", ifModifiedSince="x"), entry("GET", "Observation/posta-o1")],
    )
    assert statuses(said) == ["400", "200"]


def test_an_empty_bundle_is_no_error(world):
    for kind in ("transaction", "batch"):
        said = world.post.bundle(kind, [])
        assert (said.status, said.body["type"]) == (200, f"{kind}-response")
