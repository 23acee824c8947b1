"""Connections and transactions: as many as a process has threads, bounded waits, few round trips.

Spec:    https://www.postgresql.org/docs/15/runtime-config-client.html (time-outs); docs/decisions/0003-blocking-calls.md.
Leaves:  when a transaction begins and commits to perform; SQL to the other files of this room.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import psycopg2
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from psycopg2 import errors
from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import NullPool

from exchange.crypto.hub_crypto import HubCrypto
from exchange.problems import Conflict, Problem, TooCostly, Unavailable
from exchange.settings import Settings
from exchange.store.data_keys import DataKeys
from exchange.store.patient_ids import PatientIds

MOST_PREPARED: Final = 60
_PARAMETER: Final = re.compile(r"%\((\w+)\)s")

Row = tuple[Any, ...]
Parameters = Mapping[str, Any] | Sequence[Any] | None

RETRIED: Final = (errors.SerializationFailure, errors.DeadlockDetected, errors.UniqueViolation)
"""What a second try may cure: two writers met."""


class Connection:
    """One connection to the database, and the statements that it keeps planned."""

    __slots__ = ("driver", "statements")

    def __init__(self, engine: Engine) -> None:
        fairy = engine.raw_connection()
        driver: Any = fairy.driver_connection
        fairy.detach()
        driver.autocommit = True  # BEGIN and COMMIT travel with statements
        self.driver = driver
        self.statements: dict[str, str] = {}


class Transaction:
    """One open transaction. BEGIN travels with its first statement, COMMIT with its last where it can."""

    def __init__(self, connection: Connection, store: Store) -> None:
        self._cursor = connection.driver.cursor()
        self._statements = connection.statements
        self._prefix = "BEGIN; "
        self.store = store
        self.crypto = store.crypto
        self.made_keys: dict[int, AESGCM] = {}
        """Data keys that this transaction made: nobody else may use them before the commit."""
        self.now = time.time_ns() // 1000
        """The instant of this transaction. Units: microseconds since 1970 UTC."""

    def rows(self, sql: str, parameters: Parameters = None) -> list[Row]:
        """Run a statement and fetch all that it returns."""
        self._execute(sql, parameters)
        found: list[Row] = self._cursor.fetchall()
        return found

    def prepared(self, sql: str, parameters: Mapping[str, Any]) -> list[Row]:
        """Run a hot statement that this connection keeps planned: planning costs more than running it.

        The text must be one of few: each one is kept for the connection's life.
        """
        return self.rows(self._prepare(sql), parameters)

    def finish_prepared(self, sql: str, parameters: Mapping[str, Any]) -> None:
        """Run a hot last statement and commit, in one round trip."""
        self.finish(self._prepare(sql), parameters)

    def run(self, sql: str, parameters: Parameters = None) -> int:
        """Run a statement that returns nothing; the number of rows that it touched."""
        self._execute(sql, parameters)
        count: int = self._cursor.rowcount
        return count

    def copy(self, table: str, columns: str, text: Any) -> None:
        """COPY rows in text format into a table."""
        if self._prefix:
            self._execute("SELECT", None)
        self._cursor.copy_expert(f"COPY {table} ({columns}) FROM STDIN", text)

    def copied(self, sql: str) -> bytes:
        """What a query returns, as COPY writes it in binary form: for reading much. `sql` holds no caller's text.

        Spec: https://www.postgresql.org/docs/15/sql-copy.html, "Binary Format"
        """
        if self._prefix:
            self._execute("SELECT", None)
        parts = io.BytesIO()
        self._cursor.copy_expert(f"COPY ({sql}) TO STDOUT (FORMAT binary)", parts)
        return parts.getvalue()

    def finish(self, sql: str, parameters: Parameters = None) -> None:
        """Run a last statement and commit, in one round trip."""
        self._execute(sql + "; COMMIT", parameters)
        self._prefix = "BEGIN; "

    def commit(self) -> None:
        """Commit, where anything was begun."""
        if not self._prefix:
            self._cursor.execute("COMMIT")
            self._prefix = "BEGIN; "

    def rollback(self) -> None:
        """Undo, where anything was begun."""
        if not self._prefix:
            self._cursor.execute("ROLLBACK")
            self._prefix = "BEGIN; "

    def _prepare(self, sql: str) -> str:
        """The call of a statement that is kept planned; the statement itself where too many are kept."""
        statement = self._statements.get(sql)
        if statement is None:
            if len(self._statements) >= MOST_PREPARED:
                return sql
            names = tuple(dict.fromkeys(_PARAMETER.findall(sql)))
            numbered = _PARAMETER.sub(lambda found: f"${names.index(found.group(1)) + 1}", sql)
            label = f"hot{len(self._statements)}"
            self._execute(f"PREPARE {label} AS {numbered}", None)
            arguments = ", ".join(f"%({name})s" for name in names)
            statement = self._statements[sql] = f"EXECUTE {label} ({arguments})"
        return statement

    def _execute(self, sql: str, parameters: Parameters) -> None:
        prefix, self._prefix = self._prefix, ""
        self._cursor.execute(prefix + sql, parameters)


class Store:
    """The database of one hub process, with the cryptography that opens it."""

    def __init__(self, engine: Engine, crypto: HubCrypto) -> None:
        self.engine = engine
        self.crypto = crypto
        self.data_keys = DataKeys(crypto)
        self.patient_ids = PatientIds()
        self.audit_tokens: dict[bytes, frozenset[int]] = {}
        self._idle: list[Connection] = []

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A transaction that the caller commits; leaving without commit undoes it.

        Raises: Unavailable - the database does not answer; TooCostly - a statement ran into its time-out;
                Conflict - a lock was not had in time. The errors in RETRIED pass as they are.
        """
        connection = self._connection()
        transaction = Transaction(connection, self)
        try:
            yield transaction
            transaction.rollback()
        except psycopg2.Error as error:
            _undo(transaction, connection)
            if isinstance(error, RETRIED):
                raise
            raise _problem(error) from None
        except BaseException:
            _undo(transaction, connection)
            raise
        finally:
            if not connection.driver.closed:
                self._idle.append(connection)

    def _connection(self) -> Connection:
        """A connection that nobody uses. There are never more than threads: each has one act at a time."""
        try:
            return self._idle.pop()
        except IndexError:
            pass
        try:
            return Connection(self.engine)
        except Exception as error:
            raise Unavailable("the database does not answer") from error

    def close(self) -> None:
        """Close every connection that is not in use."""
        while self._idle:
            self._idle.pop().driver.close()
        self.engine.dispose()


def make_engine(url: str, settings: Settings) -> Engine:
    """What makes connections. The store keeps those that it has: checking them in and out of a pool costs more."""
    timeouts = (
        f"-c statement_timeout={settings.statement_timeout_ms} -c lock_timeout={settings.lock_timeout_ms} "
        f"-c idle_in_transaction_session_timeout={settings.idle_in_transaction_timeout_ms} -c timezone=UTC"
        # Statements that are kept planned are few, and good whatever they are asked: planning costs more than running.
        " -c plan_cache_mode=force_generic_plan"
    )
    return create_engine(
        url,
        poolclass=NullPool,
        connect_args={"options": timeouts, "connect_timeout": 5, "application_name": "chasqui"},
    )


def _undo(transaction: Transaction, connection: Connection) -> None:
    try:
        transaction.rollback()
    except psycopg2.Error:
        connection.driver.close()


def _problem(error: psycopg2.Error) -> Problem:
    """The problem that a driver's error means. Its text may quote values, so it is not passed on."""
    if isinstance(error, errors.QueryCanceled):
        return TooCostly("the request took longer than this hub allows")
    if isinstance(error, errors.LockNotAvailable):
        return Conflict("another request holds what this one needs; try again")
    # A server that dies in mid statement refuses nothing: the driver then says neither a state nor a kind.
    is_silent = type(error) is psycopg2.DatabaseError
    if is_silent or isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError):
        return Unavailable("the database does not answer")
    return Problem("the database refused the statement")
