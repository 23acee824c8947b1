"""transaction: every entry or none, in FHIR's order, references between entries resolved.

Spec:    https://hl7.org/fhir/R4/http.html#transaction, https://hl7.org/fhir/R4/http.html#trules
Leaves:  single verbs to create and update; batch, whose entries are acts of their own, to perform.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from exchange.fhir.definitions import is_resource_type
from exchange.fhir.resource import parse
from exchange.interactions import admission
from exchange.interactions.admission import Admitted
from exchange.interactions.bundle_text import bundle, instant
from exchange.interactions.condition import the_one
from exchange.interactions.update import admit_delete, admit_update
from exchange.permit import Permit
from exchange.problems import Invalid, Issue, Malformed, NotSupported, Problem, TooCostly
from exchange.request import Answer, Need, Request
from exchange.requester import Requester
from exchange.settings import settings
from exchange.store.session import Transaction
from exchange.store.versions import occupied

_PLACE: Final = re.compile(r"([A-Z][A-Za-z]+)(?:/([A-Za-z0-9\-.]{1,64}))?(?:\?(.*))?", re.ASCII)
_CONDITIONAL: Final = re.compile(r"([A-Z][A-Za-z]+)\?(.+)", re.ASCII)
_LETTERS: Final = {"POST": "c", "PUT": "u", "DELETE": "d"}


@dataclass(slots=True)
class Entry:
    """One entry of a transaction. `number` is its place in the bundle."""

    number: int
    method: str
    resource_type: str
    resource_id: str
    resource: dict[str, Any] | None
    full_url: str
    if_match: str | None
    if_none_match: str | None
    if_none_exist: str | None
    query: tuple[tuple[str, str], ...] = ()
    existing: str = ""
    admitted: Admitted | None = None

    @property
    def place(self) -> str:
        """The entry as problems name it."""
        return f"Bundle.entry[{self.number}]"


def batch_entries(body: bytes) -> list[Entry | Problem]:
    """The entries of a batch; one that cannot be read is a problem of its own. Raises: Malformed, TooCostly."""
    entries: list[Entry | Problem] = []
    for number, row in enumerate(_rows(body, "batch")):
        try:
            entries.append(_entry(number, row))
        except Problem as problem:
            entries.append(problem)
    return entries


def _rows(body: bytes, kind: str) -> list[Any]:
    """The entries of a posted Bundle as they stand. Raises: Malformed, TooCostly."""
    posted = parse(body, max_bytes=settings().max_body_bytes, max_depth=settings().max_json_depth)
    if posted["resourceType"] != "Bundle" or posted.get("type") != kind:
        raise Malformed(f"the body is no Bundle of type {kind}", "Bundle.type")
    rows = posted.get("entry", [])
    if not isinstance(rows, list):
        raise Malformed("entries are an array", "Bundle.entry")
    if len(rows) > settings().max_bundle_entries:
        raise TooCostly(f"a bundle has at most {settings().max_bundle_entries} entries", "Bundle.entry")
    return rows


class TransactionBundle:
    """POST [base] with a transaction Bundle. Raises: what its entries raise, with the entry named."""

    def __init__(self, request: Request, requester: Requester) -> None:
        self.requester = requester
        self.entries = [_entry(number, row) for number, row in enumerate(_rows(request.body, "transaction"))]
        for entry in self.entries:
            if entry.method not in _LETTERS:
                raise NotSupported(
                    "a transaction here takes POST, PUT and DELETE", f"{entry.place}.request.method"
                )
        actions = {(entry.resource_type, _LETTERS[entry.method]) for entry in self.entries}
        actions |= {(entry.resource_type, "s") for entry in self.entries if entry.if_none_exist is not None}
        self.need = Need(tuple(sorted(actions)), is_write=True)

    def run(self, transaction: Transaction, permit: Permit) -> Answer:
        """Do all of it."""
        # 1. Ids: what POST makes, what If-None-Exist finds.
        ids = self._assign_ids(transaction, permit)
        # 2. References between entries and conditional references.
        conditional: dict[str, str] = {}
        for entry in self.entries:
            if entry.resource is not None and not entry.existing:
                _resolve(entry, entry.resource, ids, conditional, transaction, permit)
        # 3. Each entry against FHIR, its namespace and its preconditions.
        working = [entry for entry in self.entries if not entry.existing]
        keys = [(entry.resource_type, entry.resource_id) for entry in working]
        if len(set(keys)) != len(keys):
            raise Invalid("two entries are about one resource", "Bundle.entry")
        standing = occupied(
            transaction, [key for key, entry in zip(keys, working, strict=True) if entry.method != "POST"]
        )
        for key, entry in zip(keys, working, strict=True):
            with _named(entry):
                self._admit(transaction, permit, entry, standing.get(key))
        # 4. Deletions, then creations and updates: all in one write.
        working.sort(key=lambda entry: ("DELETE", "POST", "PUT").index(entry.method))
        admitted = [entry.admitted for entry in working if entry.admitted is not None]
        for entry in working:
            if entry.admitted is not None:
                entry.admitted.label = f"{entry.place}.resource"
        admission.place(transaction, self.requester, admitted)
        written = admission.store(transaction, self.requester, admitted)
        rows = [_response(entry, transaction.now) for entry in self.entries]
        return Answer(
            body=bundle("transaction-response", (), rows),
            touched=admission.touched(admitted),
            written=written,
        )

    def _assign_ids(self, transaction: Transaction, permit: Permit) -> dict[str, str]:
        ids: dict[str, str] = {}
        new: dict[tuple[str, str], str] = {}
        for entry in self.entries:
            if entry.method == "POST":
                if entry.if_none_exist is not None:
                    with _named(entry):
                        found = the_one(transaction, permit, entry.resource_type, entry.if_none_exist)
                    if found is not None:
                        entry.resource_id = found.resource_id
                        entry.existing = f"{found.resource_id}/_history/{found.version_id}"
                condition = (entry.resource_type, entry.if_none_exist or "")
                if not entry.existing and entry.if_none_exist is not None and condition in new:
                    # Two entries with one condition make one resource, as two requests would.
                    entry.resource_id = new[condition]
                    entry.existing = f"{entry.resource_id}/_history/1"
                elif not entry.existing:
                    entry.resource_id = new[condition] = str(uuid.uuid4())
            if entry.full_url and entry.resource is not None:
                if entry.full_url in ids:
                    raise Invalid("two entries have one fullUrl", f"{entry.place}.fullUrl")
                ids[entry.full_url] = f"{entry.resource_type}/{entry.resource_id}"
        return ids

    def _admit(self, transaction: Transaction, permit: Permit, entry: Entry, standing: Any) -> None:
        key = (entry.resource_type, entry.resource_id)
        if entry.method == "DELETE":
            entry.admitted = admit_delete(self.requester, key, standing, entry.if_match)
            return
        if entry.resource is None:
            raise Malformed("an entry that writes holds a resource", "resource")
        if entry.method == "PUT" and entry.resource.get("id") != entry.resource_id:
            raise Malformed("the resource's id is not the id of the request's url", "resource.id")
        entry.resource["id"] = entry.resource_id
        admission.require_valid(entry.resource)
        if entry.method == "POST":
            entry.admitted = Admitted(*key, entry.resource)
        else:
            entry.admitted = admit_update(
                transaction, permit, self.requester, entry.resource, standing,
                entry.if_match, entry.if_none_match,
            )  # fmt: skip


class _named:  # noqa: N801 - reads as a phrase where it is used
    """Name the entry in the problems of a block."""

    def __init__(self, entry: Entry) -> None:
        self.entry = entry

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, problem: BaseException | None, _trace: object) -> None:
        if isinstance(problem, Problem):
            problem.issues = tuple(_at(issue, self.entry) for issue in problem.issues)


def _at(issue: Issue, entry: Entry) -> Issue:
    inner = issue.expression or ""
    path = inner if inner.startswith("Bundle.entry") else f"{entry.place}.resource.{inner}".rstrip(".")
    return replace(issue, expression=path)


def _entry(number: int, row: Any) -> Entry:
    place = f"Bundle.entry[{number}]"
    if not isinstance(row, dict) or not isinstance(row.get("request"), dict):
        raise Malformed("an entry has a request", f"{place}.request")
    request = row["request"]
    method, url = request.get("method"), request.get("url")
    match = _PLACE.fullmatch(url) if isinstance(url, str) else None
    if not isinstance(method, str) or match is None or not is_resource_type(match.group(1)):
        raise Malformed("an entry's request has a method and a url such as Patient/123", f"{place}.request")
    resource = row.get("resource")
    if resource is not None and (
        not isinstance(resource, dict) or resource.get("resourceType") != match.group(1)
    ):
        raise Malformed("the entry's resource is not of the type in its url", f"{place}.resource")
    is_instance = method in ("PUT", "DELETE")
    if match.group(3) is not None and method != "GET":
        raise NotSupported("conditional updates and deletes are not supported", f"{place}.request.url")
    if is_instance != (match.group(2) is not None) and method != "GET":
        raise Malformed("POST goes to a type; PUT and DELETE go to an id", f"{place}.request.url")
    texts = {name: request.get(name) for name in ("ifMatch", "ifNoneMatch", "ifNoneExist")}
    if any(text is not None and not isinstance(text, str) for text in texts.values()):
        raise Malformed("conditions are strings", f"{place}.request")
    return Entry(
        number, method, match.group(1), match.group(2) or "", resource,
        row["fullUrl"] if isinstance(row.get("fullUrl"), str) else "",
        texts["ifMatch"], texts["ifNoneMatch"], texts["ifNoneExist"],
        tuple(parse_qsl(match.group(3) or "", keep_blank_values=True)),
    )  # fmt: skip


def _resolve(
    entry: Entry, node: Any, ids: dict[str, str], conditional: dict[str, str],
    transaction: Transaction, permit: Permit,
) -> None:  # fmt: skip
    """Replace references to other entries, and conditional ones, by Type/id."""
    if isinstance(node, dict):
        for name, value in node.items():
            if isinstance(value, str):
                if value in ids and name in ("reference", "url", "uri", "valueUri", "valueUrl"):
                    node[name] = ids[value]
                elif name == "reference" and "?" in value:
                    node[name] = _conditional(entry, value, conditional, transaction, permit)
                elif name == "reference" and value.startswith("urn:uuid:"):
                    raise Invalid("a reference names no entry of the bundle", f"{entry.place}.resource")
            elif isinstance(value, dict | list):
                _resolve(entry, value, ids, conditional, transaction, permit)
    elif isinstance(node, list):
        for value in node:
            if isinstance(value, dict | list):
                _resolve(entry, value, ids, conditional, transaction, permit)


def _conditional(
    entry: Entry, text: str, known: dict[str, str], transaction: Transaction, permit: Permit
) -> str:
    match = _CONDITIONAL.fullmatch(text)
    if match is None or not is_resource_type(match.group(1)):
        return text
    if text not in known:
        with _named(entry):
            found = the_one(transaction, permit, match.group(1), match.group(2))
        if found is None:
            raise Invalid(
                "a conditional reference matches nothing", f"{entry.place}.resource", code="not-found"
            )
        known[text] = f"{match.group(1)}/{found.resource_id}"
    return known[text]


def _response(entry: Entry, now: int) -> bytes:
    if entry.existing:
        response = {"status": "200", "location": f"{entry.resource_type}/{entry.existing}"}
        return msgspec.json.encode({"response": response})
    admitted = entry.admitted
    if admitted is None or entry.method == "DELETE":
        return b'{"response":{"status":"204"}}'
    is_new = admitted.standing is None or admitted.standing.is_deleted
    response = {
        "status": "201" if is_new else "200",
        "location": f"{entry.resource_type}/{entry.resource_id}/_history/{admitted.version_id}",
        "etag": f'W/"{admitted.version_id}"',
        "lastModified": instant(now),
    }
    return msgspec.json.encode({"response": response})
