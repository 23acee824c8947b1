"""The public keys of clients: what a JWKS may say, and those that lie at an address of the client's own.

Spec:    RFC 7517; https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html#registering-a-client
Leaves:  the connection to jwks_fetch; which key signed to assertion.

Fetched keys are remembered by each process for at most five minutes. A fetch that fails changes nothing: what is
remembered counts until it is too old, and then nobody gets in.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from exchange.authentication.jwks_fetch import RefusedFetch, fetch_jwks
from exchange.problems import Invalid

LOG: Final = logging.getLogger("exchange.authentication.jwks")
MOST_KEYS: Final = 10
MOST_KID_LETTERS: Final = 200
MOST_KEY_LETTERS: Final = 8_000
PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
KEPT_SECONDS: Final = 300.0
FETCH_SECONDS: Final = 60.0
MOST_KEPT: Final = 1_000

Keys = tuple[dict[str, Any], ...]


def checked_keys(jwks: object) -> Keys:
    """The keys of a JWKS. Raises: Invalid - none, too many, no public EC or RSA key, a kid that stands twice."""
    keys = jwks.get("keys") if isinstance(jwks, dict) else None
    if not isinstance(keys, list) or not 1 <= len(keys) <= MOST_KEYS:
        raise Invalid(f"a JWKS has 1 to {MOST_KEYS} keys", "jwks")
    kids = set()
    for key in keys:
        kid = key.get("kid") if isinstance(key, dict) else None
        if not isinstance(kid, str) or not 0 < len(kid) <= MOST_KID_LETTERS or not kid.isprintable():
            raise Invalid("a key has a kid", "jwks")
        if key.get("kty") not in ("EC", "RSA"):
            raise Invalid("a key is EC or RSA", "jwks")
        if PRIVATE_MEMBERS & key.keys():
            raise Invalid("a JWKS holds public keys; this one holds a private key", "jwks")
        if len(str(key)) > MOST_KEY_LETTERS:
            raise Invalid("a key is longer than any key is", "jwks")
        kids.add(kid)
    if len(kids) != len(keys):
        raise Invalid("every key has a kid of its own", "jwks")
    return tuple(keys)


@dataclass(slots=True)
class _Kept:
    keys: Keys
    fetched_at: float
    tried_at: float
    failure: str


class FetchedKeys:
    """The keys that one process fetched, by address."""

    def __init__(self, fetch: Callable[[str], object] = fetch_jwks) -> None:
        self._fetch = fetch
        self._kept: dict[str, _Kept] = {}
        self._lock = threading.Lock()

    def keys(self, url: str) -> Keys:
        """The remembered keys of an address: none where they are too old."""
        kept = self._kept.get(url)
        return kept.keys if kept is not None and time.monotonic() - kept.fetched_at < KEPT_SECONDS else ()

    def failure(self, url: str) -> str:
        """Why the last fetch failed, for the audit log; "" where it did not."""
        kept = self._kept.get(url)
        return kept.failure if kept is not None else ""

    def look(self, url: str, kid: object) -> None:
        """Fetch the keys of an address where this key is not among those remembered, once a minute at most.

        No transaction may be open meanwhile: an address can keep the hub waiting.
        """
        # 1. Known: nothing to do.
        if any(key["kid"] == kid for key in self.keys(url)):
            return
        # 2. Asked a moment ago, by this request or another: whoever sends invented key ids makes no traffic.
        now = time.monotonic()
        with self._lock:
            kept = self._kept.get(url)
            if kept is not None and now - kept.tried_at < FETCH_SECONDS:
                return
            if kept is None:
                if len(self._kept) >= MOST_KEPT:
                    self._kept.clear()
                kept = self._kept[url] = _Kept((), -KEPT_SECONDS, now, "")
            kept.tried_at = now
        # 3. Fetch. What fails leaves what was there.
        try:
            keys = checked_keys(self._fetch(url))
        except RefusedFetch as refused:
            kept.failure = refused.reason
        except Invalid:
            kept.failure = "no set of public keys"
        else:
            kept.keys, kept.fetched_at, kept.failure = keys, time.monotonic(), ""
            return
        LOG.warning("W-310 a client's keys were not fetched: %s", kept.failure)


FETCHED: Final = FetchedKeys()
"""What this process fetched."""
