"""One process's hub: its database, its opened store, its spine.

Leaves:  starting and stopping processes to cli.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from exchange.crypto.root_key import make_demo_root_key, read_root_key
from exchange.embedded import EmbeddedPostgres
from exchange.perform import Spine
from exchange.problems import SealBroken
from exchange.settings import Settings
from exchange.store.hub import open_store, prepare_keys
from exchange.store.migrate import migrate
from exchange.store.session import Store


@dataclass(frozen=True, slots=True)
class Hub:
    """What a process of the hub works with."""

    store: Store
    spine: Spine


def database_url(settings: Settings) -> str:
    """The database that the settings name: their own, or the embedded one's."""
    return settings.database_url or embedded(settings).url


def embedded(settings: Settings) -> EmbeddedPostgres:
    """The embedded PostgreSQL of the data folder."""
    return EmbeddedPostgres(settings.data_folder / "postgres")


def prepare(settings: Settings) -> bool:
    """Start the embedded database where it is used, migrate, make keys; whether the hub is new."""
    if settings.database_url is None:
        embedded(settings).start()
    url = database_url(settings)
    migrate(url)
    if settings.mode == "demo":
        make_demo_root_key(root_key_file(settings))
    return prepare_keys(url, settings, _root(settings))


def open_hub(settings: Settings) -> Hub:
    """Open a prepared hub. Raises: SealBroken - no keys, or the wrong root key; Unavailable."""
    store = open_store(database_url(settings), settings, _root(settings))
    return Hub(store, Spine(store))


def root_key_file(settings: Settings) -> Path:
    """Where the root key lies. Raises: SealBroken - production has no default for a secret."""
    if settings.root_key_file is not None:
        return settings.root_key_file
    if settings.mode == "demo":
        return settings.data_folder / "root.key"
    raise SealBroken("EXCHANGE_ROOT_KEY_FILE is not set, and a production hub has no default for a secret")


def _root(settings: Settings) -> bytes:
    return read_root_key(root_key_file(settings), is_demo=settings.mode == "demo")
