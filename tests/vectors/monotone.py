"""One denial more never shows one row more: random consents about content, rows and askers, through the hub's own SQL.

    python -m tests.vectors.monotone [CASES] [SEED]

A case is one denial added to a random region: as a consent of its own, or as an exception anywhere inside of one that
stands. What each of two searches shows - one that names the patients, one that names nobody - must not grow. Exits 1
where it does, and prints the consents before and after.
"""

from __future__ import annotations

import io
import json
import sys
import time
from copy import deepcopy
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from exchange.consent.decision import _of_persons, _permit
from exchange.consent.provision import rules
from exchange.consent.reach import persons_of_patients
from exchange.consent.rules_store import RULE_COLUMNS, lines
from exchange.fhir.definitions import type_code
from exchange.permit import Permit
from exchange.policy.adopted import policy
from exchange.policy.facets import all_hashed, features
from exchange.policy.sensitivity import label
from exchange.requester import Requester, User, custodian_key
from exchange.store.session import Transaction
from exchange.store.visibility import visible
from tests.passage.world import a_world
from tests.sample.consent import a_consent
from tests.sample.database import Server, a_server
from tests.sample.judging import NOW, a_lookup, at
from tests.sample.requester import HOSPITAL, INSTITUTE, POST, a_requester
from tests.vectors.notation import Names, _provision, resource

CASES_A_REGION = 40
RECORDS, ROWS, CONSENTS = 6, 40, 7
NAMES = Names(0)
ASKERS = (
    replace(a_requester(HOSPITAL), within=("red-trujillo",)),
    replace(
        a_requester(HOSPITAL), user=User("u", role="physician", reference=NAMES.reference("Practitioner/d1"))
    ),
    a_requester(INSTITUTE, purpose="HRESCH"),
)
KINDS = (
    "Observation", "Observation code loinc:24467-3", "Condition code cie10:J45.9", "Condition code cie10:B20.0",
    "Condition code cie10:F32.1, cie10:B20.0", "Observation label V", "Observation label L", "Observation label R",
    "Encounter e1", "Observation in Encounter/e1", "Observation by Practitioner/d1", "MedicationRequest code atc:J05AG03",
    "DocumentReference kind loinc:18842-5", "Procedure",
)  # fmt: skip
DATES = (
    None,
    ("2025-01-01T00:00", "2025-01-02T00:00"),
    ("2025-12-30T00:00", "2026-01-02T00:00"),
    ("2026-03-01T00:00", "2026-03-01T10:00"),
)
DIMENSIONS = {
    "to": ("hospital", "institute", "network", "Practitioner/d1", "role:physician", "hospital, institute", "CareTeam/t404"),
    "for": ("TREAT", "HRESCH", "ETREAT", "TREAT, HRESCH"),
    "from": ("2026-01-01", "2026-06-01"),
    "until": ("2026-12-31", "2026-05-30"),
    "action": ("access", "disclose", "access, disclose", "collect"),
    "class": ("Observation", "Condition", "Observation, Condition", "loinc:18842-5", "Encounter"),
    "code": ("cie10:J45", "cie10:B20.0", "loinc:24467-3", "cie10:F32.1, cie10:J45.9", "text:algo"),
    "label": ("R", "V", "N", "L", "HIV", "PSY", "HIV, PSY", "other:x"),
    "dated-from": ("2025-01-01", "2026-01-01"),
    "dated-until": ("2025-12-31", "2026-04-01"),
    "data": ("instance:Encounter/e1", "dependents:Encounter/e1", "authoredby:Practitioner/d1", "related:Encounter/e1"),
}  # fmt: skip


@dataclass
class Outcome:
    """What came of the cases. `grown` tells each denial that showed more."""

    cases: int = 0
    shrunk: int = 0
    shown: int = 0
    seconds: float = 0.0
    grown: list[str] = field(default_factory=list)


@dataclass
class Region:
    """Records of three facilities, each with consents."""

    people: dict[int, tuple[int, int]]
    consents: list[tuple[int, int, dict[str, Any]]]


def provision(random: Random, kind: str, levels: int = 2) -> dict[str, Any]:
    told = [name for name in DIMENSIONS if random.random() < 0.14]
    text = " ".join([kind, *(f"{name} {random.choice(DIMENSIONS[name])}" for name in told)])
    inside = [
        provision(random, random.choice(("permit", "deny")), levels - 1)
        for _ in range(random.choice((0, 0, 0, 1, 2)) if levels else 0)
    ]
    return _provision(text, inside, NAMES)


def a_region(random: Random, transaction: Transaction) -> Region:
    people = {
        place: (custodian_key(random.choice((POST, POST, INSTITUTE, HOSPITAL))), random.randint(1, 4))
        for place in range(1, RECORDS + 1)
    }
    made = Region(people, [])
    for place, (custodian, person) in people.items():
        transaction.run(
            "INSERT INTO patient_record (compartment, custodian, person, patient_id) VALUES (%s, %s, %s, %s)",
            (place, custodian, person, f"p{place}"),
        )
    for number in range(random.randint(2, CONSENTS)):
        kind = random.choice(("permit", "permit", "permit", "deny"))
        consent = a_consent(f"c{number}", provision=provision(random, kind))
        made.consents.append(
            (random.choice(list(people)), custodian_key(random.choice((POST, INSTITUTE))), consent)
        )
        file(transaction, made, made.consents[-1])
    for number in range(ROWS):
        put(random, transaction, made, number)
    return made


def file(transaction: Transaction, region: Region, filed: tuple[int, int, dict[str, Any]]) -> None:
    """Keep a consent's rules for every record of the person, in the place of those that it had."""
    place, filed_by, consent = filed
    transaction.run("DELETE FROM consent_rule WHERE consent_id = %s", (consent["id"],))
    found = rules(consent, a_lookup())
    blind = transaction.crypto.blind_index
    person = region.people[place][1]
    text = "".join(
        line
        for record, (custodian, whose) in region.people.items()
        if whose == person
        for line in lines(found, record, custodian, place, filed_by, blind)
    )
    if text:
        transaction.copy("consent_rule", RULE_COLUMNS, io.StringIO(text))


def put(random: Random, transaction: Transaction, region: Region, number: int) -> None:
    place = random.choice(list(region.people))
    custodian = region.people[place][0]
    others = [each for each, (whose, _) in region.people.items() if whose == custodian and each != place]
    members = [random.choice(others)] if others and random.random() < 0.2 else []
    _, _, told = resource(random.choice(KINDS), NAMES)
    said = features(told, label(told, policy()))
    blind = transaction.crypto.blind_index
    found = [one for each in (place, *members) for one in all_hashed(each, said, blind)]
    clinical = random.choice(DATES)
    transaction.run(
        "INSERT INTO resource (compartment, custodian, last_updated, version_id, type, id, members, clinical_at,"
        " clinical_until, facets, tokens, ranges, body)"
        " VALUES (%s, %s, 0, 1, %s, %s, %s::bigint[], %s, %s, %s::integer[], '{}', '{}', '')",
        (place, custodian, type_code(told["resourceType"]), f"r{number}", members or None,
         at(clinical[0]) if clinical else -(2**62), at(clinical[1]) if clinical else None,
         found if random.random() > 0.03 else None),
    )  # fmt: skip


def shown(
    transaction: Transaction, asker: Requester, people: Region
) -> tuple[frozenset[str], frozenset[str]]:
    """What two searches show: one that names every patient, one that names nobody."""
    named = _of_persons(transaction, asker, persons_of_patients(transaction, asker, people.people))
    region = _permit(transaction, asker, None, "", actors=asker.actors)
    return _rows(transaction, named), _rows(transaction, region)


def _rows(transaction: Transaction, permit: Permit) -> frozenset[str]:
    where, parameters = visible(permit)
    found = transaction.rows(f"SELECT r.id FROM resource r WHERE {where}", parameters)
    return frozenset(row[0] for row in found)


def denied(random: Random, region: Region) -> tuple[int, int, dict[str, Any]]:
    """One denial more: a consent of its own, or an exception inside of one that stands."""
    denial = provision(random, "deny", levels=0)
    if random.random() < 0.5:
        return (
            random.choice(list(region.people)),
            custodian_key(random.choice((POST, HOSPITAL))),
            a_consent("new", provision=denial),
        )
    place, filed_by, consent = deepcopy(random.choice(region.consents))
    spot = consent["provision"]
    while spot.get("provision") and random.random() < 0.6:
        spot = random.choice(spot["provision"])
    spot.setdefault("provision", []).append(denial)
    return place, filed_by, consent


def run(server: Server, cases: int, seed: int) -> Outcome:
    started, outcome, random = time.monotonic(), Outcome(), Random(seed)
    with a_world(server) as world:
        while outcome.cases < cases:
            with world.database_store.transaction() as transaction:
                transaction.now = NOW
                region = a_region(random, transaction)
                before = {asker: shown(transaction, asker, region) for asker in ASKERS}
                for _ in range(min(CASES_A_REGION, cases - outcome.cases)):
                    one_case(transaction, random, region, before, outcome)
                transaction.rollback()
    outcome.seconds = time.monotonic() - started
    return outcome


def one_case(
    transaction: Transaction, random: Random, region: Region, before: dict[Any, Any], outcome: Outcome
) -> None:
    asker = random.choice(ASKERS)
    filed = denied(random, region)
    transaction.run("SAVEPOINT before")
    file(transaction, region, filed)
    after = shown(transaction, asker, region)
    transaction.run("ROLLBACK TO SAVEPOINT before")
    outcome.cases += 1
    outcome.shown += bool(before[asker][0] or before[asker][1])
    outcome.shrunk += after != before[asker]
    for was, now in zip(before[asker], after, strict=True):
        if not now <= was:
            told = [each["provision"] for _, _, each in region.consents]
            outcome.grown.append(
                f"{asker.organization_id} {sorted(now - was)}: {json.dumps(told)} + {json.dumps(filed[2]['provision'])}"
            )


def main(arguments: list[str]) -> int:
    cases, seed = (int(arguments[0]) if arguments else 100_000), (int(arguments[1]) if arguments[1:] else 1)
    with a_server() as server:
        outcome = run(server, cases, seed)
    for each in outcome.grown[:10]:
        print(each, end="\n\n")
    print(f"cases {outcome.cases}  showed something {outcome.shown}  hid something {outcome.shrunk}  "
          f"showed more {len(outcome.grown)}  {outcome.seconds:.0f} s")  # fmt: skip
    return 1 if outcome.grown else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
