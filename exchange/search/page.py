"""Page tokens: where the next page starts, sealed and bound to the caller and the query.

Spec:    https://hl7.org/fhir/R4/http.html#paging
Leaves:  authorisation, which every page decides anew - a token proves nothing.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

from exchange.crypto.hub_crypto import HubCrypto
from exchange.problems import NotSupported, SealBroken
from exchange.search.tree import Query


def seal_page(crypto: HubCrypto, client_id: str, place: str, query: Query, position: list[Any]) -> str:
    """A token for the page of a search at a place (type, compartment) that starts after a position."""
    sealed = crypto.seal_page(msgspec.json.encode(position), _bound_to(client_id, place, query))
    return base64.urlsafe_b64encode(sealed).decode().rstrip("=")


def open_page(crypto: HubCrypto, client_id: str, place: str, query: Query) -> list[Any]:
    """The position in a query's page token; empty on the first page. Raises: NotSupported - not this page's."""
    if not query.page:
        return []
    try:
        sealed = base64.urlsafe_b64decode(query.page + "=" * (-len(query.page) % 4))
        position: list[Any] = msgspec.json.decode(
            crypto.open_page(sealed, _bound_to(client_id, place, query))
        )
    except (SealBroken, binascii.Error, ValueError):
        raise NotSupported("'_page' is no page of this search for this client", "http._page") from None
    return position


def _bound_to(client_id: str, place: str, query: Query) -> bytes:
    return msgspec.json.encode([client_id, place, query.used])
