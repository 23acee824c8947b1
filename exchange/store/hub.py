"""Opening a hub's store: keys and dictionaries are read once, when a process starts.

Leaves:  the tables to migrate; where the root key lies to settings.
"""

from __future__ import annotations

from sqlalchemy import Connection, select, text
from sqlalchemy.exc import OperationalError

from exchange.crypto.hub_crypto import HubCrypto, first_dictionary, make_wrapped_keys, open_hub_crypto
from exchange.problems import SealBroken, Unavailable
from exchange.settings import Settings
from exchange.store.data_keys import REGION
from exchange.store.session import Store, make_engine
from exchange.store.tables import data_key, dictionary, hub_key

_PREPARING = 0x6B6579


def prepare_keys(url: str, settings: Settings, root: bytes) -> bool:
    """Make the hub keys that are lacking, and a new hub's region key and first dictionary; whether it was new."""
    engine = make_engine(url, settings)
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:place)"), {"place": _PREPARING})
            known = set(connection.scalars(select(hub_key.c.purpose)))
            wrapped = make_wrapped_keys(root, without=known)
            if wrapped:
                connection.execute(hub_key.insert(), [
                    {"purpose": purpose, "version": version, "wrapped": sealed} for purpose, version, sealed in wrapped
                ])  # fmt: skip
            if known:
                return False
            crypto = open_hub_crypto(root, wrapped, [])
            version, sealed = crypto.new_wrapped_key(REGION)
            connection.execute(
                data_key.insert(), {"compartment": REGION, "wrapping_version": version, "wrapped": sealed}
            )
            connection.execute(
                dictionary.insert(), {"number": 1, "sealed": crypto.seal_dictionary(first_dictionary())}
            )
            return True
    except OperationalError as error:
        raise Unavailable("the database does not answer") from error
    finally:
        engine.dispose()


def open_store(url: str, settings: Settings, root: bytes) -> Store:
    """The store of a prepared hub. Raises: SealBroken - no keys here, or another root's; Unavailable."""
    engine = make_engine(url, settings)
    try:
        with engine.connect() as connection:
            crypto = _read_crypto(connection, root)
    except OperationalError as error:
        raise Unavailable("the database does not answer") from error
    return Store(engine, crypto)


def _read_crypto(connection: Connection, root: bytes) -> HubCrypto:
    wrapped = [(row.purpose, row.version, bytes(row.wrapped)) for row in connection.execute(select(hub_key))]
    if not wrapped:
        raise SealBroken("the database holds no hub keys; run 'exchange migrate' first")
    sealed = [(row.number, bytes(row.sealed)) for row in connection.execute(select(dictionary))]
    return open_hub_crypto(root, wrapped, sealed)
