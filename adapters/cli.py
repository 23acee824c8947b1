"""`adapter`: what a hospital's IT desk types, and what each known trouble is told as.

Spec:    docs/adapters.md, "Commands" and "Exit codes".
Leaves:  each command to its group, all work to the cycle.

Exit codes: 0 done; 2 the site file or the command is wrong; 3 records still wait to be sent; 4 no client key;
5 another adapter runs on this site; 6 the outbox is damaged, its keys are lost, or the disk is full; 7 the source
is unreadable; 8 the hub does not let this adapter in.
"""

from __future__ import annotations

import logging
import sys

import typer

from adapters.code_map import CodeTableError
from adapters.commands import enrolling, looking, quarantine, replaying, running
from adapters.commands.screen import BAD_SITE, NO_KEY, OUTBOX, RUNNING, SOURCE, say
from adapters.cycle import AlreadyRunning
from adapters.outbox.sealing import IdKeyLost, OutboxDamaged, OutboxFull
from adapters.sender.client_key import ClientKeyMissing
from adapters.settings import SettingsError

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Lee, convierte y entrega.")
app.command()(running.run)
app.command("check-config")(running.check_config)
app.command("dry-run")(running.dry_run)
app.command()(running.preview)
app.command()(looking.status)
app.command()(looking.unmapped)
app.command()(replaying.replay)
app.command()(replaying.size)
app.command()(enrolling.enrol)
app.command()(enrolling.keys)
app.command()(enrolling.erase)

waiting = typer.Typer(no_args_is_help=True, help="Lo que espera a una persona.")
waiting.command("list")(quarantine.list_quarantine)
waiting.command()(quarantine.show)
waiting.command()(quarantine.retry)
waiting.command()(quarantine.fix)
waiting.command()(quarantine.discard)
app.add_typer(waiting, name="quarantine")

tables = typer.Typer(no_args_is_help=True, help="Las tablas de códigos del sitio.")
tables.command("check")(looking.check_tables)
app.add_typer(tables, name="tables")


def main() -> None:
    """Entry point: known troubles become one line and an exit code."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s")
    try:
        app()
    except SettingsError as error:
        for fault in error.faults:
            say(str(fault))
        sys.exit(BAD_SITE)
    except CodeTableError as error:
        say(str(error))
        sys.exit(BAD_SITE)
    except ClientKeyMissing:
        say("A-131 No hay clave del cliente. Pida un código a la región y ejecute `adapter enrol SITE`.")
        sys.exit(NO_KEY)
    except AlreadyRunning:
        say("A-132 Ya hay un adaptador en marcha para este sitio. Deténgalo primero.")
        sys.exit(RUNNING)
    except OutboxFull:
        say("A-501 No queda espacio en disco: no se aceptan registros. Libere espacio.")
        sys.exit(OUTBOX)
    except OutboxDamaged:
        say("A-504 La bandeja de salida o su clave están dañadas. No borre nada y llame a la región.")
        sys.exit(OUTBOX)
    except IdKeyLost:
        say(
            "A-133 Falta la clave de identificadores (ids.key), o es otra, y ya hay registros tomados: con una nueva"
            " todo se enviaría como si fuera de otros pacientes. Devuelva ids.key desde el respaldo de la carpeta"
            " de datos; si no existe, llame a la región antes de hacer nada."
        )
        sys.exit(OUTBOX)
    except OSError as error:
        say(f"A-502 No se puede leer o abrir: {error.strerror}. Revise carpetas y puertos.")
        sys.exit(SOURCE)


if __name__ == "__main__":
    main()
