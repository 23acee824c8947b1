"""The endpoints of people's sign-in, and the documents that say where they are.

Spec:    https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html; RFC 6749, 4.1; RFC 8414; RFC 9207
Leaves:  every rule to authentication/people; the endpoint for tokens to token.

A slow provider must not hold up the acts of this process: sign-ins have threads of their own, few, with a short queue.
"""

from __future__ import annotations

import base64
import threading
from asyncio import get_running_loop
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from exchange.perform import ASSERTION_ALGORITHMS, Spine
from exchange.problems import Problem, Unauthenticated, Unavailable
from exchange.request import Request as Asked
from exchange.rest import negotiation
from exchange.rest.outcome import problem_response, status_of
from exchange.settings import settings

THREADS: Final = 4
MOST_WAITING: Final = 32
MOST_FIELDS: Final = 40
COOKIE_SECONDS: Final = 600
_STYLE: Final = "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:4rem auto;padding:0 1rem}"
_POLICY: Final = (
    "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-"
    + base64.b64encode(sha256(_STYLE.encode()).digest()).decode()
    + "'"
)
HEADERS: Final = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": _POLICY,
}
_PAGE: Final = f"""<!doctype html>
<html lang="es-PE"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Chasqui</title><style>{_STYLE}</style></head><body>
<h1>No se pudo iniciar sesión</h1>
<p>Vuelva a la aplicación e inténtelo otra vez. Si sigue sin poder entrar, avise a quien administra las cuentas de su
establecimiento.</p>
<div lang="en"><h2>The sign-in could not be completed</h2>
<p>Go back to the app and try again. If it fails again, tell whoever keeps your facility's accounts.</p></div>
</body></html>
"""
"""The same for every reason: which one it was stands in the audit log."""

Done = TypeVar("Done")
router: Final = APIRouter()
_threads: Final = ThreadPoolExecutor(THREADS, thread_name_prefix="sign-in")
_room: Final = threading.BoundedSemaphore(THREADS + MOST_WAITING)


@router.get("/auth/authorize", tags=["open"])
async def authorize(request: Request) -> Response:
    """An app asks for a person; open to everybody, since the person signs in at the provider."""
    spine: Spine = request.app.state.spine
    try:
        location, cookie = await _apart(lambda: spine.people.begin(_query(request), _admitted(request)))
    except Problem as problem:
        return _page(problem)
    response = _redirect(location)
    if cookie:
        response.set_cookie(cookie_name(), cookie, max_age=COOKIE_SECONDS, **_cookie_attributes())
    return response


@router.get("/auth/callback", tags=["open"])
async def callback(request: Request) -> Response:
    """The provider sends the browser back; open to everybody, since the sealed cookie says whose sign-in it is."""
    spine: Spine = request.app.state.spine
    cookie = request.cookies.get(cookie_name(), "")
    try:
        location = await _apart(lambda: spine.people.finish(cookie, _query(request), _admitted(request)))
    except Problem as problem:
        return _page(problem)
    response = _redirect(location)
    response.delete_cookie(cookie_name(), **_cookie_attributes())
    return response


@router.get("/auth/jwks", tags=["open"])
def jwks(request: Request) -> Response:
    """The public keys of the hub's ID tokens; open to everybody."""
    spine: Spine = request.app.state.spine
    return JSONResponse(spine.people.public_keys(), headers={"Cache-Control": "max-age=300"})


@router.api_route("/.well-known/openid-configuration", methods=["GET", "HEAD"], tags=["open"])
def openid_configuration() -> Response:
    """The hub as the issuer of ID tokens to apps; open to everybody."""
    return JSONResponse(
        people_metadata()
        | {
            "token_endpoint": f"{settings().base_url}/auth/token",
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["private_key_jwt", "none"],
            "token_endpoint_auth_signing_alg_values_supported": list(ASSERTION_ALGORITHMS),
            "grant_types_supported": ["authorization_code", "client_credentials"],
            "scopes_supported": ["openid", "fhirUser", "user/*.cruds", "patient/*.cruds", "system/*.cruds"],
            "claims_supported": ["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "fhirUser"],
        }
    )


def people_metadata() -> dict[str, Any]:
    """What the hub's documents say of signing in people."""
    base = settings().base_url
    return {
        "issuer": base,
        "authorization_endpoint": f"{base}/auth/authorize",
        "jwks_uri": f"{base}/auth/jwks",
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
    }


def code_response(spine: Spine, form: Mapping[str, str], token_url: str, asked: Asked) -> Response:
    """The token endpoint's answer to a code."""
    try:
        issued = spine.people.redeem(form, token_url, asked)
    except Unauthenticated as refused:
        is_client = isinstance(refused, spine.people.UNPROVEN)
        error, status = ("invalid_client", 401) if is_client else ("invalid_grant", 400)
        return JSONResponse({"error": error}, status, headers={"Cache-Control": "no-store"})
    except Problem as problem:
        return problem_response(problem)
    told: dict[str, Any] = {
        "access_token": issued.token, "token_type": "bearer", "expires_in": issued.expires_in_seconds,
        "scope": issued.scope,
    }  # fmt: skip
    if issued.id_token:
        told["id_token"] = issued.id_token
    user = issued.requester.user
    if issued.requester.role == "patient" and user and user.reference.startswith("Patient/"):
        told["patient"] = user.reference.removeprefix("Patient/")
    return JSONResponse(told, headers={"Cache-Control": "no-store", "Pragma": "no-cache"})


def cookie_name() -> str:
    """The cookie of a sign-in under way: `__Host-` ties it to this host, and to https."""
    return "__Host-chasqui-sign-in" if _is_secure() else "chasqui-sign-in"


def _is_secure() -> bool:
    return settings().mode != "demo" or settings().base_url.startswith("https://")


def _cookie_attributes() -> dict[str, Any]:
    return {"path": "/", "secure": _is_secure(), "httponly": True, "samesite": "lax"}


async def _apart(act: Callable[[], Done]) -> Done:
    """Run a step in the threads of sign-ins. Raises: Unavailable - too many wait already."""
    if not _room.acquire(blocking=False):
        raise Unavailable("too many people sign in at this moment; try again")
    try:
        return await get_running_loop().run_in_executor(_threads, act)
    finally:
        _room.release()


def _query(request: Request) -> list[tuple[str, str]]:
    """The parameters of an address; two empty ones, which nobody takes, where it is too long."""
    text = request.url.query
    if len(text) > negotiation.MAX_QUERY_BYTES or text.count("&") > MOST_FIELDS:
        return [("", ""), ("", "")]
    return parse_qsl(text, keep_blank_values=True)


def _admitted(request: Request) -> Asked:
    """The step as the audit log keeps it, counted. Raises: Throttled."""
    # The path alone: codes and states are secrets.
    asked = Asked(
        interaction="operation", operation="sign-in", request_id=negotiation.request_id(request.headers),
        described=f"{request.method} {request.url.path}",
        address=request.client.host if request.client else "",
    )  # fmt: skip
    spine: Spine = request.app.state.spine
    spine.systems.admit(asked, request.client.host if request.client else "")
    return asked


def _redirect(location: str) -> Response:
    return Response(status_code=303, headers=HEADERS | {"Location": location})


def _page(problem: Problem) -> Response:
    status = 400 if isinstance(problem, Unauthenticated) else status_of(problem)
    return HTMLResponse(_PAGE, status, headers=HEADERS)
