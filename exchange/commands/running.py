"""`exchange migrate | serve | work | doctor`: the hub's processes.

Leaves:  what they do to serve, worker and store.
"""

from __future__ import annotations

import signal
import threading
from typing import Annotated, Final

import typer

from exchange.commands.opened import opened_hub, out
from exchange.hub import Hub, open_hub, prepare
from exchange.problems import Unavailable
from exchange.serve import serve as run_servers
from exchange.settings import settings
from exchange.store.transaction_numbers import go_on, is_behind
from exchange.worker.notices import notify_until
from exchange.worker.rewrap import rewrap_until
from exchange.worker.seal_audit_log import seal_until
from exchange.worker.signals import signal_until
from exchange.worker.silent_adapters import watch_adapters_until
from exchange.worker.steps import derive_until, index_until, rekey_until, relabel_until, sweep_until
from exchange.worker.witnesses import witness_until

app: Final = typer.Typer()


@app.command()
def migrate(
    renumber: Annotated[
        bool, typer.Option("--renumber", help="After a dump was loaded by hand: go on with its positions.")
    ] = False,
) -> None:
    """Bring the database to this version's tables, and make a new hub's keys."""
    is_new = prepare(settings())
    out.print("The hub is new: its keys were made." if is_new else "The database is up to date.")
    if renumber:
        hub = open_hub(settings())
        with hub.store.transaction() as transaction:
            if not is_behind(transaction):
                out.print("Its positions are in order.")
                return
        hub.spine.operate("migrate --renumber", go_on)
        out.print("Its positions go on above those that were loaded.")


@app.command()
def serve() -> None:
    """Serve the FHIR API with EXCHANGE_WORKERS processes until stopped."""
    chosen = settings()
    prepare(chosen)
    _require_order(open_hub(chosen))
    run_servers(chosen)


@app.command()
def work() -> None:
    """Do what happens later - seal the log, index, label, read Consents and wrap keys anew, notify - until stopped."""
    prepare(settings())
    hub = open_hub(settings())
    _require_order(hub)
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
        signal_until,
        sweep_until,
        watch_adapters_until,
        witness_until,
    ):
        threading.Thread(target=later, args=(stopped, hub.spine), daemon=True).start()
    seal_until(stopped, hub.spine, settings().checkpoint_seconds)


@app.command()
def doctor() -> None:
    """Check what the hub needs: database, keys, audit log's age."""
    hub = opened_hub()
    with hub.store.transaction() as transaction:
        version = transaction.rows("SELECT current_setting('server_version')")[0][0]
        is_restored_raw = is_behind(transaction)
        waiting = transaction.rows("SELECT count(*) FROM linkage_review")[0][0]
    out.print(f"database: PostgreSQL {version}")
    out.print(
        "positions: "
        + (
            "behind a restored database's transactions: stop the hub, run 'exchange migrate --renumber'"
            if is_restored_raw
            else "in order"
        )
    )
    out.print(f"pairs of records that wait for a person's judgement: {waiting}")
    if is_restored_raw:
        raise typer.Exit(1)


def _require_order(hub: Hub) -> None:
    """Refuse to write where rows bear numbers of another cluster: what is written now would have no place behind them."""
    with hub.store.transaction() as transaction:
        if is_behind(transaction):
            raise Unavailable(
                "a dump was loaded by hand: run 'exchange migrate --renumber' before the hub serves"
            )
    hub.store.close()
