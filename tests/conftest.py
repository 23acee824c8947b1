"""What every test may ask for: databases, a store with fresh keys, the spine."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

# An operator's settings are not the tests'.
for _name in [each for each in os.environ if each.startswith("EXCHANGE_")]:
    del os.environ[_name]
# Generated searches name more people in an hour than any client may.
os.environ["EXCHANGE_DISTINCT_VALUES_PER_HOUR"] = "0"

from exchange.perform import Spine  # noqa: E402
from exchange.settings import Settings, settings  # noqa: E402
from exchange.store.hub import open_store, prepare_keys  # noqa: E402
from tests.sample.database import a_server  # noqa: E402
from tests.sample.root import RootInMemory  # noqa: E402

hypothesis_settings.register_profile(
    "chasqui", deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
hypothesis_settings.load_profile("chasqui")


@pytest.fixture(scope="session")
def server():
    """The PostgreSQL server of this test process, with a template built by the migrations."""
    with a_server() as made:
        yield made


@pytest.fixture
def database(server):
    """The URL of a migrated, empty database of this test's own."""
    with server.clone() as url:
        yield url


@pytest.fixture
def hub_settings() -> Settings:
    """The settings that the hub has when nothing is set."""
    return settings()


@pytest.fixture
def root_key() -> RootInMemory:
    """A root of this test's own."""
    return RootInMemory()


@pytest.fixture
def store(database, hub_settings, root_key):
    """A prepared hub's store: fresh keys, no resources."""
    prepare_keys(database, hub_settings, root_key)
    opened = open_store(database, hub_settings, root_key)
    yield opened
    opened.close()


@pytest.fixture
def transaction(store):
    """A transaction that is undone."""
    with store.transaction() as opened:
        yield opened


@pytest.fixture
def spine(store) -> Spine:
    """The way into a new hub."""
    return Spine(store)
