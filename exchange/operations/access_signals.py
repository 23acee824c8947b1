"""$access-signals and $judge-signal: accesses that somebody should look into, and what looking came to.

Spec:    https://hl7.org/fhir/R4/operations.html; docs/audit.md, "Signals".
Leaves:  finding signals to audit/signals; who may read events to consent/decision.

Who oversees the region reads all of them, a privacy officer those of the own facility's accounts. A signal names events:
looking at one is an access of its own.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote, urlencode

from exchange.audit.agent import agent_key
from exchange.audit.signals.kept import BEGINNING, VERDICTS, Kept, find_signal, judge_signal, signals, told_of
from exchange.audit.signals.signal import KINDS, words_of
from exchange.crypto.page_token import open_token, seal_token
from exchange.interactions.bundle_text import fhir_url, instant
from exchange.interactions.page_binding import holder
from exchange.operations.accesses import period
from exchange.operations.open_emergency import letters_of, require_posted
from exchange.operations.parameters import INTEGER, TEXT, Given, parameters, part
from exchange.permit import Permit
from exchange.problems import Conflict, Denied, Invalid, Malformed, NotFound, NotSupported
from exchange.request import Answer, Need, Request
from exchange.requester import Requester, custodian_key
from exchange.store.session import Transaction

USUAL_PAGE: Final = 20
LARGEST_PAGE: Final = 100
LONGEST_COMMENT: Final = 1_000
LONGEST_NUMBER: Final = 64
_END: Final = 2**62
_STATES: Final[dict[str, bool | None]] = {"": False, "waiting": False, "judged": True, "all": None}
_KNOWN: Final = {
    "kind": TEXT, "facility": TEXT, "state": TEXT, "since": TEXT, "until": TEXT, "_count": INTEGER, "_page": TEXT,
}  # fmt: skip
_FOLLOWERS: Final = frozenset({"administrator", "auditor", "privacy-officer"})


class AccessSignals:
    """GET or POST AuditEvent/$access-signals. Raises: Denied - another role; Invalid - no such kind or state."""

    def __init__(self, request: Request, requester: Requester) -> None:
        _require_follower(request, requester, "$access-signals")
        given = Given(request, _KNOWN)
        self.requester = requester
        self.given = {name: given.text(name) for name in ("kind", "facility", "state", "since", "until")}
        if self.given["kind"] not in ("", *KINDS):
            raise Invalid(f"a kind is one of {', '.join(KINDS)}", "http.kind", code="code-invalid")
        if self.given["state"] not in _STATES:
            raise Invalid("a state is waiting, judged or all", "http.state", code="code-invalid")
        self.since, self.until = period(self.given)
        counted = given.one("_count")
        if counted == 0:
            raise Malformed("'_count' is a page's size, from 1 on", "http._count")
        self.count = min(counted or USUAL_PAGE, LARGEST_PAGE)
        self.page = given.text("_page")
        self.need = Need((("AuditEvent", "s"),))

    def run(self, transaction: Transaction, permit: Permit) -> Answer:
        """One page, what weighs most first, and where the next one begins."""
        bound: list[Any] = [holder(self.requester), "access-signals", sorted(self.given.items())]
        weight, at, number = open_token(transaction.crypto, bound, self.page) if self.page else BEGINNING
        facility = self.given["facility"].removeprefix("Organization/")
        found = signals(
            transaction,
            permit,
            {
                "weight": weight, "at": at, "number": number, "kind": self.given["kind"],
                "since": self.since, "until": self.until or _END, "limit": self.count + 1,
                "facility": custodian_key(facility) if facility else None,
                "is_judged": _STATES[self.given["state"]],
            },
        )  # fmt: skip
        shown = found[: self.count]
        parts: list[tuple[str, str, Any]] = [("signal", "part", _told(transaction, each)) for each in shown]
        if len(found) > self.count:
            token = seal_token(transaction.crypto, bound, list(shown[-1].position))
            told = [(name, value) for name, value in self.given.items() if value]
            query = urlencode([*told, ("_count", str(self.count)), ("_page", token)], quote_via=quote)
            parts.append(("next", "valueUrl", f"{fhir_url()}/AuditEvent/$access-signals?{query}"))
        answer = parameters(*parts)
        answer.noted = f"signals followed: {len(shown)}"
        return answer


class JudgeSignal:
    """POST AuditEvent/$judge-signal.

    Raises: NotFound - no such signal, or one of another facility; Denied - one's own; Conflict - judged already.
    """

    def __init__(self, request: Request, requester: Requester) -> None:
        require_posted(request, "$judge-signal")
        _require_follower(request, requester, "$judge-signal")
        given = Given(request, {"number": TEXT, "verdict": TEXT, "comment": TEXT})
        self.requester = requester
        self.number = given.text("number").strip().upper()
        if not 0 < len(self.number) <= LONGEST_NUMBER:
            raise Invalid("the number of a signal is told", "http.number", code="required")
        verdict = given.text("verdict")
        if verdict not in VERDICTS:
            raise Invalid(f"a verdict is one of {', '.join(VERDICTS)}", "http.verdict", code="code-invalid")
        self.verdict = verdict
        self.comment = " ".join(given.text("comment").split())
        if len(self.comment) > LONGEST_COMMENT:
            raise Invalid(f"a comment has up to {LONGEST_COMMENT} letters", "http.comment", code="too-long")
        if verdict != "explained" and not letters_of(self.comment):
            raise Invalid("a verdict other than explained has a comment", "http.comment", code="required")
        self.need = Need((("AuditEvent", "r"),))

    def run(self, transaction: Transaction, permit: Permit) -> Answer:
        """Judge it. One that stayed unclear is judged again; any other verdict is the last."""
        # 1. A signal of this officer's facility, or none.
        signal = find_signal(transaction, permit, self.number)
        if signal is None:
            raise NotFound("no such signal")
        # 2. Never one about oneself.
        if signal.agent == agent_key(transaction.crypto.blind_index, self.requester):
            raise Denied("nobody judges a signal about themselves", reason="signal judged by its own account")
        if signal.verdict not in (None, "unclear"):
            raise Conflict("this signal was judged already")
        # 3. The verdict.
        judge_signal(transaction, self.requester, signal, self.verdict, self.comment)
        answer = parameters(("number", "valueString", signal.number), ("verdict", "valueCode", self.verdict))
        answer.noted = f"signal {signal.number} judged {self.verdict}"
        return answer


def _require_follower(request: Request, requester: Requester, name: str) -> None:
    if request.resource_type != "AuditEvent" or request.resource_id:
        raise NotSupported(f"{name} is asked of AuditEvent", "http.url")
    if requester.role not in _FOLLOWERS:
        raise Denied(f"the role {requester.role} does not follow signals", reason="role")


def _told(transaction: Transaction, signal: Kept) -> list[dict[str, Any]]:
    body, judgement = told_of(transaction, signal)
    spanish, english = words_of(signal.kind, body["numbers"])
    return part(
        ("number", "valueString", signal.number),
        ("kind", "valueCode", signal.kind),
        ("weight", "valueUnsignedInt", signal.weight),
        ("at", "valueInstant", instant(signal.happened_at)),
        ("why", "valueString", spanish),
        ("why-english", "valueString", english),
        ("relation", "valueCode", body["relation"]),
        ("facility", "valueReference", {"reference": f"Organization/{body['facility']}"}),
        ("user", "valueString", body["user"]),
        ("user-name", "valueString", body["name"]),
        ("client", "valueString", body["client"]),
        ("words", "valueString", body.get("words")),
        *(("event", "valueReference", {"reference": f"AuditEvent/{each}"}) for each in body["events"]),
        ("verdict", "valueCode", signal.verdict),
        ("judged-at", "valueInstant", signal.judged_at and instant(signal.judged_at)),
        ("judged-by", "valueString", judgement.get("by")),
        ("comment", "valueString", judgement.get("comment")),
    )
