"""Dates against R4's table of prefixes.

Spec: https://hl7.org/fhir/R4/search.html#prefix
"""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.fhir.datatype import date_range
from exchange.problems import NotSupported
from exchange.search.date import PREFIXES, SQL, DateValue, matches, parse, ranges

LIMA = ZoneInfo("America/Lima")
NOW = date_range("2026-06-01T12:00:00-05:00", LIMA)[0]


def found(resource: str, search: str) -> bool:
    low, high = date_range(resource, LIMA)
    return matches(low, high, parse(search, "date", LIMA, NOW))


@pytest.mark.parametrize(
    ("search", "resource", "holds"),
    [
        # The examples of the page: [parameter]=[prefix]2013-01-14 and friends.
        ("eq2013-01-14", "2013-01-14T00:00", True),
        ("eq2013-01-14", "2013-01-14T10:00", True),
        ("eq2013-01-14", "2013-01-15T00:00", False),
        ("eq2013-01-14", "2013", False),
        ("ne2013-01-14", "2013-01-15T00:00", True),
        ("ne2013-01-14", "2013-01-14T00:00", False),
        ("ne2013-01-14", "2013-01-14T10:00", False),
        ("lt2013-01-14T10:00", "2013-01-14", True),
        ("gt2013-01-14T10:00", "2013-01-14", True),
        ("ge2013-03-14", "2013-03-14", True),
        ("ge2013-03-14", "2013-03-13", False),
        ("ge2013-03-14", "2014", True),
        ("le2013-03-14", "2013-03-14", True),
        ("le2013-03-14", "2013-03-15", False),
        ("le2013-03-14", "2013-02", True),
        ("sa2013-03-14", "2013-03-15", True),
        ("sa2013-03-14", "2013-03-14", False),
        ("sa2013-03-14", "2013-03", False),
        ("eb2013-03-14", "2013-03-13", True),
        ("eb2013-03-14", "2013-03-14", False),
        ("eb2013-03-14", "2013-03", False),
        ("ap2026-05-31", "2026-05-31", True),
        ("ap2025-06-01", "2025-07-01", True),
        ("ap2026-05-31", "2020-05-31", False),
        # Precision: what is written decides how wide a value is.
        ("2026", "2026-05-31", True),
        ("2026-05-31", "2026", False),
        ("2026-05-31T08:30:00-05:00", "2026-05-31T13:30:00Z", True),
        ("2026-05-31T08:30:00-05:00", "2026-05-31T08:30:00.250-05:00", True),
        ("gt2026-05-31T08:30:00-05:00", "2026-05-31T08:30:01-05:00", True),
        # A date without a zone is Lima's day, which ends five hours after UTC's.
        ("2026-05-31", "2026-06-01T04:59:59Z", True),
        ("2026-05-31", "2026-06-01T05:00:00Z", False),
        ("2026-05-31", "2026-05-31T04:59:59Z", False),
    ],
)
def test_the_table_of_prefixes(search, resource, holds):
    assert found(resource, search) is holds


@pytest.mark.parametrize(
    ("search", "start", "end", "holds"),
    [
        ("eq2013-03", "2013-03-02", "2013-03-20", True),
        ("eq2013-03", "2013-02-20", "2013-03-20", False),
        ("sa2013-03-14", "2013-03-15", None, True),
        ("sa2013-03-14", "2013-03-13", None, False),
        ("eb2013-03-14", None, "2013-03-13", True),
        ("gt2030", "2013-03-13", None, True),
        ("lt1990", None, "2013-03-13", True),
        ("eq2013", "2013-03-13", None, False),
        ("ge2013-03-13", "2010", "2013-03-14", True),
    ],
)
def test_periods_and_their_open_ends(search, start, end, holds):
    period = {name: value for name, value in (("start", start), ("end", end)) if value}
    [(low, high)] = ranges("Period", period, LIMA)
    assert matches(low, high, parse(search, "date", LIMA, NOW)) is holds


@pytest.mark.parametrize(
    "text", ["", "soon", "2026-13", "2026-02-30", "xx2026", "GE2026", "2026-05-31T25:00Z", "ge", "20260531"]
)
def test_what_is_no_date_is_refused_without_its_value(text):
    with pytest.raises(NotSupported) as caught:
        parse(text, "date", LIMA, NOW)
    assert not text or text not in str(caught.value).replace("ge2026-05-31T08:00:00-05:00", "")


def test_a_broken_date_in_a_resource_has_no_range():
    assert ranges("dateTime", "soon", LIMA) == []
    assert ranges("Period", {"start": "soon"}, LIMA) == []
    assert ranges("Timing", {}, LIMA) == []
    assert ranges("Quantity", {"value": 1}, LIMA) == []


numbers = st.integers(-20, 20)
spans = st.tuples(numbers, numbers).map(lambda pair: (min(pair), max(pair)))


@settings(max_examples=100)
@given(st.lists(spans, min_size=1, max_size=20), spans)
def test_sql_and_memory_agree(store, resources, wanted):
    with store.transaction() as transaction:
        for prefix in PREFIXES:
            sql = SQL[prefix].format(low="t.low", high="t.high")
            rows = transaction.rows(
                f"SELECT {sql} FROM unnest(%(lows)s::bigint[], %(highs)s::bigint[]) WITH ORDINALITY t(low, high, n) ORDER BY n",
                {"lows": [low for low, _ in resources], "highs": [high for _, high in resources], "low": wanted[0], "high": wanted[1]},
            )  # fmt: skip
            value = DateValue(prefix, *wanted)
            assert [row[0] for row in rows] == [matches(low, high, value) for low, high in resources], prefix


@given(spans, spans)
def test_prefixes_are_what_they_say_of_each_other(resource, wanted):
    def holds(prefix: str) -> bool:
        return matches(*resource, DateValue(prefix, *wanted))

    assert holds("ne") != holds("eq")
    assert holds("ge") == (holds("gt") or holds("eq"))
    assert holds("le") == (holds("lt") or holds("eq"))
    assert not (holds("sa") and holds("eb"))
    assert not holds("sa") or holds("gt")
    assert not holds("eb") or holds("lt")
    assert holds("ap") == (not holds("sa") and not holds("eb"))
