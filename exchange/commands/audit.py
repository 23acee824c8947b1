"""`exchange audit`: verify and seal the audit log.

Leaves:  the proofs to audit/verify.
"""

from __future__ import annotations

import json
from typing import Annotated, Final

import typer

from exchange.audit.verify import verify_log
from exchange.commands.opened import opened_hub, out

app: Final = typer.Typer(help="Verify and seal the audit log.", no_args_is_help=True)


@app.command("verify")
def verify(as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False) -> None:
    """Verify every event, leaf and signed head of the audit log."""
    hub = opened_hub()
    hub.spine.seal_audit_log()
    with hub.store.transaction() as transaction:
        found = verify_log(transaction)
    if as_json:
        print(json.dumps({"verified": found.is_verified, "events": found.events, "checkpoints": found.checkpoints,
                          "waiting": found.waiting, "findings": found.findings}))  # fmt: skip
    else:
        out.print(
            f"{found.events} events under {found.checkpoints} signed heads, {found.waiting} waiting for a place"
        )
        for finding in found.findings:
            out.print(finding, style="red", markup=False)
        out.print("The log is verified." if found.is_verified else "The log does NOT verify.")
    raise typer.Exit(0 if found.is_verified else 1)


@app.command("seal")
def seal() -> None:
    """Give committed events their places in the Merkle tree now, and sign its head."""
    sealed = opened_hub().spine.seal_audit_log()
    out.print(f"placed {sealed.placed} events; the log holds {sealed.size}")
