"""What a search finds: each form of value, modifier, order, page and include, through the spine."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest

from exchange.fhir import peru
from exchange.request import Request
from tests.passage.world import patient_of
from tests.sample.observation import an_observation
from tests.sample.requester import POST

LOINC = "http://loinc.org"


def _observation(name: str, patient: str = "posta-p1", **more) -> dict:
    return an_observation(f"posta-{name}", patient, **more)


@pytest.fixture(scope="module")
def world(shared_module):
    made = shared_module.clear()
    made.post.store(
        {"resourceType": "Organization", "id": "posta-u1", "name": "Posta Médica Ñaña", "identifier": [{"system": "urn:x", "value": "a,b|c$d"}]},
        {"resourceType": "Organization", "id": "posta-u2", "name": "POSTA MEDICA NANA", "partOf": {"reference": "Organization/posta-u1"}, "active": False},
        {"resourceType": "Organization", "id": "posta-u3", "name": "Hospital Belén", "active": True, "telecom": [{"system": "phone", "value": "044-1234"}]},
        patient_of(POST, 1, family="Ñahuincopa Peña", given=("José", "María"), birth_date="1984-03-09", gender="male"),
        patient_of(POST, 2, family="Nahuincopa", given=("Jose",), birth_date="1984-03", gender="female",
                   managingOrganization={"reference": "Organization/posta-u1"}),
        patient_of(POST, 3, family="O'Higgins Núñez-Prado", given=("Ana",), birth_date="1990", gender="female", active=True),
        _observation("o1", code="8480-6", effective="2026-05-01", status="final"),
        _observation("o2", code="8480-6", system="urn:own", effective="2026-05-01T23:30:00-05:00", status="amended"),
        _observation("o3", code="8462-4", effective=None, effectivePeriod={"start": "2026-04-20", "end": "2026-05-10"}, status="final"),
        _observation("o4", code="x", effective="2026-05", status="preliminary", performer=[{"reference": "Organization/posta-u1"}]),
        _observation("o5", effective=None, status="final", effectivePeriod={"start": "2026-05-02"}, identifier=[{"value": "N1"}, {"system": "urn:i", "value": "N2"}]) | {
            "code": {"coding": [{"code": "nosystem"}]}},
        _observation("o6", "posta-p2", code="8480-6", effective="2027-01-01", derivedFrom=[{"reference": "http://elsewhere.org/fhir/Observation/77"}],
                     meta={"tag": [{"system": "urn:t", "code": "marked"}], "profile": ["http://example.org/profile"]}),
    )  # fmt: skip
    return made


def found(world, query: str) -> set[str]:
    said = world.post.get(query)
    assert said.status == 200, said.text
    return {each.removeprefix("posta-") for each in said.ids}


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        # token: code; system|code; |code; system|
        ("Observation?code=8480-6", "o1 o2 o6"), (f"Observation?code={LOINC}|8480-6", "o1 o6"), ("Observation?code=urn:own|8480-6", "o2"), ("Observation?code=|8480-6", ""),
        ("Observation?code=|nosystem", "o5"), ("Observation?code=nosystem", "o5"), (f"Observation?code={LOINC}|nosystem", ""), (f"Observation?code={LOINC}|", "o1 o3 o4 o6"),
        ("Observation?code=8480-6,x", "o1 o2 o4 o6"), ("Observation?code=8480-6&status=final", "o1 o6"), ("Observation?code=8480-6&code=8462-4", ""), ("Observation?code=8480", ""),
        ("Observation?code:not=8480-6", "o3 o4 o5"), ("Observation?status:not=final,amended", "o4"), ("Observation?code:missing=false", "o1 o2 o3 o4 o5 o6"), ("Observation?code:missing=true", ""),
        ("Observation?identifier=N1", "o5"), ("Observation?identifier=|N1", "o5"), ("Observation?identifier=urn:i|N2", "o5"), ("Observation?identifier=|N2", ""), ("Observation?identifier:missing=true", "o1 o2 o3 o4 o6"),
        ("Observation?_tag=urn:t|marked", "o6"), ("Observation?_tag=marked", "o6"), ("Observation?_profile=http://example.org/profile", "o6"), ("Observation?_id=posta-o1,posta-o2,none", "o1 o2"),
        ("Organization?active=true", "u3"), ("Organization?active=false", "u2"), ("Organization?active:missing=true", "u1"), ("Organization?active:not=true", "u1 u2"),
        ("Organization?identifier=urn:x|a\\,b\\|c\\$d", "u1"), ("Organization?identifier=urn:x|a,b", ""), ("Patient?gender=female", "p2 p3"), ("Patient?identifier=40000001", "p1"),
        (f"Patient?identifier={peru.DNI_SYSTEM}|40000001", "p1"), ("Patient?identifier=|40000001", ""), (f"Patient?identifier={peru.DNI_SYSTEM}|", "p1 p2 p3"),
        # string: accents, case, words, and the modifiers
        ("Organization?name=posta", "u1 u2"), ("Organization?name=POSTA MÉDICA", "u1 u2"), ("Organization?name=medica nana", "u1 u2"), ("Organization?name=ñaña", "u1 u2"), ("Organization?name=nan", "u1 u2"),
        ("Organization?name:exact=Posta Médica Ñaña", "u1"), ("Organization?name:exact=posta médica ñaña", ""), ("Organization?name:exact=Posta", ""), ("Organization?name:contains=EDIC", "u1 u2"),
        ("Organization?name:contains=ñañ", "u1 u2"), ("Organization?name=%25", ""), ("Organization?name:contains=_", ""), ("Organization?name:missing=false", "u1 u2 u3"), ("Organization?name=osta", ""), ("Organization?name=p", "u1 u2"),
        ("Patient?family=ñahuincopa", "p1 p2"), ("Patient?family=Nahuincopa", "p1 p2"), ("Patient?family=pena", "p1"), ("Patient?family:exact=Nahuincopa", "p2"), ("Patient?given=jose", "p1 p2"), ("Patient?given=maría", "p1"),
        ("Patient?name=jose", "p1 p2"), ("Patient?name=nahuin", "p1 p2"), ("Patient?family=o'higgins", "p3"), ("Patient?family:contains=HIGGINS", "p3"), ("Patient?family=nunez", "p3"), ("Patient?family=nahuincopa,o'h", "p1 p2 p3"),
        # dates: what a value covers, and each prefix
        ("Observation?date=2026-05-01", "o1 o2"), ("Observation?date=2026-05", "o1 o2 o4"), ("Observation?date=2026", "o1 o2 o3 o4"), ("Observation?date=2026-05-01T23:30:00-05:00", "o2"), ("Observation?date=2026-05-02T04:30:00Z", "o2"),
        ("Observation?date=ne2026-05-01", "o3 o4 o5 o6"), ("Observation?date=gt2026-05-31", "o5 o6"), ("Observation?date=ge2026-05-01", "o1 o2 o3 o4 o5 o6"), ("Observation?date=lt2026-05-01", "o3"), ("Observation?date=le2026-05-01", "o1 o2 o3"),
        ("Observation?date=sa2026-12-31", "o6"), ("Observation?date=sa2026-05-01", "o5 o6"), ("Observation?date=eb2026-05-02", "o1 o2"), ("Observation?date=eb2027", "o1 o2 o3 o4"), ("Observation?date=ge2026-05-02&date=lt2026-05-20", "o3 o4 o5"),
        ("Observation?date=2026-05-01,2027-01-01", "o1 o2 o6"), ("Observation?date:missing=true", ""), ("Patient?birthdate=1984", "p1 p2"), ("Patient?birthdate=1984-03", "p1 p2"), ("Patient?birthdate=1984-03-09", "p1"),
        ("Patient?birthdate=ge1985", "p3"), ("Patient?birthdate=lt1984-03-10", "p1 p2"), ("Patient?birthdate=ne1984-03-09", "p2 p3"), ("Patient?birthdate=sa1984", "p3"), ("Patient?birthdate=eb1990", "p1 p2"), ("Patient?birthdate=ap1990", "p3"),
        ("Patient?_lastUpdated=gt2020-01-01", "p1 p2 p3"), ("Patient?_lastUpdated=lt2020-01-01", ""), ("Patient?_lastUpdated=ge2020&_lastUpdated=lt2100", "p1 p2 p3"),
        # references: relative, bare, absolute, by type, elsewhere
        ("Observation?patient=Patient/posta-p2", "o6"), ("Observation?patient=posta-p2", "o6"), ("Observation?patient=http://127.0.0.1:8780/fhir/Patient/posta-p2", "o6"), ("Observation?subject=posta-p2", "o6"),
        ("Observation?subject:Patient=posta-p2", "o6"), ("Observation?subject:Group=posta-p2", ""), ("Observation?patient=Patient/posta-p2/_history/1", "o6"), ("Observation?patient=posta-p2,posta-p1", "o1 o2 o3 o4 o5 o6"),
        ("Observation?patient=posta-p2&patient=posta-p1", ""), ("Observation?patient=posta-none", ""), ("Observation?performer=Organization/posta-u1", "o4"), ("Observation?performer=posta-u1", "o4"), ("Observation?performer:missing=true", "o1 o2 o3 o5 o6"),
        ("Observation?derived-from=http://elsewhere.org/fhir/Observation/77", "o6"), ("Observation?derived-from=Observation/77", ""), ("Observation?derived-from=77", ""), ("Organization?partof=Organization/posta-u1", "u2"),
        ("Patient?organization=posta-u1", "p2"), ("Patient?organization:missing=false", "p2"), ("Observation?patient=posta-p1&code=8480-6&date=2026-05-01&status=amended", "o2"),
    ],
)  # fmt: skip
def test_a_search_finds(world, query, ids):
    assert found(world, query.replace("+", "%2B")) == set(ids.split())


@pytest.mark.parametrize(
    "query",
    [
        "Observation?code=8480-6",
        "Observation?patient=posta-p1",
        "Patient?family=nahuincopa",
        "Organization?name:contains=medica",
        "Observation?date=ge2026-05-02",
        "Patient?birthdate=ge1985",
    ],
)
def test_a_count_counts_what_the_search_finds(world, query):
    ids = found(world, query)
    mark = "&" if "?" in query else "?"
    for shape in ("_summary=count", "_count=0"):
        said = world.post.get(f"{query}{mark}{shape}")
        assert (said.total, said.matches) == (len(ids), [])
    assert world.post.get(f"{query}{mark}_total=accurate&_count=1").total == len(ids)
    assert world.post.get(query).total == len(ids)


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("Observation?patient=posta-p1&_sort=_id", "o1 o2 o3 o4 o5"), ("Observation?patient=posta-p1&_sort=-_id", "o5 o4 o3 o2 o1"), ("Patient?_sort=birthdate", "p2 p1 p3"), ("Patient?_sort=-birthdate", "p3 p1 p2"),
        ("Organization?_sort=name", None), ("Patient?_sort=gender,-_id", "p3 p2 p1"), ("Patient?_sort=-gender,_id", "p1 p2 p3"), ("Observation?patient=posta-p1&_sort=status,-_id", "o2 o5 o3 o1 o4"),
        ("Observation?patient=posta-p1&_sort=_lastUpdated", "o1 o2 o3 o4 o5"), ("Observation?patient=posta-p1&_sort=-_lastUpdated", "o5 o4 o3 o2 o1"), ("Observation?patient=posta-p1&_sort=date", None), ("Observation?patient=posta-p1&_sort=-date", None),
    ],
)  # fmt: skip
def test_an_order_is_kept_over_pages_of_any_size(world, query, ids):
    walks = []
    for count in (1, 2, 50):
        walk, path = [], f"{query}&_count={count}"
        while path:
            said = world.post.get(path)
            assert said.status == 200
            walk += [each.removeprefix("posta-") for each in said.ids]
            path = said.next
        walks.append(walk)
    assert walks[0] == walks[1] == walks[2]
    assert len(set(walks[0])) == len(walks[0])
    if ids is not None:
        assert walks[0] == ids.split()


def test_the_start_of_a_date_is_its_order(world):
    starts = {"o3": 1, "o4": 2, "o1": 2, "o2": 3, "o5": 4}
    for query, falls in (("_sort=date", False), ("_sort=-date", True)):
        walk = [
            starts[each.removeprefix("posta-")]
            for each in world.post.get(f"Observation?patient=posta-p1&{query}").ids
        ]
        assert walk == sorted(walk, reverse=falls)


@pytest.mark.parametrize(
    ("query", "included"),
    [
        ("Observation?_id=posta-o4&_include=Observation:subject", "p1"), ("Observation?_id=posta-o4&_include=Observation:performer", "u1"), ("Observation?_id=posta-o4&_include=Observation:subject&_include=Observation:performer", "p1 u1"),
        ("Observation?_id=posta-o4&_include=Observation:performer:Organization", "u1"), ("Observation?_id=posta-o4&_include=Observation:performer:Practitioner", ""), ("Observation?_id=posta-o6&_include=Observation:derived-from", ""),
        ("Patient?_id=posta-p2&_include=Patient:organization", "u1"), ("Patient?_id=posta-p2&_revinclude=Observation:patient", "o6"), ("Patient?_id=posta-p2&_revinclude=Observation:subject", "o6"), ("Patient?_id=posta-p3&_revinclude=Observation:subject", ""),
        ("Organization?_id=posta-u1&_revinclude=Organization:partof", "u2"), ("Organization?_id=posta-u1&_revinclude=Patient:organization", "p2"), ("Organization?_id=posta-u1&_revinclude=Observation:performer", "o4"),
        ("Organization?_id=posta-u2&_include=Organization:partof", "u1"), ("Organization?_include=Organization:partof", ""),
    ],
)  # fmt: skip
def test_what_is_included(world, query, included):
    said = world.post.get(query)
    assert said.status == 200, said.text
    assert {each["id"].removeprefix("posta-") for each in said.included} == set(included.split())
    everything = [*said.matches, *said.included]
    assert len({(each["resourceType"], each["id"]) for each in everything}) == len(everything)


def test_what_is_included_counts_in_no_total_and_stands_on_each_page(world):
    said = world.post.get(
        "Observation?patient=posta-p1&_include=Observation:subject&_count=2&_total=accurate"
    )
    assert (said.total, len(said.matches), len(said.included)) == (5, 2, 1)
    assert len(world.post.get(said.next).included) == 1


def test_the_self_link_says_what_was_used_and_no_more(world):
    said = world.post.get("Observation?code=8480-6&color=red&_count=2&_format=json", is_lenient=True)
    assert said.status == 200
    assert {each["relation"]: each["url"] for each in said.body["link"]}["self"].endswith(
        "/Observation?code=8480-6&_count=2"
    )
    assert world.post.get("Observation?code=8480-6&color=red").status == 400


@pytest.mark.parametrize("query", ["code:not-there=x", "code:exact=x", "status:contains=x", "date:exact=2026", "patient:contains=x", "code=", "code=a,,b", "date=yesterday", "date=xx2026", "code:missing=maybe",
                                   "patient:Organization=x", "_sort=code-value-quantity", "_sort=nothing", "value-quantity=much", "_include=Patient:link", "_include=Observation:nothing", "_include=Observation:code",
                                   "_revinclude=Patient:link", "_count=x", "_total=some", "_summary=some", "component-code-value-quantity=a$b", "code-value-date=x"])  # fmt: skip
def test_what_is_not_understood_is_refused_by_name(world, query):
    said = world.post.get(f"Observation?{query}")
    assert said.status == 400
    assert said.body["issue"][0]["code"] in ("not-supported", "structure", "invalid")


def test_searches_see_changes_and_deletions_at_once(world):
    world.post.store(_observation("v1", "posta-p3", code="old"))
    assert found(world, "Observation?code=old") == {"v1"}
    world.post.store(_observation("v1", "posta-p3", code="new"))
    assert (found(world, "Observation?code=old"), found(world, "Observation?code=new")) == (set(), {"v1"})
    world.post.delete("Observation/posta-v1")
    assert found(world, "Observation?code=new") == set()
    assert found(world, "Observation?patient=posta-p3") == set()
    world.post.store(_observation("v1", "posta-p3", code="again"))
    assert found(world, "Observation?code=again") == {"v1"}
    world.post.delete("Observation/posta-v1")


@pytest.mark.parametrize(
    "query",
    [
        "Observation?patient=posta-p9",
        "Observation?code=paged",
        "Observation?patient=posta-p9&_sort=_id",
        "Observation?patient=posta-p9&_sort=-date",
        "Observation?code=paged&_sort=_lastUpdated",
    ],
)
def test_each_match_stands_on_one_page_while_others_are_written(world, query):
    world.post.store(patient_of(POST, 9))
    before = [
        _observation(f"w{n:02d}", "posta-p9", code="paged", effective=f"2026-05-{n + 1:02d}")
        for n in range(0, 20, 2)
    ]
    world.post.store(*before)
    walk, path, number = [], f"{query}&_count=3", 1
    while path:
        said = world.post.get(path)
        walk += said.ids
        path = said.next
        if number < 20:
            world.post.store(
                _observation(
                    f"w{number:02d}", "posta-p9", code="paged", effective=f"2026-05-{number + 1:02d}"
                )
            )
            number += 2
    assert len(walk) == len(set(walk))
    assert {each["id"] for each in before} <= set(walk)
    for n in range(20):
        world.post.delete(f"Observation/posta-w{n:02d}")


def test_each_match_stands_on_one_page_in_an_order_of_sealed_values(world):
    world.post.store(
        patient_of(POST, 8), *(_observation(f"x{n}", "posta-p8", code=f"k{n}") for n in range(6))
    )
    first = world.post.get("Observation?patient=posta-p8&_sort=code&_count=3")
    world.post.store(_observation("x9", "posta-p8", code="a"))
    walk = first.ids + world.post.get(first.next).ids
    assert len(walk) == len(set(walk))


def test_a_resource_of_two_patients_is_found_by_each(world):
    both = [{"actor": {"reference": f"Patient/posta-p{number}"}, "status": "accepted"} for number in (1, 2)]
    world.post.store(
        {"resourceType": "Appointment", "id": "posta-a1", "status": "proposed", "participant": both}
    )
    assert [found(world, f"Appointment?actor=Patient/posta-p{number}") for number in (1, 2)] == [
        {"a1"},
        {"a1"},
    ]


def test_pages_of_a_search_over_types_stay_with_these_types(world):
    asked = (("_type", "Organization,Patient"), ("_lastUpdated", "gt2020"), ("_count", "2"))
    walk: list[str] = []
    while asked:
        said = world.post.ask(Request("search-system", query=asked))
        assert said.status == 200, said.text
        walk += [f"{each['resourceType']}/{each['id']}" for each in said.matches]
        query = said.next.partition("?")[2]
        assert not query or "_type=Organization,Patient" in query
        asked = tuple(parse_qsl(query))
    assert len(walk) == len(set(walk)) == 3 + len(world.post.get("Patient?_count=100").ids)
    assert {each.partition("/")[0] for each in walk} == {"Organization", "Patient"}


def test_a_page_of_some_types_is_no_page_of_others(world):
    asked = {"_type": "Organization,Patient", "_lastUpdated": "gt2020", "_count": "1"}
    said = world.post.ask(Request("search-system", query=tuple(asked.items())))
    page = dict(parse_qsl(said.next.partition("?")[2]))
    for types, status in (("Organization,Patient", 200), ("Observation,Patient", 400), ("", 400)):
        changed = {name: value for name, value in (page | {"_type": types}).items() if value}
        assert world.post.ask(Request("search-system", query=tuple(changed.items()))).status == status


def test_links_are_addresses_that_every_client_takes(world):
    said = world.post.get("Observation?code=http://loinc.org|8480-6,x&_count=1")
    links = [each["url"] for each in said.body["link"]]
    assert len(links) == 2
    assert all("code=http://loinc.org%7C8480-6,x" in each and "|" not in each for each in links)
    assert world.post.get(said.next).status == 200
