"""Fetching a JWKS from an address that a client's registration names, without being led anywhere else by it.

Spec:    RFC 8725, 3.10; RFC 6890 (special-purpose addresses)
Leaves:  how often to jwks.

Whoever controls the address or its name in the DNS must not reach what only this machine reaches: the name is looked up
once, every address that it has must be a public one, and the connection goes to the very address that was checked.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as LookupTimeout
from functools import lru_cache
from typing import Final
from urllib.parse import SplitResult, urlsplit

from exchange.settings import settings

MOST_BYTES: Final = 64 * 1024
MOST_SECONDS: Final = 5.0
MOST_URL_LETTERS: Final = 500
HTTPS_PORT: Final = 443
HTTP_PORT: Final = 80
# A second address inside of the first: translated or tunnelled, it would be reached instead.
_EMBEDDING: Final = tuple(
    map(ipaddress.IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96"))
)
_LOOKUPS: Final = ThreadPoolExecutor(2, thread_name_prefix="lookup")


class RefusedFetch(Exception):  # noqa: N818 - a refusal is a value with a reason
    """A JWKS that was not fetched, or is not used. `reason` is for the audit log and the hub's own."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def is_jwks_url(url: str) -> bool:
    """Whether an address may be registered: https, with a host and neither user nor fragment."""
    return _parts(url) is not None


def fetch_jwks(url: str) -> object:
    """The JSON that lies at an address.

    Raises: RefusedFetch - an address that is none of the public internet's, a redirect or any other status than 200,
            no JSON, more than 64 kB, or longer than five seconds in all.
    """
    deadline = time.monotonic() + MOST_SECONDS
    # 1. The form of the address.
    parts = _parts(url)
    if parts is None:
        raise RefusedFetch("address")
    # 2. Every address of the name is public.
    port = parts.port or (HTTPS_PORT if parts.scheme == "https" else HTTP_PORT)
    address = _checked_address(parts.hostname or "", port, deadline)
    # 3. Connect to the address that was checked, and end whatever happens when the time is over.
    try:
        with socket.create_connection((address, port), timeout=_left(deadline)) as connected:
            body = _asked(connected, parts, deadline)
    except (OSError, http.client.HTTPException, ValueError) as failed:
        raise RefusedFetch(f"connection: {type(failed).__name__}") from None
    # 4. What it says.
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise RefusedFetch("no JSON") from None


def is_public(address: str) -> bool:
    """Whether an address is one of the public internet, by itself and by what is written inside of it."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        if found.scope_id is not None or found.is_site_local or found.ipv4_mapped is not None:
            return False
        if any(found in network for network in _EMBEDDING):
            return False
    return found.is_global and not (found.is_multicast or found.is_reserved or found.is_unspecified)


def _parts(url: str) -> SplitResult | None:
    if (
        len(url) > MOST_URL_LETTERS
        or not url.isascii()
        or not url.isprintable()
        or set(url) & set(' \\"<>^`{|}')
    ):
        return None
    try:
        parts = urlsplit(url)
        is_port = parts.port is None or parts.port > 0
    except ValueError:
        return None
    is_local = settings().dangerously_fetch_client_keys_from_this_machine and parts.scheme == "http"
    is_named = bool(parts.hostname) and "@" not in parts.netloc and "%" not in parts.netloc and "#" not in url
    return parts if is_port and is_named and (parts.scheme == "https" or is_local) else None


def _checked_address(host: str, port: int, deadline: float) -> str:
    looked_up = _LOOKUPS.submit(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    try:
        found = [str(row[4][0]) for row in looked_up.result(_left(deadline))]
    except LookupTimeout:
        looked_up.cancel()
        raise RefusedFetch("name: too slow") from None
    except (OSError, UnicodeError):
        raise RefusedFetch("name") from None
    is_allowed = _is_loopback if settings().dangerously_fetch_client_keys_from_this_machine else is_public
    if not found or not all(map(is_allowed, found)):
        raise RefusedFetch("address is not public")
    return found[0]


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback


def _asked(connected: socket.socket, parts: SplitResult, deadline: float) -> bytes:
    stream = connected
    if parts.scheme == "https":
        stream = _tls().wrap_socket(connected, server_hostname=parts.hostname, do_handshake_on_connect=False)
    # Time-outs of a socket are for one wait each: a server that drips bytes would renew them for ever.
    watchdog = threading.Timer(_left(deadline), _cut, (stream,))
    watchdog.start()
    try:
        if isinstance(stream, ssl.SSLSocket):
            stream.do_handshake()
        asking = http.client.HTTPConnection(parts.hostname or "", parts.port)
        asking.sock = stream
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        asking.request("GET", target, headers={"Accept": "application/json", "Connection": "close"})
        answer = asking.getresponse()
        if answer.status != http.client.OK:
            raise RefusedFetch(f"status {answer.status}")
        body = answer.read(MOST_BYTES + 1)
    finally:
        watchdog.cancel()
        stream.close()
    if time.monotonic() >= deadline:
        raise RefusedFetch("too slow")
    if len(body) > MOST_BYTES:
        raise RefusedFetch("too large")
    return body


def _cut(stream: socket.socket) -> None:
    """End a connection that another thread is waiting on."""
    try:
        # The descriptor itself: a TLS socket would first say good-bye.
        socket.socket.shutdown(stream, socket.SHUT_RDWR)
    except OSError:
        return


def _left(deadline: float) -> float:
    return max(0.01, deadline - time.monotonic())


@lru_cache(1)
def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
