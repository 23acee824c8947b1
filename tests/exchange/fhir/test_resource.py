import contextlib
import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.fhir.resource import dump, parse, pretty
from exchange.problems import Malformed, Problem, TooCostly

SECRET = "QuispeMamani"


def basic(body: str) -> bytes:
    return f'{{"resourceType":"Basic",{body}}}'.encode()


@pytest.mark.parametrize(
    "number",
    ["1.10", "0.0", "-0.0", "100.000", "1", "0", "9007199254740993", "123456789012345678901234567890"],
)
def test_numbers_keep_their_digits(number):
    text = basic(f'"x":{number}')
    assert dump(parse(text)) == text


@pytest.mark.parametrize("number", ["1e5", "1.0e-7", "0.00000001", "12E3", "1E+5"])
def test_exponents_keep_value_and_precision(number):
    value = json.loads(dump(parse(basic(f'"x":{number}'))), parse_float=Decimal, parse_int=Decimal)["x"]
    assert (value, value.as_tuple()) == (Decimal(number), Decimal(number).as_tuple())


@pytest.mark.parametrize(
    "number",
    ["1e400000", "1E-400000", "1e99999999999999999999", "1" * 5000, "0." + "1" * 500, "1e+000000000009"],
)
def test_absurd_numbers_are_refused(number):
    with pytest.raises(Malformed):
        parse(basic(f'"x":{number}'))


@pytest.mark.parametrize(
    "body",
    [
        f'"a":1,"a":"{SECRET}"',
        f'"a" : 1,"a" :"{SECRET}"',
        f'"a":{{"b":1,"b":"{SECRET}"}}',
        f'"a":":x","\\u0061":"{SECRET}"',
        f'"a":"\\\\","a":"{SECRET}"',
        f'"a":"\\"b\\":1","a":"{SECRET}"',
        f'"a":[{{"b":":"}},{{"b":1,"b":"{SECRET}"}}]',
    ],
)
def test_duplicate_properties_are_refused_however_spelled(body):
    with pytest.raises(Malformed, match="twice") as refusal:
        parse(basic(body))
    assert SECRET not in str(refusal.value.issues)


@pytest.mark.parametrize("text", [":", '":', '\\":', "\\\\", '{"a":1}', "a:b", '\\"a\\":', "[{"])
def test_strings_that_look_like_structure_are_no_duplicates(text):
    resource = {"resourceType": "Basic", "a": text, "b": {"a": text, text: text}}
    assert parse(json.dumps(resource).encode()) == resource


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"x"',
        b'{"a":1}',
        b'{"resourceType":1}',
        b'{"resourceType":"QuispeMamani"}',
        b'{"resourceType":"Resource"}',
        b'{"resourceType":"SubscriptionStatus"}',
        basic('"x":NaN'),
        basic('"x":Infinity'),
        basic('"x":-Infinity'),
        basic('"x":01'),
        basic('"x":"QuispeMamani\x01"'),
        basic('"x":"QuispeMamani\\u0000"'),
        basic('"x":"QuispeMamani\\ud800"'),
        basic('"x":"\\ud800\\u0041"'),
        basic('"x":"\\udc00"'),
        basic('"x":1') + b"QuispeMamani",
        basic("'x':1"),
        basic('"x":1,'),
        basic('"x":/* */1'),
        b'{"resourceType":"Basic","x":"\xff"}',
        b'{"resourceType":"Basic","x":"\xed\xa0\x80"}',
        b'{"resourceType":"Basic","x":"\xc0\x80"}',
        '{"resourceType":"Basic"}'.encode("utf-16"),
    ],
)
def test_what_is_no_fhir_json_is_refused_without_repeating_it(text):
    with pytest.raises(Malformed) as refusal:
        parse(text)
    assert SECRET not in str(refusal.value.issues)


def test_an_escaped_backslash_before_u0000_is_no_nul():
    assert parse(basic(r'"x":"\\u0000"'))["x"] == "\\u0000"


def test_a_byte_order_mark_is_dropped():
    assert parse(b"\xef\xbb\xbf" + basic('"x":1')) == {"resourceType": "Basic", "x": 1}


def test_depth_is_bounded():
    def nested(levels):
        return basic('"x":' + "[" * levels + "]" * levels)

    assert parse(nested(63))
    for levels in (64, 1000, 100_000):
        with pytest.raises(TooCostly):
            parse(nested(levels))
    with pytest.raises(TooCostly):
        parse(b'{"a":' * 100_000)
    assert parse(basic('"x":[' + "{}," * 500 + "{}]"))


def test_size_and_node_count_are_bounded():
    with pytest.raises(TooCostly):
        parse(basic('"x":1'), max_bytes=10)
    with pytest.raises(TooCostly):
        parse(basic('"x":[' + "1," * 1_000_001 + "1]"))
    with pytest.raises(TooCostly):
        parse(basic('"x":[' + "[]," * 600_000 + "1]"))


def test_pretty_changes_nothing_but_space():
    text = basic('"x":1.10,"y":["é",1e5]')
    shown = pretty(text)
    assert b"\n" in shown
    assert b"1.10" in shown
    assert parse(shown) == parse(text)


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.decimals(-1000, 1000, places=4) | names,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(names.filter(lambda name: name != "resourceType"), values, max_size=5))
def test_what_is_dumped_parses_to_the_same(body):
    resource = {"resourceType": "Basic", **body}
    assert repr(parse(dump(resource))) == repr(resource)
    assert parse(pretty(dump(resource))) == resource


@given(st.binary(max_size=60) | st.text('{}[]":,\\u0d8 1e', max_size=60).map(str.encode))
def test_any_text_gives_a_resource_or_a_problem(text):
    for candidate in (text, b'{"resourceType":"Basic",' + text):
        with contextlib.suppress(Problem):
            parse(candidate)
