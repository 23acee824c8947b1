"""The sensitivity label of a resource: its confidentiality and the categories of sensitive information that it tells.

Spec:    https://hl7.org/fhir/R4/security-labels.html; HL7 Security Labeling Service (DS4P); docs/policy.md.
Leaves:  which codes are sensitive to the policy file; what a person determined about an episode to policy/determination.

1. Every coding counts wherever it stands: contained resources, extensions and components too.
2. What the source told in meta.security raises the label and never lowers it.
3. A document has the highest label of its content. What cannot be parsed, or is only pointed to, is restricted.
4. Free text is not guessed at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from exchange.permit import DIRECTORY_TYPES
from exchange.policy.code_tables import CONFIDENTIALITY, RESTRICTED, VERY_RESTRICTED, CodeTables
from exchange.policy.document_content import ATTACHMENT_KEYS, Content, content_of
from exchange.policy.facets import LADDER
from exchange.policy.regional_policy import RegionalPolicy

Linked = Callable[[str], "dict[str, Any] | None"]
"""What a reference points to, such as `Binary/1`; None where it is absent, hidden or elsewhere."""

MOST_LINKS: Final = 200
MOST_NESTED: Final = 3
_MEDICATION_TYPES: Final = frozenset(
    {"MedicationAdministration", "MedicationDispense", "MedicationRequest", "MedicationStatement"}
)
_UNLABELLED_TYPES: Final = DIRECTORY_TYPES - {"Medication"}
_RULING_TYPES: Final = frozenset({"Consent", "Contract"})
"""Types that name confidentialities to rule over others: theirs is in meta.security alone."""
_NO_ATTACHMENT: Final = frozenset({"Patient", "Person", "RelatedPerson"})
"""Their attachments are photographs of who they are."""
_SIGNATURE: Final = frozenset({"sigFormat", "who", "dimensions"})
_LOWEST: Final = LADDER.index("N")


@dataclass(frozen=True, slots=True)
class Label:
    """A confidentiality of v3's ladder (U L M N R V), and sensitivities of v3 ActCode."""

    confidentiality: str = "N"
    categories: frozenset[str] = frozenset()

    @property
    def rank(self) -> int:
        """The place on the ladder: higher is stricter."""
        return LADDER.index(self.confidentiality)

    def joined(self, other: Label) -> Label:
        """The stricter confidentiality and the categories of both."""
        if other == self:
            return self
        highest = max(self.confidentiality, other.confidentiality, key=LADDER.index)
        return Label(highest, self.categories | other.categories)


def label(resource: dict[str, Any], policy: RegionalPolicy, linked: Linked | None = None) -> Label:
    """The label of a resource as it stands.

    `linked` gives what a document or a prescription points to, and where it gives nothing a document is restricted. It
    need not hold the answer against a permit: nothing of what it gives is told but the label.
    """
    reading = _Reading(policy.tables, linked)
    mark = (
        reading.told(resource) if resource["resourceType"] in _UNLABELLED_TYPES else reading.whole(resource)
    )
    return _labelled(mark, resource, policy.tables)


def told_label(resource: dict[str, Any], policy: RegionalPolicy) -> Label:
    """The label that the source told in meta.security, and nothing else."""
    return _labelled(_Reading(policy.tables, None).told(resource), resource, policy.tables)


def _labelled(mark: int, resource: dict[str, Any], tables: CodeTables) -> Label:
    if mark:
        highest = "V" if mark & VERY_RESTRICTED else "R" if mark & RESTRICTED else "N"
        return Label(highest, tables.names(mark))
    security = resource.get("meta", {}).get("security")
    if security:
        told = [each["code"] for each in security if _is_confidentiality(each)]
        if told:
            return Label(LADDER[min(_LOWEST, max(map(LADDER.index, told)))])
    return NORMAL


def _is_confidentiality(coding: dict[str, Any]) -> bool:
    return coding.get("system", CONFIDENTIALITY) == CONFIDENTIALITY and coding.get("code") in LADDER


NORMAL: Final = Label()


class _Reading:
    """One resource being read: what it says, and how many links and documents inside of documents were followed."""

    __slots__ = ("_linked", "_links", "_nested", "_tables")

    def __init__(self, tables: CodeTables, linked: Linked | None) -> None:
        self._tables = tables
        self._linked = linked
        self._links = 0
        self._nested = 0

    def told(self, resource: dict[str, Any]) -> int:
        """What meta.security says. A code without a system is a confidentiality where it looks like one."""
        mark = 0
        for coding in resource.get("meta", {}).get("security", ()):
            code = coding.get("code")
            if isinstance(code, str):
                mark |= self._tables.mark(coding.get("system", CONFIDENTIALITY), code)
        return mark

    def whole(self, resource: dict[str, Any]) -> int:
        """What a resource says: its codings, its documents, what it points to."""
        resource_type = resource["resourceType"]
        mark, attachments, inner = self._walked(resource, is_ruling=resource_type in _RULING_TYPES)
        for each in inner:
            mark |= self.told(each)
        if attachments and resource_type not in _NO_ATTACHMENT:
            for each in attachments:
                mark |= self._attachment(each)
        if resource_type in _MEDICATION_TYPES:
            medication = self._follow(resource.get("medicationReference"))
            if medication is not None:
                mark |= self._walked(medication, is_ruling=False)[0]
        elif resource_type == "Composition":
            mark |= self._composition(resource)
        elif resource_type == "Bundle":
            for each in inner:
                if each.get("resourceType") == "Composition":
                    mark |= self._composition(each, _within(resource))
        return mark

    def _walked(
        self, resource: dict[str, Any], *, is_ruling: bool
    ) -> tuple[int, list[dict[str, Any]], list[dict[str, Any]]]:
        """The mark of every coding, the attachments, and the resources inside and itself. This is the hot loop."""
        mark = 0
        attachments: list[dict[str, Any]] = []
        inner: list[dict[str, Any]] = []
        judge = self._tables.mark
        rest: list[Any] = [resource]
        while rest:
            node = rest.pop()
            if type(node) is dict:
                code = node.get("code")
                if type(code) is str:
                    system = node.get("system")
                    if not (is_ruling and system == CONFIDENTIALITY):
                        mark |= judge(system, code)
                if "resourceType" in node:
                    inner.append(node)
                    confidentiality = node.get("confidentiality")  # Composition's is a bare code
                    if type(confidentiality) is str:
                        mark |= judge(CONFIDENTIALITY, confidentiality)
                    if node["resourceType"] == "Binary":
                        attachments.append(node)
                elif ("contentType" in node or "url" in node or "data" in node) and _is_attachment(node):
                    attachments.append(node)
                for value in node.values():
                    if type(value) is dict or type(value) is list:
                        rest.append(value)  # noqa: PERF401 - a generator costs twice as much here
            elif type(node) is list:
                rest.extend(node)
        return mark, attachments, inner

    def _attachment(self, node: dict[str, Any]) -> int:
        """What an attachment or a Binary holds; restricted where that cannot be known."""
        data = node.get("data")
        if isinstance(data, str):
            return self._content(content_of(str(node.get("contentType", "")), data))
        if "resourceType" in node:
            return 0  # a Binary without content
        target = self._follow({"reference": node.get("url")})
        if target is None:
            return RESTRICTED if "url" in node else 0
        if target.get("resourceType") != "Binary":
            return RESTRICTED
        return self.told(target) | self._attachment(target)

    def _content(self, content: Content | None) -> int:
        self._nested += 1
        if content is None or self._nested > MOST_NESTED:
            return RESTRICTED
        if content.resource is not None:
            return self.whole(content.resource)
        return self._codes(content.codes)

    def _codes(self, codes: Iterable[tuple[str | None, str]]) -> int:
        mark = 0
        for system, code in codes:
            mark |= self._tables.mark(system, code)
        return mark

    def _composition(self, composition: dict[str, Any], within: Linked | None = None) -> int:
        """What the entries of a Composition say: its narrative tells it, too. What cannot be looked at is restricted."""
        mark = 0
        entries = _section_entries(composition)
        for reference in islice(entries, MOST_LINKS + 1):
            if within is not None and within(str(reference.get("reference", ""))) is not None:
                continue  # it stands in the same Bundle, and has been walked
            target = self._follow(reference)
            mark |= (
                RESTRICTED if target is None else self._walked(target, is_ruling=False)[0] | self.told(target)
            )
        return mark

    def _follow(self, reference: object) -> dict[str, Any] | None:
        text = reference.get("reference") if isinstance(reference, dict) else None
        self._links += 1
        if (
            not isinstance(text, str)
            or text.startswith("#")
            or self._linked is None
            or self._links > MOST_LINKS
        ):
            return None
        return self._linked(text)


def _is_attachment(node: dict[str, Any]) -> bool:
    """Whether a node is an Attachment: extensions and signatures share some of its elements."""
    if "contentType" in node:
        return "endpoint" not in node and not node.keys() - ATTACHMENT_KEYS
    if isinstance(node.get("data"), str):
        return not node.keys() & _SIGNATURE
    return "url" in node and "extension" not in node and not node.keys() - ATTACHMENT_KEYS


def _section_entries(composition: dict[str, Any]) -> Iterable[dict[str, Any]]:
    rest = list(composition.get("section", ()))
    while rest:
        section = rest.pop()
        rest += section.get("section", ())
        yield from section.get("entry", ())


def _within(bundle: dict[str, Any]) -> Linked:
    """What a Bundle holds, by full URL and by type and id."""
    held: dict[str, dict[str, Any]] = {}
    for entry in bundle.get("entry", ()):
        resource = entry.get("resource")
        if resource is not None:
            held[entry.get("fullUrl", "")] = resource
            held[f"{resource.get('resourceType')}/{resource.get('id')}"] = resource
    return held.get
