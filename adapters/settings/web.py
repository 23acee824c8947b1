"""How a web source of the facility is spoken to: its address, and who asks.

Leaves:  which kind of source it is to the file of that kind; asking to adapters.readers.web.

Secrets stand in files that only the adapter's user can read, never in the site file.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from adapters.settings.checker import Checker, is_safe_url

WEB_KEYS: Final = frozenset({
    "url", "user", "password_file", "token_file", "source_client_id", "key_file", "token_url", "source_scope",
    "authorities", "request_seconds", "max_answer_megabytes", "allow_plain", "allow_plain_reason",
})  # fmt: skip
_MEGABYTE: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class WebAccess:
    """One web source. At most one of `user`, `token_file` and `client_id` says who asks.

    Units:  request_seconds for one answer, whole; bytes as the name says.
    """

    url: str
    request_seconds: float
    max_answer_bytes: int
    user: str = ""
    password_file: Path | None = None
    token_file: Path | None = None
    client_id: str = ""
    key_file: Path | None = None
    token_url: str = ""
    scope: str = "system/*.rs"
    authorities: Path | None = None


def check_web(checker: Checker) -> WebAccess:
    """The keys of a web source in `[source]`.

    1. The address is https, or loopback, or in the clear for a reason that somebody gave.
    2. One way to sign in, whole.
    3. Every secret in a file that nobody else can read.
    """
    # 1.
    url = checker.text(
        "source", "url", _is_address, "escriba la dirección, como https://pacs.hospital/dicom-web"
    )
    url = url.rstrip("/")
    _check_plain(checker, url)
    user = checker.text("source", "user", bool, "escriba la cuenta", "")
    client_id = checker.text(
        "source", "source_client_id", bool, "escriba el client_id que dio el servidor", ""
    )
    files = {
        name: checker.file("source", name, is_needed=False)
        for name in ("password_file", "token_file", "key_file", "authorities")
    }
    # 2.
    ways = [bool(user), files["token_file"] is not None, bool(client_id)]
    if sum(ways) > 1:
        text = "elija una sola forma de entrar: user, token_file o source_client_id"
        checker.fault("A-146", "source.url", text)
    if bool(user) != (files["password_file"] is not None):
        checker.fault("A-146", "source.user", "user y password_file van juntos en [source]")
    if bool(client_id) != (files["key_file"] is not None):
        checker.fault(
            "A-146", "source.source_client_id", "source_client_id y key_file van juntos en [source]"
        )
    # 3.
    for name in ("password_file", "token_file", "key_file"):
        if (path := files[name]) is not None:
            _check_secret(checker, name, path)
    if (path := files["authorities"]) is not None and not path.is_file():
        checker.fault("A-146", "source.authorities", "no existe el archivo de authorities")
    return WebAccess(
        url=url,
        request_seconds=checker.number("source", "request_seconds", 60, 0.1, 3600),
        max_answer_bytes=int(checker.number("source", "max_answer_megabytes", 20, 1, 200) * _MEGABYTE),
        user=user,
        password_file=files["password_file"],
        token_file=files["token_file"],
        client_id=client_id,
        key_file=files["key_file"],
        token_url=checker.text("source", "token_url", is_safe_url, "debe empezar con https://", ""),
        scope=checker.text(
            "source", "source_scope", bool, "escriba los permisos que se piden", "system/*.rs"
        ),
        authorities=files["authorities"],
    )


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return (
            parts.scheme in {"http", "https"}
            and bool(parts.hostname)
            and not (parts.username or parts.password or parts.query or parts.fragment)
        )
    except ValueError:
        return False


def _check_plain(checker: Checker, url: str) -> None:
    if not url or is_safe_url(url):
        return
    reason = checker.value("source", "allow_plain_reason")
    if not checker.truth("source", "allow_plain", default=False):
        text = (
            "url empieza con http:// y sale de esta computadora: los datos viajarían a la vista. Use https://, o"
            " escriba allow_plain = true con su allow_plain_reason"
        )
        checker.fault("A-147", "source.url", text)
    elif not isinstance(reason, str) or not reason.strip():
        text = "allow_plain = true necesita allow_plain_reason: por qué aquí no hace falta TLS, y quién lo decidió"
        checker.fault("A-147", "source.allow_plain", text)


def _check_secret(checker: Checker, name: str, path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError:
        checker.fault("A-146", f"source.{name}", f"no se puede leer el archivo de {name}")
        return
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        text = f"otros pueden leer el archivo de {name}: ejecute chmod 600 sobre él"
        checker.fault("A-146", f"source.{name}", text)
