"""The endpoint at which an invited system brings its key; open to everybody, since the one-time code is the proof.

Spec:    docs/clients.md, "Invite"; RFC 6749, 5.2 (the form of a refusal)
Leaves:  codes, keys and proofs to authentication/enrolment, by way of perform.
"""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from exchange.perform import Spine
from exchange.problems import Problem, Unauthenticated
from exchange.request import Request as Asked
from exchange.rest import negotiation
from exchange.rest.body import SmallBody
from exchange.rest.outcome import problem_response
from exchange.settings import settings

NO_STORE: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}

router: Final = APIRouter()


@router.post("/auth/enrol", tags=["open"])
def enrol(request: Request, body: SmallBody) -> Response:
    """The registration that a code and a key complete; whatever is wrong, the refusal is the same."""
    spine: Spine = request.app.state.spine
    address = request.client.host if request.client else ""
    asked = Asked(
        interaction="operation", operation="enrol", request_id=negotiation.request_id(request.headers),
        described="POST /auth/enrol", address=address,
    )  # fmt: skip
    try:
        client = spine.enrolments.enrol(
            None if isinstance(body, Problem) else body, enrolment_url(), asked, address
        )
    except Unauthenticated:
        return JSONResponse({"error": "invalid_grant"}, 400, headers=NO_STORE)
    except Problem as problem:
        return problem_response(problem)
    told = {
        "client_id": client.client_id,
        "id_prefix": client.id_prefix,
        "organization": client.organization_id,
        "scope": " ".join(map(str, client.scopes)),
    }
    return JSONResponse(told, headers=NO_STORE)


def enrolment_url() -> str:
    """The endpoint's address: the audience of every proof."""
    return f"{settings().base_url}/auth/enrol"
