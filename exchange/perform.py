"""The spine: every act is decided, run, enforced, audited and committed here, and nowhere else.

Spec:    docs/decisions/0005-one-act-one-event.md.
Leaves:  methods, paths and status codes to the doors.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from psycopg2 import Error as DatabaseError

from exchange.acts import ACTS, OPERATIONS, act_of
from exchange.audit.log import append_and_commit
from exchange.audit.refusal_tally import RefusalTally
from exchange.audit.seal import Sealed, seal_log
from exchange.audit.signals.step import signals_step
from exchange.audit.witnessing import Witnesses
from exchange.authentication.assertion import ALGORITHMS as ASSERTION_ALGORITHMS
from exchange.authentication.assertion import ASSERTION_TYPE
from exchange.authentication.bearer_token import BearerTokens
from exchange.authentication.enrolment import Enrolments
from exchange.authentication.limits import Limits
from exchange.authentication.people import People
from exchange.authentication.systems import Systems
from exchange.consent.decision import decide
from exchange.consent.emergency_notices import Notices
from exchange.consent.enforcement import enforce
from exchange.consent.rules_store import Derivation, record_rules
from exchange.fleet.desk import Fleet
from exchange.interactions.capabilities import capability_statement
from exchange.interactions.entry import entries_of
from exchange.interactions.wanted import as_wanted, without_unwanted_bodies
from exchange.policy.rollout import Rollout
from exchange.problems import (
    Conflict,
    Denied,
    Problem,
    Throttled,
    TooCostly,
    Unauthenticated,
    Unavailable,
)
from exchange.rekeying import rekey_step
from exchange.request import Answer, Need, Request, Touched
from exchange.requester import Requester
from exchange.search.custom import read_custom, record_parameters
from exchange.search.custom_index import index_step
from exchange.search.parameter import install
from exchange.settings import settings
from exchange.store.canonical import record_canonicals
from exchange.store.erasure import sweep
from exchange.store.hub_keys import hub_keys
from exchange.store.index_rotation import know as know_index_versions
from exchange.store.rewrapping import Rewrapping
from exchange.store.session import RETRIED, Store, Transaction

LOG: Final = logging.getLogger("exchange.perform")
TRIES: Final = 4
PARAMETERS_SECONDS: Final = 1.0
MOST_ENTRY_BYTES: Final = 128 * 1024 * 1024
"""What the entries of one bundle may answer together: they are gathered before the first byte is sent."""


class Spine:
    """One process's way into the hub."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._tokens = BearerTokens(store)
        self._limits = Limits(store)
        self._tally = RefusalTally(settings().refusals_per_minute, self._record_number)
        self.systems = Systems(store, self._limits, append_and_commit, self._record)
        self.enrolments = Enrolments(store, self._limits, append_and_commit, self._record)
        self.people = People(store, append_and_commit, self._record)
        self.fleet = Fleet(store)
        self._derivation = Derivation()
        self.rollout = Rollout(store, append_and_commit)
        self.notices = Notices(store)
        self.witnesses = Witnesses(store)
        self._rewrapping = Rewrapping(store)
        self._looked_at = -PARAMETERS_SECONDS

    def requester(self, authorization: str, request: Request) -> Requester:
        """Who asks. Raises: Unauthenticated, Throttled - the refusal is in the audit log before it is answered."""
        try:
            requester = self._tokens.requester(authorization)
        except Unauthenticated as refused:
            self._record(request, None, "", refused)
            raise
        self._count(request, requester)
        return requester

    def perform(self, request: Request, requester: Requester) -> Answer:
        """Do one act: all of it, or nothing; either way with its audit event durable before the answer."""
        self._know_parameters()
        try:
            if request.interaction == "batch":
                return self._batch(request, requester)
            self._limits.search(request, requester)
            return self._tried(request, requester)
        except Problem as problem:
            if not isinstance(problem, Unavailable):
                self.refuse(request, requester, problem)
            raise

    def report(self, request: Request, requester: Requester, text: bytes) -> bool:
        """Take an adapter's report of itself; False where a newer one is there.

        It speaks of nobody, and comes every few minutes: a refusal alone is an event.
        """
        try:
            return self.fleet.report(requester, text)
        except Problem as problem:
            if not isinstance(problem, Unavailable):
                self.refuse(request, requester, problem)
            raise

    def refuse(self, request: Request, requester: Requester | None, problem: Problem) -> None:
        """Enter a refusal into the audit log: of an act, or of one that a door could not pass on."""
        reason = "" if isinstance(problem, Denied) else problem.reason
        self._record(request, requester, reason, problem)

    def _tried(self, request: Request, requester: Requester) -> Answer:
        """Try again where two writers met."""
        for attempt in range(TRIES):
            try:
                return self._once(request, requester)
            except RETRIED:
                LOG.info("E-201 two writers met; attempt %d", attempt + 1)
                time.sleep(random.uniform(0.005, 0.03) * (attempt + 1))  # noqa: S311 - jitter, no secret
        raise Conflict("another request changed the same resource; try again")

    def _once(self, request: Request, requester: Requester) -> Answer:
        act = act_of(request, requester)
        with self._store.transaction() as transaction:
            # 1. Decide.
            permit = decide(transaction, requester, act.need)
            # 2. Act within the permit's reach.
            try:
                answer = act.run(transaction, permit)
            except Problem as problem:
                problem.reason = problem.reason or permit.reason
                raise
            # 3. Hold the answer against the permit.
            enforce(permit, answer)
            # 4. What a new Consent or conformance resource says counts from this transaction on.
            if answer.written:
                record_rules(transaction, requester, answer.written)
                record_canonicals(transaction, answer.written)
                record_parameters(transaction, answer.written)
            # 5. What a transaction reads, each entry decided alone, after what it wrote.
            answered = 0
            for number, read in answer.reads:
                try:
                    _require_room(answered)
                    found = self._read_within(transaction, read, requester)
                except Problem as problem:
                    place = f"Bundle.entry[{number}].request"
                    problem.issues = tuple(replace(each, expression=place) for each in problem.issues)
                    raise
                answered += len(found.body)
                answer.entries[number] = found
                answer.touched += found.touched
            # 6. Audit and commit, in one round trip.
            linkage = [change for each in answer.written for change in each.linkage]
            append_and_commit(
                transaction,
                request,
                requester,
                answer.touched,
                answer.noted or permit.reason,
                linkage=linkage,
                named=answer.reference,
            )
        # 7. What is left of the body comes later: no connection waits for a slow client.
        if answer.pieces is not None:
            answer.stream = self._streamed(answer.body, answer.pieces, request, requester, act.need)
            answer.body = b""
        return without_unwanted_bodies(answer, request)

    def _read_within(self, transaction: Transaction, request: Request, requester: Requester) -> Answer:
        """One entry of a transaction that reads."""
        self._limits.search(request, requester)
        act = act_of(request, requester)
        permit = decide(transaction, requester, act.need)
        answer = act.run(transaction, permit)
        enforce(permit, answer)
        while answer.pieces is not None and (piece := answer.pieces(transaction, permit)) is not None:
            enforce(permit, piece)
            answer.body += piece.body
        return as_wanted(answer, request)

    def _streamed(
        self,
        first: bytes,
        pieces: Callable[..., Answer | None],
        request: Request,
        requester: Requester,
        need: Need,
    ) -> Iterator[bytes]:
        """A body in parts: each decided anew, in a transaction of its own that reads and ends before it is sent.

        A part that is refused ends the answer where it stands, and the refusal is in the audit log.
        """
        yield first
        while True:
            try:
                with self._store.transaction() as transaction:
                    permit = decide(transaction, requester, need)
                    piece = pieces(transaction, permit)
                    if piece is None:
                        return
                    enforce(permit, piece)
            except Problem as problem:
                self.refuse(request, requester, problem)
                raise
            yield piece.body

    def _batch(self, request: Request, requester: Requester) -> Answer:
        """batch: each entry an act of its own, decided and audited alone.

        Spec: https://hl7.org/fhir/R4/http.html#brules
        """
        entries: list[Answer | Problem] = []
        answered = 0
        for entry in entries_of(request, "batch"):
            if isinstance(entry, Problem):
                self.refuse(request, requester, entry)
                entries.append(entry)
                continue
            try:
                done = self._in_batch(entry.request, requester, answered)
                answered += len(done.body)
                entries.append(done)
            except Problem as problem:
                entries.append(problem)
        return without_unwanted_bodies(Answer(bundle="batch-response", entries=entries), request)

    def _in_batch(self, request: Request, requester: Requester, answered_bytes: int) -> Answer:
        """One entry of a batch, its body whole; what finds no more room is refused as an act of its own."""
        try:
            _require_room(answered_bytes)
        except TooCostly as problem:
            self.refuse(request, requester, problem)
            raise
        self._count(request, requester)
        done = self.perform(request, requester)
        if done.stream is not None:
            done.body, done.stream = done.body + b"".join(done.stream), None
        return as_wanted(done, request)

    def _know_parameters(self) -> None:
        """Look for search parameters and keys that are new, where the last look is a second old."""
        if time.monotonic() - self._looked_at < PARAMETERS_SECONDS:
            return
        with self._store.transaction() as transaction:
            install(read_custom(transaction))
            know_index_versions(transaction)
            transaction.crypto.learn(hub_keys(transaction))
        self.rollout.know()
        self._looked_at = time.monotonic()

    def index_parameters(self) -> bool:
        """One step of indexing a posted search parameter; whether there is more to do at once."""
        with self._store.transaction() as transaction:
            is_unfinished = index_step(transaction)
            transaction.commit()
            return is_unfinished

    def rewrap_keys(self) -> bool:
        """One step of wrapping anew what lies under an older key; whether there is more to do at once."""
        return self._rewrapping.step()

    def rekey_index(self) -> bool:
        """One step of moving the index to a new version of its key; whether there is more to do at once."""
        with self._store.transaction() as transaction:
            is_unfinished = rekey_step(transaction)
            transaction.commit()
            return is_unfinished

    def derive_consents(self) -> bool:
        """One step of reading Consents anew by the policy and catalogues that count; whether there is more to do."""
        with self._store.transaction() as transaction:
            is_unfinished = self._derivation.step(transaction)
            transaction.commit()
            return is_unfinished

    def sweep_erased(self) -> bool:
        """One step of removing what was written late into records that were erased; whether there is more at once."""
        with self._store.transaction() as transaction:
            is_unfinished = sweep(transaction)
            transaction.commit()
            return is_unfinished

    def find_signals(self) -> bool:
        """One step of looking through new events for signals; whether there is more to do at once."""
        with self._store.transaction() as transaction:
            is_unfinished = signals_step(transaction)
            transaction.commit()
            return is_unfinished

    def capabilities(self) -> bytes:
        """The CapabilityStatement: open to everybody."""
        return capability_statement((*ACTS, "batch"), OPERATIONS)

    def operate(
        self, described: str, act: Callable[[Transaction], None], touched: Sequence[Touched] = ()
    ) -> None:
        """An operator's act at the command line, with its event - one for each record it touched - in one transaction."""
        request = Request(interaction="operation", operation="operate", described=f"exchange {described}")
        with self._store.transaction() as transaction:
            act(transaction)
            append_and_commit(transaction, request, None, touched, "operator")

    def seal_audit_log(self) -> Sealed:
        """Give committed events their places in the Merkle tree."""
        with self._store.transaction() as transaction:
            sealed = seal_log(transaction)
            transaction.commit()
            return sealed

    def is_ready(self) -> bool:
        """Whether the database answers."""
        try:
            with self._store.transaction() as transaction:
                return bool(transaction.rows("SELECT 1"))
        except (Problem, DatabaseError):
            return False

    def close(self) -> None:
        """End what this process keeps for later: the number of refusals that were not listed."""
        self._tally.close()

    def _count(self, request: Request, requester: Requester) -> None:
        """Hold a caller against its rate. Raises: Throttled."""
        try:
            self._limits.request(requester)
        except Throttled as refused:
            self.refuse(request, requester, refused)
            raise

    def _record(self, request: Request, requester: Requester | None, reason: str, problem: Problem) -> None:
        """Audit a refusal in a transaction of its own. Where even that fails, the answer is that failure.

        Those that anybody can cause without end are counted after the first of each minute.
        """
        if isinstance(problem, Unauthenticated | Throttled) and not self._tally.is_listed(requester, problem):
            return
        with self._store.transaction() as transaction:
            append_and_commit(transaction, request, requester, (), reason, problem)

    def _record_number(self, requester: Requester | None, problem: Problem, number: int) -> None:
        """Audit refusals that were not listed one by one."""
        request = Request(
            "operation", operation="refusals", described=f"{number} further refusals within a minute"
        )
        with self._store.transaction() as transaction:
            append_and_commit(transaction, request, requester, (), f"{number} further refusals", problem)


def _require_room(answered_bytes: int) -> None:
    """Hold what a bundle's entries have answered so far against the bound. Raises: TooCostly."""
    if answered_bytes > MOST_ENTRY_BYTES:
        raise TooCostly("the entries answer more than one bundle holds: ask for the rest in another")


__all__ = ["ASSERTION_ALGORITHMS", "ASSERTION_TYPE", "Spine"]
