"""What the commands share: the site that is named, its outbox, how something is said, and what an exit code means.

Spec:    docs/adapters.md, "Exit codes".
"""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from adapters.outbox import Outbox
from adapters.settings import Settings

OK: Final = 0
BAD_SITE: Final = 2
STILL_WAITING: Final = 3
NO_KEY: Final = 4
RUNNING: Final = 5
OUTBOX: Final = 6
SOURCE: Final = 7
BARRED: Final = 8

Site = Annotated[Path, typer.Argument(metavar="SITE", help="Archivo TOML del establecimiento.")]

out: Final = Console(soft_wrap=True)
errors: Final = Console(stderr=True, soft_wrap=True)


def say(text: str) -> None:
    """A line for a person, beside what programs read."""
    errors.print(escape(text), highlight=False)


@contextmanager
def outbox_of(settings: Settings) -> Iterator[Outbox]:
    """The site's outbox, open while a command works on it."""
    box = Outbox(settings.data_folder, min_free_megabytes=settings.min_free_megabytes)
    box.obey(settings)
    try:
        yield box
    finally:
        box.close()


@contextmanager
def progress_of(what: str) -> Iterator[Progress]:
    """A line that shows how far long work went; nothing where nobody looks, such as in a pipe or a log."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as shown:
        shown.add_task(what, total=None)
        yield shown


def operator() -> str:
    """The account of the operating system under which somebody types."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "?"
