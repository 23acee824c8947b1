import time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.fhir.datatype import date_range
from exchange.fhir.definitions import primitive_patterns
from exchange.fhir.primitive import primitive_test

GOOD = {
    "boolean": [True, False],
    "integer": [0, -1, 2147483647, -2147483648],
    "positiveInt": [1, 2147483647],
    "unsignedInt": [0, 5],
    "decimal": [1, Decimal("1.10"), 1.5, -3],
    "string": ["a", " a ", "línea\nnueva\t\r", "\u00a0", "😀"],
    "markdown": ["# a\n"],
    "code": ["final", "a b"],
    "id": ["a", "A-1.b", "x" * 64],
    "uri": ["http://a", "urn:oid:1.2"],
    "url": ["http://a"],
    "canonical": ["http://a|1"],
    "oid": ["urn:oid:1.2.840"],
    "uuid": ["urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"],
    "date": ["2024", "2024-02", "2024-02-29"],
    "dateTime": ["2024", "2024-05-01", "2024-05-01T10:00:00Z", "2024-05-01T10:00:60.123-05:00"],
    "instant": ["2024-05-01T10:00:00.1Z"],
    "time": ["10:00:00", "23:59:59.9"],
    "base64Binary": ["AAAA", "AA==", "AAA=\n", "AA AA"],
    "xhtml": ['<div xmlns="http://www.w3.org/1999/xhtml">a &lt;script&gt; b</div>', "<div>only on = 5</div>"],
}
BAD = {
    "boolean": ["true", 1, 0, None],
    "integer": ["1", 1.0, Decimal(1), True, 2147483648],
    "positiveInt": [0, -1, True],
    "unsignedInt": [-1, False],
    "decimal": ["1", True, None],
    "string": ["", 5, None, "a\x0bb", "a\x00", "a\x1b", "x" * (1024 * 1024 + 1)],
    "markdown": [""],
    "code": ["", " a", "a ", "a  b", "a\n"],
    "id": ["", "a b", "x" * 65, "a_b", "á", "a\n", 5],
    "uri": ["", "a b", " http://a", 5],
    "url": ["", "a b"],
    "canonical": ["", "a b"],
    "oid": ["1.2.840", "urn:oid:3.1", "urn:oid:1.02"],
    "uuid": ["0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", "urn:uuid:x"],
    "date": ["", "24", "0000", "2024-13", "2024-02-30", "2023-02-29", "2024-05-01T10:00:00Z", "٢٠٢٤", 2024],
    "dateTime": [
        "2024-05-01T10:00",
        "2024-05-01T10:00:00",
        "2024-04-31",
        "2024-04-31T10:00:00Z",
        "2024-05-01T24:00:00Z",
    ],
    "instant": ["2024-05-01", "2024-05-01T10:00:00", "2024-02-30T10:00:00Z"],
    "time": ["10:00", "24:00:00", "10:00:00Z"],
    "base64Binary": ["", "A", "AAA", "=AAA", "AA=A", "A-_A", 5],
    "xhtml": [
        "",
        "text",
        "<p>a</p>",
        "<div><script>x</script></div>",
        "<div><SCRIPT src='x'/></div>",
        "<div><img src='x' onerror='y'/></div>",
        "<div><a href='javascript:x'>y</a></div>",
        "<div><iframe/></div>",
        "<!DOCTYPE x><div>a</div>",
        "<div><!ENTITY x></div>",
        5,
    ],
}


def cases(table):
    return [(name, value) for name, values in table.items() for value in values]


@pytest.mark.parametrize(("name", "value"), cases(GOOD))
def test_good_values_pass(name, value):
    assert primitive_test(name)(value)


@pytest.mark.parametrize(("name", "value"), cases(BAD))
def test_bad_values_fail(name, value):
    assert not primitive_test(name)(value)


def test_every_primitive_of_r4_is_tested_here():
    assert set(GOOD) == set(BAD) == set(primitive_patterns())


@pytest.mark.parametrize("name", sorted(primitive_patterns()))
def test_objects_and_arrays_are_no_primitives(name):
    assert not any(primitive_test(name)(value) for value in ({}, [], {"a": 1}, ["a"], None))


@pytest.mark.parametrize("name", sorted(primitive_patterns()))
@pytest.mark.parametrize(
    "text",
    [
        "A AA " * 40_000 + "!",
        "a " * 100_000 + "  ",
        "<div " * 20_000,
        "<div " * 20_000 + "</div>",
        "1" * 200_000 + "x",
    ],
)
def test_hostile_texts_take_bounded_time(name, text):
    start = time.perf_counter()
    primitive_test(name)(text)
    assert time.perf_counter() - start < 2


@given(st.from_regex(r"[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?", fullmatch=True))
def test_every_valid_date_can_be_indexed(text):
    if primitive_test("date")(text):
        low, high = date_range(text)
        assert low < high
