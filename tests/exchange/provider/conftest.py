"""A hub in demo mode with its own provider, and people who enrol as people do."""

from __future__ import annotations

import html
import re
import uuid
from dataclasses import dataclass
from datetime import timedelta

import httpx
import pyotp
import pytest

from exchange.provider import people
from tests.exchange.authentication.app import today
from tests.passage.live_hub import live_hub

PASSWORD = "una frase larga y propia"


@pytest.fixture(scope="module")
def hub(server):
    with live_hub(server, EXCHANGE_MODE="demo") as made:
        yield made


def hidden(page: httpx.Response) -> str:
    found = re.search(r'name="request" value="([^"]*)"', page.text)
    assert found, page.text
    return html.unescape(found.group(1))


def onward(page: httpx.Response) -> str:
    """Where the page that ends a sign-in leads."""
    found = re.search(r'id="continue" href="([^"]*)"', page.text)
    assert found, page.text
    return html.unescape(found.group(1))


@dataclass
class Somebody:
    """A person of the provider, with a phone."""

    hub: object
    username: str
    subject: str
    key: str
    password: str = PASSWORD
    totp: str = ""

    def code(self, steps: int = 0) -> str:
        import time

        return pyotp.TOTP(self.totp).at(int(time.time()) + 30 * steps)

    def forget_code(self) -> None:
        """Let the code of this half minute count as not yet used: tests do not wait."""
        with self.hub.world.sql() as cursor:
            cursor.execute("UPDATE provider_person SET totp_step = 0 WHERE subject = %s", (self.subject,))

    def enrol(self, http: httpx.Client) -> httpx.Response:
        page = http.get(f"{self.hub.url}/provider/enrol")
        form = {
            "request": hidden(page), "username": self.username, "secret": self.key, "password": self.password,
        }  # fmt: skip
        device = http.post(f"{self.hub.url}/provider/enrol", data=form)
        assert device.status_code == 200, device.text
        self.totp = re.search(r"<p><code>([A-Z2-7]{32})</code>", device.text).group(1)
        form = {"request": hidden(device), "code": self.code()}
        return http.post(f"{self.hub.url}/provider/device", data=form)


def somebody(hub, days: int = 30) -> Somebody:
    """Entered, not yet enrolled."""
    username = f"rosa.{uuid.uuid4().hex[:8]}"
    made: list[tuple[str, str]] = []
    until = today() + timedelta(days=days)
    hub.world.spine.operate("people add", lambda tx: made.append(people.add_person(tx, username, until)))
    return Somebody(hub, username, *made[0])


@pytest.fixture
def http(hub):
    with httpx.Client(trust_env=False, timeout=30, follow_redirects=False) as client:
        yield client


@pytest.fixture
def person(hub, http):
    """Somebody who has enrolled, whose first code may be used again."""
    made = somebody(hub)
    assert made.enrol(http).status_code == 200
    made.forget_code()
    return made
