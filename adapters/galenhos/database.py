"""The hospital's database, read and never written: an account that cannot write, transactions that may not, and bounds.

Spec:    docs/adapters.md, "GalenHos"; https://docs.sqlalchemy.org/en/21/core/engines.html.
Leaves:  which rows to `reading`.

1. The password is no part of the site file; no text of an error repeats URL, statement or value.
2. The catalogue is asked what the account may do to each mapped table: one that may write is refused.
3. Every read stands in a transaction of its own that may not write, waits for nobody, and ends in time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, NoSuchTableError
from sqlalchemy.pool import NullPool

from adapters.galenhos.column_map import ColumnMap, Entity, Join
from adapters.settings import Fault, SettingsError

_WRITES: Final = ("INSERT", "UPDATE", "DELETE")


class DatabaseUnavailable(OSError):  # noqa: N818 - a state of the source, told to the IT desk
    """The database does not answer, or stopped answering: what was read is kept, the rest is tried again."""

    def __init__(self) -> None:
        super().__init__(0, "la base de datos no responde")


@dataclass(frozen=True, slots=True)
class Access:
    """How a database is spoken to. Units: seconds as the name says."""

    url: str
    password: str
    statement_seconds: int


class Database:
    """One hospital's database."""

    def __init__(self, access: Access) -> None:
        self._seconds = access.statement_seconds
        try:
            url = make_url(access.url)
            if access.password:
                url = url.set(password=access.password)
            self._engine = _engine(url, access.statement_seconds)
        except (ArgumentError, NoSuchModuleError, ImportError, ValueError):
            text_fault = "url de [source] no es válida o falta su controlador: para SQL Server instale chasqui[galenhos]."
            raise SettingsError([Fault("A-142", text_fault)]) from None

    @property
    def kind(self) -> str:
        """The engine's name."""
        return str(self._engine.dialect.name)

    def open(self, column_map: ColumnMap) -> ColumnMap:
        """Refuse an account that may write; give the map with tables and columns as the database spells them.

        Raises: SettingsError - A-143 it may write, A-144 tables or columns are missing; DatabaseUnavailable.
        """
        with self.reading() as connection:
            found, faults = _resolved(connection, column_map)
            if faults:
                raise SettingsError(sorted(faults, key=lambda fault: fault.line or 0))
            _refuse_writer(connection, found)
        return found

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction in which nothing can be written, and which waits for no writer.

        Raises: DatabaseUnavailable.
        """
        try:
            connected = self._engine.connect().execution_options(**_ISOLATION.get(self.kind, {}))
            with connected as connection, connection.begin() as transaction:
                for statement in _settings_of(self.kind, self._seconds):
                    connection.execute(text(statement))
                yield connection
                transaction.rollback()
        except DBAPIError as error:
            if error.connection_invalidated or _is_outage(error):
                raise DatabaseUnavailable from None
            raise

    def snapshot_or_committed(self) -> None:
        """Let SQL Server read a snapshot where the database allows one: readers then hold no locks at all."""
        if self.kind != "mssql":
            return
        with self.reading() as connection:
            allowed = connection.execute(
                text("SELECT snapshot_isolation_state FROM sys.databases WHERE name = DB_NAME()")
            ).scalar()
        if allowed == 1:
            self._engine = self._engine.execution_options(isolation_level="SNAPSHOT")

    def close(self) -> None:
        """Let the connections go."""
        self._engine.dispose()


_ISOLATION: Final[Mapping[str, Mapping[str, Any]]] = {
    "postgresql": {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
}


def _settings_of(kind: str, seconds: int) -> tuple[str, ...]:
    """What each transaction says before it reads: never to win a deadlock, never to wait long for a lock."""
    if kind == "postgresql":
        return (f"SET LOCAL statement_timeout = {seconds * 1000}", "SET LOCAL lock_timeout = 5000")
    if kind == "mssql":
        return ("SET DEADLOCK_PRIORITY LOW", "SET LOCK_TIMEOUT 5000")
    return ()


def _engine(url: URL, seconds: int) -> Engine:
    """An engine without a pool: between two pieces the hospital has its connection back."""
    arguments: dict[str, Any] = {}
    kind = url.get_backend_name()
    is_pymssql = url.get_driver_name() == "pymssql"
    if kind == "mssql":
        # pymssql's time-out is a statement's, pyodbc's that of signing in.
        arguments = {"timeout": seconds, "login_timeout": 15} if is_pymssql else {"timeout": 15}
    elif kind == "postgresql":
        arguments = {"connect_timeout": 15}
    elif kind == "sqlite" and url.database:
        path = url.database.removeprefix("file:")
        url = url.set(database=f"file:{quote(path)}", query={"mode": "ro", "uri": "true"})
    made = create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args=arguments)
    if kind == "mssql" and not is_pymssql:

        @event.listens_for(made, "connect")
        def in_time(connection: Any, _: Any) -> None:
            connection.timeout = seconds

    if kind == "sqlite":

        @event.listens_for(made, "connect")
        def only_read(connection: Any, _: Any) -> None:
            connection.execute("PRAGMA query_only = ON")

    return made


def _is_outage(error: DBAPIError) -> bool:
    """Whether the server, and not a value, is the reason: time-outs, locks, lost and refused connections."""
    return type(error).__name__ in {"OperationalError", "InterfaceError", "InternalError", "TimeoutError"}


def _resolved(connection: Connection, column_map: ColumnMap) -> tuple[ColumnMap, list[Fault]]:
    """Every mapped table and column under its real spelling, and what is missing with the map's line."""
    faults: list[Fault] = []
    known: dict[str, dict[str, str]] = {}

    def columns_of(table: str, line: int) -> dict[str, str] | None:
        if table not in known:
            schema, _, name = table.rpartition(".")
            try:
                listed = inspect(connection).get_columns(name, schema=schema or None)
                known[table] = {str(item["name"]).casefold(): str(item["name"]) for item in listed}
            except NoSuchTableError:
                known[table] = {}
        if not known[table]:
            faults.append(
                Fault(
                    "A-144",
                    f"mapa de columnas: la tabla {table} no existe, o la cuenta no la puede leer",
                    line or None,
                )
            )
            return None
        return known[table]

    def real(there: Mapping[str, str], table: str, column: str, line: int) -> str:
        found = there.get(column.casefold())
        if found is None:
            faults.append(
                Fault(
                    "A-144", f"mapa de columnas: la tabla {table} no tiene la columna {column}", line or None
                )
            )
        return found or column

    found = {}
    for name, entity in column_map.entities.items():
        there = columns_of(entity.table, entity.lines.get(f"{name}.table", entity.line))
        if there is None:
            continue

        def own(column: str, place: str, there: Mapping[str, str] = there, entity: Entity = entity) -> str:
            line = entity.lines.get(place, entity.line)
            return real(there, entity.table, column, line) if column else ""

        joins = []
        for join in entity.joins:
            others = columns_of(join.table, join.line)
            if others is not None:
                joins.append(_resolved_join(join, others, real))
        found[name] = replace(
            entity,
            key=own(entity.key, f"{name}.key"),
            changed_at=own(entity.changed_at, f"{name}.changed_at"),
            parent=own(entity.parent, f"{name}.parent"),
            columns={
                field: own(column, f"{name}.columns.{field}") for field, column in entity.columns.items()
            },
            only={own(column, f"{name}.only"): value for column, value in entity.only.items()},
            joins=tuple(joins),
        )
    return ColumnMap(found), faults


def _resolved_join(join: Join, there: Mapping[str, str], real: Any) -> Join:
    columns = {field: real(there, join.table, column, join.line) for field, column in join.columns.items()}
    return replace(join, key=real(there, join.table, join.key, join.line), columns=columns)


def _refuse_writer(connection: Connection, column_map: ColumnMap) -> None:
    """Ask the catalogue, not the tables: trying a write would be one.

    1. A member of a role that may do everything is refused.
    2. So is whoever may insert, change or delete in a mapped table.
    3. An engine whose catalogue cannot be asked is refused: nobody could say what the account may do.
    Raises: SettingsError - A-143.
    """
    tables = sorted({
        table
        for entity in column_map.entities.values()
        for table in (entity.table, *(join.table for join in entity.joins))
    })  # fmt: skip
    may_write = _MAY_WRITE.get(connection.dialect.name)
    if may_write is None:  # 3.
        what = "solo se puede comprobar que una cuenta no escribe en SQL Server, PostgreSQL y SQLite."
        raise SettingsError([Fault("A-143", what)])
    for table in may_write(connection, tables):
        what = (
            f"la cuenta de la base de datos puede escribir en {table}: el adaptador no la usa."
            " Pida al administrador una cuenta que solo tenga SELECT."
        )
        raise SettingsError([Fault("A-143", what)])


def _mssql_writable(connection: Connection, tables: list[str]) -> Iterator[str]:
    roles = text(
        "SELECT IS_SRVROLEMEMBER('sysadmin'), IS_ROLEMEMBER('db_owner'), IS_ROLEMEMBER('db_datawriter'),"
        " IS_ROLEMEMBER('db_ddladmin'), HAS_PERMS_BY_NAME(DB_NAME(), 'DATABASE', 'CREATE TABLE')"
    )
    if any(connection.execute(roles).one()):  # 1.
        yield "la base de datos"
    asked = text("SELECT HAS_PERMS_BY_NAME(:name, 'OBJECT', :right)")
    for table in tables:  # 2.
        for right in (*_WRITES, "ALTER"):
            if connection.execute(asked, {"name": table, "right": right}).scalar():
                yield table


def _postgresql_writable(connection: Connection, tables: list[str]) -> Iterator[str]:
    if connection.execute(text("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")).scalar():  # 1.
        yield "la base de datos"
    asked = text(
        "SELECT has_table_privilege(CAST(:name AS text), 'INSERT, UPDATE, DELETE, TRUNCATE')"
        " OR has_any_column_privilege(CAST(:name AS text), 'INSERT, UPDATE')"
    )
    quote = connection.dialect.identifier_preparer.quote_identifier
    for table in tables:  # 2.
        name = ".".join(quote(part) for part in table.split("."))
        if connection.execute(asked, {"name": name}).scalar():
            yield table


def _sqlite_writable(connection: Connection, tables: list[str]) -> Iterator[str]:
    """SQLite has no accounts: the connection itself was opened for reading."""
    if not connection.execute(text("PRAGMA query_only")).scalar():
        yield tables[0]


_MAY_WRITE: Final = {
    "mssql": _mssql_writable,
    "postgresql": _postgresql_writable,
    "sqlite": _sqlite_writable,
}
