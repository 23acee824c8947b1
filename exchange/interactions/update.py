"""update: a new version of a resource, or a new resource under an id in the caller's own namespace.

Spec:    https://hl7.org/fhir/R4/http.html#update, https://hl7.org/fhir/R4/http.html#upsert
Leaves:  what every resource passes to admission.

An id outside of the caller's namespace that is not the caller's own resource is refused with the same words whether
something hidden stands there or nothing does. A version that says the same as the one that stands makes no new one.
"""

from __future__ import annotations

import re
from typing import Any, Final

from exchange.interactions import admission
from exchange.interactions.admission import Admitted
from exchange.permit import Permit
from exchange.problems import Invalid, Malformed, NotFound, NotSupported, PreconditionFailed
from exchange.request import Answer, Need, Request
from exchange.requester import Requester
from exchange.store.session import Transaction
from exchange.store.versions import Occupancy, occupied, read_current

_ETAG: Final = re.compile(r'(?:W/)?"(\d{1,9})"', re.ASCII)
_ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)


class Update:
    """PUT [base]/[type]/[id]. Raises: Malformed, Invalid, PreconditionFailed - If-Match does not hold."""

    def __init__(self, request: Request, requester: Requester) -> None:
        self.request = request
        self.requester = requester
        self.resource = request.resource or admission.parse_body(request.body, request.resource_type)
        if self.resource.get("id") != request.resource_id:
            raise Malformed("the body's id is not the id of the URL", "id")
        self.need = Need(((request.resource_type, "u"),), is_write=True)

    def run(self, transaction: Transaction, permit: Permit) -> Answer:
        """Store the new version."""
        admission.require_valid(self.resource)
        key = (self.request.resource_type, self.request.resource_id)
        standing = occupied(transaction, [key]).get(key)
        admitted = admit_update(
            transaction, permit, self.requester, self.resource, standing,
            self.request.if_match, self.request.if_none_match,
        )  # fmt: skip
        admission.place(transaction, self.requester, [admitted])
        written = admission.store(transaction, self.requester, [admitted])
        return answer_of(admitted, transaction.now, written)


def admit_update(
    transaction: Transaction,
    permit: Permit,
    requester: Requester,
    resource: dict[str, Any],
    standing: Occupancy | None,
    if_match: str | None = None,
    if_none_match: str | None = None,
) -> Admitted:
    """One update on its way in: the namespace and the preconditions hold."""
    resource_type, resource_id = resource["resourceType"], resource["id"]
    # 1. Another's resource and nothing at all are answered alike.
    is_own = standing is not None and standing.custodian == requester.custodian
    if not is_own and not is_in_namespace(resource_id, requester):
        raise Invalid("a client-assigned id starts with the prefix registered for the client", "id")
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
            if held is not None and admission.is_same(resource, held.text, requester):
                admitted.is_unchanged = True
                admitted.text, admitted.version_id = held.text, held.version_id
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
        last_updated=now,
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
    """DELETE [base]/[type]/[id]. Raises: NotFound - absent, hidden, or another facility's.

    Spec: https://hl7.org/fhir/R4/http.html#delete
    """

    def __init__(self, request: Request, requester: Requester) -> None:
        self.request = request
        self.requester = requester
        self.need = Need(((request.resource_type, "d"),), is_write=True)

    def run(self, transaction: Transaction, _permit: Permit) -> Answer:
        """Store the deletion as a version of its own; deleting what is deleted changes nothing."""
        key = (self.request.resource_type, self.request.resource_id)
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
