"""The certificate of a port, and whom it lets in.

Spec:    RFC 8446; RFC 9325 (TLS 1.2 or later); docs/adapters.md, "MLLP".
Leaves:  handshakes to the reader.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from adapters.settings.checker import Checker

if TYPE_CHECKING:
    import ssl

TLS_KEYS: Final = frozenset({"certificate", "key", "client_authorities", "required_names"})


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """The files of a port's certificate, and whom it lets in: those of these authorities, under these names."""

    certificate: Path
    key: Path
    client_authorities: Path | None = None
    required_names: tuple[str, ...] = ()


def server_context(settings: TlsSettings) -> ssl.SSLContext:
    """What the port shows and asks for, out of the files as they are now.

    Raises: OSError (ssl.SSLError is one) - a file cannot be read, or certificate and key are no pair.
    """
    import ssl  # noqa: PLC0415 - only a site with TLS pays for it

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.num_tickets = 0
    # A sealed key is refused: nobody is there to type its password when a PC starts again at night.
    context.load_cert_chain(settings.certificate, settings.key, password="")
    if settings.client_authorities is not None:
        context.load_verify_locations(settings.client_authorities)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def check_tls(checker: Checker) -> TlsSettings | None:
    """`[mllp_tls]`: files that can be used, and names that somebody proves."""
    if "mllp_tls" not in checker.tables:
        return None
    paths = {
        key: checker.file("mllp_tls", key, is_needed=key != "client_authorities")
        for key in ("certificate", "key", "client_authorities")
    }
    for name, path in paths.items():
        if path is not None and not path.is_file():
            checker.fault("A-111", f"mllp_tls.{name}", f"no existe el archivo de {name} en [mllp_tls]")
    names = checker.value("mllp_tls", "required_names") or []
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        checker.fault("A-111", "mllp_tls.required_names", 'required_names debe ser ["nombre", …]')
        names = []
    if names and paths["client_authorities"] is None:
        text = "required_names necesita client_authorities: sin ellas nadie muestra un certificado"
        checker.fault("A-111", "mllp_tls.required_names", text)
    certificate, key = paths["certificate"], paths["key"]
    if certificate is None or key is None:
        return None
    settings = TlsSettings(certificate, key, paths["client_authorities"], tuple(names))
    if all(path is None or path.is_file() for path in paths.values()):
        _check_files(checker, settings)
    return settings


def _check_files(checker: Checker, settings: TlsSettings) -> None:
    """Files that are there and cannot be used are found now, not when the first message comes."""
    try:
        server_context(settings)
    except OSError:
        text = (
            "los archivos de [mllp_tls] no sirven: certificate y key deben ser PEM y formar un par, key sin"
            " contraseña y legible para el adaptador, client_authorities un PEM de autoridades"
        )
        checker.fault("A-111", "mllp_tls", text)
