"""Telling again what was told before the tables or the mapping changed, and how much room a time offline needs.

Spec:    docs/adapters.md, "Originals" and "Thirty days without the hub".
"""

from __future__ import annotations

import shutil
from datetime import date, datetime, timedelta
from typing import Annotated, Final

import typer

from adapters.commands.screen import BAD_SITE, Site, outbox_of, progress_of, say
from adapters.cycle import Cycle
from adapters.settings import read_settings

_DAYS: Final = 30
_MEGABYTE: Final = 1_000_000
# Bytes of the outbox for each waiting record, on the safe side: docs/adapters.md, "Thirty days without the hub".
BYTES_PER_RECORD: Final = {
    "his-trama": 6_000,
    "eqhali-folder": 8_000,
    "galenhos": 9_000,
    "hl7v2-folder": 8_000,
    "hl7v2-mllp": 8_000,
    "ccda-folder": 60_000,
}
_OTHER: Final = 20_000


def replay(
    site: Site,
    since: Annotated[str, typer.Option("--from", metavar="AAAA-MM-DD", help="Desde este día, inclusive.")],
    until: Annotated[str, typer.Option("--to", metavar="AAAA-MM-DD", help="Hasta este día, inclusive.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Solo cuenta; no pone nada en la cola.")] = False,
) -> None:
    """Convierte otra vez lo ya entregado en esos días y pone en la cola lo que hoy se diría distinto."""
    settings = read_settings(site)
    try:
        first, last = date.fromisoformat(since), date.fromisoformat(until)
    except ValueError:
        say("A-411 Las fechas se escriben AAAA-MM-DD.")
        raise typer.Exit(BAD_SITE) from None
    start = datetime(first.year, first.month, first.day, tzinfo=settings.zone)
    end = datetime(last.year, last.month, last.day, tzinfo=settings.zone) + timedelta(days=1)
    with outbox_of(settings) as outbox, progress_of("convirtiendo") as shown:
        counts = Cycle(settings, outbox).replay(
            start,
            end,
            is_trial=dry_run,
            tell=lambda done, total: shown.update(shown.task_ids[0], completed=done, total=total),
        )
    changed, same = counts.pop("changed", 0), counts.pop("same", 0)
    verb = "cambiarían" if dry_run else "vuelven a la cola"
    print(
        f"A-410 {changed} {verb}, {same} dirían lo mismo, {sum(counts.values())} ya no se pueden convertir."
    )
    for code, times in counts.most_common():
        print(f"{code} (x{times})")


def size(
    site: Site,
    per_day: Annotated[int, typer.Option("--per-day", min=1, metavar="N", help="Registros por día.")],
    days: Annotated[int, typer.Option("--days", min=1, max=3650, help="Días sin hub.")] = _DAYS,
) -> None:
    """Cuánto disco piden tantos días sin hub, y si lo hay."""
    settings = read_settings(site)
    folder = next(each for each in (settings.data_folder, *settings.data_folder.parents) if each.exists())
    each_record = BYTES_PER_RECORD.get(settings.source_kind, _OTHER)
    kept = settings.originals_days * per_day * each_record // 2
    needed = (days * per_day * each_record + kept) // _MEGABYTE + settings.min_free_megabytes
    free = shutil.disk_usage(folder).free // _MEGABYTE
    is_enough = free >= needed
    word = "alcanza" if is_enough else "no alcanza"
    print(
        f"A-412 {days} días de {per_day} registros: {needed} MB, con {settings.originals_days} días de originales;"
        f" hay {free} MB libres: {word}."
    )
    if not is_enough:
        raise typer.Exit(BAD_SITE)
