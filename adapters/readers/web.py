"""Answers of a facility's web server: whole, bounded in size and time, from the one place that was named.

Spec:    https://www.rfc-editor.org/rfc/rfc9110 (Retry-After, 10.2.3).
Leaves:  what an answer says to the mappers; signing in with a key to `backend_token`.
"""

from __future__ import annotations

import logging
import ssl
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import httpx

from adapters.readers.backend_token import BackendToken, TokenRefused
from adapters.settings.web import WebAccess

_log = logging.getLogger("adapters.readers")
_TRIES: Final = 3
_FIRST_WAIT_SECONDS: Final = 0.5
_LONGEST_WAIT_SECONDS: Final = 30.0
_MAX_SECRET_BYTES: Final = 20_000
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_BUSY: Final = frozenset({429, 500, 502, 503, 504})
_DENIED: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


class WebUnavailable(OSError):  # noqa: N818 - a state of the source, told to the IT desk
    """The server does not answer, or not what was asked: what was read is kept, the rest is tried again."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(0, f"{code} {text}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said: its body is whole and within bounds."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    url: str

    @property
    def media_type(self) -> str:
        """The media type without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class Web:
    """One server, asked by one thread. `wait` is the patience between two tries."""

    def __init__(self, access: WebAccess) -> None:
        self.access = access
        self._bearer = BackendToken(access) if access.client_id else None
        self._http: httpx.Client | None = None
        self.wait = threading.Event().wait

    def close(self) -> None:
        """Close every connection; the next request opens one again, with the files as they are then."""
        if self._http is not None:
            self._http.close()
            self._http = None

    def get(
        self, url: str, parameters: Sequence[tuple[str, str]] = (), *, accept: str, method: str = "GET",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:  # fmt: skip
        """One answer, asked for up to three times where the server is busy or away.

        1. Only the server that the site file names is asked, whatever an answer points to.
        2. Redirections are not followed, and a body beyond its bound or its time is not read to its end.
        3. An answer that lets nobody in is no empty answer.
        Raises: WebUnavailable.
        """
        # 1.
        self.require_own(url)
        pause = _FIRST_WAIT_SECONDS
        for attempt in range(_TRIES):
            try:
                # 2.
                with self._stream(method, url, parameters, accept, headers) as response:
                    body = b"".join(self.bounded(response))
                    answer = Answer(response.status_code, body, response.headers, str(response.url))
            except httpx.HTTPError:
                answer = None
            # 3.
            if answer is not None and answer.status in _DENIED:
                if self._bearer is not None and attempt == 0:
                    self._bearer.forget()
                    continue
                raise self._refused()
            if answer is not None and answer.status not in _BUSY:
                return answer
            if attempt + 1 < _TRIES:
                told = retry_after(answer.headers) if answer is not None else None
                self.wait(min(told if told is not None else pause, _LONGEST_WAIT_SECONDS))
                pause *= 4
        raise unavailable()

    @contextmanager
    def lines(self, url: str, *, accept: str, max_line_bytes: int) -> Iterator[tuple[int, Iterator[bytes]]]:
        """The status of an answer and its lines, as a stream; a line beyond its bound ends it.

        Raises: WebUnavailable.
        """
        self.require_own(url)
        try:
            with self._stream("GET", url, (), accept, None) as response:
                if response.status_code in _DENIED:
                    raise self._refused()
                yield response.status_code, _lines(response, max_line_bytes)
        except httpx.HTTPError:
            raise unavailable() from None

    def require_own(self, url: str) -> None:
        """Check that an address is the server's own. Raises: WebUnavailable."""
        if _origin(url) != _origin(self.access.url):
            _log.warning("A-604 the server points to another place: it is not followed")
            raise WebUnavailable("A-604", "el servidor de origen remite a otra dirección: no se sigue")

    def bounded(self, response: httpx.Response) -> Iterator[bytes]:
        """The pieces of a body. Raises: WebUnavailable - larger, or slower, than it may be."""
        _require_plain(response)
        size, until = 0, time.monotonic() + self.access.request_seconds
        for piece in response.iter_raw(65_536):
            size += len(piece)
            if size > self.access.max_answer_bytes:
                raise not_as_asked("too large")
            if time.monotonic() > until:
                raise unavailable()
            yield piece

    def _refused(self) -> WebUnavailable:
        _log.warning("A-602 the server does not let the adapter in")
        return WebUnavailable("A-602", "el servidor de origen no permite la lectura: revise la cuenta")

    @contextmanager
    def _stream(
        self, method: str, url: str, parameters: Sequence[tuple[str, str]], accept: str,
        headers: Mapping[str, str] | None,
    ) -> Iterator[httpx.Response]:  # fmt: skip
        client = self._client()
        told = {"Accept": accept, "Accept-Encoding": "identity", **(headers or {})}
        if self._bearer is not None:
            try:
                told["Authorization"] = f"Bearer {self._bearer.token(client)}"
            except TokenRefused:
                raise self._refused() from None
        with client.stream(method, url, params=list(parameters) or None, headers=told) as response:
            yield response

    def _client(self) -> httpx.Client:
        if self._http is None:
            access = self.access
            headers = {}
            auth = None
            if access.token_file is not None:
                headers["Authorization"] = f"Bearer {_secret(access.token_file)}"
            if access.password_file is not None:
                auth = httpx.BasicAuth(access.user, _secret(access.password_file))
            self._http = httpx.Client(
                timeout=httpx.Timeout(access.request_seconds, connect=min(access.request_seconds, 10.0)),
                headers=headers,
                auth=auth,
                follow_redirects=False,
                trust_env=urlsplit(access.url).hostname not in _LOOPBACK,
                verify=_trust(access) if access.url.startswith("https") else False,
            )
        return self._http


def unavailable() -> WebUnavailable:
    """The server is away or busy."""
    _log.warning("A-601 the server does not answer: trying again")
    return WebUnavailable("A-601", "el servidor de origen no responde")


def not_as_asked(what: str) -> WebUnavailable:
    """The server said something else than it was asked: too large, of another type, cut off."""
    _log.warning("A-603 the server's answer cannot be used: %s", what)
    return WebUnavailable("A-603", "el servidor de origen respondió algo que no se puede usar")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Retry-After in seconds, where it is a number; a date is not waited for."""
    try:
        return max(float(headers.get("retry-after", "")), 0.0)
    except ValueError:
        return None


def _require_plain(response: httpx.Response) -> None:
    """A packed body may be a thousand times what came: none was asked for. Raises: WebUnavailable."""
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise not_as_asked("packed")


def _lines(response: httpx.Response, max_line_bytes: int) -> Iterator[bytes]:
    _require_plain(response)
    held = b""
    for piece in response.iter_raw(65_536):
        *whole, held = (held + piece).split(b"\n")
        yield from whole
        if len(held) > max_line_bytes:
            raise not_as_asked("line too long")
    if held:
        yield held


def _origin(url: str) -> tuple[str, str | None, int | None]:
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return ("", None, None)
    return (parts.scheme, parts.hostname, port)


def _secret(path: object) -> str:
    with open(str(path), encoding="utf-8") as file:  # noqa: PTH123 - bounded
        return file.read(_MAX_SECRET_BYTES).strip()


def _trust(access: WebAccess) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(access.authorities) if access.authorities else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
