"""A log line has a code and ids, never a payload, never an identifier or a name."""

from __future__ import annotations

import ast
import re

import pytest

from tests.architecture.sources import files, shown, tree

LOGGERS = {"LOG", "log", "logger", "LOGGER", "logging"}
LEVELS = {"debug", "info", "warning", "error", "critical", "exception", "log"}
PAYLOADS = {"body", "resource", "resources", "text", "patient", "patients", "payload", "content", "message", "record",
            "bundle", "name", "names", "identifier", "dni", "token", "assertion", "requester", "request", "query",
            "row", "rows", "value", "values", "demographics", "described", "criteria", "secret", "key"}  # fmt: skip


def log_calls():
    for path in files("exchange", "adapters"):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner = node.func.value
                if getattr(owner, "id", getattr(owner, "attr", "")) in LOGGERS and node.func.attr in LEVELS:
                    yield path, node


def test_there_is_something_to_check():
    assert list(log_calls())


@pytest.mark.parametrize(
    ("path", "call"), [pytest.param(p, c, id=f"{shown(p)}:{c.lineno}") for p, c in log_calls()]
)
def test_a_log_line_carries_no_payload(path, call):
    told, arguments = call.args[0], [*call.args[1:], *(each.value for each in call.keywords)]
    assert isinstance(told, ast.Constant), "a log line's text is a constant: no f-string, no concatenation"
    assert isinstance(told.value, str)
    for argument in arguments:
        for node in ast.walk(argument):
            carried = getattr(node, "id", None) or getattr(node, "attr", None)
            assert carried not in PAYLOADS, f"'{carried}' does not go into a log"


def test_a_code_stands_for_one_thing():
    """Whoever reads the hub's log looks a code up: no two files may mean different things by it.

    An adapter's code stands on the screen and in its log, for the same thing.
    """
    said: dict[str, set[str]] = {}
    for path in files("exchange"):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                code = re.match(r"[A-Z]-\d{3}(?= )", node.value)
                if code:
                    said.setdefault(code.group(), set()).add(shown(path))
    assert said
    assert {code: places for code, places in said.items() if len(places) > 1} == {}
