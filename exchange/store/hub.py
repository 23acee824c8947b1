"""Opening a hub's store: keys and dictionaries are read once, when a process starts.

Leaves:  the tables to migrate; where the root lies to crypto/roots; versions that come later to hub_keys.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial

from sqlalchemy import Connection, select, text
from sqlalchemy.exc import OperationalError

from exchange.crypto.hub_crypto import HubCrypto, first_dictionary, make_hub_keys, open_hub_crypto
from exchange.crypto.roots.provider import Root
from exchange.problems import SealBroken, Unavailable
from exchange.settings import Settings
from exchange.store.data_keys import REGION
from exchange.store.hub_keys import READ, hub_key_of, reread
from exchange.store.session import Store, make_engine
from exchange.store.tables import data_key, dictionary, hub_key

_PREPARING = 0x6B6579
_NOW = text("SELECT (extract(epoch FROM now()) * 1000000)::bigint")


def prepare_keys(url: str, settings: Settings, root: Root) -> bool:
    """Make the hub keys that are lacking, and a new hub's region key and first dictionary; whether it was new.

    A root without any key gets its first version here, where no key of a hub hangs on another one.
    """
    engine = make_engine(url, settings)
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:place)"), {"place": _PREPARING})
            known = set(connection.scalars(select(hub_key.c.purpose)))
            if not known and root.newest() == 0:
                root.rotate()
            made = make_hub_keys(root, without=known)
            if made:
                now = connection.scalar(_NOW)
                connection.execute(hub_key.insert(), [asdict(each) | {"made_at": now} for each in made])
            if known:
                return False
            crypto = open_hub_crypto(root, made, [])
            version, sealed = crypto.new_wrapped_key(REGION)
            connection.execute(
                data_key.insert(), {"compartment": REGION, "wrapping_version": version, "wrapped": sealed}
            )
            connection.execute(
                dictionary.insert(), {"number": 1, "sealed": crypto.seal_dictionary(first_dictionary(), 1)}
            )
            return True
    except OperationalError as error:
        raise Unavailable("the database does not answer") from error
    finally:
        engine.dispose()


def open_store(url: str, settings: Settings, root: Root) -> Store:
    """The store of a prepared hub. Raises: SealBroken - no keys here, or another root's; Unavailable."""
    engine = make_engine(url, settings)
    try:
        with engine.connect() as connection:
            crypto = _read_crypto(connection, root)
    except OperationalError as error:
        raise Unavailable("the database does not answer") from error
    store = Store(engine, crypto)
    crypto.watch(partial(reread, store))
    return store


def _read_crypto(connection: Connection, root: Root) -> HubCrypto:
    keys = [hub_key_of(row) for row in connection.execute(text(READ))]
    if not keys:
        raise SealBroken("the database holds no hub keys; run 'exchange migrate' first")
    sealed = [(row.number, bytes(row.sealed)) for row in connection.execute(select(dictionary))]
    return open_hub_crypto(root, keys, sealed)
