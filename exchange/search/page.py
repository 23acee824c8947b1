"""The page tokens of searches: bound to the caller, the place and the query.

Spec:    https://hl7.org/fhir/R4/http.html#paging
Leaves:  authorisation, which every page decides anew - a token proves nothing.
"""

from __future__ import annotations

from typing import Any

from exchange.crypto.hub_crypto import HubCrypto
from exchange.crypto.page_token import open_token, seal_token
from exchange.search.tree import Query


def seal_page(crypto: HubCrypto, holder: str, place: str, query: Query, position: list[Any]) -> str:
    """A token for the page of a search at a place (type, compartment) that starts after a position."""
    return seal_token(crypto, [holder, place, query.used], position)


def open_page(crypto: HubCrypto, holder: str, place: str, query: Query) -> list[Any]:
    """The position in a query's page token; empty on the first page. Raises: NotSupported - not this page's."""
    if not query.page:
        return []
    return open_token(crypto, [holder, place, query.used], query.page)
