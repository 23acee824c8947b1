"""What waits for a person: listed, shown, tried again, given up.

Spec:    docs/adapters.md, "Commands".
"""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from adapters.commands.screen import BAD_SITE, Site, out, outbox_of, say
from adapters.cycle import Cycle
from adapters.settings import read_settings

Number = Annotated[int, typer.Argument(metavar="NÚMERO", help="El número que muestra `quarantine list`.")]


def list_quarantine(site: Site, as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Lo que está en cuarentena, con su razón."""
    with outbox_of(read_settings(site)) as outbox:
        items = outbox.quarantined()
    if as_json:
        print(json.dumps(items, ensure_ascii=False))
        return
    table = Table("N.º", "Código", "Clase", "Dónde", "Razón y remedio")
    for item in items:
        cells = (item["code"], item["reason_class"], item["location"], item["text"])
        table.add_row(str(item["number"]), *(escape(str(cell)) for cell in cells))
    out.print(table)


def show(site: Site, number: Number) -> None:
    """Un registro en cuarentena, con sus bytes originales. Contiene datos del paciente."""
    with outbox_of(read_settings(site)) as outbox:
        item = next((item for item in outbox.quarantined() if item["number"] == number), None)
        original = outbox.original(number)
    if item is None or original is None:
        _no_such(number)
    assert item is not None
    assert original is not None
    for key, value in item.items():
        print(f"{key}: {value}")
    print("─" * 80)
    sys.stdout.flush()
    sys.stdout.buffer.write(original.replace(b"\r\n", b"\n").replace(b"\r", b"\n") + b"\n")


def retry(
    site: Site,
    numbers: Annotated[list[int] | None, typer.Argument(metavar="[NÚMERO]…")] = None,
) -> None:
    """Convierte otra vez y pone en la cola; sin números, todo lo que está en cuarentena."""
    settings = read_settings(site)
    with outbox_of(settings) as outbox:
        freed, stayed = Cycle(settings, outbox).retry(numbers=set(numbers) if numbers else None)
    print(f"A-403 {freed} vuelven a la cola, {stayed} siguen en cuarentena.")


def discard(site: Site, number: Number) -> None:
    """Descarta un registro: se destruyen sus bytes, queda constancia de que existió."""
    with outbox_of(read_settings(site)) as outbox:
        if not outbox.discard(number):
            _no_such(number)
    print(f"A-402 El registro {number} se descartó.")


def _no_such(number: int) -> None:
    say(f"A-404 No hay ningún registro {number} en cuarentena. Vea `adapter quarantine list`.")
    raise typer.Exit(BAD_SITE)
