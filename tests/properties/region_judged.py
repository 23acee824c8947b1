"""What of a region an asker may see, judged in memory resource by resource: no SQL, no rows, no keyed hashes.

A resource is seen by its own facility. Of another's, each patient whom it is about must have permitted it. A patient
sees the own records. What describes the region is seen by everybody. `judge` is the judgement, see consent/judgement.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

from exchange.consent import lookup as lookups
from exchange.consent.judgement import Asked, Filed, Subject, judge
from exchange.consent.provision import SENDING, Rule, rules
from exchange.consent.superseding import Told, superseded
from exchange.crypto.blind_index import BlindIndex
from exchange.identity import linkage
from exchange.identity.demographics import demographics
from exchange.interactions.admission import patients_of
from exchange.permit import DIRECTORY_TYPES
from exchange.policy.adopted import policy
from exchange.policy.determination import Determination, determined, encounters_of
from exchange.policy.facets import LADDER, features
from exchange.policy.sensitivity import Label, label, told_label
from exchange.requester import Requester, custodian_key
from exchange.search.index import index
from exchange.store.versions import BEGINNING
from tests.properties.region import Act, Region

Key = tuple[str, str]
"""A resource: its type and its id."""


@dataclass(slots=True)
class Kept:
    """One resource with all its versions, each with the number of the act that wrote it."""

    facility: str
    patients: tuple[str, ...]
    versions: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    is_deleted: bool = False
    confidentiality: str = "N"
    said: frozenset[str] = frozenset()

    @property
    def current(self) -> dict[str, Any]:
        return self.versions[-1][1]


class Judged:
    """A region after its acts."""

    def __init__(self, region: Region, blind: BlindIndex, now: int) -> None:
        self.kept: dict[Key, Kept] = {}
        self._determined: dict[tuple[str, str], Determination] = {}
        self._blind = blind
        self._now = now
        for number, act in enumerate(region):
            self._do(number, act)
        self.persons = self._linked(self.patients)
        self._filed = self._consents()

    @property
    def patients(self) -> list[str]:
        return [name for kind, name in self.kept if kind == "Patient"]

    def _do(self, number: int, act: Act) -> None:
        if "determine" in act:
            self._determine(number, act)
            return
        kind, _, name = (
            act["delete"].partition("/")
            if "delete" in act
            else (act["put"]["resourceType"], "", act["put"]["id"])
        )
        if "delete" in act:
            self.kept[kind, name].is_deleted = True
            return
        resource = act["put"]
        standing = self.kept.get((kind, name))
        kept = self.kept.setdefault((kind, name), Kept(act["by"], tuple(patients_of(kind, name, resource))))
        kept.is_deleted = False
        if standing is not None:  # labels that stand are not lost: see policy/standing_labels
            resource = _with_labels(resource, standing.current)
        kept.versions.append((number, resource))
        made = self._label(kept, number, resource)
        first = standing is None
        kept.confidentiality = (
            made.confidentiality if first else _higher(made.confidentiality, kept.confidentiality)
        )
        kept.said |= _said(resource, made)

    def _determine(self, number: int, act: Act) -> None:
        told = act["determine"]
        encounter = told["encounter"]
        patient = self.kept["Encounter", encounter].patients[0]
        found = Label(told["confidentiality"], frozenset(told["categories"]))
        self._determined[patient, encounter] = Determination(found, number)
        for kept in self.kept.values():
            if patient in kept.patients and any(
                encounter in encounters_of(each) for _, each in kept.versions
            ):
                labels = [self._label(kept, written, each) for written, each in kept.versions]
                kept.confidentiality = max((each.confidentiality for each in labels), key=_place)
                kept.said = frozenset().union(*(_said(each, made) for (_, each), made in zip(kept.versions, labels, strict=True)))  # fmt: skip

    def _label(self, kept: Kept, written: int, resource: dict[str, Any]) -> Label:
        automatic = label(resource, policy(), self._looked_at_by(kept.facility))
        found = {(place, name): each for (place, name), each in self._determined.items()}
        return determined(
            automatic, told_label(resource, policy()), encounters_of(resource), kept.patients, found, written,  # type: ignore[arg-type]
        )  # fmt: skip

    def _looked_at_by(self, facility: str) -> Any:
        def linked(reference: str) -> dict[str, Any] | None:
            kind, _, name = reference.partition("/")
            kept = self.kept.get((kind, name))
            if kept is None or kept.is_deleted or (kept.facility != facility and kind != "Medication"):
                return None
            return kept.current

        return linked

    def _linked(self, patients: Collection[str]) -> dict[str, int]:
        """The person of each Patient: those whom certain evidence links, directly or over others of them."""
        persons = {each: number for number, each in enumerate(patients)}
        described = {each: demographics(self.kept["Patient", each].current) for each in patients}
        for one, other in combinations(patients, 2):
            if (
                linkage.judge(described[one], described[other])[0] == "certain"
                and persons[one] != persons[other]
            ):
                gone, stays = persons[one], persons[other]
                persons = {each: stays if person == gone else person for each, person in persons.items()}
        return persons

    def linked_among(self, patients: Collection[str]) -> dict[str, int]:
        """The persons as they would be if only these Patients had ever been stored."""
        return self._linked(sorted(patients))

    def _consents(self) -> dict[str, list[Filed]]:
        """What is filed about each patient record: the Consents of all records of the person that are not silenced."""
        told = [
            (kept, kept.patients[0], kept.current)
            for (kind, _), kept in self.kept.items()
            if kind == "Consent" and not kept.is_deleted
        ]
        keys = {patient: number for number, patient in enumerate(self.persons)}
        silent = superseded(
            [Told((keys[patient], custodian_key(kept.facility)), consent) for kept, patient, consent in told],
            self._now,
        )
        found: dict[str, list[Filed]] = {each: [] for each in self.persons}
        for kept, patient, consent in told:
            if (keys[patient], consent["id"]) in silent:
                continue
            read = rules(consent, self._lookup(kept.facility))
            for record, person in self.persons.items():
                if person == self.persons[patient]:
                    owner = self.kept["Patient", record].facility
                    heard = [each for each in read if _is_heard(each, owner, kept.facility)]
                    found[record].append(Filed(heard, custodian_key(kept.facility)))
        return found

    def _lookup(self, facility: str) -> Any:
        def held(reference: str) -> dict[str, Any] | None:
            kind, _, name = reference.partition("/")
            kept = self.kept.get((kind, name))
            return None if kept is None or kept.is_deleted or kept.facility != facility else kept.current

        def members(reference: str, is_permit: bool) -> tuple[str, ...] | None:
            found = held(reference)
            return None if found is None else lookups._members(found, is_permit=is_permit)

        def refers_to(reference: str) -> tuple[str, ...] | None:
            found = held(reference) if reference.partition("/")[0] in lookups.LEANT_ON else None
            return None if found is None else tuple(lookups._references(found))

        return replace(lookups.lookup(None, 0), members=members, refers_to=refers_to)

    def hidden(self, asker: Requester) -> set[Key]:
        """What the asker may not see."""
        return {key for key, kept in self.kept.items() if not self._is_seen(asker, key, kept)}

    def _is_seen(self, asker: Requester, key: Key, kept: Kept) -> bool:
        if key[0] in DIRECTORY_TYPES:
            return True
        if asker.role == "patient":
            patient = asker.user.reference.removeprefix("Patient/") if asker.user else ""
            person = self.persons.get(patient)
            return bool(kept.patients) and all(self.persons[each] == person for each in kept.patients)
        if custodian_key(kept.facility) == asker.custodian:
            return True
        asked = Asked(frozenset(asker.actors), asker.custodian, asker.purpose_of_use, self._now)
        subject = Subject(kept.said | {f"level|{_level(kept.confidentiality)}"}, self._clinical(kept))
        assumed = SENDING if policy().defaults.sending == "assumed" else 0
        return bool(kept.patients) and all(
            judge(self._filed[each], asked, subject, assumed).permits for each in kept.patients
        )

    def _clinical(self, kept: Kept) -> tuple[int, int] | None:
        if kept.is_deleted:
            return None
        found = index(kept.current, kept.patients[:1], self._blind)
        return (
            None
            if found.clinical_at == BEGINNING or found.clinical_until is None
            else (found.clinical_at, found.clinical_until)
        )


def _is_heard(rule: Rule, owner: str, filed_by: str) -> bool:
    """An authorisation to send alone is for the facility that filed it."""
    return rule.covers != SENDING or owner == filed_by


def _said(resource: dict[str, Any], made: Label) -> frozenset[str]:
    return frozenset(each for each in features(resource, made) if not each.startswith("level|"))


def _level(confidentiality: str) -> str:
    return confidentiality if confidentiality in ("R", "V") else "N"


def _place(confidentiality: str) -> int:
    return LADDER.index(confidentiality)


def _higher(one: str, other: str) -> str:
    return max(one, other, key=_place)


def _with_labels(new: dict[str, Any], standing: dict[str, Any]) -> dict[str, Any]:
    stood = standing.get("meta", {}).get("security", [])
    told = new.get("meta", {}).get("security", [])
    kept = [each for each in stood if each not in told]
    return new | {"meta": new.get("meta", {}) | {"security": [*told, *kept]}} if kept else new
