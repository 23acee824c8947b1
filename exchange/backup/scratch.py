"""A database for a short while, to load a backup into: gone when the look is over.

Leaves:  what is loaded and looked at to checking.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg2
from psycopg2 import sql
from sqlalchemy import make_url

from exchange.backup.programs import connect
from exchange.embedded import EmbeddedPostgres
from exchange.problems import Unavailable

# What is loaded is thrown away: nothing of it has to survive a crash.
SHORT_LIVED: Final = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
}


@contextmanager
def scratch(server: str | None, folder: Path | None) -> Iterator[str]:
    """The URL of an empty database: on the given server, or on an embedded one in a folder of its own.

    Raises: Unavailable - the server does not let a database be made.
    """
    if server is not None:
        with _on_server(server) as url:
            yield url
        return
    made = Path(tempfile.mkdtemp(prefix="chb", dir=folder))  # short: a Unix socket's path has about 100 bytes
    cluster = EmbeddedPostgres(made, settings=SHORT_LIVED)
    try:
        cluster.start()
        yield cluster.url
    finally:
        cluster.stop("immediate")
        shutil.rmtree(cluster.folder, ignore_errors=True)
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def _on_server(server: str) -> Iterator[str]:
    name = f"chasqui_backup_{secrets.token_hex(8)}"
    _run(server, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        _run(server, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _run(server: str, statement: sql.Composed) -> None:
    connection = connect(server)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
    except psycopg2.Error:
        raise Unavailable("the server does not let a scratch database be made: CREATEDB is needed") from None
    finally:
        connection.close()
