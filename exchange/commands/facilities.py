"""`exchange facilities`: the facilities of the region, as everything that they send points to them.

Leaves:  what a facility's Organization says to operations/facility.
"""

from __future__ import annotations

from typing import Annotated, Final

import typer

from exchange.commands.opened import opened_hub, out

app: Final = typer.Typer(help="The facilities of the region.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """The facilities of the region."""


@app.command("enter")
def enter_facility(
    renipress: Annotated[str, typer.Argument(help="RENIPRESS code of 5, 8 or 9 digits.")],
    name: Annotated[str, typer.Option(help="Name, as RENIPRESS has it.")],
    level: Annotated[str, typer.Option(help="Category, such as I-3.")],
    ubigeo: Annotated[str, typer.Option(help="INEI's code of its district, 6 digits.")],
    part_of: Annotated[
        str, typer.Option(help="Id of the Organization that it belongs to: its network, or the DISA.")
    ] = "",
) -> None:
    """Enter a facility, or correct what is told of it."""
    from exchange.operations.facility import Facility, enter

    done: list[str] = []
    facility = Facility(renipress, name, level, ubigeo, part_of)
    opened_hub().spine.operate(
        f"facilities enter {renipress[:12]}", lambda tx: done.append(enter(tx, facility))
    )
    out.print(f"entered: {done[0]}")
