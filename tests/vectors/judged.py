"""A vector's answer by the pure judgement alone: no hub, no SQL. None where more than consents is asked."""

from __future__ import annotations

import json
from typing import Any

from exchange.consent import lookup as consent_lookup
from exchange.consent.dimension import Lookup
from exchange.consent.judgement import Asked, Filed, Subject, judge
from exchange.consent.lookup import LEANT_ON
from exchange.consent.provision import SENDING, rules
from exchange.consent.superseding import Told, superseded
from exchange.crypto.blind_index import BlindIndex
from exchange.interactions.admission import patients_of
from exchange.policy.adopted import policy
from exchange.policy.facets import features
from exchange.policy.sensitivity import label
from exchange.requester import custodian_key
from exchange.search.index import index
from tests.sample.judging import a_lookup, at
from tests.vectors.asker import NOON, Asker
from tests.vectors.notation import FACILITIES
from tests.vectors.situation import Situation


def judged(made: Situation, asked: Asker, blind: BlindIndex) -> str | None:
    """`sees`, `does not see`, `is refused`; None where roles, emergencies or ages decide."""
    requester = asked.requester
    if not policy().may(requester.role, "charts", requester.purpose_of_use):
        return "is refused"
    target = made.target
    kind = target["resourceType"]
    if not requester.may(kind, "r") or not requester.may(kind, "s"):
        return "is refused"
    facility = made.facility_of[target["id"]]
    if requester.role not in ("system", "clinician") or asked.case or made.has_representatives:
        return None
    if requester.organization_id == FACILITIES[facility]:
        return "sees"
    subject = Subject(
        frozenset(features(target, label(target, policy(), made.resources.get))), _clinical(target, blind)
    )
    moment = Asked(frozenset(requester.actors), requester.custodian, requester.purpose_of_use, asked.at)
    patients = patients_of(kind, target["id"], target)
    assumed = SENDING if policy().defaults.sending == "assumed" else 0
    return (
        "sees"
        if patients and all(judge(_filed(made, each), moment, subject, assumed).permits for each in patients)
        else "does not see"
    )


def _filed(made: Situation, patient_id: str) -> list[Filed]:
    """The rules of every Consent on a record of the person; one to send alone is for the facility that filed it."""
    person = made.person_of[patient_id]
    found = []
    told = [
        Told(
            (_place(each["patient"]["reference"]), custodian_key(FACILITIES[made.facility_of[each["id"]]])),
            each,
        )
        for each in made.consents
    ]
    silent = {consent_id for _, consent_id in superseded(told, at(NOON))}
    for consent in made.consents:
        if consent["id"] in silent:
            continue
        if made.person_of[consent["patient"]["reference"].partition("/")[2]] != person:
            continue
        filed_by = made.facility_of[consent["id"]]
        heard = [
            rule
            for rule in rules(consent, _lookup(made, filed_by))
            if rule.covers != SENDING or made.facility_of[patient_id] == filed_by
        ]
        found.append(Filed(heard, custodian_key(FACILITIES[filed_by])))
    return found


def _place(reference: str) -> int:
    return hash(reference)


def _lookup(made: Situation, filed_by: str) -> Lookup:
    def held(reference: str) -> dict[str, Any] | None:
        resource = made.resources.get(reference)
        return resource if resource and made.facility_of[resource["id"]] == filed_by else None

    def members(reference: str, is_permit: bool) -> tuple[str, ...] | None:
        resource = held(reference)
        return consent_lookup._members(resource, is_permit=is_permit) if resource else None

    def refers_to(reference: str) -> tuple[str, ...] | None:
        resource = held(reference) if reference.partition("/")[0] in LEANT_ON else None
        return tuple(consent_lookup._references(resource)) if resource else None

    return a_lookup(members=members, refers_to=refers_to)


def _clinical(resource: dict[str, Any], blind: BlindIndex) -> tuple[int, int] | None:
    found = index(json.loads(json.dumps(resource)), ("p",), blind)
    return None if found.clinical_until is None else (found.clinical_at, found.clinical_until)
