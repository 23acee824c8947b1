"""Running a site, and looking at what a run would do before it is one.

Spec:    docs/adapters.md, "Commands".
"""

from __future__ import annotations

import json
import logging
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from adapters import cycle
from adapters.code_map import read_code_tables
from adapters.commands.screen import BAD_SITE, BARRED, STILL_WAITING, Site, out, outbox_of, progress_of, say
from adapters.cycle import Cycle, only_one
from adapters.outbox.consent import read_consents
from adapters.sender import REMEDIES
from adapters.sender.client_key import KEY_FILE
from adapters.settings import read_settings
from adapters.source_record import Mapped, Outcome, Refused
from adapters.source_record.bundle import encode


def run(
    site: Site,
    once: Annotated[bool, typer.Option("--once", help="Entrega todo lo que hay y termina.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Registra también lo que sale bien.")
    ] = False,
) -> None:
    """Lee, convierte y entrega hasta que se le detenga."""
    if verbose:
        logging.getLogger("adapters").setLevel(logging.INFO)
    settings = read_settings(site)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with only_one(settings.data_folder), outbox_of(settings) as outbox:
        barred = Cycle(settings, outbox).run(stop, once=once, announce=lambda text: print(text, flush=True))
        status = outbox.status()
    if once:
        print(_one_line(status), flush=True)
        if barred:
            say(f"{barred} {REMEDIES[barred]}")
            raise typer.Exit(BARRED)
        if status["pending"]:
            raise typer.Exit(STILL_WAITING)


def check_config(site: Site) -> None:
    """Revisa el archivo del establecimiento y dice la línea de cada error."""
    settings = read_settings(site)
    read_code_tables(settings.code_folder)
    folder = settings.source_folder
    if folder is not None and not folder.is_dir():
        say(f"A-124 No existe la carpeta {escape(str(folder))}. Revise [source] folder.")
        raise typer.Exit(BAD_SITE)
    if settings.consent.file is not None:
        read_consents(settings.consent.file, str)
    cycle.check(settings)
    facility = f"{settings.facility_name} ({settings.renipress})"
    print(f"A-100 {site.name} está bien: {facility}, {settings.source_kind}.")
    if not (settings.data_folder / KEY_FILE).exists():
        print("A-131 Falta la clave del cliente: ejecute `adapter enrol`.")


def dry_run(site: Site) -> None:
    """Convierte todo lo que hay sin enviar ni guardar nada, y cuenta."""
    resources: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    unmapped: Counter[tuple[str, str]] = Counter()
    texts: dict[str, str] = {}
    for outcome in _watched(cycle.preview(read_settings(site), None)):
        if isinstance(outcome, Mapped):
            resources.update(entry.resource["resourceType"] for entry in outcome.entries)
            unmapped.update(outcome.unmapped)
        else:
            reasons[outcome.refusal.code] += 1
            texts[outcome.refusal.code] = outcome.refusal.text
    table = Table("Recurso", "Cantidad", title="Se enviaría")
    for name, count in sorted(resources.items()):
        table.add_row(name, str(count))
    out.print(table)
    for code, count in reasons.most_common():
        out.print(f"{code} (x{count}): {escape(texts[code])}")
    for (name, code), count in unmapped.most_common(20):
        out.print(f"sin traducción (x{count}): {escape(name)} {escape(code)}")


def preview(
    site: Site,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Un archivo; si falta, la carpeta.")
    ] = None,
) -> None:
    """Muestra un registro de origen junto a su FHIR. Contiene datos del paciente: solo en pantalla."""
    for outcome in cycle.preview(read_settings(site), file):
        print(
            outcome.record.original.decode("utf-8", "replace")
            .replace("\r\n", "\n")
            .replace("\r", "\n")[:20_000]
        )
        print("─" * 80)
        if isinstance(outcome, Refused):
            print(f"{outcome.refusal.code} {outcome.refusal.text} {outcome.refusal.location}")
        else:
            for entry in outcome.entries:
                print(json.dumps(json.loads(encode(entry.resource)), ensure_ascii=False, indent=2)[:20_000])
        return
    print("A-245 No hay nada que mostrar: la carpeta no tiene archivos del tipo esperado.")


def _watched(outcomes: Iterator[Outcome]) -> Iterator[Outcome]:
    """The outcomes, with how many there were on the screen."""
    with progress_of("convirtiendo") as shown:
        for outcome in outcomes:
            shown.advance(shown.task_ids[0])
            yield outcome


def _one_line(status: dict[str, Any]) -> str:
    return (
        f"A-300 aplicados {status['applied']} · por enviar {status['pending']} · "
        f"en cuarentena {status['quarantined']} · detenidos {status['parked']}"
    ) + (f" · sin autorización {status['waiting_consent']}" if status["waiting_consent"] else "")
