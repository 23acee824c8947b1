"""docs/settings.md, generated from the settings themselves: `python -m tests.architecture.settings_page` writes it."""

from __future__ import annotations

from typing import Any, get_args, get_origin

from annotated_types import Ge, Le
from pydantic.fields import FieldInfo

from exchange.settings import Settings
from tests.architecture.sources import ROOT

PAGE = ROOT / "docs" / "settings.md"
UNITS = {"ms": "milliseconds", "seconds": "seconds", "bytes": "bytes", "rows": "rows", "entries": "entries",
         "depth": "levels", "size": "matches", "days": "days"}  # fmt: skip

HEAD = """# Settings of the hub

The hub reads its settings once, when a process starts, from environment variables. Every name starts with `EXCHANGE_`.
A value outside of its bounds stops the start with a sentence that names it. No secret has a default outside of demo mode:
a production hub is told who keeps its root key (`EXCHANGE_ROOT_PROVIDER`, docs/keys.md).

This page is made from `exchange/settings.py`; a test compares the two. The settings of an adapter are a file of its own
(`adapters/settings.py`).

| setting | unit | default | bounds | meaning |
| --- | --- | --- | --- | --- |
"""


def written() -> str:
    """The page as the settings are now."""
    return HEAD + "".join(_row(name, field) for name, field in Settings.model_fields.items())


def _row(name: str, field: FieldInfo) -> str:
    default = "none" if field.default is None else f"`{field.default}`"
    cells = f"`EXCHANGE_{name.upper()}`", _unit(name), default, _bounds(field), field.description or ""
    return "| " + " | ".join(cells) + " |\n"


def _unit(name: str) -> str:
    return UNITS.get(name.rsplit("_", 1)[-1], "")


def _bounds(field: FieldInfo) -> str:
    if get_origin(field.annotation) is not None and all(
        isinstance(each, str) for each in get_args(field.annotation)
    ):
        return ", ".join(f"`{each}`" for each in get_args(field.annotation))
    low = next((_number(each.ge) for each in field.metadata if isinstance(each, Ge)), "")
    high = next((_number(each.le) for each in field.metadata if isinstance(each, Le)), "")
    if low and high:
        return f"{low} to {high}"
    return f"at least {low}" if low else f"at most {high}" if high else ""


def _number(value: Any) -> str:
    return f"{value:,}".replace(",", " ")


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(written(), "utf-8")
