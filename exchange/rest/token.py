"""The token endpoint and its discovery document.

Spec:    https://hl7.org/fhir/smart-app-launch/STU2.2/backend-services.html, RFC 6749 5.2, RFC 8414
Leaves:  assertions and tokens to authentication, by way of perform.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from exchange.perform import ASSERTION_ALGORITHMS, ASSERTION_TYPE, Spine
from exchange.problems import Problem, Unauthenticated
from exchange.request import Request as Asked
from exchange.rest import negotiation
from exchange.rest.body import Body
from exchange.rest.outcome import problem_response
from exchange.settings import settings

MAX_FORM_BYTES: Final = 32_768
NO_STORE: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}

router: Final = APIRouter()


@router.api_route("/fhir/.well-known/smart-configuration", methods=["GET", "HEAD"], tags=["open"])
def smart_configuration() -> Response:
    """Where and how to get a token; open to everybody."""
    return JSONResponse(
        {
            "token_endpoint": token_url(),
            "grant_types_supported": ["client_credentials"],
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported": list(ASSERTION_ALGORITHMS),
            "scopes_supported": ["system/*.cruds"],
            "capabilities": ["client-confidential-asymmetric", "permission-v2"],
            "issuer": settings().base_url,
        }
    )


@router.post("/auth/token", tags=["open"])
def token(request: Request, body: Body) -> Response:
    """An access token for a client assertion; open to everybody, since the assertion is the proof."""
    spine: Spine = request.app.state.spine
    asked = Asked(
        interaction="operation", operation="token",
        request_id=negotiation.request_id(request.headers), described="POST /auth/token",
    )  # fmt: skip
    if len(body) > MAX_FORM_BYTES:
        return _refusal("invalid_request", 400)
    pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    form = dict(pairs)
    if len(form) != len(pairs):
        return _refusal("invalid_request", 400)
    if form.get("grant_type") != "client_credentials":
        return _refusal("unsupported_grant_type", 400)
    if form.get("client_assertion_type") != ASSERTION_TYPE or not form.get("scope"):
        return _refusal("invalid_request", 400)
    try:
        issued = spine.grant_token(form.get("client_assertion", ""), form["scope"], token_url(), asked)
    except Unauthenticated as refused:
        is_scope = refused.code == "forbidden"
        return _refusal("invalid_scope" if is_scope else "invalid_client", 400 if is_scope else 401)
    except Problem as problem:
        return problem_response(problem)
    return JSONResponse(
        {
            "access_token": issued.token,
            "token_type": "bearer",
            "expires_in": issued.expires_in_seconds,
            "scope": issued.scope,
        },
        headers=NO_STORE,
    )


def token_url() -> str:
    """The token endpoint's address: the audience of every assertion."""
    return f"{settings().base_url}/auth/token"


def _refusal(error: str, status: int) -> Response:
    return JSONResponse({"error": error}, status, headers=NO_STORE)
