"""patch: a change to a resource, said as a list of operations on what is stored.

Spec:    https://hl7.org/fhir/R4/http.html#patch, https://hl7.org/fhir/R4/fhirpatch.html
Leaves:  the two languages to json_patch and fhirpath_patch; what every new version passes to update.

Only the facility's own resources can be patched; anything else looks absent. A patch that cannot be applied - a `test`
that fails, a path that selects nothing - is a 422 and changes nothing: R4 gives no status of its own for it, and
RFC 5789 (2.2) has 422 for a patch that is understood and cannot be carried out. A patch can be made to tell what is
stored, so that it needs the scope to read as well as the one to update.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any, Final

from exchange.fhir.resource import dump, parse
from exchange.interactions import admission, fhirpath_patch, json_patch
from exchange.interactions.admission import Admitted
from exchange.interactions.condition import criteria_of, the_one
from exchange.interactions.update import answer_of, version_of
from exchange.permit import Permit
from exchange.policy.standing_labels import keep_labels
from exchange.problems import Gone, Invalid, Malformed, NotFound, NotSupported, PreconditionFailed
from exchange.request import Answer, Need, Request
from exchange.requester import Requester
from exchange.settings import settings
from exchange.store.session import Transaction
from exchange.store.versions import Occupancy, occupied, read_current

JSON_PATCH: Final = "application/json-patch+json"
Change = Callable[[dict[str, Any]], dict[str, Any]]
"""A patch that was read: it takes a resource and gives the changed one."""


class Patch:
    """PATCH [base]/[type]/[id] and [base]/[type]?criteria.

    Raises: NotFound - absent, hidden or another facility's; Invalid - the patch cannot be applied;
            PreconditionFailed - If-Match does not hold, or the criteria match several.
    """

    def __init__(self, request: Request, requester: Requester) -> None:
        self.request = request
        self.requester = requester
        self.change = read_patch(request)
        self.criteria = criteria_of(request)
        letters = "urs" if self.criteria else "ur"
        self.need = Need(tuple((request.resource_type, letter) for letter in letters), is_write=True)

    def run(self, transaction: Transaction, permit: Permit) -> Answer:
        """Apply it to the current version and store what comes out."""
        resource_type, resource_id = self.request.resource_type, self.request.resource_id
        if self.criteria:
            found = the_one(transaction, permit, resource_type, self.criteria)
            if found is None:
                raise NotFound(f"no such {resource_type}")
            resource_id = found.resource_id
        key = (resource_type, resource_id)
        standing = occupied(transaction, [key]).get(key)
        admitted = admit_patch(
            transaction, permit, self.requester, key, standing, self.change, self.request.if_match
        )
        admission.place(transaction, self.requester, [admitted])
        written = admission.store(transaction, self.requester, [admitted])
        return answer_of(admitted, transaction.now, written)


def read_patch(request: Request) -> Change:
    """The change that a request's body says. Raises: Malformed, NotSupported, TooCostly."""
    if request.resource_type == "Binary":
        raise NotSupported("a Binary is replaced, not patched", "http.url")
    if request.resource is not None:
        return patch_of(request.resource)
    if request.content_type == JSON_PATCH:
        return json_patch.read(request.body)
    body = admission.parse_body(request.body, "Parameters")
    return fhirpath_patch.read(body)


def patch_of(resource: dict[str, Any]) -> Change:
    """The change in an entry of a bundle: FHIRPath Patch, or JSON Patch inside of a Binary.

    Spec: https://hl7.org/fhir/R5/http.html#patch (the Binary; R4 names FHIRPath Patch alone)
    """
    if resource.get("resourceType") == "Parameters":
        return fhirpath_patch.read(resource)
    if resource.get("resourceType") != "Binary" or resource.get("contentType") != JSON_PATCH:
        raise Malformed(f"a patch is a Parameters, or a Binary of type {JSON_PATCH}", "resourceType")
    try:
        return json_patch.read(base64.b64decode(str(resource.get("data", "")), validate=True))
    except binascii.Error:
        raise Malformed("the Binary's data is no base64", "data") from None


def admit_patch(
    transaction: Transaction, permit: Permit, requester: Requester, key: tuple[str, str],
    standing: Occupancy | None, change: Change, if_match: str | None = None,
    resolve: Callable[[dict[str, Any]], None] | None = None,
) -> Admitted:  # fmt: skip
    """One patch on its way in: held against what stands, applied, and the result checked like an update.

    `resolve` replaces references that only the result holds.
    """
    # 1. Whose, and at which version.
    if standing is None or standing.custodian != requester.custodian:
        raise NotFound(f"no such {key[0]}")
    if standing.is_deleted:
        raise Gone(f"this {key[0]} was deleted")
    if if_match is not None and version_of(if_match) != standing.version_id:
        raise PreconditionFailed("the resource is not at this version")
    held = read_current(transaction, permit, *key)
    if held is None:
        raise NotFound(f"no such {key[0]}")
    # 2. The change, on a tree of its own.
    stored = held.parsed()
    changed = change(held.parsed())
    # 3. What a patch may not say, and what it must not leave behind.
    _require_same_identity(stored, changed)
    changed = keep_labels(stored, _without_stale_narrative(stored, _within_bounds(changed)))
    if resolve is not None:
        resolve(changed)
    admission.require_valid(changed)
    admitted = Admitted(*key, changed, standing, standing.version_id + 1)
    if admission.is_same(changed, held.text, requester):
        admitted.is_unchanged, admitted.text, admitted.version_id = True, held.text, held.version_id
        admitted.stored_at = held.last_updated
    return admitted


def _within_bounds(changed: dict[str, Any]) -> dict[str, Any]:
    """The result as its text says it: as large and as deep as a posted resource may be."""
    try:
        text = dump(changed)
    except RecursionError:
        raise Invalid("the patched resource nests too deeply") from None
    return parse(text, max_bytes=settings().max_body_bytes, max_depth=settings().max_json_depth)


def _require_same_identity(stored: dict[str, Any], changed: dict[str, Any]) -> None:
    """Refuse another type, id, version or instant. Version and instant may be missing: the hub sets them."""
    if not isinstance(changed, dict):
        raise Invalid("a patch leaves a resource behind")
    for name in ("resourceType", "id"):
        if changed.get(name) != stored[name]:
            raise Invalid("a patch changes neither type nor id", name)
    meta = changed.get("meta", {})
    for name in ("versionId", "lastUpdated"):
        if isinstance(meta, dict) and name in meta and meta[name] != stored["meta"][name]:
            raise Invalid("the hub alone sets version and instant", f"meta.{name}")


def _without_stale_narrative(stored: dict[str, Any], changed: dict[str, Any]) -> dict[str, Any]:
    """The resource without a generated narrative that tells what the data no longer says.

    A narrative that a person wrote is not thrown away: then the patch has to say the new one too.
    Raises: Invalid - the data changed, and the narrative that stands is more than generated.
    """
    text = changed.get("text")
    if not isinstance(text, dict) or text != stored.get("text"):
        return changed
    without = ("text", "meta")
    if _rest(stored, without) == _rest(changed, without):
        return changed
    if text.get("status") not in ("generated", "empty"):
        raise Invalid("the narrative says more than the data: patch it together with the data", "text")
    return _rest(changed, ("text",))


def _rest(resource: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in resource.items() if name not in names}
