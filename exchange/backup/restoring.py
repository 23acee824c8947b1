"""Restoring a backup into a database that holds nothing, so that the hub goes on where it was.

Spec:    docs/backup.md, "Restoring".
Leaves:  what shows that it is good to checking; the numbers of transactions to store/transaction_numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from exchange.backup.checking import Examination, examine, load_file, read_whole
from exchange.backup.programs import connect
from exchange.backup.scratch import scratch
from exchange.crypto.roots.choice import open_root
from exchange.hub import open_hub
from exchange.problems import Conflict, SealBroken
from exchange.settings import Settings
from exchange.store.transaction_numbers import go_on

HOLDS: Final = """
SELECT EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
  AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e'))"""


def verify(
    path: Path, settings: Settings, *, server: str | None = None, folder: Path | None = None
) -> Examination:
    """Restore a file into a scratch database and look at it; nothing of it stays.

    Raises: SealBroken - it does not open as a whole; Unavailable - the scratch server or the root does not work.
    """
    root = open_root(settings)
    header, digest = read_whole(path, root)
    with scratch(server, folder) as url:
        contents = load_file(path, root, url)
        result = examine(url, settings, root, header, contents)
    result.digest = digest
    return result


def restore(path: Path, settings: Settings) -> Examination:
    """Restore a file into the database of these settings.

    1. The file opens as a whole, under this root: nothing of a part, or of another hub, reaches the database.
    2. The database holds nothing: nothing is mixed, and nothing is lost.
    3. It is loaded, and held against what it says of itself.
    4. Numbers of transactions go on above those that were loaded: what is written from now on has its place.

    Raises: SealBroken - the file does not open, or what it holds is not whole; Conflict - the database holds something.
    """
    assert settings.database_url is not None
    # 1.
    root = open_root(settings)
    header, digest = read_whole(path, root)
    # 2.
    require_empty(settings.database_url)
    # 3.
    contents = load_file(path, root, settings.database_url)
    result = examine(settings.database_url, settings, root, header, contents)
    result.digest = digest
    if result.findings:
        raise SealBroken("what was restored is not whole, drop it: " + "; ".join(result.findings[:5]))
    # 4.
    hub = open_hub(settings)
    with hub.store.transaction() as transaction:
        go_on(transaction)
        transaction.commit()
    hub.store.close()
    return result


def require_empty(url: str) -> None:
    """Refuse a database in which anything lies. Raises: Conflict, Unavailable."""
    connection = connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute(HOLDS)
            if cursor.fetchone()[0]:
                raise Conflict("the database holds something: restore into a new one")
    finally:
        connection.close()
