"""A region of invented people, made from a seed, a number of people and a reference date.

Leaves:  files and messages to trama, hl7v2, ccda and bundles; loading them to the demonstration.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import count, islice

from exchange.demo.facilities import ASKING, FACILITIES, PRIMARY, SECONDARY, TERTIARY, Facility
from exchange.demo.history import History, history_of
from exchange.demo.people import Person, family
from exchange.demo.records import SourceRecord, records_of


@dataclass(frozen=True, slots=True)
class Truth:
    """Which source records are one person: facility code and record number of each."""

    person: str
    records: tuple[tuple[str, str], ...]
    traits: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Region:
    """The region. People are made one family at a time, again on every iteration, and nothing is kept."""

    seed: int
    size: int
    reference_date: date
    facilities: tuple[Facility, ...] = FACILITIES
    primary: Facility = PRIMARY
    secondary: Facility = SECONDARY
    tertiary: Facility = TERTIARY
    asking: Facility = ASKING

    def people(self) -> Iterator[Person]:
        """Every person, in the order of families."""
        everybody = (
            member for number in count(1) for member in family(self.seed, number, self.reference_date)
        )
        return islice(everybody, self.size)

    def records(self, person: Person) -> tuple[SourceRecord, ...]:
        """What the three facilities believe about the person."""
        return records_of(self.seed, person, self.reference_date)

    def history(self, person: Person) -> History:
        """What happened to the person in the three facilities."""
        return history_of(self.seed, person, self.records(person), self.reference_date)

    def records_at(self, facility: Facility) -> Iterator[tuple[Person, SourceRecord]]:
        """Every record of one facility, duplicates included."""
        for person in self.people():
            for record in self.records(person):
                if record.renipress == facility.renipress:
                    yield person, record

    def truth(self) -> Iterator[Truth]:
        """The ground truth for evaluating linkage."""
        for person in self.people():
            records = self.records(person)
            yield Truth(person.key, tuple(record.key for record in records), person.traits)

    def shared_person(self) -> Person:
        """The person to show: an adult with a DNI, a lasting disease, and equal, clean records everywhere."""
        return next(person for person in self.people() if "plain" in person.traits)


def build_region(*, seed: int, people: int, reference_date: date) -> Region:
    """Describe a region; nobody is made until somebody asks.

    Units:  people is a count, at most about three million; reference_date takes the place of today.
    """
    if people < 1:
        raise ValueError("a region has at least one person")
    return Region(seed=seed, size=people, reference_date=reference_date)
