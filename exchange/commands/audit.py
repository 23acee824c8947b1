"""`exchange audit`: verify, seal, export and prove the audit log.

Leaves:  the proofs to audit; handing heads to witnesses to `exchange work`.
"""

from __future__ import annotations

import json
import re
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from exchange.audit.checkpoint import MAX_NOTE_LETTERS, verifier_key
from exchange.audit.evidence import Asked, number_of_request, write_pack
from exchange.audit.export import export_log
from exchange.audit.verify import verify_log
from exchange.audit.witnessing import outside_witnesses
from exchange.commands.opened import USED_WRONGLY, opened_hub, out
from exchange.hub import Hub
from exchange.problems import NotFound, Unavailable
from exchange.request import Touched
from exchange.settings import settings
from exchange.worker.witnesses import HandingOut

app: Final = typer.Typer(help="Verify, export and prove the audit log.", no_args_is_help=True)
WAITS: Final = 60
_ID: Final = re.compile(r"[A-Za-z0-9.-]{1,64}")
_CASE: Final = re.compile(r"[A-Za-z0-9._/-]{1,64}")


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


@app.command("keys")
def keys() -> None:
    """Print the log's public keys and its witnesses', as `verify.py --keys` reads them: publish them on paper, too."""
    print("\n".join(published_keys(opened_hub())))


@app.command("head")
def head() -> None:
    """Print the newest signed head: whoever keeps it outside can show later that the log was cut, forked or restored."""
    with opened_hub().store.transaction() as transaction:
        rows = transaction.rows("SELECT note FROM audit_checkpoint ORDER BY size DESC LIMIT 1")
    if not rows:
        raise NotFound("the log holds no event yet")
    print(rows[0][0], end="")


@app.command("export")
def export(
    to: Annotated[Path, typer.Option("--out", help="A new file for the log's digests.", dir_okay=False)],
) -> None:
    """Write the whole log as digests, for whoever verifies it offline: it names nobody."""
    hub = opened_hub()
    _require_new(to)
    # Before the first byte leaves, the log says that it did.
    hub.spine.operate("audit export", lambda _: None)
    hub.spine.seal_audit_log()
    started = time.monotonic()
    with hub.store.transaction() as transaction:
        done = export_log(transaction, to)
    seconds = time.monotonic() - started
    out.print(
        f"{done.leaves} events, {done.strays} without a place, {done.heads} heads in {seconds:.1f} s: {to}"
    )


@app.command("pack")
def pack(
    patient: Annotated[str, typer.Option(help="The logical id of the Patient whose record it is.")],
    case: Annotated[str, typer.Option(help="The number of the case: it is written into the log.")],
    to: Annotated[Path, typer.Option("--out", help="A new file for the pack.", dir_okay=False)],
    since: Annotated[
        datetime | None, typer.Option(help="Show events from then on (UTC); others as digests.")
    ] = None,
    until: Annotated[datetime | None, typer.Option(help="Show events until then (UTC).")] = None,
    from_note: Annotated[
        Path | None, typer.Option(help="A head that the other side kept: prove that the log grew out of it.")
    ] = None,
    manifests: Annotated[bool, typer.Option("--manifests", help="Add the lists of what was shown.")] = False,
) -> None:
    """Write an evidence pack: all events of a record up to this request, and what proves them. It names who looked."""
    if not (_ID.fullmatch(patient) and _CASE.fullmatch(case)):
        out.print("--patient is a resource id, --case up to 64 letters, digits and . _ / -")
        raise typer.Exit(USED_WRONGLY)
    _require_new(to)
    seen = from_note.read_text("utf-8")[: MAX_NOTE_LETTERS + 1] if from_note else ""
    hub = opened_hub()
    compartment = hub.store.crypto.blind_index.patient_compartment(patient)
    described = f"audit pack --patient {patient} --case {case}"
    with hub.store.transaction() as transaction:
        if compartment not in hub.store.patient_ids.of(transaction, [compartment]):
            raise NotFound("there is no record of this patient")
    # Before the first byte leaves, the record's own log says who asked for it, and for which case.
    hub.spine.operate(described, lambda _: None, [Touched(compartment)])
    asked = Asked(
        patient, case, f"exchange {described}", _microseconds(since), _microseconds(until), seen, manifests
    )
    last = _placed(hub, compartment, asked)
    outside = outside_witnesses(settings().witnesses or "")
    if outside:
        HandingOut(hub.spine.witnesses, outside).round(time.monotonic())
    with hub.store.transaction() as transaction:
        done = write_pack(transaction, compartment, last, asked, published_keys(hub), to)
    out.print(
        f"{done.events} events, {done.shown} shown, under a head of {done.size} events"
        f" with {done.cosignatures} cosignatures: {to}"
    )


def published_keys(hub: Hub) -> list[str]:
    """The log's keys, the newest first, and its witnesses', as they are handed out."""
    own = [verifier_key(settings().audit_origin, each) for each in hub.store.crypto.checkpoint_keys]
    return own + [each.key.text() for each in outside_witnesses(settings().witnesses or "")]


def _placed(hub: Hub, compartment: int, asked: Asked) -> int:
    """Wait until the request's own event has its place: a transaction that still runs may hold it back."""
    for _ in range(WAITS):
        hub.spine.seal_audit_log()
        with hub.store.transaction() as transaction:
            number = number_of_request(transaction, compartment, asked)
        if number:
            return number
        time.sleep(1)
    raise Unavailable(
        "the request's own event has no place in the log yet: somebody's transaction holds it back"
    )


def _require_new(to: Path) -> None:
    if to.exists() or not to.parent.is_dir():
        out.print("--out names a file that is there already, or a folder that is not")
        raise typer.Exit(USED_WRONGLY)


def _microseconds(moment: datetime | None) -> int | None:
    """An instant that was typed without a zone is in UTC."""
    if moment is None:
        return None
    return int(datetime.fromisoformat(f"{moment.isoformat()}+00:00").timestamp() * 1_000_000)
