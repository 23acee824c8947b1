"""history: the versions of one resource, of a type or of all types in reach, newest first.

Spec:    https://hl7.org/fhir/R4/http.html#history; docs/decisions/0014-history-in-commit-order.md.
Leaves:  the order and its SQL to store/history.

`_since` is a place in the order of commits, so that whoever asks again with the newest `lastUpdated` he has been given
misses nothing, whatever was committed late; a version or two may come again.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote, urlencode
from uuid import UUID

from exchange.crypto.page_token import open_token, seal_token
from exchange.fhir.datatype import date_range
from exchange.fhir.definitions import type_name
from exchange.interactions.bundle_text import bundle, fhir_url, instant
from exchange.interactions.page_binding import holder
from exchange.interactions.search import touched
from exchange.permit import Permit
from exchange.problems import Malformed, NotFound, NotSupported
from exchange.request import Answer, Need, Request
from exchange.requester import Requester
from exchange.settings import settings
from exchange.store.history import Asked, Listed, count, floor_of, of_many, of_one
from exchange.store.session import Transaction

NEWEST: Final = 2**31 - 1
MOST_DIGITS: Final = 9
_TAKEN: Final = ("_count", "_since", "_at", "_page")
_PASSED_OVER: Final = ("_format", "_pretty")
_HUB_MADE: Final = 4
"""The version of the UUIDs that the hub gives; a client's id starts with a prefix that no UUID has."""


class History:
    """GET [base]/[type]/[id]/_history, [base]/[type]/_history and [base]/_history.

    Raises: NotFound - an instance that is absent or hidden; NotSupported - other parameters; Malformed - one twice.
    """

    def __init__(self, request: Request, requester: Requester) -> None:
        self.request = request
        self.requester = requester
        self.count = settings().default_page_size
        self.page = ""
        self.since: int | None = None
        self.at: tuple[int, int] | None = None
        self.used: list[tuple[str, str]] = []
        for name, text in request.query:
            self._take(name, text)
        if request.resource_type == "AuditEvent":
            raise NotSupported("audit events have no history: they never change", "http.url")
        named = (request.resource_type, request.resource_id)
        if request.resource_id:
            self.need = Need(((request.resource_type, "r"),), target=named)
        else:
            self.need = Need(((request.resource_type, "s"),) if request.resource_type else ())

    def _take(self, name: str, text: str) -> None:
        if name in _PASSED_OVER:
            return
        if name not in _TAKEN:
            raise NotSupported("history takes _count, _since and _at", "http.query")
        if name in (each for each, _ in self.used) or (name == "_page" and self.page):
            raise Malformed("a parameter of history stands once", f"http.{name}")
        if name == "_page":
            self.page = text
            return
        self.used.append((name, text))
        if name == "_count":
            if not (text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS):
                raise NotSupported("'_count' takes a whole number", "http._count")
            self.count = max(1, min(int(text), settings().max_page_size))
            return
        try:
            low, high = date_range(text.replace(" ", "+"), settings().zone)
        except ValueError:
            raise NotSupported(f"'{name}' takes a date or an instant", f"http.{name}") from None
        if name == "_since":
            self.since = low
        else:
            self.at = (low, high)

    def run(self, transaction: Transaction, permit: Permit) -> Answer:
        """One page; an instance that is out of reach looks absent."""
        asked = Asked(self._types(permit), self.request.resource_id, self.since, self.at)
        bound = [holder(self.requester), *_place(self.request), self.used]
        position = open_token(transaction.crypto, bound, self.page) if self.page else []
        if asked.resource_id:
            listed, total, follows = self._of_one(transaction, permit, asked, position)
        else:
            listed, total, follows = self._of_many(transaction, permit, asked, position)
        links = [("self", self._url(self.used))]
        if len(listed) > self.count:
            listed = listed[: self.count]
            token = seal_token(transaction.crypto, bound, [*follows, *_position(listed[-1], asked)])
            links.append(("next", self._url([*self.used, ("_page", token)])))
        newest = max((each.version.last_updated for each in listed), default=self.since)
        return Answer(
            body=bundle("history", links, map(_entry, listed), total, newest),
            touched=touched(each.version for each in listed),
        )

    def _types(self, permit: Permit) -> list[str] | None:
        if self.request.resource_type:
            return [self.request.resource_type] if permit.reads(self.request.resource_type) else []
        return None if permit.types is None else sorted(permit.types)

    def _of_one(
        self, transaction: Transaction, permit: Permit, asked: Asked, position: list[Any]
    ) -> tuple[list[Listed], int | None, list[Any]]:
        before = position[1] if position else NEWEST
        listed = of_one(transaction, permit, asked, before=before, limit=self.count + 1)
        if not listed and not position:
            exists = Asked(asked.types, asked.resource_id)
            if not of_one(transaction, permit, exists, before=NEWEST, limit=1):
                raise NotFound(f"no such {self.request.resource_type}")
        total = position[0] if position else count(transaction, permit, asked, floor=0)
        return listed, total, [total]

    def _of_many(
        self, transaction: Transaction, permit: Permit, asked: Asked, position: list[Any]
    ) -> tuple[list[Listed], int | None, list[Any]]:
        if position:
            total, floor, *before = position
        else:
            total, before = None, []
            floor = 0 if asked.since is None else floor_of(transaction, permit, asked)
            if floor is None:
                return [], 0, []
            total = count(transaction, permit, asked, floor=floor)
        listed = of_many(transaction, permit, asked, floor=floor, before=before, limit=self.count + 1)
        return listed, total, [total, floor]

    def _url(self, used: list[tuple[str, str]]) -> str:
        place = "/".join([fhir_url(), *(part for part in _place(self.request) if part), "_history"])
        text = urlencode(used, quote_via=quote, safe=":,/$")
        return place + (f"?{text}" if text else "")


def _place(request: Request) -> tuple[str, str]:
    return request.resource_type, request.resource_id


def _position(listed: Listed, asked: Asked) -> list[Any]:
    return [listed.version.version_id] if asked.resource_id else listed.position


def _entry(listed: Listed) -> bytes:
    version = listed.version
    resource_type = type_name(version.type_code)
    place = f"{resource_type}/{version.resource_id}"
    if version.is_deleted:
        method, status, url = "DELETE", "204", place
    elif version.version_id == 1 and _is_hub_made(version.resource_id):
        method, status, url = "POST", "201", resource_type
    else:
        is_new = version.version_id == 1 or listed.revives
        method, status, url = "PUT", "201" if is_new else "200", place
    resource = b"" if version.is_deleted else b'"resource":%s,' % version.text
    return (
        b'{"fullUrl":"%s",%s"request":{"method":"%s","url":"%s"},'
        b'"response":{"status":"%s","etag":"W/\\"%d\\"","lastModified":"%s"}}'
    ) % (
        f"{fhir_url()}/{place}".encode(), resource, method.encode(), url.encode(), status.encode(), version.version_id,
        instant(version.last_updated).encode(),
    )  # fmt: skip


def _is_hub_made(resource_id: str) -> bool:
    """Whether the hub gave the id: a client's own begins with its prefix, which no UUID does."""
    try:
        return UUID(resource_id).version == _HUB_MADE and resource_id == str(UUID(resource_id))
    except ValueError:
        return False
