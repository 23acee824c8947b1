"""Finding signals: what each kind looks for in one access, and in what the same account did before it.

Spec:    docs/audit.md, "Signals".
Leaves:  what is known beside the event to facts; reading events in order to step.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from statistics import median
from typing import Any, Final, Protocol
from urllib.parse import unquote_plus

from exchange.audit.access import GRANTED, REFUSED, access_of
from exchange.audit.manifest import MANIFEST_VERSION, shown_in
from exchange.audit.signals.facts import DAY, HOUR, Facts, Looked, surnames
from exchange.audit.signals.signal import Relation, Signal, weight_of
from exchange.crypto.envelope import associated_data, open_sealed
from exchange.fhir.definitions import type_code
from exchange.fhir.resource import load
from exchange.policy.adopted import policy
from exchange.policy.facets import hashed, level
from exchange.search.index import hash_text
from exchange.settings import settings
from exchange.store.data_keys import key_place
from exchange.store.versions import COLUMNS, array_text, opened

MINUTE: Final = HOUR // 60
LOOKS: Final = frozenset(
    {"read", "vread", "search-type", "search-system", "history-instance", "history-type", "history-system"}
)
LOOKING_OPERATIONS: Final = frozenset(
    {"everything", "document", "docref", "lastn", "summary", "report-output"}
)
RETRY_MINUTES: Final = 15
MOST_PATIENTS: Final = 30
TIMES_USUAL: Final = 5
USUAL_DAYS: Final = 30
DENSE_COUNT, DENSE_SPAN = 10, 200
RUN_COUNT, RUN_STEP = 15, 10_000
MOST_SEARCHES: Final = 200
MOST_EVENTS: Final = 20
MOST_RESOURCES: Final = 50
LEAST_NAME_WORDS: Final = 3
SATURDAY: Final = 5
_AUDIT: Final = type_code("AuditEvent")
_OVERSEERS: Final = frozenset({"patient", "privacy-officer", "auditor", "administrator"})
_URGENT: Final = frozenset({"BTG", "ETREAT", "ERTREAT"})
_IDENTIFIER: Final = re.compile(r"(?:^|[?&\s])(?:[\w.]+\.)?identifier(?::\w+)?=([^&\s]*)")
_DNI: Final = re.compile(r"(?<![0-9])[0-9]{8}(?![0-9])")

BEFORE: Final = f"""
SELECT {COLUMNS}, r.clinical_at FROM audit_event r WHERE r.agent = %(agent)s AND NOT r.is_deleted
  AND r.clinical_at >= %(since)s AND r.clinical_at <= %(until)s AND r.tokens && %(tokens)s::bigint[]
ORDER BY r.last_updated DESC, r.id DESC LIMIT %(limit)s"""  # noqa: S608 - constants only
WAS_FIRST: Final = """
SELECT NOT EXISTS (SELECT 1 FROM audit_event r WHERE r.agent = %(agent)s AND r.compartment = ANY(%(records)s::bigint[])
  AND r.tokens && %(looks)s::bigint[] AND (r.clinical_at, r.id) < (%(at)s, %(id)s))"""
PATIENTS: Final = """
SELECT count(DISTINCT r.compartment), (array_agg(r.id ORDER BY r.clinical_at DESC))[1:%(limit)s] FROM audit_event r
WHERE r.agent = %(agent)s AND r.compartment > 0 AND r.clinical_at > %(since)s AND r.clinical_at <= %(until)s"""
USUAL: Final = """
SELECT count(DISTINCT r.compartment) FROM audit_event r WHERE r.agent = %(agent)s AND r.compartment > 0
  AND r.clinical_at > %(since)s AND r.clinical_at <= %(until)s GROUP BY r.clinical_at / 3600000000"""
LEVELS: Final = """
SELECT r.compartment, r.facets[1] FROM resource r
WHERE r.compartment = ANY(%(records)s::bigint[]) AND r.id = ANY(%(ids)s) AND r.facets[1] IS NOT NULL"""
MANIFEST: Final = "SELECT manifest FROM audit_event WHERE id = %s AND compartment = %s"
# The same words by the same person within 30 days, for somebody else.
REPEATED: Final = """
SELECT count(*) FROM emergency_case e JOIN emergency_case o ON o.custodian = e.custodian AND o.user_key = e.user_key
  AND o.reason_key = e.reason_key AND o.opened_at < e.opened_at AND o.opened_at > e.opened_at - %(days)s
  AND NOT o.compartment = ANY(%(records)s::bigint[])
WHERE e.compartment = %(compartment)s AND e.opened_at BETWEEN %(at)s AND %(at)s + 999"""


class Sign(Protocol):
    """What one kind looks for."""

    __name__: str

    def __call__(self, facts: Facts, looked: Looked, /) -> Signal | None:
        """The signal that an access raises, if it raises one."""
        ...


def signals_of(facts: Facts, looked: Looked) -> Iterator[Signal]:
    """The signals that an event raises."""
    access = looked.access
    if not looked.facility or _OVERSEERS & set(access.role.split()):
        return  # what the hub did, and what overseers and patients look at, is looked into otherwise
    kinds: tuple[Sign, ...] = ()
    if access.outcome == GRANTED and is_look(looked):
        kinds = OF_A_PERSON if looked.compartment > 0 else ()
        kinds += OF_AN_ACCOUNT
    elif access.outcome == GRANTED and access.operation == "open-emergency":
        kinds = (repeated_reason,)
    for sign in kinds:
        if sign in SAME_ALL_DAY and not facts.is_new(f"{sign.__name__}|{_person_day(facts, looked)}"):
            continue
        found = sign(facts, looked)
        if found is not None:
            yield found


def is_look(looked: Looked) -> bool:
    """Whether an access shows a chart: it writes none, and is none to the log itself."""
    access = looked.access
    if access.resource_type == "AuditEvent":
        return False
    return access.operation in LOOKING_OPERATIONS if access.act == "operation" else access.act in LOOKS


# --- of whom


def no_relation(facts: Facts, looked: Looked) -> Signal | None:
    """The facility has nothing of the person within 30 days before or after."""
    relation = facts.relation(looked)
    return (
        None if relation == "recent" else _signal("no-relation", looked, relation, _person_day(facts, looked))
    )


def same_surname(facts: Facts, looked: Looked) -> Signal | None:
    """Who looked and the person share a surname."""
    own = surnames(looked.access.user_name)
    if not own or not any(own & each.surnames for each in facts.described(looked.compartment)):
        return None
    return _signal("same-surname", looked, facts.relation(looked), _person_day(facts, looked))


def colleague(facts: Facts, looked: Looked) -> Signal | None:
    """The person has an account at the facility that asked: by document, by full name, or by the account's Patient."""
    if not looked.access.user:
        return None
    staff = facts.staff(looked.facility)
    patients = {each for _, each in facts.records(looked.compartment)}
    is_known = bool(patients & staff.patients) or any(
        each.documents & staff.documents
        or (len(each.surnames | each.given) >= LEAST_NAME_WORDS and each.surnames | each.given in staff.names)
        for each in facts.described(looked.compartment)
    )
    if not is_known:
        return None
    return _signal("colleague", looked, facts.relation(looked), _person_day(facts, looked))


def after_hours(facts: Facts, looked: Looked) -> Signal | None:
    """A person looked outside of the policy's hours, in no emergency, and no treatment explains it."""
    if not looked.access.user or set(looked.access.purpose.split()) & _URGENT:
        return None
    usual = policy().oversight
    at = datetime.fromtimestamp(looked.at / 1_000_000, settings().zone)
    is_usual = usual.from_hour <= at.hour < usual.until_hour and (usual.weekends or at.weekday() < SATURDAY)
    relation = facts.relation(looked)
    if is_usual or relation == "recent":
        return None
    return _signal("after-hours", looked, relation, _person_day(facts, looked))


def sensitive_first(facts: Facts, looked: Looked) -> Signal | None:
    """The first that an account sees of the person is restricted, or by emergency."""
    if not looked.access.user:
        return None
    transaction = facts.transaction
    records = [each for each, _ in facts.records(looked.compartment)]
    told = {
        "agent": looked.agent, "records": array_text(records), "at": looked.at, "id": looked.event["id"],
    }  # fmt: skip
    is_emergency = "BTG" in looked.access.purpose.split()
    if not is_emergency:
        blind = transaction.crypto.blind_index
        restricted = {(each, hashed(each, level(one), blind)) for each in records for one in ("R", "V")}
        ids = _shown(facts, looked)
        found = transaction.rows(LEVELS, {"records": told["records"], "ids": ids}) if ids else []
        if not any((row[0], row[1]) in restricted for row in found):
            return None
    # The opening of an emergency is an act of the same account just before, and no look.
    if not _is_first_look(facts, told):
        return None
    return _signal("sensitive-first", looked, facts.relation(looked), _person_day(facts, looked))


def denied_then_retry(facts: Facts, looked: Looked) -> Signal | None:
    """The same was refused to the account minutes before, for another purpose."""
    for before in facts.refusals(looked, RETRY_MINUTES * MINUTE):
        if (
            before.outcome == REFUSED
            and before.request == looked.access.request
            and before.purpose != looked.access.purpose
        ):
            once = looked.event["id"]
            return _signal("denied-then-retry", looked, facts.relation(looked), once, (before.event,))
    return None


# --- how


def mass_browsing(facts: Facts, looked: Looked) -> Signal | None:
    """More persons within an hour than 30, and than five times what is usual for the account."""
    if not looked.access.user:
        return None
    # Asked once for each minute, up to its end: what is written later in it comes in a later step.
    end = (looked.at // MINUTE + 1) * MINUTE
    if not facts.is_new(f"mass-browsing|{looked.agent}|{end}"):
        return None
    told = {"agent": looked.agent, "limit": MOST_EVENTS, "since": end - HOUR, "until": end}
    [(count, events)] = facts.transaction.rows(PATIENTS, told)
    if count <= MOST_PATIENTS:
        return None
    told |= {"since": end - USUAL_DAYS * DAY, "until": end - HOUR}
    hours = [row[0] for row in facts.transaction.rows(USUAL, told)]
    usual = int(median(hours)) if hours else 0
    if count <= TIMES_USUAL * usual:
        return None
    numbers = {"count": count, "usual": usual}
    others = tuple(each for each in events if each != looked.event["id"])
    return _signal("mass-browsing", looked, "", _day(looked), others, numbers)


def enumeration(facts: Facts, looked: Looked) -> Signal | None:
    """Searches of DNI numbers in small steps upwards, or close to each other, within an hour."""
    if not _numbers(looked.access.request):
        return None
    blind = facts.transaction.crypto.blind_index
    searches = [
        blind.value(hash_text("AuditEvent", "subtype", f"*|{code}"))
        for code in ("search-type", "search-system")
    ]
    found = list(_before(facts, looked, HOUR, searches))
    told = [number for event in reversed(found) for number in _numbers(access_of(event).request)]
    if not (is_dense(told) or is_run(told)):
        return None
    events = tuple(each["id"] for each in found if each["id"] != looked.event["id"])
    return _signal("enumeration", looked, "", _day(looked), events, {"count": len(set(told))})


def repeated_reason(facts: Facts, looked: Looked) -> Signal | None:
    """The words of an emergency stood in another one of the same person, for somebody else."""
    told = {
        "compartment": looked.compartment, "at": looked.at, "days": USUAL_DAYS * DAY,
        "records": array_text(each for each, _ in facts.records(looked.compartment)),
    }  # fmt: skip
    [(count,)] = facts.transaction.rows(REPEATED, told)
    if not count:
        return None
    return _signal("repeated-reason", looked, facts.relation(looked), looked.event["id"])


def is_dense(numbers: Sequence[int]) -> bool:
    """Whether ten different numbers lie within 200: people at random lie ten thousands apart."""
    ordered = sorted(set(numbers))
    return any(
        ordered[at + DENSE_COUNT - 1] - ordered[at] < DENSE_SPAN
        for at in range(len(ordered) - DENSE_COUNT + 1)
    )


def is_run(numbers: Sequence[int]) -> bool:
    """Whether fifteen numbers follow each other upwards in small steps; a sorted list of patients takes large ones."""
    length = 1
    for before, number in pairwise(numbers):
        length = length + 1 if 0 < number - before <= RUN_STEP else 1
        if length >= RUN_COUNT:
            return True
    return False


OF_A_PERSON: Final[tuple[Sign, ...]] = (
    no_relation, same_surname, colleague, after_hours, sensitive_first, denied_then_retry,
)  # fmt: skip
SAME_ALL_DAY: Final[frozenset[Sign]] = frozenset({no_relation, same_surname, colleague})
"""Kinds that say of an account and a person the same all day: asked once."""
OF_AN_ACCOUNT: Final[tuple[Sign, ...]] = (mass_browsing, enumeration)


def _signal(
    kind: str, looked: Looked, relation: Relation, once: str, events: tuple[str, ...] = (),
    numbers: dict[str, int] | None = None,
) -> Signal:  # fmt: skip
    access = looked.access
    return Signal(
        kind, weight_of(kind, relation), looked.custodian, looked.agent, looked.at, once,
        (looked.event["id"], *events)[:MOST_EVENTS], looked.facility, access.user, access.user_name, access.client,
        relation, numbers or {},
    )  # fmt: skip


def _day(looked: Looked) -> str:
    at = datetime.fromtimestamp(looked.at / 1_000_000, settings().zone)
    return f"{looked.agent}|{at:%Y-%m-%d}"


def _person_day(facts: Facts, looked: Looked) -> str:
    """A person is looked at many times on a day: one signal of a kind says so."""
    person = min(each for each, _ in facts.records(looked.compartment))
    return f"{_day(looked)}|{person}"


def _numbers(request: str) -> list[int]:
    return [
        int(number) for value in _IDENTIFIER.findall(request) for number in _DNI.findall(unquote_plus(value))
    ]


def _before(facts: Facts, looked: Looked, within: int, tokens: list[int]) -> Iterator[dict[str, Any]]:
    """What the account did before and up to an event, newest first; those that bear one of the tokens."""
    told = {
        "agent": looked.agent, "since": looked.at - within, "until": looked.at, "tokens": array_text(tokens),
        "limit": MOST_SEARCHES,
    }  # fmt: skip
    for version in opened(facts.transaction, facts.transaction.rows(BEFORE, told)):
        yield load(version.text)


def _is_first_look(facts: Facts, told: dict[str, Any]) -> bool:
    """Whether the account has looked at nothing of the person before."""
    blind = facts.transaction.crypto.blind_index
    looks = [
        blind.value(hash_text("AuditEvent", "subtype", f"*|{code}"))
        for code in sorted(LOOKS | LOOKING_OPERATIONS)
    ]
    return bool(facts.transaction.rows(WAS_FIRST, told | {"looks": array_text(looks)})[0][0])


def _shown(facts: Facts, looked: Looked) -> list[str]:
    """Ids of the resources that an access showed, the first fifty."""
    if looked.access.resource:
        return [looked.access.resource.partition("/")[2]]
    rows = facts.transaction.rows(MANIFEST, (looked.event["id"], looked.compartment))
    if not rows or rows[0][0] is None:
        return []
    ciphers = facts.transaction.store.data_keys.ciphers(facts.transaction, (looked.compartment,))
    bound_to = associated_data(looked.compartment, _AUDIT, looked.event["id"], MANIFEST_VERSION)
    sealed = bytes(rows[0][0])
    text = open_sealed(
        ciphers[key_place(looked.compartment)], facts.transaction.crypto.dictionaries, sealed, bound_to
    )
    return [each.split("/")[1] for each in shown_in(text)[:MOST_RESOURCES]]
