"""patch: the two languages, what may not be changed by them, and how much they may cost."""

from __future__ import annotations

import base64
import contextlib
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.interactions import fhirpath_patch, json_patch
from exchange.problems import Problem, TooCostly
from tests.passage.world import entry, patient_of
from tests.sample.consent import a_consent
from tests.sample.observation import an_observation
from tests.sample.requester import HOSPITAL, POST

IDENTIFIERS = [{"system": "http://example.org", "value": f"value {number}"} for number in range(1, 5)]


@pytest.fixture
def world(empty):
    empty.post.store(patient_of(POST, 1), patient_of(POST, 2), an_observation("posta-o1", "posta-p1"))
    return empty


def operation(kind: str, path: str, **parts) -> dict:
    rows = [{"name": "type", "valueCode": kind}, {"name": "path", "valueString": path}]
    for name, value in parts.items():
        if name == "name":
            rows.append({"name": name, "valueString": value})
        elif name == "value":
            rows.append({"name": name, **value})
        else:
            rows.append({"name": name, "valueInteger": value})
    return {"name": "operation", "part": rows}


def parameters(*operations: dict) -> dict:
    return {"resourceType": "Parameters", "parameter": list(operations)}


def applied(resource: dict, *operations: dict) -> dict:
    return fhirpath_patch.read(parameters(*operations))(
        json.loads(json.dumps({"resourceType": "Patient"} | resource))
    )


# --- through the spine


def test_a_json_patch_makes_a_version(world):
    said = world.post.patch(
        "Observation/posta-o1",
        [
            {"op": "replace", "path": "/status", "value": "amended"},
            {"op": "test", "path": "/status", "value": "amended"},
        ],
    )
    assert (said.status, said.headers["etag"], said.body["status"]) == (200, 'W/"2"', "amended")
    assert world.post.get("Observation/posta-o1").body["status"] == "amended"


def test_a_fhirpath_patch_makes_a_version(world):
    patch = parameters(operation("replace", "Observation.status", value={"valueCode": "amended"}))
    said = world.post.patch("Observation/posta-o1", patch)
    assert (said.status, said.headers["etag"], said.body["status"]) == (200, 'W/"2"', "amended")


def test_a_patch_that_changes_nothing_makes_no_version(world):
    for patch in ([], [{"op": "replace", "path": "/status", "value": "final"}], parameters()):
        said = world.post.patch("Observation/posta-o1", patch)
        assert (said.status, said.headers["etag"]) == (200, 'W/"1"')
    assert len(world.post.get("Observation/posta-o1/_history").body["entry"]) == 1


def test_decimals_keep_their_digits(world):
    world.post.patch("Observation/posta-o1", [{"op": "add", "path": "/note", "value": [{"text": "x"}]}])
    from exchange.request import Request

    body = b'[{"op":"replace","path":"/valueQuantity/value","value":1.5000}]'
    said = world.post.ask(
        Request("patch", "Observation", "posta-o1", body=body, content_type="application/json-patch+json")
    )
    assert b'"value":1.5000' in said.text
    body = b'[{"op":"test","path":"/valueQuantity/value","value":1.5},{"op":"add","path":"/note/-","value":{"text":"y"}}]'
    said = world.post.ask(
        Request("patch", "Observation", "posta-o1", body=body, content_type="application/json-patch+json")
    )
    assert said.status == 200
    assert b'"value":1.5000' in said.text


@pytest.mark.parametrize("patch", [
    [{"op": "test", "path": "/status", "value": "amended"}],
    [{"op": "test", "path": "/valueQuantity/value", "value": True}],
    [{"op": "remove", "path": "/absent"}],
    [{"op": "replace", "path": "/absent/x", "value": 1}],
    [{"op": "remove", "path": "/status/0"}],
    [{"op": "add", "path": "/code/coding/7", "value": {}}],
    [{"op": "move", "from": "/code", "path": "/code/coding"}],
    [{"op": "replace", "path": "", "value": []}],
    [{"op": "replace", "path": "/id", "value": "posta-o2"}],
    [{"op": "remove", "path": "/id"}],
    [{"op": "replace", "path": "/resourceType", "value": "Basic"}],
    [{"op": "replace", "path": "/meta/versionId", "value": "9"}],
    [{"op": "replace", "path": "/meta/lastUpdated", "value": "2020-01-01T00:00:00Z"}],
    parameters(operation("replace", "Observation.status.absent", value={"valueCode": "x"})),
    parameters(operation("replace", "Observation.category", value={"valueCode": "x"})),
    parameters(operation("replace", "Observation.id", value={"valueId": "posta-o2"})),
    parameters(operation("delete", "Observation")),
    parameters(operation("delete", "Observation.id")),
    parameters(operation("add", "Observation", name="status", value={"valueCode": "final"})),
    parameters(operation("add", "Observation", name="colour", value={"valueCode": "final"})),
    parameters(operation("insert", "Observation.category", index=3, value={"valueCodeableConcept": {"text": "x"}})),
    parameters(operation("move", "Observation.code.coding", source=0, destination=1)),
    parameters(operation("insert", "Observation.status", index=0, value={"valueCode": "x"})),
], ids=lambda each: json.dumps(each)[:60])  # fmt: skip
def test_a_patch_that_cannot_be_carried_out_is_a_422_and_changes_nothing(world, patch):
    before = world.post.get("Observation/posta-o1").text
    assert world.post.patch("Observation/posta-o1", patch).status == 422
    assert world.post.get("Observation/posta-o1").text == before


@pytest.mark.parametrize("patch", [
    {}, {"op": "remove", "path": "/status"}, [7], [{"op": "erase", "path": "/status"}], [{"op": "remove"}], [{"op": "add", "path": "/x"}],
    [{"op": "remove", "path": 1}], [{"op": "remove", "path": "status"}], [{"op": "remove", "path": "/a~2"}], [{"op": "move", "path": "/a"}],
    [{"op": "remove", "path": "/status"}],
    [{"op": "replace", "path": "/status", "value": "colourful"}],
    [{"op": "add", "path": "/unknown", "value": 1}],
    parameters({"name": "other"}), parameters(operation("erase", "Observation.status")), parameters(operation("delete", "Observation.status", index=1)),
    parameters(operation("replace", "Observation.status")), parameters(operation("delete", "Observation.status.matches('(a+)+b')")),
    parameters(operation("delete", "Observation.descendants()")), parameters(operation("delete", "Observation.code.where(%resource.status = 'final')")),
    parameters(operation("delete", "Observation..status")), parameters(operation("delete", "Observation.status")),
    parameters(operation("replace", "Observation.value", value={"valueCodeableConcept": {"text": 7}})),
], ids=lambda each: json.dumps(each)[:60])  # fmt: skip
def test_what_is_no_patch_or_leaves_no_valid_resource_is_a_400(world, patch):
    said = world.post.patch(
        "Observation/posta-o1",
        patch,
        **({"content_type": "application/json-patch+json"} if patch == {} or "op" in patch else {}),
    )
    assert said.status == 400, said.text
    assert "colourful" not in said.text.decode()


def test_if_match_guards_a_patch(world):
    amend = [{"op": "replace", "path": "/status", "value": "amended"}]
    assert world.post.patch("Observation/posta-o1", amend, if_match='W/"2"').status == 412
    assert world.post.patch("Observation/posta-o1", amend, if_match='W/"1"').status == 200
    assert world.post.patch("Observation/posta-o1", amend, if_match='W/"1"').status == 412


def test_what_is_hidden_or_anothers_looks_absent(world):
    amend = [{"op": "replace", "path": "/status", "value": "amended"}]
    absent = world.hospital.patch("Observation/posta-none", amend)
    assert absent.status == 404
    assert world.hospital.patch("Observation/posta-o1", amend).normalised() == absent.normalised()
    world.post.store(a_consent("posta-c1", "posta-p1", permit=HOSPITAL))
    assert world.hospital.get("Observation/posta-o1").status == 200
    assert world.hospital.patch("Observation/posta-o1", amend).normalised() == absent.normalised()
    unit = {"resourceType": "Organization", "id": "posta-u1", "name": "UNIDAD"}
    world.post.store(unit)
    assert (
        world.hospital.patch(
            "Organization/posta-u1", [{"op": "replace", "path": "/name", "value": "X"}]
        ).status
        == 404
    )


def test_what_was_deleted_is_gone(world):
    world.post.delete("Observation/posta-o1")
    assert world.post.patch("Observation/posta-o1", []).status == 410


def test_a_patch_does_not_move_a_resource_to_another_patient(world):
    moved = [{"op": "replace", "path": "/subject/reference", "value": "Patient/posta-p2"}]
    assert world.post.patch("Observation/posta-o1", moved).status == 409
    moved = [{"op": "replace", "path": "/subject/reference", "value": "Patient/hospital-p1"}]
    assert world.post.patch("Observation/posta-o1", moved).status == 422


def test_a_patch_cannot_widen_ones_own_consent(world):
    world.post.store(a_consent("posta-c1", "posta-p1", permit=HOSPITAL))
    itself = [
        {"op": "replace", "path": "/provision/actor/0/reference/reference", "value": f"Organization/{POST}"}
    ]
    assert world.post.patch("Consent/posta-c1", itself).status == 403
    denied = [{"op": "replace", "path": "/provision/type", "value": "deny"}]
    assert world.hospital.get("Observation/posta-o1").status == 200
    assert world.post.patch("Consent/posta-c1", denied).status == 200
    assert world.hospital.get("Observation/posta-o1").status == 404


@pytest.mark.parametrize(
    "scopes", ["system/Observation.u", "system/Observation.r", "system/Observation.cds", "system/Patient.ru"]
)
def test_a_patch_needs_to_read_and_to_update(world, scopes):
    assert world.of(POST, scopes).patch("Observation/posta-o1", []).status == 403


def test_reading_and_updating_are_enough(world):
    assert world.of(POST, "system/Observation.ru").patch("Observation/posta-o1", []).status == 200


def test_criteria_find_the_one_to_patch(world):
    amend = [{"op": "replace", "path": "/status", "value": "amended"}]
    assert world.post.patch("Observation?patient=posta-p2", amend).status == 404
    assert world.post.patch("Observation?patient=posta-p1", amend).body["status"] == "amended"
    world.post.store(an_observation("posta-o2", "posta-p1"))
    assert world.post.patch("Observation?patient=posta-p1", amend).status == 412
    assert world.post.patch("Observation", amend).status == 400
    assert world.hospital.patch("Observation?_id=posta-o1", amend).status == 404
    assert world.of(POST, "system/Observation.ru").patch("Observation?_id=posta-o1", amend).status == 403


def test_a_stale_narrative_does_not_stay(world):
    told = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Rosa</div>'}
    world.post.store(patient_of(POST, 1, text=told))
    named = [{"op": "replace", "path": "/gender", "value": "male"}]
    assert "text" not in world.post.patch("Patient/posta-p1", named).body
    world.post.store(patient_of(POST, 1, text=told | {"status": "additional"}))
    assert world.post.patch("Patient/posta-p1", named).status == 422
    both = [*named, {"op": "replace", "path": "/text/div", "value": told["div"].replace("Rosa", "Rose")}]
    assert "Rose" in world.post.patch("Patient/posta-p1", both).body["text"]["div"]
    tagged = [{"op": "add", "path": "/meta/tag", "value": [{"code": "x"}]}]
    assert "text" in world.post.patch("Patient/posta-p1", tagged).body


def test_a_patch_is_audited_as_an_update(world):
    world.post.patch("Observation/posta-o1", [{"op": "replace", "path": "/status", "value": "amended"}])
    world.hospital.patch("Observation/posta-o1", [])
    told = [(each["subtype"][0]["code"], each["action"], each["outcome"]) for each in world.events()]
    assert told[-2:] == [("patch", "U", "0"), ("patch", "U", "4")]


def test_a_binary_is_not_patched(world):
    assert world.post.patch("Binary/posta-b1", []).status == 400


# --- inside of bundles


def test_patches_stand_in_bundles_too(world):
    text = json.dumps([{"op": "replace", "path": "/status", "value": "amended"}]).encode()
    binary = {
        "resourceType": "Binary",
        "contentType": "application/json-patch+json",
        "data": base64.b64encode(text).decode(),
    }
    path = parameters(operation("replace", "Patient.gender", value={"valueCode": "male"}))
    for kind in ("transaction", "batch"):
        entries = [entry("PATCH", "Observation/posta-o1", binary), entry("PATCH", "Patient/posta-p1", path)]
        said = world.post.bundle(kind, entries)
        assert [each["response"]["status"] for each in said.body["entry"]] == ["200", "200"]
    assert world.post.get("Observation/posta-o1").body["status"] == "amended"
    assert world.post.get("Patient/posta-p1").body["gender"] == "male"
    assert world.post.get("Patient/posta-p1").headers["etag"] == 'W/"2"'


# --- FHIRPath Patch, by its own


def test_operations_on_elements_of_every_kind():
    assert (
        applied(
            {"birthDate": "1920-01-01"},
            operation("replace", "Patient.birthDate", value={"valueDate": "1930-01-01"}),
        )["birthDate"]
        == "1930-01-01"
    )
    assert "birthDate" not in applied({"birthDate": "1920-01-01"}, operation("delete", "Patient.birthDate"))
    contact = {"contact": [{"name": {"text": "a name"}, "gender": "male"}]}
    assert applied(contact, operation("delete", "Patient.contact[0].name.text"))["contact"] == [
        {"gender": "male"}
    ]
    assert (
        applied(contact, operation("replace", "Patient.contact.gender", value={"valueCode": "female"}))[
            "contact"
        ][0]["gender"]
        == "female"
    )
    made = applied(
        {},
        operation(
            "add",
            "Patient",
            name="contact",
            value={
                "part": [
                    {"name": "name", "valueHumanName": {"text": "n"}},
                    {"name": "relationship", "valueCodeableConcept": {"text": "r"}},
                ]
            },
        ),
    )
    assert made["contact"] == [{"name": {"text": "n"}, "relationship": [{"text": "r"}]}]
    assert applied(
        {"deceasedBoolean": False}, operation("replace", "Patient.deceased", value={"valueDateTime": "2020"})
    ) == {"resourceType": "Patient", "deceasedDateTime": "2020"}
    assert applied({}, operation("delete", "Patient.birthDate")) == {"resourceType": "Patient"}
    assert applied(
        {}, operation("add", "Patient", name="contained", value={"resource": {"resourceType": "Basic"}})
    )["contained"] == [{"resourceType": "Basic"}]


@pytest.mark.parametrize(
    ("source", "destination", "order"),
    [(3, 1, "1423"), (3, 0, "4123"), (3, 2, "1243"), (0, 3, "2341"), (1, 1, "1234")],
)
def test_a_list_is_reordered(source, destination, order):
    patched = applied(
        {"identifier": IDENTIFIERS},
        operation("move", "Patient.identifier", source=source, destination=destination),
    )
    assert "".join(each["value"][-1] for each in patched["identifier"]) == order


@pytest.mark.parametrize(("index", "order"), [(0, "9123"), (1, "1923"), (3, "1239")])
def test_an_element_is_inserted(index, order):
    value = {"valueIdentifier": {"value": "value 9"}}
    patched = applied(
        {"identifier": IDENTIFIERS[:3]}, operation("insert", "Patient.identifier", index=index, value=value)
    )
    assert "".join(each["value"][-1] for each in patched["identifier"]) == order


@pytest.mark.parametrize("path", [
    "Patient.identifier.where(value = 'value 2')", "Patient.identifier[1]", "identifier[1]", "Patient.identifier.where(system.exists() and value = 'value 2')",
    "Patient.identifier.where(value != 'value 1' and value != 'value 3').first()", "Patient.identifier.where(value = 'x' or value = 'value 2').last()",
])  # fmt: skip
def test_a_path_selects_one(path):
    patched = applied({"identifier": IDENTIFIERS[:3]}, operation("delete", path))
    assert [each["value"] for each in patched["identifier"]] == ["value 1", "value 3"]


def test_extensions_of_resources_and_of_primitives():
    extended = {"extension": [{"url": "urn:a", "valueString": "x"}, {"url": "urn:b", "valueCode": "y"}]}
    patched = applied(
        extended, operation("replace", "Patient.extension('urn:b').value", value={"valueString": "z"})
    )
    assert patched["extension"][1] == {"url": "urn:b", "valueString": "z"}
    patched = applied(
        {"birthDate": "1920"},
        operation(
            "add",
            "Patient.birthDate",
            name="extension",
            value={"valueExtension": {"url": "urn:a", "valueString": "x"}},
        ),
    )
    assert patched["_birthDate"] == {"extension": [{"url": "urn:a", "valueString": "x"}]}
    assert applied(patched, operation("delete", "Patient.birthDate.extension('urn:a')")) == {
        "resourceType": "Patient",
        "birthDate": "1920",
    }
    given = {"name": [{"given": ["a", "b"], "_given": [None, {"id": "x"}]}]}
    assert applied(given, operation("move", "Patient.name[0].given", source=1, destination=0))["name"] == [
        {"given": ["b", "a"], "_given": [{"id": "x"}, None]}
    ]
    assert applied(given, operation("delete", "Patient.name[0].given[1]"))["name"] == [{"given": ["a"]}]
    inserted = applied(
        given, operation("insert", "Patient.name[0].given", index=0, value={"valueString": "c"})
    )
    assert inserted["name"] == [{"given": ["c", "a", "b"], "_given": [None, None, {"id": "x"}]}]


# --- bounds


def _bounded(change, resource) -> None:
    start = time.monotonic()
    with pytest.raises(Problem):
        change()(resource)
    assert time.monotonic() - start < 5


def test_copies_do_not_double_without_end():
    tree = {"resourceType": "Basic", "id": "x", "extension": [{"url": "urn:x", "valueString": "x" * 1000}]}
    doubling = [{"op": "copy", "from": "/extension", "path": "/extension/-"}] * 400
    _bounded(lambda: json_patch.read(json.dumps(doubling).encode()), json.loads(json.dumps(tree)))
    nesting = [{"op": "copy", "from": "", "path": "/extension/0/nested"}] * 400
    _bounded(lambda: json_patch.read(json.dumps(nesting).encode()), tree)


def test_patches_are_short():
    with pytest.raises(TooCostly):
        json_patch.read(json.dumps([{"op": "test", "path": "/a", "value": 1}] * 501).encode())
    with pytest.raises(TooCostly):
        fhirpath_patch.read(parameters(*[operation("delete", "Patient.active")] * 501))
    with pytest.raises(TooCostly):
        fhirpath_patch.read(parameters(operation("delete", "Patient" + ".contact" * 200)))


def test_paths_that_visit_too_much_are_ended():
    crowd = {"name": [{"given": ["x"] * 50} for _ in range(2000)]}
    path = (
        "Patient.name.where("
        + " or ".join(["given.exists()"] * 20).replace("given", "given.where($this = 'y')")
        + ")"
    )
    start = time.monotonic()
    with pytest.raises(Problem):
        applied(crowd, operation("delete", path[:490]))
    assert time.monotonic() - start < 5


def test_what_follows_the_array_is_no_part_of_the_patch():
    for text in (
        b'[],"y":1',
        b'[]}{"patch":[]',
        b"",
        b"[",
        b"[" * 10_000,
        b'[],"patch":[{"op":"remove","path":"/id"}]',
    ):
        with pytest.raises(Problem):
            json_patch.read(text)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "url", "id", "text"]), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
_POINTERS = st.lists(
    st.sampled_from(["name", "0", "1", "-", "given", "id", "text", "a", "~0", "extension", "01"]), max_size=4
).map(lambda parts: "".join(f"/{part}" for part in parts))
_OPERATIONS = st.fixed_dictionaries(
    {
        "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]),
        "path": _POINTERS,
        "from": _POINTERS,
        "value": _VALUES,
    }
)


@given(st.lists(_OPERATIONS, max_size=6))
def test_any_patch_is_applied_or_refused(operations):
    """No patch of any form ends in anything but a result or a problem, and none changes the patch itself."""
    resource = {"resourceType": "Patient", "id": "x", "name": [{"given": ["a", "b"]}, {"text": "t"}]}
    before = json.dumps(operations)
    with contextlib.suppress(Problem):
        json_patch.read(before.encode())(resource)
    assert json.dumps(operations) == before


_PATHS = st.lists(
    st.sampled_from(
        [
            "Patient",
            "name",
            "given",
            "[0]",
            "[1]",
            "extension('u')",
            "where(given = 'a')",
            "first()",
            "birthDate",
            "value",
            "deceased",
            "x",
        ]
    ),
    min_size=1,
    max_size=5,
).map(lambda parts: ".".join(parts).replace(".[", "["))
_PATH_OPERATIONS = st.one_of(
    st.builds(lambda path: operation("delete", path), _PATHS),
    st.builds(lambda path, name, value: operation("add", path, name=name, value=value), _PATHS, st.sampled_from(["name", "given", "extension", "birthDate", "deceased", "id", "y"]),
              st.sampled_from([{"valueString": "v"}, {"valueHumanName": {"text": "n"}}, {"valueExtension": {"url": "u"}}, {"valueBoolean": True}, {"part": []}])),
    st.builds(lambda path, index: operation("insert", path, index=index, value={"valueString": "v"}), _PATHS, st.integers(0, 3)),
    st.builds(lambda path, one, two: operation("move", path, source=one, destination=two), _PATHS, st.integers(0, 2), st.integers(0, 2)),
    st.builds(lambda path: operation("replace", path, value={"valueString": "v"}), _PATHS),
)  # fmt: skip


@given(st.lists(_PATH_OPERATIONS, max_size=5))
def test_any_path_patch_is_applied_or_refused(operations):
    resource = {
        "name": [{"given": ["a", "b"], "_given": [{"id": "i"}, None]}],
        "birthDate": "1920",
        "_birthDate": {"extension": [{"url": "u"}]},
    }
    try:
        patched = applied(resource, *operations)
    except Problem:
        return
    assert patched["resourceType"] == "Patient"
    for name in patched.get("name", ()):
        if isinstance(name, dict) and isinstance(name.get("_given"), list):
            assert len(name["_given"]) <= len(name.get("given", name["_given"]))
