"""The demonstration's people: made at each start with new passwords; and an app on this machine in which they sign in.

Spec:    RFC 8252 (apps on a machine); https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html
Leaves:  everything that is checked to authentication and provider.
"""

from __future__ import annotations

import base64
import os
import secrets
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pyotp

from exchange.authentication.account import Account, account_of, add_account, extend_account
from exchange.authentication.registration import Client, register
from exchange.hub import Hub
from exchange.problems import Unavailable
from exchange.provider import people
from exchange.requester import Role, parse_registered_scopes
from exchange.settings import settings
from exchange.store.session import Transaction

APP: Final = "demo-app"
APP_PORT: Final = 8781
APP_SCOPE: Final = "openid fhirUser user/*.rs"
DAYS: Final = 30
WAIT_SECONDS: Final = 600
_WORDS: Final = "abcdefghijkmnpqrstuvwxyz23456789"


def make_people(hub: Hub, folder: Path, hospital: str) -> list[tuple[str, str, str]]:
    """A clinician and a privacy officer of a hospital: user name, role and this run's password of each."""
    scopes = parse_registered_scopes("user/*.rs")
    client = Client(APP, "App of the demonstration", hospital, "system", scopes or (), ("TREAT",), "demoapp-",
                    {"keys": []}, redirect_uris=(_back(),), is_public=True)  # fmt: skip
    hub.spine.operate(f"clients register {APP}", lambda tx: register(tx, client))
    wanted: tuple[tuple[str, str, Role, str], ...] = (
        ("medica", "Rosa Quispe (inventada)", "clinician", "physician"),
        ("privacidad", "Elsa Huamán (inventada)", "privacy-officer", "privacy-officer"),
    )
    made: list[tuple[str, str, str]] = []
    for username, name, role, function in wanted:
        password = "-".join("".join(secrets.choice(_WORDS) for _ in range(5)) for _ in range(3))
        account = (name, role, hospital, function)
        act = partial(_make, folder=folder, username=username, password=password, account=account)
        hub.spine.operate(f"people add {username}", act)
        made.append((username, role, password))
    return made


def code_of(folder: Path, username: str) -> str:
    """What the person's phone shows now. Raises: Unavailable - the demonstration has nobody of this name."""
    file = folder / "people" / f"{username}.totp"
    if not username.isalnum() or not file.exists():
        raise Unavailable("the demonstration has nobody of this name")
    return pyotp.TOTP(file.read_text()).now()


def sign_in(url: str) -> dict[str, Any]:
    """Play an app: print where to sign in, wait for the browser, redeem the code. Raises: Unavailable."""
    verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
    challenge = base64.urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("=")
    asked = {
        "response_type": "code", "client_id": APP, "redirect_uri": _back(), "scope": APP_SCOPE, "state": state,
        "aud": f"{url}/fhir", "code_challenge": challenge, "code_challenge_method": "S256",
    }  # fmt: skip
    print(f"Open in a browser on this machine:\n\n  {url}/auth/authorize?{urlencode(asked)}\n", flush=True)  # noqa: T201
    brought = _wait_for_browser()
    if brought.get("state") != state or brought.get("iss") != url or "code" not in brought:
        raise Unavailable(f"nobody was signed in: {brought.get('error', 'another sign-in')[:40]}")
    form = {"grant_type": "authorization_code", "code": brought["code"], "redirect_uri": _back(),
            "client_id": APP, "code_verifier": verifier}  # fmt: skip
    answer = httpx.post(f"{url}/auth/token", data=form, timeout=30, trust_env=False)
    if answer.is_error:
        raise Unavailable(f"the hub gave no token: status {answer.status_code}")
    found: dict[str, Any] = answer.json()
    return found


def _make(
    transaction: Transaction, folder: Path, username: str, password: str, account: tuple[str, Role, str, str]
) -> None:
    today = datetime.now(UTC).astimezone(settings().zone).date()
    until = today + timedelta(days=DAYS)
    secret = people.reset_person(transaction, username, until)
    if secret is None:
        _, secret = people.add_person(transaction, username, until)
    begun = people.begin_enrolment(transaction, username, secret, password)
    if begun is None:
        raise Unavailable("the demonstration's people could not be enrolled")
    subject, hashed, totp_secret = begun
    # Enrolled with the code of half a minute ago: the one that is shown now stays good for the first sign-in.
    code = pyotp.TOTP(totp_secret).at(int(time.time()) - people.STEP_SECONDS)
    if not people.finish_enrolment(transaction, subject, secret, hashed, totp_secret, code):
        raise Unavailable("the demonstration's people could not be enrolled")
    _keep(folder / "people" / f"{username}.totp", totp_secret)
    issuer, (name, role, hospital, function) = settings().openid_issuer_url, account
    found = account_of(transaction, issuer, subject)
    if found is None:
        add_account(transaction, Account(issuer, subject, name, role, hospital, today, until, (), function))
    else:
        extend_account(transaction, found.account_id, until)


def _keep(file: Path, secret: str) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(secret)


def _back() -> str:
    return f"http://127.0.0.1:{APP_PORT}/back"


def _wait_for_browser() -> dict[str, str]:
    brought: dict[str, str] = {}

    class Back(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Log nothing: the address holds the code."""

        def do_GET(self) -> None:
            parts = urlsplit(self.path[:8_000])
            if parts.path == "/back":
                brought.update(parse_qsl(parts.query))
            text = b"Listo: vuelva a la terminal. / Done: go back to the terminal."
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    try:
        server = HTTPServer(("127.0.0.1", APP_PORT), Back)
    except OSError:
        raise Unavailable(f"port {APP_PORT} is in use: the demonstration's app listens there") from None
    with server:
        server.timeout = 1
        deadline = time.monotonic() + WAIT_SECONDS
        while not brought and time.monotonic() < deadline:
            server.handle_request()
    return brought
