"""The decision: the only place where a Permit is made.

Spec:    docs/decisions/0011-consent-rules.md, 0018-decision-inside-queries.md; IHE PCF 1.1; Ley 30024 (Peru).
Leaves:  reading Consents to provision; what they come to for each record to reach; putting the Permit into queries to
         store/visibility.

Order: (1) law and role, (2) scopes, (3) each consent that speaks, (4) deny overrides, (5) silence denies, (6) an open
emergency case, and what a facility produced itself it sees. What is not permitted is out of reach, and so looks absent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from exchange.consent import break_glass
from exchange.consent.provision import BOTH, SENDING
from exchange.consent.reach import (
    Person,
    Record,
    connected,
    patients_in_sight,
    persons_of_patients,
    persons_of_resource,
)
from exchange.consent.representative import represented
from exchange.permit import DIRECTORY_TYPES, AuditOf, Emergency, Permit
from exchange.policy.adopted import policy
from exchange.policy.facets import hashed, level
from exchange.policy.regional_policy import Act
from exchange.problems import Denied
from exchange.request import Need
from exchange.requester import Requester
from exchange.store.session import Transaction

_VERBS: Final = {"c": "create", "r": "read", "u": "update", "d": "delete", "s": "search"}
_WRITERS: Final = frozenset({"system", "clinician", "administrator"})
_OVERSEERS: Final = frozenset({"administrator", "auditor"})


def decide(transaction: Transaction, requester: Requester, need: Need) -> Permit:
    """The reach of one act.

    Raises: Denied - the law, the role or the token's scopes do not allow the act at all.
    """
    # 1. Law and role: which kinds of act, and for which purposes.
    for resource_type, _ in need.actions:
        _require_role(requester, resource_type, is_write=need.is_write)
    # 2. Scopes: every type and every verb of the act must be covered.
    for resource_type, action in need.actions:
        if not requester.may(resource_type, action):
            raise Denied(
                f"the token's scopes do not allow to {_VERBS[action]} {resource_type}",
                reason=f"scope {resource_type}.{action} not granted",
            )
    if need.cases:
        _require_cases(requester, need)
    # 3.-6. Whose records are in reach.
    if any(resource_type == "AuditEvent" for resource_type, _ in need.actions):
        return _of_events(transaction, requester, need)
    if need.is_write:
        return _permit(transaction, requester, None, "own records")
    if requester.role == "patient":
        return _of_oneself(transaction, requester, need)
    if need.target is not None:
        return _of_target(transaction, requester, *need.target)
    if need.patients:
        return _of_named(transaction, requester, need.patients)
    if not requester.sees_charts:
        return _permit(transaction, requester, None, "directory")
    if policy().defaults.treatment_relationship == "record":
        return _permit(transaction, requester, None, "own records: no patient is named")
    return _permit(transaction, requester, None, "own records and consents", actors=requester.actors)


def _require_role(requester: Requester, resource_type: str, *, is_write: bool) -> None:
    is_audit = resource_type == "AuditEvent"
    if is_audit and is_write:
        raise Denied("audit events are written by the hub alone", reason="write to AuditEvent")
    act: Act = "events" if is_audit else "directory" if resource_type in DIRECTORY_TYPES else "charts"
    chosen = policy()
    if not chosen.may(requester.role, act, requester.purpose_of_use):
        raise Denied(
            f"the role {requester.role} may not see {act} for this purpose of use",
            reason=f"policy {chosen.region.version}: roles.{requester.role}",
        )
    if is_write and requester.role not in _WRITERS:
        raise Denied(f"the role {requester.role} reads alone", reason="role")


def _require_cases(requester: Requester, need: Need) -> None:
    """Who judges emergency cases also follows them; who oversees the region follows them alone."""
    chosen = policy()
    is_overseen = need.cases == "follow" and requester.role in _OVERSEERS
    if not is_overseen and not chosen.may(requester.role, "cases", requester.purpose_of_use):
        raise Denied(
            f"the role {requester.role} may not {need.cases} emergency cases",
            reason=f"policy {chosen.region.version}: roles.{requester.role}",
        )


def _of_events(transaction: Transaction, requester: Requester, need: Need) -> Permit:
    """Audit events: of everybody, of one's facility, or about oneself."""
    compartments: tuple[int, ...] | None = None
    named: list[tuple[int, ...]] = []
    if requester.role == "patient":
        own = _own_records(transaction, requester)
        compartments = tuple(sorted(own))
    if need.patients:
        blind = transaction.crypto.blind_index
        groups = [{blind.patient_compartment(each) for each in group} for group in need.patients]
        people = persons_of_patients(transaction, requester, set().union(*groups))
        for group in groups:
            records = {
                record.compartment
                for person in people
                if not person.is_beside and person.asked in group
                for record in person.records
            }
            reached = group | records
            named.append(tuple(sorted(reached if compartments is None else reached & set(compartments))))
        compartments = tuple(sorted({record for group in named for record in group}))
    audit_of: AuditOf = "all"
    if requester.role in ("privacy-officer", "patient"):
        audit_of = "facility" if requester.role == "privacy-officer" else "records"
    return Permit(
        compartments=compartments,
        custodian=requester.custodian,
        actors=(),
        purpose=requester.purpose_of_use,
        decided_at=transaction.now,
        types=requester.readable_types(),
        audit=True,
        reason=requester.role,
        named=tuple(named),
        audit_of=audit_of,
    )


def _of_oneself(transaction: Transaction, requester: Requester, need: Need) -> Permit:
    """A patient, or who stands for one: the own records alone, whatever their labels."""
    own = _own_records(transaction, requester)
    blind = transaction.crypto.blind_index
    named = [
        tuple(sorted({blind.patient_compartment(each) for each in group} & set(own)))
        for group in need.patients
    ]
    named = [tuple(sorted(own)) if group else () for group in named]
    return _permit(
        transaction,
        requester,
        tuple(sorted(own)) if not need.patients or any(named) else (),
        "the patient's own record",
        named=tuple(named),
        opened=tuple(hashed(each, level(one), blind) for each in own for one in ("N", "R", "V")),
    )


def _own_records(transaction: Transaction, requester: Requester) -> list[int]:
    """The records of the person who asks, or for whom a representative asks; empty where that is nobody's."""
    patient_id = represented(transaction, requester)
    if not patient_id:
        return []
    compartment = transaction.crypto.blind_index.patient_compartment(patient_id)
    people = persons_of_patients(transaction, requester, [compartment])
    return [record.compartment for person in people if not person.is_beside for record in person.records]


def _of_target(
    transaction: Transaction, requester: Requester, resource_type: str, resource_id: str
) -> Permit:
    """One resource that is named by its id: the records of everybody whom it is about."""
    if resource_type in DIRECTORY_TYPES:
        return _permit(transaction, requester, (), "directory")
    if resource_type == "Patient":
        # All of the record may be asked for: with whom it shares resources counts, too.
        place = transaction.crypto.blind_index.patient_compartment(resource_id)
        people = persons_of_patients(transaction, requester, [place])
    else:
        people = persons_of_resource(transaction, requester, resource_type, resource_id)
    return _of_persons(transaction, requester, people)


def _of_named(transaction: Transaction, requester: Requester, groups: tuple[tuple[str, ...], ...]) -> Permit:
    """A search that names patients: the records of all of them; each criterion asks within those that it names."""
    blind = transaction.crypto.blind_index
    asked = [{blind.patient_compartment(each) for each in group} for group in groups]
    people = persons_of_patients(transaction, requester, set().union(*asked))
    return _of_persons(transaction, requester, people, asked)


def _of_persons(
    transaction: Transaction, requester: Requester, persons: Sequence[Person], asked: Sequence[set[int]] = ()
) -> Permit:
    """The records of persons that a requester reaches, and how deep each has to be looked into."""
    found = _Reached()
    for person in persons:
        _add_person(transaction, requester, person, found)
    permit = _permit_of(transaction, requester, found, asked)
    # Nor may a record whose Patient is hidden answer for its person: what else of it is seen, is seen alone.
    doubtful = found.foreign & {place for place, reach in found.of.items() if len(reach) > 1}
    if doubtful:
        seen = patients_in_sight(transaction, permit, doubtful)
        if seen != doubtful:
            found.of |= {place: {place} for place in doubtful - seen}
            permit = _permit_of(transaction, requester, found, asked)
    return permit


@dataclass(slots=True)
class _Reached:
    """What is gathered of several persons.

    of        by the record that was asked for, the records that it answers with
    foreign   others' records that were asked for, and whose Patient is not known to be in sight
    """

    of: dict[int, set[int]] = field(default_factory=dict)
    foreign: set[int] = field(default_factory=set)
    beside: set[int] = field(default_factory=set)
    opened: set[int] = field(default_factory=set)
    judged: set[int] = field(default_factory=set)
    emergency: set[int] = field(default_factory=set)
    patients: set[str] = field(default_factory=set)
    reasons: set[str] = field(default_factory=set)


def _add_person(transaction: Transaction, requester: Requester, person: Person, found: _Reached) -> None:
    assumed = _assumed()
    blind = transaction.crypto.blind_index
    # 3. What each record's consents say.
    own = {each.compartment for each in person.records if each.custodian == requester.custodian}
    foreign = [each for each in person.records if each.compartment not in own]
    if policy().defaults.treatment_relationship == "record" and not own:
        foreign = []
    whole = {
        each.compartment: hashed(each.compartment, level("N"), blind)
        for each in foreign
        if _is_open(each, assumed)
    }
    by_content = {
        each.compartment for each in foreign if each.is_judged and each.permits and not each.is_denied
    }
    # 6. An emergency opens what is silent or denied, as far as the basic information goes.
    broken = break_glass.reach(transaction, requester, person, foreign)
    reached = own | whole.keys() | by_content | broken.compartments
    found.opened |= set(whole.values())
    found.judged |= by_content
    found.emergency |= broken.compartments - whole.keys()
    seen = {
        each.compartment
        for each in person.records
        if each.compartment in own or each.patient_level == whole.get(each.compartment, False)
    }
    # What is linked through a hidden record alone is somebody else's, as far as the requester can tell.
    reach = connected(transaction, person, reached, seen)
    found.patients |= {f"Patient/{each.patient_id}" for each in person.records if each.compartment in seen}
    if person.is_beside:
        found.beside |= reach
        return
    # A hidden record must not answer for its person: that would tell that it exists, and of whom.
    found.of[person.asked] = reach if person.asked in reach else set()
    found.foreign |= {person.asked} - seen
    found.reasons.add(_reason(foreign, assumed, broken.numbers if broken.compartments else ()))


def _permit_of(
    transaction: Transaction, requester: Requester, found: _Reached, asked: Sequence[set[int]]
) -> Permit:
    everything = set[int]().union(*found.of.values())
    return _permit(
        transaction,
        requester,
        tuple(sorted(everything)),
        "; ".join(sorted(found.reasons)) or "nobody",
        actors=requester.actors,
        beside=tuple(sorted(found.beside - everything)),
        named=tuple(
            tuple(sorted(set[int]().union(*(found.of.get(each, ()) for each in group)))) for group in asked
        ),
        opened=tuple(sorted(found.opened)),
        judged=tuple(sorted(found.judged)),
        emergency=_emergency(transaction, found.emergency),
        patients=frozenset(found.patients),
    )


def _is_open(record: Record, assumed: int) -> bool:
    """Whether a record is open as a whole: nothing denies, no consent speaks of content, both are permitted."""
    return not record.is_judged and not record.is_denied and record.covers | assumed == BOTH


def _assumed() -> int:
    return SENDING if policy().defaults.sending == "assumed" else 0


def _emergency(transaction: Transaction, compartments: set[int]) -> Emergency | None:
    if not compartments:
        return None
    blind = transaction.crypto.blind_index
    return Emergency(
        tuple(sorted(compartments)),
        tuple(hashed(each, level("N"), blind) for each in sorted(compartments)),
        policy().emergency.resource_types,
    )


def _reason(foreign: Sequence[Record], assumed: int, cases: Sequence[str]) -> str:
    """The rules that made the decision: for the audit log, never for the caller."""
    if not foreign:
        return "own records"
    if cases:
        return f"emergency case {', '.join(cases)}"
    told: list[str] = []
    for each in foreign:
        if each.is_denied:
            told.append(f"Consent/{each.denying} denies")
        elif each.is_judged:
            told.append(f"by content: Consent/{each.permitting or each.denying} and others")
        elif _is_open(each, assumed):
            told.append(f"Consent/{each.permitting} permits")
    version = policy().region.version
    return "; ".join(dict.fromkeys(told)) or f"no consent speaks: policy {version} denies"


def _permit(
    transaction: Transaction,
    requester: Requester,
    compartments: tuple[int, ...] | None,
    reason: str,
    *,
    actors: tuple[int, ...] = (),
    beside: tuple[int, ...] = (),
    named: tuple[tuple[int, ...], ...] = (),
    opened: tuple[int, ...] = (),
    judged: tuple[int, ...] = (),
    emergency: Emergency | None = None,
    patients: frozenset[str] = frozenset(),
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
        opened=opened,
        judged=judged,
        assumed=_assumed(),
        emergency=emergency,
        patients=patients,
    )
