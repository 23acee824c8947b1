"""HL7's official R4 examples into a served hub and out again, in JSON and in XML: `make examples`.

    python -m tests.conformance.examples [--every 9]

Each is created in JSON, read in JSON and XML, and its XML is sent back: the hub must find that it says nothing new.
Prints how many were accepted, refused and changed; ends with 1 where one was changed, or refused without being listed
in invalid_examples.json or KNOWN_REFUSALS.

Ids of Patients are given the prefix of the client's names, in the Patients and in what refers to them: a facility
writes into records of its own patients alone. Patients that no example describes are made first.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

from exchange.demo.client import FhirClient
from exchange.fhir.resource import dump
from exchange.fhir.xml_read import read_xml
from tests.sample import official

TOO_LARGE = ("Bundle-dataelements", "Bundle-resources")
"""Two Bundles of 20 and 35 MB hold the definitions themselves, and are larger than one resource may be here."""
LARGEST_BYTES = 16 * 1024 * 1024

KNOWN_INVALID: dict[str, dict[str, str]] = json.loads(
    Path(__file__).with_name("invalid_examples.json").read_text()
)
"""Examples that HL7 published although they break R4: each with the element, and why."""

KNOWN_REFUSALS = {
    "AuditEvent": "the hub alone writes its audit log",
}
"""What is valid and refused all the same: a type, or one example, with the rule of this exchange."""

PREFIX = "examples-"
_PATIENT = re.compile(r'("reference"\s*:\s*"Patient/)([A-Za-z0-9\-.]{1,54})(?=["/#])')
_STAMPED = ("versionId", "lastUpdated", "source")
XML = "application/fhir+xml"


@dataclass
class Outcome:
    """What became of the examples; `refused` has the name and why, `changed` the name and where."""

    accepted: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)
    changed: list[tuple[str, str]] = field(default_factory=list)

    @property
    def unexpected(self) -> list[tuple[str, str]]:
        """Refusals that nothing listed explains."""
        return [(name, why) for name, why in self.refused if not expected(name)]


def expected(name: str) -> str:
    """Why an example is refused, or nothing."""
    if name in KNOWN_INVALID:
        return KNOWN_INVALID[name]["why"]
    return KNOWN_REFUSALS.get(name) or KNOWN_REFUSALS.get(name.partition("-")[0], "")


def deliver(client: FhirClient, examples: Iterable[tuple[str, bytes]]) -> Outcome:
    """Put examples into a hub and hold what comes out against what went in."""
    outcome = Outcome()
    ours = [(name, _PATIENT.sub(rf"\1{PREFIX}\2", text.decode()).encode()) for name, text in examples]
    _make_patients(client, ours)
    for name, text in ours:
        if len(text) > LARGEST_BYTES:
            continue
        why, changed = _there_and_back(client, text)
        if why:
            outcome.refused.append((name, why))
        elif changed:
            outcome.changed.append((name, changed))
        else:
            outcome.accepted += 1
    return outcome


def _make_patients(client: FhirClient, examples: list[tuple[str, bytes]]) -> None:
    named = {match[2] for _, text in examples for match in _PATIENT.finditer(text.decode())}
    for patient in sorted(named):
        stub = {"resourceType": "Patient", "id": patient}
        client.request("PUT", f"Patient/{patient}", body=stub).raise_for_status()


def _there_and_back(client: FhirClient, text: bytes) -> tuple[str, str]:
    """Why the hub refuses it, and what it changed."""
    sent = _loaded(text)
    kind = sent["resourceType"]
    made = client.request("POST", kind, body=text)
    if made.status_code != 201:
        return f"{made.status_code} " + "; ".join(
            f"{each.get('expression', [''])[0]} {each['diagnostics']}" for each in made.json()["issue"][:2]
        ), ""
    place = f"{kind}/{made.json()['id']}"
    as_json = client.request("GET", place, headers={"Accept": "application/fhir+json"})
    as_xml = client.request("GET", place, headers={"Accept": XML})
    if made.content != as_json.content:
        return "", "read differs from create"
    if _told(_loaded(as_json.content)) != _told(sent):
        return "", "JSON"
    if _loaded(dump(read_xml(as_xml.content))) != _loaded(as_json.content):
        return "", "XML"
    back = client.request("PUT", place, body=as_xml.content, headers={"Content-Type": XML})
    if back.headers.get("etag") != 'W/"1"':
        return "", f"XML sent back: {back.status_code}"
    return "", ""


def _loaded(text: bytes) -> dict[str, Any]:
    """JSON with the digits of its numbers."""
    return json.loads(text, parse_float=_Digits, parse_int=_Digits)  # type: ignore[no-any-return]


class _Digits(str):
    """A number as it is written; an exponent has many ways to be."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        return super().__new__(cls, str(Decimal(text)))


def _told(resource: dict[str, Any]) -> dict[str, Any]:
    """A resource without what the hub stamps."""
    meta = {name: value for name, value in resource.get("meta", {}).items() if name not in _STAMPED}
    return {name: value for name, value in resource.items() if name not in ("id", "meta")} | (
        {"meta": meta} if meta else {}
    )


def _report(outcome: Outcome) -> Iterator[str]:
    reasons = Counter(expected(name) for name, _ in outcome.refused if expected(name))
    yield f"accepted {outcome.accepted}, refused {len(outcome.refused)}, changed {len(outcome.changed)}"
    yield from (f"  refused, as is right: {count} - {reason}" for reason, count in sorted(reasons.items()))
    yield from (f"  REFUSED {name}: {why}" for name, why in outcome.unexpected)
    yield from (f"  CHANGED {name}: {why}" for name, why in outcome.changed)


def main(arguments: list[str]) -> int:
    """Run it; 1 where something is refused that should not be, or changed."""
    from tests.passage.live_hub import live_hub
    from tests.sample.database import a_server
    from tests.sample.requester import POST

    parser = argparse.ArgumentParser(prog="make examples", description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--every", type=int, default=1, help="take each n-th example")
    chosen = parser.parse_args(arguments)
    if official.archive() is None:
        print(official.ABSENT, file=sys.stderr)
        return 1
    with a_server() as server, live_hub(server, EXCHANGE_MAX_BODY_BYTES=str(32 * 1024 * 1024)) as hub:
        client = hub.enter("examples", POST, id_prefix=PREFIX)
        outcome = deliver(client, official.examples(every=chosen.every))
    print("\n".join(_report(outcome)))
    return 1 if outcome.unexpected or outcome.changed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
