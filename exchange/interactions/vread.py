"""vread: one version of one resource. Old versions obey what is decided for the record today.

Spec:    https://hl7.org/fhir/R4/http.html#vread
"""

from __future__ import annotations

from exchange.interactions.read import answer_with, narrowed, part_of
from exchange.permit import Permit
from exchange.problems import NotFound
from exchange.request import Answer, Need, Request
from exchange.requester import Requester
from exchange.store.session import Transaction
from exchange.store.versions import read_version

MOST_DIGITS = 9


class VersionRead:
    """GET [base]/[type]/[id]/_history/[vid]. Raises: NotFound - absent or hidden; Gone - a deletion."""

    def __init__(self, request: Request, _requester: Requester) -> None:
        self.request = request
        self.part = part_of(request)
        self.need = Need(((request.resource_type, "r"),), target=(request.resource_type, request.resource_id))

    def run(self, transaction: Transaction, permit: Permit) -> Answer:
        """The version as it is stored."""
        text = self.request.version_id
        if not (text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS):
            raise NotFound(f"no such {self.request.resource_type}")
        version = read_version(
            transaction, permit, self.request.resource_type, self.request.resource_id, int(text)
        )
        return narrowed(answer_with(self.request.resource_type, version), self.part)
