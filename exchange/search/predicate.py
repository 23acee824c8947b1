"""What a search asks of one resource, as SQL over its index row and as a check of the opened resource: side by side.

Spec:    https://hl7.org/fhir/R4/search.html; docs/decisions/0009-two-kinds-of-search.md.
Leaves:  nodes that look at other resources to resolution; which rows may be looked at to store/visibility.

The SQL may let more rows through than the node (a bucket of names, any number); `is_exact` says whether it does. The
check is the node itself.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from exchange.crypto.blind_index import DERIVED, EVERYWHERE, BlindIndex, token
from exchange.fhir.definitions import type_code
from exchange.permit import DIRECTORY_TYPES
from exchange.search import composite, date, reference
from exchange.search.index import DAY_FORM, SEALED_DATES, bucket_token, hash_text, parameter_number
from exchange.search.parameter import custom_parameters
from exchange.search.population import (
    has_buckets,
    is_alike_everywhere,
    is_population_form,
    population_parameters,
)
from exchange.search.tree import All, Among, AnyOf, Coded, Criterion, HasInRecord, Node, Not, Pointing, Shared
from exchange.search.wanted_forms import wanted_forms
from exchange.settings import settings

MOST_HASHED: Final = 5_000
_ALIAS: Final = re.compile(r"\br(?=\.)")
FEW: Final = 8
MOST_UNDER_RECORDS: Final = 16
"""As many values does the database look for in records that no one named; more are compared on opened resources."""
_IN_RECORD: Final = DERIVED.format(trapdoor="w", record="r.compartment")
HELD: Final = f"r.tokens && ARRAY(SELECT {_IN_RECORD} FROM unnest(%({{name}})s::bytea[]) w)"  # noqa: S608


@dataclass(slots=True)
class Predicate:
    """SQL over the row alias `r`.

    hashes   of the population index: one of them stands in every record with a match; empty where nothing is known
    probes   trapdoors: or the token of one of them under the record does
    more     compartments that may have a match without any of these hashes
    places   compartments that every match lies in; None where nothing is known
    """

    sql: str = "true"
    parameters: dict[str, Any] = field(default_factory=dict)
    is_exact: bool = True
    hashes: list[int] = field(default_factory=list)
    probes: list[bytes] = field(default_factory=list)
    more: frozenset[int] = frozenset()
    places: frozenset[int] | None = None


class ToSql:
    """Turns the nodes of one search into SQL; parameters are numbered in their order, so like searches read alike."""

    def __init__(
        self,
        resource_type: str,
        blind: BlindIndex,
        now: int,
        where: str,
        records: Collection[int] | None = None,
        prefix: str = "p",
    ) -> None:
        """`where` is what the Permit lets be seen of the row alias `r`; `prefix` begins the names of parameters.

        `records` are those that rows are looked for in, as tokens are hashed under them; None for any.
        """
        self._type = resource_type
        self._blind = blind
        self._asked = records
        self._records = [EVERYWHERE] if resource_type in DIRECTORY_TYPES else records
        self._now = now
        self._where = where
        self._prefix = prefix
        self._number = 0

    def of(self, node: Node) -> Predicate:
        """The SQL of one resolved node."""
        match node:
            case Criterion():
                return self._criterion(node)
            case Pointing():
                return self._pointing(node)
            case Coded():
                return self._coded(node)
            case Among(targets=targets):
                name = self._next()
                ids = sorted(each.partition("/")[2] for each in targets if each.startswith(self._type + "/"))
                own = self._type == "Patient"  # a Patient lies in the record that its id gives
                places = frozenset(map(self._blind.patient_compartment, ids)) if own else None
                return Predicate(f"r.id = ANY(%({name})s::text[])", {name: ids}, places=places)
            case HasInRecord():
                return self._has_in_record(node)
            case Shared(places=places):
                return Predicate("r.members IS NOT NULL", places=places)
            case All(nodes=nodes):
                return conjunction([self.of(each) for each in nodes])
            case AnyOf(nodes=nodes):
                return _disjunction([self.of(each) for each in nodes])
            case Not(node=inner):
                inside = self.of(inner)
                # What is not surely so cannot be denied in SQL.
                if not inside.is_exact:
                    return Predicate(is_exact=False)
                return Predicate(f"NOT ({inside.sql})", inside.parameters)
            case _:
                raise TypeError("a node that looks at other resources reached SQL")

    def own_patient(self, criterion: Criterion, records: Sequence[int], *, is_alone: bool) -> Predicate:
        """A criterion that named patients: it asks for resources whose own patient, or another, is one of theirs.

        `is_alone` says that the records searched are just these, so that a record's own patient is one of them.
        """
        name = criterion.name
        if is_alone:
            return self._held(name, [reference.OWN_PATIENT])
        others = self._held(name, [reference.of_record(each) for each in records])
        return self._or_in_own(others, name, records)

    def _next(self) -> str:
        self._number += 1
        return f"{self._prefix}{self._number}"

    def _text(self, name: str, form: str) -> str:
        return hash_text(self._type, name, form)

    def _held(self, name: str, forms: Iterable[str], *, is_exact: bool = True) -> Predicate:
        """Rows that bear a token of one of the forms.

        1. Forms that are alike everywhere, and any in records that are known, are numbers. 2. A few others are derived
        from each row's record by the database. 3. Of many, only nobody's rows are told; the check decides on the rest.
        """
        placed = [self._placed(form) for form in forms]
        # 1.
        if self._records is not None or self._type == "AuditEvent":
            return self._holding([each for form in placed for each in self._tokens(name, form)], is_exact)
        others = [form for form in placed if not is_alike_everywhere(self._type, name, form)]
        nobodys = [self._blind.token(self._text(name, form), EVERYWHERE) for form in placed]
        if not others:
            return self._holding(nobodys, is_exact)
        # 3.
        if len(others) > MOST_UNDER_RECORDS:
            found = self._holding(nobodys, is_exact=False)
            found.sql = f"(r.compartment > 0 OR {found.sql})"
            return found
        # 2.
        key = self._next()
        trapdoors = [self._blind.trapdoor(self._text(name, form)) for form in others]
        found = Predicate(HELD.format(name=key), {key: trapdoors}, is_exact)
        is_mixed = len(others) < len(placed)
        return _disjunction([found, self._holding(nobodys, is_exact)]) if is_mixed else found

    def _holding(self, hashes: list[int], is_exact: bool) -> Predicate:  # noqa: FBT001 - the only one
        name = self._next()
        sql = f"r.tokens && %({name})s::bigint[]"
        if len(hashes) > FEW:  # a long list is hashed once instead of walked for every row
            sql = f"EXISTS (SELECT FROM unnest(r.tokens) held WHERE held = ANY(%({name})s::bigint[]))"
        return Predicate(sql, {name: hashes}, is_exact)

    def _placed(self, form: str) -> str:
        """A form as it is indexed: another record's patient by that record."""
        if form.startswith("Patient/") and form != reference.OWN_PATIENT:
            return reference.of_record(self._blind.patient_compartment(form[8:]))
        return form

    def _tokens(self, name: str, form: str) -> list[int]:
        """The tokens of a form in the records that are known."""
        text = self._text(name, form)
        if self._type == "AuditEvent":
            return [self._blind.value(text)]
        trapdoor = self._blind.trapdoor(text)
        if is_alike_everywhere(self._type, name, form):
            return [token(trapdoor, EVERYWHERE)]
        return sorted({token(trapdoor, each) for each in self._records or ()})

    def _criterion(self, criterion: Criterion) -> Predicate:
        name, parameter = criterion.name, criterion.parameter
        if name == "_id":
            key = self._next()
            return Predicate(f"r.id = ANY(%({key})s::text[])", {key: list(criterion.values)})
        if name == "_lastUpdated":
            return self._compared(criterion, "{0}", "r.last_updated", "r.last_updated")
        if criterion.modifier in ("missing", "ne") or not parameter.is_indexed:
            return Predicate(is_exact=False)
        if parameter.kind == "composite":
            return self._composite(criterion)
        if parameter.kind == "date" and name not in SEALED_DATES:
            key = self._next()
            steps = "generate_series(1, cardinality(r.ranges), 3) i"
            around = f"EXISTS (SELECT 1 FROM {steps} WHERE r.ranges[i] = %({key})s AND {{0}})"  # noqa: S608
            found = self._compared(criterion, around, "r.ranges[i + 1]", "r.ranges[i + 2]")
            found.parameters[key] = parameter_number(name)
            return found
        forms = wanted_forms(criterion)
        if forms is None:
            return Predicate(is_exact=False)
        is_exact = parameter.kind != "string" and criterion.modifier != "below"
        found = self._held(name, forms, is_exact=is_exact)
        if criterion.modifier == "not":
            return (
                Predicate(f"NOT ({found.sql})", found.parameters)
                if found.is_exact
                else Predicate(is_exact=False)
            )
        own = [self._blind.patient_compartment(form[8:]) for form in forms if form.startswith("Patient/")]
        if own and name in reference.scoping_parameters(self._type):
            # In its own patient's record the reference has another form; this asks for others beside patients.
            return self._or_in_own(found, name, own)
        return self._driven(found, name, forms)

    def _or_in_own(self, found: Predicate, name: str, records: Iterable[int]) -> Predicate:
        record, own = self._next(), self._held(name, [reference.OWN_PATIENT])
        in_own = f"r.compartment = ANY(%({record})s::bigint[]) AND {own.sql}"
        more = {record: sorted(records)} | own.parameters
        return Predicate(f"({found.sql} OR ({in_own}))", found.parameters | more, found.is_exact)

    def _driven(self, found: Predicate, name: str, forms: Iterable[str]) -> Predicate:
        """Let the population index find the records, where it has all forms of the parameter."""
        if has_buckets(self._type, name) and all(len(form) == DAY_FORM for form in forms):
            reading = self._blind.versions.reading
            found.hashes = [bucket_token(self._blind, self._text(name, form), reading) for form in forms]
            return found
        is_populated = name in population_parameters(self._type) or name in custom_parameters(self._type)
        if not is_populated or not all(is_population_form(name, form) for form in forms):
            return found
        placed = [self._placed(form) for form in forms]
        if self._records is not None:
            found.hashes = [each for form in placed for each in self._tokens(name, form)]
            return found
        probes = [
            self._blind.trapdoor(self._text(name, form))
            for form in placed
            if not is_alike_everywhere(self._type, name, form)
        ]
        if len(probes) <= MOST_UNDER_RECORDS:
            found.hashes = [self._blind.token(self._text(name, form), EVERYWHERE) for form in placed]
            found.probes = probes
        return found

    def _composite(self, criterion: Criterion) -> Predicate:
        """Narrowed by the parts that have tokens; the check sees to it that they stand in one element."""
        each_value = []
        for text in criterion.values:
            parts = [
                self._criterion(Criterion(part, "", (value,)))
                for part, value in composite.parts_of(criterion.parameter, text)
                if part.kind in ("token", "reference", "uri") and part.name != criterion.name
            ]
            each_value.append(conjunction(parts))
        found = _disjunction(each_value)
        found.is_exact = False
        return found

    def _compared(self, criterion: Criterion, around: str, held_low: str, held_high: str) -> Predicate:
        parts: list[str] = []
        parameters: dict[str, Any] = {}
        for text in criterion.values:
            value = date.parse(text, criterion.name, settings().zone, self._now)
            low, high = self._next(), self._next()
            parameters |= {low: value.low, high: value.high}
            prefix = "overlaps" if criterion.modifier == "overlaps" else value.prefix
            compared = date.SQL[prefix].replace("%(low)s", f"%({low})s").replace("%(high)s", f"%({high})s")
            parts.append(compared.format(low=held_low, high=held_high))
        return Predicate(around.format(f"({' OR '.join(parts)})"), parameters)

    def _pointing(self, node: Pointing) -> Predicate:
        name = node.parameter.name
        if not node.parameter.is_indexed:
            return Predicate(is_exact=False)
        forms = sorted({*node.targets, *(reference.of_record(each) for each in node.records)})
        if not node.records:
            return self._driven(self._held(name, forms), name, forms)
        found = self._or_in_own(self._held(name, forms), name, node.records)
        found.places = node.places
        return found

    def _has_in_record(self, node: HasInRecord) -> Predicate:
        inner = ToSql(
            node.source, self._blind, self._now, self._where, self._asked, prefix=self._next() + "_"
        )
        own = inner._held(node.parameter.name, [reference.OWN_PATIENT])
        found = conjunction([own, *(inner.of(each) for each in node.nodes)])
        kind = self._next()
        rows = (
            f"SELECT FROM resource r WHERE r.compartment = {{outer}} AND r.type = %({kind})s AND NOT r.is_deleted"
            f" AND {self._where} AND {found.sql} OFFSET 0"  # looked at in each record: never joined the other way round
        )
        sql = (
            "EXISTS ("
            + _ALIAS.sub("h", rows).replace("resource r", "resource h").format(outer="r.compartment")
            + ")"
        )
        named = found.parameters | {kind: type_code(node.source)}
        return Predicate(sql, named, found.is_exact, found.hashes, found.probes, found.more)

    def _coded(self, node: Coded) -> Predicate:
        pairs = node.codes.pairs
        if not node.parameter.is_indexed or node.is_negated or node.codes.systems or len(pairs) > MOST_HASHED:
            return Predicate(is_exact=False)
        name = node.parameter.name
        # A code element says no system: the set decides which it may be.
        forms = sorted({f"{system}|{code}" for system, code in pairs} | {f"|{code}" for _, code in pairs})
        return self._driven(self._held(name, forms, is_exact=False), name, forms)


def conjunction(parts: Sequence[Predicate]) -> Predicate:
    """All of them."""
    driven = min(
        (part for part in parts if part.hashes),
        key=lambda part: (len(part.probes), len(part.hashes)),
        default=None,
    )
    placed = [part.places for part in parts if part.places is not None]
    return Predicate(
        " AND ".join(part.sql for part in parts) or "true",
        {key: value for part in parts for key, value in part.parameters.items()},
        all(part.is_exact for part in parts),
        driven.hashes if driven else [],
        driven.probes if driven else [],
        driven.more if driven else frozenset(),
        frozenset.intersection(*placed) if placed else None,
    )


def _disjunction(parts: Sequence[Predicate]) -> Predicate:
    """Any of them; the index can drive it only where it could drive each, or where that lies is known."""
    is_driven = all(part.hashes or part.places is not None for part in parts)
    placed = [part.places for part in parts if part.places is not None]
    return Predicate(
        f"({' OR '.join(f'({part.sql})' for part in parts) or 'false'})",
        {key: value for part in parts for key, value in part.parameters.items()},
        all(part.is_exact for part in parts),
        [each for part in parts for each in part.hashes] if is_driven else [],
        [each for part in parts for each in part.probes] if is_driven else [],
        frozenset().union(*(part.more if part.hashes else part.places or () for part in parts)),
        frozenset().union(*placed) if parts and len(placed) == len(parts) else None,
    )
