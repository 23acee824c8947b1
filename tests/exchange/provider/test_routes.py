"""The demonstration's provider over HTTP: real argon2id, real one-time codes, and what is tried against it."""

from __future__ import annotations

import statistics
import time
from urllib.parse import parse_qsl, urlsplit

import pytest
from fastapi.routing import APIRoute

from exchange.problems import Unavailable
from exchange.provider import people, routes
from exchange.provider.password import hash_password
from exchange.settings import settings
from tests.exchange.authentication.app import an_account, an_app, bearer, descriptions, told
from tests.exchange.provider.conftest import PASSWORD, hidden, onward, somebody
from tests.passage.live_hub import live_hub


def sign_in_page(hub, http):
    """The page to which an app's request leads."""
    app = an_app(hub)
    begun = http.get(f"{hub.url}/auth/authorize", params=app.request())
    assert begun.status_code == 303
    page = http.get(begun.headers["location"])
    assert page.status_code == 200, page.text
    return app, page


def attempt(hub, http, page, person, **changed):
    form = {
        "request": hidden(page),
        "username": person.username,
        "password": person.password,
        "code": "",
    } | changed
    if "code" not in changed:
        form["code"] = person.code()
    return http.post(f"{hub.url}/provider/authorize", data=form)


def test_the_whole_dance(hub, http, person):
    account = an_account(hub, f"{hub.url}/provider", person.subject)
    app, page = sign_in_page(hub, http)
    done = attempt(hub, http, page, person)
    assert done.status_code == 200
    back = http.get(onward(done))
    assert back.status_code == 303
    granted = app.redeem(told(back.headers["location"])["code"])
    assert hub.http("GET", "/fhir/Organization", headers=bearer(granted)).status_code == 200
    assert "signed in" in " ".join(descriptions(hub))
    assert account.account_id in str(hub.world.events())


def test_a_person_of_the_provider_without_an_account_does_not_get_in(hub, http, person):
    page = sign_in_page(hub, http)[1]
    back = http.get(onward(attempt(hub, http, page, person)))
    assert told(back.headers["location"])["error"] == "access_denied"


def refused(answer) -> None:
    assert answer.status_code == 403
    assert "no son correctos" in answer.text
    assert "continue" not in answer.text


def test_every_refusal_reads_the_same(hub, http, person):
    late = somebody(hub, days=-1)
    new = somebody(hub)
    late.totp = new.totp = person.totp
    _, page = sign_in_page(hub, http)
    answers = [
        attempt(hub, http, page, person, password="another phrase altogether"),
        attempt(hub, http, page, person, code="000000"),
        attempt(hub, http, page, person, username="nobody.here"),
        attempt(hub, http, page, person, username="' OR '1'='1"),
        attempt(hub, http, page, person, username=person.username.upper()),
        attempt(hub, http, page, late),
        attempt(hub, http, page, new),
        attempt(hub, http, page, person, password=""),
        attempt(hub, http, page, person, password="x" * 10_000),
        attempt(hub, http, page, person, code="12345"),
        attempt(hub, http, page, person, code="１２３４５６"),
    ]
    for each in answers:
        refused(each)
    assert len({each.text for each in answers}) == 1
    assert PASSWORD not in str(hub.world.events())


def test_a_person_who_does_not_exist_takes_as_long(hub, http, person):
    _, page = sign_in_page(hub, http)

    def seconds(username: str) -> float:
        began = time.monotonic()
        refused(attempt(hub, http, page, person, username=username, code="x"))
        return time.monotonic() - began

    nobody = [seconds("nobody.here") for _ in range(4)]
    known = [seconds(person.username) for _ in range(4)]
    assert 0.4 < statistics.median(nobody) / statistics.median(known) < 2.5


def test_a_code_works_once(hub, http, person):
    code = person.code()
    _, page = sign_in_page(hub, http)
    assert attempt(hub, http, page, person, code=code).status_code == 200
    _, page = sign_in_page(hub, http)
    refused(attempt(hub, http, page, person, code=code))


@pytest.mark.parametrize(("steps", "is_good"), [(-3, False), (-1, True), (1, True), (3, False)])
def test_a_code_is_good_one_step_early_or_late(hub, http, person, steps, is_good):
    while time.time() % 30 > 27:  # not on the edge of a step
        time.sleep(0.2)
    _, page = sign_in_page(hub, http)
    answer = attempt(hub, http, page, person, code=person.code(steps))
    assert answer.status_code == (200 if is_good else 403)


def test_five_failures_lock_and_the_next_lock_is_longer(hub, http, person):
    _, page = sign_in_page(hub, http)

    def locked_seconds() -> int:
        with hub.world.sql() as cursor:
            cursor.execute(
                "SELECT locked_until - extract(epoch FROM now())::bigint FROM provider_person WHERE subject = %s",
                (person.subject,),
            )
            return cursor.fetchone()[0]

    for _ in range(4):
        refused(attempt(hub, http, page, person, code="x"))
    assert locked_seconds() <= 0
    refused(attempt(hub, http, page, person, code="x"))
    assert 14 * 60 < locked_seconds() <= 15 * 60
    refused(attempt(hub, http, page, person))  # everything right, too late
    with hub.world.sql() as cursor:
        cursor.execute("UPDATE provider_person SET locked_until = 0 WHERE subject = %s", (person.subject,))
    for _ in range(5):
        refused(attempt(hub, http, page, person, code="x"))
    assert 29 * 60 < locked_seconds() <= 30 * 60
    with hub.world.sql() as cursor:
        cursor.execute("UPDATE provider_person SET locked_until = 0 WHERE subject = %s", (person.subject,))
    assert attempt(hub, http, page, person).status_code == 200


# --- the page


def test_a_form_is_of_the_browser_that_was_shown_it(hub, http, person):
    _, page = sign_in_page(hub, http)
    form = {"request": hidden(page), "username": person.username, "password": PASSWORD, "code": person.code()}
    answers = [
        hub.http("POST", "/provider/authorize", data=form),  # no cookie
        hub.http("POST", "/provider/authorize", data=form, headers={"Cookie": "chasqui-provider=x"}),
        http.post(f"{hub.url}/provider/authorize", data=form | {"request": ""}),
        http.post(f"{hub.url}/provider/authorize", data=form | {"request": form["request"][:-2]}),
        http.post(f"{hub.url}/provider/authorize", data=form | {"request": "x" * 20_000}),
        http.post(f"{hub.url}/provider/device", data=form),  # another page's form
    ]
    assert [each.status_code for each in answers] == [400, 400, 400, 400, 400, 403]
    assert all("location" not in each.headers for each in answers)


def test_the_page_is_without_scripts_and_tells_browsers_so(hub, http):
    _, page = sign_in_page(hub, http)
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "<script" not in page.text
    for attribute in (
        'autocomplete="username"',
        'autocomplete="current-password"',
        'autocomplete="one-time-code"',
    ):
        assert attribute in page.text
    assert 'lang="es-PE"' in page.text
    assert page.text.index("Contraseña") < page.text.index("Password")
    cookie = page.headers["set-cookie"]
    for attribute in ("HttpOnly", "SameSite=strict", "Path=/"):
        assert attribute in cookie


@pytest.mark.parametrize(
    "changed",
    [
        {"client_id": "another"}, {"redirect_uri": "https://evil.example/"}, {"response_type": "token"},
        {"code_challenge_method": "plain"}, {"code_challenge": "x"}, {"nonce": ""}, {"state": "<script>"},
        {"scope": "profile"}, {"state": "x" * 201}, {"x": "y" * 20_000},
    ],
    ids=str,
)  # fmt: skip
def test_nobody_but_the_hub_asks_here(hub, http, changed):
    begun = http.get(f"{hub.url}/auth/authorize", params=an_app(hub).request())
    asked = dict(parse_qsl(urlsplit(begun.headers["location"]).query))
    answer = http.get(f"{hub.url}/provider/authorize", params=asked | changed)
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert "<form" not in answer.text


# --- codes of the provider


def test_a_code_is_redeemed_once_with_its_verifier(hub, http, person):
    _, page = sign_in_page(hub, http)
    code = told(onward(attempt(hub, http, page, person)))["code"]
    form = {"grant_type": "authorization_code", "client_id": "chasqui", "code": code,
            "redirect_uri": f"{hub.url}/auth/callback", "code_verifier": "x" * 43}  # fmt: skip
    for _ in range(2):
        answer = hub.http("POST", "/provider/token", data=form)
        assert (answer.status_code, answer.json()) == (400, {"error": "invalid_grant"})
    assert "code" not in told(http.get(f"{hub.url}/auth/callback?code={code}").headers.get("location", ""))


# --- enrolment


def test_a_key_enrols_once(hub, http):
    new = somebody(hub)
    assert new.enrol(http).status_code == 200
    page = http.get(f"{hub.url}/provider/enrol")
    form = {"request": hidden(page), "username": new.username, "secret": new.key, "password": PASSWORD}
    assert http.post(f"{hub.url}/provider/enrol", data=form).status_code == 403


@pytest.mark.parametrize(
    "changed", [{"secret": "x"}, {"secret": ""}, {"username": "nobody.here"}, {"password": "short"}]
)
def test_a_wrong_key_enrols_nobody(hub, http, changed):
    new = somebody(hub)
    page = http.get(f"{hub.url}/provider/enrol")
    form = {
        "request": hidden(page),
        "username": new.username,
        "secret": new.key,
        "password": PASSWORD,
    } | changed
    answer = http.post(f"{hub.url}/provider/enrol", data=form)
    assert answer.status_code == 403
    assert "No se pudo activar" in answer.text


def test_a_key_of_yesterday_enrols_nobody(hub, http):
    new = somebody(hub)
    with hub.world.sql() as cursor:
        cursor.execute("UPDATE provider_person SET enrolment_until = 1 WHERE subject = %s", (new.subject,))
    with pytest.raises(AssertionError):
        new.enrol(http)


def test_a_reset_forgets_password_and_phone(hub, http, person):
    made = []
    hub.world.spine.operate("people reset", lambda tx: made.append(people.reset_person(tx, person.username)))
    _, page = sign_in_page(hub, http)
    refused(attempt(hub, http, page, person))
    old, person.key = person.totp, made[0]
    assert person.enrol(http).status_code == 200
    assert person.totp != old


def test_nothing_that_lets_in_lies_readable_in_the_database(hub, http, person):
    with hub.world.sql() as cursor:
        cursor.execute(
            "SELECT p::text, password_hash FROM provider_person p WHERE subject = %s", (person.subject,)
        )
        row, hashed = cursor.fetchone()
    assert hashed.startswith("$argon2id$")
    for secret in (person.totp, person.totp.encode().hex(), person.password, person.key):
        assert secret not in row


def test_equal_passwords_hash_differently():
    assert hash_password(PASSWORD) != hash_password(PASSWORD)


# --- only in a demonstration


def test_a_production_hub_has_no_such_provider(live_production, monkeypatch):
    assert live_production.http("GET", "/provider/enrol").status_code == 404
    assert settings().mode == "production"
    with pytest.raises(Unavailable, match="production"):
        routes.provider_router()


@pytest.fixture
def live_production(server):
    with live_hub(server) as made:
        yield made


def test_every_address_of_the_provider_says_that_it_is_open():
    assert all("open" in each.tags for each in routes._router.routes if isinstance(each, APIRoute))
    assert len(routes._router.routes) == 8
