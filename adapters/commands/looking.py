"""Looking at how a site stands.

Spec:    docs/adapters.md, "Commands".
"""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from adapters.commands.screen import Site, out, outbox_of
from adapters.sender import REMEDIES
from adapters.settings import read_settings


def status(
    site: Site, as_json: Annotated[bool, typer.Option("--json", help="Para programas.")] = False
) -> None:
    """Cuánto espera, desde cuándo, qué fue lo último."""
    settings = read_settings(site)
    with outbox_of(settings) as outbox:
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
    out.print(table)
    if found["trouble"]:
        out.print(f"{found['trouble']} desde {found['trouble_since']}: {REMEDIES[found['trouble']]}")
    for item in found["quarantine_reasons"]:
        out.print(f"cuarentena (x{item['times']}): {item['code']} ({item['reason_class']})")
    for item in found["unmapped_codes"][:10]:
        out.print(f"sin traducción (x{item['times']}): {escape(item['table'])} {escape(item['code'])}")
