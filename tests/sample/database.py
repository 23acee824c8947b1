"""Databases for tests: one cluster a process, a template built by the migrations, a clone for each test that asks."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
from sqlalchemy import URL, make_url

from exchange.embedded import EmbeddedPostgres
from exchange.store.migrate import migrate

# Nothing here outlives the run, so nothing has to survive a crash.
FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "64MB",
             "max_connections": "100", "autovacuum": "off"}  # fmt: skip


class Server:
    """A PostgreSQL server on which tests make and drop databases of their own."""

    def __init__(self, url: URL) -> None:
        self.url = url
        self.prefix = f"chasqui_test_{os.getpid()}_{secrets.token_hex(3)}"
        self.template = f"{self.prefix}_template"
        self.made = 0

    def url_of(self, name: str) -> str:
        """The URL of a database of this server."""
        return self.url.set(database=name).render_as_string(hide_password=False)

    def prepare(self) -> None:
        """Make the template that every test's database is a copy of."""
        self.empty(self.template)
        migrate(self.url_of(self.template))

    def empty(self, name: str = "") -> str:
        """Make a database without tables; its URL."""
        name = name or self._next()
        self._run(f'CREATE DATABASE "{name}"')
        return self.url_of(name)

    @contextmanager
    def clone(self) -> Iterator[str]:
        """The URL of a fresh migrated database, dropped afterwards."""
        name = self._next()
        self._run(f'CREATE DATABASE "{name}" TEMPLATE "{self.template}" STRATEGY file_copy')
        try:
            yield self.url_of(name)
        finally:
            self.drop(name)

    def drop(self, name: str) -> None:
        """Drop a database, whoever is still connected."""
        self._run(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def close(self) -> None:
        """Drop what is left of this run."""
        self.drop(self.template)

    def _next(self) -> str:
        self.made += 1
        return f"{self.prefix}_{self.made}"

    def _run(self, sql: str) -> None:
        url = self.url.set(drivername="postgresql")
        connection = psycopg2.connect(url.render_as_string(hide_password=False))
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql)
        finally:
            connection.close()


@contextmanager
def a_server() -> Iterator[Server]:
    """The server of DATABASE_URL, or an embedded one in a folder that is removed.

    `{process}` in the URL stands for the name of the test process, gw0 or gw1: a server for each, since a transaction
    of any database of a server holds back what others' histories and logs show.
    """
    given = os.environ.get("DATABASE_URL")
    if given:
        yield from _prepared(
            make_url(given.replace("{process}", os.environ.get("PYTEST_XDIST_WORKER", "gw0")))
        )
        return
    with an_embedded_server() as server:
        yield server


@contextmanager
def an_embedded_server(more: dict[str, str] | None = None) -> Iterator[Server]:
    """An embedded server of one's own, in a folder that is removed; `more` are settings of PostgreSQL."""
    folder = Path(tempfile.mkdtemp(prefix="ch"))  # short: the path of a Unix socket has about 100 bytes
    cluster = EmbeddedPostgres(folder, settings=FORGETFUL | (more or {}))
    try:
        with _stopped_with_us(cluster.folder):
            cluster.start()
            yield from _prepared(make_url(cluster.url_of("postgres")))
    finally:
        cluster.stop("immediate")
        shutil.rmtree(cluster.folder, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _stopped_with_us(folder: Path) -> Iterator[None]:
    """Have the cluster stopped and removed even when this process is killed: a pipe that closes tells a shell."""
    script = 'cat; test -f "$0/data/postmaster.pid" && kill -QUIT "$(head -n 1 "$0/data/postmaster.pid")"; rm -rf "$0"'
    with subprocess.Popen(["/bin/sh", "-c", script, str(folder)], stdin=subprocess.PIPE, start_new_session=True,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/"):  # fmt: skip
        yield


def _prepared(url: URL) -> Iterator[Server]:
    server = Server(url)
    try:
        server.prepare()
        yield server
    finally:
        server.close()
