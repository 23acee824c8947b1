"""A hub that is told everything and asked for it: granted and refused, audited, exported, erased, backed up, failing, slow.

Leaves:  what is said to needles; where it might have stayed to places.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from adapters.outbox import Outbox
from adapters.source_record import Entry, Refusal, Refused, SourceRecord
from adapters.source_record.bundle import finish
from exchange.audit.export import export_log
from exchange.authentication.account import Account, add_account
from exchange.backup.making import make
from exchange.hub import Hub
from exchange.requester import User
from exchange.settings import settings
from exchange.store.erasure import erase
from tests.adapters.conftest import ORIGIN
from tests.passage.live_hub import LiveHub
from tests.passage.world import Caller, World, patient_of, seal_all
from tests.plaintext.needles import Haystack
from tests.sample.consent import a_consent
from tests.sample.emergency import a_physician, an_officer, close, opened, the_patient
from tests.sample.requester import HOSPITAL

DNI = "urn:oid:2.16.840.1.113883.4.904"
FAILING = ("resource", "token_entry", "audit_event")
OF_THE_CLIENT = ("httpx", "httpcore", "faker", "asyncio")
"""Loggers of who asks, which is this process too: their lines are in no hub's log."""


@dataclass(frozen=True)
class Left:
    """What the hub and the adapter left beside the database."""

    hub_logs: tuple[Path, ...]
    outbox: Path
    export: Path
    backup: Path


def fill(hub: LiveHub, haystack: Haystack, folder: Path) -> Left:
    """Do it all."""
    world = hub.world
    left = Left(
        (hub.folder / "log", folder / "process.log"),
        folder / "outbox",
        folder / "log.export",
        folder / "hub.backup",
    )
    with _logged(left.hub_logs[1]):
        _appoint(world, haystack.staff)
        people = [_told(world, bundle) for bundle in haystack.bundles]
        _enrolled(world, people)
        _asked(world, haystack, people)
        _asked_over_http(hub, haystack)
        _in_emergency(world, haystack)
        _failing(hub, haystack)
        world.spine.operate("erase --order EXP-1", lambda tx: erase(tx, people[0][0], linked=False))
        seal_all(world)
        with world.database_store.transaction() as transaction:
            export_log(transaction, left.export)
        make(Hub(world.database_store, world.spine), world.url, settings(), left.backup)
        _spooled(left.outbox, haystack)
        with world.sql() as cursor:
            cursor.execute("ANALYZE")
            cursor.execute("CHECKPOINT")
    return left


@contextmanager
def _logged(file: Path) -> Iterator[None]:
    """Everything that this process logs, to the last detail, goes to a file."""
    written = logging.FileHandler(file, encoding="utf-8")
    written.addFilter(lambda record: record.name.partition(".")[0] not in OF_THE_CLIENT)
    root = logging.getLogger()
    before = root.level
    root.addHandler(written)
    root.setLevel(logging.DEBUG)
    try:
        logging.getLogger("exchange").info("the scan's first line")
        yield
    finally:
        root.setLevel(before)
        root.removeHandler(written)
        written.close()


def _appoint(world: World, names: list[str]) -> None:
    """Accounts of staff, which bear names in the clear."""
    for name in names:
        account = Account(
            "https://personas.example", name, name, "clinician", HOSPITAL, date(2026, 1, 1), date(2099, 1, 1)
        )
        world.spine.operate("people add", lambda tx, account=account: add_account(tx, account) and None)


def _enrolled(world: World, people: list[tuple[str, dict[str, Any]]]) -> None:
    """Accounts of patients: whoever enters one tells the name, and it is not kept."""
    for number, (patient_id, patient) in enumerate(people):
        told = patient["name"][0]
        name = told.get("text") or " ".join([*told.get("given", ()), told.get("family", "")])
        account = Account(
            "https://personas.example", f"subject-{number}", name, "patient", "", date(2026, 1, 1), None,
            reference=f"Patient/{patient_id}",
        )  # fmt: skip
        world.spine.operate("people add", lambda tx, account=account: add_account(tx, account) and None)


def _told(world: World, bundle: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Store a person's bundle; the Patient's id and the Patient."""
    stored = world.post.bundle("transaction", bundle["entry"])
    assert stored.status == 200, stored.text
    for answered, each in zip(stored.body["entry"], bundle["entry"], strict=True):
        if each["resource"]["resourceType"] == "Patient":
            return answered["response"]["location"].split("/")[1], each["resource"]
    raise AssertionError("a bundle without its Patient")


def _asked(world: World, haystack: Haystack, people: list[tuple[str, dict[str, Any]]]) -> None:
    """What a region asks every day; each person's by somebody else, whose name the log keeps."""
    users, searched = haystack.added["user"], haystack.added["searched"]
    for number, (patient_id, patient) in enumerate(people):
        named = User(f"u-{number}", users[number])
        post, hospital = (
            Caller(world.spine, replace(each.requester, user=named)) for each in (world.post, world.hospital)
        )
        post.get(f"Patient/{patient_id}")
        hospital.get(f"Patient?family={searched[number]}")
        hospital.get(f"Patient?identifier={DNI}%7C{searched[number]}")
        hospital.get(f"Observation?code:text={searched[number]}")
        if number % 4:
            continue
        value = next((each["value"] for each in patient["identifier"] if each["system"] == DNI), "40000000")
        family = patient["name"][0]["family"].split()[0]
        assert post.get(f"Patient?identifier={DNI}%7C{value}").status == 200
        post.get(f"Patient?family={family}&birthdate=ge1930")
        assert post.get(f"Patient/{patient_id}/$everything").status == 200
        assert hospital.get(f"Patient/{patient_id}").status == 404
        hospital.get(f"Patient/{patient_id}/$everything")
        world.post.put(a_consent(f"posta-c{number}", patient_id, permit=HOSPITAL))
        hospital.get(f"Patient/{patient_id}/$everything")
        post.get(f"Patient/{patient_id}/_history")
        assert world.administrator.get(f"AuditEvent/$accesses?patient={patient_id}").status == 200
        post.get("Observation?_sort=-date&_count=5")
        _questioned(world, patient_id, haystack.added["note"][number])


def _questioned(world: World, patient_id: str, words: str) -> None:
    """The patient reads the own log and asks, in own words, why somebody looked."""
    patient, everything = the_patient(world, patient_id), f"patient=Patient/{patient_id}&type=rest"
    assert patient.get(f"Patient/{patient_id}/$access-log").status == 200
    reads = world.administrator.get(f"AuditEvent?{everything}&_count=50").matches
    event = next(each["id"] for each in reads if each["action"] == "R")
    parameters = {
        "resourceType": "Parameters",
        "parameter": [{"name": "event", "valueString": event}, {"name": "words", "valueString": words}],
    }
    said = patient.operate(f"Patient/{patient_id}/$question-access", parameters)
    assert said.status == 200, said.text
    assert world.administrator.get("AuditEvent/$access-signals").status == 200


def _asked_over_http(hub: LiveHub, haystack: Haystack) -> None:
    """What is asked well and badly of a served hub: in its log stands nothing of it."""
    for number, text in enumerate(haystack.added["searched"][:25]):
        note = haystack.added["note"][number]
        post, hospital = hub.clients["posta"], hub.clients["hospital"]
        assert hospital.request("GET", "Patient", parameters=(("family", text),)).status_code == 200
        # A logical id is in the clear, and so is one that is asked for: what is searched for stands elsewhere.
        for path in (
            f"{text}/1",
            f"Patient/1/_history?{text}=1",
            f"Patient?{text}=1",
            f"Observation?date={text}",
        ):
            assert hospital.request("GET", path).status_code >= 400
        for body in (f'{{"resourceType": "{text}"', note, json.dumps({"resourceType": "Patient", text: note}),
                     json.dumps({"resourceType": "Patient", "birthDate": text, "gender": note})):  # fmt: skip
            assert post.request("POST", "Patient", body=body.encode()).status_code >= 400
        hub.http(
            "GET", f"/fhir/Patient?family={text}", headers={b"Authorization": b"Bearer " + text.encode()}
        )
        hub.http("GET", f"/{text}", headers={b"X-Request-Id": text.encode(), b"User-Agent": text.encode()})


def _in_emergency(world: World, haystack: Haystack) -> None:
    reasons, users = haystack.added["reason"], haystack.added["user"]
    for number, reason in enumerate(reasons):
        world.hospital.store(patient_of(HOSPITAL, number % 9 + 1))
        physician = a_physician(world, user=f"m-{number}", name=users[number])
        case = opened(physician, f"hospital-p{number % 9 + 1}", reason=reason)
        physician.get(f"Patient/hospital-p{number % 9 + 1}")
        assert close(an_officer(world), case, comment=reason).status == 200


def _failing(hub: LiveHub, haystack: Haystack) -> None:
    """Statements that the server refuses: it logs them whole, with the row that it did not take."""
    world = hub.world
    for table in FAILING:
        with world.sql() as cursor:
            cursor.execute(f"ALTER TABLE {table} ADD CONSTRAINT refused CHECK (false) NOT VALID")
        try:
            for bundle in haystack.bundles[:5]:
                assert world.post.bundle("transaction", bundle["entry"]).status >= 400
                body = {"resourceType": "Bundle", "type": "transaction", "entry": bundle["entry"]}
                assert hub.clients["posta"].request("POST", "", body=body).status_code >= 400
        finally:
            with world.sql() as cursor:
                cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT refused")


def _spooled(folder: Path, haystack: Haystack) -> None:
    """An adapter's outbox, with what waits, what was applied, and what was set aside."""
    box = Outbox(folder)
    try:
        outcomes = []
        for bundle, note in zip(haystack.bundles, haystack.added["note"], strict=True):
            patient = bundle["entry"][0]["resource"]
            value = patient["identifier"][0]["value"]
            record = SourceRecord(
                "00005196", "his", f"{value}|{note}", value, json.dumps(patient, ensure_ascii=False).encode(),
                "2026-01-02T03:04:05Z", location="atenciones.csv:7",
            )  # fmt: skip
            told = patient | {"id": ORIGIN.resource_id("Patient", value)}
            noted = {
                "resourceType": "Basic",
                "id": ORIGIN.resource_id("Basic", value),
                "code": {"text": note},
            }
            outcomes.append(finish(ORIGIN, record, [Entry(told), Entry(noted)]))
            refusal = Refusal("mapping", "A-101", "Falta la fecha de atención.")
            outcomes.append(Refused(replace(record, natural_key=note, patient_key=note), refusal))
        box.accept(outcomes)
        for group in box.waiting_groups(len(haystack.bundles) // 2):
            box.mark_applied(box.batch(group, 5), {})
    finally:
        box.close()
