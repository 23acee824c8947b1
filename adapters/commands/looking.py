"""Looking at how a site stands.

Spec:    docs/adapters.md, "Commands".
"""

from __future__ import annotations

import csv
import json
import sys
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from adapters.code_map import read_code_tables
from adapters.commands.screen import Site, out, outbox_of
from adapters.cycle.upkeep import metrics_of, status_of
from adapters.outbox.consent import read_consents
from adapters.sender import REMEDIES
from adapters.sender.hub import MOST_SKEW_SECONDS
from adapters.settings import read_settings


def status(
    site: Site,
    as_json: Annotated[bool, typer.Option("--json", help="Para programas.")] = False,
    as_metrics: Annotated[bool, typer.Option("--prometheus", help="Para Prometheus.")] = False,
) -> None:
    """Cuánto espera, desde cuándo, qué fue lo último."""
    settings = read_settings(site)
    with outbox_of(settings) as outbox:
        if as_metrics:
            print(metrics_of(settings, outbox), end="")
            return
        found = status_of(settings, outbox)
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    labels = {
        "pending": "Por enviar", "applied": "Aplicados en el hub", "quarantined": "En cuarentena",
        "parked": "Detenidos tras uno en cuarentena",
        "waiting_consent": "Esperan la autorización de envío", "oldest": "El más antiguo por enviar",
        "last_received_at": "Última entrada", "last_applied_at": "Última salida",
        "disk_used_percent": "Disco usado %",
        "certificate_expires_at": "Vence el certificado del puerto",
        "clock_skew_seconds": "Reloj de más (+) o de menos (-) que el hub, s",
    }  # fmt: skip
    table = Table("", "", show_header=False, title=f"{settings.facility_name} ({settings.renipress})")
    for key, label in labels.items():
        table.add_row(label, "—" if found[key] is None else str(found[key]))
    out.print(table)
    if found["trouble"]:
        out.print(f"{found['trouble']} desde {found['trouble_since']}: {REMEDIES[found['trouble']]}")
    if found["disk_alarm"]:
        out.print("A-505 El disco está por llenarse: lleno, no se acepta nada más. Haga espacio.")
    if abs(found["clock_skew_seconds"] or 0) > MOST_SKEW_SECONDS:
        out.print(f"A-308 {REMEDIES['A-308']}")
    if found["consent_withdrawn_patients"]:
        out.print(
            f"A-331 {found['consent_withdrawn_patients']} pacientes retiraron su autorización de envío. Lo que no había"
            f" salido no sale; {found['consent_withdrawn_sent']} registros ya estaban en el hub: avise a la región."
        )
    for item in found["quarantine_reasons"]:
        out.print(f"cuarentena (x{item['times']}): {item['code']} ({item['reason_class']})")
    for item in found["unmapped_codes"][:10]:
        out.print(f"sin traducción (x{item['times']}): {escape(item['table'])} {escape(item['code'])}")


def unmapped(
    site: Site,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Con las columnas de una tabla de códigos, para completarla.")
    ] = False,
) -> None:
    """Los códigos que ninguna tabla traduce, primero los más frecuentes."""
    with outbox_of(read_settings(site)) as outbox:
        found = outbox.unmapped()
    if as_csv:
        lines = csv.writer(sys.stdout, delimiter=";", lineterminator="\n")
        lines.writerow(("code", "system", "target", "display", "table", "times"))
        lines.writerows((code, "", "", "", table, times) for table, code, times in found)
        return
    shown = Table("Tabla", "Código", "Veces")
    for table, code, times in found:
        shown.add_row(escape(table), escape(code), str(times))
    out.print(shown)


def check_tables(site: Site) -> None:
    """Revisa las tablas de códigos y cuenta sus filas."""
    settings = read_settings(site)
    for name, rows in read_code_tables(settings.code_folder).tables.items():
        print(f"A-413 {name}: {len(rows)} códigos")
    if settings.consent.file is not None:
        print(
            f"A-413 {settings.consent.file.name}: {len(read_consents(settings.consent.file, str))} pacientes"
        )
