"""`exchange witness`: keep watch over the audit log of a hub that somebody else runs.

Leaves:  what a witness cosigns to witness.
"""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Annotated, Final

import typer

from exchange.audit.cosignature import LOG_KEY, read_key
from exchange.commands.opened import USED_WRONGLY, out
from exchange.problems import Invalid
from exchange.witness.judgement import Witness
from exchange.witness.server import WitnessServer
from exchange.witness.state import State, make, open_key, opened

app: Final = typer.Typer(help="Be a witness of a hub's audit log.", no_args_is_help=True)
_Folder = Annotated[Path, typer.Option("--state", help="The witness's folder.", file_okay=False)]


@app.command("init")
def init(
    state: _Folder,
    name: Annotated[str, typer.Option(help="The witness's name, such as witness.example/1.")],
) -> None:
    """Make a witness's key, and print the public one: hand it to the hub's operators and to auditors."""
    print(make(state, name).text())


@app.command("serve")
def serve(
    state: _Folder,
    key: Annotated[list[str], typer.Option(help="A verifier key of a log to watch; again for more.")],
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8790,
    host: Annotated[
        str, typer.Option(help="Address to listen on; put a proxy with https before it.")
    ] = "127.0.0.1",
) -> None:
    """Cosign heads of logs that only grow, until stopped."""
    try:
        logs = _logs(key)
    except Invalid as wrong:
        out.print(f"--key: {wrong}")
        raise typer.Exit(USED_WRONGLY) from None
    own, signer = open_key(state)
    with opened(state) as found, WitnessServer((host, port), Witness(found, own, signer, logs)) as server:
        # Stopping waits for the loop that serves, which therefore runs beside this thread.
        stopped = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopped.set())
        serving = threading.Thread(target=server.serve_forever, args=(0.2,), daemon=True)
        serving.start()
        print(
            f"{own.text()}\nwitnessing {', '.join(sorted(logs))} at http://{host}:{server.server_address[1]}",
            flush=True,
        )
        stopped.wait()
        server.shutdown()


@app.command("show")
def show(state: _Folder) -> None:
    """Print the witness's key and the last head of each log that it has cosigned."""
    key, _ = open_key(state)
    print(key.text())
    for seen in State(state).all():
        print(f"\n{seen.body}", end="")


def _logs(keys: list[str]) -> dict[str, tuple[bytes, ...]]:
    """The logs to watch: each one's keys by its origin. Raises: Invalid."""
    found: dict[str, tuple[bytes, ...]] = {}
    for each in map(read_key, keys):
        if each.kind != LOG_KEY:
            raise Invalid("this is a witness's key, not a log's")
        found[each.name] = (*found.get(each.name, ()), each.public)
    return found
