"""Fetching JSON from the provider that an operator names: https, no redirect, bounded in size and in time as a whole.

Spec:    RFC 9110, 15.4 (redirects are not followed); RFC 8414, 6.2
Leaves:  what the JSON has to say to whoever asks for it; addresses that others register to jwks_fetch, which keeps
         away from private networks - where a ministry's own provider may well stand.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from exchange.problems import Unavailable
from exchange.settings import settings

MOST_BYTES: Final = 256 * 1024
MOST_SECONDS: Final = 5.0
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class ProviderUnavailable(Unavailable):
    """What was fetched is not used. `reason` is for the audit log, never for the caller."""

    def __init__(self, reason: str) -> None:
        super().__init__("the identity provider does not answer as it should")
        self.reason = reason


def is_fetchable(url: str) -> bool:
    """Whether the hub fetches from an address: https, or http to this machine in a demonstration."""
    try:
        parts = urlsplit(url)
        has_port = parts.port is None or parts.port > 0
    except ValueError:
        return False
    if not url.isascii() or not url.isprintable() or " " in url or not has_port:
        return False
    if not parts.hostname or "@" in parts.netloc or parts.fragment:
        return False
    is_local = parts.hostname in _LOOPBACK and settings().mode == "demo"
    return parts.scheme == "https" or (parts.scheme == "http" and is_local)


def fetch_json(
    url: str, form: Mapping[str, str] | None = None, credentials: tuple[str, str] | None = None
) -> dict[str, Any]:
    """A JSON object: by GET, or by POST of a form with the credentials of HTTP Basic.

    Raises: ProviderUnavailable - an address that is not fetched, another status than 200, too large, too slow, no object.
    """
    if not is_fetchable(url):
        raise ProviderUnavailable("address not fetched")
    try:
        # A loop of its own: only it bounds name, connection, head and body together.
        body = asyncio.run(_fetched(url, form, credentials))
        found = json.loads(body)
    except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, OSError) as failed:
        raise ProviderUnavailable(f"fetch: {type(failed).__name__}") from None
    except (ValueError, RecursionError):
        raise ProviderUnavailable("fetch: no JSON") from None
    if not isinstance(found, dict):
        raise ProviderUnavailable("fetch: no object")
    return found


async def _fetched(url: str, form: Mapping[str, str] | None, credentials: tuple[str, str] | None) -> bytes:
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    method = "GET" if form is None else "POST"
    size, parts = 0, []
    async with (
        asyncio.timeout(MOST_SECONDS),
        httpx.AsyncClient(timeout=MOST_SECONDS, follow_redirects=False, trust_env=False) as client,
        client.stream(
            method, url, data=form, headers=headers, auth=credentials or httpx.USE_CLIENT_DEFAULT
        ) as answer,
    ):
        if answer.status_code != httpx.codes.OK:
            raise ProviderUnavailable(f"fetch: status {answer.status_code}")
        async for part in answer.aiter_raw():
            size += len(part)
            if size > MOST_BYTES:
                raise ProviderUnavailable("fetch: too large")
            parts.append(part)
    return b"".join(parts)
