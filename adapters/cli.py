"""`adapter`: what a hospital's IT desk types. Messages in Spanish, each with a code and a remedy.

Spec:    docs/adapters.md, "Commands" and "Exit codes".
Leaves:  all work to the cycle.

Exit codes: 0 done; 2 the site file or the command is wrong; 3 records still wait to be sent; 4 no client key;
5 another adapter runs on this site; 6 the outbox is damaged, its keys are lost, or the disk is full; 7 the source
is unreadable; 8 the hub does not let this adapter in.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from adapters import cycle
from adapters.code_map import CodeTableError, read_code_tables
from adapters.cycle import AlreadyRunning, Cycle, only_one
from adapters.outbox import Outbox
from adapters.outbox.sealing import IdKeyLost, OutboxDamaged, OutboxFull
from adapters.sender import REMEDIES, enrolment
from adapters.sender.client_key import KEY_FILE, ClientKeyMissing, make_client_key
from adapters.settings import Settings, SettingsError, read_settings
from adapters.source_record import Mapped, Refused
from adapters.source_record.bundle import encode

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Lee, convierte y entrega.")
quarantine = typer.Typer(no_args_is_help=True, help="Lo que espera a una persona.")
app.add_typer(quarantine, name="quarantine")

_out = Console(soft_wrap=True)
_errors = Console(stderr=True, soft_wrap=True)

OK: Final = 0
BAD_SITE: Final = 2
STILL_WAITING: Final = 3
NO_KEY: Final = 4
RUNNING: Final = 5
OUTBOX: Final = 6
SOURCE: Final = 7
BARRED: Final = 8

Site = Annotated[Path, typer.Argument(metavar="SITE", help="Archivo TOML del establecimiento.")]
Number = Annotated[int, typer.Argument(metavar="NÚMERO", help="El número que muestra `quarantine list`.")]


def main() -> None:
    """Entry point: known troubles become one line and an exit code."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s")
    try:
        app()
    except SettingsError as error:
        for fault in error.faults:
            _say(str(fault))
        sys.exit(BAD_SITE)
    except CodeTableError as error:
        _say(str(error))
        sys.exit(BAD_SITE)
    except ClientKeyMissing:
        _say("A-131 No hay clave del cliente. Pida un código a la región y ejecute `adapter enrol SITE`.")
        sys.exit(NO_KEY)
    except AlreadyRunning:
        _say("A-132 Ya hay un adaptador en marcha para este sitio. Deténgalo primero.")
        sys.exit(RUNNING)
    except OutboxFull:
        _say("A-501 No queda espacio en disco: no se aceptan registros. Libere espacio.")
        sys.exit(OUTBOX)
    except OutboxDamaged:
        _say("A-504 La bandeja de salida o su clave están dañadas. No borre nada y llame a la región.")
        sys.exit(OUTBOX)
    except IdKeyLost:
        _say(
            "A-133 Falta la clave de identificadores (ids.key), o es otra, y ya hay registros tomados: con una nueva"
            " todo se enviaría como si fuera de otros pacientes. Devuelva ids.key desde el respaldo de la carpeta"
            " de datos; si no existe, llame a la región antes de hacer nada."
        )
        sys.exit(OUTBOX)
    except OSError as error:
        _say(f"A-502 No se puede leer o abrir: {error.strerror}. Revise carpetas y puertos.")
        sys.exit(SOURCE)


@app.command()
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
    with only_one(settings.data_folder), _outbox(settings) as outbox:
        barred = Cycle(settings, outbox).run(stop, once=once, announce=lambda text: print(text, flush=True))
        status = outbox.status()
    if once:
        print(_one_line(status), flush=True)
        if barred:
            _say(f"{barred} {REMEDIES[barred]}")
            raise typer.Exit(BARRED)
        if status["pending"]:
            raise typer.Exit(STILL_WAITING)


@app.command("check-config")
def check_config(site: Site) -> None:
    """Revisa el archivo del establecimiento y dice la línea de cada error."""
    settings = read_settings(site)
    read_code_tables(settings.code_folder)
    folder = settings.source_folder
    if folder is not None and not folder.is_dir():
        _say(f"A-124 No existe la carpeta {escape(str(folder))}. Revise [source] folder.")
        raise typer.Exit(BAD_SITE)
    cycle.check(settings)
    facility = f"{settings.facility_name} ({settings.renipress})"
    print(f"A-100 {site.name} está bien: {facility}, {settings.source_kind}.")
    if not (settings.data_folder / KEY_FILE).exists():
        print("A-131 Falta la clave del cliente: ejecute `adapter enrol`.")


@app.command("dry-run")
def dry_run(site: Site) -> None:
    """Convierte todo lo que hay sin enviar ni guardar nada, y cuenta."""
    resources: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    unmapped: Counter[tuple[str, str]] = Counter()
    texts: dict[str, str] = {}
    for outcome in cycle.preview(read_settings(site), None):
        if isinstance(outcome, Mapped):
            resources.update(entry.resource["resourceType"] for entry in outcome.entries)
            unmapped.update(outcome.unmapped)
        else:
            reasons[outcome.refusal.code] += 1
            texts[outcome.refusal.code] = outcome.refusal.text
    table = Table("Recurso", "Cantidad", title="Se enviaría")
    for name, count in sorted(resources.items()):
        table.add_row(name, str(count))
    _out.print(table)
    for code, count in reasons.most_common():
        _out.print(f"{code} (x{count}): {escape(texts[code])}")
    for (name, code), count in unmapped.most_common(20):
        _out.print(f"sin traducción (x{count}): {escape(name)} {escape(code)}")


@app.command()
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


@app.command()
def status(
    site: Site, as_json: Annotated[bool, typer.Option("--json", help="Para programas.")] = False
) -> None:
    """Cuánto espera, desde cuándo, qué fue lo último."""
    settings = read_settings(site)
    with _outbox(settings) as outbox:
        found = {"renipress": settings.renipress, "source": settings.source_kind, **outbox.status()}
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    labels = {
        "pending": "Por enviar", "applied": "Aplicados en el hub", "quarantined": "En cuarentena",
        "parked": "Detenidos tras uno en cuarentena", "oldest": "El más antiguo por enviar",
        "last_received_at": "Última entrada", "last_applied_at": "Última salida",
        "disk_used_percent": "Disco usado %",
    }  # fmt: skip
    table = Table("", "", show_header=False, title=f"{settings.facility_name} ({settings.renipress})")
    for key, label in labels.items():
        table.add_row(label, "—" if found[key] is None else str(found[key]))
    _out.print(table)
    if found["trouble"]:
        _out.print(f"{found['trouble']} desde {found['trouble_since']}: {REMEDIES[found['trouble']]}")
    for item in found["quarantine_reasons"]:
        _out.print(f"cuarentena (x{item['times']}): {item['code']} ({item['reason_class']})")
    for item in found["unmapped_codes"][:10]:
        _out.print(f"sin traducción (x{item['times']}): {escape(item['table'])} {escape(item['code'])}")


@app.command()
def keys(site: Site) -> None:
    """Crea la clave del cliente si no existe y muestra su mitad pública (JWKS)."""
    settings = read_settings(site)
    print(json.dumps({"keys": [make_client_key(settings.data_folder).public_jwk]}))


@app.command()
def enrol(
    site: Site,
    code: Annotated[
        str | None,
        typer.Argument(metavar="[CÓDIGO]", help="De la región, para una sola vez; si falta, se pide."),
    ] = None,
) -> None:
    """Inscribe este adaptador en el hub con un código de un solo uso; la clave se crea aquí y no sale."""
    settings = read_settings(site)
    typed = code if code is not None else typer.prompt("Código de la región")
    try:
        found = enrolment.enrol(settings, typed)
    except enrolment.EnrolmentRefused as refused:
        _say(f"{refused.code} {enrolment.REMEDIES[refused.code]}")
        raise typer.Exit(BAD_SITE if refused.code == "A-322" else BARRED) from None
    prefix = found.id_prefix.rstrip("-")
    print(f"A-320 Inscrito: client_id {found.client_id}, id_prefix {prefix}, para {found.organization}.")
    apart = enrolment.differences(settings, found)
    for each in apart:
        _say(f"A-327 El archivo dice {each.setting} {each.here}; la región registró {each.there}. Corríjalo.")
    if apart:
        raise typer.Exit(BAD_SITE)


@app.command()
def erase(
    site: Site,
    patient: Annotated[str, typer.Option("--patient", metavar="ID", help="El id de su Patient en el hub.")],
) -> None:
    """Elimina, por orden, todo lo que esta computadora guarda de un paciente, y no lo vuelve a tomar."""
    settings = read_settings(site)
    with only_one(settings.data_folder), _outbox(settings) as outbox:
        number = outbox.erase_patient(patient.removeprefix("Patient/"))
    if number is None:
        _say("A-405 Aquí no hay nada de ese paciente.")
        raise typer.Exit(BAD_SITE)
    print(f"A-406 Se eliminaron {number} registros. El sistema de origen no se toca: elimínelo allí también.")


@quarantine.command("list")
def list_quarantine(site: Site, as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Lo que está en cuarentena, con su razón."""
    with _outbox(read_settings(site)) as outbox:
        items = outbox.quarantined()
    if as_json:
        print(json.dumps(items, ensure_ascii=False))
        return
    table = Table("N.º", "Código", "Clase", "Dónde", "Razón y remedio")
    for item in items:
        cells = (item["code"], item["reason_class"], item["location"], item["text"])
        table.add_row(str(item["number"]), *(escape(str(cell)) for cell in cells))
    _out.print(table)


@quarantine.command("show")
def show(site: Site, number: Number) -> None:
    """Un registro en cuarentena, con sus bytes originales. Contiene datos del paciente."""
    with _outbox(read_settings(site)) as outbox:
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


@quarantine.command("retry")
def retry(
    site: Site,
    numbers: Annotated[list[int] | None, typer.Argument(metavar="[NÚMERO]…")] = None,
) -> None:
    """Convierte otra vez y pone en la cola; sin números, todo lo que está en cuarentena."""
    settings = read_settings(site)
    with _outbox(settings) as outbox:
        freed, stayed = Cycle(settings, outbox).retry(numbers=set(numbers) if numbers else None)
    print(f"A-403 {freed} vuelven a la cola, {stayed} siguen en cuarentena.")


@quarantine.command("discard")
def discard(site: Site, number: Number) -> None:
    """Descarta un registro: se destruyen sus bytes, queda constancia de que existió."""
    with _outbox(read_settings(site)) as outbox:
        if not outbox.discard(number):
            _no_such(number)
    print(f"A-402 El registro {number} se descartó.")


@contextmanager
def _outbox(settings: Settings) -> Iterator[Outbox]:
    box = Outbox(settings.data_folder, min_free_megabytes=settings.min_free_megabytes)
    box.zone = settings.zone
    try:
        yield box
    finally:
        box.close()


def _one_line(status: dict[str, Any]) -> str:
    return (
        f"A-300 aplicados {status['applied']} · por enviar {status['pending']} · "
        f"en cuarentena {status['quarantined']} · detenidos {status['parked']}"
    )


def _no_such(number: int) -> None:
    _say(f"A-404 No hay ningún registro {number} en cuarentena. Vea `adapter quarantine list`.")
    raise typer.Exit(BAD_SITE)


def _say(text: str) -> None:
    _errors.print(escape(text), highlight=False)


if __name__ == "__main__":
    main()
