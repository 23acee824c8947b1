"""Every way into the hub writes its event, exactly once: each interaction, operation, route and command is gone through.

Who adds one without an example here, or one that writes no event, fails this file.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from exchange.acts import ACTS, OPERATIONS
from exchange.app import create_app
from exchange.cli import app as cli
from exchange.request import Request
from tests.exchange.operations.test_authorisations import a_form, file, revoke
from tests.exchange.policy.test_determination import a_determination, now
from tests.passage.live_hub import live_hub
from tests.passage.world import World, entry, patient_of
from tests.sample.consent import a_consent
from tests.sample.emergency import a_physician, an_officer, close, opened, the_patient, try_to_open
from tests.sample.observation import an_observation
from tests.sample.requester import HOSPITAL, POST

TREE = Path(__file__).parents[2]
UNIT = {"resourceType": "Organization", "name": "UNIDAD"}
CODES = {"resourceType": "CodeSystem", "id": "posta-cs", "url": "urn:test:codes", "status": "active",
         "content": "complete", "hierarchyMeaning": "is-a", "concept": [{"code": "a", "concept": [{"code": "b"}]}]}  # fmt: skip
VALUES = {"resourceType": "ValueSet", "id": "posta-vs", "url": "urn:test:values", "status": "active",
          "compose": {"include": [{"system": "urn:test:codes"}]}}  # fmt: skip
MAP = {"resourceType": "ConceptMap", "id": "posta-cm", "url": "urn:test:map", "status": "active", "group": [
    {"source": "urn:test:codes", "target": "urn:test:codes", "element": [
        {"code": "a", "target": [{"code": "b", "equivalence": "wider"}]}]}]}  # fmt: skip
ENCOUNTER = {"resourceType": "Encounter", "id": "posta-e1", "status": "finished", "class": {"code": "AMB"},
             "subject": {"reference": "Patient/posta-p1"}}  # fmt: skip
DOCUMENT = {"resourceType": "Composition", "id": "posta-d1", "status": "final", "type": {"text": "Resumen"}, "title": "Resumen",
            "date": "2026-05-01", "author": [{"display": "x"}], "subject": {"reference": "Patient/posta-p1"}}  # fmt: skip
META = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"tag": [{"code": "x"}]}}]}


@pytest.fixture
def world(empty) -> World:
    empty.post.store(
        patient_of(POST, 1),
        an_observation("posta-o1", "posta-p1"),
        CODES,
        VALUES,
        MAP,
        ENCOUNTER,
        DOCUMENT,
        a_consent("posta-c1", "posta-p1", permit=HOSPITAL),
    )
    empty.hospital.store(patient_of(HOSPITAL, 2))
    return empty


def written(world: World, act: Callable[[], Any]) -> int:
    """How many events an act leaves; it must be done, not refused."""
    before = count(world)
    said = act()
    assert said.status < 400, said.text
    return count(world) - before


def count(world: World) -> int:
    with world.sql() as cursor:
        cursor.execute("SELECT count(*) FROM audit_event")
        return int(cursor.fetchone()[0])


def parameters(**values: Any) -> dict[str, Any]:
    return {
        "resourceType": "Parameters",
        "parameter": [{"name": name.replace("_", "-"), **value} for name, value in values.items()],
    }


def text(value: str) -> dict[str, str]:
    return {"valueString": value}


PATCH = [{"op": "replace", "path": "/status", "value": "amended"}]
INTERACTIONS: dict[str, Callable[[World], Any]] = {
    "read": lambda w: w.post.get("Patient/posta-p1"),
    "vread": lambda w: w.post.get("Patient/posta-p1/_history/1"),
    "update": lambda w: w.post.put(an_observation("posta-o1", "posta-p1", status="amended")),
    "patch": lambda w: w.post.patch("Observation/posta-o1", PATCH),
    "delete": lambda w: w.post.delete("Observation/posta-o1"),
    "create": lambda w: w.post.post(dict(UNIT)),
    "history-instance": lambda w: w.post.get("Patient/posta-p1/_history"),
    "history-type": lambda w: w.post.get("Observation/_history"),
    "history-system": lambda w: w.post.get("_history"),
    "search-type": lambda w: w.post.get("Observation?patient=posta-p1"),
    "search-system": lambda w: w.post.ask(
        Request("search-system", query=(("_type", "Observation"), ("code", "x")), described="GET /fhir")
    ),
    "transaction": lambda w: w.post.bundle("transaction", [entry("POST", "Organization", dict(UNIT))]),
    "batch": lambda w: w.post.bundle("batch", [entry("GET", "Patient/posta-p1")]),
}
OPERATED: dict[str, Callable[[World], Any]] = {
    "access-statistics": lambda w: w.administrator.get("AuditEvent/$access-statistics"),
    "access-log": lambda w: the_patient(w).get("Patient/posta-p1/$access-log?_count=1"),
    "access-signals": lambda w: w.administrator.get("AuditEvent/$access-signals"),
    "judge-signal": lambda w: w.administrator.operate(
        "AuditEvent/$judge-signal", parameters(number=text(w.signal), verdict=text("explained"))
    ),
    "question-access": lambda w: the_patient(w).operate(
        "Patient/posta-p1/$question-access", parameters(event=text(w.seen))
    ),
    "report-output": lambda w: w.post.operate(
        "Patient/posta-p1/$report-output",
        parameters(kind=text("print"), reason=text("Interconsulta"), resource=text("Observation/posta-o1")),
    ),
    "disclosure": lambda w: w.administrator.get(f"AuditEvent/{w.event}/$disclosure?case=EXP-1"),
    "accesses": lambda w: w.administrator.get("AuditEvent/$accesses?_count=1"),
    "adapter-states": lambda w: w.administrator.get("Device/$adapter-states"),
    "determine-sensitivity": lambda w: w.post.operate(
        "Encounter/posta-e1/$determine-sensitivity", a_determination("V", now())
    ),
    "docref": lambda w: w.post.get("DocumentReference/$docref?patient=posta-p1"),
    "document": lambda w: w.post.get("Composition/posta-d1/$document"),
    "everything": lambda w: w.post.get("Patient/posta-p1/$everything"),
    "expand": lambda w: w.post.get("ValueSet/posta-vs/$expand"),
    "file": lambda w: file(w, a_form("posta-c9")),
    "lastn": lambda w: w.post.get("Observation/$lastn?patient=posta-p1&category=vital-signs"),
    "lookup": lambda w: w.post.get("CodeSystem/$lookup?system=urn:test:codes&code=a"),
    "meta": lambda w: w.post.get("Patient/posta-p1/$meta"),
    "meta-add": lambda w: w.post.operate("Patient/posta-p1/$meta-add", META),
    "meta-delete": lambda w: w.post.operate("Patient/posta-p1/$meta-delete", META),
    "open-emergency": lambda w: try_to_open(a_physician(w), "hospital-p2"),
    "close-emergency": lambda w: close(an_officer(w), w.case),
    "emergency-cases": lambda w: an_officer(w).get("$emergency-cases"),
    "revoke": lambda w: revoke(w.post),
    "subsumes": lambda w: w.post.get("CodeSystem/$subsumes?system=urn:test:codes&codeA=a&codeB=b"),
    "translate": lambda w: w.post.get("ConceptMap/posta-cm/$translate?code=a&system=urn:test:codes"),
    "validate": lambda w: w.post.operate("Patient/$validate", patient_of(POST, 3)),
    "validate-code": lambda w: w.post.get("ValueSet/posta-vs/$validate-code?code=a&system=urn:test:codes"),
}


@pytest.mark.parametrize("interaction", sorted([*ACTS, "batch"]))
def test_an_interaction(world, interaction):
    assert written(world, lambda: INTERACTIONS[interaction](world)) == 1


def prepare(world: World, operation: str) -> None:
    """What has to stand before an operation is asked for."""
    if operation == "close-emergency":
        world.case = opened(a_physician(world), "hospital-p2")
    world.event = world.events()[-1]["id"]
    if operation in ("judge-signal", "question-access"):
        world.post.get("Observation/posta-o1")
        world.seen = world.events()[-1]["id"]
    if operation == "judge-signal":
        said = OPERATED["question-access"](world)
        world.signal = said.body["parameter"][0]["valueString"]


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_an_operation(world, operation):
    prepare(world, operation)
    assert written(world, lambda: OPERATED[operation](world)) == 1


def test_an_act_on_several_records_is_an_event_for_each(world):
    world.post.store(patient_of(POST, 5), an_observation("posta-o5", "posta-p5"))
    assert written(world, lambda: world.post.get("Observation?code=8480-6")) == 2
    assert written(world, lambda: world.post.get("Observation?code=8480-6&_count=0")) == 1


def test_a_link_is_an_event_in_the_log_of_each_record(world):
    """One of the act, and one for each of both records: of the hub's own, and neither names the other."""
    one = patient_of(HOSPITAL, 1)
    assert written(world, lambda: world.hospital.put(one)) == 3
    linked = [each for each in world.events() if each["subtype"][0]["code"] == "link"]
    assert {each["entity"][0]["what"]["reference"] for each in linked} == {
        "Patient/posta-p1",
        "Patient/hospital-p1",
    }
    for each in linked:
        assert len(each["entity"]) == 1
        assert [who["who"] for who in each["agent"]] == [{"display": "Chasqui regional hub"}]
        assert each["outcomeDesc"] == "document-and-demographics"
    # What does not agree any more leaves; what shares a number and disagrees waits for a person.
    moved = patient_of(HOSPITAL, 1, birth_date="1991-01-01")
    assert written(world, lambda: world.hospital.put(moved)) == 5
    kinds = sorted(each["subtype"][0]["code"] for each in world.events()[-5:])
    assert kinds == ["review", "review", "unlink", "unlink", "update"]
    assert written(world, lambda: world.hospital.put(moved | {"language": "es"})) == 1


# --- the doors


OPEN = {
    "/fhir/metadata", "/fhir/.well-known/smart-configuration", "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration", "/auth/jwks", "/openapi.json", "/docs", "/health/live", "/health/ready",
}  # fmt: skip
"""What says the same to everybody, of the program alone."""
UNAUDITED = {
    "/adapters/state": "an adapter's report that is taken speaks of nobody, and comes every few minutes from each facility",
    "/metrics": "counts, for operators who ask every few seconds; where no token is set, there is nothing at this address",
}
"""What leaves no event where it is granted, and why; a refusal is one everywhere. See docs/audit.md."""
PROVIDER = "/provider"
"""The demonstration's own provider stands in for somebody else's: what it leads to is an event at /auth/callback."""
FILLED = {
    "{resource_type}": "Patient", "{resource_id}": "posta-p1", "{version_id}": "1", "{operation}": "meta",
    "{compartment_type}": "Patient", "{compartment_id}": "posta-p1",
}  # fmt: skip


def routes() -> Iterator[tuple[str, str]]:
    """Every method and path of the application."""

    def inside(found: Any) -> Iterator[tuple[str, str]]:
        for each in found:
            if hasattr(each, "original_router"):
                yield from inside(each.original_router.routes)
            else:
                for method in sorted(each.methods - {"HEAD", "OPTIONS"}):
                    yield method, each.path

    yield from inside(create_app().routes)


@pytest.fixture(scope="module")
def live(server):
    with live_hub(server) as hub:
        hub.world.post.store(patient_of(POST, 1), an_observation("posta-o1", "posta-p1"))
        yield hub


ROUTES = sorted(set(routes()))


@pytest.mark.parametrize(("method", "path"), ROUTES, ids=[" ".join(each) for each in ROUTES])
def test_a_route(live, method, path):
    """Whatever comes of it, granted or refused, asked by somebody known or by nobody: one event, or none of open ones."""
    if path.startswith(PROVIDER):
        pytest.skip("the demonstration's own provider")
    place = path
    for name, value in FILLED.items():
        place = place.replace(name, value)
    known = {"Authorization": f"Bearer {live.clients['posta'].token()}"}
    form = {"data": {"token": "x"}} if path.startswith("/auth/") and method == "POST" else {}
    for headers in (known, {}):
        before = count(live.world)
        live.http(method, place, headers=headers, **form)
        is_open = path in OPEN or path == "/metrics"
        assert count(live.world) - before == (0 if is_open else 1), (place, bool(headers))


def test_what_is_granted_without_an_event_is_told(live):
    said = (TREE / "docs" / "audit.md").read_text("utf-8")
    for path in UNAUDITED:
        assert path in {place for _, place in ROUTES}
        assert f"`{path}`" in said


def test_a_path_that_is_no_route(live):
    before = count(live.world)
    assert live.http("GET", "/nowhere").status_code == 404
    assert count(live.world) == before


# --- the commands


NO_ACTS = {
    "serve", "work", "doctor", "adapters", "demo", "demo-token", "demo-code", "demo-sign-in", "audit verify", "audit seal",
    "accounts list", "people list", "package list", "clients list", "backup list", "keys status", "keys rewrap", "policy check", "policy show", "terminology list",
    "witness init", "witness serve", "witness show", "audit head", "audit keys",
}  # fmt: skip
"""What changes nothing that anybody decides: it starts processes, tells how things stand, or does a worker's step.

A witness is no part of the hub: it has neither its database nor a key of it."""


def commands(app: typer.Typer, before: str = "") -> Iterator[tuple[str, str]]:
    """Every command of the program by its words, and the text of what it does."""
    for each in app.registered_commands:
        assert each.callback is not None
        name = each.name or each.callback.__name__.replace("_", "-")
        source = ast.parse(Path(each.callback.__code__.co_filename).read_text())
        functions = {node.name: node for node in ast.walk(source) if isinstance(node, ast.FunctionDef)}
        yield f"{before}{name}", _with_called(functions, each.callback.__name__, set())
    for group in app.registered_groups:
        assert group.typer_instance is not None
        yield from commands(group.typer_instance, f"{before}{group.name} " if group.name else before)


def _with_called(functions: dict[str, ast.FunctionDef], name: str, seen: set[str]) -> str:
    """The text of a function, and of those of its file that it calls."""
    seen.add(name)
    called = {
        node.id for node in ast.walk(functions[name]) if isinstance(node, ast.Name) and node.id in functions
    }
    text = ast.unparse(functions[name])
    return text + "".join(_with_called(functions, each, seen) for each in sorted(called - seen))


COMMANDS = dict(commands(cli))


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_a_command(command):
    """An operator's act goes through `operate`, which writes its event in the act's own transaction."""
    assert (".operate(" in COMMANDS[command]) == (command not in NO_ACTS)


def test_what_an_operator_does_is_an_event_that_says_who(world):
    before = count(world)
    world.spine.operate("clients suspend posta", lambda transaction: None)
    assert count(world) - before == 1
    event = world.events()[-1]
    assert event["agent"][0]["who"]["identifier"]["system"] == "urn:chasqui:operator"
    assert event["agent"][0]["who"]["identifier"]["value"]
    assert event["outcomeDesc"] == "operator"
