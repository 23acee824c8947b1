"""`exchange migrate | serve | work | doctor`: the hub's processes.

Leaves:  what they do to serve, worker and store.
"""

from __future__ import annotations

import signal
import threading
from typing import Final

import typer

from exchange.commands.opened import opened_hub, out
from exchange.hub import open_hub, prepare
from exchange.serve import serve as run_servers
from exchange.settings import settings
from exchange.worker.notices import notify_until
from exchange.worker.rewrap import rewrap_until
from exchange.worker.seal_audit_log import seal_until
from exchange.worker.steps import derive_until, index_until, rekey_until, relabel_until, sweep_until
from exchange.worker.witnesses import witness_until

app: Final = typer.Typer()


@app.command()
def migrate() -> None:
    """Bring the database to this version's tables, and make a new hub's keys."""
    is_new = prepare(settings())
    out.print("The hub is new: its keys were made." if is_new else "The database is up to date.")


@app.command()
def serve() -> None:
    """Serve the FHIR API with EXCHANGE_WORKERS processes until stopped."""
    chosen = settings()
    prepare(chosen)
    run_servers(chosen)


@app.command()
def work() -> None:
    """Do what happens later - seal the log, index, label, read Consents and wrap keys anew, notify - until stopped."""
    prepare(settings())
    hub = open_hub(settings())
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    for later in (
        derive_until,
        index_until,
        notify_until,
        relabel_until,
        rewrap_until,
        rekey_until,
        sweep_until,
        witness_until,
    ):
        threading.Thread(target=later, args=(stopped, hub.spine), daemon=True).start()
    seal_until(stopped, hub.spine, settings().checkpoint_seconds)


@app.command()
def doctor() -> None:
    """Check what the hub needs: database, keys, audit log's age."""
    hub = opened_hub()
    with hub.store.transaction() as transaction:
        version, newest = transaction.rows(
            "SELECT current_setting('server_version'), "
            "(SELECT max(transaction) FROM resource) < pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
        )[0]
        waiting = transaction.rows("SELECT count(*) FROM linkage_review")[0][0]
    out.print(f"database: PostgreSQL {version}")
    out.print(
        "positions: "
        + ("in order" if newest in (True, None) else "behind a restored database's transactions")
    )
    out.print(f"pairs of records that wait for a person's judgement: {waiting}")
    if newest is False:
        raise typer.Exit(1)
