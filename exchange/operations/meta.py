"""$meta, $meta-add, $meta-delete: profiles, tags and security labels, read and changed without the rest of a resource.

Spec:    https://hl7.org/fhir/R4/resource-operation-meta.html, https://hl7.org/fhir/R4/resource-operation-meta-add.html,
         https://hl7.org/fhir/R4/resource-operation-meta-delete.html
Leaves:  what every new version passes to admission.

A change makes a version of its own, as any change does here: versions are sealed and only ever appended to, so that none
can be altered behind its number. For that reason labels of a past version are read and not changed. Over a type, what
is in use among the resources in reach is told, and of nobody in particular; over the whole system it is not.
"""

from __future__ import annotations

from typing import Any, Final

from exchange.fhir.definitions import type_code
from exchange.fhir.resource import parse
from exchange.interactions import admission
from exchange.interactions.admission import Admitted
from exchange.interactions.read import answer_with
from exchange.interactions.vread import VersionRead
from exchange.operations.parameters import Given, parameters
from exchange.permit import Permit
from exchange.problems import Denied, Gone, NotFound, NotSupported, TooCostly, WrongMethod
from exchange.request import Answer, Need, Request, Touched
from exchange.requester import Requester
from exchange.settings import settings
from exchange.store.session import Transaction
from exchange.store.versions import COLUMNS, occupied, opened, read_current, table_of
from exchange.store.visibility import visible

_SETS: Final = ("profile", "security", "tag")
OF_TYPE: Final = """
SELECT {columns} FROM {table} r WHERE r.type = %(type)s AND NOT r.is_deleted AND {where} LIMIT %(limit)s"""


class Meta:
    """GET or POST [type]/[id]/$meta, [type]/[id]/_history/[vid]/$meta and [type]/$meta.

    Raises: NotFound - absent or hidden; NotSupported - over the whole system; TooCostly - too many to look through.
    """

    def __init__(self, request: Request, requester: Requester) -> None:
        Given(request, {})
        if not request.resource_type:
            raise NotSupported("$meta is asked of a resource, a version or a type", "http.url")
        self.request = request
        self.past = VersionRead(request, requester) if request.version_id else None
        named = (request.resource_type, request.resource_id)
        if request.resource_id:
            self.need = Need(((request.resource_type, "r"),), target=named)
        else:
            self.need = Need(((request.resource_type, "s"),))

    def run(self, transaction: Transaction, permit: Permit) -> Answer:
        """The meta of one version, or what is in use in a type."""
        if not self.request.resource_id:
            return _answered(self._in_use(transaction, permit), [])
        if self.past is not None:
            found = self.past.run(transaction, permit)
        else:
            version = read_current(transaction, permit, self.request.resource_type, self.request.resource_id)
            found = answer_with(self.request.resource_type, version)
        return _answered(parse(found.body).get("meta", {}), found.touched)

    def _in_use(self, transaction: Transaction, permit: Permit) -> dict[str, Any]:
        most = settings().max_scan_rows
        if not permit.reads(self.request.resource_type):
            return {}
        where, named = visible(permit)
        sql = OF_TYPE.format(columns=COLUMNS, table=table_of(self.request.resource_type), where=where)
        named |= {"type": type_code(self.request.resource_type), "limit": most + 1}
        rows = transaction.rows(sql, named)
        if len(rows) > most:
            raise TooCostly("there are too many resources of this type to look through", "http.url")
        used: dict[str, Any] = {}
        for version in opened(transaction, rows):
            used = _added(used, _labels(version.parsed().get("meta", {})))
        return {name: sorted(values, key=str) for name, values in used.items()}


class ChangeMeta:
    """POST [type]/[id]/$meta-add and $meta-delete.

    Raises: NotFound - absent, hidden or another facility's; WrongMethod - asked for with GET.
    """

    def __init__(self, request: Request, requester: Requester) -> None:
        if request.is_safe:
            raise WrongMethod(f"${request.operation} changes a resource: it is posted", "http.method")
        if not request.resource_type or not request.resource_id:
            raise NotSupported(f"${request.operation} is asked of a resource", "http.url")
        if request.version_id:
            raise NotSupported("past versions stay as they are", "http.url")
        self.request = request
        self.requester = requester
        self.labels = _labels(Given(request, {"meta": "valueMeta"}).one("meta") or {})
        if not self.labels:
            raise NotSupported("the parameter meta has profiles, tags or security labels", "http.meta")
        if request.operation == "meta-delete" and "security" in self.labels:
            words = "a security label that stands is not taken away"
            raise Denied(words, "http.meta", reason="security label taken away")
        self.need = Need(((request.resource_type, "u"), (request.resource_type, "r")), is_write=True)

    def run(self, transaction: Transaction, permit: Permit) -> Answer:
        """Store a version with other labels; where they are so already, none."""
        key = (self.request.resource_type, self.request.resource_id)
        standing = occupied(transaction, [key]).get(key)
        if standing is None or standing.custodian != self.requester.custodian:
            raise NotFound(f"no such {key[0]}")
        held = read_current(transaction, permit, *key)
        if held is None or held.is_deleted:
            raise Gone(f"this {key[0]} was deleted")
        resource = held.parsed()
        meta = resource["meta"]
        change = _added if self.request.operation == "meta-add" else _without
        kept = {name: value for name, value in meta.items() if name not in _SETS}
        resource["meta"] = kept | change({name: meta[name] for name in _SETS if name in meta}, self.labels)
        admitted = Admitted(*key, resource, standing, standing.version_id + 1)
        admission.require_valid(resource)
        admitted.is_unchanged = admission.is_same(resource, held.text, self.requester)
        admission.place(transaction, self.requester, [admitted])
        written = admission.store(transaction, self.requester, [admitted])
        text = held.text if admitted.is_unchanged else admitted.text
        answer = _answered(parse(text)["meta"], admission.touched([admitted]))
        answer.written = written
        return answer


def _answered(meta: dict[str, Any], touched: list[Touched]) -> Answer:
    # An empty Meta cannot be written: FHIR has no empty objects.
    answer = (
        parameters(("return", "valueMeta", meta)) if meta else Answer(body=b'{"resourceType":"Parameters"}')
    )
    answer.touched = touched
    return answer


def _labels(meta: Any) -> dict[str, list[Any]]:
    """The three sets of a meta; what else it says is not the caller's to set."""
    return {name: meta[name] for name in _SETS if isinstance(meta, dict) and meta.get(name)}


def _identity(label: Any) -> Any:
    """What makes two labels one: a profile's URL, a coding's system and code."""
    return (label.get("system"), label.get("code")) if isinstance(label, dict) else label


def _added(meta: dict[str, list[Any]], labels: dict[str, list[Any]]) -> dict[str, list[Any]]:
    merged = dict(meta)
    for name, values in labels.items():
        kept = list(merged.get(name, ()))
        known = {_identity(each) for each in kept}
        for each in values:
            if _identity(each) not in known:
                known.add(_identity(each))
                kept.append(each)
        merged[name] = kept
    return merged


def _without(meta: dict[str, list[Any]], labels: dict[str, list[Any]]) -> dict[str, list[Any]]:
    left = {}
    for name, values in meta.items():
        gone = {_identity(each) for each in labels.get(name, ())}
        kept = [each for each in values if _identity(each) not in gone]
        if kept:
            left[name] = kept
    return left
