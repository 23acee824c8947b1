"""$lastn: the newest observations of a patient, so many of each code.

Spec:    https://hl7.org/fhir/R4/observation-operation-lastn.html
Leaves:  which observations match to search.

Codes are of one group where they share a coding, directly or through another observation; text stands for a code only
where there is no coding. What is as new as the last one counted comes with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, Final
from urllib.parse import quote, urlencode

from exchange.fhir.structure import structural_issues
from exchange.interactions.admission import parse_body
from exchange.interactions.bundle_text import NOTICE, bundle, entry, fhir_url
from exchange.interactions.search import Search, touched
from exchange.permit import Permit
from exchange.problems import Malformed, NotSupported, TooCostly
from exchange.request import Answer, Need, Request
from exchange.requester import Requester
from exchange.search.matches import find
from exchange.settings import settings
from exchange.store.session import Transaction
from exchange.store.versions import Version

MOST_DIGITS: Final = 6
_PASSED_OVER: Final = ("_format", "_pretty")
_SUBJECTS: Final = ("patient", "subject")
_CRITERIA: Final = ("_id", "_lastUpdated", "_tag", "_profile", "_security", "_source", "_has", "_filter")


class LastN:
    """GET or POST Observation/$lastn. Raises: Malformed - no patient, or neither category nor code; NotSupported."""

    def __init__(self, request: Request, requester: Requester) -> None:
        if request.resource_type != "Observation" or request.resource_id:
            raise NotSupported("$lastn is asked of Observation", "http.url")
        pairs = [*request.query, *_posted(request)]
        self.used = [pair for pair in pairs if pair[0] not in _PASSED_OVER]
        told = [text for name, text in self.used if name == "max"]
        self.most = _most(told)
        criteria = tuple(pair for pair in self.used if pair[0] != "max")
        shaping = [
            name for name, _ in criteria if name.startswith("_") and name.partition(":")[0] not in _CRITERIA
        ]
        if shaping:
            raise NotSupported(
                "$lastn takes max and search criteria, and none that shapes the answer", "http.query"
            )
        names = [name.partition(":")[0] for name, _ in criteria]
        if not any(name in _SUBJECTS for name in names):
            raise Malformed("$lastn is about one patient: name it by patient or subject", "http.patient")
        if not any(name == "category" or "code" in name.split("-") for name in names):
            raise Malformed("$lastn takes a category or a code", "http.category")
        asked = Request("search-type", "Observation", query=(*criteria, ("_sort", "-date")))
        self.search = Search(asked, requester)
        self.need: Need = self.search.need
        if len(self.need.patients) == 0:
            raise Malformed("$lastn is about one patient: name it by patient or subject", "http.patient")

    def run(self, transaction: Transaction, permit: Permit) -> Answer:
        """The newest of each group, newest first."""
        query = self.search.queries[0]
        query.count = settings().max_scan_rows
        found = find(transaction, permit, query, self.search.scoping, [])
        if found.next_position:
            raise TooCostly("too many observations to look through; name a narrower value", "http.query")
        newest = _newest(found.matches, self.most)
        text = urlencode(self.used, quote_via=quote, safe=":,/$")
        links = [("self", f"{fhir_url()}/Observation/$lastn?{text}")]
        entries = [*(entry(each, "match") for each in newest), NOTICE]
        return Answer(body=bundle("searchset", links, entries, len(newest)), touched=touched(newest))


def _most(told: Sequence[str]) -> int:
    if not told:
        return 1
    text = told[0]
    if len(told) > 1 or not (
        text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS and int(text) > 0
    ):
        raise NotSupported("'max' takes one whole number from 1 on", "http.max")
    return int(text)


def _posted(request: Request) -> list[tuple[str, str]]:
    """Criteria in posted Parameters: each a primitive under the search parameter's name."""
    resource = request.resource
    if resource is None:
        if not request.body:
            return []
        resource = parse_body(request.body, "Parameters")
    issues = structural_issues(resource)
    if issues:
        raise Malformed.of(issues)
    pairs = []
    for each in resource.get("parameter", ()):
        values = [value for name, value in each.items() if name.startswith("value")]
        if len(values) != 1 or isinstance(values[0], dict | bool):
            raise Malformed("a criterion is one string or number", "Parameters.parameter")
        pairs.append((each["name"], str(values[0])))
    return pairs


def _newest(versions: Sequence[Version], most: int) -> list[Version]:
    """The first so many of each group, and those as new as the last of them. The versions stand newest first."""
    groups = _groups([_names(each.parsed().get("code")) for each in versions])
    kept: list[int] = []
    by_group: dict[int, list[int]] = {}
    for place, group in enumerate(groups):
        by_group.setdefault(group, []).append(place)
    for places in by_group.values():
        counted = 0
        for _, same in groupby(places, key=lambda place: versions[place].clinical_at):
            if counted >= most:
                break
            tied = list(same)
            kept += tied
            counted += len(tied)
    return [versions[place] for place in sorted(kept)]


def _names(code: Any) -> list[tuple[str, str]]:
    """The names under which an observation's code is known."""
    code = code if isinstance(code, dict) else {}
    codings = [(each.get("system", ""), each["code"]) for each in code.get("coding", ()) if each.get("code")]
    return codings or [("text", code.get("text", ""))]


def _groups(names: Iterable[Sequence[tuple[str, str]]]) -> list[int]:
    """A number for each list of names; lists that share a name, directly or through others, have the same."""
    parents: list[int] = []
    known: dict[tuple[str, str], int] = {}

    def root(place: int) -> int:
        while parents[place] != place:
            parents[place] = parents[parents[place]]
            place = parents[place]
        return place

    for place, own in enumerate(names):
        parents.append(place)
        for name in own:
            other = root(known.setdefault(name, place))
            parents[max(other, root(place))] = min(other, root(place))
    return [root(place) for place in range(len(parents))]
