"""What the hub knows about an access beside its event: what the facility has of the person, names, who works there.

Spec:    docs/audit.md, "Signals".
Leaves:  what follows from it to signs.

Read for the hub itself, by the worker alone: no caller sees any of it, and of names nothing is kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

from exchange.audit.access import Access, access_of
from exchange.audit.signals.signal import Relation
from exchange.fhir.datatype import fold
from exchange.fhir.definitions import type_code
from exchange.fhir.resource import load
from exchange.identity.demographics import Demographics, demographics
from exchange.search.index import hash_text
from exchange.store.session import Transaction
from exchange.store.versions import COLUMNS, array_text, opened

HOUR: Final = 3_600_000_000
DAY: Final = 24 * HOUR
TREATED_DAYS: Final = 30
MOST_STAFF: Final = 2_000
MOST_REFUSALS: Final = 200
AHEAD: Final = HOUR // 6
_REFUSING: Final = ("4", "8", "12")
_PATIENT: Final = type_code("Patient")
_PRACTITIONER: Final = type_code("Practitioner")
_TITLES: Final = frozenset(
    {"dr", "dra", "lic", "enf", "abog", "mg", "obst", "q", "f", "tec", "ing", "sr", "sra", "med", "de", "del", "la",
     "las", "los", "y"}
)  # fmt: skip
_WORDS: Final = re.compile(r"[^a-z0-9]+")
_SURNAMES: Final = 2

PERSON: Final = """
SELECT l.compartment, l.patient_id FROM patient_record q JOIN patient_record l ON l.person = q.person
WHERE q.compartment = %s"""
# A dated resource of the facility: of these 30 days before and after, or of any other time. A Patient is no treatment.
RELATION: Final = """
SELECT coalesce(bool_or(r.clinical_at <= %(until)s AND r.clinical_until >= %(since)s), false), count(*) > 0
FROM resource r WHERE r.compartment = ANY(%(records)s::bigint[]) AND r.custodian = %(custodian)s
  AND r.type <> %(patient)s AND r.clinical_until IS NOT NULL AND NOT r.is_deleted"""
PATIENTS: Final = f"""
SELECT {COLUMNS} FROM resource r WHERE r.compartment = ANY(%(records)s::bigint[]) AND r.type = %(type)s
  AND r.id = ANY(%(ids)s) AND NOT r.is_deleted"""  # noqa: S608 - constants only
REFUSALS: Final = f"""
SELECT {COLUMNS}, r.clinical_at FROM audit_event r WHERE r.agent = %(agent)s AND NOT r.is_deleted
  AND r.clinical_at >= %(since)s AND r.clinical_at <= %(until)s AND r.tokens && %(tokens)s::bigint[]
ORDER BY r.last_updated DESC, r.id DESC LIMIT %(limit)s"""  # noqa: S608 - constants only
STAFF: Final = """
SELECT name, reference FROM account
WHERE organization_id = %s AND role <> 'patient' AND is_active ORDER BY account_id LIMIT %s"""
PRACTITIONERS: Final = f"""
SELECT {COLUMNS} FROM resource r WHERE r.type = %(type)s AND r.id = ANY(%(ids)s) AND NOT r.is_deleted"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Looked:
    """One event as signals read it. Units: microseconds since 1970 UTC."""

    access: Access
    event: dict[str, Any]
    compartment: int
    custodian: int
    agent: int
    at: int

    @property
    def facility(self) -> str:
        """The organisation that asked."""
        return self.access.facility.removeprefix("Organization/")


@dataclass(frozen=True, slots=True)
class Staff:
    """Who works at a facility, as far as its accounts tell: documents, full names, own Patients."""

    documents: frozenset[tuple[str, str]]
    names: frozenset[frozenset[str]]
    patients: frozenset[str]


@dataclass(frozen=True, slots=True)
class Refusals:
    """What was refused to an account in a span, newest first. Units: microseconds since 1970 UTC, both ends inside."""

    since: int
    until: int
    events: tuple[tuple[int, Access], ...]


@dataclass(slots=True)
class Facts:
    """What one step asks for, remembered until it ends."""

    transaction: Transaction
    _persons: dict[int, list[tuple[int, str]]] = field(default_factory=dict)
    _relations: dict[tuple[int, int, int], Relation] = field(default_factory=dict)
    _described: dict[int, list[Demographics]] = field(default_factory=dict)
    _staff: dict[str, Staff] = field(default_factory=dict)
    _refusals: dict[int, Refusals] = field(default_factory=dict)
    _asked: set[str] = field(default_factory=set)

    def is_new(self, question: str) -> bool:
        """Whether something is asked for the first time in this step: its answer would be the same again."""
        if question in self._asked:
            return False
        self._asked.add(question)
        return True

    def records(self, compartment: int) -> list[tuple[int, str]]:
        """The records that are known to be of one person, each with its Patient's id."""
        if compartment not in self._persons:
            self._persons[compartment] = [
                (row[0], row[1]) for row in self.transaction.rows(PERSON, (compartment,))
            ]
        return self._persons[compartment]

    def relation(self, looked: Looked) -> Relation:
        """What the facility that asked has of the person."""
        key = (looked.compartment, looked.custodian, looked.at // DAY)
        if key not in self._relations:
            told = {
                "records": array_text(each for each, _ in self.records(looked.compartment)),
                "custodian": looked.custodian, "patient": _PATIENT,
                "since": looked.at - TREATED_DAYS * DAY, "until": looked.at + TREATED_DAYS * DAY,
            }  # fmt: skip
            [(is_recent, is_any)] = self.transaction.rows(RELATION, told)
            self._relations[key] = "recent" if is_recent else "former" if is_any else ""
        return self._relations[key]

    def described(self, compartment: int) -> list[Demographics]:
        """What the person's Patients say."""
        if compartment not in self._described:
            records = self.records(compartment)
            told = {
                "records": array_text(each for each, _ in records), "type": _PATIENT,
                "ids": [each for _, each in records],
            }  # fmt: skip
            rows = self.transaction.rows(PATIENTS, told)
            self._described[compartment] = [
                demographics(load(each.text)) for each in opened(self.transaction, rows)
            ]
        return self._described[compartment]

    def refusals(self, looked: Looked, within: int) -> list[Access]:
        """What was refused to the account shortly before an event, newest first.

        A system asks thousands of times in that span: its refusals are read once for many of its events.
        """
        since = looked.at - within
        known = self._refusals.get(looked.agent)
        if known is None or not (known.since <= since and looked.at <= known.until):
            known = self._read_refusals(looked.agent, since, looked.at + AHEAD)
            if len(known.events) == MOST_REFUSALS:
                # More than that: the newest may all lie after this event, and others would be missed.
                return [each for _, each in self._read_refusals(looked.agent, since, looked.at).events]
            self._refusals[looked.agent] = known
        return [each for at, each in known.events if since <= at <= looked.at]

    def _read_refusals(self, agent: int, since: int, until: int) -> Refusals:
        blind = self.transaction.crypto.blind_index
        told = {
            "agent": agent, "since": since, "until": until, "limit": MOST_REFUSALS,
            "tokens": array_text(blind.value(hash_text("AuditEvent", "outcome", f"*|{code}")) for code in _REFUSING),
        }  # fmt: skip
        rows = self.transaction.rows(REFUSALS, told)
        versions = opened(self.transaction, rows)
        events = tuple(
            (row[-1], access_of(load(each.text))) for row, each in zip(rows, versions, strict=True)
        )
        return Refusals(since, until, events)

    def staff(self, facility: str) -> Staff:
        """Who works at a facility."""
        if facility not in self._staff:
            accounts = self.transaction.rows(STAFF, (facility, MOST_STAFF))
            references = [str(row[1]).partition("/") for row in accounts]
            ids = [each for kind, _, each in references if kind == "Practitioner"]
            rows = self.transaction.rows(PRACTITIONERS, {"type": _PRACTITIONER, "ids": ids}) if ids else []
            people = [demographics(load(each.text)) for each in opened(self.transaction, rows)]
            self._staff[facility] = Staff(
                documents=frozenset(document for each in people for document in each.documents),
                names=frozenset(frozenset(words(str(row[0]))) for row in accounts),
                patients=frozenset(each for kind, _, each in references if kind == "Patient"),
            )
        return self._staff[facility]


def words(name: str) -> list[str]:
    """The words of a person's name, folded, without titles and particles."""
    return [each for each in _WORDS.split(fold(name)) if each and each not in _TITLES]


def surnames(name: str) -> frozenset[str]:
    """The surnames in a name as accounts write it: given names first, then one surname or both.

    Of two words the last one is a surname, of more the last two: a given name is not taken for one.
    """
    found = words(name)
    least_given = 1
    return frozenset(found[max(least_given, len(found) - _SURNAMES) :])
