"""The decision: the only place where a Permit is made.

Spec:    docs/decisions/0011-consent-rules.md; IHE PCF 1.1; Ley 30024 (Peru).
Leaves:  reading Consents to provision; putting the Permit into queries to store/visibility.

Order: (1) role, (2) scopes, (3) each consent that speaks, (4) deny overrides, (5) silence denies,
(6) what a facility produced itself it sees. What is not permitted is out of reach, and so looks absent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from exchange.consent.provision import Rule
from exchange.consent.rules_store import Person, persons_of_patients, persons_of_resource
from exchange.permit import DIRECTORY_TYPES, Permit
from exchange.problems import Denied
from exchange.request import Need
from exchange.requester import Requester, custodian_key
from exchange.store.session import Transaction

_VERBS: Final = {"c": "create", "r": "read", "u": "update", "d": "delete", "s": "search"}


def decide(transaction: Transaction, requester: Requester, need: Need) -> Permit:
    """The reach of one act.

    Raises: Denied - the role or the token's scopes do not allow the act at all.
    """
    # 1. Role: administrators see events and the directory, never a chart; clinic systems never see events.
    for resource_type, _ in need.actions:
        _require_role(requester, resource_type, is_write=need.is_write)
    # 2. Scopes: every type and every verb of the act must be covered.
    for resource_type, action in need.actions:
        if not requester.may(resource_type, action):
            raise Denied(
                f"the token's scopes do not allow to {_VERBS[action]} {resource_type}",
                reason=f"scope system/{resource_type}.{action} not granted",
            )
    # 3.-6. Whose records are in reach.
    if requester.role == "administrator":
        return _administrator(transaction, requester, need)
    if need.is_write:
        return _permit(transaction, requester, None, (), "own records")
    if need.target is not None:
        if need.target[0] in DIRECTORY_TYPES:
            return _permit(transaction, requester, (), (), "directory")
        persons = persons_of_resource(transaction, *need.target)
        return _of_persons(transaction, requester, persons)
    if need.patients:
        return _of_named(transaction, requester, need.patients)
    actors = (custodian_key(requester.organization_id),)
    return _permit(transaction, requester, None, actors, "own records and consents")


def judge(person_rules: Iterable[Rule], actors: Sequence[int], purpose: str, at: int) -> tuple[bool, str]:
    """Whether a person's consents permit, and which of them decided. Silence denies.

    1. A rule matches when its actor, purpose and period all do.
    2. Within a consent the deepest match decides; siblings that both match deny.
    3. Across consents a deny overrides; without any permit the region's default denies.
    """
    spoken: dict[tuple[int, str], tuple[int, bool]] = {}
    for rule in person_rules:
        # 1.
        if rule.actor is not None and rule.actor not in actors:
            continue
        if rule.purposes is not None and purpose not in rule.purposes:
            continue
        if not rule.starts_at <= at <= rule.ends_at:
            continue
        # 2.
        key = (rule.compartment, rule.consent_id)
        depth, permits = spoken.get(key, (-1, False))
        if rule.depth > depth:
            spoken[key] = (rule.depth, rule.is_permit)
        elif rule.depth == depth:
            spoken[key] = (depth, permits and rule.is_permit)
    # 3.
    for (_, consent_id), (_, permits) in sorted(spoken.items()):
        if not permits:
            return False, f"Consent/{consent_id} denies"
    if spoken:
        return True, f"Consent/{min(spoken)[1]} permits"
    return False, "no consent speaks: the region's default denies"


def _require_role(requester: Requester, resource_type: str, *, is_write: bool) -> None:
    is_audit = resource_type == "AuditEvent"
    if is_audit and is_write:
        raise Denied("audit events are written by the hub alone", reason="write to AuditEvent")
    if requester.role == "administrator":
        if not is_audit and resource_type not in DIRECTORY_TYPES:
            raise Denied("an administrator sees events and the directory, not charts", reason="role")
    elif is_audit:
        raise Denied("audit events are for administrators", reason="role")


def _administrator(transaction: Transaction, requester: Requester, need: Need) -> Permit:
    is_audit = any(resource_type == "AuditEvent" for resource_type, _ in need.actions)
    if not is_audit:
        return _permit(transaction, requester, None, (), "directory")
    compartments: tuple[int, ...] | None = None
    named: list[tuple[int, ...]] = []
    if need.patients:
        blind = transaction.crypto.blind_index
        groups = [{blind.patient_compartment(each) for each in group} for group in need.patients]
        people = [
            each for each in persons_of_patients(transaction, set().union(*groups)) if not each.is_beside
        ]
        for group in groups:
            records = {record for person in people if person.asked in group for record in person.records}
            named.append(tuple(sorted(group | records)))
        compartments = tuple(sorted({record for group in named for record in group}))
    return Permit(
        compartments=compartments,
        custodian=requester.custodian,
        actors=(),
        purpose=requester.purpose_of_use,
        decided_at=transaction.now,
        types=requester.readable_types(),
        audit=True,
        reason="auditor",
        named=tuple(named),
    )


def _of_named(transaction: Transaction, requester: Requester, groups: tuple[tuple[str, ...], ...]) -> Permit:
    """A search that names patients: the records of all of them; each criterion asks within those that it names."""
    blind = transaction.crypto.blind_index
    asked = [{blind.patient_compartment(each) for each in group} for group in groups]
    return _of_persons(transaction, requester, persons_of_patients(transaction, set().union(*asked)), asked)


def _of_persons(
    transaction: Transaction, requester: Requester, persons: Sequence[Person], asked: Sequence[set[int]] = ()
) -> Permit:
    reached: dict[int, set[int]] = {}
    beside: set[int] = set()
    reasons: set[str] = set()
    for person in persons:
        own = {record for record, custodian in person.records.items() if custodian == requester.custodian}
        # What a facility filed itself may deny it, and never permits it: nobody consents for himself.
        rules = [
            rule
            for rule in person.rules
            if not rule.is_permit or person.records.get(rule.compartment) != requester.custodian
        ]
        permits, reason = judge(rules, (requester.custodian,), requester.purpose_of_use, transaction.now)
        reach = set(person.records) if permits else own
        if person.is_beside:
            beside |= reach
            continue
        # A hidden record must not answer for its person: that would tell that it exists, and of whom.
        reached[person.asked] = reach if person.asked in reach else set()
        reasons.add(reason if set(person.records) - own else "own records")
    everything = set[int]().union(*reached.values())
    return _permit(
        transaction,
        requester,
        tuple(sorted(everything)),
        (),
        "; ".join(sorted(reasons)) or "nobody",
        beside=tuple(sorted(beside - everything)),
        named=tuple(
            tuple(sorted(set[int]().union(*(reached.get(each, ()) for each in group)))) for group in asked
        ),
    )


def _permit(
    transaction: Transaction,
    requester: Requester,
    compartments: tuple[int, ...] | None,
    actors: tuple[int, ...],
    reason: str,
    *,
    beside: tuple[int, ...] = (),
    named: tuple[tuple[int, ...], ...] = (),
) -> Permit:
    return Permit(
        compartments=compartments,
        custodian=requester.custodian,
        actors=actors,
        purpose=requester.purpose_of_use,
        decided_at=transaction.now,
        types=requester.readable_types(),
        audit=False,
        reason=reason,
        beside=beside,
        named=named,
    )
