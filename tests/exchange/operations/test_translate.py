"""$translate: what a code is in another system."""

from __future__ import annotations

import pytest

from tests.exchange.operations.call import answered, call, given

HIS, CIE = "urn:test:his", "urn:test:cie"


def a_concept_map(resource_id: str = "m", **more):
    return {
        "resourceType": "ConceptMap", "id": f"posta-{resource_id}", "url": f"urn:test:{resource_id}", "status": "active",
        "sourceUri": "urn:test:vs-his", "targetUri": "urn:test:vs-cie",
        "group": [{
            "source": HIS, "target": CIE, "targetVersion": "10",
            "element": [
                {"code": "a", "target": [{"code": "A.1", "display": "Uno", "equivalence": "equivalent"},
                                         {"code": "A.2", "equivalence": "wider",
                                          "dependsOn": [{"property": "http://x", "value": "y"}]}]},
                {"code": "b", "target": [{"code": "B", "equivalence": "narrower", "comment": "less"}]},
                {"code": "n", "target": [{"equivalence": "unmatched"}]},
            ]}],
    } | more  # fmt: skip


@pytest.fixture
def world(empty):
    empty.post.store(a_concept_map())
    return empty


def matches(said) -> list[tuple[str, str]]:
    assert said.status == 200, said.text
    found = [dict(each) for each in answered(said).get("match", ())]
    return [(each["equivalence"], each.get("concept", {}).get("code", "")) for each in found]


@pytest.mark.parametrize(
    "path", ["ConceptMap/$translate?url=urn:test:m&", "ConceptMap/posta-m/$translate?", "ConceptMap/$translate?",
             "ConceptMap/$translate?source=urn:test:vs-his&target=urn:test:vs-cie&"],
)  # fmt: skip
def test_a_code_is_translated(world, path):
    said = call(world.hospital, f"{path}system={HIS}&code=a")
    assert answered(said)["result"] == [True]
    assert matches(said) == [("equivalent", "A.1")]
    [match] = answered(said)["match"]
    assert dict(match)["concept"] == {"system": CIE, "version": "10", "code": "A.1", "display": "Uno"}
    assert dict(match)["source"] == "urn:test:m"


def test_backwards_wider_is_narrower(world):
    said = call(world.post, f"ConceptMap/$translate?url=urn:test:m&system={CIE}&code=B&reverse=true")
    assert matches(said) == [("wider", "b")]


@pytest.mark.parametrize("code", ["n", "nothing"])
def test_what_has_no_translation_has_no_result(world, code):
    said = call(world.post, f"ConceptMap/$translate?url=urn:test:m&system={HIS}&code={code}")
    assert answered(said)["result"] == [False]
    assert "message" in answered(said)


def test_only_the_wanted_system(world):
    said = call(world.post, f"ConceptMap/$translate?system={HIS}&code=a&targetsystem=urn:test:other")
    assert answered(said)["result"] == [False]


def test_unmapped_codes_as_the_map_says(world):
    group = {
        "source": HIS,
        "target": CIE,
        "element": [{"code": "q", "target": [{"equivalence": "unmatched"}]}],
    }
    world.post.store(
        a_concept_map("same", group=[group | {"unmapped": {"mode": "provided"}}]),
        a_concept_map("fixed", group=[group | {"unmapped": {"mode": "fixed", "code": "Z"}}]),
        a_concept_map("other", group=[group | {"unmapped": {"mode": "other-map", "url": "urn:test:m"}}]),
        a_concept_map("loop", group=[group | {"unmapped": {"mode": "other-map", "url": "urn:test:loop"}}]),
    )
    ask = f"&system={HIS}&code=a"
    assert matches(call(world.post, f"ConceptMap/$translate?url=urn:test:same{ask}")) == [("equal", "a")]
    assert matches(call(world.post, f"ConceptMap/$translate?url=urn:test:fixed{ask}")) == [("inexact", "Z")]
    assert matches(call(world.post, f"ConceptMap/$translate?url=urn:test:other{ask}")) == [
        ("equivalent", "A.1")
    ]
    assert answered(call(world.post, f"ConceptMap/$translate?url=urn:test:loop{ask}"))["result"] == [False]


def test_a_map_and_a_coding_may_be_posted(world):
    coding = ("valueCoding", {"system": HIS, "code": "b"})
    said = call(world.post, "ConceptMap/$translate", given(conceptMap=a_concept_map("mine"), coding=coding))
    assert matches(said) == [("narrower", "B")]
    concept = (
        "valueCodeableConcept",
        {"coding": [{"system": HIS, "code": "a"}, {"system": HIS, "code": "b"}]},
    )
    assert (
        len(
            matches(
                call(world.post, "ConceptMap/$translate", given(url="urn:test:m", codeableConcept=concept))
            )
        )
        == 2
    )


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("ConceptMap/$translate?url=urn:test:none&system=urn:a&code=a", 404),
        ("ConceptMap/posta-none/$translate?system=urn:a&code=a", 404),
        ("ConceptMap/$translate?url=urn:test:m&code=a", 400),
        ("ConceptMap/$translate?url=urn:test:m&system=urn:a", 400),
        ("ConceptMap/$translate?url=urn:test:m&system=urn:a&code=a&dependency=x", 400),
        ("ValueSet/$translate?system=urn:a&code=a", 400),
    ],
)
def test_refusals(world, path, status):
    assert call(world.post, path).status == status
