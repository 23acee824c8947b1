"""An app that people use, and the browser in which they do: what the tests of sign-in act with."""

from __future__ import annotations

import base64
import hashlib
import secrets
import uuid
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

from exchange.authentication.account import Account, add_account
from exchange.authentication.registration import Client, register
from exchange.demo.client import ASSERTION_TYPE, FhirClient, make_client_key
from exchange.requester import parse_registered_scopes
from exchange.settings import settings
from tests.passage.live_hub import LiveHub
from tests.sample.requester import HOSPITAL

BACK = "https://app.example.org/back"
SCOPES = "user/*.cruds patient/*.rs"


def today() -> date:
    return datetime.now(UTC).astimezone(settings().zone).date()


def challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def told(location: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(location).query, keep_blank_values=True))


def an_account(hub: LiveHub, issuer: str, subject: str = "", **more: Any) -> Account:
    """An account that lives for a month, of a clinician of the hospital unless told otherwise."""
    made: list[Account] = []
    wanted = {
        "issuer": issuer, "subject": subject or str(uuid.uuid4()), "name": "Rosa Quispe", "role": "clinician",
        "organization_id": HOSPITAL, "valid_from": today() - timedelta(days=1),
        "valid_until": today() + timedelta(days=30), "functional_role": "physician",
        "reference": "Practitioner/rosa",
    } | more  # fmt: skip
    hub.world.spine.operate("accounts add", lambda tx: made.append(add_account(tx, Account(**wanted))))
    return made[0]


@dataclass
class App:
    """A registered app. `verifier` is of the latest request."""

    hub: LiveHub
    client_id: str
    system: FhirClient | None = None
    verifier: str = ""
    asked: dict[str, str] = field(default_factory=dict)

    def request(self, **changed: Any) -> dict[str, str]:
        """The parameters of an authorization request; `...` leaves one out."""
        self.verifier = secrets.token_urlsafe(48)
        made = {
            "response_type": "code", "client_id": self.client_id, "redirect_uri": BACK, "scope": "user/*.rs",
            "state": secrets.token_urlsafe(16), "aud": self.hub.fhir, "code_challenge": challenge(self.verifier),
            "code_challenge_method": "S256",
        } | changed  # fmt: skip
        self.asked = {name: value for name, value in made.items() if value is not ...}
        return self.asked

    def redeem(self, code: str, **changed: Any) -> httpx.Response:
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "code_verifier": self.verifier,
        }  # fmt: skip
        if self.system is None:
            form["client_id"] = self.client_id
        else:
            form |= {"client_assertion_type": ASSERTION_TYPE, "client_assertion": self.system.assertion()}
        sent = {name: value for name, value in (form | changed).items() if value is not ...}
        return self.hub.http("POST", "/auth/token", data=sent)


def an_app(hub: LiveHub, *, is_public: bool = True, scopes: str = SCOPES, **more: Any) -> App:
    """A public app, or one with a key."""
    client_id = f"app-{uuid.uuid4().hex[:8]}"
    key = hub.folder / f"{client_id}.pem"
    granted = parse_registered_scopes(scopes)
    assert granted is not None
    told = {
        "purposes": ("TREAT",), "id_prefix": f"z{uuid.uuid4().hex[:8]}-", "redirect_uris": (BACK,),
        "jwks": {"keys": []} if is_public else make_client_key(key),
    } | more  # fmt: skip
    client = Client(client_id, client_id, HOSPITAL, "system", granted, is_public=is_public, **told)
    hub.world.spine.operate("clients register", lambda tx: register(tx, client))
    if not is_public:
        hub.clients[client_id] = FhirClient(hub.url, client_id, key, scopes)
    return App(hub, client_id, hub.clients.get(client_id))


class Browser:
    """Cookies, and no redirect followed unseen."""

    def __init__(self, hub: LiveHub) -> None:
        self.hub = hub
        self.http = httpx.Client(trust_env=False, timeout=30, follow_redirects=False)

    def authorize(self, asked: Any) -> httpx.Response:
        return self.http.get(f"{self.hub.url}/auth/authorize", params=asked)

    def callback(self, brought: Any) -> httpx.Response:
        return self.http.get(f"{self.hub.url}/auth/callback", params=brought)

    def sign_in(self, app: App, provider: Any, subject: str, **asked: Any) -> httpx.Response:
        """Begin at the app, sign in at a simulated provider, come back: the hub's answer to the browser."""
        begun = self.authorize(app.request(**asked))
        assert begun.status_code == 303, begun.text
        return self.callback(provider.authorize(begun.headers["location"], subject))

    def close(self) -> None:
        self.http.close()


def bearer(granted: httpx.Response) -> dict[str, str]:
    assert granted.status_code == 200, granted.text
    return {"Authorization": f"Bearer {granted.json()['access_token']}"}


def descriptions(hub: LiveHub) -> list[str]:
    """What the audit log says of sign-ins and their tokens, oldest first."""
    found = [each["outcomeDesc"] for each in hub.world.events()]
    return [each for each in found if "sign" in each or "token" in each]
