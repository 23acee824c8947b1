"""Signals over a region's ordinary days: few of them are false, and planted misuse of each kind stands above them all.

The ordinary days are the demonstration's: each visit is looked at on its day by who treats, one in ten results again
40 days later, one person in eight at the counter of a facility that never treated her.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from random import Random

import pytest

from exchange.demo.facilities import Facility
from exchange.demo.history import Visit
from exchange.demo.people import Person
from exchange.demo.region import build_region
from exchange.requester import User
from exchange.store import session
from tests.exchange.audit.test_signals import DNI, found, look
from tests.passage.conftest import empty, shared_hub
from tests.passage.world import Caller
from tests.sample.emergency import a_physician, opened
from tests.sample.patient import a_patient
from tests.sample.requester import EVERY_SCOPE, a_requester

__all__ = ["empty", "shared_hub"]
TODAY = date(2026, 6, 30)
PEOPLE = 40
SHARE_OF_FALSE_ALARMS = 0.12
GRAVE = 40
SHARE_OF_GRAVE_FALSE_ALARMS = 0.03


class Days:
    """A region's ordinary days at one hub."""

    def __init__(self, world, monkeypatch) -> None:
        self.world = world
        self.monkeypatch = monkeypatch
        self.region = build_region(seed=20260630, people=PEOPLE, reference_date=TODAY)
        self.facilities = {
            each.renipress: each
            for each in (self.region.primary, self.region.secondary, self.region.tertiary)
        }
        self.looks = 0
        self.random = Random(1)

    def at(self, when: datetime) -> None:
        self.monkeypatch.setattr(session.time, "time_ns", lambda: int(when.timestamp() * 1e9))

    def system(self, facility: Facility) -> Caller:
        prefix = f"f{facility.renipress[-2:]}-"
        asking = a_requester(f"ipress-{facility.renipress}", EVERY_SCOPE, id_prefix=prefix)
        return Caller(self.world.spine, asking)

    def somebody(self, facility: Facility, user: str, name: str, **more) -> Caller:
        asking = a_requester(f"ipress-{facility.renipress}", client=f"his-{facility.renipress}", **more)
        return Caller(self.world.spine, replace(asking, user=User(user, name, "physician")))

    def register(self, facility: Facility, person: Person, kind: str = "p") -> str:
        document = person.document_of("DNI")
        place = f"f{facility.renipress[-2:]}-{kind}{person.slot}"
        surnames = f"{person.name.paternal} {person.name.maternal}"
        self.system(facility).store(
            a_patient(place, family=surnames, given=person.name.given, birth_date=person.birth_date.isoformat(),
                      dni=document.number if document else None)
        )  # fmt: skip
        return place

    def visit(self, facility: Facility, place: str, visit: Visit) -> None:
        """A visit is written and looked at on its day; one result in ten again 40 days later."""
        started = visit.started_at.date().isoformat()
        encounter = {
            "resourceType": "Encounter", "id": f"{place.partition('-')[0]}-e{visit.number}", "status": "finished",
            "class": {"code": visit.kind}, "subject": {"reference": f"Patient/{place}"},
            "period": {"start": started, "end": max(started, visit.ended_at.date().isoformat())},
        }  # fmt: skip
        self.system(facility).store(encounter)
        told = visit.professional
        asking = self.somebody(facility, told.dni, told.display)
        self.at(visit.started_at.replace(tzinfo=UTC) + timedelta(hours=5))
        self.look(asking, f"Patient/{place}")
        self.look(asking, f"Encounter?patient={place}")
        if self.random.random() < 0.1:
            self.at(visit.started_at.replace(tzinfo=UTC, hour=15) + timedelta(days=40))
            self.look(asking, f"Encounter?patient={place}")

    def look(self, caller: Caller, path: str) -> None:
        assert caller.get(path).status == 200
        self.looks += 1

    def run(self) -> None:
        for person in self.region.people():
            for visit in self.region.history(person).visits[-4:]:
                facility = self.facilities.get(visit.renipress)
                if facility is not None:
                    self.visit(facility, self.register(facility, person), visit)
            if person.slot % 8 == 0:
                counter = self.region.secondary
                place = self.register(counter, person)
                self.at(datetime(2026, 6, 29, 15, tzinfo=UTC))
                self.look(self.somebody(counter, "admision", "María Pía Benites Lavado"), f"Patient/{place}")


@pytest.fixture
def days(empty, monkeypatch):
    made = Days(empty, monkeypatch)
    made.run()
    look(empty)
    return made


def test_few_ordinary_looks_raise_a_signal_and_planted_misuse_stands_above_them(days, monkeypatch):
    ordinary = found(days.world, query="_count=100&state=all")
    events = {each["event"]["reference"] for each in ordinary}
    assert days.looks > 150
    share = len(events) / days.looks
    grave = {each["event"]["reference"] for each in ordinary if each["weight"] >= GRAVE}
    assert len(grave) / days.looks < SHARE_OF_GRAVE_FALSE_ALARMS
    assert share < SHARE_OF_FALSE_ALARMS
    most = max((each["weight"] for each in ordinary), default=0)
    for number in days_of_misuse(days):
        assert number
    planted = [each for each in found(days.world, query="_count=100&state=all") if each not in ordinary]
    best = {each["kind"]: each["weight"] for each in reversed(planted)}
    assert set(best) == {
        "no-relation", "same-surname", "colleague", "mass-browsing", "enumeration", "after-hours", "denied-then-retry",
        "sensitive-first", "repeated-reason",
    }  # fmt: skip
    assert min(best.values()) >= most, (best, most)
    assert min(weight for kind, weight in best.items() if kind != "no-relation") > most


def days_of_misuse(days: Days):
    """Misuse of each kind, by people at a hospital whom no treatment ties to whom they look at."""
    hospital = days.region.tertiary
    strangers = list(build_region(seed=7, people=60, reference_date=TODAY).people())
    places = [days.register(hospital, each, "s") for each in strangers]
    noon, night = datetime(2026, 7, 1, 17, tzinfo=UTC), datetime(2026, 7, 2, 8, tzinfo=UTC)
    first = strangers[0]
    # somebody of the same family, somebody who works there, somebody at night
    days.at(noon)
    yield (
        days.somebody(hospital, "m1", f"Ana {first.name.paternal} Zegarra").get(f"Patient/{places[0]}").status
    )
    worker = {
        "resourceType": "Practitioner",
        "id": "f32-m",
        "identifier": [{"system": DNI, "value": first.documents[0].number}],
    }
    days.system(hospital).store(worker | {"id": f"f{hospital.renipress[-2:]}-m"})
    with days.world.sql() as cursor:
        cursor.execute(
            "INSERT INTO account (account_id, issuer, subject, name, role, organization_id, within, functional_role,"
            " reference, valid_from) VALUES ('m', 'x', 'm', 'M', 'clinician', %s, '{}', '', %s, '2020-01-01')",
            (f"ipress-{hospital.renipress}", f"Practitioner/f{hospital.renipress[-2:]}-m"),
        )
    yield days.somebody(hospital, "m2", "Ana Zegarra Yupanqui").get(f"Patient/{places[0]}").status
    days.at(night)
    yield days.somebody(hospital, "m3", "Ana Zegarra Yupanqui").get(f"Patient/{places[1]}").status
    # many within an hour; numbers one by one
    days.at(noon)
    crowd = days.somebody(hospital, "m4", "Ana Zegarra Yupanqui")
    yield from (crowd.get(f"Patient/{place}").status for place in places[2:40])
    for number in range(45_000_000, 45_000_012):
        days.at(noon + timedelta(seconds=number % 100))
        yield crowd.get(f"Patient?identifier={DNI}|{number}").status
    # refused, and asked for again with another purpose
    yield (
        days.somebody(hospital, "m5", "Ana Zegarra Yupanqui", purpose="HMARKT")
        .get(f"Patient/{places[41]}")
        .status
    )
    yield days.somebody(hospital, "m5", "Ana Zegarra Yupanqui").get(f"Patient/{places[41]}").status
    # the diagnosis before anything else; one reason for two emergencies
    diagnosis = {"resourceType": "Condition", "id": f"f{hospital.renipress[-2:]}-hiv", "subject": {"reference": f"Patient/{places[42]}"},
                 "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "B20"}]}}  # fmt: skip
    days.system(hospital).store(diagnosis)
    yield days.somebody(hospital, "m6", "Ana Zegarra Yupanqui").get(f"Condition/{diagnosis['id']}").status
    physician = a_physician(days.world, f"ipress-{hospital.renipress}", "m7", name="Ana Zegarra Yupanqui")
    yield opened(physician, places[43])
    days.at(noon + timedelta(minutes=5))
    yield opened(physician, places[44])


@pytest.fixture(autouse=True)
def _no_accounts_stay(empty):
    yield
    with empty.sql() as cursor:
        cursor.execute("DELETE FROM account")
