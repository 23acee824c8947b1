"""What an event bears so that it can be shown and not guessed: chance, its manifest's digest, versions, the operator."""

from __future__ import annotations

import json
from hashlib import sha256

from exchange.audit.event import BLINDING, MANIFEST_DIGEST, blinded, varying_part
from exchange.audit.manifest import manifest_text, shown_in
from exchange.request import Request, Touched

SHOWN = ("Observation/o1/_history/2", "Observation/o2/_history/1")


def extensions(event: dict) -> dict[str, str]:
    return {each["url"]: each["valueString"] for each in event["extension"]}


def test_each_event_bears_chance_of_its_own():
    ones = [extensions(blinded({}, b"")) for _ in range(50)]
    assert len({each[BLINDING] for each in ones}) == 50
    assert all(len(bytes.fromhex(each[BLINDING])) == 16 for each in ones)
    assert all(MANIFEST_DIGEST not in each for each in ones)


def test_a_manifest_s_digest_stands_in_its_event_and_says_nothing_by_itself():
    ones = [manifest_text("e1", SHOWN) for _ in range(50)]
    assert len(set(ones)) == 50
    assert all(shown_in(each) == list(SHOWN) for each in ones)
    assert extensions(blinded({}, ones[0]))[MANIFEST_DIGEST] == sha256(ones[0]).hexdigest()


def test_a_search_s_event_repeats_nothing_of_what_it_showed():
    request = Request("search-type", "Observation", described="GET /fhir/Observation?code=x")
    text = json.dumps(varying_part("e1", 1, request, Touched(7, SHOWN), "p1"))
    assert "Observation/o1" not in text


def test_one_resource_is_named_with_its_version_and_an_amendment_with_the_one_before():
    def detail(interaction: str, reference: str) -> list[tuple[str, str]]:
        event = varying_part(
            "e1", 1, Request(interaction, "Observation", "o1"), Touched(7, (reference,)), "p1"
        )  # type: ignore[arg-type]
        [named] = [each for each in event["entity"] if each["what"]["reference"] == "Observation/o1"]
        return [(each["type"], each["valueString"]) for each in named.get("detail", ())]

    assert detail("read", "Observation/o1/_history/3") == [("version", "3")]
    assert detail("patch", "Observation/o1/_history/3") == [("version", "3"), ("superseded", "2")]
    assert detail("update", "Observation/o1/_history/1") == [("version", "1")]
    assert detail("read", "Observation/o1") == []
