"""An OpenID Connect provider of somebody else's, on loopback, that can be told to misbehave."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

CLIENT_ID = "chasqui"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@dataclass
class OpenIdProvider:
    """The simulator. What tests set is reset by `behave`."""

    issuer: str = ""
    rsa: Any = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))
    ec: Any = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    stranger: Any = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    forms: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.behave()

    def behave(self) -> None:
        self.algorithm = "RS256"
        self.claims: dict[str, Any] = {}
        self.header: dict[str, Any] = {}
        self.metadata: dict[str, Any] = {}
        self.key: Any = None
        self.forge = ""
        self.iss: str | None = self.issuer
        self.slow_seconds = 0.0
        self.huge = False
        self.redirect = ""
        self.reuse = False
        self.drip = False

    def authorize(self, location: str, subject: str = "person-1", **changed: Any) -> dict[str, str]:
        """What a browser brings back from a person who signed in: the parameters of the callback."""
        asked = dict(parse_qsl(urlsplit(location).query))
        assert location.startswith(f"{self.issuer}/authorize?"), location
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked | {"subject": subject}
        back = {"code": code, "state": asked["state"]} | ({"iss": self.iss} if self.iss is not None else {})
        return {name: value for name, value in (back | changed).items() if value is not ...}

    def document(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer, "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token", "jwks_uri": f"{self.issuer}/jwks",
            "authorization_response_iss_parameter_supported": True,
        } | self.metadata  # fmt: skip

    def jwks(self) -> dict[str, Any]:
        return {"keys": [
            json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.rsa.public_key())) | {"kid": "rsa", "use": "sig"},
            json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.ec.public_key())) | {"kid": "ec", "use": "sig"},
        ]}  # fmt: skip

    def tokens(self, form: dict[str, str]) -> dict[str, Any] | None:
        asked = self.codes.get(form["code"]) if self.reuse else self.codes.pop(form["code"], None)
        if asked is None:
            return None
        challenge = b64(hashlib.sha256(form["code_verifier"].encode()).digest())
        assert (challenge, form["redirect_uri"]) == (asked["code_challenge"], asked["redirect_uri"])
        now, access_token = int(time.time()), "opaque"
        claims = {
            "iss": self.issuer, "sub": asked["subject"], "aud": CLIENT_ID, "exp": now + 60, "iat": now,
            "nonce": asked["nonce"], "at_hash": b64(hashlib.sha256(access_token.encode()).digest()[:16]),
        } | self.claims  # fmt: skip
        claims = {name: value for name, value in claims.items() if value is not ...}
        return {"access_token": access_token, "token_type": "Bearer", "id_token": self.sign(claims)}

    def sign(self, claims: dict[str, Any]) -> str:
        head = {"alg": "none" if self.forge == "none" else "HS256", "kid": "rsa"}
        text = f"{b64(json.dumps(head).encode())}.{b64(json.dumps(claims).encode())}"
        if self.forge == "none":
            return f"{text}."
        if self.forge == "HS256":
            public = self.rsa.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            return f"{text}.{b64(hmac.new(public, text.encode(), hashlib.sha256).digest())}"
        is_ec = self.algorithm.startswith("ES")
        key = self.key or (self.ec if is_ec else self.rsa)
        header = {"kid": "ec" if is_ec else "rsa"} | self.header
        return jwt.encode(claims, key, algorithm=self.algorithm, headers=header)


@contextmanager
def openid_provider() -> Iterator[OpenIdProvider]:
    """Serve the simulator until the block ends."""
    provider = OpenIdProvider()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            found = {"/.well-known/openid-configuration": provider.document, "/jwks": provider.jwks}.get(path)
            provider.requests.append(path)
            self.answer(found() if found else None)

        def do_POST(self) -> None:
            provider.requests.append(self.path)
            text = self.rfile.read(int(self.headers["content-length"])).decode()
            form = {name: values[0] for name, values in parse_qs(text).items()}
            provider.forms.append(form | {"authorization": self.headers.get("authorization", "")})
            if provider.redirect:
                self.send_response(307)
                self.send_header("Location", provider.redirect)
                self.end_headers()
                return
            time.sleep(provider.slow_seconds)
            self.answer(provider.tokens(form))

        def answer(self, found: dict[str, Any] | None) -> None:
            if found is not None and provider.huge:
                found = found | {"padding": "x" * 1_000_000}
            body = json.dumps(found or {"error": "invalid_grant"}).encode()
            try:
                self.send_response(200 if found is not None else 400)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if provider.drip and self.command == "POST":
                    for each in body:
                        self.wfile.write(bytes([each]))
                        time.sleep(0.2)
                else:
                    self.wfile.write(body)
            except OSError:
                pass  # the hub does not wait for the end

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    provider.issuer = f"http://127.0.0.1:{server.server_port}"
    provider.behave()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def query(parameters: dict[str, str]) -> str:
    return urlencode(parameters)
