"""The number of a transaction as rows keep it: the server's own, and what a restored hub adds to it.

Spec:    https://www.postgresql.org/docs/15/functions-info.html, table 9.80; docs/decisions/0004-postgresql-only.md.
Leaves:  what is held back until older transactions are over to those who read.

A new cluster counts its transactions from the beginning, and rows that were restored into it bear higher numbers. So the
number, the horizon and the snapshot are functions of the database, with what has to be added written into them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from exchange.store.session import Transaction

NUMBER: Final = "transaction_number()"
"""Of the transaction that asks. Every one that has written before has a lower number."""
HORIZON: Final = "transaction_horizon()"
"""Of the oldest transaction that runs: what is below it is over."""
SNAPSHOT: Final = "transaction_snapshot()"
"""What a statement sees, as text that PostgreSQL reads as a pg_snapshot."""
OWN_NUMBER: Final = f"SELECT {NUMBER}"
OLDEST_RUNNING: Final = f"SELECT {HORIZON}"

FUNCTIONS: Final = """
CREATE OR REPLACE FUNCTION transaction_number() RETURNS bigint LANGUAGE sql STABLE AS
  'SELECT pg_current_xact_id()::text::bigint + {added}';
CREATE OR REPLACE FUNCTION transaction_horizon() RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE AS
  'SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint + {added}';
CREATE OR REPLACE FUNCTION transaction_snapshot() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS
  'SELECT {snapshot}'"""
OWN_SNAPSHOT: Final = "pg_current_snapshot()::text"
MOVED_SNAPSHOT: Final = """
  concat_ws('':'', pg_snapshot_xmin(s)::text::bigint + {added}, pg_snapshot_xmax(s)::text::bigint + {added},
    (SELECT coalesce(string_agg((x::text::bigint + {added})::text, '','' ORDER BY x::text::bigint), '''')
     FROM pg_snapshot_xip(s) x)) FROM pg_current_snapshot() s"""

HIGHEST: Final = """
SELECT max(number) FROM (
  SELECT max(transaction) FROM resource UNION ALL SELECT max(transaction) FROM resource_history
  UNION ALL SELECT max(transaction) FROM audit_event UNION ALL SELECT max(transaction) FROM audit_checkpoint
  UNION ALL SELECT max(barrier) FROM custom_parameter UNION ALL SELECT max(barrier) FROM policy_version) kept (number)"""

# A row's number is below that of any transaction that begins now, unless it came from another cluster.
IS_BEHIND: Final = f"""
SELECT coalesce(({HIGHEST}) >= split_part({SNAPSHOT}, ':', 2)::bigint, false)"""

OWN_HORIZON: Final = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"


def is_behind(transaction: Transaction) -> bool:
    """Whether rows bear numbers that this cluster has yet to give: nothing new would be sealed or listed."""
    return bool(transaction.rows(IS_BEHIND)[0][0])


def go_on(transaction: Transaction) -> None:
    """Go on counting above every number that a row bears. The caller commits.

    The hub must not serve meanwhile: no row may be written between the look and the commit.
    """
    highest = transaction.rows(HIGHEST)[0][0] or 0
    transaction.run(functions(max(0, highest + 1 - transaction.rows(OWN_HORIZON)[0][0])))


def functions(added: int) -> str:
    """The three functions, with what they add."""
    snapshot = MOVED_SNAPSHOT if added else OWN_SNAPSHOT
    return FUNCTIONS.format(added=int(added), snapshot=snapshot.format(added=int(added)))
