"""`exchange`: run and keep the regional hub.

Exit codes: 0 done · 1 something was found wrong · 2 the command was used wrongly · 3 the hub cannot work now.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from exchange import __version__
from exchange.audit.verify import verify_log
from exchange.authentication import registration
from exchange.hub import Hub, embedded, open_hub, prepare
from exchange.problems import Problem
from exchange.requester import ROLES, parse_scopes
from exchange.serve import serve as run_servers
from exchange.settings import settings
from exchange.worker.index_parameters import index_until
from exchange.worker.seal_audit_log import seal_until

app = typer.Typer(
    help="Chasqui: the regional health-record exchange.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
clients = typer.Typer(help="Register, list and suspend the systems that may ask.", no_args_is_help=True)
audit = typer.Typer(help="Verify and seal the audit log.", no_args_is_help=True)
keys = typer.Typer(help="The state of the hub's keys.", no_args_is_help=True)
app.add_typer(clients, name="clients")
app.add_typer(audit, name="audit")
app.add_typer(keys, name="keys")
terminology = typer.Typer(help="The code systems that this site brings.", no_args_is_help=True)
app.add_typer(terminology, name="terminology")
package = typer.Typer(help="Profiles of implementation guides.", no_args_is_help=True)
app.add_typer(package, name="package")
out = Console(soft_wrap=True, markup=False)
CANNOT_WORK = 3


def main() -> None:
    """Run a command; a problem is one sentence and an exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        app()
    except Problem as problem:
        Console(stderr=True, soft_wrap=True).print(f"exchange: {problem}", style="red", markup=False)
        sys.exit(CANNOT_WORK)


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Chasqui: the regional health-record exchange."""
    if version:
        out.print(__version__)
        raise typer.Exit


@app.command()
def migrate() -> None:
    """Bring the database to this version's tables, and make a new hub's keys."""
    is_new = prepare(settings())
    out.print("The hub is new: its keys were made." if is_new else "The database is up to date.")


@app.command()
def serve() -> None:
    """Serve the FHIR API with EXCHANGE_WORKERS processes until stopped."""
    chosen = settings()
    prepare(chosen)
    run_servers(chosen)


@app.command()
def work() -> None:
    """Do what happens later - seal the audit log, index posted search parameters - until stopped."""
    prepare(settings())
    hub = open_hub(settings())
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    threading.Thread(target=index_until, args=(stopped, hub.spine), daemon=True).start()
    seal_until(stopped, hub.spine, settings().checkpoint_seconds)


@app.command()
def demo(
    people: Annotated[
        int, typer.Option(min=1, max=100_000, help="How many people the invented region has.")
    ] = 300,
    seed: Annotated[int, typer.Option(help="The same seed makes the same region.")] = 1,
    once: Annotated[
        bool, typer.Option("--once", help="End after the demonstration, with a line of JSON.")
    ] = False,
    folder: Annotated[Path, typer.Option(help="Where the demonstration lives.")] = Path("var/demo"),
) -> None:
    """Show the exchange at work on an invented La Libertad, then leave it running."""
    from exchange.demo.demonstration import run

    sys.exit(run(people=people, seed=seed, is_once=once, folder=folder))


@app.command("demo-token", hidden=True)
def demo_token(
    client_id: Annotated[str, typer.Argument(help="A client of the demonstration.")],
    folder: Annotated[Path, typer.Option(help="Where the demonstration lives.")] = Path("var/demo"),
) -> None:
    """Print an access token of one of the demonstration's clients."""
    from exchange.demo.client import FhirClient
    from exchange.demo.demonstration import ASKING_SCOPE, AUDIT_SCOPE, CLINIC_SCOPE, FILING_SCOPE

    scopes = {"administrator": AUDIT_SCOPE, "clinic": CLINIC_SCOPE, "regional-hospital": ASKING_SCOPE}
    key = folder / "clients" / f"{client_id}.pem"
    if not key.exists():
        known = ", ".join(sorted(each.stem for each in key.parent.glob("*.pem")))
        out.print(f"The demonstration has no such client; it has: {known or 'none yet, run make demo'}.")
        raise typer.Exit(2)
    url = (folder / "url").read_text() if (folder / "url").exists() else settings().base_url
    print(FhirClient(url, client_id, key, scopes.get(client_id, FILING_SCOPE)).token())


@app.command()
def doctor() -> None:
    """Check what the hub needs: database, keys, audit log's age."""
    hub = _hub()
    with hub.store.transaction() as transaction:
        version, newest = transaction.rows(
            "SELECT current_setting('server_version'), "
            "(SELECT max(transaction) FROM resource) < pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
        )[0]
        waiting = transaction.rows("SELECT count(*) FROM linkage_review")[0][0]
    out.print(f"database: PostgreSQL {version}")
    out.print(
        "positions: "
        + ("in order" if newest in (True, None) else "behind a restored database's transactions")
    )
    out.print(f"pairs of records that wait for a person's judgement: {waiting}")
    if newest is False:
        raise typer.Exit(1)


@clients.command("register")
def register_client(
    client_id: Annotated[str, typer.Argument(help="Lower-case letters, digits, dots, hyphens.")],
    organization: Annotated[
        str, typer.Option(help="Id of the facility's Organization, such as ipress-00090011.")
    ],
    jwks: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help="File with the public keys (JWKS).")
    ],
    scopes: Annotated[str, typer.Option(help="Such as 'system/*.cruds'.")],
    id_prefix: Annotated[str, typer.Option(help="What client-assigned ids begin with, such as posta1-.")],
    name: Annotated[str, typer.Option(help="Name that the audit log shows.")] = "",
    role: Annotated[str, typer.Option(help=f"One of: {', '.join(ROLES)}.")] = "system",
    purposes: Annotated[str, typer.Option(help="v3 ActReason codes, the default one first.")] = "TREAT",
) -> None:
    """Register a system, or change its registration."""
    parsed = parse_scopes(scopes)
    if parsed is None or role not in ROLES:
        out.print("A scope is system/[type].[cruds], letters in order; a role is one of: " + ", ".join(ROLES))
        raise typer.Exit(2)
    try:
        public_keys = json.loads(jwks.read_text())
    except ValueError:
        out.print("The JWKS file is no JSON.")
        raise typer.Exit(2) from None
    client = registration.Client(
        client_id, name or client_id, organization, "administrator" if role == "administrator" else "system",
        parsed, tuple(purposes.split(",")), id_prefix, public_keys,
    )  # fmt: skip
    hub = _hub()
    hub.spine.operate(f"clients register {client_id}", lambda tx: registration.register(tx, client))
    out.print(f"registered: {client_id}")


@clients.command("list")
def list_clients() -> None:
    """List the registered systems."""
    with _hub().store.transaction() as transaction:
        rows = registration.all_clients(transaction)
    table = Table("client", "name", "facility", "role", "scopes", "prefix", "active")
    for each in rows:
        scopes = " ".join(map(str, each.scopes))
        table.add_row(each.client_id, each.name, each.organization_id, each.role, scopes, each.id_prefix,
                      "yes" if each.is_active else "no")  # fmt: skip
    out.print(table)


@clients.command("suspend")
def suspend_client(
    client_id: str, back: Annotated[bool, typer.Option("--back", help="Let it back in.")] = False
) -> None:
    """Suspend a system: within five seconds its tokens are worth nothing."""
    known: list[bool] = []
    verb = "let back" if back else "suspended"
    _hub().spine.operate(
        f"clients {verb} {client_id}",
        lambda tx: known.append(registration.set_active(tx, client_id, is_active=back)),
    )
    out.print(f"{verb}: {client_id}" if known[0] else "there is no such client")
    raise typer.Exit(0 if known[0] else 1)


@audit.command("verify")
def verify(as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False) -> None:
    """Verify every event, leaf and signed head of the audit log."""
    hub = _hub()
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


@audit.command("seal")
def seal() -> None:
    """Give committed events their places in the Merkle tree now, and sign its head."""
    sealed = _hub().spine.seal_audit_log()
    out.print(f"placed {sealed.placed} events; the log holds {sealed.size}")


@terminology.command("load")
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
    _hub().spine.operate(
        f"terminology load {kind} {found.version}", lambda tx: changed.append(catalogue.load(tx, found))
    )
    told = "loaded" if changed[0] else "loaded before"
    out.print(f"{told}: {len(found.concepts)} concepts of {found.url}, version {found.version}")


@terminology.command("list")
def list_catalogues() -> None:
    """List the code systems that were loaded."""
    from exchange.terminology import catalogue

    table = Table("code system", "version", "name", "concepts", "in use")
    with _hub().store.transaction() as transaction:
        for url, version, name, concepts, is_current, _ in catalogue.loaded(transaction):
            table.add_row(url, version, name, str(concepts), "yes" if is_current else "no")
    out.print(table)


@package.command("load")
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
    _hub().spine.operate(
        f"package load {found.name[:80]} {found.version[:40]}",
        lambda tx: done.append(operation.load_package(tx, found)),
    )
    out.print(
        f"{found.name} {found.version}: {done[0].stored} resources stored, {done[0].unchanged} were there already, "
        f"{found.left_out} of other types left out"
    )


@keys.command("status")
def key_status() -> None:
    """Show which versions of the hub's keys there are, and how many data keys each wraps."""
    with _hub().store.transaction() as transaction:
        table = Table("purpose", "version", "wraps data keys")
        counts: dict[int, int] = dict(
            transaction.rows("SELECT wrapping_version, count(*) FROM data_key GROUP BY 1")
        )
        for purpose, version in transaction.rows("SELECT purpose, version FROM hub_key ORDER BY 1, 2"):
            table.add_row(purpose, str(version), str(counts.get(version, 0)) if purpose == "record" else "")
    out.print(table)


def _hub() -> Hub:
    chosen = settings()
    if chosen.database_url is None and not embedded(chosen).is_running():
        prepare(chosen)
    return open_hub(chosen)
