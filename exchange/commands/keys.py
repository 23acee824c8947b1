"""`exchange keys`: the state of the hub's keys and of their root; rotating, retiring and destroying versions.

Leaves:  when a version may go to store/key_rotation; what to do when, step by step, to docs/keys.md.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Final, TypeVar

import typer
from rich.table import Table

from exchange.commands.opened import USED_WRONGLY, opened_hub, out
from exchange.crypto.hub_key import PURPOSES, HubKey
from exchange.hub import Hub
from exchange.problems import Conflict, NotSupported, Unavailable
from exchange.settings import settings
from exchange.store import index_rotation, key_rotation
from exchange.store.backups import require_replaced, waiting_erasures
from exchange.store.hub_keys import hub_keys
from exchange.store.rewrapping import Rewrapping, counts
from exchange.store.session import Transaction

app: Final = typer.Typer(help="The hub's keys: state, rotation, destruction.", no_args_is_help=True)
ROOT: Final = "root"
PROGRESS_SECONDS: Final = 1.0
_Done = TypeVar("_Done")

Purpose = Annotated[str, typer.Argument(help=f"root, or one of: {', '.join(PURPOSES)}.")]
Version = Annotated[int, typer.Argument(min=1, max=32_767, help="Number of the version.")]


@app.callback()
def group() -> None:
    """The hub's keys: state, rotation, destruction."""


@app.command("status")
def key_status() -> None:
    """Show every version of every key, and how much still lies under each."""
    hub = opened_hub()
    with hub.store.transaction() as transaction:
        keys, wrapped = hub_keys(transaction), counts(transaction)
        rotation = index_rotation.progress(transaction)
    table = Table("purpose", "version", "state", "under root", "made", "wraps")
    for key in keys:
        table.add_row(key.purpose, str(key.version), key.state, str(key.root_version or ""), _made(key),
                      str(wrapped.get(key.version, 0)) if key.purpose == "record" else "")  # fmt: skip
    out.print(table)
    if rotation:
        out.print(rotation)
    root = hub.store.crypto.keyring.root
    try:
        newest, there = str(root.newest()), root.versions()
    except Unavailable as away:
        newest, there = f"unknown: {away}", []
    out.print(
        f"root: {root.name} {settings().root_key_name if root.name != 'file' else ''}, newest version {newest}"
    )
    if there:
        with hub.store.transaction() as transaction:
            waiting = waiting_erasures(transaction, there[0])
        if waiting:
            out.print(
                f"{waiting} erasures wait for older backups to become unreadable: they open while version {there[0]} "
                "of the root is there (docs/backup.md)"
            )


@app.command("rotate")
def rotate(
    purpose: Purpose,
    wait: Annotated[
        bool, typer.Option("--wait", help="Of record: wrap everything anew before returning.")
    ] = False,
) -> None:
    """Make a new version of a key. The old one stays good until it is retired."""
    hub = opened_hub()
    if _known(purpose) == ROOT:
        done = _operate(hub, "rotate root", key_rotation.rotate_root)
        out.print(f"root: version {done[0]} now wraps the hub's keys; {done[1]} were wrapped anew")
        return
    version = _operate(hub, f"rotate {purpose}", lambda tx: key_rotation.rotate(tx, purpose))
    hub.store.crypto.look()
    out.print(
        f"{purpose}: version {version} is made, and version {version - 1} stays good until it is retired"
    )
    if purpose == "index":
        out.print("'exchange work' moves the index to it; 'exchange keys status' shows how far it is")
    if purpose == "record":
        if wait:
            _rewrap(hub)
        else:
            out.print("'exchange work' wraps everything anew; 'exchange keys status' shows how far it is")


@app.command("rewrap")
def rewrap() -> None:
    """Wrap anew, now, what lies under an older version of record."""
    _rewrap(opened_hub())


@app.command("retire")
def retire(
    purpose: Purpose,
    version: Version,
    now: Annotated[
        bool, typer.Option("--now", help="Of token, where it was stolen: end all its tokens at once.")
    ] = False,
) -> None:
    """Take an old version out of use, where nothing needs it any more."""
    if now and purpose != "token":
        out.print("--now is for token alone: everything else would be lost with the key.")
        raise typer.Exit(USED_WRONGLY)
    if _known(purpose) == ROOT:
        out.print("Versions of the root are not retired: rotate root, then destroy the old version.")
        raise typer.Exit(USED_WRONGLY)
    described = f"retire {purpose} {version}{' now' if now else ''}"
    _operate(opened_hub(), described, lambda tx: key_rotation.retire(tx, purpose, version, ends_tokens=now))
    out.print(f"{purpose}: version {version} is retired")


@app.command("destroy")
def destroy(
    purpose: Purpose,
    version: Version,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    without_backup: Annotated[
        bool,
        typer.Option("--without-backup", help="Of root: though no verified backup stands under a newer one."),
    ] = False,
) -> None:
    """Destroy a version for ever: backups from before it was rotated do not open without it."""
    _known(purpose)
    if not yes:
        if not sys.stdin.isatty():
            out.print("Say --yes: nobody is here to be asked.")
            raise typer.Exit(USED_WRONGLY)
        typer.confirm(
            f"Destroy version {version} of {purpose}? Backups from before it was rotated never open again",
            abort=True,
        )
    hub = opened_hub()
    if purpose == ROOT:
        described = f"destroy root {version}{' --without-backup' if without_backup else ''}"
        _operate(hub, described, lambda tx: _destroy_root(tx, version, has_backup=not without_backup))
    else:
        _operate(hub, f"destroy {purpose} {version}", lambda tx: key_rotation.destroy(tx, purpose, version))
    out.print(f"{purpose}: version {version} is destroyed")


def _destroy_root(transaction: Transaction, version: int, *, has_backup: bool) -> None:
    """Destroy a version of the root where a backup is left that opens without it."""
    if has_backup:
        require_replaced(transaction, version)
    key_rotation.destroy_root(transaction, version)


def _operate(hub: Hub, described: str, act: Callable[[Transaction], _Done]) -> _Done:
    """Run an operator's act with its audit event; what refuses it is one sentence and exit code 1."""
    done: list[_Done] = []
    try:
        hub.spine.operate(f"keys {described}", lambda transaction: done.append(act(transaction)))
    except (Conflict, NotSupported) as refused:
        out.print(f"refused: {refused}")
        raise typer.Exit(1) from None
    return done[0]


def _rewrap(hub: Hub) -> None:
    """Step until nothing lies under an older version; what others hold is waited for."""
    walk, told = Rewrapping(hub.store), time.monotonic()
    while True:
        is_unfinished = walk.step()
        if time.monotonic() - told >= PROGRESS_SECONDS:
            out.print(f"wrapped anew: {walk.moved}")
            told = time.monotonic()
        if not is_unfinished:
            with hub.store.transaction() as transaction:
                newest = hub.store.crypto.keyring.version("record")
                left = sum(number for version, number in counts(transaction).items() if version < newest)
            if not left:
                break
            time.sleep(PROGRESS_SECONDS)
    out.print(f"wrapped anew: {walk.moved}; nothing lies under an older version")


def _known(purpose: str) -> str:
    if purpose not in (ROOT, *PURPOSES):
        out.print(f"There is no such key: it is root, or one of {', '.join(PURPOSES)}.")
        raise typer.Exit(USED_WRONGLY)
    return purpose


def _made(key: HubKey) -> str:
    return (
        datetime.fromtimestamp(key.made_at / 1_000_000, UTC)
        .astimezone(settings().zone)
        .isoformat(" ", "minutes")
    )
