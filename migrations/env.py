"""Alembic's entry point. The caller gives the connection: no file names a database.

Spec:    https://alembic.sqlalchemy.org/en/latest/tutorial.html
Leaves:  locking, the transaction and the connection to exchange/store/migrate.py.
"""

from __future__ import annotations

from alembic import context

from exchange.store.tables import metadata


def run() -> None:
    """Run the asked steps on the caller's connection, each in the caller's transaction."""
    connection = context.config.attributes.get("connection")
    if connection is None:
        raise SystemExit("run 'exchange migrate': alembic alone knows no database here")
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_type=True,
        compare_server_default=True,
    )
    context.run_migrations()


run()
