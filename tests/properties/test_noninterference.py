"""Hidden equals absent in random regions: some hundred cases of what `make noninterference` asks by the ten thousand."""

from __future__ import annotations

import os
from random import Random

import pytest

from exchange.fhir import peru
from tests.passage.conftest import shared_hub
from tests.passage.world import Caller, patient_of
from tests.properties.noninterference import answered_twice, built, rehearsed, run
from tests.properties.region import Region, a_region
from tests.properties.region_charts import CONFIDENTIALITY
from tests.properties.region_requests import requester_of
from tests.sample.consent import a_consent, a_provision
from tests.sample.observation import an_observation
from tests.sample.requester import EVERY_SCOPE, HOSPITAL, INSTITUTE, POST

__all__ = ["shared_hub"]

CASES = max(500, 4 * int(os.environ.get("CHASQUI_PROPERTY_EXAMPLES", "150")))
SYSTEM = {"role": "system", "purpose": "TREAT", "scopes": EVERY_SCOPE}
OBSERVATIONS = [{"system": "http://hl7.org/fhir/resource-types", "code": "Observation"}]


def difference(world, region: Region, path: str, asker=None, *, keeping: tuple[str, ...] = ()) -> bool:
    """Whether an answer differs; what is hidden may be kept, to see whether it would."""
    _, judged = built(world, region)
    request = {"ask": "GET", "path": path}
    if keeping:
        judged.hidden = lambda _: {each for each in judged.kept if "/".join(each) not in keeping}
    with rehearsed(world) as stage:
        _, [(_, full, bare)] = answered_twice(stage, judged, asker or SYSTEM, [request])
    return full != bare


def test_an_answer_is_the_same_whether_the_hidden_is_there_or_not(shared_hub):
    result = run(shared_hub, CASES, 1)
    assert not result.differences, str(result.differences[0])
    assert result.cases == CASES
    assert result.hidden > CASES // 4
    assert result.seen_of_others > CASES // 8


@pytest.mark.parametrize("seed", range(4))
def test_the_hub_shows_what_the_judgement_lets_see(shared_hub, seed):
    """Both readings of who may see what agree, resource by resource."""
    random = Random(seed)
    for _ in range(3):
        _, judged = built(shared_hub, a_region(random))
        requester = requester_of(SYSTEM)
        hidden = judged.hidden(requester)
        with rehearsed(shared_hub) as stage:
            caller = Caller(stage.spine, requester)
            shown = {key for key in judged.kept if caller.get("/".join(key)).status in (200, 410)}
        assert shown == judged.kept.keys() - hidden


def _a_record(permitted: bool) -> Region:
    provision = a_provision("permit" if permitted else "deny", actors=[HOSPITAL])
    return [
        {"by": POST, "put": patient_of(POST, 1)},
        {"by": POST, "put": an_observation("posta-p1-o0", "posta-p1")},
        {"by": POST, "put": a_consent("posta-p1-c0", "posta-p1", provision=provision)},
    ]


@pytest.mark.parametrize(
    "path",
    ["Patient/posta-p1", "Observation/posta-p1-o0/_history", "Observation?code=8480-6", "Patient?_has:Observation:patient:code=8480-6", "Patient?_summary=count",
     "Observation?patient.family=quispe", "Patient/posta-p1/$everything", "Observation/$lastn?patient=posta-p1&code=8480-6", "_history", "Observation?subject:missing=false&_sort=date"],
)  # fmt: skip
def test_the_comparison_sees_a_difference_where_there_is_one(shared_hub, path):
    assert not difference(shared_hub, _a_record(permitted=False), path)
    assert difference(shared_hub, _a_record(permitted=True), path, keeping=("Consent/posta-p1-c0",))


def _linked_by_a_third(*, is_hidden: bool) -> Region:
    """The hospital's record and the post's have no document in common; the institute's, which is hidden, has both."""
    dni, passport = (
        {"system": peru.DNI_SYSTEM, "value": "40000001"},
        {"system": peru.PASSPORT_SYSTEM, "value": "PE1234567"},
    )
    label = [{"system": CONFIDENTIALITY, "code": "R" if is_hidden else "N"}]
    return [
        {"by": HOSPITAL, "put": patient_of(HOSPITAL, 1, identifier=[dni])},
        {"by": POST, "put": patient_of(POST, 1, identifier=[passport])},
        {"by": POST, "put": an_observation("posta-p1-o0", "posta-p1")},
        {"by": POST, "put": a_consent("posta-p1-c0", "posta-p1", permit=HOSPITAL)},
        {
            "by": INSTITUTE,
            "put": patient_of(INSTITUTE, 1, identifier=[dni, passport], meta={"security": label}),
        },
    ]


@pytest.mark.parametrize("path", ["Patient/hospital-p1/$everything", "Observation?patient=hospital-p1"])
def test_a_hidden_record_links_nobody(shared_hub, path):
    assert not difference(shared_hub, _linked_by_a_third(is_hidden=True), path)


def test_a_record_that_is_seen_does(shared_hub):
    built(shared_hub, _linked_by_a_third(is_hidden=False))
    with rehearsed(shared_hub) as stage:
        said = Caller(stage.spine, requester_of(SYSTEM)).get("Observation?patient=hospital-p1")
    assert said.ids == ["posta-p1-o0"]
