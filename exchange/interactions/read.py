"""read: the current version of one resource.

Spec:    https://hl7.org/fhir/R4/http.html#read
Leaves:  conditional headers to rest.
"""

from __future__ import annotations

from exchange.permit import Permit
from exchange.problems import Gone, NotFound
from exchange.request import Answer, Need, Request, Touched
from exchange.requester import Requester
from exchange.store.session import Transaction
from exchange.store.versions import Version, read_current


class Read:
    """GET [base]/[type]/[id]. Raises: NotFound - absent or hidden; Gone - deleted, and the caller may know."""

    def __init__(self, request: Request, _requester: Requester) -> None:
        self.request = request
        self.need = Need(((request.resource_type, "r"),), target=(request.resource_type, request.resource_id))

    def run(self, transaction: Transaction, permit: Permit) -> Answer:
        """The resource as it is stored."""
        version = read_current(transaction, permit, self.request.resource_type, self.request.resource_id)
        return answer_with(self.request.resource_type, version)


def answer_with(resource_type: str, version: Version | None) -> Answer:
    """The answer that one version makes."""
    if version is None:
        raise NotFound(f"no such {resource_type}")
    if version.is_deleted:
        raise Gone(f"this {resource_type} was deleted")
    return Answer(
        body=version.text,
        resource_type=resource_type,
        resource_id=version.resource_id,
        version_id=version.version_id,
        last_updated=version.last_updated,
        touched=[
            Touched(compartment, (f"{resource_type}/{version.resource_id}",))
            for compartment in version.compartments
        ],
    )
