"""history-instance: the versions of one resource, newest first.

Spec:    https://hl7.org/fhir/R4/http.html#history
"""

from __future__ import annotations

from typing import Final

from exchange.interactions.bundle_text import bundle, instant
from exchange.permit import Permit
from exchange.problems import NotFound, NotSupported
from exchange.request import Answer, Need, Request, Touched
from exchange.requester import Requester
from exchange.settings import settings
from exchange.store.session import Transaction
from exchange.store.versions import Version, history

NEWEST: Final = 2**31 - 1
MOST_DIGITS: Final = 9


class History:
    """GET [base]/[type]/[id]/_history. Raises: NotFound - absent or hidden; NotSupported - other parameters."""

    def __init__(self, request: Request, _requester: Requester) -> None:
        self.request = request
        self.need = Need(((request.resource_type, "r"),), target=(request.resource_type, request.resource_id))
        self.count = settings().default_page_size
        self.before = NEWEST
        for name, text in request.query:
            if name in ("_format", "_pretty"):
                continue
            if name not in ("_count", "_before") or not _is_number(text):
                raise NotSupported("history takes _count, a whole number", "http.query")
            if name == "_count":
                self.count = max(1, min(int(text), settings().max_page_size))
            else:
                self.before = int(text)

    def run(self, transaction: Transaction, permit: Permit) -> Answer:
        """A page of versions; an instance that is out of reach looks absent."""
        resource_type, resource_id = self.request.resource_type, self.request.resource_id
        versions = history(
            transaction, permit, resource_type, resource_id, before=self.before, limit=self.count + 1
        )
        if not versions:
            raise NotFound(f"no such {resource_type}")
        page = versions[: self.count]
        place = f"{settings().fhir_url}/{resource_type}/{resource_id}"
        links = [("self", f"{place}/_history?_count={self.count}")]
        if len(versions) > self.count:
            links.append(("next", f"{place}/_history?_count={self.count}&_before={page[-1].version_id}"))
        total = len(page) if self.before == NEWEST and len(versions) <= self.count else None
        entries = [_entry(version, resource_type, place) for version in page]
        return Answer(
            body=bundle("history", links, entries, total),
            touched=[
                Touched(compartment, (f"{resource_type}/{resource_id}",))
                for compartment in page[0].compartments
            ],
        )


def _entry(version: Version, resource_type: str, place: str) -> bytes:
    if version.is_deleted:
        method, status = "DELETE", "204"
    else:
        method, status = ("POST", "201") if version.version_id == 1 else ("PUT", "200")
    url = resource_type if method == "POST" else f"{resource_type}/{version.resource_id}"
    resource = b"" if version.is_deleted else b'"resource":%s,' % version.text
    return (
        b'{"fullUrl":"%s",%s"request":{"method":"%s","url":"%s"},'
        b'"response":{"status":"%s","etag":"W/\\"%d\\"","lastModified":"%s"}}'
    ) % (
        place.encode(), resource, method.encode(), url.encode(), status.encode(), version.version_id,
        instant(version.last_updated).encode(),
    )  # fmt: skip


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS
