"""transaction: every entry or none, in FHIR's order, references between entries resolved.

Spec:    https://hl7.org/fhir/R4/http.html#transaction, https://hl7.org/fhir/R4/http.html#trules
Leaves:  reading entries to entry, links to links, single verbs to their own files; entries that read, and batch, whose
         entries are acts of their own, to perform.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from exchange.interactions import admission
from exchange.interactions.admission import Admitted
from exchange.interactions.condition import criteria_of, lock_conditions, plain, the_one
from exchange.interactions.entry import READING, Entry, entries_of
from exchange.interactions.links import Links, Target, conditional_types
from exchange.interactions.patch import Change, admit_patch, patch_of
from exchange.interactions.search import touched
from exchange.interactions.update import admit_delete, admit_update, answer_of, conditional_id
from exchange.permit import DIRECTORY_TYPES, Permit
from exchange.problems import Invalid, Issue, Malformed, NotFound, NotSupported, Problem, TooCostly
from exchange.request import Answer, Need, Request, Written
from exchange.requester import Requester
from exchange.store.session import Transaction
from exchange.store.versions import Version, occupied

MOST_CONDITIONAL_REFERENCES: Final = 1_000
_LETTERS: Final = {"POST": "c", "PUT": "u", "PATCH": "ur", "DELETE": "d"}


@dataclass(slots=True, eq=False)
class _Work:
    """One entry that writes, on its way. `existing` is what a conditional create found; `criteria` are any kind's."""

    entry: Entry
    criteria: str
    resource: dict[str, Any] | None = None
    change: Change | None = None
    resource_id: str = ""
    is_given: bool = True
    existing: Version | None = None
    twin: _Work | None = None
    is_nothing: bool = False
    admitted: Admitted | None = None
    links: Links | None = None
    searched: frozenset[str] = frozenset()
    """The types that its conditional references ask for."""

    @property
    def method(self) -> str:
        return self.entry.method

    @property
    def key(self) -> tuple[str, str]:
        return self.entry.request.resource_type, self.resource_id


class TransactionBundle:
    """POST [base] with a transaction Bundle. Raises: what its entries raise, with the entry named."""

    def __init__(self, request: Request, requester: Requester) -> None:
        self.request = request
        self.requester = requester
        self.entries: list[Entry] = []
        self.works: list[_Work] = []
        actions: set[tuple[str, str]] = set()
        for entry in entries_of(request, "transaction"):
            if isinstance(entry, Problem):
                raise entry
            self.entries.append(entry)
            if entry.method in READING:
                continue
            with _named(entry):
                work = self._work(entry)
            self.works.append(work)
            letters = _LETTERS[entry.method] + ("s" if work.criteria else "")
            letters += "c" if entry.method == "PUT" and work.criteria else ""
            actions |= {(entry.request.resource_type, letter) for letter in letters}
            actions |= {(each, "s") for each in work.searched}
        self.need = Need(tuple(sorted(actions)), is_write=True)

    def run(self, transaction: Transaction, permit: Permit) -> Answer:
        """Do all of it."""
        # 1. Deletions, so that nothing else finds what they take away.
        lock_conditions(transaction, [(work.key[0], work.criteria) for work in self.works if work.criteria])
        written = self._delete(transaction, permit)
        # 2. Ids: what POST makes, what criteria find.
        self._identify(transaction, permit)
        working = [
            work for work in self.works if work.method != "DELETE" and not (work.existing or work.twin)
        ]
        self._require_distinct()
        # 3. What stands under those ids, locked.
        standing = occupied(transaction, [work.key for work in working if work.is_given])
        targets = self._targets(standing)
        # 4. Creations, updates and patches; what refers by criteria comes last and finds the others too.
        for stage in self._stages(working):
            references: dict[tuple[str, str], str] = {}
            for work in stage:
                with _named(work.entry):
                    self._admit(transaction, permit, work, standing.get(work.key), targets, references)
            self._settle(working, targets)
            admitted = [work.admitted for work in stage if work.admitted is not None]
            admission.place(transaction, self.requester, admitted)
            written += admission.store(transaction, self.requester, admitted)
        # 5. The answers, in the entries' order; perform adds those of the entries that read.
        answers = {work.entry.number: self._answer(work, transaction.now) for work in self.works}
        done = [work.admitted for work in self.works if work.admitted is not None]
        found = [work.existing for work in self.works if work.existing is not None]
        return Answer(
            bundle="transaction-response",
            entries=[answers.get(entry.number, Answer()) for entry in self.entries],
            reads=[(entry.number, entry.request) for entry in self.entries if entry.method in READING],
            touched=[*admission.touched(done), *touched(found)],
            written=written,
        )

    def _work(self, entry: Entry) -> _Work:
        request = entry.request
        if request.operation:
            raise NotSupported("an operation that is posted stands outside of transactions", "request.url")
        criteria = request.if_none_exist if request.interaction == "create" else criteria_of(request)
        work = _Work(entry, criteria or "", request.resource, resource_id=request.resource_id)
        work.searched = frozenset(conditional_types(request.resource))
        if request.if_none_exist is not None and not criteria:
            raise NotSupported(
                "conditional criteria are search criteria, and at least one", "request.ifNoneExist"
            )
        if entry.method == "PATCH" and request.resource is not None:
            work.change = patch_of(request.resource)
        return work

    def _delete(self, transaction: Transaction, permit: Permit) -> list[Written]:
        works = [work for work in self.works if work.method == "DELETE"]
        for work in works:
            if work.criteria:
                with _named(work.entry):
                    found = the_one(transaction, permit, work.key[0], work.criteria, is_locked=True)
                work.resource_id = found.resource_id if found is not None else ""
                work.is_nothing = found is None
        works = [work for work in works if not work.is_nothing]
        standing = occupied(transaction, [work.key for work in works])
        for work in works:
            with _named(work.entry):
                if_match = work.entry.request.if_match
                work.admitted = admit_delete(self.requester, work.key, standing.get(work.key), if_match)
        self._require_distinct()
        admitted = [work.admitted for work in works if work.admitted is not None]
        admission.place(transaction, self.requester, admitted)
        return admission.store(transaction, self.requester, admitted) if admitted else []

    def _identify(self, transaction: Transaction, permit: Permit) -> None:
        """Give every entry that writes the id of what it writes."""
        first: dict[tuple[str, str], _Work] = {}
        for work in self.works:
            if work.method == "DELETE":
                continue
            condition = (work.key[0], plain(work.criteria))
            before = first.setdefault(condition, work) if work.criteria else work
            if before is not work:
                if work.method != "POST" or before.method != "POST":
                    raise Invalid("two entries are about one resource", work.entry.place)
                # Two creations with one condition make one resource, as two requests would.
                work.twin, work.existing, work.resource_id = before, before.existing, before.resource_id
                continue
            found = None
            if work.criteria:
                with _named(work.entry):
                    found = the_one(transaction, permit, *condition, is_locked=True)
                    work.resource_id = self._conditional_id(work, found)
            if work.method == "POST":
                work.existing = found
            if not work.resource_id:
                work.resource_id, work.is_given = str(uuid.uuid4()), False

    @staticmethod
    def _conditional_id(work: _Work, found: Version | None) -> str:
        if work.method == "PUT" and work.resource is not None:
            return conditional_id(work.resource, found)
        if work.method == "PATCH" and found is None:
            raise NotFound(f"no such {work.key[0]}")
        return found.resource_id if found is not None else ""

    def _require_distinct(self) -> None:
        """Refuse two entries about one resource, whichever way they name it."""
        seen: set[tuple[str, str]] = set()
        for work in self.works:
            if not work.resource_id or work.twin or work.existing:
                continue
            if work.key in seen:
                raise Invalid("two entries are about one resource", work.entry.place)
            seen.add(work.key)

    def _targets(self, standing: dict[tuple[str, str], Any]) -> dict[str, Target]:
        """What the entries' fullUrls stand for. A version that is not yet settled is the next one."""
        targets: dict[str, Target] = {}
        for work in self.works:
            full_url = work.entry.full_url
            if not full_url or work.method == "DELETE":
                continue
            if full_url in targets:
                raise Invalid("two entries have one fullUrl", f"{work.entry.place}.fullUrl")
            found = standing.get(work.key)
            version = work.existing.version_id if work.existing else found.version_id + 1 if found else 1
            targets[full_url] = Target(*work.key, version)
        return targets

    @staticmethod
    def _stages(working: Sequence[_Work]) -> list[list[_Work]]:
        """One stage, or two: entries that refer by criteria follow those that they may find."""
        if not any(work.searched for work in working):
            return [list(working)] if working else []
        # Who is about a patient must not be stored before the patient.
        waits = any(work.searched and work.key[0] == "Patient" for work in working)
        early = DIRECTORY_TYPES | {"Patient"}
        stages: tuple[list[_Work], list[_Work]] = ([], [])
        for work in working:
            stages[bool(work.searched) or (waits and work.key[0] not in early)].append(work)
        return [stage for stage in stages if stage]

    def _admit(
        self, transaction: Transaction, permit: Permit, work: _Work, standing: Any,
        targets: dict[str, Target], references: dict[tuple[str, str], str],
    ) -> None:  # fmt: skip
        def conditional(resource_type: str, criteria: str) -> str:
            key = (resource_type, criteria)
            if key not in references:
                if len(references) >= MOST_CONDITIONAL_REFERENCES:
                    raise TooCostly(
                        f"a transaction has at most {MOST_CONDITIONAL_REFERENCES} conditional references"
                    )
                found = the_one(transaction, permit, resource_type, criteria, is_locked=True)
                if found is None:
                    raise Invalid("a conditional reference matches nothing", code="not-found")
                references[key] = f"{resource_type}/{found.resource_id}"
            return references[key]

        request = work.entry.request
        work.links = Links(targets, work.entry.full_url, conditional)
        if work.change is not None:
            work.admitted = admit_patch(
                transaction, permit, self.requester, work.key, standing, work.change, request.if_match,
                work.links.replace,
            )  # fmt: skip
        elif work.resource is not None:
            if work.method == "PUT" and not work.criteria and work.resource.get("id") != work.resource_id:
                raise Malformed("the resource's id is not the id of the request's url", "id")
            work.resource["id"] = work.resource_id
            work.links.replace(work.resource)
            admission.require_valid(work.resource)
            work.admitted = admit_update(
                transaction, permit, self.requester, work.resource, standing,
                request.if_match, request.if_none_match, is_given=work.is_given,
            )  # fmt: skip
        if work.admitted is not None:
            work.admitted.label = f"{work.entry.place}.resource"

    @staticmethod
    def _settle(working: Sequence[_Work], targets: dict[str, Target]) -> None:
        """Set version-specific references: an update that changes nothing leaves its version as it was."""
        for work in working:
            if work.admitted is not None and work.admitted.is_unchanged and work.entry.full_url:
                targets[work.entry.full_url].version_id = work.admitted.version_id
        for work in working:
            if work.links is not None:
                work.links.settle()

    def _answer(self, work: _Work, now: int) -> Answer:
        found = work.existing
        if work.is_nothing:
            return Answer(outcome="deleted")
        if found is not None:
            return Answer(
                outcome="existing", body=found.text, resource_type=work.key[0], resource_id=found.resource_id,
                version_id=found.version_id, last_updated=found.last_updated,
            )  # fmt: skip
        admitted = work.admitted or (work.twin.admitted if work.twin else None)
        if admitted is None:
            return Answer()
        answer = answer_of(admitted, now, [])
        if work.method == "DELETE":
            answer.outcome, answer.body = "deleted", b""
        elif work.twin:
            answer.outcome = "existing"
        return answer


class _named:  # noqa: N801 - reads as a phrase where it is used
    """Name the entry in the problems of a block."""

    def __init__(self, entry: Entry) -> None:
        self.entry = entry

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, problem: BaseException | None, _trace: object) -> None:
        if isinstance(problem, Problem):
            problem.issues = tuple(_at(issue, self.entry) for issue in problem.issues)


def _at(issue: Issue, entry: Entry) -> Issue:
    inner = issue.expression or ""
    if inner.startswith("Bundle.entry"):
        return issue
    if inner.startswith("http."):  # of criteria, which stand in the url, in a condition or in a reference
        return replace(issue, expression=entry.place)
    if inner.startswith("request"):
        return replace(issue, expression=f"{entry.place}.{inner}")
    within = inner.removeprefix(entry.request.resource_type).removeprefix(".")
    return replace(issue, expression=f"{entry.place}.resource.{within}".rstrip("."))
