"""The endpoint at which an adapter reports how it stands.

Spec:    docs/region.md, "What an adapter reports"
Leaves:  who may report, and what, to the fleet's desk, by way of perform.

A report that is taken is no event of the audit log: it speaks of nobody, and it comes every few minutes from each
facility. One that is refused is an event like every refusal.
"""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from exchange.perform import Spine
from exchange.problems import Problem
from exchange.request import Request as Asked
from exchange.rest import negotiation
from exchange.rest.body import SmallBody
from exchange.rest.outcome import problem_response
from exchange.settings import settings

router: Final = APIRouter()


@router.post("/adapters/state", tags=["adapters"])
def report(request: Request, body: SmallBody) -> Response:
    """Take an adapter's report of itself."""
    spine: Spine = request.app.state.spine
    asked = Asked(
        interaction="operation", operation="adapter-state", request_id=negotiation.request_id(request.headers),
        described="POST /adapters/state", address=request.client.host if request.client else "",
    )  # fmt: skip
    told = request.headers.getlist("authorization")
    try:
        requester = spine.requester(told[0] if len(told) == 1 else "", asked)
        if isinstance(body, Problem):
            spine.refuse(asked, requester, body)
            raise body
        is_taken = spine.report(asked, requester, body)
    except Problem as problem:
        return problem_response(problem)
    return JSONResponse({"taken": is_taken})


def adapter_state_url() -> str:
    """The endpoint's address."""
    return f"{settings().base_url}/adapters/state"
