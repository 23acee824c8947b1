"""One process's hub: its database, its opened store, its spine.

Leaves:  starting and stopping processes to cli.
"""

from __future__ import annotations

from dataclasses import dataclass

from exchange.crypto.roots.choice import open_root
from exchange.embedded import EmbeddedPostgres
from exchange.perform import Spine
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
    return prepare_keys(url, settings, open_root(settings))


def open_hub(settings: Settings) -> Hub:
    """Open a prepared hub. Raises: SealBroken - no keys, or the wrong root; Unavailable - database or root is away."""
    store = open_store(database_url(settings), settings, open_root(settings))
    return Hub(store, Spine(store))
