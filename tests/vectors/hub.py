"""A vector through a hub: the situation is filed there, and the question asked on every way that leads to a row."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from exchange.consent.break_glass import user_key
from tests.passage.world import Caller, Said, World, entry
from tests.sample.judging import at
from tests.vectors.asker import NOON, Asker, asker
from tests.vectors.notation import FACILITIES, NotUnderstood
from tests.vectors.situation import Situation

UNSEARCHED = ("Binary",)
BY_PATIENT = {"Appointment": "actor", "Provenance": "patient", "Consent": "patient"}


class Hub:
    """One hub for all vectors: each has ids of its own in it, and an instant of its own."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._ticks = 0
        self._now = at(NOON)
        self._page: tuple[Caller, str] | None = None
        self.requests = 0

    @contextmanager
    def clock(self) -> Iterator[None]:
        with patch("time.time_ns", lambda: (self._now + self._ticks) * 1_000):
            yield

    def caller(self, asked: Asker, made: Situation) -> Caller:
        if asked.case:
            self._open_case(asked, made.names.id_of(asked.case))
        return Caller(self.world.spine, asked.requester)

    def file(self, made: Situation, *resources: dict[str, Any]) -> None:
        """Store resources, each by its facility, all that one facility has in one act."""
        self._now = at(NOON)
        by_facility: dict[str, list[dict[str, Any]]] = {}
        for each in resources:
            by_facility.setdefault(made.facility_of[each["id"]], []).append(each)
        for facility, each in by_facility.items():
            self._ticks += 1
            entries = [entry("PUT", f"{one['resourceType']}/{one['id']}", one) for one in each]
            said = self.world.of(FACILITIES[facility]).bundle("transaction", entries)
            if said.status != 200:
                raise NotUnderstood(f"not stored: {said.text.decode()}")

    def ways(self, asked: Asker, made: Situation, target: dict[str, Any]) -> dict[str, str]:
        """What each way to a resource answers: `sees`, `does not see`, `is refused`."""
        caller = self.caller(asked, made)
        self._now = asked.at
        self._ticks += 1
        kind, logical = target["resourceType"], target["id"]
        found = {
            "read": self._read(caller, f"{kind}/{logical}"),
            "vread": self._read(caller, f"{kind}/{logical}/_history/1"),
            "history": self._read(caller, f"{kind}/{logical}/_history"),
            "batch": self._batch(caller, f"{kind}/{logical}"),
        }
        if kind in UNSEARCHED:
            return found
        found["search"] = self._search(caller, f"{kind}?_id={logical}", logical)
        found["count"] = self._count(caller, f"{kind}?_id={logical}&_summary=count")
        patients = [each for each in made.person_of if f'"Patient/{each}"' in str(target).replace("'", '"')]
        for patient in patients[:1]:
            name = BY_PATIENT.get(kind, "patient")
            criteria = f"{kind}?{name}=Patient/{patient}&_id={logical}"
            found["search by patient"] = self._search(caller, criteria, logical)
            found["count by patient"] = self._count(caller, f"{criteria}&_summary=count")
            found |= self._beside(caller, kind, logical, patient, name)
        if asked.case:  # an emergency is of one patient: it is no part of searches that name nobody
            found = {
                way: each for way, each in found.items() if way not in ("search", "count", "_revinclude")
            }
        return found

    def _beside(self, caller: Caller, kind: str, logical: str, patient: str, name: str) -> dict[str, str]:
        """The ways that go by the Patient, where that one is seen."""
        if caller.get(f"Patient/{patient}").status != 200:
            return {}
        self.requests += 3
        everything = caller.get(f"Patient/{patient}/$everything")
        found = {"$everything": _told(everything, logical in _ids(everything))}
        pointing = caller.get(f"Patient?_id={patient}&_revinclude={kind}:{name}")
        found["_revinclude"] = _told(pointing, logical in _ids(pointing))
        return found

    def _read(self, caller: Caller, path: str) -> str:
        self.requests += 1
        said = caller.get(path)
        return _told(said, said.status == 200)

    def _batch(self, caller: Caller, path: str) -> str:
        self.requests += 1
        said = caller.bundle("batch", [entry("GET", path)])
        status = said.body["entry"][0]["response"]["status"][:3]
        return {"200": "sees", "404": "does not see", "403": "is refused"}.get(status, status)

    def _search(self, caller: Caller, path: str, logical: str) -> str:
        self.requests += 1
        said = caller.get(path)
        return _told(said, said.status == 200 and said.ids == [logical])

    def _count(self, caller: Caller, path: str) -> str:
        self.requests += 1
        said = caller.get(path)
        return _told(said, said.status == 200 and said.total == 1)

    def _open_case(self, asked: Asker, patient_id: str) -> None:
        """An emergency case of this user, as if it had just been opened."""
        blind, requester = self.world.database_store.crypto.blind_index, asked.requester
        with self.world.sql() as cursor:
            cursor.execute(
                "INSERT INTO emergency_case (compartment, number, custodian, client_id, user_key, facility, reason_key,"
                " opened_at, expires_at, closed_at, body) VALUES (%s, %s, %s, %s, %s, %s, 0, %s, %s, %s, '')",
                (blind.patient_compartment(patient_id), f"case-{patient_id}", requester.custodian, requester.client_id,
                 user_key(blind, requester) if requester.user else 0, requester.organization_id, at(NOON),
                 at(NOON) + 4 * 3_600_000_000, at(NOON) if asked.is_case_closed else None),
            )  # fmt: skip

    # --- stories

    def step(self, made: Situation, text: str) -> str:
        """One step of a story; what went otherwise, or nothing."""
        who, verb, rest = _step(text)
        names = made.names
        match verb:
            case "stores":
                self.file(made, made.add_resource(rest if " at " in rest else f"{rest} at {who}"))
            case "files":
                name, _, told = rest.partition(": ")
                self.file(made, made.add_consent(f"[at {who}] {told}", name))
            case "files many":
                number, _, told = rest.partition(": ")
                several = [made.add_consent(f"[at {who}] {told}", f"m{each}") for each in range(int(number))]
                for start in range(0, len(several), 300):
                    self.file(made, *several[start : start + 300])
            case "withdraws":
                consent = made.resources[f"Consent/{names.id_of(rest)}"]
                self.file(made, consent | {"status": "inactive"})
            case "deletes":
                self._ticks += 1
                status = self.world.of(FACILITIES[who]).delete(names.reference(rest)).status
                return "" if status == 204 else f"{status}"
            case "determines":
                return self._determine(made, who, rest)
            case "unlabels":
                with self.world.sql() as cursor:
                    cursor.execute("UPDATE resource SET facets = NULL WHERE id = %s", (names.id_of(rest),))
            case "sees" | "does not see" | "is refused":
                return self._ask(made, who, verb, rest)
            case "asks" | "turns the page":
                return self._look(made, who, verb, rest)
            case _:
                raise NotUnderstood(text)
        return ""

    def _ask(self, made: Situation, who: str, expected: str, name: str) -> str:
        logical = made.names.id_of(name)
        target = next(each for each in made.resources.values() if each["id"] == logical)
        told = self.ways(asker(who, made.names), made, target)
        return differences(expected, told)

    def _look(self, made: Situation, who: str, verb: str, rest: str) -> str:
        path, _, wanted = rest.rpartition("finds ")
        path = re.sub(
            r"([A-Z]\w+/)(\w+)", lambda one: made.names.reference(one.group(0)), path.strip().rstrip(":")
        )
        path = re.sub(r"_id=(\w+)", lambda one: f"_id={made.names.id_of(one.group(1))}", path)
        asked = asker(who, made.names)
        caller = self.caller(asked, made)
        self._now = asked.at
        self._ticks += 1
        said = caller.get(self._page[1] if verb == "turns the page" and self._page else path)
        self._page = (caller, said.next) if said.status == 200 and "entry" in said.body else self._page
        expected = (
            []
            if wanted == "nothing"
            else [made.names.id_of(each) for each in wanted.replace(",", " ").split()]
        )
        found = said.ids if said.status == 200 else []
        return (
            "" if sorted(found) == sorted(expected) else f"found {found} ({said.status}), expected {expected}"
        )

    def _determine(self, made: Situation, who: str, rest: str) -> str:
        episode, _, told = rest.partition(": ")
        self._now = at(NOON)
        self._ticks += 1
        confidentiality, *categories = told.split()
        parts: list[tuple[str, str, Any]] = [("confidentiality", "valueCode", confidentiality)]
        parts += [("category", "valueCode", each) for each in categories]
        parts += [("determined-by", "valueReference", {"reference": made.names.reference("Practitioner/d1")}),
                  ("determined-at", "valueInstant", "2026-05-31T12:00:00-05:00"), ("reason", "valueString", "juicio clínico")]  # fmt: skip
        told_as = {"resourceType": "Parameters", "parameter": [{"name": a, b: c} for a, b, c in parts]}
        said = self.world.of(FACILITIES[who]).operate(
            f"{made.names.reference(episode)}/$determine-sensitivity", told_as
        )
        return "" if said.status == 200 else said.text.decode()


VERBS = ("files many", "files", "stores", "withdraws", "deletes", "determines", "unlabels", "does not see", "sees", "is refused",
         "asks", "turns the page")  # fmt: skip


def _step(text: str) -> tuple[str, str, str]:
    for verb in VERBS:
        who, found, rest = text.partition(f" {verb}")
        if found and (rest[:1] in (" ", ":", "")):
            return who, verb, rest.strip(" :")
    raise NotUnderstood(text)


def differences(expected: str, told: dict[str, str]) -> str:
    """The ways that answer otherwise; nothing where all agree."""
    return "; ".join(f"by {way}: {answer}" for way, answer in told.items() if answer != expected)


def _told(said: Said, is_seen: bool) -> str:
    if said.status == 403:
        return "is refused"
    if said.status in (200, 404):
        return "sees" if is_seen else "does not see"
    return f"{said.status} {said.text.decode()[:200]}"


def _ids(said: Said) -> set[str]:
    if said.status != 200:
        return set()
    return {each["resource"].get("id", "") for each in said.body.get("entry", ()) if "resource" in each}
