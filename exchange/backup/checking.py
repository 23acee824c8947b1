"""What shows that a backup is one: it is loaded, its keys open what it seals, its log verifies, no row is missing.

Spec:    docs/backup.md, "What verifying does"; docs/decisions/0012-audit-log.md.
Leaves:  where it is loaded to scratch and restoring.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any, Final

import msgspec

from exchange.audit.verify import verify_log
from exchange.backup.making import Contents, counted
from exchange.backup.programs import connect, load
from exchange.backup.sealed_file import LENGTH_BYTES, Header, opened, read_header
from exchange.crypto.roots.provider import Root
from exchange.problems import KeyDestroyed, Problem, SealBroken
from exchange.settings import Settings
from exchange.store.hub import open_store
from exchange.store.migrate import migrate
from exchange.store.sealed_places import PLACES, SealedPlace
from exchange.store.session import Store, Transaction
from exchange.store.versions import COLUMNS
from exchange.store.versions import opened as opened_versions

SAMPLE_ROWS: Final = 50
SAMPLE_KEYS: Final = 500
LONG_MS: Final = 12 * 3600 * 1000
MOST_CONTENTS_BYTES: Final = 1024 * 1024
SEALED: Final = ("resource", "resource_history", "audit_event")

# Erased records stay closed, and are left out. A key of the region's own seals what is of no patient.
SAMPLE: Final = """
SELECT {columns} FROM {table} r WHERE length(r.body) > 0
  AND EXISTS (SELECT 1 FROM data_key k WHERE k.compartment = greatest(r.compartment, 0) AND k.wrapped <> '')
ORDER BY hashtext(r.id || %s) LIMIT %s"""
KEYS: Final = """
SELECT compartment, wrapping_version, wrapped FROM data_key WHERE wrapped <> ''
ORDER BY hashint8extended(compartment, %s) LIMIT %s"""
HEAD: Final = "SELECT note FROM audit_checkpoint WHERE size = %s"


@dataclass(slots=True)
class Examination:
    """What was found in a loaded backup: an empty list of findings is a good one."""

    header: Header
    digest: bytes = b""
    rows: dict[str, int] = field(default_factory=dict)
    events: int = 0
    opened: dict[str, int] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)


def read_whole(path: Path, root: Root) -> tuple[Header, bytes]:
    """Open every chunk of a file, to nowhere; its header, and its digest. Raises: SealBroken, Unavailable."""
    with path.open("rb") as file:
        for _ in opened(file, root):
            pass
    digest = sha256()
    with path.open("rb") as file:
        header, _ = read_header(file)
        file.seek(0)
        while part := file.read(1024 * 1024):
            digest.update(part)
    return header, digest.digest()


def load_file(path: Path, root: Root, url: str) -> Contents:
    """Load a file that was read whole into a database that holds nothing; what it says of itself.

    Each chunk is opened again on its way: a file that was changed meanwhile is found out.
    """
    with path.open("rb") as file:
        contents, parts = _split(opened(file, root))
        load(url, parts)
        return contents


def examine(url: str, settings: Settings, root: Root, header: Header, contents: Contents) -> Examination:
    """Hold a loaded backup against what it says of itself.

    1. Every table has the rows that the snapshot had.
    2. Its tables are those of its release, and are brought to this one.
    3. The root opens its keys; of every sealed table rows open, and data keys, and all secrets of the hub.
    4. Its log verifies up to the head that the header names.
    """
    result = Examination(header)
    # 1.
    result.rows = _counted(url)
    for table in sorted(contents.rows.keys() | result.rows.keys()):
        before, now = contents.rows.get(table), result.rows.get(table)
        if before != now:
            result.findings.append(f"{table}: {now} rows, and {before} were backed up")
    try:
        # 2.
        migrate(url)
        # 3.
        store = open_store(url, settings.model_copy(update={"statement_timeout_ms": LONG_MS}), root)
    except Problem as problem:
        result.findings.append(str(problem))
        return result
    try:
        with store.transaction() as transaction:
            _open_samples(transaction, result)
        # 4.
        _verify_log(store, result)
    finally:
        store.close()
    return result


def _split(chunks: Iterator[bytes]) -> tuple[Contents, Iterator[bytes]]:
    """What stands before the dump, and the dump."""
    first = next(chunks)
    length = int.from_bytes(first[:LENGTH_BYTES], "big")
    if length > min(MOST_CONTENTS_BYTES, len(first) - LENGTH_BYTES):
        raise SealBroken("the backup's contents are malformed")
    try:
        contents = msgspec.json.decode(first[LENGTH_BYTES : LENGTH_BYTES + length], type=Contents)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise SealBroken("the backup's contents are malformed") from None
    return contents, chain([first[LENGTH_BYTES + length :]], chunks)


def _counted(url: str) -> dict[str, int]:
    connection = connect(url)
    try:
        with connection.cursor() as cursor:
            return counted(cursor)
    finally:
        connection.close()


def _open_samples(transaction: Transaction, result: Examination) -> None:
    """Rows of every sealed table, data keys, all secrets of the hub: how many opened, and where one did not."""
    for table in SEALED:
        sql = SAMPLE.format(columns=COLUMNS, table=table)
        rows = transaction.rows(sql, (result.header.number, SAMPLE_ROWS))
        _note(result, table, len(rows), partial(opened_versions, transaction, rows))
    rows = transaction.rows(KEYS, (result.header.made_at, SAMPLE_KEYS))
    _note(result, "data_key", len(rows), partial(_unwrap, transaction, rows))
    for place in PLACES:
        rows = transaction.rows(
            f"SELECT {place.row}::text, {place.column} FROM {place.table} WHERE length({place.column}) > 0"  # noqa: S608
        )
        _note(
            result,
            f"{place.table}.{place.column}",
            len(rows),
            partial(_open_secrets, transaction, place, rows),
        )


def _unwrap(transaction: Transaction, rows: list[tuple[Any, ...]]) -> None:
    for compartment, version, wrapped in rows:
        transaction.crypto.cipher(compartment, version, bytes(wrapped))


def _open_secrets(transaction: Transaction, place: SealedPlace, rows: list[tuple[Any, ...]]) -> None:
    for row, sealed in rows:
        place.open(transaction, row, bytes(sealed))


def _note(result: Examination, what: str, number: int, act: Callable[[], object]) -> None:
    try:
        act()
    except (SealBroken, KeyDestroyed) as broken:
        result.findings.append(f"{what}: {broken}")
    else:
        result.opened[what] = number


def _verify_log(store: Store, result: Examination) -> None:
    header = result.header
    with store.transaction() as transaction:
        found = verify_log(transaction)
        head = transaction.rows(HEAD, (header.log_size,))
    result.events = found.events
    result.findings += found.findings
    if found.events != header.log_size or (header.log_size and (not head or head[0][0] != header.log_head)):
        result.findings.append(
            f"the log holds {found.events} events, and not the {header.log_size} of the header"
        )
