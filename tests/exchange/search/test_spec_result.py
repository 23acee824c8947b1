"""R4's parameters that shape an answer: https://hl7.org/fhir/R4/search.html#return."""

from __future__ import annotations

import json

import pytest

from tests.exchange.search.asking import P, a_shelf, found, pages, refused, walked
from tests.sample.observation import an_observation
from tests.sample.patient import a_patient

DIV = '<div xmlns="http://www.w3.org/1999/xhtml">Presión &amp; <b>pulso</b></div>'


def _sorted(name: str, status: str, date: str | None, value: float | None, *codes: str) -> dict:
    observation = an_observation(name, "p1", effective=date, status=status)
    observation["code"] = {"coding": [{"system": "urn:s", "code": each} for each in codes]}
    del observation["valueQuantity"]
    if value is not None:
        observation["valueQuantity"] = {"value": value, "system": "http://unitsofmeasure.org", "code": "g"}
    return observation


OBSERVATIONS = (
    _sorted("a", "final", "2026-05-03", 5, "k3"), _sorted("b", "amended", "2026-05-01", None, "k1", "k9"), _sorted("c", "final", None, 1, "k2"), _sorted("d", "amended", "2026-05-02", 10, "k2"), _sorted("e", "final", "2026-05-03", 5, "k1"),
)  # fmt: skip
PATIENTS = (
    a_patient("p1", text={"status": "generated", "div": DIV}, managingOrganization={"reference": "Organization/o1"}, active=True, photo=[{"title": "x"}], link=[{"other": {"reference": "Patient/p2"}, "type": "seealso"}]),
    a_patient("p2", family="Zapata", dni="40000002", birth_date="1990-01-01", gender="male"), a_patient("p3", family=None, given=(), dni=None, birth_date=None, gender=None),
)  # fmt: skip
OTHERS = (
    {"resourceType": "Organization", "id": "o1", "name": "Red", "partOf": {"reference": "Organization/o2"}}, {"resourceType": "Organization", "id": "o2", "name": "Diresa", "partOf": {"reference": "Organization/o3"}},
    {"resourceType": "Organization", "id": "o3", "name": "Minsa", "partOf": {"reference": "Organization/o2"}},
    {"resourceType": "Encounter", "id": "e1", "status": "finished", "class": {"code": "AMB"}, "subject": {"reference": "Patient/p2"}, "serviceProvider": {"reference": "Organization/o1"}},
    {"resourceType": "Condition", "id": "c1", "subject": {"reference": "Patient/p2"}, "encounter": {"reference": "Encounter/e1"}, "code": {"text": "x"}},
    {"resourceType": "Provenance", "id": "v1", "target": [{"reference": "Condition/c1"}], "recorded": "2026-01-01T00:00:00Z", "agent": [{"who": {"reference": "Organization/o1"}}]},
    {"resourceType": "List", "id": "l1", "status": "current", "mode": "changes", "subject": {"reference": "Patient/p1"},
     "entry": [{"item": {"reference": "Observation/a"}}, {"item": {"reference": "Observation/d"}}, {"deleted": True, "item": {"reference": "Observation/e"}}, {"item": {"reference": "Patient/p1"}}]},
    {"resourceType": "List", "id": "l2", "status": "current", "mode": "working", "subject": {"reference": "Patient/p1"}, "entry": [{"item": {"reference": "Observation/b"}}]},
)  # fmt: skip


@pytest.fixture(scope="module")
def post(server):
    with a_shelf(server, *OTHERS[:3], *PATIENTS, *OBSERVATIONS, *OTHERS[3:]) as caller:
        yield caller


# --- order


@pytest.mark.parametrize("count", ["", "&_count=1", "&_count=2"])
@pytest.mark.parametrize(
    ("sort", "ids"),
    [
        # what has no value comes last, whichever way it goes; what is equal stands in the order of ids
        ("date", None), ("-date", "a e d b c"), ("value-quantity", "c a e d b"), ("-value-quantity", "d a e c b"), ("status,-value-quantity", "d b a e c"), ("status,date", "b d a e c"), ("-status,-date,_id", "a e c d b"),
        # of several values the least counts upwards, the greatest downwards
        ("code,_id", "b e c d a"), ("-code,_id", "b a c d e"), ("_id", "a b c d e"), ("-_id", "e d c b a"), ("_lastUpdated", "a b c d e"), ("-_lastUpdated", "e d c b a"), ("status,-_id", "d b e c a"), ("date,value-quantity,-_id", "b d e a c"),
    ],
)  # fmt: skip
def test_sort(post, sort, ids, count):
    walk = walked(post, f"Observation?patient=posta-p1&_sort={sort}{count}")
    assert sorted(walk) == ["a", "b", "c", "d", "e"]
    if ids is not None:
        assert walk == ids.split()
    assert walked(post, f"Observation?status=final,amended&_sort={sort}{count}") == walk


def test_sort_over_the_region(post):
    assert walked(post, "Patient?_sort=family&_count=1") == ["p1", "p2", "p3"]
    assert walked(post, "Patient?_sort=-family&_count=1") == ["p2", "p1", "p3"]
    assert walked(post, "Patient?_sort=-birthdate,family") == ["p2", "p1", "p3"]
    assert walked(post, "Organization?_sort=name") == ["o2", "o3", "o1"]


@pytest.mark.parametrize("sort", ["nothing", "-", "", "--date", "+date", "code-value-quantity", "_text", "_content", "date,", "patient.name", "date:asc"])  # fmt: skip
def test_no_sort(post, sort):
    refused(post, f"Observation?_sort={sort}")


def test_a_bounded_number_of_sorts(post):
    assert post.get("Observation?_sort=" + ",".join(["date"] * 5)).status == 200
    assert post.get("Observation?_sort=" + ",".join(["date"] * 6)).body["issue"][0]["code"] == "too-costly"


# --- pages and totals


@pytest.mark.parametrize("query", ["Observation?patient=posta-p1", "Observation?status=final", "Observation?value-quantity=gt0", "Organization?name:contains=i"])  # fmt: skip
def test_totals(post, query):
    number = len(found(post, query))
    assert number > 1
    for shape in ("_count=0", "_summary=count", "_summary=count&_count=1", "_count=0&_total=none"):
        said = post.get(f"{query}&{shape}")
        assert (said.total, said.matches, said.next) == (number, [], "")
    assert post.get(f"{query}&_total=accurate&_count=1").total == number
    assert [page.total for page in pages(post, f"{query}&_total=accurate&_count=1")] == [number] * number
    assert post.get(f"{query}&_total=none&_count=1").total in (None, number)
    assert post.get(f"{query}&_total=estimate&_count=1").total in (None, number)
    assert post.get(query).total == number
    assert found(post, f"{query}&_count=1") == found(post, f"{query}&_count=1000000") == found(post, query)


@pytest.mark.parametrize("query", ["_count=-1", "_count=x", "_count=", "_count=1.5", "_count=1e3", "_count=٣", "_count=9999999999", "_total=all", "_total=", "_summary=yes", "_summary=", "_count:exact=1"])  # fmt: skip
def test_no_count(post, query):
    refused(post, f"Observation?{query}")


def test_a_page_belongs_to_its_search(post):
    first = post.get("Observation?patient=posta-p1&_count=2")
    token = first.next.rpartition("_page=")[2]
    refused(post, f"Observation?patient=posta-p1&_count=3&_page={token}")
    refused(post, f"Observation?patient=posta-p2&_count=2&_page={token}")
    refused(post, f"Condition?patient=posta-p1&_count=2&_page={token}")
    refused(post, f"Observation?patient=posta-p1&_count=2&_page={token[:-4]}AAAA")
    refused(post, "Observation?patient=posta-p1&_count=2&_page=x")
    assert post.get(f"Observation?patient=posta-p1&_count=2&_page={token}").status == 200


# --- parts


def _part(post, query: str, place: int = 0) -> dict:
    said = post.get(query)
    assert said.status == 200, said.text
    return said.matches[place]


def _is_part(resource: dict) -> bool:
    return any(each["code"] == "SUBSETTED" for each in resource["meta"].get("tag", ()))


def test_summary_true_keeps_what_is_marked(post):
    part = _part(post, "Patient?_id=posta-p1&_summary=true")
    assert {"id", "meta", "identifier", "active", "name", "gender", "birthDate", "managingOrganization", "link"} <= set(part)  # fmt: skip
    assert not {"text", "photo"} & set(part)
    assert _is_part(part)


def test_summary_text_keeps_the_narrative_and_what_must_be(post):
    part = _part(post, "Patient?_id=posta-p1&_summary=text")
    assert set(part) == {"resourceType", "id", "meta", "text"}
    assert _is_part(part)
    observation = _part(post, "Observation?_id=posta-a&_summary=text")
    assert {"status", "code"} <= set(observation)
    assert not {"subject", "valueQuantity"} & set(observation)


def test_summary_data_leaves_out_the_narrative_alone(post):
    whole, part = _part(post, "Patient?_id=posta-p1"), _part(post, "Patient?_id=posta-p1&_summary=data")
    assert set(whole) - set(part) == {"text"}
    assert _is_part(part)


def test_summary_false_is_everything(post):
    whole = _part(post, "Patient?_id=posta-p1")
    assert _part(post, "Patient?_id=posta-p1&_summary=false") == whole
    assert not _is_part(whole)


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ("Patient?_id=posta-p1&_elements=birthDate", {"birthDate", "active", "link"}), ("Patient?_id=posta-p1&_elements=name,gender", {"name", "gender", "active", "link"}), ("Patient?_id=posta-p1&_elements=Patient.name,Organization.alias", {"name", "active", "link"}),
        ("Observation?_id=posta-a&_elements=value", {"status", "code", "valueQuantity"}), ("Observation?_id=posta-a&_elements=effective", {"status", "code", "effectiveDateTime"}), ("Patient?_id=posta-p1&_elements=id", {"active", "link"}),
    ],
)  # fmt: skip
def test_elements_keep_what_is_mandatory_or_modifies(post, query, kept):
    part = _part(post, query)
    assert set(part) - {"resourceType", "id", "meta"} == kept
    assert _is_part(part)
    assert part["meta"]["versionId"] == "1"


def test_elements_of_matches_leave_what_is_included_whole(post):
    said = post.get("Patient?_id=posta-p1&_elements=gender&_include=Patient:organization")
    assert said.included[0]["name"] == "Red"
    assert not _is_part(said.included[0])


@pytest.mark.parametrize("text", ["", "nothing", "Nothing.name", "name.family", "name,", "Patient.", ".name", "*", "Patient.nothing", "name " ,"photo;"])  # fmt: skip
def test_no_elements(post, text):
    refused(post, f"Patient?_elements={text}")


# --- includes


@pytest.mark.parametrize(
    ("query", "added"),
    [
        ("Encounter?_id=posta-e1&_include=Encounter:patient", "p2"), ("Encounter?_id=posta-e1&_include=Encounter:subject:Patient", "p2"), ("Encounter?_id=posta-e1&_include=Encounter:subject:Group", ""), ("Encounter?_id=posta-e1&_include=Encounter:*", "p2 o1"),
        ("Encounter?_id=posta-e1&_include=*", "p2 o1"), ("Encounter?_id=posta-e1&_include=Encounter:service-provider&_include:iterate=Organization:partof", "o1 o2 o3"), ("Encounter?_id=posta-e1&_include=Encounter:service-provider&_include=Organization:partof", None),
        ("Organization?_id=posta-o1&_include=Organization:partof", "o2"), ("Organization?_id=posta-o1&_include:iterate=Organization:partof", "o2 o3"), ("Organization?_id=posta-o1&_include:recurse=Organization:partof", "o2 o3"),
        ("Patient?_id=posta-p2&_revinclude=Encounter:patient", "e1"), ("Patient?_id=posta-p2&_revinclude=Encounter:patient&_revinclude=Condition:subject", "e1 c1"), ("Patient?_id=posta-p2&_revinclude=Condition:subject&_revinclude:iterate=Provenance:target", "c1 v1"),
        ("Patient?_id=posta-p2&_revinclude=*", "e1 c1"), ("Patient?_id=posta-p2&_revinclude=Encounter:*", "e1"), ("Organization?_id=posta-o2&_revinclude=Organization:partof", "o1 o3"), ("Organization?_id=posta-o3&_revinclude:iterate=Organization:partof", "o2 o1"),
        ("Patient?_id=posta-p1&_include=Patient:link", "p2"), ("Condition?_id=posta-c1&_include=Condition:encounter&_include:iterate=Encounter:service-provider&_include:iterate=Organization:partof&_revinclude=Provenance:target", "e1 o1 o2 o3 v1"),
        ("Condition?patient=posta-p2&_include=Condition:encounter", "e1"), ("Encounter?_id=posta-e1&_revinclude=Condition:encounter:Encounter", "c1"),
    ],
)  # fmt: skip
def test_includes(post, query, added):
    said = post.get(query)
    if added is None:
        assert said.status == 400
        return
    assert said.status == 200, said.text
    names = [each["id"].removeprefix(P) for each in said.included]
    assert set(names) == set(added.split())
    assert len(names) == len(set(names))
    assert not set(names) & {each["id"].removeprefix(P) for each in said.matches}
    assert said.total == len(said.matches)


@pytest.mark.parametrize("query", ["_include=x", "_include=Encounter", "_include=Encounter:nothing", "_include=Encounter:status", "_include=Nothing:subject", "_include=Encounter:subject:Organization", "_include:exact=Encounter:subject", "_include=Encounter:subject:Patient:x",
                                   "_revinclude=Condition:code", "_revinclude=Patient:organization", "_include=", "_include=Condition:subject", "_include=Encounter:subject,Encounter:patient"])  # fmt: skip
def test_no_includes(post, query):
    refused(post, f"Encounter?{query}")


# --- lists, words, several types, compartments


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("Observation?_list=posta-l1", "a d"), ("Observation?_list=List/posta-l1,posta-l2", "a b d"), ("Observation?_list=posta-l1&status=final", "a"), ("Patient?_list=posta-l1", "p1"), ("Observation?_list=posta-none", ""), ("Condition?_list=posta-l1", ""),
        ("Patient?_text=presion", "p1"), ("Patient?_text=PULSO presión", "p1"), ("Patient?_text=b", ""), ("Patient?_text=quispe", ""), ("Patient?_content=quispe", "p1"), ("Patient?_content=zapata rosa", "p2"), ("Patient?_content=quispe zapata", ""),
    ],
)  # fmt: skip
def test_lists_and_words(post, query, ids):
    assert found(post, query) == set(ids.split())


def test_several_types_at_once(post):
    assert found(post, "?_type=Patient,Organization&_id=posta-p1,posta-o1") == {"p1", "o1"}
    assert found(post, "?_type=Observation,Condition,Encounter&_count=2") == {
        "a",
        "b",
        "c",
        "d",
        "e",
        "c1",
        "e1",
    }
    assert found(post, "?_id=posta-p1,posta-c1&_count=1") == {"p1", "c1"}
    assert post.get("?_type=Patient,Organization&_summary=count").total == 6
    said = post.get("?_type=Encounter,Patient&_id=posta-e1,posta-p1&_include=*")
    assert {each["id"].removeprefix(P) for each in said.included} == {"p2", "o1"}
    part = post.get("?_type=Patient,Organization&_id=posta-p1,posta-o1&_elements=name").matches
    assert all(_is_part(each) and "name" in each and "partOf" not in each for each in part)
    part = post.get("?_type=Patient,Organization&_id=posta-p1,posta-o1&_elements=birthDate").matches[0]
    assert set(part) & {"birthDate", "name"} == {"birthDate"}


@pytest.mark.parametrize("query", ["?_type=Nothing", "?_type=", "Patient?_type=Patient", "?", "?code=x&_type=Patient,Observation", "?_type=Patient,Observation&_sort=_id", "?_type=Patient,Organization&_elements=status", "?_type:not=Patient"])  # fmt: skip
def test_no_several_types(post, query):
    refused(post, query)


@pytest.mark.parametrize(
    ("compartment", "query", "ids"),
    [
        (("Patient", "posta-p1"), "Observation?", "a b c d e"), (("Patient", "posta-p1"), "Observation?status=final", "a c e"), (("Patient", "posta-p2"), "Observation?", ""), (("Patient", "posta-p2"), "Condition?", "c1"), (("Patient", "posta-p2"), "?", "c1 e1 p2"),
        (("Patient", "posta-p2"), "?_type=Condition,Encounter", "c1 e1"), (("Patient", "posta-p1"), "Observation?patient=posta-p2", ""), (("Patient", "posta-p1"), "Observation?patient=posta-p1", "a b c d e"), (("Patient", "posta-none"), "Observation?", ""),
        (("Encounter", "posta-e1"), "Condition?", "c1"), (("Encounter", "posta-e1"), "Encounter?", "e1"), (("Encounter", "posta-none"), "Condition?", ""), (("Patient", "posta-p1"), "Organization?", ""), (("Practitioner", "posta-x"), "Observation?", ""),
        (("Patient", "posta-p1"), "Patient?", "p1"),
    ],
)  # fmt: skip
def test_compartments(post, compartment, query, ids):
    assert found(post, query, compartment=compartment) - {"l1", "l2"} == set(ids.split())


def test_a_compartment_that_does_not_exist(post):
    assert post.get("Observation?", compartment=("Organization", "posta-o1")).status == 404


# --- what is not known


def test_strict_refuses_and_lenient_says_what_was_left_out(post):
    assert "colour" in refused(post, "Patient?gender=male&colour=red")
    said = post.get("Patient?gender=male&colour=red&_count=2", is_lenient=True)
    assert said.ids == ["posta-p2"]
    own = next(each["url"] for each in said.body["link"] if each["relation"] == "self")
    assert own.endswith("/Patient?gender=male&_count=2")
    refused(post, "Patient?gender:exact=male", is_lenient=True)
    refused(post, "Patient?birthdate=x", is_lenient=True)


def test_an_answer_is_a_bundle_of_searchset(post):
    body = json.loads(post.get("Patient?_id=posta-p1").text)
    assert (body["resourceType"], body["type"], body["total"]) == ("Bundle", "searchset", 1)
    assert [each["search"]["mode"] for each in body["entry"]] == ["match", "outcome"]
    assert body["entry"][0]["fullUrl"].endswith("/fhir/Patient/posta-p1")


@pytest.mark.parametrize("query", ["_contained=true", "_contained=both", "_containedType=contained", "_query=everything", "_has=x", "_list=$current-problems", "_list:not=x", "_list=", "_text=", "_content=%20", "_id=", "_profile:exact=x", "_tag=|", "_lastUpdated:missing=true"])  # fmt: skip
def test_what_this_hub_does_not_do_is_named(post, query):
    refused(post, f"Patient?{query}")
