"""Hidden equals absent, for worlds and requests that nobody thought of.

A random region is built twice in one hub, once with what the asking facility may not see and once without; a random
request is answered the same, byte for byte, random ids, clocks and sealed page tokens aside.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from itertools import combinations
from urllib.parse import parse_qsl

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exchange.request import Request
from exchange.search import include, matches
from exchange.settings import settings as hub_settings
from tests.passage.conftest import shared_hub
from tests.passage.world import Caller, Said, World, entry, patient_of
from tests.properties import hidden_searches
from tests.sample.consent import a_consent, a_provision
from tests.sample.observation import an_observation
from tests.sample.requester import HOSPITAL, INSTITUTE, POST

__all__ = ["shared_hub"]

EXAMPLES = int(os.environ.get("CHASQUI_PROPERTY_EXAMPLES", "150"))
CODES = ("8480-6", "8462-4")
PEOPLE = range(1, 5)
CALLERS = {POST: "post", INSTITUTE: "institute", HOSPITAL: "hospital"}
PREFIX = {POST: "posta-", INSTITUTE: "instituto-", HOSPITAL: "hospital-"}

# A record: whose, of which person, what its consent says to the hospital, its observations.
records = st.lists(
    st.tuples(
        st.sampled_from([POST, INSTITUTE, HOSPITAL]), st.sampled_from(PEOPLE), st.sampled_from([None, None, "permit", "deny", "inactive", "other purpose"]),
        st.lists(st.tuples(st.sampled_from(CODES), st.sampled_from(["final", "amended"]), st.integers(1, 28)), max_size=3), st.booleans(),
    ),
    max_size=5, unique_by=lambda each: (each[0], each[1]),
)  # fmt: skip

_ids = st.tuples(st.sampled_from(list(PREFIX.values())), st.sampled_from(PEOPLE)).map(
    lambda each: f"{each[0]}p{each[1]}"
)
_observations = st.tuples(_ids, st.integers(0, 2)).map(lambda each: f"{each[0]}-o{each[1]}")
_criteria = {
    "Patient": ["_id={p}", "family=quispe", "family=quispe {w}", "gender=female", "gender:not=male", "birthdate=ge1952", "birthdate=1951-03-09", "identifier=4000000{n}",
                "identifier=urn:oid:2.16.840.1.113883.4.904|4000000{n}", "active:missing=true", "name:contains=uis", "_lastUpdated=ge2020"],
    "Observation": ["patient={p}", "patient=Patient/{p}", "subject=Patient/{p}", "code=8480-6", "code=http://loinc.org|8462-4", "code:not=8480-6", "status=final",
                    "date=ge2026-05-{d}", "date=2026-05-{d}", "_id={o}", "subject:missing=false", "performer:missing=true", "subject=Patient/{p},Patient/{q}", "subject=Patient/{p},Group/g"],
    "Consent": ["patient={p}", "status=active", "_id={p}-c"],
}  # fmt: skip
_shapes = [
    "",
    "",
    "_summary=count",
    "_count=0",
    "_count=1",
    "_count=2",
    "_total=accurate&_count=1",
    "_sort=_id",
    "_sort=-_lastUpdated",
]
_includes = {"Patient": ["", "_revinclude=Observation:patient", "_revinclude=Consent:patient", "_revinclude=Observation:subject&_revinclude=Provenance:target"],
             "Observation": ["", "_include=Observation:subject", "_include=Observation:patient"], "Consent": ["", "_include=Consent:patient"]}  # fmt: skip


@st.composite
def requests(draw) -> tuple:
    kind = draw(
        st.sampled_from(
            [
                "read",
                "search",
                "search",
                "search",
                "everything",
                "put",
                "put where",
                "patch",
                "delete",
                "create",
                "history",
                "operation",
                "batch",
                "transaction",
            ]
        )
    )
    patient, other, observation = draw(_ids), draw(_ids), draw(_observations)
    match kind:
        case "read":
            place = draw(
                st.sampled_from([f"Patient/{patient}", f"Observation/{observation}", f"Consent/{patient}-c"])
            )
            return ("get", place + draw(st.sampled_from(["", "/_history", "/_history/1", "/_history/2"])))
        case "everything":
            return (
                "get",
                f"Patient/{patient}/$everything"
                + draw(st.sampled_from(["", "?_type=Observation", "?_type=Consent,Patient"])),
            )
        case "put":
            return ("put", an_observation("hospital-new", patient))
        case "put where":
            where = draw(
                st.sampled_from(
                    [f"_id={observation}", f"patient={patient}", f"subject={patient}&status=final"]
                )
            )
            return ("put where", (where, an_observation("hospital-new", "hospital-p1")))
        case "patch":
            place = draw(
                st.sampled_from(
                    [
                        f"Patient/{patient}",
                        f"Observation/{observation}",
                        f"Observation?_id={observation}",
                        f"Patient?_id={patient}",
                    ]
                )
            )
            return (
                "patch",
                (
                    place,
                    [
                        {
                            "op": "test",
                            "path": "/resourceType",
                            "value": draw(st.sampled_from(["Patient", "Basic"])),
                        }
                    ],
                ),
            )
        case "history":
            path = draw(st.sampled_from(["Patient/_history", "Observation/_history", "_history"]))
            return (
                "get",
                path
                + draw(
                    st.sampled_from(
                        [
                            "",
                            "?_count=1",
                            "?_count=3",
                            "?_since=2020-01-01T00:00:00Z",
                            "?_at=2020",
                            "?_at=2999",
                        ]
                    )
                ),
            )
        case "operation":
            return ("get", draw(st.sampled_from([
                "Observation/$meta", f"Observation/{observation}/$meta", f"Patient/{patient}/_history/1/$meta", f"Observation/$lastn?patient={patient}&code=8480-6&max=2",
                f"DocumentReference/$docref?patient={patient}", f"Patient/{patient}/$everything?_count=2", "Patient/$everything?_count=2", f"Encounter/{observation}/$everything",
            ])))  # fmt: skip
        case "delete":
            places = [
                f"Patient/{patient}",
                f"Observation/{observation}",
                f"Observation?_id={observation}",
                f"Patient?_id={patient}",
            ]
            return ("delete", draw(st.sampled_from(places)))
        case "create":
            return (
                "create",
                draw(
                    st.sampled_from(
                        [f"_id={patient}", "family=quispe", f"identifier=4000000{draw(st.integers(1, 4))}"]
                    )
                ),
            )
        case "batch":
            return (
                "batch",
                [
                    entry("GET", f"Patient/{patient}"),
                    entry("GET", f"Observation?patient={other}"),
                    entry("DELETE", f"Observation/{observation}"),
                ],
            )
        case "transaction":
            body = {name: value for name, value in an_observation("x", "x").items() if name != "id"}
            return (
                "transaction",
                [entry("POST", "Observation", body | {"subject": {"reference": f"Patient?_id={patient}"}})],
            )
    resource_type = draw(st.sampled_from(list(_criteria)))
    chosen = draw(st.lists(st.sampled_from(_criteria[resource_type]), max_size=2))
    parts = [
        each.format(
            p=patient,
            q=other,
            o=observation,
            n=draw(st.integers(1, 4)),
            d=f"{draw(st.integers(1, 28)):02d}",
            w="b",
        )
        for each in [*chosen, draw(st.sampled_from(_shapes)), draw(st.sampled_from(_includes[resource_type]))]
        if each
    ]
    return ("get", resource_type + ("?" + "&".join(parts) if parts else ""))


@st.composite
def all_of_search(draw) -> tuple:
    """A search of any kind; a conditional act whose criteria are one; the scopes of who asks; bounds so low that they count."""
    names = {"p": draw(_ids), "q": draw(_ids), "o": draw(_observations), "n": str(draw(st.integers(1, 4))), "d": f"{draw(st.integers(1, 28)):02d}"}  # fmt: skip
    scopes = draw(st.sampled_from(hidden_searches.SCOPES))
    is_bounded = draw(st.booleans())
    kind = draw(st.sampled_from(["get"] * 8 + ["create", "put where", "patch", "delete", "reference"]))
    if kind == "get":
        return ("get", draw(hidden_searches.searches(names)), scopes, is_bounded)
    resource_type = "Patient" if kind == "create" else draw(st.sampled_from(list(hidden_searches.CONDITIONS)))
    criteria = draw(st.sampled_from(hidden_searches.CONDITIONS[resource_type])).format(**names)
    match kind:
        case "create":
            return (kind, criteria, scopes, is_bounded)
        case "put where":
            body = patient_of(HOSPITAL, 9) if resource_type == "Patient" else an_observation("hospital-new", "hospital-p1")  # fmt: skip
            return (kind, (criteria, body), scopes, is_bounded)
        case "patch":
            test = [{"op": "test", "path": "/resourceType", "value": "Basic"}]
            return (kind, (f"{resource_type}?{criteria}", test), scopes, is_bounded)
        case "delete":
            return (kind, f"{resource_type}?{criteria}", scopes, is_bounded)
    body = {name: value for name, value in an_observation("x", "x").items() if name != "id"}
    pointing = {"reference": f"{resource_type}?{criteria}"}
    body |= {"subject": pointing} if resource_type == "Patient" else {"derivedFrom": [pointing], "subject": {"reference": "Patient/hospital-p1"}}  # fmt: skip
    return ("transaction", [entry("POST", "Observation", body)], scopes, is_bounded)


def _build(world: World, region, *, only: set[int] | None) -> None:
    """Store the region's records; `only` keeps the persons that the hospital may know of, and its own records."""
    for organization, number, consent, observations, is_changed in region:
        if only is not None and organization != HOSPITAL and number not in only:
            continue
        caller, patient = getattr(world, CALLERS[organization]), f"{PREFIX[organization]}p{number}"
        caller.store(patient_of(organization, number))
        if is_changed:
            caller.store(patient_of(organization, number, gender="male"))
        for place, (code, status, day) in enumerate(observations):
            caller.store(
                an_observation(
                    f"{patient}-o{place}", patient, code=code, status=status, effective=f"2026-05-{day:02d}"
                )
            )
        match consent:
            case "permit" if organization != HOSPITAL:
                caller.store(a_consent(f"{patient}-c", patient, permit=HOSPITAL))
            case "deny":
                caller.store(a_consent(f"{patient}-c", patient, deny=HOSPITAL))
            case "inactive":
                caller.store(a_consent(f"{patient}-c", patient, permit=INSTITUTE, status="inactive"))
            case "other purpose":
                research = a_provision("permit", actors=[HOSPITAL], purposes=["PUBHLTH"])
                if organization != HOSPITAL:
                    caller.store(a_consent(f"{patient}-c", patient, provision=research))


def _open_to_the_hospital(region) -> set[int]:
    """The persons who are open to it: somebody's consent permits, and nobody's denies.

    A consent follows the person, so it counts wherever a record that agrees holds it; here all records of a number agree
    unless one says another gender, and then the hub does not link it: such regions are told apart below.
    """
    permitted = {
        number
        for organization, number, consent, *_ in region
        if consent == "permit" and organization != HOSPITAL
    }
    denied = {number for _, number, consent, *_ in region if consent == "deny"}
    return permitted - denied


def _build_charts(world: World, region, *, only: set[int] | None) -> None:
    """The same region with whole charts, appointments of several, and what the hospital itself says of all of them."""
    world.hospital.store(*hidden_searches.directory())
    kept = [each for each in region if only is None or each[0] == HOSPITAL or each[1] in only]
    for organization, number, *_, observations, _changed in kept:
        caller, patient = getattr(world, CALLERS[organization]), f"{PREFIX[organization]}p{number}"
        caller.store(hidden_searches.about_patient(patient_of(organization, number), number))
        caller.store(*hidden_searches.visit(patient, 1 + number))
        caller.store(
            *(hidden_searches.observation(patient, place, *told) for place, told in enumerate(observations))
        )
    for one, other in combinations(kept, 2):
        if one[0] == other[0] and one[1] != other[1]:
            caller, prefix = getattr(world, CALLERS[one[0]]), PREFIX[one[0]]
            name = f"{prefix}a{one[1]}{other[1]}"
            caller.store(hidden_searches.appointment(name, f"{prefix}p{one[1]}", f"{prefix}p{other[1]}"))
    own = next((f"hospital-p{each[1]}" for each in region if each[0] == HOSPITAL), "")
    if own:
        others = [f"{PREFIX[each[0]]}p{each[1]}" for each in region if each[0] != HOSPITAL]
        world.hospital.store(*hidden_searches.pointing(own, others))
    for organization, number, consent, *_ in kept:
        caller, patient = getattr(world, CALLERS[organization]), f"{PREFIX[organization]}p{number}"
        if consent == "permit" and organization != HOSPITAL:
            caller.store(a_consent(f"{patient}-c", patient, permit=HOSPITAL))
        if consent == "deny":
            caller.store(a_consent(f"{patient}-c", patient, deny=HOSPITAL))


@contextmanager
def _bounds(*, are_low: bool) -> Iterator[None]:
    """Bounds that a handful of resources reaches: what is refused as too costly, cut off or read in parts must not tell."""
    if not are_low:
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        low = hub_settings().model_copy(update={"max_scan_rows": 6})
        patch.setattr(matches, "settings", lambda: low)
        patch.setattr(matches, "CHUNK_ROWS", 2)
        patch.setattr(matches, "CHUNK_PLACES", 1)
        patch.setattr(include, "MOST_INCLUDED", 4)
        patch.setattr(include, "MOST_STEPS", 2)
        yield


def _get(caller: Caller, path: str) -> Said:
    """GET below the base, compartments and searches over several types included."""
    place, _, query = path.partition("?")
    parts = place.split("/")
    if place and (len(parts) != 3 or parts[2].startswith(("$", "_"))):
        return caller.get(path)
    pairs = tuple(parse_qsl(query, keep_blank_values=True))
    compartment = (parts[0], parts[1]) if place else None
    resource_type = parts[-1].replace("*", "")
    kind = "search-type" if resource_type else "search-system"
    return caller.ask(Request(kind, resource_type, compartment=compartment, query=pairs, described=f"GET /fhir/{path}"))  # fmt: skip


def _following(said: Said) -> str:
    if said.status != 200 or said.body["resourceType"] != "Bundle":
        return ""
    links = [each["url"] for each in said.body.get("link", ()) if each["relation"] == "next"]
    return links[0].removeprefix(hub_settings().fhir_url).removeprefix("/") if links else ""


def _ask(world: World, request: tuple, scopes: str = "system/*.cruds") -> list:
    kind, what = request
    hospital = world.of(HOSPITAL, scopes)
    world.settle()
    match kind:
        case "get":
            pages, path = [], what
            while path and len(pages) < 30:
                said = _get(hospital, path)
                pages.append(said.normalised())
                path = _following(said)
            return pages
        case "put":
            return [hospital.put(deepcopy(what)).normalised()]
        case "put where":
            return [hospital.put_where(what[0], deepcopy(what[1])).normalised()]
        case "patch":
            return [hospital.patch(*deepcopy(what)).normalised()]
        case "delete":
            return [hospital.delete(what).normalised()]
        case "create":
            return [
                hospital.post({"resourceType": "Patient", "gender": "other"}, if_none_exist=what).normalised()
            ]
    return [hospital.bundle(kind, deepcopy(what)).normalised()]


@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(region=records, request=requests())
def test_an_answer_is_the_same_whether_the_hidden_is_there_or_not(shared_hub, region, request):
    # Records of one person that contradict each other are not linked, and a consent then covers some alone.
    region = [(*each[:4], False) if _is_shared(region, each[1]) else each for each in region]
    answers = []
    for only in (None, _open_to_the_hospital(region)):
        world = shared_hub.clear()
        _build(world, region, only=only)
        answers.append(_ask(world, request))
    assert answers[0] == answers[1]


charts = st.lists(
    st.tuples(
        st.sampled_from([POST, INSTITUTE, HOSPITAL]), st.sampled_from(PEOPLE), st.sampled_from([None, None, "permit", "permit", "deny"]),
        st.lists(st.tuples(st.sampled_from(CODES), st.sampled_from(["final", "amended"]), st.integers(1, 28)), max_size=3), st.just(False),
    ),
    min_size=1, max_size=5, unique_by=lambda each: (each[0], each[1]),
)  # fmt: skip


@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(region=charts, request=all_of_search())
def test_a_search_is_answered_the_same_whether_the_hidden_is_there_or_not(shared_hub, region, request):
    *asked, scopes, is_bounded = request
    answers = []
    for only in (None, _open_to_the_hospital(region)):
        world = shared_hub.clear()
        _build_charts(world, region, only=only)
        with _bounds(are_low=is_bounded):
            answers.append(_ask(world, tuple(asked), scopes))
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    "path",
    ["Observation?patient.family=quispe", "Patient?_has:Observation:patient:code=8480-6", "Observation?encounter.status=finished", "Observation?_list=posta-p1-l", "Encounter?part-of:below=posta-p1-e", "Practitioner?_has:Observation:performer:code=8480-6",
     "Appointment?patient=posta-p1", "Patient?_revinclude=Appointment:actor", "?_type=Patient,Observation", "Patient/posta-p1/*", "Encounter/posta-p1-e/Observation", "Observation?_filter=not (status eq amended)", "Patient?_text=presion", "Observation?_sort=code&_count=1"],
)  # fmt: skip
def test_the_property_would_notice_by_each_kind_of_search(shared_hub, path):
    region = [(POST, number, "permit", [("8480-6", "final", 1)], False) for number in (1, 2)]
    answers = []
    for only in (None, set()):
        world = shared_hub.clear()
        _build_charts(world, region, only=only)
        answers.append(_ask(world, ("get", path)))
    assert answers[0] != answers[1]
    assert answers[0][0][0] == 200


def _is_shared(region, number: int) -> bool:
    return sum(1 for each in region if each[1] == number) > 1


@pytest.mark.parametrize("path", ["Patient?gender=female", "Observation?_summary=count", "Patient/posta-p1"])
def test_the_property_would_notice(shared_hub, path):
    """The comparison itself sees a difference where there is one to be seen."""
    region = [(POST, 1, "permit", [("8480-6", "final", 1)], False)]
    answers = []
    for only in (None, set()):
        world = shared_hub.clear()
        _build(world, region, only=only)
        answers.append(_ask(world, ("get", path)))
    assert answers[0] != answers[1]
