"""$validate: whether a resource is valid R4, and keeps the profiles that are asked for or that it says it keeps.

Spec:    https://hl7.org/fhir/R4/resource-operation-validate.html; docs/decisions/0015-validation.md
Leaves:  structure to fhir/structure, profiles to fhir/profile_check, codes to terminology.

The answer is an OperationOutcome, whatever was found; nothing is stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from exchange.fhir.definitions import is_resource_type
from exchange.fhir.fhirpath import Item, World
from exchange.fhir.invariants import rules_of_type
from exchange.fhir.profile import is_core
from exchange.fhir.profile_check import ANY_SYSTEM, Check, Surroundings, TooMuchError
from exchange.fhir.profile_extensions import check_extensions
from exchange.fhir.validate import check
from exchange.operations.parameters import RESOURCE, TEXT, Given
from exchange.operations.terminology_target import stored
from exchange.permit import Permit
from exchange.problems import Issue, Malformed, NotFound, NotSupported, TooCostly
from exchange.request import Answer, Need, Request, Touched
from exchange.requester import Requester
from exchange.store.canonical import find_canonical, memory
from exchange.store.session import Transaction
from exchange.terminology.membership import NO_CODE, in_value_set
from exchange.terminology.value_set import Expansion, expansion_of, find_rules

TAKEN: Final = {"resource": RESOURCE, "mode": TEXT, "profile": TEXT}
MODES: Final = ("create", "update", "delete", "profile")
MOST_PROFILES: Final = 20


class Validate:
    """[type]/$validate and [type]/[id]/$validate. Raises: Malformed - no resource; NotFound - no such instance."""

    def __init__(self, request: Request, _requester: Requester) -> None:
        self.given = Given(request, TAKEN, body="resource", repeating=("profile",))
        self.kind, self.resource_id = request.resource_type, request.resource_id
        self.mode = self.given.text("mode")
        self.resource: dict[str, Any] | None = self.given.one("resource")
        if not is_resource_type(self.kind):
            raise NotSupported("$validate is asked of a type", "http.url")
        if self.mode and self.mode not in MODES:
            raise NotSupported("there is no such mode", "http.mode")
        if len(self.given.all("profile")) > MOST_PROFILES:
            raise NotSupported(f"at most {MOST_PROFILES} profiles", "http.profile")
        if self.mode in ("update", "delete") and not self.resource_id:
            raise Malformed("this mode is asked of an instance", "http.mode")
        if self.resource is None and not self.resource_id:
            raise Malformed("$validate needs a resource", "http.resource", code="required")
        target = (self.kind, self.resource_id) if self.resource_id else None
        self.need = Need(((self.kind, "r"),), target=target)

    def run(self, transaction: Transaction, permit: Permit) -> Answer:
        """Every issue that was found; one that says so when there is none."""
        touched: list[Touched] = []
        resource = self.resource
        if resource is None or self.mode in ("update", "delete"):
            standing, touched = stored_with_place(transaction, permit, self.kind, self.resource_id)
            resource = resource or standing
        issues: list[Issue] = []
        if self.mode != "delete":
            issues = self._issues(transaction, resource)
        if not issues:
            issues.append(Issue("informational", "All that was asked holds", None, "information"))
        return Answer(body=outcome(issues), touched=touched)

    def _issues(self, transaction: Transaction, resource: dict[str, Any]) -> list[Issue]:
        # 1. What it claims to be.
        if resource.get("resourceType") != self.kind:
            return [Issue("structure", f"The resource is no {self.kind}", "resourceType")]
        issues = []
        if self.mode == "update" and resource.get("id") != self.resource_id:
            issues.append(Issue("value", "The id is not that of the instance", f"{self.kind}.id"))
        # 2. Base R4. Where its structure is broken, rules and profiles cannot be asked.
        found = check(resource, model_check=True)
        if found:
            profiles = "Profiles were not checked: the resource is no valid R4"
            return [*issues, *found, Issue("informational", profiles, self.kind, "information")]
        issues += warnings(resource)
        # 3. Profiles: those asked for, and those that it says it keeps.
        checked = Check(Item(self.kind, resource), Surroundings(_finder(transaction), _codes(transaction)))
        try:
            for url in self.given.all("profile"):
                if not is_core(url) and checked.surroundings.find(url) is None:
                    checked.report("not-found", "A profile that was asked for is not known here", self.kind)
                else:
                    checked.against(url)
            for url in resource.get("meta", {}).get("profile", ()):
                if is_core(url) or checked.surroundings.find(url) is not None:
                    checked.against(url)
                else:
                    checked.report("not-found", "A profile that the resource names is not known here",
                                   f"{self.kind}.meta.profile", "warning")  # fmt: skip
            # 4. Extensions, by their own definitions.
            check_extensions(checked)
        except (TooMuchError, RecursionError):
            checked.issues.append(
                Issue("too-costly", "The check was given up: it takes more than this hub allows", self.kind)
            )
        return issues + checked.issues


def warnings(resource: dict[str, Any]) -> list[Issue]:
    """R4's rules of severity warning, of the resource itself: that it has a narrative (dom-6), and the like."""
    item = Item(resource["resourceType"], resource)
    return [
        Issue("invariant", f"{rule.key}: {rule.text}", item.type, "warning")
        for rule in rules_of_type(item.type)
        if rule.severity == "warning" and rule.is_broken(item, item, item, World())
    ]


def outcome(issues: list[Issue]) -> bytes:
    """An OperationOutcome, what is worst first."""
    order = {"fatal": 0, "error": 1, "warning": 2, "information": 3}
    rows = []
    for issue in sorted(issues, key=lambda each: order[each.severity]):
        row: dict[str, Any] = {
            "severity": issue.severity,
            "code": issue.code,
            "diagnostics": issue.diagnostics,
        }
        if issue.expression:
            row["expression"] = [issue.expression]
        rows.append(row)
    return msgspec.json.encode({"resourceType": "OperationOutcome", "issue": rows})


def stored_with_place(
    transaction: Transaction, permit: Permit, kind: str, resource_id: str
) -> tuple[dict[str, Any], list[Touched]]:
    """A stored resource, and the records that reading it touches. Raises: NotFound."""
    from exchange.store.versions import read_current  # noqa: PLC0415

    version = read_current(transaction, permit, kind, resource_id)
    if version is None or version.is_deleted:
        raise NotFound(f"no such {kind}")
    resource = stored(transaction, permit, kind, resource_id)
    place = f"{kind}/{resource_id}/_history/{version.version_id}"
    return resource, [Touched(each, (place,)) for each in version.compartments]


def _finder(transaction: Transaction) -> Any:
    known = memory(transaction)

    def find(canonical: str) -> Mapping[str, Any] | None:
        key = ("structure", canonical)
        if key not in known:
            known[key] = find_canonical(transaction, "StructureDefinition", canonical)
        found: Mapping[str, Any] | None = known[key]
        return found

    return find


def _codes(transaction: Transaction) -> Any:
    known: dict[str, Expansion | str] = {}

    def expanded(url: str) -> Expansion | str:
        rules = find_rules(transaction, url)
        if rules is None:
            return "its value set is not known here"
        try:
            return expansion_of(transaction, rules, "url", known_as=url)
        except (NotSupported, TooCostly) as problem:
            return str(problem)

    def codes(url: str, system: str, code: str) -> tuple[bool | None, str]:
        if url not in known:
            known[url] = expanded(url)
        expansion = known[url]
        if isinstance(expansion, str):
            return None, expansion
        if system == ANY_SYSTEM:
            has_code = any(each == code for _, each in expansion.members)
            return (True, "") if has_code else (None if expansion.systems else False, NO_CODE)
        verdict = in_value_set(transaction, expansion, system, code)
        return verdict.belongs, verdict.why

    return codes
