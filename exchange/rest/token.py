"""The endpoints of tokens - issued, looked into, ended - and SMART's discovery document.

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
from exchange.rest.adapter_state import adapter_state_url
from exchange.rest.body import Body
from exchange.rest.enrolment import enrolment_url
from exchange.rest.outcome import problem_response
from exchange.rest.sign_in import code_response, people_metadata
from exchange.settings import settings

MAX_FORM_BYTES: Final = 32_768
MOST_FIELDS: Final = 40
NO_STORE: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}

router: Final = APIRouter()


@router.api_route("/fhir/.well-known/smart-configuration", methods=["GET", "HEAD"], tags=["open"])
def smart_configuration() -> Response:
    """Where and how to get a token; open to everybody."""
    return JSONResponse(
        people_metadata()
        | endpoints()
        | {
            "chasqui_enrolment_endpoint": enrolment_url(),
            "chasqui_adapter_state_endpoint": adapter_state_url(),
            "capabilities": [
                "client-confidential-asymmetric",
                "client-public",
                "launch-standalone",
                "sso-openid-connect",
                "permission-user",
                "permission-patient",
                "permission-v2",
            ],
        }
    )


@router.api_route("/.well-known/oauth-authorization-server", methods=["GET", "HEAD"], tags=["open"])
def authorization_server() -> Response:
    """The hub as an authorization server; open to everybody.

    Spec: RFC 8414
    """
    return JSONResponse(people_metadata() | endpoints())


@router.post("/auth/token", tags=["open"])
def token(request: Request, body: Body) -> Response:
    """An access token for a client assertion; open to everybody, since the assertion is the proof."""
    spine: Spine = request.app.state.spine
    asked = _asked(request, "token")
    form = _form(body)
    if form is None:
        return _unformed(request, asked)
    if form.get("grant_type") == "authorization_code":
        try:
            spine.systems.admit(asked, _address(request))
        except Problem as problem:
            return _problem(problem)
        return code_response(spine, form, token_url(), asked)
    if form.get("grant_type") != "client_credentials":
        return _unformed(request, asked, "unsupported_grant_type")
    if form.get("client_assertion_type") != ASSERTION_TYPE or not form.get("scope"):
        return _unformed(request, asked)
    assertion, scope = form.get("client_assertion", ""), form["scope"]
    try:
        issued = spine.systems.grant_token(assertion, scope, token_url(), asked, _address(request))
    except Problem as problem:
        return _problem(problem)
    return JSONResponse(
        {
            "access_token": issued.token,
            "token_type": "bearer",
            "expires_in": issued.expires_in_seconds,
            "scope": issued.scope,
        },
        headers=NO_STORE,
    )


@router.post("/auth/introspect", tags=["open"])
def introspect(request: Request, body: Body) -> Response:
    """What a token is good for; open to everybody, since the assertion is the proof.

    Spec: RFC 7662
    """
    form, asked = _token_form(body), _asked(request, "introspect")
    if form is None:
        return _unformed(request, asked)
    spine: Spine = request.app.state.spine
    assertion = form["client_assertion"]
    try:
        told = spine.systems.introspect(assertion, form["token"], token_url(), asked, _address(request))
    except Problem as problem:
        return _problem(problem)
    return JSONResponse(told, headers=NO_STORE)


@router.post("/auth/revoke", tags=["open"])
def revoke(request: Request, body: Body) -> Response:
    """End a token; open to everybody, since the assertion is the proof. Whatever the token was, the answer is the same.

    Spec: RFC 7009
    """
    form, asked = _token_form(body), _asked(request, "revoke")
    if form is None:
        return _unformed(request, asked)
    spine: Spine = request.app.state.spine
    assertion = form["client_assertion"]
    try:
        spine.systems.revoke(assertion, form["token"], token_url(), asked, _address(request))
    except Problem as problem:
        return _problem(problem)
    return Response(status_code=200, headers=NO_STORE)


def endpoints() -> dict[str, object]:
    """What every discovery document says of tokens.

    Spec: RFC 8414, 2
    """
    base = settings().base_url
    methods: dict[str, object] = {
        "token_endpoint": token_url(),
        "grant_types_supported": ["authorization_code", "client_credentials"],
        "token_endpoint_auth_methods_supported": ["private_key_jwt", "none"],
        "token_endpoint_auth_signing_alg_values_supported": list(ASSERTION_ALGORITHMS),
        "scopes_supported": ["openid", "fhirUser", "user/*.cruds", "patient/*.cruds", "system/*.cruds"],
    }
    for name in ("introspection", "revocation"):
        path = "introspect" if name == "introspection" else "revoke"
        methods[f"{name}_endpoint"] = f"{base}/auth/{path}"
        methods[f"{name}_endpoint_auth_methods_supported"] = ["private_key_jwt"]
        methods[f"{name}_endpoint_auth_signing_alg_values_supported"] = list(ASSERTION_ALGORITHMS)
    return methods


def token_url() -> str:
    """The token endpoint's address: the audience of every assertion."""
    return f"{settings().base_url}/auth/token"


def _asked(request: Request, operation: str) -> Asked:
    return Asked(
        interaction="operation", operation=operation,
        request_id=negotiation.request_id(request.headers), described=f"POST {request.url.path}",
        address=_address(request),
    )  # fmt: skip


def _unformed(request: Request, asked: Asked, error: str = "invalid_request") -> Response:
    """A request that is none of its kind: refused, and in the log like any other."""
    spine: Spine = request.app.state.spine
    try:
        spine.systems.refuse_unformed(asked, _address(request))
    except Problem as problem:
        return _problem(problem)
    return _refusal(error, 400)


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _form(body: bytes) -> dict[str, str] | None:
    """A form in which every parameter stands once, or None."""
    if len(body) > MAX_FORM_BYTES:
        return None
    try:
        pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        return None
    form = dict(pairs)
    return form if len(form) == len(pairs) else None


def _token_form(body: bytes) -> dict[str, str] | None:
    form = _form(body)
    if form is None or form.get("client_assertion_type") != ASSERTION_TYPE:
        return None
    return form if form.get("client_assertion") and form.get("token") else None


def _problem(problem: Problem) -> Response:
    """A refusal as RFC 6749, 5.2 words it; what is no refusal of OAuth's, as FHIR does."""
    if isinstance(problem, Unauthenticated):
        is_scope = problem.code == "forbidden"
        return _refusal("invalid_scope" if is_scope else "invalid_client", 400 if is_scope else 401)
    return problem_response(problem)


def _refusal(error: str, status: int) -> Response:
    return JSONResponse({"error": error}, status, headers=NO_STORE)
