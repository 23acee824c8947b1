import calendar
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.fhir.datatype import (
    DAY,
    LIMA,
    MAX_INSTANT,
    MIN_INSTANT,
    SECOND,
    Reference,
    date_range,
    fold,
    parse_reference,
    period_range,
    timing_range,
)


def micros(*parts, zone=UTC):
    return (datetime(*parts, tzinfo=zone) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("text", "low", "after"),
    [
        ("2024", (2024, 1, 1), (2025, 1, 1)),
        ("1900", (1900, 1, 1), (1901, 1, 1)),
        ("2024-02", (2024, 2, 1), (2024, 3, 1)),
        ("2023-02", (2023, 2, 1), (2023, 3, 1)),
        ("2024-12", (2024, 12, 1), (2025, 1, 1)),
        ("2024-04", (2024, 4, 1), (2024, 5, 1)),
        ("2024-02-29", (2024, 2, 29), (2024, 3, 1)),
        ("2024-02-29T23:59", (2024, 2, 29, 23, 59), (2024, 3, 1)),
        ("2024-02-29T23:59:59", (2024, 2, 29, 23, 59, 59), (2024, 3, 1)),
        ("2024-02-29T10:00:00.12", (2024, 2, 29, 10, 0, 0, 120000), (2024, 2, 29, 10, 0, 0, 130000)),
        ("2016-12-31T23:59:60", (2017, 1, 1), (2017, 1, 1, 0, 0, 1)),
    ],
)
def test_a_value_without_zone_covers_its_precision_in_the_zone_given(text, low, after):
    assert date_range(text, LIMA) == (micros(*low, zone=LIMA), micros(*after, zone=LIMA) - 1)
    assert date_range(text, ZoneInfo("UTC")) == (micros(*low), micros(*after) - 1)


def test_lima_is_five_hours_behind():
    assert date_range("2024-05-01")[0] == micros(2024, 5, 1, 5)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2024-05-01T10:00:00Z", (2024, 5, 1, 10)),
        ("2024-05-01T10:00:00-05:00", (2024, 5, 1, 15)),
        ("2024-05-01T10:00:00+14:00", (2024, 4, 30, 20)),
        ("2024-05-01T10:00:00+05:30", (2024, 5, 1, 4, 30)),
    ],
)
def test_a_stated_zone_wins(text, instant):
    assert date_range(text, LIMA) == (micros(*instant), micros(*instant) + SECOND - 1)


def test_fractions_finer_than_a_microsecond_are_one_microsecond():
    low, high = date_range("2024-05-01T10:00:00.1234569Z")
    assert low == high == micros(2024, 5, 1, 10, 0, 0, 123456)


def test_the_calendar_ends_without_an_error():
    utc = ZoneInfo("UTC")
    for text in ("9999", "9999-12", "9999-12-31"):
        assert date_range(text, utc)[1] == MAX_INSTANT
    assert date_range("0001", utc)[0] == MIN_INSTANT
    assert date_range("0001-01-01T00:00:00+14:00")[0] < MIN_INSTANT


@pytest.mark.parametrize(
    "text",
    [
        "",
        "24",
        "0000",
        "2024-13",
        "2024-00",
        "2024-01-00",
        "2024-02-30",
        "2023-02-29",
        "2024-1-1",
        "2024-05-01T",
        "2024-05-01T10",
        "2024-05-01T24:00:00Z",
        "2024-05-01T10:60:00Z",
        "2024-05-01T10:00:61Z",
        "2024-05-01T10:00:00.Z",
        "2024-05-01T10:00:00+15:00",
        "2024-05-01T10:00:00+0500",
        "2024-05-01 10:00:00Z",
        "2024-05-01Z",
        "2024-05-01\n",
        "٢٠٢٤",
        "20240501",
        "2024-05-01T10:00:00." + "1" * 100_000 + "Z",
    ],
)
def test_what_is_no_date_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        date_range(text)


@given(st.integers(1, 9999), st.integers(1, 12))
def test_a_year_is_its_months_and_a_month_its_days(year, month):
    utc = ZoneInfo("UTC")
    last = calendar.monthrange(year, month)[1]
    low, high = date_range(f"{year:04}-{month:02}", utc)
    assert low == date_range(f"{year:04}-{month:02}-01", utc)[0]
    assert high == date_range(f"{year:04}-{month:02}-{last:02}", utc)[1]
    assert high - low + 1 == last * DAY
    assert date_range(f"{year:04}", utc)[1] == date_range(f"{year:04}-12", utc)[1]


@given(
    st.datetimes(
        min_value=datetime(2, 1, 1),  # noqa: DTZ001
        max_value=datetime(9998, 1, 1),  # noqa: DTZ001
        timezones=st.sampled_from([UTC, timezone(timedelta(hours=-5)), timezone(timedelta(minutes=345))]),
    )
)
def test_instants_agree_with_datetime(moment):
    low, high = date_range(moment.isoformat(timespec="microseconds"))
    assert low == high == (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def test_periods_are_open_where_nothing_is_said():
    low, high = date_range("2024")
    assert period_range({"start": "2024"}) == (low, MAX_INSTANT)
    assert period_range({"end": "2024"}) == (MIN_INSTANT, high)
    assert period_range({"start": "2024-01", "end": "2024"}) == (low, high)
    with pytest.raises(ValueError, match="not a FHIR date"):
        period_range({"start": "soon"})


def test_a_timing_spans_events_and_bounds():
    assert timing_range({"event": ["2024-03", "2024-01"]}) == (
        date_range("2024-01")[0],
        date_range("2024-03")[1],
    )
    assert timing_range({"repeat": {"boundsPeriod": {"start": "2024"}}}) == (
        date_range("2024")[0],
        MAX_INSTANT,
    )
    assert timing_range({"repeat": {"frequency": 1}}) is None
    assert timing_range({}) is None


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Ñahui  Quispe", "nahui quispe"),
        ("  MUÑOZ\tPérez\n", "munoz perez"),
        ("Müller", "muller"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("José", "jose"),
        ("\u00a0a\u2003b", "a b"),
        ("", ""),
        ("ﬁ", "fi"),
    ],
)
def test_fold(text, folded):
    assert fold(text) == folded


@given(st.text())
def test_folding_twice_is_folding_once(text):
    assert fold(fold(text)) == fold(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Patient/1", Reference("Patient/1", "Patient", "1")),
        ("Patient/1/_history/2", Reference("Patient/1", "Patient", "1", "2")),
        (
            "https://a.pe/fhir/Patient/1",
            Reference("https://a.pe/fhir/Patient/1", "Patient", "1", None, "https://a.pe/fhir"),
        ),
        (
            "http://a.pe/Patient/1/_history/3",
            Reference("http://a.pe/Patient/1", "Patient", "1", "3", "http://a.pe"),
        ),
        ("#p", Reference("", fragment="p")),
        ("#", Reference("", fragment="")),
        (
            "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0",
            Reference("urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"),
        ),
        ("urn:oid:1.2.3", Reference("urn:oid:1.2.3")),
        (
            "http://a.pe/ValueSet/v|1.0#x",
            Reference("http://a.pe/ValueSet/v", "ValueSet", "v", "1.0", "http://a.pe", "x"),
        ),
        ("http://a.pe/other|2", Reference("http://a.pe/other", version="2")),
        ("patient/1", Reference("patient/1")),
        ("Nonsense/1", Reference("Nonsense/1")),
        ("Patient/", Reference("Patient/")),
        ("Patient/a b", Reference("Patient/a b")),
        ("Patient/" + "a" * 65, Reference("Patient/" + "a" * 65)),
        ("Patient?identifier=1", Reference("Patient?identifier=1")),
        ("Patient/1\n", Reference("Patient/1\n")),
        ("", Reference("")),
    ],
)
def test_references(text, expected):
    assert parse_reference(text) == expected


def test_reference_questions():
    assert parse_reference("#p").is_contained
    assert not parse_reference("Patient/1#p").is_contained
    assert parse_reference("Patient/1").is_relative
    assert not parse_reference("http://a.pe/Patient/1").is_relative
    assert parse_reference("http://a.pe/Patient/1/_history/3").local == "Patient/1"
    assert parse_reference("urn:oid:1.2").local is None


@given(st.text())
def test_any_text_is_some_reference(text):
    assert parse_reference(text).url in text
