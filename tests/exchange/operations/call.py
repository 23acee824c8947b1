"""Calling an operation as the routes do: of a type or one resource, by query or by body."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

from exchange.request import Request
from tests.passage.world import Caller, Said


def call(caller: Caller, path: str, body: dict[str, Any] | None = None, **more: Any) -> Said:
    """`ValueSet/$expand?url=...` or `ValueSet/id/$expand`; with a body it is a POST."""
    place, _, query = path.partition("?")
    kind, *resource_id, operation = place.split("/")
    return caller.ask(
        Request(
            "operation", kind, resource_id[0] if resource_id else "", operation=operation.removeprefix("$"),
            query=tuple(parse_qsl(query, keep_blank_values=True)),
            body=json.dumps(body).encode() if body is not None else b"",
            described=f"{'GET' if body is None else 'POST'} /fhir/{path}", **more,
        )
    )  # fmt: skip


def given(**values: Any) -> dict[str, Any]:
    """A Parameters resource: names with value[x] by the value's Python type, or by a (property, value) pair."""
    rows = []
    for name, value in values.items():
        for each in value if isinstance(value, list) else [value]:
            match each:
                case (key, told):
                    rows.append({"name": name, key: told})
                case bool():
                    rows.append({"name": name, "valueBoolean": each})
                case int():
                    rows.append({"name": name, "valueInteger": each})
                case {"resourceType": _}:
                    rows.append({"name": name, "resource": each})
                case _:
                    rows.append({"name": name, "valueUri": each})
    return {"resourceType": "Parameters", "parameter": rows}


def answered(said: Said) -> dict[str, list[Any]]:
    """The output parameters by name: values, and parts as lists of (name, value)."""
    found: dict[str, list[Any]] = {}
    for each in said.body["parameter"]:
        found.setdefault(each["name"], []).append(_value(each))
    return found


def _value(part: dict[str, Any]) -> Any:
    if "part" in part:
        return [(each["name"], _value(each)) for each in part["part"]]
    return next(value for key, value in part.items() if key.startswith("value"))
