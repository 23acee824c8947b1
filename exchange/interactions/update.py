"""update: a new version of a resource, or a new resource under an id in the caller's own namespace.

Spec:    https://hl7.org/fhir/R4/http.html#update, https://hl7.org/fhir/R4/http.html#upsert,
         https://hl7.org/fhir/R4/http.html#cond-update
Leaves:  what every resource passes to admission.

An id outside of the caller's namespace that is not the caller's own resource is refused with the same words whether
something hidden stands there or nothing does. A version that says the same as the one that stands makes no new one.
"""

from __future__ import annotations

import re
import uuid
from typing import Any, Final

from exchange.interactions import admission
from exchange.interactions.admission import Admitted
from exchange.interactions.condition import criteria_of, the_one
from exchange.permit import Permit
from exchange.policy.standing_labels import keep_labels
from exchange.problems import Invalid, Malformed, NotFound, NotSupported, PreconditionFailed
from exchange.request import Answer, Need, Request
from exchange.requester import Requester
from exchange.store.session import Transaction
from exchange.store.versions import Occupancy, Version, occupied, read_current

_ETAG: Final = re.compile(r'(?:W/)?"(\d{1,9})"', re.ASCII)
_ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)


class Update:
    """PUT [base]/[type]/[id] and [base]/[type]?criteria.

    Raises: Malformed - no resource, or under another id; Invalid; PreconditionFailed - If-Match or If-None-Match does
            not hold, or the criteria match several.
    Spec:   https://hl7.org/fhir/R4/http.html#cond-update
    """

    def __init__(self, request: Request, requester: Requester) -> None:
        self.request = request
        self.requester = requester
        self.resource = request.resource or admission.parse_body(request.body, request.resource_type)
        self.criteria = criteria_of(request)
        if not self.criteria and self.resource.get("id") != request.resource_id:
            raise Malformed("the body's id is not the id of the URL", f"{request.resource_type}.id")
        # Criteria look for what is there, and where nothing is they create.
        letters = "cus" if self.criteria else "u"
        self.need = Need(tuple((request.resource_type, letter) for letter in letters), is_write=True)

    def run(self, transaction: Transaction, permit: Permit) -> Answer:
        """Store the new version."""
        resource_id = self.request.resource_id
        if self.criteria:
            found = the_one(transaction, permit, self.request.resource_type, self.criteria)
            resource_id = conditional_id(self.resource, found)
        is_given = bool(resource_id)
        # A copy: another try must find the body as it came, with its id or without one.
        resource = self.resource | {"id": resource_id or str(uuid.uuid4())}
        admission.require_valid(resource)
        key = (self.request.resource_type, resource["id"])
        standing = occupied(transaction, [key]).get(key) if is_given else None
        admitted = admit_update(
            transaction, permit, self.requester, resource, standing,
            self.request.if_match, self.request.if_none_match, is_given=is_given,
        )  # fmt: skip
        admission.place(transaction, self.requester, [admitted])
        written = admission.store(transaction, self.requester, [admitted])
        return answer_of(admitted, transaction.now, written)


def conditional_id(resource: dict[str, Any], found: Version | None) -> str:
    """The id that a conditional update writes: the match's, else the body's, else "" - then the hub gives one.

    Raises: Malformed - the body says another id than the match has.
    """
    told = resource.get("id")
    if found is None:
        return told if isinstance(told, str) else ""
    if told is not None and told != found.resource_id:
        words = "the body's id is not the id of the resource that the criteria match"
        raise Malformed(words, f"{resource['resourceType']}.id")
    return found.resource_id


def admit_update(
    transaction: Transaction,
    permit: Permit,
    requester: Requester,
    resource: dict[str, Any],
    standing: Occupancy | None,
    if_match: str | None = None,
    if_none_match: str | None = None,
    *,
    is_given: bool = True,
) -> Admitted:
    """One update on its way in: the namespace and the preconditions hold. `is_given`: the hub did not make the id."""
    resource_type, resource_id = resource["resourceType"], resource["id"]
    # 1. Another's resource and nothing at all are answered alike.
    is_own = standing is not None and standing.custodian == requester.custodian
    if is_given and not is_own and not is_in_namespace(resource_id, requester):
        words = f"an id that this client gives begins with {requester.id_prefix}, its registered prefix"
        raise Invalid(words, f"{resource_type}.id")
    if not is_own:
        standing = None
    # 2. Preconditions.
    current = standing.version_id if standing is not None and not standing.is_deleted else None
    if if_none_match == "*" and current is not None:
        raise PreconditionFailed("the resource exists already")
    if if_match is not None and version_of(if_match) != current:
        raise PreconditionFailed("the resource is not at this version")
    admitted = Admitted(resource_type, resource_id, resource, standing)
    if standing is not None:
        admitted.version_id = standing.version_id + 1
        if current is not None:
            # 3. Delivered again: nothing new to store.
            held = read_current(transaction, permit, resource_type, resource_id)
            if held is not None and b'"security"' in held.text:
                # 4. Security labels that stand are kept or raised.
                admitted.resource = resource = keep_labels(held.parsed(), resource)
            if held is not None and admission.is_same(resource, held.text, requester):
                admitted.is_unchanged = True
                admitted.text, admitted.version_id = held.text, held.version_id
                admitted.stored_at = held.last_updated
    return admitted


def answer_of(admitted: Admitted, now: int, written: list[Any]) -> Answer:
    """The answer to one stored update."""
    is_new = admitted.standing is None or admitted.standing.is_deleted
    return Answer(
        outcome="unchanged" if admitted.is_unchanged else "created" if is_new else "updated",
        body=admitted.text,
        resource_type=admitted.resource_type,
        resource_id=admitted.resource_id,
        version_id=admitted.version_id,
        last_updated=admitted.stored_at or now,
        touched=admission.touched([admitted]),
        written=written,
    )


def is_in_namespace(resource_id: str, requester: Requester) -> bool:
    """Whether the caller may give this id to a new resource."""
    return bool(_ID.fullmatch(resource_id)) and resource_id.startswith(requester.id_prefix)


def version_of(etag: str) -> int:
    """The version in an ETag. Raises: NotSupported - no ETag of this hub."""
    match = _ETAG.fullmatch(etag.strip())
    if match is None:
        raise NotSupported('If-Match takes a version\'s ETag, such as W/"3"', "http.If-Match")
    return int(match.group(1))


class Delete:
    """DELETE [base]/[type]/[id] and [base]/[type]?criteria.

    Criteria that match nothing delete nothing, and that is no failure: the answer is the one that repeating a deletion
    gets. Raises: NotFound - an id that is absent, hidden, or another facility's; PreconditionFailed - several match.
    Spec:   https://hl7.org/fhir/R4/http.html#delete (conditional delete: single)
    """

    def __init__(self, request: Request, requester: Requester) -> None:
        self.request = request
        self.requester = requester
        self.criteria = criteria_of(request)
        letters = "ds" if self.criteria else "d"
        self.need = Need(tuple((request.resource_type, letter) for letter in letters), is_write=True)

    def run(self, transaction: Transaction, permit: Permit) -> Answer:
        """Store the deletion as a version of its own; deleting what is deleted changes nothing."""
        key = (self.request.resource_type, self.request.resource_id)
        if self.criteria:
            found = the_one(transaction, permit, key[0], self.criteria)
            if found is None:
                return Answer(outcome="deleted")
            key = (key[0], found.resource_id)
        admitted = admit_delete(
            self.requester, key, occupied(transaction, [key]).get(key), self.request.if_match
        )
        admission.place(transaction, self.requester, [admitted])
        written = admission.store(transaction, self.requester, [admitted])
        answer = answer_of(admitted, transaction.now, written)
        answer.outcome, answer.body = "deleted", b""
        return answer


def admit_delete(
    requester: Requester, key: tuple[str, str], standing: Occupancy | None, if_match: str | None = None
) -> Admitted:
    """One deletion on its way in."""
    if standing is None or standing.custodian != requester.custodian:
        raise NotFound(f"no such {key[0]}")
    if if_match is not None and version_of(if_match) != standing.version_id:
        raise PreconditionFailed("the resource is not at this version")
    admitted = Admitted(*key, None, standing, standing.version_id + 1, standing.compartment)
    if standing.is_deleted:
        admitted.is_unchanged, admitted.version_id = True, standing.version_id
    return admitted
