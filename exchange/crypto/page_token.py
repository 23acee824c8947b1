"""Page tokens: where the next page of an answer starts, sealed, bound to the caller and to what was asked.

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


def seal_token(crypto: HubCrypto, bound_to: list[Any], position: list[Any]) -> str:
    """A token for the page that starts after a position."""
    sealed = crypto.seal_page(msgspec.json.encode(position), msgspec.json.encode(bound_to))
    return base64.urlsafe_b64encode(sealed).decode().rstrip("=")


def open_token(crypto: HubCrypto, bound_to: list[Any], token: str) -> list[Any]:
    """The position in a token. Raises: NotSupported - no page of this for this client."""
    try:
        sealed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        position: list[Any] = msgspec.json.decode(crypto.open_page(sealed, msgspec.json.encode(bound_to)))
    except (SealBroken, binascii.Error, ValueError):
        raise NotSupported("'_page' is no page of this for this client", "http._page") from None
    return position
