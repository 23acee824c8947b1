"""The rules of active Consents, kept for each record of the person that they speak of.

Spec:    docs/decisions/0018-decision-inside-queries.md.
Leaves:  reading Consents to provision; what they need of other resources to lookup; judging to decision.

Reading Consents and Patients here needs no Permit (a named exception): nothing of them reaches a caller.
Facets are hashed under each record, so a rule is kept once for every record of the person, and anew when records are
linked or parted. Filing, linking and parting of one person wait for each other on locks of the records.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from exchange.consent.lookup import LEANT_ON, adult_at, lookup
from exchange.consent.provision import SENDING, Rule, rules
from exchange.consent.superseding import Told, superseded
from exchange.crypto.blind_index import BlindIndex
from exchange.fhir.definitions import type_code
from exchange.policy.adopted import policy
from exchange.policy.facets import all_hashed
from exchange.problems import Denied
from exchange.request import Written
from exchange.requester import Requester
from exchange.store.session import Transaction
from exchange.store.versions import COLUMNS, NULL, Version, array_text, opened

RULE_COLUMNS: Final = (
    "compartment, filed_in, filed_by, starts_at, ends_at, clinical_from, clinical_until, rule, parent, covers,"
    " is_permit, is_content, has_exceptions, consent_id, actors, purposes, clauses, bars, opens"
)

# The records of the persons, locked until the end; read only then, so that whoever came first has committed.
RECORDS: Final = """
SELECT pg_advisory_xact_lock(hashtextextended('consents of ' || place, 0)) FROM (
  SELECT DISTINCT l.compartment AS place FROM patient_record q JOIN patient_record l ON l.person = q.person
  WHERE q.compartment = ANY(%(compartments)s::bigint[]) ORDER BY 1) ordered;
SELECT DISTINCT l.compartment, l.custodian, l.person FROM patient_record q JOIN patient_record l ON l.person = q.person
WHERE q.compartment = ANY(%(compartments)s::bigint[])"""

# Whose records have company, and may have to learn of each other's consents, or had it; and whose have consents: what a
# representative permitted ends by the date of birth.
IN_COMPANY: Final = """
SELECT q.compartment FROM patient_record q WHERE q.compartment = ANY(%(compartments)s::bigint[])
AND (EXISTS (SELECT 1 FROM patient_record o WHERE o.person = q.person AND o.compartment <> q.compartment)
  OR EXISTS (SELECT 1 FROM consent_rule c WHERE c.compartment = q.compartment)
  OR EXISTS (SELECT 1 FROM consent_rule c WHERE c.filed_in = q.compartment AND c.compartment <> q.compartment))"""

STANDING: Final = """
SELECT DISTINCT filed_in, consent_id FROM consent_rule
WHERE compartment = ANY(%(compartments)s::bigint[]) OR filed_in = ANY(%(compartments)s::bigint[])"""

FORGET: Final = """
DELETE FROM consent_rule WHERE filed_in = ANY(%(places)s::bigint[]) AND (filed_in, consent_id) IN (
  SELECT * FROM unnest(%(places)s::bigint[], %(ids)s::text[]));
DELETE FROM consent_dependency WHERE (compartment, consent_id) IN (
  SELECT * FROM unnest(%(places)s::bigint[], %(ids)s::text[]))"""

CONSENTS: Final = f"""
SELECT {COLUMNS}, r.custodian FROM resource r
JOIN unnest(%(places)s::bigint[], %(ids)s::text[]) AS asked(compartment, id)
  ON r.compartment = asked.compartment AND r.id = asked.id
WHERE r.type = %(type)s AND NOT r.is_deleted"""  # noqa: S608

BESIDE: Final = """
SELECT r.compartment, r.id FROM resource r WHERE r.compartment = ANY(%(compartments)s::bigint[])
AND r.type = %(type)s AND r.custodian = %(custodian)s AND NOT r.is_deleted"""

# Consents whose rules were derived by another policy or before some catalogue was loaded, or never.
STALE: Final = """
SELECT r.compartment, r.id FROM resource r WHERE r.type = %(type)s AND NOT r.is_deleted AND r.compartment > 0
AND NOT EXISTS (SELECT 1 FROM consent_dependency d WHERE d.compartment = r.compartment AND d.consent_id = r.id
  AND d.reference = %(reference)s) LIMIT %(limit)s"""
MOST_AT_ONCE: Final = 200
RULE_FORM: Final = 2
"""Raised where rules are kept in another form: every Consent is read anew then."""

LEANING: Final = """
SELECT DISTINCT compartment, consent_id FROM consent_dependency WHERE reference = ANY(%(references)s::bigint[])"""

DEPEND: Final = """
INSERT INTO consent_dependency (compartment, consent_id, reference) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"""


def record_rules(transaction: Transaction, requester: Requester, written: Sequence[Written]) -> None:
    """Replace the rules that an act changes, in the same transaction: of Consents, linked records, teams.

    Raises: Denied - a Consent that permits those who file it: it would open others' records to them.
    """
    # 1. Consents that were written.
    filed = [each for each in written if each.resource_type == "Consent"]
    if filed:
        for each in filed:
            if each.resource is not None:
                _require_others(requester, each.resource)
        # A newer one silences an older one of the same authorisation, and gives it its voice back when it goes.
        beside = transaction.rows(
            BESIDE,
            {
                "compartments": sorted({each.compartment for each in filed}),
                "type": type_code("Consent"),
                "custodian": requester.custodian,
            },
        )
        _derive(
            transaction,
            {(each.compartment, each.resource_id) for each in filed} | {(row[0], row[1]) for row in beside},
        )
    # 2. Patients: what is linked or parted now hears other consents than before.
    patients = [each.compartment for each in written if each.resource_type == "Patient"]
    if patients:
        relink(transaction, patients)
    # 3. What consents lean on: a team that has other members now.
    value = transaction.crypto.blind_index.value
    leant = [
        value(f"leant|{each.resource_type}/{each.resource_id}")
        for each in written
        if each.resource_type in LEANT_ON
    ]
    if leant:
        found = transaction.rows(LEANING, {"references": leant})
        if found:
            _derive(transaction, {(row[0], row[1]) for row in found})


def relink(transaction: Transaction, compartments: Collection[int]) -> None:
    """Derive the rules of persons anew whose records may have been linked or parted."""
    changed = [row[0] for row in transaction.rows(IN_COMPANY, {"compartments": sorted(compartments)})]
    if not changed:
        return
    records = transaction.rows(RECORDS, {"compartments": changed})
    standing = transaction.rows(STANDING, {"compartments": sorted({*changed, *(row[0] for row in records)})})
    if standing:
        _derive(transaction, {(row[0], row[1]) for row in standing})


class Derivation:
    """Reading Consents anew, some at a time, where their rules come from an older policy or catalogue."""

    def __init__(self) -> None:
        self._done: int | None = None

    def step(self, transaction: Transaction) -> bool:
        """One step; whether there are more. The caller commits. Nothing is looked for twice by the same policy."""
        reference = derived_by(transaction)
        if reference == self._done:
            return False
        found = transaction.rows(
            STALE, {"type": type_code("Consent"), "reference": reference, "limit": MOST_AT_ONCE}
        )
        _derive(transaction, {(row[0], row[1]) for row in found})
        if len(found) < MOST_AT_ONCE:
            self._done = reference
        return self._done != reference


def consents_beside(transaction: Transaction, compartment: int, custodian: int) -> list[dict[str, Any]]:
    """The Consents that a facility filed in one of its records."""
    beside = transaction.rows(
        BESIDE, {"compartments": [compartment], "type": type_code("Consent"), "custodian": custodian}
    )
    asked = {"places": [row[0] for row in beside], "ids": [row[1] for row in beside]}
    rows = transaction.rows(CONSENTS, asked | {"type": type_code("Consent")})
    return [each.parsed() for each in opened(transaction, [row[:-1] for row in rows])]


def derived_by(transaction: Transaction) -> int:
    """What rules are derived by: the policy, and the catalogues that say what codes subsume."""
    catalogue = transaction.rows("SELECT coalesce(max(number), 0) FROM code_system_catalogue")[0][0]
    return transaction.crypto.blind_index.value(f"derived|{RULE_FORM}|{policy().digest}|{catalogue}")


def _others(
    transaction: Transaction, told: Sequence[tuple[Version, int, dict[str, Any]]]
) -> list[tuple[Version, int, dict[str, Any]]]:
    """The other Consents of the same records: what they say may be silenced, or silence."""
    known = {(version.compartment, version.resource_id) for version, _, _ in told}
    found: list[tuple[Version, int, dict[str, Any]]] = []
    for filed_by in sorted({filed_by for _, filed_by, _ in told}):
        places = sorted({version.compartment for version, each, _ in told if each == filed_by})
        beside = transaction.rows(
            BESIDE, {"compartments": places, "type": type_code("Consent"), "custodian": filed_by}
        )
        missing = [(row[0], row[1]) for row in beside if (row[0], row[1]) not in known]
        if missing:
            asked = {"places": [row[0] for row in missing], "ids": [row[1] for row in missing]}
            rows = transaction.rows(CONSENTS, asked | {"type": type_code("Consent")})
            versions = opened(transaction, [row[:-1] for row in rows])
            found += [
                (version, row[-1], version.parsed()) for version, row in zip(versions, rows, strict=True)
            ]
    return found


def _require_others(requester: Requester, consent: dict[str, Any]) -> None:
    """Refuse a Consent in which a facility permits itself, before anything is looked up."""
    own = set(requester.actors)
    for rule in rules(consent, lookup(None, 0)):
        if rule.is_permit and rule.actors is not None and own & set(rule.actors):
            raise Denied(
                "a facility cannot file a consent that permits itself", reason="self-granted consent"
            )


def _derive(transaction: Transaction, consents: Collection[tuple[int, str]]) -> None:
    """Make the rules of Consents anew, for every record of their persons."""
    if not consents:
        return
    ordered = sorted(consents)
    asked = {"places": [place for place, _ in ordered], "ids": [each for _, each in ordered]}
    records = transaction.rows(RECORDS, {"compartments": sorted({place for place, _ in ordered})})
    transaction.run(FORGET, asked)
    persons = {compartment: person for compartment, _, person in records}
    made: list[str] = []
    rows = transaction.rows(CONSENTS, asked | {"type": type_code("Consent")})
    versions = opened(transaction, [row[:-1] for row in rows])
    blind = transaction.crypto.blind_index
    told = [(version, row[-1], version.parsed()) for version, row in zip(versions, rows, strict=True)]
    silenced = superseded(
        [
            Told((version.compartment, filed_by), consent)
            for version, filed_by, consent in (*told, *_others(transaction, told))
        ],
        transaction.now,
    )
    derivation = derived_by(transaction)
    for version, filed_by, consent in told:
        transaction.run(DEPEND, (version.compartment, version.resource_id, derivation))
        if (version.compartment, version.resource_id) in silenced:
            continue
        seen = lookup(transaction, filed_by)
        ends_at = adult_at(transaction, version.compartment, consent)
        found = [_until(rule, ends_at) for rule in rules(consent, seen)]
        targets = [
            (compartment, custodian)
            for compartment, custodian, person in records
            if person == persons.get(version.compartment)
        ]
        for compartment, custodian in targets:
            made += lines(found, compartment, custodian, version.compartment, filed_by, blind)
        for reference in sorted(seen.leant):
            transaction.run(
                DEPEND, (version.compartment, version.resource_id, blind.value(f"leant|{reference}"))
            )
    if made:
        transaction.copy("consent_rule", RULE_COLUMNS, io.StringIO("".join(made)))


def _until(rule: Rule, ends_at: int | None) -> Rule:
    """What a representative permitted for a minor ends with the minority; what was denied stays."""
    if ends_at is None or not rule.is_permit:
        return rule
    return replace(rule, ends_at=min(rule.ends_at, ends_at))


def lines(
    found: Iterable[Rule], compartment: int, custodian: int, filed_in: int, filed_by: int, blind: BlindIndex
) -> list[str]:
    """Rules as lines of COPY for one record. An authorisation to send alone is for the facility that filed it."""
    return [
        "\t".join(
            (
                str(compartment), str(filed_in), str(filed_by), str(rule.starts_at), str(rule.ends_at),
                *(map(str, rule.clinical) if rule.clinical else (NULL, NULL)),
                str(rule.number), NULL if rule.parent is None else str(rule.parent), str(rule.covers),
                _flag(rule.is_permit), _flag(rule.is_content), _flag(rule.has_exceptions), rule.consent_id,
                _actors(rule),
                NULL if rule.purposes is None else array_text(rule.purposes),
                _clauses(rule.clauses, compartment, blind),
                array_text(all_hashed(compartment, sorted(rule.bars), blind)) if rule.bars else NULL,
                NULL if rule.opens is None else array_text(all_hashed(compartment, sorted(rule.opens), blind)),
            )
        )
        + "\n"
        for rule in found
        if rule.covers != SENDING or custodian == filed_by
    ]  # fmt: skip


def _actors(rule: Rule) -> str:
    """Keys of actors, or sets of them as a two-dimensional array."""
    if rule.actors is None:
        return NULL
    return _rows([rule.actors, *rule.among]) if rule.among else array_text(rule.actors)


def _clauses(clauses: Sequence[frozenset[str]], compartment: int, blind: BlindIndex) -> str:
    """Sets of facets as a two-dimensional array."""
    if not clauses:
        return NULL
    return _rows([all_hashed(compartment, sorted(each), blind) for each in clauses])


def _rows(found: Sequence[Sequence[int]]) -> str:
    """A two-dimensional array; a shorter row repeats its last."""
    width = max(map(len, found))
    return array_text(array_text([*each, *[each[-1]] * (width - len(each))]) for each in found)


def _flag(value: bool) -> str:  # noqa: FBT001
    return "t" if value else "f"
