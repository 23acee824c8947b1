"""What waits for a person: listed, shown, tried again, given up.

Spec:    docs/adapters.md, "Commands".
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.markup import escape
from rich.table import Table

from adapters.commands.screen import BAD_SITE, Site, operator, out, outbox_of, say
from adapters.cycle import Cycle
from adapters.settings import read_settings

_MOST_LETTERS: Final = 500
_MOST_BYTES: Final = 50_000_000
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
        original, corrected = outbox.original(number), outbox.corrected(number)
        decision = outbox.decision(number)
    if item is None or original is None:
        _no_such(number)
    assert item is not None
    assert original is not None
    for key, value in item.items():
        print(f"{key}: {value}")
    if decision:
        print(f"decision: {decision['reason']} ({decision['by']}, {decision['at']})")
    for content in (original, corrected):
        if content is not None:
            print("─" * 80)
            sys.stdout.flush()
            sys.stdout.buffer.write(content.replace(b"\r\n", b"\n").replace(b"\r", b"\n") + b"\n")


def retry(
    site: Site,
    numbers: Annotated[list[int] | None, typer.Argument(metavar="[NÚMERO]…")] = None,
) -> None:
    """Convierte otra vez y pone en la cola; sin números, todo lo que está en cuarentena."""
    settings = read_settings(site)
    with outbox_of(settings) as outbox:
        freed, stayed = Cycle(settings, outbox).retry(numbers=set(numbers) if numbers else None)
    print(f"A-403 {freed} vuelven a la cola, {stayed} siguen en cuarentena.")


def discard(
    site: Site,
    number: Number,
    reason: Annotated[
        str, typer.Option("--reason", metavar="RAZÓN", help="Por qué; sin nombres ni documentos.")
    ] = "",
) -> None:
    """Descarta un registro: se destruyen sus bytes, queda constancia de que existió, de quién lo decidió y por qué."""
    with outbox_of(read_settings(site)) as outbox:
        if not outbox.discard(number, by=operator(), reason=reason[:_MOST_LETTERS]):
            _no_such(number)
    print(f"A-402 El registro {number} se descartó.")


def fix(
    site: Site,
    number: Number,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Los bytes corregidos.")],
) -> None:
    """Pone bytes corregidos en lugar de los de un registro, guarda ambos y quién lo hizo, y lo intenta otra vez."""
    settings = read_settings(site)
    if file.stat().st_size > _MOST_BYTES:
        say("A-503 El archivo es demasiado grande.")
        raise typer.Exit(BAD_SITE)
    content = file.read_bytes()
    with outbox_of(settings) as outbox:
        if not outbox.correct(number, content, by=operator()):
            _no_such(number)
        freed, _ = Cycle(settings, outbox).retry(numbers={number})
    if not freed:
        say(
            f"A-414 El registro {number} sigue en cuarentena con los bytes corregidos. Vea `adapter quarantine show`."
        )
        raise typer.Exit(BAD_SITE)
    print(f"A-415 El registro {number} corregido vuelve a la cola.")


def _no_such(number: int) -> None:
    say(f"A-404 No hay ningún registro {number} en cuarentena. Vea `adapter quarantine list`.")
    raise typer.Exit(BAD_SITE)
