"""No permit, no row: what a caller may not see answers as if it had never been.

Two hubs are asked the same. One holds what is hidden from the asking hospital, the other never held it; every answer is
equal byte for byte, random ids, clocks and sealed page tokens aside.
"""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from exchange.fhir import peru
from tests.passage.world import World, a_world, entry, patient_of
from tests.sample.consent import a_consent
from tests.sample.observation import an_observation
from tests.sample.requester import HOSPITAL, INSTITUTE, POST

HIDDEN_ID, ABSENT_ID = "posta-p1", "posta-p404"


def _chart(
    prefix: str, number: int, *, codes: tuple[str, ...] = ("8480-6", "8462-4", "8867-4")
) -> list[dict]:
    patient = f"{prefix}p{number}"
    subject = {"reference": f"Patient/{patient}"}
    made: list[dict] = [
        {
            "resourceType": "Encounter", "id": f"{patient}-e1", "status": "finished", "subject": subject,
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
            "period": {"start": "2026-05-01", "end": "2026-05-01"},
            "serviceProvider": {"reference": "Organization/hospital-org"},
        },
        {
            "resourceType": "Condition", "id": f"{patient}-c1", "subject": subject,
            "code": {"coding": [{"system": peru.CIE10_SYSTEM, "code": "B20"}], "text": "Enfermedad reservada"},
            "encounter": {"reference": f"Encounter/{patient}-e1"},
        },
        {
            "resourceType": "DocumentReference", "id": f"{patient}-d1", "status": "current", "subject": subject,
            "content": [{"attachment": {"contentType": "text/plain", "url": f"Binary/{patient}-b1"}}],
        },
        {
            "resourceType": "Binary", "id": f"{patient}-b1", "contentType": "text/plain",
            "securityContext": subject, "data": "c2VjcmV0bw==",
        },
        {
            "resourceType": "Provenance", "id": f"{patient}-v1", "target": [{"reference": f"Condition/{patient}-c1"}, subject],
            "recorded": "2026-05-01T10:00:00Z", "agent": [{"who": {"reference": "Organization/hospital-org"}}],
        },
    ]  # fmt: skip
    made += [
        an_observation(
            f"{patient}-o{place}", patient, code=code, effective=f"2026-05-{place + 1:02d}T08:30:00-05:00",
            encounter={"reference": f"Encounter/{patient}-e1"},
        )
        for place, code in enumerate(codes)
    ]  # fmt: skip
    return made


def _appointment(appointment_id: str, *patients: str) -> dict:
    return {
        "resourceType": "Appointment", "id": appointment_id, "status": "proposed",
        "participant": [{"actor": {"reference": f"Patient/{each}"}, "status": "accepted"} for each in patients],
    }  # fmt: skip


def _seen(world: World) -> None:
    """What the hospital may see: its own record of person 5, and person 3, who permits it."""
    world.hospital.store(
        {"resourceType": "Organization", "id": "hospital-org", "name": "HOSPITAL REGIONAL"},
        patient_of(HOSPITAL, 5),
        *_chart("hospital-", 5),
    )
    world.post.store(
        patient_of(POST, 3), *_chart("posta-", 3), a_consent("posta-allow3", "posta-p3", permit=HOSPITAL)
    )


def _hidden(world: World) -> None:
    """What it may not: strangers, its own patient's record elsewhere, a person who denies, and what hangs on them."""
    post, institute = world.post, world.institute
    post.store(patient_of(POST, 1), *_chart("posta-", 1))
    post.store(patient_of(POST, 5), *_chart("posta-", 5))
    post.store(patient_of(POST, 6), *_chart("posta-", 6), a_consent("posta-deny6", "posta-p6", deny=HOSPITAL))
    institute.store(patient_of(INSTITUTE, 1), *_chart("instituto-", 1))
    institute.store(patient_of(INSTITUTE, 9), a_consent("instituto-elsewhere", "instituto-p9", permit=POST))
    institute.store(
        patient_of(INSTITUTE, 10),
        a_consent("instituto-both", "instituto-p10", permit=HOSPITAL),
        a_consent("instituto-but", "instituto-p10", deny=HOSPITAL),
        *_chart("instituto-", 10),
    )
    # About two patients, one of whom is hidden; without a patient, and so its facility's own.
    post.store(_appointment("posta-a1", "posta-p3", "posta-p1"))
    post.store({"resourceType": "List", "id": "posta-l1", "status": "current", "mode": "working"})
    # Changed and deleted: histories.
    post.store(an_observation("posta-p1-o0", "posta-p1", status="amended"))
    post.store(an_observation("posta-gone", "posta-p1"))
    assert post.delete("Observation/posta-gone").status == 204


def _pair(server):
    with ExitStack() as stack:
        full = stack.enter_context(a_world(server))
        bare = stack.enter_context(a_world(server, like=full))
        for world in (full, bare):
            _seen(world)
        _hidden(full)
        yield full, bare


@pytest.fixture(scope="module")
def hubs(server):
    """The hub that holds the hidden resources, and the one that never did: only read."""
    yield from _pair(server)


@pytest.fixture(scope="module")
def written(server):
    """Such a pair, for tests that write."""
    yield from _pair(server)


def _same(hubs, ask) -> None:
    full, bare = (ask(world.hospital) for world in hubs)
    assert full.normalised() == bare.normalised()


DNI_1, DNI_5 = (f"{peru.DNI_SYSTEM}%7C{40_000_000 + number}" for number in (1, 5))

READS = [
    path
    for kind, hidden in (
        ("Patient", "posta-p1"), ("Patient", "posta-p5"), ("Patient", "posta-p6"), ("Patient", "instituto-p10"),
        ("Observation", "posta-p1-o0"), ("Observation", "posta-gone"), ("Condition", "posta-p5-c1"),
        ("Encounter", "posta-p6-e1"), ("DocumentReference", "posta-p1-d1"), ("Binary", "posta-p1-b1"),
        ("Provenance", "posta-p1-v1"), ("Appointment", "posta-a1"), ("List", "posta-l1"),
        ("Consent", "posta-deny6"), ("Consent", "instituto-elsewhere"), ("Consent", "instituto-both"),
    )
    for path in (
        f"{kind}/{hidden}", f"{kind}/{hidden}/_history", f"{kind}/{hidden}/_history?_count=1",
        f"{kind}/{hidden}/_history/1", f"{kind}/{hidden}/_history/2",
    )
]  # fmt: skip


@pytest.mark.parametrize("path", READS)
def test_a_read_a_version_and_a_history_of_something_hidden_are_not_found(hubs, path):
    _same(hubs, lambda caller: caller.get(path))
    assert hubs[0].hospital.get(path).status == 404


@pytest.mark.parametrize(
    "path", ["Patient/{}", "Patient/{}/_history", "Patient/{}/_history/1", "Patient/{}/$everything"]
)
def test_hidden_and_absent_are_refused_with_the_same_words(hubs, path):
    hidden, absent = (hubs[0].hospital.get(path.format(each)) for each in (HIDDEN_ID, ABSENT_ID))
    assert (hidden.status, hidden.headers, hidden.text) == (absent.status, absent.headers, absent.text)


SEARCHES = [
    # every kind of parameter, values that hidden resources have
    "Patient", f"Patient?identifier={DNI_1}", f"Patient?identifier={DNI_5}", "Patient?identifier=40000001",
    "Patient?family=quispe", "Patient?family:contains=uis", "Patient?family:exact=Quispe", "Patient?name=rosa",
    "Patient?birthdate=1951-03-09", "Patient?birthdate=1951", "Patient?birthdate=ge1900", "Patient?gender=female",
    "Patient?gender:not=male", "Patient?gender:missing=true", "Patient?active:missing=true", "Patient?active=true",
    "Patient?_id=posta-p1", "Patient?_id=posta-p1,posta-p3,posta-p5,hospital-p5", "Patient?_id=posta-p404",
    "Patient?_lastUpdated=ge2020", "Patient?_lastUpdated=lt2020", "Patient?organization:missing=true",
    "Patient?link=Patient/posta-p1", "Patient?general-practitioner:missing=true", "Patient?language:missing=false",
    "Observation", "Observation?code=8480-6", "Observation?code=http://loinc.org%7C8480-6", "Observation?code=http://loinc.org%7C",
    "Observation?code:not=8480-6", "Observation?code:missing=false", "Observation?status=final", "Observation?status=amended",
    "Observation?date=2026-05-01", "Observation?date=ge2026-05-02", "Observation?date=lt2026", "Observation?date:missing=true",
    "Observation?encounter=Encounter/posta-p1-e1", "Observation?encounter=posta-p1-e1", "Observation?encounter:missing=false",
    "Observation?encounter=http://127.0.0.1:8780/fhir/Encounter/posta-p1-e1", "Observation?focus=Patient/posta-p1",
    "Condition?code=B20", "Condition?encounter=Encounter/posta-p5-e1", "Encounter?service-provider=Organization/hospital-org",
    "DocumentReference?status=current", "Provenance?target=Condition/posta-p1-c1", "Provenance?recorded=ge2020",
    "Appointment", "Appointment?status=proposed", "List", "List?status=current", "Consent", "Consent?status=active",
    "Consent?_id=posta-deny6", "Binary", "Organization",
    # by patient, in every form of reference
    *(f"{kind}?{name}={form}"
      for kind, name in (("Observation", "patient"), ("Observation", "subject"), ("Condition", "patient"), ("Encounter", "patient"),
                         ("Consent", "patient"), ("Appointment", "actor"), ("Provenance", "patient"))
      for form in ("Patient/posta-p1", "posta-p1", "http://127.0.0.1:8780/fhir/Patient/posta-p1", "Patient/posta-p5", "Patient/posta-p6",
                   "Patient/hospital-p5", "Patient/posta-p3", "Patient/posta-p1,Patient/posta-p3")),
    "Observation?patient=Patient/posta-p3&subject=Patient/posta-p1", "Observation?subject:Patient=posta-p1",
    "Observation?subject=Patient/posta-p3,Group/x", "Observation?subject=Patient/posta-p1,Group/x", "Observation?subject:missing=false",
    "Observation?subject:identifier=40000001", "Observation?performer=Patient/posta-p1",
    "Observation?patient=Patient/hospital-p5&code=8480-6", "Observation?patient=Patient/hospital-p5&date=ge2026-05-02",
    # includes, both ways, from what is seen to what is hidden
    "Observation?_include=Observation:subject", "Observation?_include=Observation:encounter", "Observation?patient=Patient/hospital-p5&_include=Observation:patient",
    "Organization?_revinclude=Encounter:service-provider", "Organization?_revinclude=Provenance:agent", "Patient?_revinclude=Observation:subject",
    "Patient?_revinclude=Condition:patient&_revinclude=Encounter:patient", "Patient?_revinclude=Appointment:actor", "Patient?_revinclude=Consent:patient",
    "Patient?_id=hospital-p5&_revinclude=Observation:patient", "Patient?_revinclude=Provenance:target", "Patient?_include=Patient:link",
    # counts and totals
    *(f"{each}{mark}_{shape}"
      for each, mark in (("Patient", "?"), ("Observation", "?"), ("Observation?code=8480-6", "&"), ("Patient?family=quispe", "&"),
                         ("Observation?patient=Patient/posta-p1", "&"), ("Observation?patient=Patient/hospital-p5", "&"), ("Condition?code=B20", "&"),
                         ("Patient?gender:not=male", "&"), ("Patient?active:missing=true", "&"))
      for shape in ("summary=count", "count=0", "total=accurate", "total=accurate&_count=1", "total=none", "total=estimate")),
    # orders
    "Patient?_sort=_id", "Patient?_sort=-_id", "Patient?_sort=birthdate", "Patient?_sort=-family", "Observation?_sort=date",
    "Observation?_sort=-date", "Observation?_sort=code", "Observation?_sort=_lastUpdated", "Observation?_sort=-_lastUpdated", "Patient?_sort=gender,-birthdate",
    # refusals are the same too
    "Patient?unknown=posta-p1", "Patient?_count=-1", "Observation?value-quantity=118", "Patient?_page=forged",
]  # fmt: skip


@pytest.mark.parametrize("query", SEARCHES)
def test_a_search_answers_as_if_the_hidden_had_never_been(hubs, query):
    _same(hubs, lambda caller: caller.get(query))


@pytest.mark.parametrize(
    "query",
    [
        "Observation?_count=2", "Observation?_count=1&_sort=_id", "Observation?_count=2&_sort=-_lastUpdated", "Patient?_count=1",
        "Observation?_count=2&_sort=code", "Observation?code=8480-6&_count=1", "Patient?family=quispe&_count=1&_total=accurate",
        "Observation?patient=Patient/hospital-p5&_count=1", "Observation?status:not=preliminary&_count=2&_include=Observation:encounter",
    ],
)  # fmt: skip
def test_page_after_page_is_the_same(hubs, query):
    walks = []
    for world in hubs:
        pages, path = [], query
        while path:
            said = world.hospital.get(path)
            assert said.status == 200
            pages.append(said.normalised())
            path = said.next
        walks.append(pages)
    assert walks[0] == walks[1]
    assert len(walks[0]) > 1


def test_no_answer_of_any_search_holds_a_hidden_id(hubs):
    full, _ = hubs
    for query in SEARCHES:
        path = query
        while path:
            said = full.hospital.get(path)
            shown = {each["id"] for each in (*said.matches, *said.included)} if said.status == 200 else set()
            for each in shown:
                assert each.startswith(("hospital-", "posta-p3")) or each == "posta-allow3", (query, each)
            path = said.next if said.status == 200 else ""


@pytest.mark.parametrize(
    "path",
    [f"Patient/{patient}/$everything{types}"
     for patient in ("posta-p1", "posta-p5", "posta-p6", "instituto-p10", "hospital-p5", "posta-p3", "posta-p404")
     for types in ("", "?_type=Observation", "?_type=Observation,Condition", "?_type=Appointment", "?_type=Nothing")],
)  # fmt: skip
def test_everything_holds_nothing_hidden(hubs, path):
    _same(hubs, lambda caller: caller.get(path))


# --- writing: a refusal tells nothing either


def _observation_about(patient: str) -> dict:
    return {**an_observation("hospital-w1", patient), "id": "hospital-w1"}


def _without_id(resource: dict) -> dict:
    return {name: value for name, value in resource.items() if name != "id"}


@pytest.mark.parametrize("about", ["posta-p1", "posta-p5", "posta-p3"])
def test_writing_into_another_facilitys_record_is_refused_as_for_nobody(written, about):
    full, _ = written
    told = [
        (said.status, said.text)
        for patient in (about, ABSENT_ID)
        for said in (full.hospital.put(_observation_about(patient)), full.hospital.post(_without_id(_observation_about(patient))))
    ]  # fmt: skip
    assert told[:2] == told[2:]
    assert {status for status, _ in told} == {422}
    _same(written, lambda caller: caller.put(_observation_about(about)))


@pytest.mark.parametrize("more", [{}, {"if_match": 'W/"1"'}, {"if_match": 'W/"7"'}, {"if_none_match": "*"}])
@pytest.mark.parametrize("hidden", ["posta-p1", "posta-p3"])
def test_putting_over_another_facilitys_resource_is_refused_as_over_nothing(written, hidden, more):
    full, _ = written
    taken, free = (
        full.hospital.put({"resourceType": "Patient", "id": each, "gender": "male"}, **more)
        for each in (hidden, ABSENT_ID)
    )
    assert (taken.status, taken.text) == (free.status, free.text)
    assert taken.status == 422
    _same(
        written,
        lambda caller: caller.put({"resourceType": "Patient", "id": hidden, "gender": "male"}, **more),
    )


@pytest.mark.parametrize("more", [{}, {"if_match": 'W/"1"'}, {"if_match": 'W/"7"'}])
@pytest.mark.parametrize(
    "hidden", ["Patient/posta-p1", "Patient/posta-p3", "Observation/posta-gone", "List/posta-l1"]
)
def test_deleting_another_facilitys_resource_is_refused_as_deleting_nothing(written, hidden, more):
    full, _ = written
    kind = hidden.split("/")[0]
    taken, free = (full.hospital.delete(each, **more) for each in (hidden, f"{kind}/{ABSENT_ID}"))
    assert (taken.status, taken.text) == (free.status, free.text)
    assert taken.status == 404


@pytest.mark.parametrize(
    "criteria",
    [f"identifier={DNI_1}", "family=Quispe&_id=posta-p1", "_id=posta-p1", "_id=posta-p1,posta-p5", "birthdate=1951-03-09",
     "identifier=40000001", "gender:not=male&_id=posta-p1"],
)  # fmt: skip
def test_conditional_create_on_something_hidden_behaves_as_no_match(written, criteria):
    new = {"resourceType": "Patient", "gender": "male", "name": [{"text": "Nadie"}]}
    _same(written, lambda caller: caller.post(new, if_none_exist=criteria))
    for world in written:
        assert world.hospital.post(new, if_none_exist=criteria).status == 201


def test_describing_a_hidden_person_tells_nothing_and_opens_nothing(written):
    """A new Patient with a hidden person's documents is linked in silence; without a consent nothing more is seen."""
    described = patient_of(HOSPITAL, 1)
    _same(written, lambda caller: caller.put(described))
    for path in ("Patient/hospital-p1", "Patient/hospital-p1/$everything", "Observation?patient=Patient/hospital-p1",
                 f"Patient?identifier={DNI_1}", "Patient/posta-p1", "Observation?patient=Patient/posta-p1"):  # fmt: skip
        _same(written, lambda caller, path=path: caller.get(path))


@pytest.mark.parametrize(
    "entries",
    [
        [entry("PUT", "Observation/hospital-t1", an_observation("hospital-t1", "posta-p1"))],
        [entry("POST", "Observation", _without_id(an_observation("x", "posta-p1")))],
        [entry("PUT", "Patient/posta-p1", {"resourceType": "Patient", "id": "posta-p1"})],
        [entry("DELETE", "Patient/posta-p1")],
        [entry("DELETE", "Observation/posta-p1-o0"), entry("PUT", "Basic/hospital-x", {"resourceType": "Basic", "id": "hospital-x", "code": {"text": "x"}})],
        [entry("POST", "Patient", {"resourceType": "Patient"}, ifNoneExist=f"identifier={DNI_1}&_tag=n1")],
        [entry("POST", "Observation", _without_id(an_observation("x", "x")) | {"subject": {"reference": f"Patient?identifier={DNI_1}&_tag=n"}})],
        [entry("POST", "Observation", _without_id(an_observation("x", "x")) | {"subject": {"reference": "Patient?_id=posta-p1"}})],
        [entry("POST", "Observation", _without_id(an_observation("x", "hospital-p5")) | {"encounter": {"reference": "Encounter?_id=posta-p1-e1"}})],
    ],
    ids=["put-about", "post-about", "put-over", "delete", "delete-among", "if-none-exist", "reference-dni", "reference-id", "reference-encounter"],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["transaction", "batch"])
def test_entries_of_a_bundle_are_no_way_around(written, kind, entries):
    _same(written, lambda caller: caller.bundle(kind, entries))


@pytest.mark.parametrize(
    "url",
    ["Patient/posta-p1", "Patient/posta-p5", "Observation/posta-gone", "Patient?_id=posta-p1", "Observation?patient=Patient/posta-p1",
     "Observation?code=8480-6&_summary=count", f"Patient?identifier={DNI_1}", "Patient?_revinclude=Observation:subject"],
)  # fmt: skip
def test_reading_in_a_batch_is_no_way_around(hubs, url):
    _same(
        hubs, lambda caller: caller.bundle("batch", [entry("GET", url), entry("GET", "Patient/hospital-p5")])
    )


def test_a_conditional_reference_to_something_hidden_reads_as_one_to_nothing(written):
    full, _ = written
    told = []
    for number in (1, 404):
        dni = f"{peru.DNI_SYSTEM}|{40_000_000 + number}&_tag=n"
        body = _without_id(an_observation("x", "x")) | {"subject": {"reference": f"Patient?identifier={dni}"}}
        told.append(full.hospital.bundle("transaction", [entry("POST", "Observation", body)]))
    assert (told[0].status, told[0].text) == (told[1].status, told[1].text)
    assert told[0].status == 422


def test_the_deletion_of_a_resource_of_two_patients_is_as_hidden_as_the_resource(written):
    full, bare = written
    for world in written:
        world.post.store(_appointment("posta-a3", "posta-p3"))  # the hospital may see person 3
    full.post.store(patient_of(POST, 11), _appointment("posta-a2", "posta-p3", "posta-p11"))
    assert full.hospital.get("Appointment/posta-a2").status == 404
    full.post.delete("Appointment/posta-a2")
    for path in ("Appointment/posta-a2", "Appointment/posta-a2/_history"):
        assert full.hospital.get(path).normalised() == bare.hospital.get(path).normalised()
