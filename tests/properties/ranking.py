"""The rank attack: what somebody with a dump, the public rankings and this program names in the index, without a key.

    python -m tests.properties.ranking [PEOPLE] [--alike]

Spec:    docs/blind-indexes.md.
Leaves:  attacks on sealed bodies to the tests of envelope.

The attacker is given more than a dump gives: which parameter a hash is of, where it is the same in all records. He draws
a population of his own from the public rankings, indexes it by this program, and takes the n-th most frequent hash of a
parameter for the n-th most frequent value. Counted is what he names rightly beyond naming the most frequent value of all
for everybody. `--alike` hashes every value alike in all records, to see what that would cost.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import groupby
from math import sqrt
from pathlib import Path
from random import Random
from typing import Any, Final, TextIO

from exchange.crypto.blind_index import EVERYWHERE, BlindIndex
from exchange.demo.codes import DISEASES
from exchange.demo.names import GIVEN, SURNAMES, Name, Weighted, draw_given
from exchange.fhir import peru
from exchange.fhir.datatype import fold
from exchange.fhir.definitions import type_code
from exchange.fhir.resource import dump
from exchange.identity.demographics import demographics
from exchange.search.index import index
from exchange.store.session import Store, Transaction
from exchange.store.versions import Write, write
from tests.properties.oracle import a_store
from tests.sample.database import a_server

MOST_NAMED: Final = 0.01
GUESSES: Final = 30_000
MATCHED: Final = 2_000
BATCH: Final = 500
TODAY: Final = date(2026, 6, 1)
LIFE_DAYS: Final = 90 * 365
ATTRIBUTES: Final = ("surname", "given name", "sex", "birth year", "birth date", "diagnosis")
_DISEASES: Final = Weighted(",".join(f"{each.code} {each.weight}" for each in DISEASES))


@dataclass(frozen=True, slots=True)
class Somebody:
    """One invented person, as a Patient and a Condition, and the truth that the attacker wants."""

    resources: tuple[dict[str, Any], dict[str, Any]]
    truth: dict[str, frozenset[str]]


@dataclass
class Named:
    """What the attacker named of one attribute, as shares of all people."""

    rightly: float = 0.0
    at_base: float = 0.0
    beyond: float = 0.0


class Noting(BlindIndex):
    """The hub's blind index, which notes what was hashed alike in all records; in `alike` mode everything is."""

    def __init__(self, blind: BlindIndex, *, alike: Iterable[str] | None = ()) -> None:
        super().__init__(blind._keyring)
        self.texts: dict[int, str] = {}
        self._alike = None if alike is None else tuple(alike)

    def tokens(self, text: str, record: int) -> list[int]:
        is_alike = self._alike is None or text.startswith(self._alike)
        made = super().tokens(text, EVERYWHERE if is_alike else record)
        if is_alike or record == EVERYWHERE:
            self.texts |= dict.fromkeys(made, text)
        return made


def people(number: int, seed: int) -> Iterator[Somebody]:
    """People with surnames, given names and illnesses by their weights, more of them young than old."""
    random = Random(seed)
    for each in range(number):
        sex = random.choice("FM")
        name = Name(SURNAMES.draw(random), SURNAMES.draw(random), draw_given(random, GIVEN[sex]))
        born = TODAY - timedelta(days=int(LIFE_DAYS * min(random.random(), random.random())))
        ill = _DISEASES.draw(random)
        patient = {
            "resourceType": "Patient", "id": f"p{seed}-{each}", "birthDate": born.isoformat(),
            "gender": "female" if sex == "F" else "male",
            "identifier": [{"system": peru.DNI_SYSTEM, "value": f"{seed % 10}{each:07d}"}],
            "name": [{"family": f"{name.paternal} {name.maternal}", "given": list(name.given)}],
            "telecom": [{"system": "phone", "value": f"9{random.randrange(10**8):08d}"}],
        }  # fmt: skip
        condition = {
            "resourceType": "Condition", "id": f"c{seed}-{each}", "subject": {"reference": f"Patient/p{seed}-{each}"},
            "clinicalStatus": {"coding": [{"code": "active"}]},
            "code": {"coding": [{"system": peru.CIE10_SYSTEM, "code": ill}]},
        }  # fmt: skip
        yield Somebody(
            (patient, condition),
            {
                "surname": frozenset(map(fold, (name.paternal, name.maternal))),
                "given name": frozenset(map(fold, name.given)),
                "sex": frozenset((sex,)),
                "birth year": frozenset((str(born.year),)),
                "birth date": frozenset((born.isoformat(),)),
                "diagnosis": frozenset((ill,)),
            },
        )


@dataclass
class Rankings:
    """What the attacker knows of the region: how often each form stands, and what it says of who bears it."""

    people: int
    shares: dict[str, list[tuple[str, float]]] = field(default_factory=dict)
    """For each parameter, its forms and their shares, the most frequent first."""
    told: dict[str, dict[str, tuple[str, float]]] = field(default_factory=dict)
    """For each attribute: what a form makes most likely, and how likely."""
    base: dict[str, str] = field(default_factory=dict)


def label_of(text: str) -> str:
    """The type and parameter of a text that was hashed; empty where it is unknown."""
    return "|".join(text.split("|")[:2])


def rankings(blind: BlindIndex, number: int, seed: int) -> Rankings:
    """The attacker's own population, indexed by this program without a hash's key: forms instead of tokens."""
    noting = Noting(blind, alike=None)
    held: Counter[str] = Counter()
    says: dict[str, dict[str, Counter[str]]] = {each: defaultdict(Counter) for each in ATTRIBUTES}
    whole: dict[str, Counter[str]] = {each: Counter() for each in ATTRIBUTES}
    for somebody in people(number, seed):
        tokens = {each for one in somebody.resources for each in indexed(one, noting).tokens}
        forms = {noting.texts[each] for each in tokens if each in noting.texts}
        held.update(forms)
        for attribute in ATTRIBUTES:
            whole[attribute].update(somebody.truth[attribute])
            for form in forms:
                says[attribute][form].update(somebody.truth[attribute])
    found = Rankings(number)
    for form, count in held.most_common():
        if count > 1:
            found.shares.setdefault(label_of(form), []).append((form, count / number))
    for attribute in ATTRIBUTES:
        found.base[attribute] = whole[attribute].most_common(1)[0][0]
        found.told[attribute] = {
            form: (likely[0][0], likely[0][1] / held[form])
            for form, counts in says[attribute].items()
            if held[form] > 1 and (likely := counts.most_common(1))
        }
    return found


def indexed(resource: dict[str, Any], blind: BlindIndex) -> Any:
    """A resource's index in its patient's record, by the hub's own code."""
    is_patient = resource["resourceType"] == "Patient"
    patient = resource["id"] if is_patient else resource["subject"]["reference"].partition("/")[2]
    return index(resource, (patient,), blind, blind.patient_compartment(patient))


def fill(store: Store, blind: BlindIndex, number: int, seed: int) -> dict[int, dict[str, frozenset[str]]]:
    """Store people; what is true of whom, by record."""
    truth: dict[int, dict[str, frozenset[str]]] = {}
    batch: list[Somebody] = []
    for somebody in people(number, seed):
        batch.append(somebody)
        truth[blind.patient_compartment(somebody.resources[0]["id"])] = somebody.truth
        if len(batch) == BATCH:
            _store(store, blind, batch)
            batch.clear()
    _store(store, blind, batch)
    return truth


def _store(store: Store, blind: BlindIndex, batch: list[Somebody]) -> None:
    with store.transaction() as transaction:
        writes, keys = [], []
        for somebody in batch:
            place = blind.patient_compartment(somebody.resources[0]["id"])
            for each in somebody.resources:
                kind = each["resourceType"]
                writes.append(
                    Write(place, 1, type_code(kind), each["id"], 1, transaction.now, dump(each), indexed(each, blind))
                )  # fmt: skip
            for kind, value in demographics(somebody.resources[0]).documents:
                keys += [(each, place) for each in blind.tokens(f"identity|{kind}|{value}", EVERYWHERE)]
        write(transaction, writes)
        _enter(transaction, keys)
        transaction.commit()


def _enter(transaction: Transaction, keys: list[tuple[int, int]]) -> None:
    hashes, places = [each[0] for each in keys], [each[1] for each in keys]
    sql = "INSERT INTO identity_key (hash, compartment) SELECT * FROM unnest(%s::bigint[], %s::bigint[])"
    transaction.run(sql, (hashes, places))


DUMP: Final = """COPY (
  SELECT DISTINCT hash, compartment FROM (
    SELECT hash, compartment FROM token_entry UNION ALL SELECT hash, compartment FROM identity_key
    UNION ALL SELECT unnest(tokens), compartment FROM resource) h
  ORDER BY 1) TO STDOUT"""


def dumped(store: Store, file: TextIO) -> None:
    """Every keyed hash of the index and the record that it stands in, as a dump of the database has them."""
    with store.transaction() as transaction:
        transaction.run("SET LOCAL statement_timeout = 0; SET LOCAL work_mem = '256MB'")
        transaction._cursor.copy_expert(DUMP, file)


def repeated(file: Iterable[str]) -> dict[int, list[int]]:
    """The hashes that stand in more than one record, with the records."""
    rows = (line.split("\t") for line in file)
    found: dict[int, list[int]] = {}
    for value, same in groupby(rows, key=lambda row: row[0]):
        records = [int(row[1]) for row in same]
        if len(records) > 1:
            found[int(value)] = records
    return found


def attack(
    hashes: dict[int, list[int]],
    labels: dict[int, str],
    known: Rankings,
    truth: dict[int, dict[str, frozenset[str]]],
) -> dict[str, Named]:
    """What is named of each attribute.

    1. Within a parameter the n-th most frequent hash is taken for the n-th most frequent form, where their frequencies
    agree. 2. A form tells what is most likely of who bears it; of several the surest counts. 3. A guess that is less sure
    than the most frequent value of all is not made.
    """
    number = len(truth)
    # 1.
    taken: list[tuple[str, list[int]]] = []
    columns: dict[str, list[int]] = defaultdict(list)
    for value in hashes:
        columns[labels.get(value, "")].append(value)
    for label, values in columns.items():
        ranked = sorted(values, key=lambda each: -len(hashes[each]))[:MATCHED]
        for value, (form, share) in zip(ranked, known.shares.get(label, ()), strict=False):
            seen = len(hashes[value]) / number
            if abs(seen - share) <= 4 * (sqrt(share / known.people) + sqrt(share / number)):
                taken.append((form, hashes[value]))
    found: dict[str, Named] = {}
    for attribute in ATTRIBUTES:
        base = known.base[attribute]
        at_base = sum(base in each[attribute] for each in truth.values())
        # 2.
        guesses: dict[int, tuple[float, str]] = {}
        for form, records in taken:
            value, sure = known.told[attribute].get(form, ("", 0.0))
            for record in records:
                guesses[record] = max(guesses.get(record, (0.0, "")), (sure, value))
        # 3.
        rightly = sum(
            (guess if sure > at_base / number else base) in truth[record][attribute]
            for record in truth
            for sure, guess in (guesses.get(record, (0.0, base)),)
        )
        found[attribute] = Named(rightly / number, at_base / number, max(0.0, (rightly - at_base) / number))
    return found


def run(store: Store, number: int, *, alike: Iterable[str] | None = ()) -> dict[str, Named]:
    """Fill a hub, dump it, attack the dump."""
    blind = Noting(store.crypto.blind_index, alike=alike)
    truth = fill(store, blind, number, seed=1)
    labels = {value: label_of(text) for value, text in blind.texts.items()}
    blind.texts.clear()
    known = rankings(store.crypto.blind_index, GUESSES, seed=2)
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "dump").open("w+") as file:
        dumped(store, file)
        file.seek(0)
        return attack(repeated(file), labels, known, truth)


def main() -> int:
    """Run as a command."""
    arguments = [each for each in sys.argv[1:] if each != "--alike"]
    number = int(arguments[0]) if arguments else 200_000
    with a_server() as server, a_store(server) as store:
        found = run(store, number, alike=None if "--alike" in sys.argv else ())
    for attribute, named in found.items():
        sys.stdout.write(
            f"{attribute:12} named rightly {named.rightly:7.2%}, by the most frequent value {named.at_base:7.2%}, "
            f"beyond {named.beyond:7.2%}\n"
        )
    most = max(each.beyond for each in found.values())
    sys.stdout.write(f"people {number}, most named beyond {most:.2%}, allowed {MOST_NAMED:.2%}\n")
    return 1 if most > MOST_NAMED else 0


if __name__ == "__main__":
    sys.exit(main())
