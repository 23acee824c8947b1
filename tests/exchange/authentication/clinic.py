"""A registered client with keys of several kinds, and everything that it could forge."""

from __future__ import annotations

import base64
import json
import time
import uuid
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from exchange.demo.client import ASSERTION_TYPE
from tests.sample.requester import POST

SCOPE = "system/*.cruds"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def raw(header: object, claims: object, signature: bytes = b"") -> str:
    return ".".join((b64(json.dumps(header).encode()), b64(json.dumps(claims).encode()), b64(signature)))


class Clinic:
    """One client of a live hub; `registered` changes what its registration says."""

    def __init__(self, live, *, scope: str = SCOPE, **registered: Any) -> None:
        self.live = live
        self.id = f"clinic-{uuid.uuid4().hex[:8]}"
        self.prefix = f"z{uuid.uuid4().hex[:8]}-"
        self.ec = ec.generate_private_key(ec.SECP384R1())
        self.rsa = rsa.generate_private_key(65537, 2048)
        self.small = rsa.generate_private_key(65537, 1024)
        self.p256 = ec.generate_private_key(ec.SECP256R1())
        keys = [
            self.jwk(self.ec, "ec", jwt.algorithms.ECAlgorithm), self.jwk(self.rsa, "rsa", jwt.algorithms.RSAAlgorithm),
            self.jwk(self.small, "small", jwt.algorithms.RSAAlgorithm), self.jwk(self.p256, "p256", jwt.algorithms.ECAlgorithm),
        ]  # fmt: skip
        self.scope = scope
        self.registered = {
            "jwks": {"keys": keys}, "purposes": ("TREAT", "PUBHLTH"), "id_prefix": self.prefix,
        } | registered  # fmt: skip
        self.register()

    def register(self, **changed: Any) -> None:
        self.registered |= changed
        told = dict(self.registered)
        self.live.enter(self.id, told.pop("organization", POST), told.pop("scope", self.scope), **told)

    @staticmethod
    def jwk(key, kid, algorithm=jwt.algorithms.ECAlgorithm) -> dict:
        return json.loads(algorithm.to_jwk(key.public_key())) | {"kid": kid}

    def claims(self, **changed) -> dict:
        now = int(time.time())
        made = {
            "iss": self.id, "sub": self.id, "aud": f"{self.live.url}/auth/token", "jti": str(uuid.uuid4()), "iat": now, "exp": now + 120,
        } | changed  # fmt: skip
        return {name: value for name, value in made.items() if value is not ...}

    def assertion(self, key=None, algorithm="ES384", kid="ec", headers=None, **changed) -> str:
        return jwt.encode(
            self.claims(**changed),
            key or self.ec,
            algorithm=algorithm,
            headers={"kid": kid} | (headers or {}),
        )

    def ask(self, assertion: str, scope: str = "system/*.rs", **form) -> httpx.Response:
        told = {"grant_type": "client_credentials", "scope": scope}
        return self.post("/auth/token", assertion, **told | form)

    def post(self, path: str, assertion: str | None = None, **form) -> httpx.Response:
        """A form with this client's assertion."""
        proof = {
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": self.assertion() if assertion is None else assertion,
        }
        return self.live.http("POST", path, data=proof | form)

    def token(self, scope: str = "system/*.rs", **changed) -> str:
        answer = self.ask(self.assertion(**changed), scope)
        assert answer.status_code == 200, answer.text
        return answer.json()["access_token"]

    def get(self, path: str, token: str) -> httpx.Response:
        return self.live.http("GET", f"/fhir/{path}", headers={"Authorization": f"Bearer {token}"})


def refused(answer, status=401, error="invalid_client") -> None:
    assert (answer.status_code, answer.json()) == (status, {"error": error})
    assert answer.headers["cache-control"] == "no-store"
