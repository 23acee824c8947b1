"""A Vault or OpenBao server with the Transit engine, on loopback: it really wraps, keeps versions, and can misbehave.

It follows https://openbao.org/api-docs/secret/transit/ for keys, encrypt, decrypt, rotate, config and trim.
"""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import json
import os
import secrets
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

DRIP_SECONDS = 0.2
OPERATOR = frozenset({"create", "read", "encrypt", "decrypt", "rotate", "config", "trim"})
SERVING = frozenset({"read", "encrypt", "decrypt"})


class RefusedError(Exception):
    def __init__(self, status: int, *errors: str) -> None:
        super().__init__(status)
        self.status, self.errors = status, errors


class Key:
    """One named key of the engine."""

    def __init__(self) -> None:
        self.versions = {1: secrets.token_bytes(32)}
        self.min_decryption = 1
        self.min_encryption = 0

    def encrypt(self, body: dict[str, Any]) -> dict[str, Any]:
        version = body.get("key_version") or max(self.versions)
        nonce = os.urandom(12)
        text, bound = _decoded(body, "plaintext"), _decoded(body, "associated_data")
        sealed = nonce + AESGCM(self.versions[version]).encrypt(nonce, text, bound)
        return {"ciphertext": f"vault:v{version}:{base64.b64encode(sealed).decode()}", "key_version": version}

    def decrypt(self, body: dict[str, Any]) -> dict[str, Any]:
        try:
            prefix, numbered, text = body["ciphertext"].split(":")
            version, sealed = int(numbered.removeprefix("v")), base64.b64decode(text, validate=True)
        except (KeyError, ValueError):
            raise RefusedError(400, "invalid ciphertext: no prefix") from None
        if prefix != "vault" or version < self.min_decryption:
            raise RefusedError(400, "ciphertext or signature version is disallowed by policy (too old)")
        if version not in self.versions:
            raise RefusedError(400, "invalid ciphertext: version is too new")
        try:
            opened = AESGCM(self.versions[version]).decrypt(
                sealed[:12], sealed[12:], _decoded(body, "associated_data")
            )
        except (InvalidTag, ValueError):
            raise RefusedError(400, "cipher: message authentication failed") from None
        return {"plaintext": base64.b64encode(opened).decode()}

    def rotate(self) -> None:
        self.versions[max(self.versions) + 1] = secrets.token_bytes(32)

    def configure(self, body: dict[str, Any]) -> None:
        decryption = body.get("min_decryption_version", self.min_decryption)
        encryption = body.get("min_encryption_version", self.min_encryption)
        if decryption > max(self.versions) or 0 < encryption < decryption:
            raise RefusedError(400, "cannot set min decryption version")
        self.min_decryption, self.min_encryption = decryption, encryption

    def trim(self, body: dict[str, Any]) -> None:
        least = body.get("min_available_version", 0)
        if not self.min_encryption or not self.min_decryption:
            raise RefusedError(400, "minimum available version cannot be set when a floor is not set")
        if not 0 < least <= min(self.min_encryption, self.min_decryption):
            raise RefusedError(400, "minimum available version cannot be higher than the floors")
        self.versions = {version: key for version, key in self.versions.items() if version >= least}

    def told(self) -> dict[str, Any]:
        return {
            "type": "aes256-gcm96", "deletion_allowed": False, "derived": False, "exportable": False,
            "keys": {str(version): 1442851412 for version in self.versions if version >= self.min_decryption},
            "min_decryption_version": self.min_decryption, "min_encryption_version": self.min_encryption,
            "latest_version": max(self.versions), "supports_encryption": True, "supports_decryption": True,
        }  # fmt: skip


class TransitServer:
    """`behaviour`: good, sealed, limited, broken, slow, drip, drip-head, oversized, truncated, text, list, deep,
    redirect; lies: other-plaintext, short-plaintext, no-plaintext, other-version, unopenable, exportable.

    `brief` is how many answers misbehave before it is good again; None: all of them. `policies` are the tokens' rights.
    """

    def __init__(self, folder: Path, *, is_tls: bool = True, port: int = 0) -> None:
        self.keys: dict[str, Key] = {}
        self.policies = {"operator": OPERATOR, "hub": SERVING}
        self.behaviour, self.brief = "good", None
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.stopped = threading.Event()
        self.lock = threading.Lock()
        self.ca_file = folder / "transit-ca.pem"
        self.token_file = folder / "transit-token"
        self.write_token("operator")
        server = self

        class Answering(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 20

            def do_GET(self) -> None:
                self._answer({})

            def do_POST(self) -> None:
                text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self._answer(json.loads(text or b"{}"))

            def _answer(self, body: dict[str, Any]) -> None:
                try:
                    server.answer(self, body)
                except (OSError, ssl.SSLError):
                    self.close_connection = True

            def log_message(self, *_: Any) -> None:
                return

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                return  # a client that does not trust the certificate hangs up

        self._http = Quiet(("127.0.0.1", port), Answering)
        if is_tls:
            certificate, private = _certificate()
            both = folder / "transit-server.pem"
            both.write_bytes(private + certificate)
            self.ca_file.write_bytes(certificate)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(both)
            self._http.socket = context.wrap_socket(
                self._http.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = self._http.server_address[1]
        self.url = f"{'https' if is_tls else 'http'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def environment(self) -> dict[str, str]:
        """The settings of a hub whose root lies here."""
        return {
            "EXCHANGE_ROOT_PROVIDER": "transit", "EXCHANGE_TRANSIT_URL": self.url,
            "EXCHANGE_TRANSIT_TOKEN_FILE": str(self.token_file), "EXCHANGE_TRANSIT_CA_FILE": str(self.ca_file),
        }  # fmt: skip

    def write_token(self, token: str) -> None:
        self.token_file.touch(mode=0o600)
        self.token_file.write_text(token + "\n")

    def misbehave(self, behaviour: str, brief: int | None = None) -> None:
        self.behaviour, self.brief = behaviour, brief

    def answer(self, to: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        with self.lock:
            self.asked.append(f"{to.command} {to.path}")
            self.headers.append(dict(to.headers))
            behaviour = self.behaviour
            if behaviour != "good" and self.brief is not None:
                self.brief -= 1
                if self.brief <= 0:
                    self.behaviour = "good"
            try:
                data = self._done(to, body, behaviour)
                status, told = (200, {"request_id": "1", "data": data}) if data is not None else (204, None)
            except RefusedError as refused:
                status, told = refused.status, {"errors": list(refused.errors)}
        if data_lies := told and status == 200 and told.get("data"):
            _lie(behaviour, data_lies)
        self._send(to, status, b"" if told is None else json.dumps(told).encode(), behaviour)

    def _done(
        self, to: BaseHTTPRequestHandler, body: dict[str, Any], behaviour: str
    ) -> dict[str, Any] | None:
        failing = {
            "sealed": (503, "Vault is sealed"),
            "limited": (429, "rate limit quota exceeded"),
            "broken": (500,),
        }
        if behaviour in failing:
            raise RefusedError(*failing[behaviour])
        parts = to.path.removeprefix("/v1/transit/").split("/")
        act = {"encrypt": "encrypt", "decrypt": "decrypt"}.get(parts[0]) or (
            parts[2] if len(parts) > 2 else "read" if to.command == "GET" else "create"
        )
        if act not in self.policies.get(to.headers.get("X-Vault-Token", ""), ()):
            raise RefusedError(403, "permission denied")
        if not to.path.startswith("/v1/transit/"):
            raise RefusedError(404)
        name = parts[1]
        if act == "create":
            self.keys.setdefault(name, Key())
            return self.keys[name].told()
        key = self.keys.get(name)
        if key is None:
            raise RefusedError(404 if act == "read" else 400)
        if act in ("encrypt", "decrypt"):
            return getattr(key, act)(body)
        if act == "rotate":
            key.rotate()
            return key.told()
        if act in ("config", "trim"):
            key.configure(body) if act == "config" else key.trim(body)
            return None
        return key.told()

    def _send(self, to: BaseHTTPRequestHandler, status: int, body: bytes, behaviour: str) -> None:
        if behaviour == "slow":
            self.stopped.wait(20)
            return
        if behaviour == "drip-head":
            to.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            self._drip(to)
            return
        if behaviour == "redirect":
            to.send_response(307)
            to.send_header("Location", f"{self.url}{to.path}?again")
            to.send_header("Content-Length", "0")
            to.end_headers()
            return
        body = {"text": b"keys: none", "list": b"[1]", "deep": b"[" * 60_000}.get(behaviour, body)
        to.send_response(status)
        to.send_header("Content-Type", "application/json")
        length = {"oversized": 10_000_000, "truncated": len(body) + 10, "drip": 1_000}.get(
            behaviour, len(body)
        )
        if status != 204:
            to.send_header("Content-Length", str(length))
        to.end_headers()
        if behaviour == "drip":
            self._drip(to)
        elif behaviour == "oversized":
            to.wfile.write(b" " * length)
        elif status != 204:
            to.wfile.write(body)
        if behaviour == "truncated":
            to.close_connection = True

    def _drip(self, to: BaseHTTPRequestHandler) -> None:
        until = time.monotonic() + 20
        while time.monotonic() < until and not self.stopped.wait(DRIP_SECONDS):
            to.wfile.write(b" ")
            to.wfile.flush()

    def close(self) -> None:
        self.stopped.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)


def _lie(behaviour: str, data: dict[str, Any]) -> None:
    """Change a good answer into one that only a lying or broken server gives."""
    if "plaintext" in data:
        told = {"other-plaintext": secrets.token_bytes(32), "short-plaintext": b"short"}.get(behaviour)
        if told is not None:
            data["plaintext"] = base64.b64encode(told).decode()
        if behaviour == "no-plaintext":
            data["plaintext"] = 7
    if "ciphertext" in data and behaviour == "other-version":
        data["ciphertext"] = data["ciphertext"].replace("vault:v", "vault:v9", 1)
    if "ciphertext" in data and behaviour == "unopenable":
        data["ciphertext"] = "vault:v1:" + base64.b64encode(os.urandom(60)).decode()
    if behaviour == "exportable" and "exportable" in data:
        data["exportable"] = True


def _decoded(body: dict[str, Any], name: str) -> bytes:
    try:
        return base64.b64decode(body.get(name, ""), validate=True)
    except ValueError:
        raise RefusedError(400, f"failed to base64-decode {name}") from None


@cache
def _certificate() -> tuple[bytes, bytes]:
    """A certificate of 127.0.0.1 that vouches for itself, and its private key."""
    key = ec.generate_private_key(ec.SECP256R1())
    named = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "transit")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder().subject_name(named).issuer_name(named).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    return (
        made.public_bytes(Encoding.PEM),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )


@contextmanager
def transit_server(folder: Path, **more: Any) -> Iterator[TransitServer]:
    """Serve until the block ends."""
    server = TransitServer(folder, **more)
    try:
        yield server
    finally:
        server.close()
