"""Signals: each kind with what raises it and the near miss that does not; who reads them, and what looking comes to."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from exchange.audit.signals import facts, signs
from exchange.audit.signals.facts import surnames
from exchange.audit.signals.signal import KINDS, weight_of, words_of
from exchange.policy.adopted import policy
from exchange.requester import User
from tests.exchange.operations.call import answered, call, given
from tests.passage.conftest import empty, shared_hub
from tests.passage.world import Caller, patient_of, seal_all
from tests.sample.consent import a_consent
from tests.sample.emergency import REASON, a_physician, an_officer, opened, the_patient
from tests.sample.observation import an_observation
from tests.sample.patient import a_patient
from tests.sample.requester import HOSPITAL, INSTITUTE, POST, a_requester

__all__ = ["empty", "shared_hub"]
TODAY = datetime.now(UTC)
DNI = "urn:oid:2.16.840.1.113883.4.904"


@pytest.fixture
def world(empty, monkeypatch):
    """Every hour is usual, but where a test says otherwise."""
    always(monkeypatch, from_hour=0, until_hour=24, weekends=True)
    for number in (1, 2, 3):
        empty.post.store(
            patient_of(POST, number),
            an_observation(f"posta-o{number}", f"posta-p{number}", effective="2020-01-01"),
            a_consent(f"posta-c{number}", f"posta-p{number}", permit=HOSPITAL),
        )
    look(empty)
    return empty


def always(monkeypatch, **hours) -> None:
    told = policy()
    monkeypatch.setattr(
        signs,
        "policy",
        lambda: told.model_copy(update={"oversight": told.oversight.model_copy(update=hours)}),
    )


def look(world) -> None:
    """Seal what was written, and look through it."""
    seal_all(world)
    while world.spine.find_signals():
        pass


def found(world, caller: Caller | None = None, query: str = "_count=100") -> list[dict]:
    look(world)
    said = (caller or world.administrator).get(f"AuditEvent/$access-signals?{query}")
    assert said.status == 200, said.text
    return [dict(each) for each in answered(said).get("signal", [])] if said.body.get("parameter") else []


def kinds(world) -> list[str]:
    return [each["kind"] for each in found(world)]


def of(
    world, user: str = "u1", name: str = "Elsa Torres Vega", organization: str = HOSPITAL, **more
) -> Caller:
    asking = a_requester(organization, client="his", **more)
    return Caller(world.spine, replace(asking, user=User(user, name, "physician")))


def treated(world, organization: str = HOSPITAL, number: int = 1, days: int = 0) -> None:
    """The hospital has the person, and an Encounter so many days ago."""
    prefix = {HOSPITAL: "hospital-", POST: "posta-"}[organization]
    at = (TODAY - timedelta(days=days)).date().isoformat()
    caller = world.of(organization)
    caller.store(
        patient_of(organization, number),
        {"resourceType": "Encounter", "id": f"{prefix}e{number}", "status": "finished", "class": {"code": "AMB"},
         "subject": {"reference": f"Patient/{prefix}p{number}"}, "period": {"start": at, "end": at}},
    )  # fmt: skip


# --- no treatment relation


def test_no_relation(world):
    of(world).get("Observation/posta-o1")
    event = world.events()[-1]["id"]
    [signal] = found(world)
    assert (signal["kind"], signal["weight"], signal["user"]) == ("no-relation", 45, "u1")
    assert signal["facility"] == {"reference": f"Organization/{HOSPITAL}"}
    assert signal["event"] == {"reference": f"AuditEvent/{event}"}
    assert "30 días" in signal["why"]
    assert "30 days" in signal["why-english"]


@pytest.mark.parametrize("days", [0, 29, -29])
def test_a_treatment_within_thirty_days_explains_it(world, days):
    treated(world, days=days)
    of(world).get("Observation/posta-o1")
    assert kinds(world) == []


def test_an_older_treatment_explains_half(world):
    treated(world, days=60)
    of(world).get("Observation/posta-o1")
    [signal] = found(world)
    assert (signal["kind"], signal["weight"], signal["relation"]) == ("no-relation", 22, "former")


def test_another_facility_s_treatment_explains_nothing(world):
    treated(world, POST)
    of(world).get("Observation/posta-o1")
    assert kinds(world) == ["no-relation"]


def test_one_day_of_looking_is_one_signal(world):
    for _ in range(3):
        of(world).get("Observation/posta-o1")
    of(world).get("Observation?patient=posta-p1")
    assert kinds(world) == ["no-relation"]


def test_writing_and_refusals_and_the_patient_s_own_look_raise_nothing(world):
    world.post.put(an_observation("posta-o1", "posta-p1", effective="2020-01-01", status="amended"))
    of(world, organization=INSTITUTE).get("Observation/posta-o1")
    the_patient(world).get("Observation/posta-o1")
    world.administrator.get("AuditEvent/$accesses?patient=posta-p1")
    assert kinds(world) == []


# --- names


def a_person(world, family: str, given_name: str = "Marco") -> None:
    world.post.store(a_patient("posta-p9", family=family, given=(given_name,), dni="45450001"))
    world.post.store(
        an_observation("posta-o9", "posta-p9", effective="2020-01-01"),
        a_consent("posta-c9", "posta-p9", permit=HOSPITAL),
    )


@pytest.mark.parametrize("name", ["Elsa Huamán Vega", "Dra. Elsa Huaman", "Elsa Rosa Vega HUAMÁN"])
def test_same_surname(world, name):
    a_person(world, "Huamán Ríos")
    of(world, name=name).get("Observation/posta-o9")
    assert kinds(world) == ["same-surname", "no-relation"]


@pytest.mark.parametrize("name", ["Huamán Torres Vega", "Elsa Torres", "", "Elsa Huamani Vega", "Dr. Huamán"])
def test_a_given_name_or_another_surname_is_none(world, name):
    a_person(world, "Huamán Ríos")
    of(world, name=name).get("Observation/posta-o9")
    assert "same-surname" not in kinds(world)


def test_a_treatment_explains_a_shared_surname_mostly(world):
    treated(world)
    of(world, name="Elsa Quispe Vega").get("Observation/posta-o1")
    assert [(each["kind"], each["weight"]) for each in found(world)] == [("same-surname", 15)]


def test_surnames_of_names_as_accounts_write_them():
    assert surnames("Dra. Elsa Flores") == {"flores"}
    assert surnames("Elsa Rosa Flores Quispe") == {"flores", "quispe"}
    assert surnames("") == surnames("Flores") == frozenset()


def an_account(world, name: str, organization: str = HOSPITAL, reference: str = "") -> None:
    with world.sql() as cursor:
        cursor.execute(
            "INSERT INTO account (account_id, issuer, subject, name, role, organization_id, within, functional_role,"
            " reference, valid_from) VALUES (%s, 'x', %s, %s, 'clinician', %s, '{}', '', %s, '2020-01-01')",
            (name, name, name, organization, reference),
        )


@pytest.fixture
def accounts(world):
    with world.sql() as cursor:
        cursor.execute("DELETE FROM account")
    yield world
    with world.sql() as cursor:
        cursor.execute("DELETE FROM account")


def test_a_colleague_by_the_full_name(accounts):
    a_person(accounts, "Huamán Ríos")
    an_account(accounts, "Marco Huamán Ríos")
    of(accounts).get("Observation/posta-o9")
    assert kinds(accounts) == ["colleague", "no-relation"]


def test_a_colleague_by_the_document(accounts):
    a_person(accounts, "Huamán Ríos")
    worker = {
        "resourceType": "Practitioner",
        "id": "hospital-m1",
        "identifier": [{"system": DNI, "value": "45450001"}],
    }
    accounts.hospital.store(worker)
    an_account(accounts, "M. H.", reference="Practitioner/hospital-m1")
    of(accounts).get("Observation/posta-o9")
    assert kinds(accounts) == ["colleague", "no-relation"]


@pytest.mark.parametrize(
    ("name", "organization"), [("Marco Huamán Ríos", INSTITUTE), ("Marco Huamán Rivas", HOSPITAL), ("Huamán Ríos", HOSPITAL)]
)  # fmt: skip
def test_somebody_who_works_elsewhere_or_has_a_similar_name_is_none(accounts, name, organization):
    a_person(accounts, "Huamán Ríos")
    an_account(accounts, name, organization)
    of(accounts).get("Observation/posta-o9")
    assert kinds(accounts) == ["no-relation"]


# --- hours


def clock(days: int = 0, hour: int = 3) -> datetime:
    """An instant of a Wednesday, or so many days after it, on the region's clocks."""
    from exchange.settings import settings

    return datetime(2026, 3, 4, hour, 30, tzinfo=settings().zone) + timedelta(days=days)


def at(world, monkeypatch, when: datetime):
    """What is asked now happens then."""
    from exchange.store import session

    monkeypatch.setattr(session.time, "time_ns", lambda: int(when.timestamp() * 1e9))


@pytest.mark.parametrize(("days", "hour"), [(0, 3), (0, 21), (0, 23), (3, 11), (4, 11)])
def test_after_hours_and_on_weekends(world, monkeypatch, days, hour):
    always(monkeypatch, from_hour=6, until_hour=21, weekends=False)
    at(world, monkeypatch, clock(days, hour))
    of(world).get("Observation/posta-o1")
    monkeypatch.undo()
    always(monkeypatch, from_hour=6, until_hour=21, weekends=False)
    assert kinds(world) == ["after-hours", "no-relation"]


@pytest.mark.parametrize(("days", "hour", "purpose"), [(0, 6, "TREAT"), (2, 20, "TREAT"), (0, 3, "ETREAT")])
def test_in_usual_hours_or_in_an_emergency_room_it_is_none(world, monkeypatch, days, hour, purpose):
    at(world, monkeypatch, clock(days, hour))
    of(world, purpose=purpose).get("Observation/posta-o1")
    monkeypatch.undo()
    always(monkeypatch, from_hour=6, until_hour=21, weekends=False)
    assert kinds(world) == ["no-relation"]


def test_a_treatment_explains_the_night(world, monkeypatch):
    treated(world)
    of(world).get("Observation/posta-o1")
    always(monkeypatch, from_hour=0, until_hour=1, weekends=False)
    assert kinds(world) == []


# --- how


def crowd(world, count: int) -> None:
    for number in range(100, 100 + count):
        world.post.store(patient_of(POST, number))


def test_mass_browsing(world):
    crowd(world, 31)
    look(world)
    own = of(world, organization=POST)
    for number in range(100, 131):
        own.get(f"Patient/posta-p{number}")
    signal = next(each for each in found(world) if each["kind"] == "mass-browsing")
    assert (signal["weight"], signal["user"]) == (70, "u1")
    assert "31 personas" in signal["why"]


def test_thirty_an_hour_are_none_nor_what_a_system_fetches(world):
    crowd(world, 31)
    look(world)
    own = of(world, organization=POST)
    for number in range(100, 130):
        own.get(f"Patient/posta-p{number}")
    for number in range(100, 131):
        world.post.get(f"Patient/posta-p{number}")
    assert "mass-browsing" not in kinds(world)


def test_whoever_sees_many_every_hour_may_see_five_times_as_many(world, monkeypatch):
    crowd(world, 40)
    look(world)
    own = of(world, organization=POST)
    now = datetime.now(UTC)
    for hours in (50, 26):
        at(world, monkeypatch, now - timedelta(hours=hours))
        for number in range(100, 110):
            own.get(f"Patient/posta-p{number}")
    monkeypatch.undo()
    always(monkeypatch, from_hour=0, until_hour=24, weekends=True)
    for number in range(100, 140):
        own.get(f"Patient/posta-p{number}")
    assert "mass-browsing" not in kinds(world)


@pytest.mark.parametrize("numbers", [range(45_000_000, 45_000_010), [45_000_000 + 7 * each for each in (3, 1, 9, 0, 4, 8, 2, 6, 5, 7)], range(45_000_000, 45_130_000, 9_000)])  # fmt: skip
def test_enumeration(world, numbers):
    for number in numbers:
        world.hospital.get(f"Patient?identifier={DNI}|{number}")
    assert kinds(world) == ["enumeration"]


@pytest.mark.parametrize(
    "numbers",
    [
        range(45_000_000, 45_000_009),
        [41_212_331, 70_112_009, 8_812_222, 45_333_001, 62_100_777, 19_777_312, 33_901_277, 9_002_131, 28_310_992, 77_120_931, 40_001_234],
        range(10_000_000, 79_000_000, 4_000_000),
    ],
)  # fmt: skip
def test_a_day_s_patients_are_none_even_as_a_sorted_list(world, numbers):
    for number in numbers:
        world.hospital.get(f"Patient?identifier={DNI}|{number:08d}")
    assert kinds(world) == []


def test_numbers_that_are_no_document_are_none(world):
    for number in range(10):
        world.hospital.get(f"Observation?_lastUpdated=ge2026-01-0{number}&code=4500000{number}")
    assert kinds(world) == []


def test_what_is_dense_and_what_is_a_run():
    assert signs.is_dense([5, 5, 5]) is False
    assert signs.is_dense(range(10)) is True
    assert signs.is_dense([each * 23 for each in range(10)]) is False
    assert signs.is_run([each * 10_000 for each in range(15)]) is True
    assert signs.is_run([each * 10_001 for each in range(30)]) is False
    assert all(before < after for before, after in pairwise(range(15)))


def test_denied_then_retry(world):
    denied = of(world, purpose="HMARKT").get("Observation/posta-o1")
    assert denied.status == 403
    assert of(world).get("Observation/posta-o1").status == 200
    signal = found(world)[0]
    assert (signal["kind"], signal["weight"]) == ("denied-then-retry", 80)


def test_the_same_purpose_again_another_resource_or_another_person_is_none(world):
    of(world).get("Observation/posta-none")
    of(world, purpose="HMARKT").get("Observation/posta-o2")
    of(world, "u2", purpose="HMARKT").get("Observation/posta-o1")
    of(world).get("Observation/posta-o1")
    assert set(kinds(world)) == {"no-relation"}


@pytest.mark.parametrize("most", [200, 2])
def test_each_retry_finds_its_own_refusal_among_many(world, monkeypatch, most):
    """What was refused is read once for many events; where there is more of it than is remembered, nothing is missed."""
    monkeypatch.setattr(facts, "MOST_REFUSALS", most)
    for number in (1, 2):
        of(world, purpose="HMARKT").get(f"Observation/posta-o{number}")
        of(world).get(f"Observation/posta-o{number}")
    of(world, purpose="HMARKT").get("Observation/posta-o3")
    of(world).get("Observation/posta-o2")
    assert kinds(world).count("denied-then-retry") == 3


def test_a_retry_after_hours_is_none(world, monkeypatch):
    at(world, monkeypatch, datetime.now(UTC) - timedelta(minutes=16))
    of(world, purpose="HMARKT").get("Observation/posta-o1")
    monkeypatch.undo()
    always(monkeypatch, from_hour=0, until_hour=24, weekends=True)
    of(world).get("Observation/posta-o1")
    assert kinds(world) == ["no-relation"]


# --- sensitive first


@pytest.fixture
def sensitive(world):
    world.post.store(
        {"resourceType": "Condition", "id": "posta-hiv", "subject": {"reference": "Patient/posta-p1"},
         "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "B20"}]}},
    )  # fmt: skip
    look(world)
    return world


def test_sensitive_information_first(sensitive):
    assert of(sensitive, organization=POST).get("Condition/posta-hiv").status == 200
    assert kinds(sensitive)[0] == "sensitive-first"


def test_sensitive_information_in_a_list_first(sensitive):
    of(sensitive, organization=POST).get("Condition?patient=posta-p1&_include=Condition:subject")
    assert "sensitive-first" in kinds(sensitive)


def test_ordinary_information_first_is_none(sensitive):
    own = of(sensitive, organization=POST)
    own.get("Observation/posta-o1")
    own.get("Condition/posta-hiv")
    assert "sensitive-first" not in kinds(sensitive)


def test_an_emergency_first(world):
    world.hospital.store(patient_of(HOSPITAL, 4))
    world.institute.store(patient_of(INSTITUTE, 4))
    physician = a_physician(world, name="Elsa Torres Vega")
    opened(physician, "hospital-p4")
    physician.get("Patient/hospital-p4")
    assert kinds(world)[0] == "sensitive-first"


# --- repeated reasons


def test_the_same_reason_for_another_person(world):
    world.hospital.store(patient_of(HOSPITAL, 4), patient_of(HOSPITAL, 5))
    opened(a_physician(world), "hospital-p4")
    opened(a_physician(world), "hospital-p5", reason=REASON.upper())
    [signal] = [each for each in found(world) if each["kind"] == "repeated-reason"]
    assert signal["weight"] == 75


def test_another_reason_another_person_s_or_the_same_patient_is_none(world):
    world.hospital.store(patient_of(HOSPITAL, 4), patient_of(HOSPITAL, 5))
    opened(a_physician(world), "hospital-p4")
    opened(a_physician(world), "hospital-p4")
    opened(a_physician(world), "hospital-p5", reason="Convulsiona, sin respuesta; se buscan alergias")
    opened(a_physician(world, user="u2"), "hospital-p5")
    assert "repeated-reason" not in kinds(world)


# --- the step


def test_each_event_is_looked_at_once_and_in_order(world, monkeypatch):
    from exchange.audit.signals import step

    of(world).get("Observation/posta-o1")
    assert kinds(world) == ["no-relation"]
    with world.sql() as cursor:
        cursor.execute("SELECT leaf_index FROM signal_position")
        before = cursor.fetchone()[0]
        cursor.execute("DELETE FROM access_signal")
    assert kinds(world) == []
    monkeypatch.setattr(step, "BATCH_ROWS", 2)
    for number in (1, 2, 3):
        of(world).get(f"Observation/posta-o{number}")
    assert len(found(world)) == 3
    with world.sql() as cursor:
        cursor.execute("SELECT leaf_index, (SELECT count(*) FROM audit_leaf) FROM signal_position")
        after, leaves = cursor.fetchone()
    assert before < after <= leaves


def test_what_was_erased_is_passed_over(world):
    of(world).get("Observation/posta-o1")
    seal_all(world)
    with world.database_store.transaction() as transaction:
        compartment = transaction.crypto.blind_index.patient_compartment("posta-p1")
        transaction.store.data_keys.destroy(transaction, compartment)
        transaction.commit()
    world.spine._store.data_keys._kept.clear()
    of(world).get("Observation/posta-o2")
    assert len(found(world)) == 1


# --- reading and judging


def test_what_weighs_most_stands_first_in_pages(world):
    a_person(world, "Huamán Ríos")
    of(world, name="Elsa Huamán").get("Observation/posta-o9")
    of(world).get("Observation/posta-o1")
    every = found(world)
    assert [each["weight"] for each in every] == [60, 45, 45]
    first = world.administrator.get("AuditEvent/$access-signals?_count=2")
    assert len(answered(first)["signal"]) == 2
    following = answered(first)["next"][0].partition("/fhir/")[2]
    [last] = answered(world.administrator.get(following))["signal"]
    assert dict(last)["number"] == every[2]["number"]
    assert an_officer(world).get(following).status == 400


def test_filters(world):
    of(world).get("Observation/posta-o1")
    look(world)
    for query, number in (
        ("kind=no-relation", 1), ("kind=colleague", 0), (f"facility={HOSPITAL}", 1), (f"facility={POST}", 0),
        ("since=2100-01-01", 0), ("until=2000-01-01", 0), ("state=all", 1), ("state=judged", 0),
    ):  # fmt: skip
        assert len(found(world, query=query)) == number, query


def test_an_officer_reads_of_the_own_facility_s_accounts(world):
    of(world).get("Observation/posta-o1")
    assert len(found(world, an_officer(world, HOSPITAL))) == 1
    assert found(world, an_officer(world, POST)) == []


@pytest.mark.parametrize("role", ["system", "clinician", "patient", "operator"])
def test_nobody_else_reads_or_judges(world, role):
    asking = Caller(
        world.spine, replace(a_requester(HOSPITAL, role=role), user=User("x", reference="Patient/posta-p1"))
    )
    assert asking.get("AuditEvent/$access-signals").status == 403
    assert judge(asking, "SE-1").status == 403


def judge(caller: Caller, number: str, verdict: str = "misuse", comment: str = "Sin relación con el caso"):
    told = {"number": ("valueString", number), "verdict": ("valueString", verdict)}
    told |= {"comment": ("valueString", comment)} if comment else {}
    return call(caller, "AuditEvent/$judge-signal", given(**told))


def test_looking_into_one_is_an_act_with_an_event(world):
    of(world).get("Observation/posta-o1")
    number = found(world)[0]["number"]
    before = len(world.events())
    assert judge(an_officer(world), number).status == 200
    [event] = world.events()[before:]
    assert f"signal {number} judged misuse" in event["outcomeDesc"]
    assert found(world) == []
    [judged] = found(world, query="state=judged")
    assert (judged["verdict"], judged["judged-by"], judged["comment"]) == (
        "misuse", "Abog. Salas", "Sin relación con el caso",
    )  # fmt: skip
    assert judge(an_officer(world), number).status == 409


def test_what_stayed_unclear_is_judged_again(world):
    of(world).get("Observation/posta-o1")
    number = found(world)[0]["number"]
    assert judge(world.administrator, number, "unclear").status == 200
    assert judge(world.administrator, number, "explained", "").status == 200


def test_nobody_judges_for_another_facility_nor_about_oneself(world):
    of(world).get("Observation/posta-o1")
    number = found(world)[0]["number"]
    absent = judge(an_officer(world, POST), "SE-NONE")
    assert (judge(an_officer(world, POST), number).status, absent.status) == (404, 404)
    assert judge(an_officer(world, HOSPITAL, user="u1"), number).status == 403


@pytest.mark.parametrize(
    ("told", "status"),
    [({"verdict": "bad"}, 422), ({"comment": ""}, 422), ({"comment": "x" * 1001}, 422), ({"number": " "}, 422),
     ({"number": "x" * 65}, 422)],
)  # fmt: skip
def test_what_is_no_verdict_is_refused(world, told, status):
    assert judge(world.administrator, **({"number": "SE-1"} | told)).status == status


@pytest.mark.parametrize(
    ("path", "status"),
    [("Patient/$access-signals", 400), ("AuditEvent/x/$access-signals", 400), ("AuditEvent/$access-signals?kind=x", 422),
     ("AuditEvent/$access-signals?state=x", 422), ("AuditEvent/$access-signals?_count=0", 400),
     ("AuditEvent/$access-signals?_page=x", 400), ("AuditEvent/$judge-signal?number=x", 405)],
)  # fmt: skip
def test_what_is_no_question_is_refused(world, path, status):
    assert world.administrator.get(path).status == status


def test_nothing_of_a_person_lies_open(world):
    a_person(world, "Zuzunaga Ríos")
    of(world, name="Elsa Zuzunaga").get("Observation/posta-o9")
    look(world)
    with world.sql() as cursor:
        cursor.execute("SELECT a::text || encode(a.body, 'escape') FROM access_signal a")
        text = str(cursor.fetchall())
    assert text.count("SE-") == 2
    for secret in ("Zuzunaga", "posta-", "u1", HOSPITAL, "45450001"):
        assert secret not in text


def test_every_kind_has_words_and_explained_ones_weigh_less():
    for kind, told in KINDS.items():
        numbers = {"count": 3, "usual": 1}
        assert all("{" not in each for each in words_of(kind, numbers))
        assert weight_of(kind, "") == told.weight >= weight_of(kind, "former") >= weight_of(kind, "recent")
    least = min(each.weight for each in KINDS.values())
    assert max(weight_of(kind, "former") for kind in signs_of_persons()) < least


def signs_of_persons() -> list[str]:
    return ["no-relation", "same-surname", "colleague", "sensitive-first", "after-hours"]


def test_an_event_that_somebody_changed_holds_nothing_up(world):
    of(world).get("Observation/posta-o1")
    seal_all(world)
    with world.sql() as cursor:
        cursor.execute(
            "UPDATE audit_event SET body = set_byte(body, 40, get_byte(body, 40) # 1)"
            " WHERE last_updated = (SELECT max(last_updated) FROM audit_event)"
        )
    of(world, "u2").get("Observation/posta-o2")
    assert [(each["kind"], each["user"]) for each in found(world)] == [("no-relation", "u2")]
