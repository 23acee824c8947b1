"""Scopes: SMART v2's form and nothing near it."""

from __future__ import annotations

import pytest

from exchange.requester import Scope, parse_registered_scopes, parse_scope, parse_scopes


@pytest.mark.parametrize("context", ["system", "user", "patient"])
def test_a_scope_is_read_and_written_alike(context):
    scope = parse_scope(f"{context}/Observation.rs")
    assert scope == Scope("Observation", "rs", context)
    assert str(scope) == f"{context}/Observation.rs"


@pytest.mark.parametrize(
    "text",
    ["User/Patient.rs", "users/Patient.rs", "user:Patient.rs", "patient/Patient.read", "patient/*.*", "user/Patient.sr",
     "user/Patient.", "user//Patient.rs", "user/patient.rs", "\uff55ser/Patient.rs", "user/Patient.r\u017f", "/Patient.rs", "Patient.rs",
     "launch/patient", "user/Patient.rs ", ""],
)  # fmt: skip
def test_what_is_nearly_a_scope_is_none(text):
    assert parse_scope(text) is None
    assert parse_scopes(text) is None


@pytest.mark.parametrize(
    "text", ["system/Patient.rs user/Patient.rs", "user/*.rs patient/*.rs", "patient/*.rs system/*.cruds"]
)
def test_a_token_has_one_context_and_a_registration_any(text):
    assert parse_scopes(text) is None
    assert parse_registered_scopes(text) is not None


def test_a_scope_stands_once_and_a_list_is_bounded():
    assert parse_scopes("user/Patient.rs user/Patient.rs") is None
    assert parse_registered_scopes("user/Patient.rs user/Patient.rs") is None
    assert (
        parse_registered_scopes(" ".join(f"user/A{'b' * 60}{'x' * (n % 3)}.rs" for n in range(200))) is None
    )
