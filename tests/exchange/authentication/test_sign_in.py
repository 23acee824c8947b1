"""People sign in: the whole way from the app to the provider and back, over HTTP, and what it is good for."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import timedelta

import jwt
import pytest

from exchange.authentication.account import extend_account, set_account_active
from exchange.authentication.registration import find_client, register
from exchange.requester import parse_registered_scopes
from tests.exchange.authentication.app import (
    BACK,
    Browser,
    an_account,
    an_app,
    bearer,
    descriptions,
    today,
    told,
)
from tests.passage.live_hub import live_hub
from tests.passage.world import patient_of
from tests.sample.requester import HOSPITAL
from tests.simulators.openid_provider import openid_provider

CACHE_SECONDS = 5


@pytest.fixture(scope="module")
def provider():
    with openid_provider() as made:
        yield made


@pytest.fixture(scope="module")
def hub(server, provider):
    with live_hub(server, EXCHANGE_MODE="demo", EXCHANGE_OPENID_ISSUER=provider.issuer) as made:
        yield made


@pytest.fixture
def browser(hub, provider):
    provider.behave()
    made = Browser(hub)
    yield made
    made.close()


def signed_in(browser, provider, app, account, **asked):
    """The tokens of somebody who signed in."""
    back = browser.sign_in(app, provider, account.subject, **asked)
    assert back.status_code == 303
    assert back.headers["location"].startswith(f"{BACK}?")
    return app.redeem(told(back.headers["location"])["code"])


@pytest.mark.parametrize("is_public", [True, False])
def test_a_person_signs_in_and_the_app_reads(hub, provider, browser, is_public):
    app, account = an_app(hub, is_public=is_public), an_account(hub, provider.issuer)
    back = browser.sign_in(app, provider, account.subject)
    brought = told(back.headers["location"])
    assert brought.keys() == {"code", "state", "iss"}
    assert (brought["state"], brought["iss"]) == (app.asked["state"], hub.url)
    granted = app.redeem(brought["code"])
    assert granted.headers["cache-control"] == "no-store"
    assert granted.json().keys() == {"access_token", "token_type", "expires_in", "scope"}
    assert granted.json()["expires_in"] <= 300
    assert hub.http("GET", "/fhir/Organization", headers=bearer(granted)).status_code == 200
    assert "signed in" in " ".join(descriptions(hub))


def test_the_person_and_the_account_s_facility_are_in_the_log(hub, provider, browser):
    app, account = an_app(hub), an_account(hub, provider.issuer, name="Elsa Huamán")
    granted = signed_in(browser, provider, app, account)
    hub.http("GET", "/fhir/Organization", headers=bearer(granted))
    events = [each for each in hub.world.events() if each["subtype"][0]["code"] == "search-type"]
    text = json.dumps(events[-1], ensure_ascii=False)
    assert f"Organization/{account.organization_id}" in text
    assert app.client_id in text
    assert account.account_id in text


def test_a_role_decides_and_no_scope_widens_it(hub, provider, browser):
    clinician, auditor = an_account(hub, provider.issuer), an_account(
        hub, provider.issuer, role="auditor", reference="", organization_id="geresa"
    )  # fmt: skip
    for account, events, charts in ((clinician, 403, 200), (auditor, 200, 403)):
        granted = signed_in(browser, provider, an_app(hub), account, scope="user/*.cruds")
        assert hub.http("GET", "/fhir/AuditEvent", headers=bearer(granted)).status_code == events
        assert hub.http("GET", "/fhir/Condition", headers=bearer(granted)).status_code == charts


def test_a_patient_s_account_takes_patient_scopes_and_owns_nothing_of_a_facility(hub, provider, browser):
    app = an_app(hub)
    patient = an_account(
        hub, provider.issuer, role="patient", reference="Patient/p1", organization_id="", valid_until=None
    )
    granted = signed_in(browser, provider, app, patient, scope="patient/*.rs")
    assert granted.json()["patient"] == "p1"
    body = patient_of(HOSPITAL, 41)
    hub.clients["hospital"].request("PUT", f"Patient/{body['id']}", body=body).raise_for_status()
    clinician = signed_in(browser, provider, app, an_account(hub, provider.issuer), scope="user/*.rs")
    assert hub.http("GET", "/fhir/Patient", headers=bearer(clinician)).json()["total"] > 0
    found = hub.http("GET", "/fhir/Patient", headers=bearer(granted))
    assert found.status_code == 403 or found.json()["total"] == 0
    for account, scope in ((patient, "user/*.rs"), (an_account(hub, provider.issuer), "patient/*.rs")):
        back = browser.sign_in(app, provider, account.subject, scope=scope)
        assert told(back.headers["location"])["error"] == "access_denied"


def test_an_id_token_says_who_to_the_app(hub, provider, browser):
    app, account = an_app(hub), an_account(hub, provider.issuer)
    granted = signed_in(
        browser, provider, app, account, scope="openid fhirUser user/Patient.rs offline_access", nonce="n-0S6"
    ).json()
    assert granted["scope"] == "openid fhirUser user/Patient.rs"
    metadata = hub.http("GET", "/.well-known/openid-configuration").json()
    assert metadata["issuer"] == hub.url
    keys = jwt.PyJWKSet.from_dict(hub.http("GET", metadata["jwks_uri"]).json())
    assert not any("d" in each for each in hub.http("GET", "/auth/jwks").json()["keys"])
    kid = jwt.get_unverified_header(granted["id_token"])["kid"]
    claims = jwt.decode(
        granted["id_token"], keys[kid].key, algorithms=["RS256"], audience=app.client_id, issuer=hub.url
    )
    assert (claims["sub"], claims["nonce"]) == (account.account_id, "n-0S6")
    assert claims["fhirUser"] == f"{hub.fhir}/Practitioner/rosa"
    assert provider.issuer not in granted["id_token"]


@pytest.mark.parametrize(
    ("role", "asked", "wanted"),
    [
        ("clinician", ..., "TREAT"), ("clinician", "PUBHLTH", "PUBHLTH"), ("auditor", ..., "HOPERAT"),
        ("clinician", "HRESCH", None), ("auditor", "TREAT", None), ("clinician", "BTG", None),
    ],
)  # fmt: skip
def test_a_purpose_of_use_is_the_role_s_or_one_of_the_app_s(hub, provider, browser, role, asked, wanted):
    app = an_app(hub, purposes=("TREAT", "PUBHLTH"))
    account = an_account(hub, provider.issuer, role=role, reference="")
    back = told(browser.sign_in(app, provider, account.subject, purpose_of_use=asked).headers["location"])
    if wanted is None:
        assert back["error"] == "access_denied"
        return
    token = app.redeem(back["code"])
    hub.http("GET", "/fhir/Organization", headers=bearer(token))
    assert wanted in json.dumps(
        [each["purposeOfEvent"] for each in hub.world.events() if "purposeOfEvent" in each][-1]
    )


# --- accounts end


def wait_until_out(hub, headers) -> float:
    began = time.monotonic()
    while hub.http("GET", "/fhir/Organization", headers=headers).status_code != 401:
        assert time.monotonic() - began < CACHE_SECONDS + 2
        time.sleep(0.1)
    return time.monotonic() - began


def test_a_suspended_account_is_out_within_seconds_with_its_open_tokens(hub, provider, browser):
    app, account = an_app(hub), an_account(hub, provider.issuer)
    headers = bearer(signed_in(browser, provider, app, account))
    assert hub.http("GET", "/fhir/Organization", headers=headers).status_code == 200
    hub.world.spine.operate(
        "accounts suspend", lambda tx: set_account_active(tx, account.account_id, is_active=False) and None
    )
    assert wait_until_out(hub, headers) <= CACHE_SECONDS
    back = browser.sign_in(app, provider, account.subject)
    assert told(back.headers["location"])["error"] == "access_denied"


def test_an_account_ends_with_its_last_day_and_is_extended(hub, provider, browser):
    app = an_app(hub)
    account = an_account(hub, provider.issuer, valid_until=today())
    headers = bearer(signed_in(browser, provider, app, account))
    yesterday, tomorrow = today() - timedelta(days=1), today() + timedelta(days=1)
    hub.world.spine.operate(
        "accounts extend", lambda tx: extend_account(tx, account.account_id, yesterday) and None
    )
    assert wait_until_out(hub, headers) <= CACHE_SECONDS
    back = browser.sign_in(app, provider, account.subject)
    assert told(back.headers["location"])["error"] == "access_denied"
    hub.world.spine.operate(
        "accounts extend", lambda tx: extend_account(tx, account.account_id, tomorrow) and None
    )
    assert "code" in told(browser.sign_in(app, provider, account.subject).headers["location"])
    assert any("is closed" in each for each in descriptions(hub))


@pytest.mark.parametrize(
    "changed", [{"valid_from": 1}, {"is_active": False}, {"valid_until": -1, "valid_from": -9}]
)
def test_an_account_that_is_not_open_does_not_let_in(hub, provider, browser, changed):
    days = {name: today() + timedelta(days=value) for name, value in changed.items() if name != "is_active"}
    account = an_account(hub, provider.issuer, **(changed | days))
    back = browser.sign_in(an_app(hub), provider, account.subject)
    assert told(back.headers["location"])["error"] == "access_denied"


def test_somebody_without_an_account_is_told_nothing_else(hub, provider, browser):
    app = an_app(hub)
    suspended = an_account(hub, provider.issuer, is_active=False)
    answers = [
        told(browser.sign_in(app, provider, each).headers["location"])
        for each in (suspended.subject, "nobody")
    ]
    assert [{**each, "state": ""} for each in answers] == [
        {"error": "access_denied", "iss": hub.url, "state": ""}
    ] * 2
    assert descriptions(hub)[-1] == "login; sign-in refused: no account"


def test_the_same_subject_of_another_issuer_is_nobody(hub, provider, browser):
    an_account(hub, "https://other.example.org", "person-7")
    back = browser.sign_in(an_app(hub), provider, "person-7")
    assert told(back.headers["location"])["error"] == "access_denied"


def test_an_app_that_is_suspended_takes_its_people_s_tokens_along(hub, provider, browser):
    app, account = an_app(hub), an_account(hub, provider.issuer)
    headers = bearer(signed_in(browser, provider, app, account))
    hub.suspend(app.client_id)
    assert wait_until_out(hub, headers) <= CACHE_SECONDS
    assert browser.authorize(app.request()).status_code == 400


def test_a_registration_that_is_narrowed_narrows_people_s_tokens(hub, provider, browser):
    app, account = an_app(hub, is_public=False), an_account(hub, provider.issuer)
    granted = signed_in(browser, provider, app, account, scope="user/Patient.rs user/Condition.rs")
    headers = bearer(granted)
    assert hub.http("GET", "/fhir/Condition", headers=headers).status_code == 200
    with hub.world.database_store.transaction() as transaction:
        client = find_client(transaction, app.client_id)
        narrow = replace(client, scopes=parse_registered_scopes("user/Patient.rs"))
    hub.world.spine.operate("clients register", lambda tx: register(tx, narrow))
    time.sleep(1.1)
    assert hub.http("GET", "/fhir/Condition", headers=headers).status_code == 403
    assert hub.http("GET", "/fhir/Patient", headers=headers).status_code == 200


def test_nothing_is_kept_of_those_who_never_come_back(hub, provider, browser):
    app = an_app(hub)
    for _ in range(20):
        assert browser.authorize(app.request()).status_code == 303
    with hub.world.sql() as cursor:
        cursor.execute("SELECT count(*) FROM authorization_code WHERE client_id = %s", (app.client_id,))
        assert cursor.fetchone() == (0,)
        cursor.execute(
            "SELECT count(*) FROM authorization_code WHERE expires_at < extract(epoch FROM now()) - 400"
        )
        assert cursor.fetchone() == (0,)


def test_smart_configuration_says_where_people_sign_in(hub):
    found = hub.http("GET", "/fhir/.well-known/smart-configuration").json()
    assert found["authorization_endpoint"] == f"{hub.url}/auth/authorize"
    assert found["code_challenge_methods_supported"] == ["S256"]
    assert "authorization_code" in found["grant_types_supported"]


def test_where_no_provider_is_set_nobody_signs_in_and_systems_do(live):
    app = an_app(live)
    with_browser = Browser(live)
    back = with_browser.authorize(app.request())
    with_browser.close()
    assert told(back.headers["location"])["error"] == "temporarily_unavailable"
    assert live.http("GET", "/provider/authorize").status_code == 404
    assert live.clients["posta"].token()
