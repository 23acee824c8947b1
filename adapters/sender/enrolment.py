"""Enrolment: a one-time code from the region, a key made on the spot, and a proof that this adapter holds it.

Spec:    docs/adapters.md, "Enrolment"; https://www.crockford.com/base32.html; RFC 7800.
Leaves:  the key itself to client_key; judging the code to the hub, which alone can.
"""

from __future__ import annotations

import base64
import hashlib
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import httpx
import jwt
import msgspec

from adapters.sender.client_key import ClientKey, make_client_key
from adapters.sender.hub import is_same_place, way_out
from adapters.settings import Settings

PROOF_SECONDS: Final = 240
MOST_ANSWER_BYTES: Final = 100_000
_DIGITS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CHECKS: Final = _DIGITS + "*~$=U"
_CODE_LETTERS: Final = 25
_MISREAD: Final = str.maketrans("OIL", "011", " -\t\r\n")

REMEDIES: Final = {
    "A-322": "El código está mal copiado. Tiene cinco grupos de cinco letras o números: revíselo con la región.",
    "A-323": "El hub no aceptó el código: venció, ya se usó o es de otro. Pida otro código a la región.",
    "A-324": "Este hub no ofrece inscripción por código. Revise [hub] url, o entregue la salida de `adapter keys`.",
    "A-325": "No hay conexión con el hub, o no respondió. Vuelva a intentarlo con el mismo código.",
    "A-326": "Demasiados intentos. Espere unos minutos y vuelva a intentarlo con el mismo código.",
}


class EnrolmentRefused(Exception):  # noqa: N818 - an answer for the IT desk
    """Nobody was enrolled; `code` is a key of REMEDIES."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Enrolled(msgspec.Struct, frozen=True):
    """What the hub knows this adapter as."""

    client_id: str
    id_prefix: str
    organization: str = ""
    scope: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """A line of the site file that is not as the region registered it."""

    setting: str
    here: str
    there: str


def bare_code(typed: str) -> str:
    """The code that somebody typed, without its groups. Raises: EnrolmentRefused - it cannot be one."""
    code = typed.upper().translate(_MISREAD)
    if len(code) != _CODE_LETTERS or not set(code) <= set(_DIGITS):
        raise EnrolmentRefused("A-322")
    number = 0
    for letter in code[:-1]:
        number = number * len(_DIGITS) + _DIGITS.index(letter)
    if _CHECKS[number % len(_CHECKS)] != code[-1]:
        raise EnrolmentRefused("A-322")
    return code


def enrol(settings: Settings, typed: str) -> Enrolled:
    """Bring the public half of this adapter's key to the hub. Sent again with the same code it comes to the same.

    1. A mistyped code costs no try. 2. The key, made here where there is none; its private half never leaves.
    3. Where the hub takes codes: at its own place and nowhere else. 4. The proof is for that place, for minutes.
    Raises: EnrolmentRefused.
    """
    # 1. and 2.
    code = bare_code(typed)
    key = make_client_key(settings.data_folder)
    with httpx.Client(
        timeout=settings.timeout_seconds,
        headers={"Accept": "application/json", "Accept-Encoding": "identity"},
        follow_redirects=False,
        **way_out(settings.hub_url, settings.proxy),
    ) as http:
        try:
            # 3.
            endpoint = _endpoint(http, settings.hub_url)
            # 4.
            told = {"code": code, "jwks": {"keys": [key.public_jwk]}, "proof": _proof(key, code, endpoint)}
            response = http.post(endpoint, json=told)
        except httpx.HTTPError:
            raise EnrolmentRefused("A-325") from None
    if response.status_code == HTTPStatus.OK and len(response.content) <= MOST_ANSWER_BYTES:
        try:
            return msgspec.json.decode(response.content, type=Enrolled)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise EnrolmentRefused("A-325") from None
    raise EnrolmentRefused(_meaning(response))


def differences(settings: Settings, enrolled: Enrolled) -> list[Difference]:
    """What of the site file is not as the region registered it."""
    prefix = f"{settings.id_prefix.rstrip('-')}-"
    pairs = (
        ("client_id", settings.client_id, enrolled.client_id),
        ("id_prefix", prefix, enrolled.id_prefix),
    )
    return [Difference(setting, here, there) for setting, here, there in pairs if here != there]


def _endpoint(http: httpx.Client, hub_url: str) -> str:
    response = http.get(f"{hub_url}/.well-known/smart-configuration")
    try:
        found: Any = msgspec.json.decode(response.content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        found = None
    if response.status_code != HTTPStatus.OK or not isinstance(found, dict):
        raise EnrolmentRefused(
            "A-325" if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR else "A-324"
        )
    endpoint = found.get("chasqui_enrolment_endpoint")
    if not isinstance(endpoint, str) or not is_same_place(endpoint, hub_url):
        raise EnrolmentRefused("A-324")
    return endpoint


def _proof(key: ClientKey, code: str, endpoint: str) -> str:
    now = int(time.time())
    digest = base64.urlsafe_b64encode(hashlib.sha256(code.encode()).digest()).rstrip(b"=").decode()
    claims = {"aud": endpoint, "iat": now, "exp": now + PROOF_SECONDS, "code_sha256": digest}
    return jwt.encode(claims, key.private, algorithm="ES384", headers={"kid": key.kid})


def _meaning(response: httpx.Response) -> str:
    if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
        return "A-326"
    if response.status_code in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return "A-323"
    return "A-325"
