"""A region in a test: facilities that ask one hub through its spine, and answers as they would leave the door."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import psycopg2
from sqlalchemy import make_url

from exchange.perform import Spine
from exchange.policy.adopted import policy
from exchange.policy.relabelling import adopt
from exchange.problems import Problem
from exchange.request import Request
from exchange.requester import Requester
from exchange.rest.outcome import answer_response, problem_response
from exchange.settings import settings
from exchange.store.hub import open_store, prepare_keys
from exchange.store.session import Store
from tests.sample.database import Server
from tests.sample.requester import EVERY_SCOPE, HOSPITAL, INSTITUTE, POST, a_requester, an_administrator
from tests.sample.root import RootInMemory
from tests.sample.sealing import seal_every_event

PREFIXES = {POST: "posta-", HOSPITAL: "hospital-", INSTITUTE: "instituto-"}
EMPTIED = (
    "resource", "resource_history", "audit_event", "token_entry", "patient_record", "identity_key", "linkage_review",
    "consent_rule", "client", "assertion", "revoked_token", "searched_value", "audit_leaf", "audit_checkpoint", "audit_node",
    "audit_cosignature", "shared_record", "custom_parameter", "canonical_resource", "consent_dependency", "emergency_case", "record_link",
    "sensitivity_determination", "access_signal", "signal_position", "erasure", "client_invitation", "adapter_state",
    "adapter_day", "request_tally",
)  # fmt: skip
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,6}Z")
_PAGE = re.compile(r"_page=[A-Za-z0-9_\-%=]+")


@dataclass(frozen=True)
class Said:
    """What a caller was told: status, headers and body as they leave the hub."""

    status: int
    headers: dict[str, str]
    text: bytes

    @property
    def body(self) -> dict[str, Any]:
        return json.loads(self.text)

    @property
    def matches(self) -> list[dict[str, Any]]:
        return [each["resource"] for each in self.body.get("entry", ()) if each["search"]["mode"] == "match"]

    @property
    def included(self) -> list[dict[str, Any]]:
        return [
            each["resource"] for each in self.body.get("entry", ()) if each["search"]["mode"] == "include"
        ]

    @property
    def ids(self) -> list[str]:
        return [each["id"] for each in self.matches]

    @property
    def total(self) -> int | None:
        return self.body.get("total")

    @property
    def next(self) -> str:
        links = [each["url"] for each in self.body.get("link", ()) if each["relation"] == "next"]
        return links[0].removeprefix(settings().fhir_url + "/") if links else ""

    def normalised(self) -> tuple[int, list[tuple[str, str]], str]:
        """The answer without what no two answers share: random ids, clocks, sealed page tokens."""
        names: dict[str, str] = {}

        def named(match: re.Match[str]) -> str:
            return names.setdefault(match.group(), f"uuid-{len(names) + 1}")

        text = _PAGE.sub("_page=token", _INSTANT.sub("instant", _UUID.sub(named, self.text.decode())))
        headers = [
            (name, _UUID.sub(named, value))
            for name, value in sorted(self.headers.items())
            if name not in ("last-modified", "content-length")
        ]
        return self.status, headers, text


class Caller:
    """One facility's system before the hub."""

    def __init__(self, spine: Spine, requester: Requester) -> None:
        self.spine = spine
        self.requester = requester

    def ask(self, request: Request) -> Said:
        try:
            answer = self.spine.perform(request, self.requester)
            answer.body, answer.stream = answer.body + b"".join(answer.stream or ()), None
            response = answer_response(answer)
        except Problem as problem:
            response = problem_response(problem)
        return Said(response.status_code, dict(response.headers), bytes(response.body))

    def get(self, path: str, **more: Any) -> Said:
        """GET below the FHIR base: a read, a search, a history or an operation, told apart as the routes do."""
        place, _, query = path.partition("?")
        pairs = tuple(parse_qsl(query, keep_blank_values=True))
        kind, *rest = place.split("/")
        told: dict[str, Any] = {
            "resource_type": kind,
            "query": pairs,
            "described": f"GET /fhir/{path}",
        } | more
        match rest:
            case [] if kind == "_history":
                return self.ask(Request("history-system", **(told | {"resource_type": ""})))
            case [] if kind.startswith("$"):
                return self.ask(
                    Request("operation", operation=kind[1:], is_safe=True, **(told | {"resource_type": ""}))
                )
            case []:
                return self.ask(Request("search-type", **told))
            case ["_history"]:
                return self.ask(Request("history-type", **told))
            case [operation] if operation.startswith("$"):
                return self.ask(Request("operation", operation=operation[1:], is_safe=True, **told))
            case [resource_id]:
                return self.ask(Request("read", resource_id=resource_id, **told))
            case [resource_id, "_history"]:
                return self.ask(Request("history-instance", resource_id=resource_id, **told))
            case [resource_id, "_history", version]:
                return self.ask(Request("vread", resource_id=resource_id, version_id=version, **told))
            case [resource_id, operation]:
                return self.ask(
                    Request(
                        "operation", resource_id=resource_id, operation=operation[1:], is_safe=True, **told
                    )
                )
            case [resource_id, "_history", version, operation]:
                return self.ask(
                    Request(
                        "operation", resource_id=resource_id, version_id=version, operation=operation[1:], is_safe=True,
                        **told,
                    )
                )  # fmt: skip
        raise AssertionError(path)

    def put(self, resource: dict[str, Any], **more: Any) -> Said:
        kind, resource_id = resource["resourceType"], resource["id"]
        told: dict[str, Any] = {
            "body": json.dumps(resource).encode(),
            "described": f"PUT /fhir/{kind}/{resource_id}",
        }
        return self.ask(Request("update", kind, resource_id, **(told | more)))

    def post(self, resource: dict[str, Any], **more: Any) -> Said:
        kind = resource["resourceType"]
        told: dict[str, Any] = {"body": json.dumps(resource).encode(), "described": f"POST /fhir/{kind}"}
        return self.ask(Request("create", kind, **(told | more)))

    def delete(self, place: str, **more: Any) -> Said:
        path, _, query = place.partition("?")
        kind, _, resource_id = path.partition("/")
        told: dict[str, Any] = {"query": tuple(parse_qsl(query)), "described": f"DELETE /fhir/{place}"}
        return self.ask(Request("delete", kind, resource_id, **(told | more)))

    def put_where(self, criteria: str, resource: dict[str, Any], **more: Any) -> Said:
        """PUT Type?criteria."""
        kind = resource["resourceType"]
        told: dict[str, Any] = {"body": json.dumps(resource).encode(), "query": tuple(parse_qsl(criteria))}
        return self.ask(Request("update", kind, described=f"PUT /fhir/{kind}", **(told | more)))

    def patch(self, place: str, patch: Any, **more: Any) -> Said:
        """PATCH Type/id or Type?criteria: a list is JSON Patch, Parameters is FHIRPath Patch."""
        path, _, query = place.partition("?")
        kind, _, resource_id = path.partition("/")
        told: dict[str, Any] = {
            "body": json.dumps(patch).encode(),
            "content_type": "application/json-patch+json"
            if isinstance(patch, list)
            else "application/fhir+json",
            "query": tuple(parse_qsl(query)),
            "described": f"PATCH /fhir/{place}",
        }
        return self.ask(Request("patch", kind, resource_id, **(told | more)))

    def operate(self, place: str, parameters: dict[str, Any] | None = None, **more: Any) -> Said:
        """POST Type/id/$operation with Parameters."""
        path, _, operation = place.partition("$")
        kind, resource_id, version = (
            *[part for part in path.split("/") if part not in ("", "_history")],
            "",
            "",
            "",
        )[:3]
        body = json.dumps(parameters).encode() if parameters else b""
        told: dict[str, Any] = {"body": body, "described": f"POST /fhir/{place}"}
        return self.ask(Request("operation", kind, resource_id, version, operation, **(told | more)))

    def bundle(self, kind: str, entries: Sequence[dict[str, Any]], **more: Any) -> Said:
        body = {"resourceType": "Bundle", "type": kind, "entry": list(entries)}
        return self.ask(Request(kind, body=json.dumps(body).encode(), described="POST /fhir", **more))  # type: ignore[arg-type]

    def store(self, *resources: dict[str, Any]) -> None:
        """Store resources that must be accepted."""
        for each in resources:
            said = self.put(deepcopy(each))
            assert said.status in (200, 201), said.text


class World:
    """One hub, and everybody who asks it."""

    def __init__(self, store: Store, url: str) -> None:
        self.database_store = store
        self._cleared: Store | None = None
        self.url = url
        self.spine = Spine(store)
        self.post = self.of(POST)
        self.hospital = self.of(HOSPITAL)
        self.institute = self.of(INSTITUTE)
        self.administrator = Caller(
            self.spine, an_administrator("system/AuditEvent.rs system/Organization.crus")
        )

    def of(self, organization: str, scopes: str = EVERY_SCOPE, **more: Any) -> Caller:
        prefix = PREFIXES.get(organization, "")
        return Caller(self.spine, a_requester(organization, scopes, id_prefix=prefix, **more))

    def clear(self) -> World:
        """The same hub, as new: nothing stored, nothing logged, nothing remembered; it goes by its policy already."""
        Spine(self.database_store).rollout.know()
        with self.sql() as cursor:
            for table in EMPTIED:
                cursor.execute(f"DELETE FROM {table}")
            cursor.execute("DELETE FROM data_key WHERE compartment <> 0")
        if self._cleared is not None:
            self._cleared.close()
        self._cleared = Store(self.database_store.engine, self.database_store.crypto)
        return World(self._cleared, self.url)

    @contextmanager
    def sql(self) -> Iterator[Any]:
        """A cursor of somebody who holds the database and not the keys. Every statement commits."""
        url = make_url(self.url).set(drivername="postgresql").render_as_string(hide_password=False)
        connection = psycopg2.connect(url)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()

    def settle(self) -> None:
        """Wait until nobody on the server is writing: what is committed has its place in histories then."""
        deadline = time.monotonic() + 30
        with self.sql() as cursor:
            while time.monotonic() < deadline:
                cursor.execute(
                    "SELECT pg_snapshot_xmin(s) = pg_snapshot_xmax(s) FROM pg_current_snapshot() s"
                )
                if cursor.fetchone()[0]:
                    return
                time.sleep(0.01)
        raise AssertionError("somebody never stops writing")

    def events(self, query: str = "") -> list[dict[str, Any]]:
        """The audit events that an administrator finds, without those of looking."""
        found: list[dict[str, Any]] = []
        page = f"AuditEvent?_sort=_lastUpdated&_count=1000{query}"
        while page:
            said = self.administrator.get(page)
            assert said.status == 200, said.text
            found += said.matches
            page = said.next
        own = self.administrator.requester.client_id
        return [each for each in found if own not in json.dumps(each)]


@contextmanager
def a_world(server: Server, like: World | None = None, root: bytes | None = None) -> Iterator[World]:
    """A new hub on a database of its own. `like` gives it the keys of another, so that equal data lies equally."""
    made = RootInMemory(root) if root else RootInMemory()
    with ExitStack() as stack:
        url = stack.enter_context(server.clone())
        if like is None:
            prepare_keys(url, settings(), made)
        store = open_store(url, settings(), made) if like is None else _twin(url, like)
        stack.callback(store.close)
        with store.transaction() as transaction:
            adopt(transaction, policy())  # a new hub's first event is none of the tests'
            transaction.commit()
        yield World(store, url)


def _twin(url: str, like: World) -> Store:
    rows: dict[str, list[tuple[Any, ...]]] = {}
    with like.sql() as cursor:
        for table in ("hub_key", "dictionary", "data_key"):
            cursor.execute(
                f"SELECT * FROM {table}" + (" WHERE compartment = 0" if table == "data_key" else "")
            )
            rows[table] = cursor.fetchall()
    connection = psycopg2.connect(
        make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    )
    with connection, connection.cursor() as cursor:
        for table, lines in rows.items():
            for line in lines:
                cursor.execute(f"INSERT INTO {table} VALUES ({','.join(['%s'] * len(line))})", line)
    connection.close()
    from exchange.store.session import make_engine

    return Store(make_engine(url, settings()), like.database_store.crypto)


def patient_of(organization: str, number: int = 1, **more: Any) -> dict[str, Any]:
    """A facility's Patient; equal numbers are one person, whoever describes it."""
    from tests.sample.patient import a_patient

    told: dict[str, Any] = {
        "family": f"Quispe {_word(number)}", "given": ("Rosa", _word(number + 700)),
        "dni": f"{40_000_000 + number:08d}", "birth_date": f"{1950 + number % 60}-03-09",
    } | more  # fmt: skip
    return a_patient(f"{PREFIXES[organization]}p{number}", **told)


def _word(number: int) -> str:
    letters = ""
    for _ in range(5):
        number, rest = divmod(number * 7 + 3, 25)
        letters += chr(97 + rest)
    return letters.capitalize()


def entry(
    method: str, url: str, resource: dict[str, Any] | None = None, full_url: str = "", **request: Any
) -> dict[str, Any]:
    """One entry of a batch or transaction."""
    made: dict[str, Any] = {"request": {"method": method, "url": url} | request}
    if resource is not None:
        made["resource"] = resource
    if full_url:
        made["fullUrl"] = full_url
    return made


def seal_all(world: World) -> None:
    """Seal every event of a world in one pass."""
    seal_every_event(world.spine, world.database_store)
