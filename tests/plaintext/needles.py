"""What is looked for: names, numbers, addresses, texts of diagnoses, fragments of notes, user names, values searched for.

Leaves:  telling them to a hub to filling.

All of it is of patients, or of clinicians as records and the log name them; STAFF are names of accounts, which lie in
the clear in one table.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from itertools import chain, zip_longest
from random import Random
from typing import Any

from exchange.demo.bundles import patient_bundles
from exchange.demo.region import build_region

Json = dict[str, Any]
STAFF = "name of an account"
SHORTEST_WORD = 7
ADDED = ("note", "searched", "user", "reason")
RESOURCES = 12
_DISPLAY = re.compile(r"[^\d].{7,}")
_SIGNS = ("dolor lumbar", "tristeza", "cefalea", "palpitaciones", "insomnio", "vértigo", "náuseas", "fatiga")
_TOLD = ("teme a su tío", "oculta el embarazo", "bebe a solas", "perdió el empleo", "vive en la ribera")
_SYLLABLES = ("qui", "lla", "mar", "ñez", "tor", "val", "chu", "pay", "ron", "die", "gó", "lux")


@dataclass(frozen=True)
class Needle:
    """A text, and what kind of thing it is."""

    kind: str
    text: str


@dataclass(frozen=True)
class Haystack:
    """People's bundles, and what is added to them: one thing of each kind for each person."""

    bundles: list[Json]
    added: dict[str, list[str]]
    staff: list[str]

    def needles(self) -> list[Needle]:
        """Everything that can be looked for, kinds in turn, each text once."""
        by_kind: defaultdict[str, list[Needle]] = defaultdict(list)
        told = chain.from_iterable(
            _said(entry["resource"]) for each in self.bundles for entry in each["entry"]
        )
        added = (Needle(kind, text) for kind, texts in self.added.items() for text in texts)
        for needle in dict.fromkeys(chain(told, added)):
            by_kind[needle.kind].append(needle)
        in_turn = chain.from_iterable(zip_longest(*by_kind.values()))
        first: dict[str, Needle] = {}
        for each in in_turn:
            if each is not None:
                first.setdefault(each.text.lower(), each)
        return [*(Needle(STAFF, each) for each in self.staff), *first.values()]


def a_haystack(people: int, seed: int = 11) -> Haystack:
    """An invented region, with notes about its people that nobody else has."""
    random = Random(seed)
    region = build_region(seed=seed, people=people, reference_date=date(2026, 6, 30))
    bundles = list(patient_bundles(region, resources_per_patient=RESOURCES))
    added = {kind: [_invented(kind, random, number) for number in range(people)] for kind in ADDED}
    for bundle, note in zip(bundles, added["note"], strict=True):
        bundle["entry"] += list(_noted(bundle["entry"][0], note))
    return Haystack(bundles, added, [_invented("user", random, number) for number in range(-4, 0)])


def _invented(kind: str, random: Random, number: int) -> str:
    word = "".join(random.choice(_SYLLABLES) for _ in range(4))
    match kind:
        case "note":
            return f"{random.choice(_SIGNS)} y {word} desde hace {number + 3} días; {random.choice(_TOLD)}"
        case "reason":
            return f"traído inconsciente del cerro {word} por el vecino {number}"
        case "user":
            return f"Lic. {word.title()} Ñahui{number}"
        case _:
            return f"{word}{random.choice(_SYLLABLES)}"


def _noted(patient: Json, note: str) -> Iterator[Json]:
    """Who writes notes writes them into observations, diagnoses and documents."""
    subject = {"subject": {"reference": patient["fullUrl"]}}
    loinc = {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]}
    for made in (
        {"resourceType": "Observation", "status": "final", "code": loinc, "note": [{"text": note}]},
        {"resourceType": "Condition", "code": {"text": note}, "note": [{"text": note}]},
        {"resourceType": "DocumentReference", "status": "current", "description": note,
         "content": [{"attachment": {"contentType": "text/plain", "title": note}}]},
    ):  # fmt: skip
        yield {"resource": made | subject, "request": {"method": "POST", "url": made["resourceType"]}}


def _said(resource: Json) -> Iterable[Needle]:
    """What a resource says of people, as needles that no chance makes."""
    if resource["resourceType"] == "Patient":
        yield from _of_a_patient(resource)
    for display in _displays(resource):
        if _DISPLAY.fullmatch(display):
            is_person = display.isupper() and " " in display
            yield Needle("person named" if is_person else "display", display)


def _of_a_patient(patient: Json) -> Iterable[Needle]:
    for name in patient["name"]:
        yield Needle("name", name["text"])
        for word in (name.get("family", ""), *name.get("given", ())):
            if len(word) >= SHORTEST_WORD:
                yield Needle("word of a name", word)
    for each in patient["identifier"]:
        if len(each["value"]) >= 8:
            yield Needle("document", each["value"])
    for each in patient.get("telecom", ()):
        yield Needle("telephone", each["value"])
    for each in patient.get("address", ()):
        for line in each.get("line", ()):
            if len(line) > SHORTEST_WORD:
                yield Needle("address", line)


def _displays(node: Any) -> Iterator[str]:
    """Texts and displays, at any depth."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name in ("text", "display") and isinstance(value, str):
                yield value
            else:
                yield from _displays(value)
    elif isinstance(node, list):
        for each in node:
            yield from _displays(each)
