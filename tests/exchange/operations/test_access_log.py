"""$access-log, $question-access and $report-output: the patient's own log, in words, and what a patient can do about it."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from dataclasses import replace

import pytest

from exchange.audit.checkpoint import verifier_key
from exchange.requester import User
from exchange.settings import settings
from tests.exchange.audit.test_offline import PLACE
from tests.exchange.operations.call import answered, call, given
from tests.passage.world import Caller, patient_of, seal_all
from tests.sample.consent import a_consent
from tests.sample.emergency import a_physician, an_officer, close, opened, the_patient
from tests.sample.observation import an_observation
from tests.sample.requester import HOSPITAL, INSTITUTE, POST, a_requester

LOG = "Patient/posta-p1/$access-log"


@pytest.fixture
def world(empty):
    empty.post.store(patient_of(POST, 1), patient_of(POST, 2), an_observation("posta-o1", "posta-p1"))
    empty.post.store(a_consent("posta-c1", "posta-p1", permit=HOSPITAL))
    unit = {"resourceType": "Organization", "id": HOSPITAL, "name": "HOSPITAL VALLE DE CHICAMA"}
    Caller(empty.spine, a_requester(HOSPITAL, id_prefix="ipress-")).store(unit)
    empty.hospital.store(patient_of(HOSPITAL, 3))
    return empty


@pytest.fixture
def doctor(world) -> Caller:
    asking = a_requester(HOSPITAL, client="his")
    return Caller(world.spine, replace(asking, user=User("dra-flores", "Elsa Flores", "physician")))


def told(said) -> list[dict]:
    assert said.status == 200, said.text
    return [dict(each) for each in answered(said).get("access", [])] if "parameter" in said.body else []


def log(caller: Caller, query: str = "", patient: str = "posta-p1") -> list[dict]:
    """All pages."""
    found, page = [], f"Patient/{patient}/$access-log?{query}"
    while page:
        said = caller.get(page)
        found += told(said)
        page = answered(said).get("next", [""])[0].removeprefix(settings().fhir_url + "/")
    return found


def test_who_where_when_why_and_what_in_plain_spanish(world, doctor):
    assert doctor.get("Observation/posta-o1").status == 200
    [access] = [each for each in log(the_patient(world)) if each["kind"] == "read"]
    assert (access["who"], access["function"], access["where"]) == (
        "Elsa Flores", "Médico", "HOSPITAL VALLE DE CHICAMA",
    )  # fmt: skip
    assert (access["why"], access["what"], access["outcome"]) == (
        "Atención de salud", "Resultados y mediciones", "granted",
    )  # fmt: skip
    assert (access["emergency"], access["facility"]) == (False, {"reference": f"Organization/{HOSPITAL}"})
    assert "Elsa Flores (Médico), de HOSPITAL VALLE DE CHICAMA" in access["text"]
    assert access["local-time"][:10] in access["text"]


def test_nothing_of_the_event_itself_stands_in_it(world, doctor):
    """No request, no rules, no codes of a chart: a search may name other people."""
    doctor.get("Observation?patient=posta-p1&code=8480-6")
    text = the_patient(world).get(LOG).text.decode()
    assert "8480" not in text
    assert "posta-c1" not in text
    assert "GET " not in text


def test_the_kinds_that_a_search_showed(world, doctor):
    doctor.get("Observation?patient=posta-p1&_include=Observation:subject")
    newest = log(the_patient(world))[0]
    assert newest["what"] == "Resultados y mediciones, Datos personales"
    assert newest["kind"] == "search-type"


def test_the_newest_stands_first_in_pages_and_a_page_is_of_its_caller(world, doctor):
    for _ in range(5):
        doctor.get("Observation/posta-o1")
    every = log(the_patient(world), "_count=50&until=2100-01-01")
    assert [each["at"] for each in every] == sorted((each["at"] for each in every), reverse=True)
    first = the_patient(world).get(f"{LOG}?_count=2")
    following = answered(first)["next"][0].removeprefix(settings().fhir_url + "/")
    assert len(told(first)) == 2
    assert told(the_patient(world).get(following))
    assert an_officer(world, POST).get(following).status == 400
    assert the_patient(world).get(following.replace("%24", "$") + "&facility=x").status in (400, 422)


def test_filters(world, doctor):
    doctor.get("Observation/posta-o1")
    world.post.get("Patient/posta-p1")
    assert {each["facility"]["reference"] for each in log(the_patient(world), f"facility={HOSPITAL}")} == {
        f"Organization/{HOSPITAL}"
    }
    assert log(the_patient(world), "since=2100-01-01") == log(the_patient(world), "until=2000-01-01") == []


def test_an_emergency_is_told_as_one_and_the_verdict_without_the_officer_s_words(world):
    world.hospital.store(patient_of(HOSPITAL, 1))
    number = opened(a_physician(world), "hospital-p1")
    assert close(an_officer(world), number, "unjustified", "ZORRO sin motivo").status == 200
    found = {each["kind"]: each for each in log(the_patient(world))}
    assert found["open-emergency"]["emergency"] is True
    assert "EMERGENCIA" in found["open-emergency"]["text"]
    assert found["close-emergency"]["function"] == "Oficial de privacidad"
    assert "ZORRO" not in the_patient(world).get(LOG).text.decode()


def test_links_are_explained_and_name_nobody_else(world):
    world.hospital.store(patient_of(HOSPITAL, 1))
    found = [each for each in log(the_patient(world)) if each["kind"] == "link"]
    assert len(found) == 2  # the log of each of the own records
    assert "vinculó" in found[0]["text"]
    moved = patient_of(HOSPITAL, 1, birth_date="1991-01-01")
    world.hospital.store(moved)
    text = the_patient(world).get(f"{LOG}?_count=50").text.decode()
    assert "separó" in text
    assert "hospital-p1" not in text


def test_whoever_stands_at_the_desk_is_helped_by_the_facility_s_officer(world, doctor):
    doctor.get("Observation/posta-o1")
    assert [each["who"] for each in log(an_officer(world, POST)) if each["kind"] == "read"] == ["Elsa Flores"]
    assert an_officer(world, INSTITUTE).get(LOG).status == 404
    assert an_officer(world, HOSPITAL).get(LOG).status == 404


@pytest.mark.parametrize("patient", ["posta-p2", "hospital-p3", "nobody"])
def test_another_person_s_log_looks_absent(world, patient):
    absent = the_patient(world).get("Patient/nobody/$access-log")
    said = the_patient(world).get(f"Patient/{patient}/$access-log")
    assert (said.status, said.body) == (404, absent.body)


@pytest.mark.parametrize("role", ["system", "clinician", "administrator", "auditor", "operator"])
def test_nobody_else_asks(world, role):
    asking = Caller(world.spine, replace(a_requester(POST, role=role, purpose="HOPERAT"), user=User("x")))
    assert asking.get(LOG).status == 403


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("AuditEvent/$access-log", 400), ("Patient/$access-log", 400), (f"{LOG}?colour=red", 400), (f"{LOG}?_count=0", 400),
        (f"{LOG}?since=soon", 422), (f"{LOG}?receipt=true", 400), (f"{LOG}?event=nothing", 404), (f"{LOG}?_page=x", 400),
    ],
)  # fmt: skip
def test_what_is_no_question_is_refused(world, path, status):
    assert the_patient(world).get(path).status == status


def test_reading_it_is_an_event_of_the_patient_s_own(world, doctor):
    doctor.get("Observation/posta-o1")
    log(the_patient(world))
    assert log(the_patient(world))[0]["who"] == "Usted, o quien lo representa"


# --- receipts


def test_a_receipt_proves_the_access_without_the_hub(world, doctor, tmp_path):
    doctor.get("Observation/posta-o1")
    [access] = [each for each in log(the_patient(world)) if each["kind"] == "read"]
    assert access["placed"] is False
    asked = f"{LOG}?event={access['event']}&receipt=true"
    assert the_patient(world).get(asked).status == 404  # no place yet: ask again in a minute
    seal_all(world)
    assert next(e for e in log(the_patient(world)) if e["event"] == access["event"])["placed"] is True
    said = the_patient(world).get(asked)
    receipt = next(each["resource"] for each in said.body["parameter"] if each["name"] == "receipt")
    text = base64.b64decode(receipt["data"])
    assert json.loads(json.loads(text)["event"]["text"])["id"] == access["event"]
    assert wrongs(world, tmp_path, text) == 0
    assert wrongs(world, tmp_path, text.replace(b"dra-flores", b"dra-torres"))
    assert the_patient(world, "posta-p2").get(asked).status == 404
    assert the_patient(world, "posta-p2").get(asked.replace("p1", "p2")).status == 404


def test_a_receipt_shows_nothing_that_an_officer_wrote(world, tmp_path):
    world.hospital.store(patient_of(HOSPITAL, 1))
    close(an_officer(world), opened(a_physician(world), "hospital-p1"), "unjustified", "ZORRO sin motivo")
    seal_all(world)
    judged = next(each for each in log(the_patient(world)) if each["kind"] == "close-emergency")
    said = the_patient(world).get(f"{LOG}?event={judged['event']}&receipt=true")
    receipt = next(each["resource"] for each in said.body["parameter"] if each["name"] == "receipt")
    text = base64.b64decode(receipt["data"])
    assert "text" not in json.loads(text)["event"]
    assert wrongs(world, tmp_path, text) == 0


def wrongs(world, folder, text: bytes) -> int:
    """How much the offline verifier finds wrong with a receipt; it sees no database."""
    with world.database_store.transaction() as transaction:
        keys = [verifier_key(settings().audit_origin, each) for each in transaction.crypto.checkpoint_keys]
    (folder / "keys.txt").write_text("\n".join(keys) + "\n")
    (folder / "receipt.json").write_bytes(text)
    asked = [
        sys.executable,
        "-I",
        str(PLACE),
        str(folder / "receipt.json"),
        "--keys",
        str(folder / "keys.txt"),
    ]
    done = subprocess.run(asked, capture_output=True, check=False, text=True)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.count("WRONG")


# --- questioning


def question(caller: Caller, event: str, patient: str = "posta-p1", words: str = "No conozco a esta persona"):
    return call(
        caller, f"Patient/{patient}/$question-access", given(event=("valueString", event), words=("valueString", words))
    )  # fmt: skip


def signals(caller: Caller, query: str = "") -> list[dict]:
    said = caller.get(f"AuditEvent/$access-signals?{query}")
    assert said.status == 200, said.text
    return [dict(each) for each in answered(said).get("signal", [])] if said.body.get("parameter") else []


def test_a_question_reaches_the_facility_that_asked_with_its_number(world, doctor):
    doctor.get("Observation/posta-o1")
    event = next(each["event"] for each in log(the_patient(world)) if each["kind"] == "read")
    said = question(the_patient(world), event)
    number = answered(said)["number"][0]
    [signal] = signals(an_officer(world, HOSPITAL))
    assert (signal["number"], signal["kind"], signal["weight"]) == (number, "questioned", 100)
    assert (signal["words"], signal["user"]) == ("No conozco a esta persona", "dra-flores")
    assert signals(an_officer(world, INSTITUTE)) == []
    assert question(the_patient(world), event).status == 409
    found = world.administrator.get("AuditEvent/$accesses?act=question-access&outcome=granted")
    assert number in found.matches[0]["outcomeDesc"]
    assert "No conozco" not in found.text.decode()


def test_only_one_s_own_accesses_are_questioned(world, doctor):
    doctor.get("Observation/posta-o1")
    world.post.get("Patient/posta-p2")
    others = world.events()[-1]["id"]
    own = next(each["event"] for each in log(the_patient(world)) if each["kind"] == "read")
    absent = question(the_patient(world), "nothing")
    assert (question(the_patient(world), others).status, absent.status) == (404, 404)
    assert question(the_patient(world, "posta-p2"), own).status == 404
    assert question(world.administrator, own).status == 403
    assert question(an_officer(world, INSTITUTE), own).status == 404
    assert question(an_officer(world, POST), own).status == 200


def test_nobody_answers_for_what_the_hub_did(world):
    world.hospital.store(patient_of(HOSPITAL, 1))
    link = next(each["event"] for each in log(the_patient(world)) if each["kind"] == "link")
    assert question(the_patient(world), link).status == 409


def test_a_question_is_posted_and_bounded(world):
    assert the_patient(world).get("Patient/posta-p1/$question-access?event=x").status == 405
    assert question(the_patient(world), "x", words="x" * 1001).status == 422


# --- output


def output(
    caller: Caller, *resources: str, kind: str = "print", reason: str = "Interconsulta", patient="posta-p1"
):
    rows = [("kind", kind), ("reason", reason), *(("resource", each) for each in resources)]
    body = {"resourceType": "Parameters", "parameter": [{"name": n, "valueString": v} for n, v in rows if v]}
    return call(caller, f"Patient/{patient}/$report-output", body)


@pytest.mark.parametrize("kind", ["print", "screen-capture", "download"])
def test_an_output_is_one_event_of_export_in_the_patient_s_log(world, doctor, kind):
    before = len(world.events())
    assert output(doctor, "Observation/posta-o1", "Patient/posta-p1", kind=kind).status == 200
    [event] = world.events()[before:]
    assert (event["type"]["code"], event["action"], event["outcome"]) == ("110106", "R", "0")
    assert "Interconsulta" in event["outcomeDesc"]
    shown = the_patient(world).get(f"AuditEvent/{event['id']}/$disclosure")
    assert answered(shown)["shown"] == [
        {"reference": "Observation/posta-o1/_history/1"}, {"reference": "Patient/posta-p1/_history/1"},
    ]  # fmt: skip
    newest = log(the_patient(world), f"facility={HOSPITAL}")[0]
    assert (newest["kind"], newest["what"]) == ("report-output", "Resultados y mediciones, Datos personales")
    assert world.administrator.get(f"AuditEvent?type=110106&_id={event['id']}").ids == [event["id"]]


def test_what_the_caller_cannot_see_is_refused_as_a_read_would_be(world, doctor):
    absent = output(world.institute, "Observation/posta-none")
    hidden = output(world.institute, "Observation/posta-o1")
    assert (hidden.status, hidden.body) == (absent.status, absent.body)
    assert hidden.status == world.institute.get("Patient/posta-p1").status == 404
    assert output(doctor, "Observation/posta-none").status == 404
    world.post.store(an_observation("posta-o2", "posta-p2"))
    assert output(world.post, "Observation/posta-o2").status == 404  # of another person
    assert output(world.administrator, "Observation/posta-o1").status == 403


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ({"kind": "fax"}, 422), ({"reason": ""}, 422), ({"reason": "x" * 501}, 422), ({"resources": []}, 422),
        ({"resources": ["Observation"]}, 422), ({"resources": ["AuditEvent/x"]}, 422), ({"resources": ["http://x/y"]}, 422),
        ({"resources": [f"Observation/o{each}" for each in range(51)]}, 413), ({"patient": "nobody"}, 404),
    ],
)  # fmt: skip
def test_what_is_no_report_is_refused(world, told, status):
    told = {"resources": ["Observation/posta-o1"]} | told
    assert output(world.post, *told.pop("resources"), **told).status == status


def test_a_report_is_posted(world):
    said = world.post.get("Patient/posta-p1/$report-output?kind=print")
    assert said.status == 405
