"""$docref: references to the documents of a patient.

Spec:    https://hl7.org/fhir/us/core/OperationDefinition-docref.html;
         https://hl7.org/fhir/R4/documentreference.html
Leaves:  which references match to search; the documents to Binary and $document.

Without dates the newest reference of each type of document is in scope; with them all whose care falls into the period.
This hub makes no documents on demand, so that there are none where only such are wanted.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote, urlencode

from exchange.interactions.bundle_text import NOTICE, bundle, entry, fhir_url
from exchange.interactions.search import Search, touched
from exchange.operations.parameters import BOOLEAN, TEXT, Given
from exchange.permit import Permit
from exchange.problems import Malformed, NotSupported, TooCostly
from exchange.request import Answer, Request
from exchange.requester import Requester
from exchange.search.matches import find
from exchange.settings import settings
from exchange.store.session import Transaction
from exchange.store.versions import Version

_BY_QUERY: Final = {
    "patient": TEXT,
    "start": TEXT,
    "end": TEXT,
    "type": TEXT,
    "on-demand": BOOLEAN,
    "profile": TEXT,
}
_BY_BODY: Final = _BY_QUERY | {"type": "valueCodeableConcept"}


class DocRef:
    """GET or POST DocumentReference/$docref. Raises: Malformed - no patient; NotSupported - other parameters."""

    def __init__(self, request: Request, requester: Requester) -> None:
        if request.resource_type != "DocumentReference" or request.resource_id:
            raise NotSupported("$docref is asked of DocumentReference", "http.url")
        has_body = bool(request.body or request.resource)
        given = Given(request, _BY_BODY if has_body else _BY_QUERY, repeating=("profile", "type"))
        patient = given.text("patient")
        if not patient:
            raise Malformed("$docref is about one patient", "http.patient", code="required")
        self.used = [pair for pair in request.query if pair[0] not in ("_format", "_pretty")]
        self.is_newest = not given.text("start") and not given.text("end")
        self.is_on_demand = given.flag("on-demand")
        types = [_token(each) for each in given.all("type")] if has_body else given.all("type")
        pairs = [("patient", patient), *(("_profile", each) for each in given.all("profile"))]
        pairs += [("type", ",".join(types))] if types else []
        pairs += [("period", f"ge{given.text('start')}")] if given.text("start") else []
        pairs += [("period", f"le{given.text('end')}")] if given.text("end") else []
        pairs += [("_sort", "-date")]
        self.search = Search(Request("search-type", "DocumentReference", query=tuple(pairs)), requester)
        if not self.search.need.patients:
            raise Malformed("$docref is about one patient of this hub", "http.patient")
        self.need = self.search.need

    def run(self, transaction: Transaction, permit: Permit) -> Answer:
        """The references in scope, newest first."""
        versions: list[Version] = []
        if not self.is_on_demand:
            query = self.search.queries[0]
            query.count = settings().max_scan_rows
            found = find(transaction, permit, query, self.search.scoping, [])
            if found.next_position:
                raise TooCostly("too many documents; name a period or a type", "http.query")
            versions = _newest(found.matches) if self.is_newest else found.matches
        text = urlencode(self.used, quote_via=quote, safe=":,/$")
        links = [("self", f"{fhir_url()}/DocumentReference/$docref" + (f"?{text}" if text else ""))]
        entries = [*(entry(each, "match") for each in versions), NOTICE]
        return Answer(body=bundle("searchset", links, entries, len(versions)), touched=touched(versions))


def _token(concept: dict[str, Any]) -> str:
    """A type as a search says it: any of its codings."""
    codings = [each for each in concept.get("coding", ()) if each.get("code")]
    if not codings:
        raise Malformed("a type has a coding with a code", "http.type")
    return ",".join(
        "|".join(_escaped(each[name]) for name in ("system", "code") if each.get(name)) for each in codings
    )


def _escaped(text: str) -> str:
    for letter in "\\,|$":
        text = text.replace(letter, f"\\{letter}")
    return text


def _newest(versions: list[Version]) -> list[Version]:
    """The current reference of each type that was made last. The versions stand newest first."""
    seen: set[str] = set()
    kept = []
    for version in versions:
        resource = version.parsed()
        if resource.get("status") != "current":
            continue
        kind = resource.get("type", {})
        names = {f"{each.get('system', '')}|{each.get('code', '')}" for each in kind.get("coding", ())}
        names = names or {str(kind.get("text", ""))}
        if not names & seen:
            kept.append(version)
        seen |= names
    return kept
