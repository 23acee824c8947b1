"""A search tells nothing of what is hidden: not by what it finds, counts, orders, adds or refuses.

A person is known to a health post and to a hospital, and has agreed to nothing. The hospital asks twice: once the post's
chart is there, once it never was. It knows the ids, and its own resources point to the hidden ones.
"""

from __future__ import annotations

import json

import pytest

from exchange.request import Request
from exchange.search import include, matches
from exchange.settings import settings
from tests.passage.conftest import empty, shared_hub
from tests.passage.world import Caller, World, patient_of
from tests.properties import hidden_searches
from tests.sample.observation import an_observation
from tests.sample.requester import HOSPITAL, POST

__all__ = ["empty", "shared_hub"]


def _own(world: World) -> None:
    """What the hospital has, whether the other chart is there or not."""
    world.hospital.store(
        *hidden_searches.directory(), hidden_searches.about_patient(patient_of(HOSPITAL, 1), 1)
    )
    world.hospital.store(*hidden_searches.visit("hospital-p1", 3))
    world.hospital.store(*(hidden_searches.observation("hospital-p1", place, "8480-6", "final", 3 + place) for place in range(3)))  # fmt: skip
    world.hospital.store(*hidden_searches.pointing("hospital-p1", ["posta-p1", "posta-p2"]))


def _hidden(world: World, number: int) -> None:
    """A chart that the hospital may not see; number 1 is the same person as the hospital's own patient."""
    patient = f"posta-p{number}"
    world.post.store(hidden_searches.about_patient(patient_of(POST, number), number))
    world.post.store(*hidden_searches.visit(patient, 2))
    world.post.store(*(hidden_searches.observation(patient, place, "8480-6", "final", 1 + place) for place in range(9)))  # fmt: skip


def _with_hidden(world: World) -> None:
    _own(world)
    _hidden(world, 1)
    _hidden(world, 2)
    world.post.store(hidden_searches.appointment("posta-a", "posta-p1", "posta-p2"))


def ask(caller: Caller, path: str) -> list:
    """All pages, without what no two answers share."""
    pages = []
    place, _, query = path.partition("?")
    while len(pages) < 40:
        parts = place.split("/")
        compartment = (parts[0], parts[1]) if len(parts) == 3 else None
        kind = parts[-1].replace("*", "")
        pairs = tuple(tuple(each.split("=", 1)) for each in query.split("&") if each)
        said = caller.ask(Request("search-type" if kind else "search-system", kind, compartment=compartment, query=pairs))  # fmt: skip
        pages.append(said.normalised())
        if said.status != 200 or not (following := [each["url"] for each in said.body["link"] if each["relation"] == "next"]):  # fmt: skip
            return pages
        place, pairs_text = path.partition("?")[0], following[0].rpartition("_page=")[2]
        query = f"{path.partition('?')[2]}&_page={pairs_text}"
    raise AssertionError("the pages do not end")


SEARCHES = [
    # the same person elsewhere: a hidden record does not answer for its person
    "Observation?subject=posta-p1", "Observation?patient=posta-p1", "?_type=Observation&subject=posta-p1", "Observation?encounter.subject=posta-p1", "Observation?_filter=subject eq posta-p1 or status eq amended", "Patient?_has:Observation:subject:encounter.subject=posta-p1",
    "Observation?subject=posta-p1,hospital-p1", "Patient/posta-p1/Observation?", "Patient/posta-p1/*?", "Patient/hospital-p1/Observation?patient=posta-p1",
    # chains, forwards and backwards, through what the hospital's own resources point to
    "Observation?encounter.status=finished", "Observation?derived-from.code=8480-6", "Observation?encounter.patient.family=quispe", "Observation?derived-from:Observation.encounter.date=ge2020", "Patient?_has:Observation:patient:code=8480-6", "Patient?_has:Appointment:actor:status=proposed",
    "Practitioner?_has:Observation:performer:code=8480-6", "Practitioner?_has:Observation:performer:patient.family=quispe", "Organization?_has:Encounter:service-provider:patient._id=posta-p1", "Encounter?part-of:below=posta-p1-e", "Encounter?_has:Observation:encounter:_has:Observation:derived-from:status=final",
    # lists, words, filters, sets
    "Observation?_list=hospital-l", "Observation?_list=posta-p1-l", "Patient?_text=presion", "Observation?_content=8480&_count=1", "Observation?_filter=not (status eq amended)", "Observation?_filter=patient._id ne hospital-p1", "Observation?status:not-in=http://hl7.org/fhir/ValueSet/observation-status",
    # order, totals, pages
    "Observation?_sort=-date&_count=2", "Observation?_sort=value-quantity,-_id&_count=1", "Patient?_sort=family&_count=1&_total=accurate", "Observation?code=8480-6&_count=2&_total=accurate", "Observation?_summary=count", "Observation?value-quantity=gt0&_count=0", "Observation?_sort=_lastUpdated&_count=3",
    # what is added
    "Observation?_include=*&_revinclude=*", "Patient?_revinclude=*&_include:iterate=*", "Practitioner?_revinclude=Observation:performer", "Organization?_revinclude:iterate=Encounter:service-provider", "List?_include=List:item", "Observation?_include:iterate=Observation:derived-from&_count=1",
    "Encounter/posta-p1-e/Observation?", "Encounter/posta-p1-e/*?", "Practitioner/hospital-d1/*?_count=2", "?_id=posta-p1,hospital-p1,posta-p1-o1&_count=1", "?_type=Patient,Observation,Encounter&_lastUpdated=gt2020&_count=3&_total=accurate", "?_content=presion&_include=*",
]  # fmt: skip


@pytest.mark.parametrize("are_low", [False, True], ids=["", "bounds that what is hidden would reach"])
@pytest.mark.parametrize("path", SEARCHES)
def test_a_search_is_answered_as_if_the_hidden_were_not_there(shared_hub, monkeypatch, path, are_low):
    if are_low:
        low = settings().model_copy(update={"max_scan_rows": 9})
        monkeypatch.setattr(matches, "settings", lambda: low)
        monkeypatch.setattr(matches, "CHUNK_ROWS", 2)
        monkeypatch.setattr(include, "MOST_INCLUDED", 6)
    answers = []
    for build in (_with_hidden, _own):
        world = shared_hub.clear()
        build(world)
        answers.append(ask(world.hospital, path))
    assert answers[0] == answers[1]


@pytest.mark.parametrize("criteria", ["subject=posta-p1&status=final", "encounter.subject=posta-p1", "patient=posta-p1", "derived-from.code=8480-6", "_id=posta-p1-o1", "_has:Observation:derived-from:patient._id=posta-p1", "_list=posta-p1-l"])  # fmt: skip
@pytest.mark.parametrize("act", ["delete", "put where"])
def test_a_condition_finds_nothing_hidden(shared_hub, criteria, act):
    """Neither the person behind a hidden record nor several matches that are hidden: it is as if nothing matched."""
    answers = []
    for build in (_with_hidden, _own):
        world = shared_hub.clear()
        build(world)
        body = an_observation("hospital-new", "hospital-p1")
        said = world.hospital.delete(f"Observation?{criteria}") if act == "delete" else world.hospital.put_where(criteria, body)  # fmt: skip
        answers.append(said.normalised())
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("scopes", "path", "status"),
    [
        # a chain through what the token may not read leads nowhere; what it names itself is refused, hidden or not
        ("system/Observation.rs", "Observation?patient.family=quispe", 200), ("system/Observation.rs", "Observation?encounter.status=finished", 200), ("system/Observation.rs", "Observation?_include=Observation:subject", 200), ("system/Observation.rs", "Observation?_list=hospital-l", 200),
        ("system/Observation.rs", "Observation?_has:List:item:status=current", 200), ("system/Observation.rs", "Patient?", 403), ("system/Observation.rs", "Observation?_revinclude=List:item", 403), ("system/Observation.rs", "?_type=Observation,Patient", 403), ("system/Patient.rs", "Patient?_has:Observation:patient:code=8480-6", 200),
        ("system/Observation.rs", "?_id=hospital-p1", 200),
    ],
)  # fmt: skip
def test_what_a_token_may_not_read_finds_and_adds_nothing(shared_hub, scopes, path, status):
    answers = []
    for build in (_with_hidden, _own):
        world = shared_hub.clear()
        build(world)
        answers.append(ask(world.of(HOSPITAL, scopes), path))
    assert answers[0] == answers[1]
    assert answers[0][0][0] == status
    if status == 200 and "_include" not in path:
        assert not [each for each in json.loads(answers[0][0][2]).get("entry", ()) if each["search"]["mode"] == "match"]  # fmt: skip
    assert '"mode":"include"' not in answers[0][0][2]


def test_the_tests_would_notice(shared_hub):
    """The post itself finds by the same searches what the hospital does not."""
    world = shared_hub.clear()
    _with_hidden(world)
    for path in ("Patient?_has:Observation:patient:code=8480-6", "Observation?encounter.status=finished", "Observation?_list=posta-p1-l", "Encounter?part-of:below=posta-p1-e"):  # fmt: skip
        assert "posta-p1" in ask(world.post, path)[0][2]
        assert '"posta-p1' not in ask(world.hospital, path)[0][2].replace("Encounter/posta", "").replace("Observation/posta", "")  # fmt: skip
