"""Random searches that have a chance: their values come from the resources that are searched."""

from __future__ import annotations

from random import Random
from typing import Any

from exchange.fhir.definitions import SearchParameter
from exchange.fhir.path import compile_expression, composite_extractor
from exchange.search import quantity, string, token
from exchange.search.grammar import MODIFIERS
from exchange.search.parameter import by_url, known_parameters
from tests.properties.naive import Shelf, points_to

PREFIXES = ("", "", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
VALUE_SETS = tuple(
    "http://hl7.org/fhir/ValueSet/" + name
    for name in (
        "observation-status",
        "event-status",
        "request-status",
        "publication-status",
        "observation-category",
        "administrative-gender",
    )
)
Pairs = list[tuple[str, str]]


class Queries:
    """A source of searches over one shelf; the same seed gives the same searches."""

    def __init__(self, shelf: Shelf, seed: int) -> None:
        self._random = Random(seed)
        self._shelf = shelf
        self._types = sorted({each["resourceType"] for each in shelf.resources.values()})
        self._by_type = {name: list(shelf.of_type(name)) for name in self._types}

    def one(self) -> tuple[str, Pairs]:
        """A type and what is asked of it."""
        random = self._random
        resource_type = random.choice(self._types)
        pairs = [self._criterion(resource_type, 0) for _ in range(random.choice((1, 1, 1, 2, 2, 3)))]
        if random.random() < 0.1:
            pairs = [("_filter", self._filter(resource_type))]
        pairs.append(("_count", str(random.choice((1, 2, 3, 7, 50, 50, 200)))))
        if random.random() < 0.2:
            pairs.append(("_sort", self._sort(resource_type)))
        if random.random() < 0.2:
            pairs.append(self._include(resource_type))
        return resource_type, pairs

    def _criterion(self, resource_type: str, depth: int) -> tuple[str, str]:
        random = self._random
        known = known_parameters(resource_type)
        roll = random.random()
        if depth < 3 and roll < 0.18:
            chained = self._chain(resource_type, depth)
            if chained:
                return chained
        elif depth < 3 and roll < 0.3:
            reverse = self._has(resource_type, depth)
            if reverse:
                return reverse
        if roll > 0.97:
            lists = [each["id"] for each in self._by_type.get("List", ())] or ["none"]
            return "_list", random.choice(lists)
        if roll > 0.94:
            return random.choice(("_text", "_content")), random.choice(
                ("patient", "example blood", "the a", "2012", "xyz")
            )
        for _ in range(20):
            parameter = known[random.choice(sorted(known))]
            if parameter.name == "_query" or not parameter.expression:
                continue
            found = self._some(resource_type, parameter)
            if found or random.random() < 0.1:
                return self._asked(resource_type, parameter, found)
        return "_id", random.choice(self._by_type[resource_type])["id"] if self._by_type.get(
            resource_type
        ) else "none"

    def _some(self, resource_type: str, parameter: SearchParameter) -> list[Any]:
        """What some resource of the type holds for a parameter: its elements, or elements that stand together."""
        resources = self._by_type.get(resource_type, [])
        for resource in self._random.sample(resources, min(4, len(resources))):
            if parameter.kind == "composite":
                held = next(
                    (each for one, each in composite_extractor(resource_type)(resource) if one == parameter),
                    [],
                )
                if held:
                    return list(held)
                continue
            try:
                elements = compile_expression(parameter.expression, resource_type)(resource)
            except ValueError:
                return []
            if elements:
                return elements
        return []

    def _asked(self, resource_type: str, parameter: SearchParameter, found: list[Any]) -> tuple[str, str]:
        random = self._random
        name, kind = parameter.name, parameter.kind
        modifiers = sorted(
            MODIFIERS[kind] - {"in", "not-in", "above", "below", "of-type", "identifier", "text"}
        )
        if name in ("_id", "_lastUpdated"):
            modifiers = []
        modifier = random.choice(modifiers) if modifiers and random.random() < 0.25 else ""
        if modifier == "missing":
            return f"{name}:missing", random.choice(("true", "false"))
        special = self._special(parameter, found)
        if special and random.random() < 0.3:
            return special
        values = [self._value(parameter, found) for _ in range(random.choice((1, 1, 1, 2)))]
        return (f"{name}:{modifier}" if modifier else name), ",".join(values)

    def _special(self, parameter: SearchParameter, found: list[Any]) -> tuple[str, str] | None:
        """Modifiers that need a value of their own form."""
        random = self._random
        if not found:
            return None
        if parameter.kind == "token":
            fhir_type, value = random.choice(found)
            codings = [
                each
                for each in token.codings(fhir_type, value)
                if each[0].startswith("http://terminology.hl7.org/")
            ]
            if codings and random.random() < 0.5:
                below = random.choice(("below", "above"))
                return f"{parameter.name}:{below}", "|".join(escaped(each) for each in random.choice(codings))
            if fhir_type in ("code", "CodeableConcept", "Coding") and random.random() < 0.5:
                return f"{parameter.name}:{random.choice(('in', 'not-in'))}", random.choice(VALUE_SETS)
            typed = list(token.forms_of_type(fhir_type, value))
            if typed:
                return f"{parameter.name}:of-type", escaped(typed[0], keep="|")
            text = value.get("text") if isinstance(value, dict) else None
            if text:
                return f"{parameter.name}:text", escaped(text.split()[0])
        if parameter.kind == "uri":
            value = str(random.choice(found)[1])
            return random.choice(
                (
                    (f"{parameter.name}:below", escaped(value.rpartition("/")[0] or value)),
                    (f"{parameter.name}:above", escaped(value + "/x")),
                )
            )
        if parameter.kind == "reference":
            fhir_type, value = random.choice(found)
            identifier = value.get("identifier", {}).get("value") if fhir_type == "Reference" else None
            if identifier:
                return f"{parameter.name}:identifier", escaped(identifier)
            text = value.get("reference", "") if fhir_type == "Reference" else ""
            if text.count("/") == 1:
                kind, _, identity = text.partition("/")
                if kind in parameter.targets:
                    below = random.choice(("below", "above"))
                    is_tree = kind in ("Location", "Organization", "Encounter", "Procedure", "Observation")
                    return (
                        (f"{parameter.name}:{below}", text)
                        if is_tree
                        else (f"{parameter.name}:{kind}", identity)
                    )
        return None

    def _value(self, parameter: SearchParameter, found: list[Any]) -> str:
        random = self._random
        if not found:
            return {
                "date": "ge2010",
                "number": "1",
                "quantity": "5",
                "special": "1|1",
                "composite": "a$b",
            }.get(parameter.kind, "none")
        if parameter.kind == "composite":
            together = random.choice(found)
            parts = [by_url(url) for url, _ in parameter.components]
            return "$".join(
                self._value(part, list(each)) for part, each in zip(parts, together, strict=True) if part
            )
        fhir_type, value = random.choice(found)
        match parameter.kind:
            case "token":
                return self._token(fhir_type, value)
            case "string":
                return self._string(fhir_type, value)
            case "date":
                return random.choice(PREFIXES) + self._date(fhir_type, value)
            case "number":
                return random.choice(PREFIXES) + str(value if not isinstance(value, dict) else 5)
            case "quantity":
                return random.choice(PREFIXES) + self._quantity(fhir_type, value)
            case "special":
                return f"{value.get('latitude', 0)}|{value.get('longitude', 0)}|{random.choice((1, 500, 9000))}|km"
        text = value.get("reference") if isinstance(value, dict) else value
        if not isinstance(text, str):
            return "none"
        if random.random() < 0.3 and text.count("/") == 1:
            return escaped(text.partition("/")[2])
        return escaped(text)

    def _token(self, fhir_type: str, value: Any) -> str:
        codings = [each for each in token.codings(fhir_type, value) if each[1]]
        if not codings:
            return "none"
        system, code = (escaped(each) for each in self._random.choice(codings))
        if fhir_type in ("code", "boolean", "string", "uri", "id", "ContactPoint"):
            return code
        return self._random.choice((code, f"{system}|{code}", f"{system}|" if system else code, f"|{code}"))

    def _string(self, fhir_type: str, value: Any) -> str:
        texts = [each for each in string.texts(fhir_type, value) if each.strip()] or ["x"]
        text = self._random.choice(texts)
        cut = self._random.choice(
            (text, text[:3], text[:5], text.split()[-1], text.upper(), text[1:4].strip() or text)
        )
        return escaped(cut[:200])

    def _date(self, fhir_type: str, value: Any) -> str:
        if fhir_type == "Period":
            value = value.get("start") or value.get("end") or "2012"
        if isinstance(value, dict):
            value = next(iter(value.get("event", ())), "2012") or "2012"
        text = str(value)
        return self._random.choice((text, text[:4], text[:7], text[:10]))

    def _quantity(self, fhir_type: str, value: Any) -> str:
        held = quantity.held(fhir_type, value)
        if held is None:
            return "5"
        number = format(held.low if held.low.is_finite() else held.high, "f")
        if not held.code or self._random.random() < 0.3:
            return number
        if self._random.random() < 0.2:
            return f"{number}||{escaped(held.code)}"
        return f"{number}|{escaped(held.system)}|{escaped(held.code)}" if held.system else number

    def _references(self, resource_type: str) -> list[SearchParameter]:
        return [
            each
            for each in known_parameters(resource_type).values()
            if each.kind == "reference" and each.targets
        ]

    def _chain(self, resource_type: str, depth: int) -> tuple[str, str] | None:
        random = self._random
        references = self._references(resource_type)
        if not references:
            return None
        for _ in range(6):
            parameter = random.choice(references)
            held = [each for each in self._by_type.get(resource_type, ()) if points_to(each, parameter.name)]
            targets = sorted(
                {form.partition("/")[0] for each in held for form in points_to(each, parameter.name)}
                & set(parameter.targets)
                & set(self._types)
            )
            if targets:
                target = random.choice(targets)
                key, text = self._criterion(target, depth + 1)
                if key.startswith("_has") or key in ("_list", "_filter"):
                    continue
                return f"{parameter.name}:{target}.{key}", text
        return None

    def _has(self, resource_type: str, depth: int) -> tuple[str, str] | None:
        random = self._random
        for _ in range(6):
            source = random.choice(self._types)
            references = [each for each in self._references(source) if resource_type in each.targets]
            if references:
                parameter = random.choice(references)
                key, text = self._criterion(source, depth + 1)
                if key not in ("_list", "_filter"):
                    return f"_has:{source}:{parameter.name}:{key}", text
        return None

    def _filter(self, resource_type: str) -> str:
        random = self._random
        known = known_parameters(resource_type)
        parts: list[str] = []
        for _ in range(random.choice((1, 2, 3))):
            for _ in range(20):
                parameter = known[random.choice(sorted(known))]
                found = self._some(resource_type, parameter) if parameter.expression else []
                if (
                    found
                    and parameter.kind not in ("composite", "special")
                    and parameter.name != "_lastUpdated"
                ):
                    parts.append(self._comparison(parameter, found))
                    break
        if not parts:
            return "_id pr true" if False else "_id ne none"
        text = parts[0]
        for each in parts[1:]:
            text = f"{text} {random.choice(('and', 'or'))} {each}"
        return f"not ({text})" if random.random() < 0.3 else text

    def _comparison(self, parameter: SearchParameter, found: list[Any]) -> str:
        random = self._random
        name = parameter.name
        if random.random() < 0.15 and name != "_id":
            return f"{name} pr {random.choice(('true', 'false'))}"
        fhir_type, value = random.choice(found)
        match parameter.kind:
            case "string":
                text = self._string(fhir_type, value).replace("\\", "")
                return f'{name} {random.choice(("eq", "ne", "co", "sw", "ew"))} "{text.replace(chr(34), "")}"'
            case "date":
                operator = random.choice(("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap", "po"))
                return f"{name} {operator} {self._date(fhir_type, value)}"
            case "number":
                return f"{name} {random.choice(('eq', 'gt', 'le'))} {value}"
            case "quantity":
                return f"{name} {random.choice(('eq', 'gt', 'le'))} {self._quantity(fhir_type, value)}"
        text = self._value(parameter, found).replace("\\", "")
        return f'{name} {random.choice(("eq", "ne"))} "{text.replace(chr(34), "")}"'

    def _sort(self, resource_type: str) -> str:
        known = [
            each.name for each in known_parameters(resource_type).values()
            if each.kind not in ("composite", "special") and each.expression and each.name != "_query"
        ]  # fmt: skip
        chosen = self._random.sample(known, min(len(known), self._random.choice((1, 1, 2))))
        return ",".join(self._random.choice(("", "-")) + each for each in chosen)

    def _include(self, resource_type: str) -> tuple[str, str]:
        random = self._random
        iterated = random.choice(("", "", ":iterate"))
        if random.random() < 0.4:
            sources = [
                (each, ref.name)
                for each in self._types
                for ref in self._references(each)
                if resource_type in ref.targets
            ]
            if sources:
                return f"_revinclude{iterated}", ":".join(random.choice(sources))
        references = self._references(resource_type)
        if not references:
            return "_total", "accurate"
        if random.random() < 0.2:
            return "_include", random.choice(("*", f"{resource_type}:*"))
        return f"_include{iterated}", f"{resource_type}:{random.choice(references).name}"


def escaped(text: str, keep: str = "") -> str:
    """A text as a search value holds it."""
    for each in "\\,|$":
        if each not in keep:
            text = text.replace(each, "\\" + each)
    return text
