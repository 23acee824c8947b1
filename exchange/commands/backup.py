"""`exchange backup`, `exchange restore`: backups made, verified by restoring them, listed, restored.

Leaves:  the work to exchange/backup; what to run when, and where to keep what, to docs/backup.md.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from exchange.backup.checking import Examination
from exchange.backup.making import make
from exchange.backup.restoring import restore as restore_file
from exchange.backup.restoring import verify as verify_file
from exchange.commands.opened import USED_WRONGLY, opened_hub, out
from exchange.embedded import EmbeddedPostgres
from exchange.hub import database_url, open_hub
from exchange.problems import Conflict, SealBroken
from exchange.settings import settings
from exchange.store import backups


class FileOrCommand(TyperGroup):
    """`exchange backup FILE` makes one: what is no command's name is a file's."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command before a file or its options."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [MAKE, *args]
        return super().parse_args(ctx, args)


MAKE: Final = "make"
app: Final = typer.Typer(cls=FileOrCommand, help="Make and verify backups.", no_args_is_help=True)
restoring: Final = typer.Typer()
MOST_LISTED: Final = 50

File = Annotated[Path, typer.Argument(metavar="FILE", help="The backup's file.")]
Server = Annotated[
    str | None,
    typer.Option("--server", help="URL of a PostgreSQL on which a scratch database is made and dropped."),
]
Scratch = Annotated[
    Path | None,
    typer.Option("--scratch", help="Folder in which a scratch server may take as much room as the database."),
]


@app.callback()
def group() -> None:
    """Make and verify backups."""


@app.command(MAKE)
def make_backup(
    file: File,
    no_verify: Annotated[
        bool, typer.Option("--no-verify", help="Do not restore it to see that it is good.")
    ] = False,
    server: Server = None,
    scratch: Scratch = None,
) -> None:
    """Make a backup into a new file, and verify it."""
    if not file.parent.is_dir():
        out.print("FILE lies in a folder that is not there.")
        raise typer.Exit(USED_WRONGLY)
    chosen, hub = settings(), opened_hub()
    try:
        made = make(hub, database_url(chosen), chosen, file)
    except Conflict as refused:
        out.print(f"refused: {refused}")
        raise typer.Exit(1) from None
    out.print(
        f"backup {made.number}: {made.size} bytes, {made.log_size} events of the log, under root {made.root_version}"
    )
    out.print(f"sha256 {made.digest.hex()}")
    if no_verify:
        out.print("It is NOT verified: exchange backup verify FILE")
    else:
        _verify(file, server, scratch, is_noted=True)


@app.command("verify")
def verify(
    file: File,
    server: Server = None,
    scratch: Scratch = None,
    elsewhere: Annotated[
        bool, typer.Option("--elsewhere", help="The hub's database is not here: nothing is noted.")
    ] = False,
) -> None:
    """Restore a file into a scratch database, look whether everything is there and opens, and throw it away."""
    _require_file(file)
    _verify(file, server, scratch, is_noted=not elsewhere)


@app.command("list")
def list_backups() -> None:
    """List the newest backups, and whether they were verified."""
    with opened_hub().store.transaction() as transaction:
        found = backups.newest(transaction, MOST_LISTED)
    for number, made_at, root, key, events, size, verified_at in found:
        told = f"{size} bytes, {events} events, root {root}, backup key {key}" if size else "never finished"
        state = f"verified {_when(verified_at)}" if verified_at else "NOT verified"
        out.print(f"{number}  {_when(made_at)}  {told}  {state}")


@restoring.command("restore")
def restore(
    file: File,
    into: Annotated[str | None, typer.Option("--into", help="URL of an empty database.")] = None,
    data_folder: Annotated[
        Path | None, typer.Option("--data-folder", help="New data folder, with an embedded PostgreSQL.")
    ] = None,
) -> None:
    """Restore a backup into a database that holds nothing. The hub must not run on it meanwhile."""
    _require_file(file)
    if (into is None) == (data_folder is None):
        out.print("Say --into URL or --data-folder FOLDER.")
        raise typer.Exit(USED_WRONGLY)
    if data_folder is not None:
        cluster = EmbeddedPostgres(data_folder / "postgres")
        cluster.start()
        into = cluster.url
    try:
        chosen = settings().model_copy(update={"database_url": into})
        found = restore_file(file, chosen)
    except (Conflict, SealBroken) as refused:
        out.print(f"refused: {refused}")
        raise typer.Exit(1) from None
    # From here on it is a hub, and its own log says where it came from.
    hub = open_hub(chosen)
    hub.spine.operate(f"restore {found.header.number}", lambda _: None)
    hub.spine.seal_audit_log()
    _tell(found)
    out.print("Restored. Erase again what was erased since, by the orders that you keep: docs/backup.md.")


def _verify(file: Path, server: str | None, scratch: Path | None, *, is_noted: bool) -> None:
    hub = opened_hub() if is_noted else None
    try:
        found = verify_file(file, settings(), server=server, folder=scratch)
    except SealBroken as broken:
        out.print(f"The backup is NOT good: {broken}")
        raise typer.Exit(1) from None
    _tell(found)
    if found.findings:
        out.print("The backup is NOT good.")
        raise typer.Exit(1)
    if hub is not None:
        number = found.header.number
        try:
            hub.spine.operate(
                f"backup verify {number}", lambda tx: backups.note_verified(tx, number, found.digest)
            )
        except Conflict as unknown:
            out.print(f"The backup is good, and is not noted: {unknown}")
            raise typer.Exit(1) from None
    out.print("The backup is verified.")


def _tell(found: Examination) -> None:
    header = found.header
    out.print(f"backup {header.number} of {header.hub}, {_when(header.made_at)}, PostgreSQL {header.server}, "
              f"tables {header.revision}, under root {header.root_version}")  # fmt: skip
    out.print(
        f"{sum(found.rows.values())} rows of {len(found.rows)} tables; {found.events} events of the log"
    )
    out.print("opened: " + ", ".join(f"{number} of {what}" for what, number in found.opened.items()))
    for finding in found.findings:
        out.print(finding, style="red", markup=False)


def _require_file(file: Path) -> None:
    if not file.is_file():
        out.print("FILE is not there.")
        raise typer.Exit(USED_WRONGLY)


def _when(moment: int | None) -> str:
    if moment is None:
        return ""
    return (
        datetime.fromtimestamp(moment / 1_000_000, UTC).astimezone(settings().zone).isoformat(" ", "seconds")
    )
