"""A report says what it may say, each element within bounds, and nothing else; nothing of a patient fits into it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.fleet.report import MOST_REPORT_BYTES, kept_report, read_report
from exchange.problems import Malformed, Problem, TooCostly
from tests.sample.adapter import a_report, encoded

WRONG = {
    "a name of its own": {"client": "somebody-else"},
    "a patient": {"patient": "40000001"},
    "no number": {"number": ...},
    "number 0": {"number": 0},
    "number too large": {"number": 2**53 + 1},
    "a truth for a number": {"number": True},
    "a fraction": {"pending": 1.5},
    "below nothing": {"pending": -1},
    "more than fits": {"pending": 2**31},
    "text for a count": {"pending": "12"},
    "no such phase": {"phase": "tired"},
    "a version that is a sentence": {"version": "the newest one"},
    "a version with a line behind": {"version": "0.1.0\n"},
    "a version too long": {"version": "1" * 41},
    "an instant without a zone": {"started_at": "2026-01-02T03:04:05"},
    "a date for an instant": {"started_at": "2026-01-02"},
    "a percentage of 101": {"disk_used_percent": 101},
    "a trouble in words": {"trouble": "Rosa Quispe, 40000001"},
    "a reason of no class": {"quarantine": [{"reason_class": "mood", "code": "A-255", "times": 1}]},
    "a reason with a text": {
        "quarantine": [{"reason_class": "mapping", "code": "A-255", "times": 1, "text": "Rosa"}]
    },
    "too many reasons": {"quarantine": [{"reason_class": "mapping", "code": "A-255", "times": 1}] * 51},
    "too many codes": {"unmapped": [{"table": "lab", "code": "x", "times": 1}] * 21},
    "a code that could be a document": {"unmapped": [{"table": "lab", "code": "40000001", "times": 1}]},
    "a code that holds a document": {"unmapped": [{"table": "lab", "code": "X40000001Y", "times": 1}]},
    "a code that is a name": {"unmapped": [{"table": "lab", "code": "Rosa Quispe", "times": 1}]},
    "a code with a display": {"unmapped": [{"table": "lab", "code": "x", "times": 1, "display": "Rosa"}]},
    "too many days": {"days": [{"day": "2026-01-02", "on_time": 1, "late": 0}] * 32},
    "no day": {"days": [{"day": "2026-13-02", "on_time": 1, "late": 0}]},
    "a null where there is none": {"pending": None},
}


@pytest.mark.parametrize("changed", WRONG.values(), ids=WRONG.keys())
def test_nonsense_is_refused_without_being_repeated(changed):
    with pytest.raises(Malformed) as refused:
        read_report(encoded(a_report(**changed)))
    told = json.dumps([[each.diagnostics, each.expression] for each in refused.value.issues])
    for value in ("Rosa", "40000001", "somebody", "tired", "mood"):
        assert value not in told


def test_the_element_is_named():
    with pytest.raises(Malformed) as refused:
        read_report(encoded(a_report(quarantine=[{"reason_class": "mapping", "code": "?", "times": 1}])))
    assert refused.value.issues[0].expression == "quarantine[0].code"


def test_what_is_too_long_is_not_read():
    with pytest.raises(TooCostly):
        read_report(b" " * (MOST_REPORT_BYTES + 1))
    with pytest.raises(Malformed):
        read_report(b"[" * MOST_REPORT_BYTES)


def test_a_report_that_is_full_fits():
    full = a_report(
        quarantine=[{"reason_class": "validation", "code": f"A-{n:03d}", "times": 2**31 - 1} for n in range(50)],
        unmapped=[{"table": "t" * 40, "code": "c" * 32, "times": 2**31 - 1}] * 20,
        days=[{"day": "2026-01-02", "on_time": 2**31 - 1, "late": 2**31 - 1, "worst_seconds": 2**31 - 1}] * 31,
        trouble="A-303/503", mapping_version="v" * 40,
    )  # fmt: skip
    text = encoded(full)
    assert len(text) < MOST_REPORT_BYTES
    assert kept_report(text) == read_report(text)


@given(st.binary(max_size=400))
def test_any_bytes_are_a_report_or_a_problem(text):
    with pytest.raises(Problem):
        read_report(text)


@given(
    st.dictionaries(
        st.sampled_from(sorted(a_report())),
        st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers()),
    )
)
def test_any_values_are_a_report_or_a_problem(changed):
    try:
        read_report(encoded(a_report(**changed)))
    except Problem:
        return
