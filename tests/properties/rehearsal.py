"""A hub whose acts are undone: what is asked twice, with the hidden and without it, is asked of one and the same region.

Everything runs on one connection, inside of one transaction that is never committed; the acts' own transactions are
savepoints in it. What is hidden is taken out of every table, and so was never there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2

from exchange.fhir.definitions import type_code
from exchange.perform import Spine
from exchange.request import Request
from exchange.requester import Requester
from exchange.store.data_keys import DataKeys
from exchange.store.patient_ids import PatientIds
from exchange.store.session import RETRIED, Parameters, Store, Transaction, _problem
from tests.properties.region_judged import Judged

FORGET = """
DELETE FROM resource r USING unnest(%(types)s::smallint[], %(ids)s::text[]) AS g(type, id) WHERE r.type = g.type AND r.id = g.id;
DELETE FROM resource_history r USING unnest(%(types)s::smallint[], %(ids)s::text[]) AS g(type, id)
WHERE r.type = g.type AND r.id = g.id;
DELETE FROM patient_record p WHERE p.patient_id = ANY(%(patients)s::text[])
AND NOT EXISTS (SELECT 1 FROM resource r WHERE r.compartment = p.compartment OR p.compartment = ANY(r.members));
DELETE FROM token_entry t WHERE NOT EXISTS (SELECT 1 FROM resource r WHERE r.compartment = t.compartment AND r.tokens @> ARRAY[t.hash]);
DELETE FROM shared_record s WHERE NOT EXISTS (
  SELECT 1 FROM resource r WHERE ARRAY[s.member, s.compartment] <@ (r.members || r.compartment));
DELETE FROM identity_key k WHERE NOT EXISTS (
  SELECT 1 FROM resource r JOIN patient_record p ON p.patient_id = r.id WHERE p.compartment = k.compartment AND r.type = %(patient)s);
DELETE FROM consent_rule c WHERE NOT EXISTS (SELECT 1 FROM patient_record p WHERE p.compartment = c.compartment);
DELETE FROM consent_dependency c WHERE NOT EXISTS (SELECT 1 FROM resource r WHERE r.compartment = c.compartment AND r.id = c.consent_id);
DELETE FROM sensitivity_determination d WHERE NOT EXISTS (SELECT 1 FROM patient_record p WHERE p.compartment = d.compartment);
DELETE FROM linkage_review;
DELETE FROM data_key k WHERE k.compartment > 0 AND NOT EXISTS (SELECT 1 FROM patient_record p WHERE p.compartment = k.compartment);
UPDATE patient_record p SET person = g.person
FROM unnest(%(linked)s::text[], %(persons)s::bigint[]) AS g(id, person) WHERE p.patient_id = g.id"""
"""Rules of Consents stay where they speak of what stays: a Consent that is hidden still rules."""


class _Act(Transaction):
    """An act's transaction as a savepoint."""

    def __init__(self, connection: Any, store: Store) -> None:
        super().__init__(connection, store)
        self._prefix = "SAVEPOINT act; "

    def finish(self, sql: str, parameters: Parameters = None) -> None:
        self._execute(sql + "; RELEASE SAVEPOINT act", parameters)
        self._prefix = "SAVEPOINT act; "

    def commit(self) -> None:
        if not self._prefix:
            self._cursor.execute("RELEASE SAVEPOINT act")
            self._prefix = "SAVEPOINT act; "

    def rollback(self) -> None:
        if not self._prefix:
            self._cursor.execute("ROLLBACK TO SAVEPOINT act; RELEASE SAVEPOINT act")
            self._prefix = "SAVEPOINT act; "


class _Stage(Store):
    """A store on one connection."""

    def __init__(self, like: Store) -> None:
        super().__init__(like.engine, like.crypto)
        self.one = super()._connection()

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        act = _Act(self.one, self)
        try:
            yield act
            act.rollback()
        except psycopg2.Error as error:
            act.rollback()
            if isinstance(error, RETRIED):
                raise
            raise _problem(error) from None
        except BaseException:
            act.rollback()
            raise

    def run(self, sql: str, parameters: Parameters = None) -> None:
        """Run statements of the rehearsal itself."""
        with self.one.driver.cursor() as cursor:
            cursor.execute(sql, parameters)

    def forget(self) -> None:
        """Forget what was remembered of what is undone."""
        self.data_keys = DataKeys(self.crypto)
        self.patient_ids = PatientIds()

    def close(self) -> None:
        self.one.driver.close()


class _Unlimited:
    """No limit on how much is asked."""

    def search(self, request: Request, requester: Requester) -> None: ...
    def request(self, requester: Requester) -> None: ...


class Rehearsal:
    """A spine whose acts are undone."""

    def __init__(self, store: Store) -> None:
        self.stage = _Stage(store)
        self.spine = Spine(self.stage)
        self.spine._limits = _Unlimited()  # type: ignore[assignment]
        self.stage.run("BEGIN")
        self.spine._know_parameters()
        self.spine._looked_at = float("inf")  # and not again: no second of it is equal to another

    @contextmanager
    def undone(self, *, is_written: bool = True) -> Iterator[None]:
        """What happens inside of it never happened."""
        self.stage.run("SAVEPOINT rehearsed")
        try:
            yield
        finally:
            self.stage.run("ROLLBACK TO SAVEPOINT rehearsed; RELEASE SAVEPOINT rehearsed")
            if is_written:
                self.stage.forget()

    def without(self, judged: Judged, hidden: Collection[tuple[str, str]]) -> None:
        """Take resources out of the region, with all their versions, and the records and links that hung on them."""
        ordered = sorted(hidden)
        gone = [name for kind, name in ordered if kind == "Patient"]
        # A record of which something is seen is there, and linked, even where its Patient is hidden.
        seen = {
            patient for key, kept in judged.kept.items() if key not in hidden for patient in kept.patients
        }
        linked = judged.linked_among(seen)
        self.stage.run(
            FORGET,
            {"types": [type_code(kind) for kind, _ in ordered], "ids": [name for _, name in ordered], "patients": gone,
             "patient": type_code("Patient"), "linked": list(linked), "persons": [1_000 + each for each in linked.values()]},
        )  # fmt: skip
        self.stage.forget()

    def close(self) -> None:
        """End it; nothing of it stays."""
        self.stage.run("ROLLBACK")
        self.stage.close()
