"""`exchange erase`: a patient's record is erased on an order, and what older backups hold of it is told.

Leaves:  erasing to store/erasure; keys that open older backups to `exchange keys`.
"""

from __future__ import annotations

import re
import sys
from typing import Annotated, Final

import typer

from exchange.commands.opened import USED_WRONGLY, opened_hub, out
from exchange.problems import Conflict, NotFound
from exchange.store.erasure import Erased
from exchange.store.erasure import erase as erase_record

app: Final = typer.Typer()
_ORDER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9./_ -]{2,79}", re.ASCII)
NEXT: Final = """\
Backups from before this minute still hold the record, sealed under keys that are still there. To make them unreadable:
  1. exchange keys rotate record --wait
  2. exchange keys retire record OLD    and    exchange keys destroy record OLD
  3. exchange keys rotate root
  4. exchange backup FILE: older ones open no more after the next step (docs/backup.md)
  5. exchange keys destroy root OLD
The facility has to erase its own system and its adapter: 'adapter erase'."""


@app.command("erase")
def erase(
    patient: Annotated[str, typer.Option("--patient", help="Id of the Patient.")],
    order: Annotated[str, typer.Option("--order", help="The order's number, for the audit log.")],
    with_linked: Annotated[
        bool, typer.Option("--with-linked", help="Also the records of other facilities of the same person.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Erase a patient's record for ever, on an order."""
    if not _ORDER.fullmatch(order):
        out.print("An order's number is 3 to 80 letters and digits.")
        raise typer.Exit(USED_WRONGLY)
    if not yes:
        if not sys.stdin.isatty():
            out.print("Say --yes: nobody is here to be asked.")
            raise typer.Exit(USED_WRONGLY)
        typer.confirm("Erase the record? Nobody can bring it back", abort=True)
    done: list[Erased] = []
    try:
        opened_hub().spine.operate(
            f"erase --order {order}",
            lambda tx: done.append(erase_record(tx, patient.removeprefix("Patient/"), linked=with_linked)),
        )
    except (Conflict, NotFound) as refused:
        out.print(f"refused: {refused}")
        raise typer.Exit(1) from None
    gone = done[0]
    out.print(f"erased: {gone.records} records, {gone.versions} versions of resources; {gone.events} events of the audit "
              "log stay as proof that nobody can read")  # fmt: skip
    out.print(NEXT)
