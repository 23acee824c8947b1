"""TLS at the port: our certificate, the authorities and names of those who may send, and when it expires.

Spec:    RFC 8446; RFC 9325 (TLS 1.2 or later); RFC 6125, 6.4.4 (names in subjectAltName only).
Leaves:  which sender a certificate may speak for to the rules of the site.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from adapters.settings.mllp_tls import TlsSettings, server_context

_log = logging.getLogger("adapters.mllp")
_HANDSHAKE_SECONDS: Final = 10.0
_MAX_CERTIFICATE_BYTES: Final = 1_000_000


class NotLetIn(Exception):  # noqa: N818 - a refusal with a code, told in the log
    """A peer that may not connect."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code} {text}")
        self.code = code
        self.text = text


class Door:
    """Lets in who proves a name; reads its own certificate anew when the files change.

    Raises: OSError (ssl.SSLError is one) - the files cannot be used.
    """

    def __init__(self, settings: TlsSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._stamp = self._read_stamp()
        self._context = server_context(settings)

    def enter(self, connection: socket.socket) -> tuple[ssl.SSLSocket, frozenset[str]]:
        """Make a connection a secured one; the names that the peer has proved.

        1. The whole handshake has one deadline, however slowly its bytes come.
        2. Where authorities are given, OpenSSL has verified the peer's certificate against them.
        3. Where names are required, one of them must stand in that certificate's subjectAltName.

        Raises: NotLetIn.
        """
        # 1.
        secured = self._current().wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        try:
            secured.settimeout(_HANDSHAKE_SECONDS)
            # 2.
            secured.do_handshake()
        except (OSError, ValueError) as error:
            secured.close()
            reason = getattr(error, "reason", None) or type(error).__name__
            raise NotLetIn("A-217", f"TLS handshake failed ({reason})") from None
        # 3.
        names = frozenset(_names(secured))
        required = frozenset(name.lower() for name in self._settings.required_names)
        if required and not required & names:
            secured.close()
            raise NotLetIn("A-218", "the certificate has none of the required names")
        return secured, names

    def _current(self) -> ssl.SSLContext:
        """The context of the files as they are now; the one before where the new ones cannot be used."""
        with self._lock:
            with suppress(OSError):
                stamp = self._read_stamp()
                if stamp != self._stamp:
                    self._stamp = stamp
                    try:
                        self._context = server_context(self._settings)
                    except OSError:
                        _log.error("A-219 changed certificate files cannot be used: the ones before stay")
            return self._context

    def _read_stamp(self) -> tuple[tuple[int, int, int], ...]:
        own = self._settings
        paths = [path for path in (own.certificate, own.key, own.client_authorities) if path is not None]
        return tuple(
            (stat.st_ino, stat.st_mtime_ns, stat.st_size) for path in paths for stat in [path.stat()]
        )


def certificate_expires_at(path: Path) -> datetime:
    """When a certificate ends: the first of its file, which is our own.

    Raises: OSError - it cannot be read; ValueError - it is no certificate.
    """
    from cryptography import x509  # noqa: PLC0415 - only a site with TLS pays for it

    with path.open("rb") as file:
        content = file.read(_MAX_CERTIFICATE_BYTES)
    return x509.load_pem_x509_certificate(content).not_valid_after_utc


def _names(secured: ssl.SSLSocket) -> list[str]:
    certificate = secured.getpeercert() or {}
    return [str(entry[1]).lower() for entry in certificate.get("subjectAltName", ())]
