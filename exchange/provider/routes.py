"""The provider's addresses, below /provider, in a demonstration alone.

Spec:    https://openid.net/specs/openid-connect-core-1_0.html#CodeFlowAuth; RFC 9207
Leaves:  who is who to people; codes and tokens to codes.

A form carries what was asked, sealed to a cookie of the browser that was shown it: it cannot be sent from another page,
nor changed, nor used later.
"""

from __future__ import annotations

import re
import secrets
import time
from typing import Any, Final
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from exchange.authentication.sign_in import callback_url, with_query
from exchange.authentication.signing_key import signing_key
from exchange.crypto.page_token import open_token, seal_token
from exchange.problems import Invalid, NotSupported, Unavailable
from exchange.provider import people
from exchange.provider.codes import KEY_PURPOSE, make_provider_code, provider_tokens
from exchange.provider.pages import page
from exchange.request import Request as Asked
from exchange.rest.body import Body
from exchange.settings import settings
from exchange.store.session import Store

PAGE_SECONDS: Final = 600
MOST_FORM_BYTES: Final = 16_384
MOST_FIELDS: Final = 20
REFUSED: Final = 403
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_\-]{43}", re.ASCII)
_WORD: Final = re.compile(r"[A-Za-z0-9_.~\-]{8,200}", re.ASCII)

_router: Final = APIRouter(prefix="/provider", tags=["open"])


def provider_router() -> APIRouter:
    """The provider's routes. Raises: Unavailable - a production hub has none: its people are real."""
    if settings().mode != "demo":
        raise Unavailable("the demonstration's identity provider does not run in production mode")
    return _router


@_router.get("/.well-known/openid-configuration")
def configuration() -> Response:
    """The provider's metadata; open to everybody."""
    issuer = settings().openid_issuer_url
    return JSONResponse(
        {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/authorize",
            "token_endpoint": f"{issuer}/token",
            "jwks_uri": f"{issuer}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": ["openid"],
            "token_endpoint_auth_methods_supported": ["none"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        }
    )


@_router.get("/jwks")
def keys(request: Request) -> Response:
    """The provider's public keys; open to everybody."""
    with _store(request).transaction() as transaction:
        key = signing_key(transaction, KEY_PURPOSE)
        transaction.commit()
    return JSONResponse({"keys": [key.public]})


@_router.get("/authorize")
def authorize(request: Request) -> Response:
    """The page on which a person signs in; open to everybody."""
    told = _fields(request.url.query)
    asked = [told.get(each, "") for each in ("state", "nonce", "code_challenge")]
    is_good = (
        (told.get("response_type"), told.get("client_id"), told.get("redirect_uri"))
        == ("code", settings().openid_client_id, callback_url())
        and "openid" in told.get("scope", "").split(" ")
        and told.get("code_challenge_method") == "S256"
        and all(map(_WORD.fullmatch, asked[:2]))
        and _CHALLENGE.fullmatch(asked[2])
    )
    if not is_good:
        return page("done", 400, is_done=False)
    return _with_form(request, "sign_in", asked)


@_router.post("/authorize")
def sign_in(request: Request, body: Body) -> Response:
    """A person signs in; open to everybody, since password and code are the proof."""
    told = _form(body)
    asked = _carried(request, "sign_in", told)
    if asked is None:
        return page("done", 400, is_done=False)
    state, nonce, challenge = asked
    with _store(request).transaction() as transaction:
        subject, reason = people.sign_in(
            transaction, told.get("username", ""), told.get("password", ""), told.get("code", "")
        )
        code = make_provider_code(transaction, subject, nonce, challenge) if subject else ""
        transaction.commit()
    if subject is None:
        _note(request, reason)
        return page("sign_in", REFUSED, is_refused=True, request=told["request"])
    answer = {"code": code, "state": state, "iss": settings().openid_issuer_url}
    return page("continue", location=with_query(callback_url(), answer))


@_router.post("/token")
def token(request: Request, body: Body) -> Response:
    """An ID token for a code; open to everybody, since code and verifier are the proof."""
    told = _form(body)
    wanted = ("authorization_code", settings().openid_client_id, callback_url())
    tokens = None
    if (told.get("grant_type"), told.get("client_id"), told.get("redirect_uri")) == wanted:
        with _store(request).transaction() as transaction:
            tokens = provider_tokens(transaction, told.get("code", ""), told.get("code_verifier", ""))
            transaction.commit()
    if tokens is None:
        return JSONResponse({"error": "invalid_grant"}, 400, headers={"Cache-Control": "no-store"})
    return JSONResponse(tokens, headers={"Cache-Control": "no-store"})


@_router.get("/enrol")
def enrolment(request: Request) -> Response:
    """The page on which a new person begins; open to everybody."""
    return _with_form(request, "enrol", [])


@_router.post("/enrol")
def enrol(request: Request, body: Body) -> Response:
    """A new person shows the secret and chooses a password; open to everybody, since the secret is the proof."""
    told = _form(body)
    if _carried(request, "enrol", told) is None:
        return page("done", 400, is_done=False)
    username, secret = told.get("username", ""), told.get("secret", "")
    begun = None
    with _store(request).transaction() as transaction:
        try:
            begun = people.begin_enrolment(transaction, username, secret, told.get("password", ""))
            transaction.commit()
        except Invalid:
            pass  # the page says what a password has to be
    if begun is None:
        _note(request, "enrolment")
        return page("enrol", REFUSED, is_refused=True, request=told["request"])
    uri = people.totp_uri(username, begun[2])
    return _with_form(request, "device", [*begun, secret], secret=begun[2], uri=uri)


@_router.post("/device")
def device(request: Request, body: Body) -> Response:
    """A new person's phone shows its first code; open to everybody, since the sealed form is the proof."""
    told = _form(body)
    carried = _carried(request, "device", told)
    is_done = False
    if carried is not None:
        subject, password_hash, totp_secret, secret = carried
        with _store(request).transaction() as transaction:
            is_done = people.finish_enrolment(
                transaction, subject, secret, password_hash, totp_secret, told.get("code", "")
            )
            transaction.commit()
    return page("done", 200 if is_done else REFUSED, is_done=is_done)


def _with_form(request: Request, name: str, carried: list[str], **more: Any) -> Response:
    """A page whose form carries something, sealed to this browser and this page, for ten minutes."""
    browser = secrets.token_urlsafe(32)
    position = [int(time.time()) + PAGE_SECONDS, *carried]
    sealed = seal_token(_store(request).crypto, ["provider", name, browser], position)
    response = page(name, is_refused=False, request=sealed, **more)
    response.set_cookie(
        _cookie(),
        browser,
        max_age=PAGE_SECONDS,
        path="/",
        secure=_is_secure(),
        httponly=True,
        samesite="strict",
    )
    return response


def _carried(request: Request, name: str, told: dict[str, str]) -> list[str] | None:
    """What a form carries, where it is this browser's, this page's and not too old."""
    browser = request.cookies.get(_cookie(), "")
    try:
        position = open_token(_store(request).crypto, ["provider", name, browser], told.get("request", ""))
    except NotSupported:
        return None
    return [str(each) for each in position[1:]] if browser and time.time() <= position[0] else None


def _cookie() -> str:
    return "__Host-chasqui-provider" if _is_secure() else "chasqui-provider"


def _is_secure() -> bool:
    return settings().base_url.startswith("https://")


def _form(body: bytes) -> dict[str, str]:
    return _fields(body[: MOST_FORM_BYTES + 1].decode("utf-8", "replace"))


def _fields(text: str) -> dict[str, str]:
    """Fields that stand once each, in a text of a bounded length; nothing otherwise."""
    if len(text) > MOST_FORM_BYTES or text.count("&") > MOST_FIELDS:
        return {}
    pairs = parse_qsl(text, keep_blank_values=True)
    found = dict(pairs)
    return found if len(found) == len(pairs) else {}


def _note(request: Request, reason: str) -> None:
    asked = Asked(
        interaction="operation", operation="sign-in", described=f"{request.method} {request.url.path}"
    )
    request.app.state.spine.people.note_refusal(asked, f"at the demonstration's provider: {reason}")


def _store(request: Request) -> Store:
    store: Store = request.app.state.store
    return store
