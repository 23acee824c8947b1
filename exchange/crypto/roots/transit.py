"""A root key in the Transit engine of Vault or OpenBao: the hub sends keys to be wrapped, and never sees what wraps them.

Spec:    https://openbao.org/api-docs/secret/transit/; RFC 9110.
Leaves:  issuing and renewing the hub's token to the agent that writes its file; policies to docs/keys.md.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from exchange.crypto.roots.private_file import read_private
from exchange.problems import SealBroken, Unavailable

MOST_BYTES: Final = 64 * 1024
MOST_SECONDS: Final = 5.0
PAUSE_SECONDS: Final = 0.2
TRIES: Final = 3
_WRAPPED: Final = re.compile(r"vault:v([1-9][0-9]{0,4}):[A-Za-z0-9+/]{16,1024}={0,2}", re.ASCII)
_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,4096}", re.ASCII)
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_KIND: Final = "aes256-gcm96"
_DONE: Final = frozenset({200, 204})
_BRIEF: Final = frozenset({412, 429, 500, 502, 504})
"""Statuses that a later try may cure. 503 is a sealed server: an operator's matter."""


class TransitRoot:
    """A named key of the engine. Each call is bounded in size and time as a whole, retries included."""

    name = "transit"

    def __init__(
        self,
        url: str,
        token_file: Path,
        key_name: str,
        *,
        mount: str,
        namespace: str | None = None,
        ca_file: Path | None = None,
        is_demo: bool = False,
    ) -> None:
        self._address = f"{_server(url, is_demo=is_demo)}/v1/{mount}"
        self._token_file = token_file
        self._key_name = key_name
        self._namespace = namespace
        self._trust = _trust(ca_file)

    def newest(self) -> int:
        """The newest version; 0 where the engine has no such key."""
        found = self._key()
        return max((int(each) for each in found["keys"]), default=0) if found else 0

    def versions(self) -> list[int]:
        """Those that are still there and may open, the oldest first."""
        return sorted(int(each) for each in self._key().get("keys", ()))

    def wrap(self, key: bytes, bound_to: bytes) -> tuple[int, bytes]:
        """A key wrapped under the newest version. The engine's text names the version."""
        told = self._ask(
            "POST", f"encrypt/{self._key_name}", _encoded(plaintext=key, associated_data=bound_to)
        )
        wrapped = told.get("ciphertext")
        found = _WRAPPED.fullmatch(wrapped) if isinstance(wrapped, str) else None
        if found is None:
            raise Unavailable("the key server's answer is none of Transit's")
        return int(found[1]), found[0].encode()

    def unwrap(self, version: int, wrapped: bytes, bound_to: bytes) -> bytes:
        """The key again. Raises: SealBroken - it is of another version, or the engine does not open it."""
        found = _WRAPPED.fullmatch(wrapped.decode("ascii", errors="replace"))
        if found is None or int(found[1]) != version:
            raise SealBroken("the root key does not open a hub key: it was wrapped otherwise")
        body = {"ciphertext": found[0], **_encoded(associated_data=bound_to)}
        told = self._ask(
            "POST", f"decrypt/{self._key_name}", body, what="the root key does not open a hub key"
        )
        try:
            return base64.b64decode(told.get("plaintext", ""), validate=True)
        except (TypeError, ValueError, binascii.Error):
            raise Unavailable("the key server's answer is none of Transit's") from None

    def rotate(self) -> int:
        """Make a new version, or the key itself. Not tried again: it might have been made before the answer was lost."""
        if self.newest() == 0:
            self._ask("POST", f"keys/{self._key_name}", {"type": _KIND}, tries=1)
        else:
            self._ask("POST", f"keys/{self._key_name}/rotate", {}, tries=1)
        return self.newest()

    def destroy(self, version: int) -> None:
        """Destroy a version and all before it: the engine trims from the oldest on.

        Raises: SealBroken - it is the newest: nothing would open.
        """
        found = self._key()
        newest = max((int(each) for each in found["keys"]), default=0)
        if version >= newest:
            raise SealBroken("the newest version of the root is not destroyed")
        # The engine trims below both floors, and refuses where one is not set.
        floors = {"min_decryption_version": version + 1, "min_encryption_version": version + 1}
        self._ask("POST", f"keys/{self._key_name}/config", floors)
        self._ask("POST", f"keys/{self._key_name}/trim", {"min_available_version": version + 1})

    def _key(self) -> dict[str, Any]:
        """What the engine says of the key; nothing where there is none."""
        found = self._ask("GET", f"keys/{self._key_name}", None, is_absent_good=True)
        if found and (found.get("type") != _KIND or found.get("derived") or found.get("exportable")):
            raise SealBroken(f"the key server's key must be {_KIND}, not derived, not exportable")
        if found and not (
            isinstance(found.get("keys"), dict) and all(each.isdecimal() for each in found["keys"])
        ):
            raise Unavailable("the key server's answer is none of Transit's")
        return found

    def _ask(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None,
        *,
        tries: int = TRIES,
        what: str = "the key server refuses what it was asked",
        is_absent_good: bool = False,
    ) -> dict[str, Any]:
        """What the engine answers.

        1. The token is read at each call: whoever renews it writes the file.
        2. A loop of its own, in a thread of its own, bounds name, connection, head and body together.
        3. The status decides; the body of a refusal is never repeated.
        4. The answer is an object, or none of Transit's.
        """
        # 1.
        token = read_private(self._token_file, "the key server's token file").strip()
        if not _TOKEN.fullmatch(token):
            raise SealBroken("the key server's token file holds no token")
        # 2.
        try:
            with ThreadPoolExecutor(1) as alone:
                asked = self._asked(method, f"{self._address}/{path}", body, token, tries)
                status, text = alone.submit(asyncio.run, asked).result()
        except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, OSError) as failed:
            raise Unavailable(f"the key server does not answer ({type(failed).__name__})") from None
        # 3.
        if status == 404 and is_absent_good:  # noqa: PLR2004
            return {}
        if status not in _DONE:
            raise _problem(status, what)
        # 4.
        try:
            told = json.loads(text or b"{}")
        except (ValueError, RecursionError):
            told = None
        data = told.get("data", {}) if isinstance(told, dict) else None
        if data is None and isinstance(told, dict):
            data = {}
        if not isinstance(data, dict):
            raise Unavailable("the key server's answer is none of Transit's")
        return data

    async def _asked(
        self, method: str, url: str, body: dict[str, Any] | None, token: str, tries: int
    ) -> tuple[int, bytes]:
        headers = {"X-Vault-Token": token, "X-Vault-Request": "true", "Accept-Encoding": "identity"}
        if self._namespace:
            headers["X-Vault-Namespace"] = self._namespace
        async with (
            asyncio.timeout(MOST_SECONDS),
            httpx.AsyncClient(
                verify=self._trust,
                timeout=MOST_SECONDS,
                follow_redirects=False,
                trust_env=False,
                headers=headers,
            ) as client,
        ):
            for attempt in range(1, tries + 1):
                try:
                    status, text = await _answer(client, method, url, body)
                except httpx.TransportError:
                    if attempt == tries:
                        raise
                else:
                    if status not in _BRIEF or attempt == tries:
                        return status, text
                await asyncio.sleep(PAUSE_SECONDS * attempt)
        raise AssertionError("the last try returns or raises")  # pragma: no cover


async def _answer(
    client: httpx.AsyncClient, method: str, url: str, body: dict[str, Any] | None
) -> tuple[int, bytes]:
    parts, size = [], 0
    async with client.stream(method, url, json=body) as answer:
        async for part in answer.aiter_raw():
            size += len(part)
            if size > MOST_BYTES:
                raise Unavailable("the key server answers more than a key needs")
            parts.append(part)
    return answer.status_code, b"".join(parts)


def _problem(status: int, what: str) -> SealBroken | Unavailable:
    if status == 400:  # noqa: PLR2004
        return SealBroken(what)
    words = {
        403: "the key server refuses the hub's token: look at its policy and its end",
        404: "the key server has no such key or engine",
        429: "the key server is asked too often",
        503: "the key server is sealed or in maintenance",
    }
    return Unavailable(words.get(status, f"the key server answers with status {status}"))


def _server(url: str, *, is_demo: bool) -> str:
    """The server's address: https, or http to this machine in a demonstration. Raises: SealBroken."""
    try:
        parts = urlsplit(url)
        has_port = parts.port is None or parts.port > 0
    except ValueError:
        parts, has_port = urlsplit(""), False
    is_local = is_demo and parts.hostname in _LOOPBACK
    is_plain = not (parts.query or parts.fragment or "@" in parts.netloc) and parts.path in ("", "/")
    is_written_plainly = url.isascii() and url.isprintable() and " " not in url
    if not (parts.hostname and has_port and is_plain and is_written_plainly):
        raise SealBroken("EXCHANGE_TRANSIT_URL is no address such as https://vault:8200")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_local):
        raise SealBroken("EXCHANGE_TRANSIT_URL must begin with https: keys travel there")
    return f"{parts.scheme}://{parts.netloc}"


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except (OSError, ssl.SSLError):
        raise SealBroken("EXCHANGE_TRANSIT_CA_FILE holds no certificates that can be read") from None


def _encoded(**values: bytes) -> dict[str, str]:
    return {name: base64.b64encode(value).decode() for name, value in values.items()}
