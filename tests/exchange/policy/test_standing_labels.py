"""Security labels that stand: raised, never lowered or dropped."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.policy.adopted import policy
from exchange.policy.sensitivity import label
from exchange.policy.standing_labels import keep_labels
from exchange.problems import Denied
from tests.exchange.policy.episodes import CONFIDENTIALITY, a_condition, levels
from tests.passage.world import patient_of
from tests.sample.requester import POST

HIV = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HIV"}


def c(code):
    return {"system": CONFIDENTIALITY, "code": code}


def labelled(*security, **more):
    return a_condition("posta-c1", encounter="", meta={"security": list(security)}) | more


@pytest.fixture
def world(empty):
    empty.post.store(patient_of(POST, 1), patient_of(POST, 2), labelled(c("R"), HIV))
    return empty


def security(said):
    assert said.status in (200, 201), said.text
    return {each["code"] for each in said.body["meta"].get("security", ())}


def test_a_version_that_says_nothing_keeps_the_labels(world):
    assert security(world.post.put(a_condition("posta-c1", "I10", encounter=""))) == {"R", "HIV"}
    assert security(world.post.put(a_condition("posta-c1", encounter="", note=[{"text": "x"}]))) == {
        "R",
        "HIV",
    }
    assert levels(world)["posta-c1"] == "R"


def test_a_version_that_names_some_keeps_the_others(world):
    assert security(world.post.put(labelled(c("R"), note=[{"text": "x"}]))) == {"R", "HIV"}
    assert security(world.post.put(labelled({"code": "PSY"}, note=[{"text": "y"}]))) == {"R", "HIV", "PSY"}


def test_a_confidentiality_is_raised(world):
    assert security(world.post.put(labelled(c("V")))) == {"V", "HIV"}


@pytest.mark.parametrize("code", ["U", "L", "M", "N"])
def test_a_lower_confidentiality_is_refused_and_the_refusal_is_in_the_log(world, code):
    said = world.post.put(labelled(c(code)))
    assert said.status == 403
    assert "meta.security" in said.text.decode()
    assert security(world.post.get("Condition/posta-c1")) == {"R", "HIV"}
    assert any("security label lowered" in json.dumps(each) for each in world.events())
    bundle = world.post.bundle(
        "transaction",
        [{"request": {"method": "PUT", "url": "Condition/posta-c1"}, "resource": labelled(c(code))}],
    )
    assert bundle.status == 403


def test_delivered_again_without_its_labels_it_is_the_same_version(world):
    before = world.post.get("Condition/posta-c1").headers["etag"]
    assert world.post.put(a_condition("posta-c1", encounter="")).headers["etag"] == before


def test_a_patch_neither_lowers_nor_drops(world):
    dropped = world.post.patch("Condition/posta-c1", [{"op": "remove", "path": "/meta/security"}])
    assert security(dropped) == {"R", "HIV"}
    assert security(world.post.patch("Condition/posta-c1", [{"op": "remove", "path": "/meta"}])) == {
        "R",
        "HIV",
    }
    lowered = world.post.patch(
        "Condition/posta-c1", [{"op": "replace", "path": "/meta/security/0/code", "value": "N"}]
    )
    assert lowered.status == 403
    raised = world.post.patch(
        "Condition/posta-c1", [{"op": "replace", "path": "/meta/security/0/code", "value": "V"}]
    )
    assert security(raised) == {"V", "HIV"}


def meta(*labels, name="security"):
    return {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {name: list(labels)}}]}


def test_meta_add_raises_and_meta_delete_is_refused(world):
    assert world.post.operate("Condition/posta-c1/$meta-add", meta(c("V"))).status == 200
    assert levels(world)["posta-c1"] == "V"
    assert world.post.operate("Condition/posta-c1/$meta-add", meta(c("U"))).status == 200
    assert levels(world)["posta-c1"] == "V"
    for gone in (c("V"), HIV, {"code": "none"}):
        assert world.post.operate("Condition/posta-c1/$meta-delete", meta(gone)).status == 403
    assert {"V", "HIV"} <= security(world.post.get("Condition/posta-c1"))
    assert (
        world.post.operate("Condition/posta-c1/$meta-delete", meta({"code": "t"}, name="tag")).status == 200
    )
    assert any("security label taken away" in json.dumps(each) for each in world.events())


def test_a_resource_stays_with_its_patient(world):
    moved = labelled(c("R"), HIV, subject={"reference": "Patient/posta-p2"})
    assert world.post.put(moved).status == 409
    path = [{"op": "replace", "path": "/subject/reference", "value": "Patient/posta-p2"}]
    assert world.post.patch("Condition/posta-c1", path).status == 409
    assert world.post.get("Condition/posta-c1").body["subject"] == {"reference": "Patient/posta-p1"}


CODINGS = st.lists(
    st.sampled_from([c("U"), c("N"), c("R"), c("V"), HIV, {"code": "R"}, {"code": "PSY"}, {"display": "x"}]),
    max_size=4,
)


@given(CODINGS, CODINGS)
def test_no_new_version_has_a_lower_label_than_the_one_that_stood(before, after):
    stood = labelled(*before)
    try:
        kept = keep_labels(stood, labelled(*after))
    except Denied:
        return
    old, new = label(stood, policy()), label(kept, policy())
    assert new.rank >= old.rank or old.rank <= 3
    assert new.categories >= old.categories
    assert keep_labels(stood, kept) == kept


@pytest.mark.parametrize("meta", [None, "x", [], {"security": "R"}, {"security": [7]}, {"security": None}])
def test_what_is_no_meta_is_left_to_the_checks(meta):
    kept = keep_labels(labelled(c("R")), a_condition("posta-c1") | {"meta": meta})
    assert kept["meta"]["security"] == [c("R")]
