"""`exchange terminology` and `exchange package`: catalogues and profiles that a site brings.

Leaves:  reading their files to terminology and fhir/package.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer
from rich.table import Table

from exchange.commands.opened import opened_hub, out

app: Final = typer.Typer(help="The code systems that this site brings.", no_args_is_help=True)
packages: Final = typer.Typer(help="Profiles of implementation guides.", no_args_is_help=True)


@app.command("load")
def load_catalogue(
    kind: Annotated[str, typer.Argument(help="One of: cie-10, cpms, loinc, ucum.")],
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="The file as its publisher gives it.")
    ],
    version: Annotated[str, typer.Option(help="The catalogue's version, such as 2024.")] = "",
) -> None:
    """Load a code system, and make it the one that searches and value sets use."""
    from exchange.terminology import catalogue
    from exchange.terminology.catalogue_files import READERS, read_catalogue

    if kind not in READERS:
        out.print("The kinds of catalogue are: " + ", ".join(READERS))
        raise typer.Exit(2)
    found = read_catalogue(kind, file, version)
    changed: list[bool] = []
    opened_hub().spine.operate(
        f"terminology load {kind} {found.version}", lambda tx: changed.append(catalogue.load(tx, found))
    )
    told = "loaded" if changed[0] else "loaded before"
    out.print(f"{told}: {len(found.concepts)} concepts of {found.url}, version {found.version}")


@app.command("list")
def list_catalogues() -> None:
    """List the code systems that were loaded."""
    from exchange.terminology import catalogue

    table = Table("code system", "version", "name", "concepts", "in use")
    with opened_hub().store.transaction() as transaction:
        for url, version, name, concepts, is_current, _ in catalogue.loaded(transaction):
            table.add_row(url, version, name, str(concepts), "yes" if is_current else "no")
    out.print(table)


@packages.callback()
def group() -> None:
    """Profiles of implementation guides."""


@packages.command("load")
def load_package(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="The guide's package, package.tgz.")
    ],
) -> None:
    """Load an implementation guide's profiles, extensions, value sets and code systems, all or none."""
    from exchange.fhir.package import read_package
    from exchange.operations import package as operation

    found = read_package(file)
    done: list[operation.Loaded] = []
    opened_hub().spine.operate(
        f"package load {found.name[:80]} {found.version[:40]}",
        lambda tx: done.append(operation.load_package(tx, found)),
    )
    out.print(
        f"{found.name} {found.version}: {done[0].stored} resources stored, {done[0].unchanged} were there already, "
        f"{found.left_out} of other types left out"
    )
