"""A hub with something in it, a server for what is restored, and settings whose root lies in a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from exchange.backup.making import make
from exchange.crypto.roots.file import FileRoot
from exchange.hub import Hub
from exchange.settings import Settings
from exchange.store.hub import open_store, prepare_keys
from tests.passage.world import World, patient_of, seal_all
from tests.sample.observation import an_observation
from tests.sample.requester import POST


@dataclass
class BackedUp:
    """A hub, and a folder for its backups."""

    world: World
    settings: Settings
    root: FileRoot
    folder: Path

    @property
    def hub(self) -> Hub:
        return Hub(self.world.database_store, self.world.spine)

    def make(self, name: str = "hub.backup") -> Path:
        path = self.folder / name
        make(self.hub, self.world.url, self.settings, path)
        return path


@pytest.fixture
def hub_of(server, tmp_path):
    """Makes hubs, each with its own root and database."""
    opened, clones = [], []

    def made(name: str = "one") -> BackedUp:
        clone = server.clone()
        url = clone.__enter__()
        clones.append(clone)
        folder = tmp_path / name
        folder.mkdir(mode=0o700)
        chosen = Settings(
            mode="demo", root_key_file=folder / "root.key", database_url=url, data_folder=folder / "data"
        )
        root = FileRoot(folder / "root.key")
        prepare_keys(url, chosen, root)
        store = open_store(url, chosen, root)
        opened.append(store)
        world = World(store, url)
        world.post.store(
            *(patient_of(POST, number) for number in range(1, 4)), an_observation("posta-o1", "posta-p1")
        )
        world.post.put(an_observation("posta-o1", "posta-p1", status="amended"))
        seal_all(world)
        return BackedUp(world, chosen, root, folder)

    yield made
    for store in opened:
        store.close()
    for clone in clones:
        clone.__exit__(None, None, None)


@pytest.fixture
def one(hub_of):
    return hub_of()


@pytest.fixture
def empty_database(server):
    """The URL of a database without tables, dropped afterwards."""
    url = server.empty()
    yield url
    server.drop(url.rsplit("/", 1)[1].partition("?")[0])
