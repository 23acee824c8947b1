"""create: a new resource under an id that the hub gives; conditional by If-None-Exist.

Spec:    https://hl7.org/fhir/R4/http.html#create
Leaves:  what every resource passes to admission.
"""

from __future__ import annotations

import uuid

from exchange.interactions import admission
from exchange.interactions.condition import require_no_criteria, the_one
from exchange.interactions.search import touched
from exchange.permit import Permit
from exchange.request import Answer, Need, Request
from exchange.requester import Requester
from exchange.store.session import Transaction


class Create:
    """POST [base]/[type]. Raises: Malformed, Invalid - see admission; PreconditionFailed - several match."""

    def __init__(self, request: Request, requester: Requester) -> None:
        require_no_criteria(request)  # criteria of a creation stand in If-None-Exist
        self.request = request
        self.requester = requester
        self.resource = request.resource or admission.parse_body(request.body, request.resource_type)
        actions = [(request.resource_type, "c")]
        if request.if_none_exist is not None:
            actions.append((request.resource_type, "s"))
        self.need = Need(tuple(actions), is_write=True)

    def run(self, transaction: Transaction, permit: Permit) -> Answer:
        """Store it, or answer with the one that exists."""
        resource_type = self.request.resource_type
        if self.request.if_none_exist is not None:
            existing = the_one(transaction, permit, resource_type, self.request.if_none_exist)
            if existing is not None:
                return Answer(
                    outcome="existing",
                    body=existing.text,
                    resource_type=resource_type,
                    resource_id=existing.resource_id,
                    version_id=existing.version_id,
                    last_updated=existing.last_updated,
                    touched=touched([existing]),
                )
        resource_id = str(uuid.uuid4())
        self.resource["id"] = resource_id
        admission.require_valid(self.resource)
        admitted = [admission.Admitted(resource_type, resource_id, self.resource)]
        admission.place(transaction, self.requester, admitted)
        written = admission.store(transaction, self.requester, admitted)
        return Answer(
            outcome="created",
            body=admitted[0].text,
            resource_type=resource_type,
            resource_id=resource_id,
            version_id=1,
            last_updated=transaction.now,
            touched=admission.touched(admitted),
            written=written,
        )
