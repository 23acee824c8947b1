"""`exchange policy`: check the regional policy before it is rolled out, and show the one in use.

Leaves:  what a policy says to policy/regional_policy.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer
from rich.table import Table

from exchange.commands.opened import out
from exchange.policy.adopted import policy, shipped
from exchange.policy.regional_policy import MOST_BYTES, PolicyRefused, RegionalPolicy, parse_policy
from exchange.settings import settings

app: Final = typer.Typer(help="The region's policy: check a file, show the one in use.", no_args_is_help=True)


@app.command("check")
def check(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A policy file, TOML.")],
) -> None:
    """Say whether a file is a policy, and where it is not: line, key, reason."""
    with file.open("rb") as opened:
        content = opened.read(MOST_BYTES + 1)
    try:
        found = parse_policy(content)
    except PolicyRefused as refused:
        for fault in refused.faults:
            out.print(
                f"{file}:{fault.line}: {fault.key}: {fault.text}"
                if fault.key
                else f"{file}:{fault.line}: {fault.text}"
            )
        out.print(f"The policy is refused: {len(refused.faults)} faults.")
        raise typer.Exit(1) from None
    out.print(f"The policy is sound: {found.region.name}, version {found.region.version}")
    out.print(f"digest: {found.digest}")


@app.command("show")
def show() -> None:
    """Show the policy that the hub goes by: its version, what it allows, what it holds for sensitive."""
    found = policy()
    out.print(f"file: {settings().policy_file or shipped()}")
    out.print(f"{found.region.name}, version {found.region.version}, reviewed {found.region.reviewed_at}")
    out.print(f"reviewed by: {found.region.reviewed_by}")
    out.print(f"digest: {found.digest}")
    out.print(f"across facilities: {found.defaults.cross_facility}; sending: {found.defaults.sending}")
    out.print(
        f"purposes: {' '.join(found.purposes.allowed)}; refused by law: {' '.join(found.purposes.refused_by_law)}"
    )
    out.print(_categories(found))


def _categories(found: RegionalPolicy) -> Table:
    table = Table("code", "categoría", "category", "label", "codes", "implied by")
    for each in found.sensitive:
        counts = [sum(map(len, lists.values())) for lists in (each.codes, each.implied_by)]
        table.add_row(each.code, each.display_es, each.display_en, each.confidentiality, *map(str, counts))
    return table
