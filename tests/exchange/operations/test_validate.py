"""$validate: base R4, profiles, slices, bindings, rules - what each refuses, and that it lets the rest be."""

from __future__ import annotations

import pytest

from exchange.fhir.validate import check
from tests.exchange.operations.call import call, given
from tests.exchange.terminology.conftest import COLOURS, a_code_system, a_value_set
from tests.passage.world import patient_of
from tests.sample.observation import an_observation
from tests.sample.requester import POST

SD = "http://hl7.org/fhir/StructureDefinition/"
PROFILE = "urn:test:profile"


def a_profile(
    elements: list[dict],
    type_: str = "Observation",
    url: str = PROFILE,
    *,
    base: str = "",
    where: str = "differential",
):
    return {
        "resourceType": "StructureDefinition", "id": "posta-" + url.rpartition(":")[2], "url": url, "name": "P", "status": "active",
        "fhirVersion": "4.0.1", "kind": "complex-type" if type_ == "Extension" else "resource", "abstract": False, "type": type_, "derivation": "constraint",
        "baseDefinition": base or SD + type_,
        **({"context": [{"type": "element", "expression": "Element"}]} if type_ == "Extension" else {}),
        where: {"element": _listed(type_, elements)},
    }  # fmt: skip


def _listed(type_: str, elements: list[dict]) -> list[dict]:
    root = next((each for each in elements if each["id"] == type_), {"id": type_})
    return [
        {"path": path_of(each["id"])} | each
        for each in [root, *(each for each in elements if each is not root)]
    ]


def path_of(identity: str) -> str:
    return ".".join(part.partition(":")[0] for part in identity.split("."))


def store(world, *profiles):
    world.post.store(*profiles)


def an(**more):
    told = an_observation(
        "o1", "p1", text={"status": "empty", "div": '<div xmlns="http://www.w3.org/1999/xhtml">a</div>'}
    )
    return {name: value for name, value in (told | more).items() if value is not None}


def issues(world, resource, profile: str = PROFILE, kind: str = ""):
    kind = kind or resource["resourceType"]
    said = call(world.post, f"{kind}/$validate" + (f"?profile={profile}" if profile else ""), resource)
    assert said.status == 200, said.text
    assert check(said.body) == []
    return [(each["severity"], each["code"], each.get("expression", [""])[0]) for each in said.body["issue"]]


def errors(world, resource, **more):
    return [expression for severity, _, expression in issues(world, resource, **more) if severity == "error"]


@pytest.fixture
def world(empty):
    empty.post.store(
        a_code_system(),
        a_value_set(
            "warm", [{"system": COLOURS, "filter": [{"property": "concept", "op": "is-a", "value": "warm"}]}]
        ),
    )
    return empty


# Base R4


def test_a_valid_resource_is_told_so(world):
    assert issues(world, an(), profile="") == [("information", "informational", "")]


def test_what_base_r4_refuses_is_told_with_200(world):
    assert ("error", "code-invalid", "Observation.status") in issues(world, an(status="bad"), profile="")
    assert ("error", "invariant", "Observation.value") in issues(
        world, an(valueQuantity={"value": 1, "code": "g"}), profile=""
    )
    assert ("warning", "invariant", "Observation") in issues(world, an(text=None), profile="")
    assert errors(world, an(), profile="", kind="Patient") == ["resourceType"]


def test_by_parameters_by_instance_and_by_mode(world):
    world.post.store(patient_of(POST, 1), an_observation("posta-o1", "posta-p1"))
    said = call(world.post, "Observation/$validate", given(resource=an(status="bad"), mode="create"))
    assert (said.status, said.body["issue"][0]["code"]) == (200, "code-invalid")
    assert call(world.post, "Observation/posta-o1/$validate").body["issue"][0]["severity"] in (
        "warning",
        "information",
    )
    said = call(world.post, "Observation/posta-o1/$validate?mode=update", an())
    assert said.body["issue"][0]["expression"] == ["Observation.id"]
    assert (
        call(world.post, "Observation/posta-o1/$validate?mode=delete").body["issue"][0]["severity"]
        == "information"
    )


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("Observation/$validate", None, 400), ("Observation/$validate?mode=wish", {"resourceType": "Observation"}, 400),
        ("Observation/$validate?mode=delete", None, 400), ("Observation/posta-none/$validate", None, 404),
        ("Observation/$validate?color=red", {"resourceType": "Observation"}, 400),
        ("Observation/$validate?" + "&".join(["profile=a"] * 21), {"resourceType": "Observation"}, 400),
    ],
)  # fmt: skip
def test_refusals(world, path, body, status):
    assert call(world.post, path, body).status == status


def test_an_instance_out_of_reach_is_not_there(world):
    world.post.store(patient_of(POST, 1), an_observation("posta-o1", "posta-p1"))
    there, nowhere = (
        call(world.hospital, f"Observation/{each}/$validate") for each in ("posta-o1", "posta-none")
    )
    assert (there.status, there.text) == (nowhere.status, nowhere.text) == (404, there.text)


# Profiles


CASES = [
    ("Observation.issued", {"min": 1}, {"issued": "2024-01-01T10:00:00Z"}, {}, "Observation.issued"),
    ("Observation.note", {"max": "0"}, {}, {"note": [{"text": "a"}]}, "Observation.note"),
    ("Observation.note", {"max": "1"}, {"note": [{"text": "a"}]}, {"note": [{"text": "a"}, {"text": "b"}]}, "Observation.note"),
    ("Observation.value[x]", {"type": [{"code": "Quantity"}]}, {}, {"valueQuantity": None, "valueString": "a"}, "Observation.value"),
    ("Observation.valueQuantity.unit", {"min": 1}, {}, {"valueQuantity": {"value": 1}}, None),
    ("Observation.status", {"fixedCode": "final"}, {}, {"status": "amended"}, "Observation.status"),
    ("Observation.code", {"patternCodeableConcept": {"coding": [{"code": "8480-6"}]}}, {}, {"code": {"coding": [{"code": "x"}]}}, "Observation.code"),
    ("Observation.code", {"fixedCodeableConcept": {"text": "a"}}, {"code": {"text": "a"}}, {"code": {"text": "a", "coding": [{"code": "b"}]}}, "Observation.code"),
    ("Observation.code.text", {"maxLength": 3}, {"code": {"text": "abc"}}, {"code": {"text": "abcd"}}, "Observation.code.text"),
    ("Observation.value[x]", {"minValueQuantity": {"value": 100, "unit": "mm[Hg]", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}}, {}, {"valueQuantity": {"value": 99, "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}}, "Observation.value"),
    ("Observation.effective[x]", {"maxValueDateTime": "2026-12-31"}, {}, {"effectiveDateTime": "2027-01-01"}, "Observation.effective"),
    ("Observation.subject", {"type": [{"code": "Reference", "targetProfile": [SD + "Patient"]}]}, {}, {"subject": {"reference": "Group/1"}}, "Observation.subject"),
    ("Observation.code", {"binding": {"strength": "required", "valueSet": "urn:test:warm"}}, {"code": {"coding": [{"system": COLOURS, "code": "red"}]}}, {"code": {"coding": [{"system": COLOURS, "code": "blue"}]}}, "Observation.code"),
    ("Observation", {"constraint": [{"key": "t-1", "severity": "error", "human": "H", "expression": "note.exists() implies note.text.matches('^a+$')"}]}, {"note": [{"text": "aa"}]}, {"note": [{"text": "ab"}]}, "Observation"),
    ("Observation.code", {"constraint": [{"key": "t-2", "severity": "error", "human": "H", "expression": "coding.all(memberOf('urn:test:warm'))"}]}, {"code": {"coding": [{"system": COLOURS, "code": "red"}]}}, {"code": {"coding": [{"system": COLOURS, "code": "blue"}]}}, "Observation.code"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("identity", "told", "good", "bad", "where"),
    CASES,
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_profile_asks_and_refuses(world, identity, told, good, bad, where):
    store(world, a_profile([{"id": identity} | told]))
    assert errors(world, an(**good)) == []
    found = errors(world, an(**bad))
    assert found == [where] if where else found
    # The same from a snapshot.
    definition = a_profile([{"id": identity} | told], where="snapshot")
    for element in definition["snapshot"]["element"]:
        element |= {"path": path_of(element["id"]), "definition": "d", "min": element.get("min", 0), "max": element.get("max", "*"),
                    "base": {"path": "Observation", "min": 0, "max": "*"}}  # fmt: skip
    world.post.store(definition)
    assert errors(world, an(**good)) == []
    assert bool(errors(world, an(**bad))) == bool(found)


def test_warnings_where_the_binding_is_extensible(world):
    store(
        world,
        a_profile(
            [{"id": "Observation.code", "binding": {"strength": "extensible", "valueSet": "urn:test:warm"}}]
        ),
    )
    assert ("warning", "code-invalid", "Observation.code") in issues(
        world, an(code={"coding": [{"system": COLOURS, "code": "blue"}]})
    )


def test_what_cannot_be_checked_is_told_and_never_passed_over(world):
    store(world, a_profile([
        {"id": "Observation.code", "binding": {"strength": "required", "valueSet": "urn:test:nowhere"}},
        {"id": "Observation.status", "constraint": [{"key": "t-9", "severity": "error", "human": "H", "expression": "wonder()"}]},
        {"id": "Observation.subject", "constraint": [{"key": "t-8", "severity": "error", "human": "H", "expression": "resolve().exists()"}]},
    ]))  # fmt: skip
    said = call(world.post, f"Observation/$validate?profile={PROFILE}", an())
    told = {each["expression"][0]: each for each in said.body["issue"] if "expression" in each}
    assert {each["severity"] for each in said.body["issue"]} == {"information"}
    for place in ("Observation.code", "Observation.status", "Observation.subject"):
        assert "not checked" in told[place]["diagnostics"]


def test_a_profile_of_a_profile_asks_for_both(world):
    store(world, a_profile([{"id": "Observation.issued", "min": 1}], url="urn:test:base"),
          a_profile([{"id": "Observation.method", "min": 1}], base="urn:test:base"))  # fmt: skip
    assert sorted(errors(world, an())) == ["Observation.issued", "Observation.method"]


def test_the_profiles_that_a_resource_names_count_too(world):
    store(world, a_profile([{"id": "Observation.issued", "min": 1}]))
    assert errors(world, an(meta={"profile": [PROFILE]}), profile="") == ["Observation.issued"]
    assert ("warning", "not-found", "Observation.meta.profile") in issues(
        world, an(meta={"profile": ["urn:test:none"]}), profile=""
    )


def test_a_profile_that_is_asked_for_and_not_known_is_an_error(world):
    assert ("error", "not-found", "Observation") in issues(world, an(), profile="urn:test:none")
    store(world, a_profile([{"id": "Patient.active", "min": 1}], "Patient"))
    assert errors(world, an()) == ["Observation"]


# Slices


def sliced(
    discriminator: dict,
    *slices: dict,
    rules: str = "open",
    ordered: bool = False,
    element: str = "Observation.category",
):
    slicing = {"discriminator": [discriminator], "rules": rules, "ordered": ordered}
    return a_profile([{"id": element, "slicing": slicing}, *slices])


LAB = {"coding": [{"system": "urn:c", "code": "laboratory"}]}
VITAL = {"coding": [{"system": "urn:c", "code": "vital-signs"}]}
LAB_SLICE = {"id": "Observation.category:lab", "sliceName": "lab", "min": 1, "max": "1"}
DISCRIMINATORS = [
    ({"type": "value", "path": "coding.code"}, [LAB_SLICE, {"id": "Observation.category:lab.coding.code", "fixedCode": "laboratory"}]),
    ({"type": "pattern", "path": "$this"}, [LAB_SLICE | {"patternCodeableConcept": LAB}]),
    ({"type": "value", "path": "$this"}, [LAB_SLICE | {"patternCodeableConcept": LAB}]),
    ({"type": "value", "path": "coding"}, [LAB_SLICE, {"id": "Observation.category:lab.coding", "patternCoding": {"code": "laboratory"}}]),
]  # fmt: skip


@pytest.mark.parametrize(("discriminator", "elements"), DISCRIMINATORS)
def test_slices_by_value_and_pattern(world, discriminator, elements):
    store(world, sliced(discriminator, *elements))
    assert errors(world, an(category=[LAB])) == []
    assert errors(world, an(category=[VITAL, LAB])) == []
    assert errors(world, an(category=[VITAL])) == ["Observation.category"]
    assert errors(world, an(category=[LAB, LAB])) == ["Observation.category"]
    assert errors(world, an()) == ["Observation.category"]


def test_closed_ordered_and_open_at_end(world):
    lab = LAB_SLICE | {"min": 0, "patternCodeableConcept": LAB}
    vital = {"id": "Observation.category:vital", "sliceName": "vital", "patternCodeableConcept": VITAL}
    other = {"text": "other"}
    by = {"type": "pattern", "path": "$this"}
    store(world, sliced(by, lab, rules="closed"))
    assert errors(world, an(category=[LAB, other])) == ["Observation.category[1]"]
    store(world, sliced(by, lab, vital, ordered=True))
    assert errors(world, an(category=[LAB, other, VITAL])) == []
    assert errors(world, an(category=[VITAL, LAB])) == ["Observation.category"]
    store(world, sliced(by, lab, rules="openAtEnd"))
    assert errors(world, an(category=[LAB, other])) == []
    assert errors(world, an(category=[other, LAB])) == ["Observation.category[1]"]


def test_slices_by_exists_type_and_profile(world):
    store(world, sliced({"type": "exists", "path": "text"},
                        {"id": "Observation.category:told", "sliceName": "told", "max": "1"}, {"id": "Observation.category:told.text", "min": 1}))  # fmt: skip
    assert errors(world, an(category=[{"text": "a"}, LAB, VITAL])) == []
    assert errors(world, an(category=[{"text": "a"}, {"text": "b"}])) == ["Observation.category"]
    store(world, sliced({"type": "type", "path": "$this"}, {"id": "Observation.value[x]:valueQuantity", "sliceName": "valueQuantity", "min": 1,
                                                           "type": [{"code": "Quantity"}]}, element="Observation.value[x]"))  # fmt: skip
    assert errors(world, an()) == []
    assert errors(world, an(valueQuantity=None, valueString="a")) == ["Observation.value"]
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"fullUrl": "urn:a", "resource": an()}],
    }
    store(world, a_profile([{"id": "Observation.issued", "min": 1}], url="urn:test:inner"), a_profile(
        [{"id": "Bundle.entry", "slicing": {"discriminator": [{"type": "profile", "path": "resource"}], "rules": "open"}},
         {"id": "Bundle.entry:one", "sliceName": "one", "min": 1},
         {"id": "Bundle.entry:one.resource", "type": [{"code": "Observation", "profile": ["urn:test:inner"]}]}], "Bundle"))  # fmt: skip
    assert errors(world, bundle) == ["Bundle.entry"]
    bundle["entry"][0]["resource"]["issued"] = "2024-01-01T10:00:00Z"
    assert errors(world, bundle) == []


def test_slices_that_cannot_be_told_apart_are_said_not_to_be_checked(world):
    store(world, sliced({"type": "value", "path": "coding.code"}, LAB_SLICE))
    assert ("information", "informational", "Observation.category") in issues(world, an(category=[LAB]))


# Extensions


def an_extension(url: str = "urn:test:ext", type_: str = "string"):
    return a_profile(
        [
            {"id": "Extension.url", "fixedUri": url},
            {"id": "Extension.value[x]", "min": 1, "type": [{"code": type_}]},
        ],
        "Extension",
        url,
    )


def test_extensions_answer_to_their_definitions(world):
    store(world, an_extension())
    assert errors(world, an(extension=[{"url": "urn:test:ext", "valueString": "a"}]), profile="") == []
    assert errors(world, an(extension=[{"url": "urn:test:ext", "valueCode": "a"}]), profile="") == [
        "Observation.extension[0].value"
    ]
    assert errors(
        world, an(code={"text": "a", "extension": [{"url": "urn:test:ext", "valueInteger": 1}]}), profile=""
    ) == ["Observation.code.extension[0].value"]


def test_unknown_extensions_are_told_and_unknown_modifiers_refused(world):
    unknown = {"url": "urn:test:unknown", "valueString": "a"}
    assert ("information", "informational", "Observation.extension[0]") in issues(
        world, an(extension=[unknown]), profile=""
    )
    assert errors(world, an(modifierExtension=[unknown]), profile="") == ["Observation.modifierExtension[0]"]


def test_slices_of_extensions_by_their_definitions(world):
    store(world, an_extension(), a_profile([{"id": "Observation.extension:told", "sliceName": "told", "min": 1,
                                             "type": [{"code": "Extension", "profile": ["urn:test:ext"]}]}]))  # fmt: skip
    assert errors(world, an(extension=[{"url": "urn:test:ext", "valueString": "a"}])) == []
    assert errors(world, an()) == ["Observation.extension"]
    assert errors(world, an(extension=[{"url": "urn:test:other", "valueString": "a"}])) == [
        "Observation.extension"
    ]
    assert "Observation.extension[0].value" in errors(
        world, an(extension=[{"url": "urn:test:ext", "valueBoolean": True}])
    )


# Bounds


def test_targets_that_are_at_hand_answer_to_their_profile(world):
    store(world, a_profile([{"id": "Patient.birthDate", "min": 1}], "Patient", "urn:test:person"),
          a_profile([{"id": "Observation.subject", "type": [{"code": "Reference", "targetProfile": ["urn:test:person"]}]}]))  # fmt: skip
    inside = an(contained=[{"resourceType": "Patient", "id": "p"}], subject={"reference": "#p"})
    assert errors(world, inside) == ["Observation.contained[0].birthDate"]
    inside["contained"][0]["birthDate"] = "1990-01-01"
    assert errors(world, inside) == []
    assert any(
        "not checked" in each["diagnostics"]
        for each in call(world.post, f"Observation/$validate?profile={PROFILE}", an()).body["issue"]
    )


@pytest.mark.parametrize(
    "expression",
    [
        "descendants().select(%resource.descendants().select(%resource.descendants()))",
        "code.text.matches('(a+)+$')",
        "(" * 90,
    ],
)
def test_no_rule_of_a_profile_takes_long(world, expression):
    import time

    store(
        world,
        a_profile(
            [
                {
                    "id": "Observation",
                    "constraint": [
                        {"key": "t-7", "severity": "error", "human": "H", "expression": expression}
                    ],
                }
            ]
        ),
    )
    before = time.monotonic()
    assert issues(
        world,
        an(code={"text": "a" * 5_000 + "!"}, component=[{"code": {"text": str(n)}} for n in range(200)]),
    )
    assert time.monotonic() - before < 8


def test_a_profile_that_asks_for_itself_ends(world):
    store(world, a_profile([{"id": "Observation.contained", "type": [{"code": "Observation", "profile": [PROFILE]}]},
                            {"id": "Observation", "constraint": [{"key": "t-6", "severity": "error", "human": "H", "expression": f"conformsTo('{PROFILE}')"}]}]))  # fmt: skip
    assert issues(world, an())
    store(world, a_profile([], base=PROFILE))
    assert issues(world, an())


def test_no_issue_repeats_a_value(world):
    store(world, a_profile([{"id": "Observation.code.text", "fixedString": "x", "maxLength": 2}]))
    said = call(world.post, f"Observation/$validate?profile={PROFILE}", an(code={"text": "secreto"}))
    assert b"secreto" not in said.text
