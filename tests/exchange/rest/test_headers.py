"""HEAD, conditions, preferences and what every answer says in its headers."""

from __future__ import annotations

from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime

import pytest

from exchange.fhir.validate import check
from tests.passage.world import patient_of
from tests.sample.requester import POST


@pytest.fixture(scope="module")
def post(live):
    client = live.clients["posta"]
    client.request("PUT", "Patient/posta-p1", body=patient_of(POST, 1)).raise_for_status()
    body = {"resourceType": "Basic", "id": "posta-h1", "code": {"text": "x"}}
    client.request("PUT", "Basic/posta-h1", body=body).raise_for_status()
    return client


@pytest.mark.parametrize("place", ["metadata", ".well-known/smart-configuration", "Basic/posta-h1", "Basic/posta-h1/_history", "Basic/posta-h1/_history/1", "Basic?_id=posta-h1", "Basic/_history",
                                   "_history", "?_type=Basic", "Patient/posta-p1/Basic", "Patient/posta-p1/$everything", "Basic/posta-none", "Basic?color=red", "Nothing"])  # fmt: skip
@pytest.mark.parametrize("accept", ["application/fhir+json", "application/fhir+xml"])
def test_head_is_get_without_its_body(live, post, place, accept):
    headers = {
        "Authorization": f"Bearer {post.token()}",
        "Accept": accept,
        "Accept-Encoding": "identity",
        "X-Request-Id": "r1",
    }
    path = f"/fhir{place}" if place.startswith("?") else f"/fhir/{place}"
    head, get = (live.http(method, path, headers=headers) for method in ("HEAD", "GET"))
    assert (head.status_code, head.content) == (get.status_code, b"")
    for name in ("etag", "last-modified", "content-type", "vary", "x-request-id"):
        assert head.headers.get(name) == get.headers.get(name)
    if "content-length" in get.headers and get.status_code == 200:
        assert abs(int(head.headers["content-length"]) - len(get.content)) < 8  # a clock's digits aside


def test_health_and_docs_take_head(live):
    for place in ("/health/live", "/health/ready", "/openapi.json", "/docs"):
        head, get = (
            live.http(each, place, headers={"Accept-Encoding": "identity"}) for each in ("HEAD", "GET")
        )
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(get.content))


@pytest.mark.parametrize(("method", "place", "allowed"), [
    ("DELETE", "", {"GET", "HEAD", "POST"}), ("POST", "Basic/posta-h1", {"GET", "HEAD", "PUT", "PATCH", "DELETE"}), ("OPTIONS", "Basic", {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}),
    ("PUT", "Basic/posta-h1/_history/1", {"GET", "HEAD"}), ("PUT", "Basic/posta-h1/$everything", {"GET", "HEAD", "POST"}),
])  # fmt: skip
def test_a_method_that_is_not_taken_is_told_which_are(post, method, place, allowed):
    answer = post.request(method, place)
    assert answer.status_code == 405
    assert allowed <= set(answer.headers["allow"].split(", "))


@pytest.mark.parametrize(("told", "status"), [
    ('W/"1"', 304), ('"1"', 304), ("*", 304), ('W/"7", "1"', 304), ('W/"7",W/"1"', 304), ('W/"2"', 200), ("1", 200), ('W/"11"', 200), ('"W/1"', 200), ("", 200), ('W/"x"', 200), ('"*"', 200)])  # fmt: skip
@pytest.mark.parametrize("place", ["Basic/posta-h1", "Basic/posta-h1/_history/1"])
def test_if_none_match(post, place, told, status):
    answer = post.request("GET", place, headers={"If-None-Match": told})
    assert answer.status_code == status
    assert answer.headers["etag"] == 'W/"1"'
    assert bool(answer.content) == (status == 200)


def test_if_modified_since(post):
    at = parsedate_to_datetime(post.request("GET", "Basic/posta-h1").headers["last-modified"])
    http = {shift: format_datetime(at + timedelta(seconds=shift), usegmt=True) for shift in (-1, 0, 3600)}
    for told, status in (
        (http[-1], 200),
        (http[0], 304),
        (http[3600], 304),
        ("yesterday", 200),
        ("", 200),
        ("Sun, 99 Nov 9999 99:99:99 GMT", 200),
        ("Mon, 01 Jan 0001 00:00:00 GMT", 200),
    ):
        assert (
            post.request("GET", "Basic/posta-h1", headers={"If-Modified-Since": told}).status_code == status
        )
    # If-None-Match goes before it.
    both = {"If-Modified-Since": http[3600], "If-None-Match": 'W/"9"'}
    assert post.request("GET", "Basic/posta-h1", headers=both).status_code == 200
    # Writes and searches are not read conditionally.
    assert (
        post.request(
            "GET", "Basic?_id=posta-h1", headers={"If-None-Match": "*", "If-Modified-Since": http[3600]}
        ).status_code
        == 200
    )


def test_a_condition_does_not_show_what_is_hidden(live, post):
    for told in ("*", 'W/"1"'):
        answers = [
            live.clients["hospital"].request("GET", f"Basic/{each}", headers={"If-None-Match": told})
            for each in ("posta-h1", "posta-no")
        ]
        assert {(each.status_code, each.content) for each in answers} == {(404, answers[0].content)}


@pytest.mark.parametrize(
    "told",
    [
        "return=OperationOutcome",
        "return=operationoutcome",
        'Return="OperationOutcome"',
        "respond-sync; return=OperationOutcome",
        "handling=strict, return=OperationOutcome",
    ],
)
def test_an_outcome_says_what_was_done(post, told):
    for method, words in (
        ("PUT", "created"),
        ("PUT", "said the same"),
        ("DELETE", "deleted"),
        ("PUT", "created"),
    ):
        body = {"resourceType": "Basic", "id": "posta-h2", "code": {"text": "x"}} if method == "PUT" else None
        answer = post.request(method, "Basic/posta-h2", body=body, headers={"Prefer": told})
        assert answer.status_code in (200, 201)
        outcome = answer.json()
        assert check(outcome) == []
        assert outcome["issue"][0]["severity"] == "information"
        assert words in outcome["issue"][0]["diagnostics"]
        assert f"version {answer.headers['etag'][3:-1]}" in outcome["issue"][0]["diagnostics"]
    post.request("DELETE", "Basic/posta-h2").raise_for_status()


def test_several_prefer_headers_are_one(live, post):
    headers = [
        ("Authorization", f"Bearer {post.token()}"),
        ("Content-Type", "application/fhir+json"),
        ("Prefer", "handling=lenient"),
        ("Prefer", "return=minimal"),
    ]
    made = live.http(
        "POST", "/fhir/Basic", headers=headers, content=b'{"resourceType":"Basic","code":{"text":"x"}}'
    )
    assert (made.status_code, made.content) == (201, b"")
    assert live.http("GET", "/fhir/Basic?color=red", headers=headers).status_code == 200
    assert (
        live.http(
            "GET",
            "/fhir/Basic?color=red",
            headers=[*headers[:2], ("Prefer", "handling=strict"), ("Prefer", "handling=lenient")],
        ).status_code
        == 400
    )
    assert (
        live.http(
            "GET", "/fhir/Basic?color=red", headers=[*headers[:2], ("Prefer", "x-handling=lenient")]
        ).status_code
        == 400
    )


def test_an_answer_names_its_request(live, post):
    told = post.request("GET", "Basic/posta-h1", headers={"X-Request-Id": "abc-123"})
    assert told.headers["x-request-id"] == "abc-123"
    assert (
        live.http("GET", "/fhir/Basic/posta-h1", headers={"X-Request-Id": "abc-124"}).headers["x-request-id"]
        == "abc-124"
    )
    for bad in ("a b", "x" * 200, "<script>"):
        answer = post.request("GET", "Basic/posta-h1", headers={"X-Request-Id": bad})
        assert len(answer.headers["x-request-id"]) == 36
