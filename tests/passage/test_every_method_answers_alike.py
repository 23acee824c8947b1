"""GET, HEAD and POST _search are decided alike: a filter on one of them alone would leave the others open."""

from __future__ import annotations

import pytest

from tests.passage.live_hub import live_hub
from tests.passage.world import patient_of
from tests.sample.consent import a_consent
from tests.sample.observation import an_observation
from tests.sample.requester import HOSPITAL, POST

HIDDEN, OPEN = "posta-o1", "posta-o2"


@pytest.fixture(scope="module")
def live(server):
    """Two patients of the post; the second permits the hospital."""
    with live_hub(server) as hub:
        for number in (1, 2):
            hub.world.post.store(
                patient_of(POST, number), an_observation(f"posta-o{number}", f"posta-p{number}")
            )
        hub.world.post.store(a_consent("posta-c2", "posta-p2", permit=HOSPITAL))
        yield hub


@pytest.fixture
def ask(live):
    def asked(client: str, method: str, path: str, form: str | None = None):
        headers = {"Authorization": f"Bearer {live.clients[client].token()}"}
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        return live.http(
            method, f"/fhir{path}", headers=headers, content=form.encode() if form is not None else None
        )

    return asked


def ids(said) -> list[str]:
    assert said.status_code == 200, said.text
    return [
        each["resource"]["id"] for each in said.json().get("entry", ()) if each["search"]["mode"] == "match"
    ]


@pytest.mark.parametrize(
    "path", [f"/Observation/{HIDDEN}", f"/Observation/{HIDDEN}/_history/1", "/Patient/posta-p1"]
)
def test_what_is_hidden_is_absent_for_get_and_head(ask, path):
    absent = path.replace("posta-o1", "posta-o404").replace("posta-p1", "posta-p404")
    for method in ("GET", "HEAD"):
        said, other = ask("hospital", method, path), ask("hospital", method, absent)
        assert said.status_code == other.status_code == 404
        assert said.headers.get("etag") is None
        assert said.headers["content-length"] == other.headers["content-length"]


def test_head_of_what_is_open_says_so_and_sends_nothing(ask):
    said = ask("hospital", "HEAD", f"/Observation/{OPEN}")
    assert (said.status_code, said.content) == (200, b"")
    assert said.headers["etag"] == 'W/"1"'


@pytest.mark.parametrize(
    ("criteria", "found"),
    [
        ("code=8480-6", [OPEN]),
        (f"_id={HIDDEN},{OPEN}", [OPEN]),
        ("patient=Patient/posta-p1", []),
        ("patient=Patient/posta-p2", [OPEN]),
        ("subject:Patient.family=quispe", [OPEN]),
    ],
)
def test_a_search_by_post_shows_what_a_search_by_get_shows(ask, criteria, found):
    assert ids(ask("hospital", "GET", f"/Observation?{criteria}")) == found
    assert ids(ask("hospital", "POST", "/Observation/_search", criteria)) == found
    assert ids(ask("hospital", "POST", f"/Observation/_search?{criteria}", "")) == found
    counted = ask("hospital", "POST", "/Observation/_search", f"{criteria}&_summary=count")
    assert counted.json()["total"] == len(found)


def test_head_of_a_search_has_the_length_of_what_is_open(ask):
    """A length that counted hidden rows would tell of them."""
    hidden = ask("hospital", "HEAD", "/Observation?patient=Patient/posta-p1")
    absent = ask("hospital", "HEAD", "/Observation?patient=Patient/posta-p9")
    assert hidden.status_code == absent.status_code
    assert hidden.headers.get("content-length") == absent.headers.get("content-length")
