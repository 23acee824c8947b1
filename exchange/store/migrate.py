"""Bringing a database to the tables of this release: forward only, one process at a time.

Spec:    https://alembic.sqlalchemy.org/en/latest/api/commands.html; docs/decisions/0004-postgresql-only.md.
Leaves:  the steps to migrations/versions; making keys to hub.

A database that is already there is recognised by one query, without alembic: every start asks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from exchange.problems import Unavailable

FOLDER: Final = Path(__file__).resolve().parents[2] / "migrations"
OLDEST_SERVER: Final = 150_000
LOCK: Final = 0x6D696772617465

HAS_REVISION: Final = text("SELECT to_regclass('alembic_version') IS NOT NULL")
REVISION: Final = text("SELECT version_num FROM alembic_version")
SERVER_VERSION: Final = text("SELECT current_setting('server_version_num')::integer")
TAKE_LOCK: Final = text("SELECT pg_advisory_lock(:lock)")
RELEASE_LOCK: Final = text("SELECT pg_advisory_unlock(:lock)")


def migrate(url: str) -> None:
    """Upgrade the database to the newest revision, if it is not there.

    Raises: Unavailable - no migrations in this installation, no such database, a server that is too old, or a
            database that a newer release has migrated.
    """
    newest = head()
    engine = create_engine(
        url, poolclass=NullPool, connect_args={"connect_timeout": 5, "application_name": "chasqui migrate"}
    )
    try:
        with engine.connect() as connection:
            if _revision(connection) != newest:
                _upgrade(connection)
    except OperationalError:
        raise Unavailable("the database does not answer") from None


def head() -> str:
    """The newest revision of this release: the number that the last file's name starts with."""
    files = sorted((FOLDER / "versions").glob("[0-9][0-9][0-9][0-9]_*.py"))
    if not files:
        raise Unavailable(f"there are no migrations in {FOLDER}: run from a checkout of the repository")
    return files[-1].name[:4]


def _revision(connection: Connection) -> str | None:
    """The database's revision; None when it is new."""
    with connection.begin():
        if not connection.scalar(HAS_REVISION):
            return None
        found: str | None = connection.scalar(REVISION)
        return found


def _upgrade(connection: Connection) -> None:
    """Run what is missing under a lock: of processes that start together, one works and the others wait."""
    # Alembic takes most of a second to import, and a database at its head needs nothing of it.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util.exc import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    with connection.begin():
        if connection.scalar(SERVER_VERSION) < OLDEST_SERVER:
            raise Unavailable("this hub needs PostgreSQL 15 or newer")
        connection.execute(TAKE_LOCK, {"lock": LOCK})
    try:
        with connection.begin():
            command.upgrade(config, "head")
    except CommandError:
        raise Unavailable(
            "the database has a revision that this release does not know: it is newer"
        ) from None
    finally:
        with connection.begin():
            connection.execute(RELEASE_LOCK, {"lock": LOCK})
