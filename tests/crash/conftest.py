"""One hub for the tests of the checks."""

from tests.passage.conftest import empty, shared_hub  # noqa: F401 - fixtures
