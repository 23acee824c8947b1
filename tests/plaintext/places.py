"""Where bytes stay: the database from inside and from outside, its files, temporary ones too, the logs, what lies beside it.

Leaves:  looking to search. An evidence pack is left out: it is made to be read by whoever it was given to.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg2
from sqlalchemy import make_url

from exchange.embedded import EmbeddedPostgres
from tests.passage.world import World
from tests.plaintext.filling import Left
from tests.plaintext.needles import STAFF
from tests.plaintext.search import Hit

DUMP, TABLES, DATA, LOG_AHEAD = "pg_dump", "tables", "data folder", "write-ahead log"
TEMPORARY, SERVER_LOG, HUB_LOG = "temporary files", "server's log", "hub's log"
OUTBOX, EXPORT, BACKUP = "outbox", "audit export", "backup"
PLACES = (DUMP, TABLES, DATA, LOG_AHEAD, TEMPORARY, SERVER_LOG, HUB_LOG, OUTBOX, EXPORT, BACKUP)
TALKATIVE = {
    "full_page_writes": "on", "wal_compression": "off", "max_wal_size": "4GB", "wal_keep_size": "4GB",
    "work_mem": "64kB", "log_temp_files": "0",
    "log_statement": "all", "log_min_duration_statement": "0", "log_min_messages": "warning",
    "log_min_error_statement": "error", "log_error_verbosity": "default", "log_parameter_max_length": "-1",
    "log_parameter_max_length_on_error": "-1",
}  # fmt: skip
"""A server that says everything that it can: whatever an administrator sets, no more than this lies in its files."""
ACCOUNTS = "account"
PLANNER = "pg_stats WHERE tablename <> 'account'"
_BEFORE_BYTES = 2_000


class Places:
    """The places of one filled hub. `folder` is for what is made to be searched."""

    def __init__(self, world: World, left: Left | None, folder: Path) -> None:
        self.world, self.left, self.folder = world, left, folder
        self.server = Path(str(make_url(world.url).query["host"]))

    @contextmanager
    def files(self, place: str) -> Iterator[list[Path]]:
        """The files of a place, as long as the block lasts."""
        if place == TEMPORARY:
            with self._temporary() as found:
                yield found
            return
        yield (
            self._of_the_server(place)
            if place in (DUMP, TABLES, DATA, LOG_AHEAD, SERVER_LOG)
            else self._beside(place)
        )

    def _of_the_server(self, place: str) -> list[Path]:
        match place:
            case "pg_dump":
                return [self._dumped()]
            case "tables":
                return self._copied()
            case "server's log":
                return [self.server / "postgres.log"]
            case "write-ahead log":
                return _below(self.server / "data" / "pg_wal")
        self._checkpoint()
        return [
            each for each in _below(self.server / "data") if not {"pg_wal", "pgsql_tmp"} & set(each.parts)
        ]

    def _beside(self, place: str) -> list[Path]:
        assert self.left is not None
        match place:
            case "hub's log":
                return list(self.left.hub_logs)
            case "outbox":
                return _below(self.left.outbox)
            case "audit export":
                return [self.left.export]
        return [self.left.backup]

    def _checkpoint(self) -> None:
        with self.world.sql() as cursor:
            cursor.execute("CHECKPOINT")

    def tables(self) -> list[str]:
        with self.world.sql() as cursor:
            cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
            return [row[0] for row in cursor.fetchall()]

    def _copied(self) -> list[Path]:
        """Every table, in both forms of COPY; and what the planner knows of them."""
        made = self.folder / "tables"
        made.mkdir(exist_ok=True)
        with self.world.sql() as cursor:
            told = {each: each for each in self.tables()} | {"pg_stats": PLANNER}
            for name, table in told.items():
                for suffix, form in (("copy", "text"), ("csv", "csv")):
                    with (made / f"{name}.{suffix}").open("wb") as out:
                        cursor.copy_expert(f"COPY (SELECT * FROM {table}) TO STDOUT (FORMAT {form})", out)
        return _below(made)

    def _dumped(self) -> Path:
        url = make_url(self.world.url)
        file = self.folder / "dump.sql"
        with file.open("wb") as out:
            subprocess.run(
                [str(EmbeddedPostgres(self.folder).program("pg_dump")), "-h", str(self.server), "-U", str(url.username), str(url.database)],
                stdout=out, check=True, env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
            )  # fmt: skip
        return file

    @contextmanager
    def _temporary(self) -> Iterator[list[Path]]:
        """What big sorts of whole rows write, while they last: one for each table that does not fit into memory."""
        url = make_url(self.world.url).set(drivername="postgresql").render_as_string(hide_password=False)
        held = []
        try:
            for table in self.tables():
                connection = psycopg2.connect(url)
                cursor = connection.cursor("sorted")
                held.append((connection, cursor))  # with the cursor its files would go
                cursor.itersize = 1
                # Rows of two columns: what a sort of single values wrote is gone once it is merged.
                cursor.execute(f"SELECT t::text AS each, t FROM {table} t ORDER BY each DESC")
                cursor.fetchone()
            yield [each for each in _below(self.server / "data" / "base") if "pgsql_tmp" in each.parts]
        finally:
            for connection, _ in held:
                connection.close()

    def is_allowed(self, place: str, kind: str, hit: Hit) -> bool:
        """Whether a text may stand there: an account bears its person's name, so that an operator finds it.

        Where that is: the table of accounts, its part of a dump, its files and those of what the planner knows, the
        statements that wrote it. In the write-ahead log records of all tables lie side by side.
        """
        if kind != STAFF:
            return False
        match place:
            case "tables":
                return hit.file.stem == ACCOUNTS
            case "write-ahead log":
                return True
            case "data folder":
                return re.split(r"[_.]", hit.file.name)[0] in self._files_of_accounts()
            case "pg_dump":
                return _before(hit, 1 << 20).rpartition(b"\nCOPY ")[2].startswith(b"public.account (")
            case "server's log":
                return b"INSERT INTO account" in _before(hit, _BEFORE_BYTES)
            case "temporary files":
                return False
        return False

    def _files_of_accounts(self) -> set[str]:
        with self.world.sql() as cursor:
            cursor.execute(
                "SELECT pg_relation_filenode(c.oid)::text FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid"
                " WHERE %s::regclass IN (c.oid, i.indrelid)"
                " OR c.oid = 'pg_catalog.pg_statistic'::regclass",
                (ACCOUNTS,),
            )
            return {row[0] for row in cursor.fetchall()}


def _below(folder: Path) -> list[Path]:
    found = []
    for each in sorted(folder.rglob("*")):
        with suppress(FileNotFoundError):
            if each.is_file() and each.stat().st_size:
                found.append(each)
    return found


def _before(hit: Hit, length: int) -> bytes:
    with hit.file.open("rb") as file:
        begin = max(0, hit.offset - length)
        file.seek(begin)
        return file.read(hit.offset - begin)
