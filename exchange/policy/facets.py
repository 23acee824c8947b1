"""Facets: keyed hashes of what a consent may name of a resource - its label, codes, profiles, references.

Spec:    https://hl7.org/fhir/R4/consent-definitions.html#Consent.provision.code;
         docs/decisions/0018-decision-inside-queries.md.
Leaves:  the label itself to sensitivity; what consents say of facets to consent/provision.

A facet is hashed under the record that it stands in: equal facets of two patients do not look alike, and a stored rule
tells no code. The first facet of a row is its confidentiality, so that one comparison settles the usual case.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from exchange.fhir.datatype import parse_reference
from exchange.search.reference import local
from exchange.settings import settings

if TYPE_CHECKING:
    from exchange.crypto.blind_index import BlindIndex
    from exchange.policy.sensitivity import Label

LADDER: Final = ("U", "L", "M", "N", "R", "V")
"""v3 Confidentiality, from unrestricted to very restricted."""

MOST_FACETS: Final = 5_000
ICD_10: Final = frozenset({"http://hl7.org/fhir/sid/icd-10", "http://hl7.org/fhir/sid/icd-10-cm"})
_CATEGORY_LETTERS: Final = 3
_AUTHORS: Final = frozenset(
    {
        "agent", "asserter", "attester", "author", "authenticator", "dispenser", "enterer", "informationSource",
        "performer", "recorder", "reporter", "requester", "resultsInterpreter", "sender", "verifier",
    }
)  # fmt: skip
"""Elements that name who wrote a resource or vouches for it."""
_DOCUMENTS: Final = frozenset({"Composition", "DiagnosticReport", "DocumentManifest", "DocumentReference"})


def level(confidentiality: str) -> str:
    """The facet of a confidentiality; what is below normal shares one, and has its own beside it."""
    return f"level|{confidentiality if confidentiality in ('R', 'V') else 'N'}"


def facets(
    resource: dict[str, Any], label: Label, compartments: Collection[int], blind: BlindIndex
) -> list[int]:
    """The facets of a resource, hashed for each record that it lies in; the confidentiality stands first.

    Units: signed 32-bit numbers. A chance match of two is one in four thousand million for each comparison.
    """
    found = features(resource, label)
    if len(found) > MOST_FACETS:
        return []  # as if nobody had labelled it: more than consents could be held against
    return list(
        dict.fromkeys(hashed(compartment, each, blind) for compartment in compartments for each in found)
    )


def features(resource: dict[str, Any], label: Label) -> list[str]:
    """What consents may name of a resource, in words: its label, then what it says and points to."""
    found = [level(label.confidentiality)]
    if label.confidentiality not in ("N", "R", "V"):
        found.append(f"below|{label.confidentiality}")
    found += [f"category|{each}" for each in sorted(label.categories)]
    return found + sorted(set(_features(resource)))


def joined(new: Sequence[int], before: Sequence[int], compartment: int, blind: BlindIndex) -> list[int]:
    """The facets of a resource whose versions share them: the higher confidentiality first, then all that was said."""
    if not new or not before:
        return list(new or before)
    ladder = all_hashed(compartment, (level(each) for each in ("N", "R", "V")), blind)
    first = max(new[0], before[0], key=lambda each: ladder.index(each) if each in ladder else len(ladder))
    return list(dict.fromkeys([first, *new[1:], *before[1:]]))


def hashed(compartment: int, feature: str, blind: BlindIndex) -> int:
    """A facet as it stands in the rows of one record."""
    return (blind.value(f"facet|{compartment}|{feature}") & 0xFFFF_FFFF) - 0x8000_0000


def all_hashed(compartment: int, features: Iterable[str], blind: BlindIndex) -> list[int]:
    """Several facets as they stand in the rows of one record."""
    return [hashed(compartment, each, blind) for each in features]


def _features(resource: dict[str, Any]) -> Iterator[str]:
    resource_type = resource["resourceType"]
    yield f"instance|{resource_type}/{resource.get('id', '')}"
    yield f"type|{resource_type}"
    for profile in resource.get("meta", {}).get("profile", ()):
        yield f"profile|{profile}"
        yield f"profile|{profile.partition('|')[0]}"
    if resource_type in _DOCUMENTS:
        for element in ("type", "category", "class", "code"):
            for system, code in _codings(resource.get(element, ())):
                yield f"class|{system}|{code}"
    url = settings().fhir_url
    rest: list[tuple[Any, bool]] = [
        (value, name in _AUTHORS) for name, value in resource.items() if name != "meta"
    ]
    while rest:
        node, is_author = rest.pop()
        if isinstance(node, list):
            rest += [(each, is_author) for each in node]
        elif isinstance(node, dict):
            yield from _of_node(node, url, is_author=is_author)
            rest += [
                (value, is_author or name in _AUTHORS)
                for name, value in node.items()
                if isinstance(value, dict | list)
            ]


def _of_node(node: dict[str, Any], url: str, *, is_author: bool) -> Iterator[str]:
    code, reference = node.get("code"), node.get("reference")
    if isinstance(code, str) and "value" not in node:  # a quantity's code is its unit
        yield from code_features(node.get("system", ""), code)
    if isinstance(reference, str):
        named = parse_reference(local(reference, url))
        if named.type and named.id and named.base is None and named.type != "Patient":
            yield f"reference|{named.type}/{named.id}"
            if is_author:
                yield f"author|{named.type}/{named.id}"


def code_features(system: str, code: str) -> Iterator[str]:
    """The features of a coding: itself, and in ICD-10 the category that it stands in."""
    yield f"code|{system}|{code}"
    if system in ICD_10 and len(code) > _CATEGORY_LETTERS:
        yield f"code|{system}|{code[:_CATEGORY_LETTERS]}"


def _codings(element: Any) -> Iterator[tuple[str, str]]:
    for concept in [element] if isinstance(element, dict) else element:
        for coding in concept.get("coding", ()):
            yield coding.get("system", ""), coding.get("code", "")
