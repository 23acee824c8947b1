"""Citus stays possible: what has to be true of every table for that, and of what stands in clear."""

from __future__ import annotations

import pytest
from sqlalchemy import PrimaryKeyConstraint, Table, UniqueConstraint

from exchange.store.tables import metadata

TABLES = [pytest.param(table, id=table.name) for table in metadata.sorted_tables]


@pytest.mark.parametrize("table", TABLES)
def test_every_table_says_how_it_would_be_spread(table: Table):
    assert ("distributed_by" in table.info) != bool(table.info.get("reference_table"))


@pytest.mark.parametrize("table", TABLES)
def test_what_is_unique_is_unique_inside_a_compartment(table: Table):
    if "distributed_by" not in table.info:
        return
    assert table.info["distributed_by"] == "compartment"
    assert "compartment" in table.columns
    unique = [set(each.columns.keys()) for each in table.constraints
              if isinstance(each, PrimaryKeyConstraint | UniqueConstraint) and each.columns]  # fmt: skip
    unique += [set(each.columns.keys()) for each in table.indexes if each.unique]
    assert all("compartment" in columns for columns in unique)


@pytest.mark.parametrize("table", TABLES)
def test_no_foreign_key_and_no_shared_sequence(table: Table):
    assert not table.foreign_keys
    for column in table.columns:
        assert column.identity is None
        assert column.autoincrement is not True


@pytest.mark.parametrize("table", TABLES)
def test_every_table_has_a_comment(table: Table):
    assert table.comment
