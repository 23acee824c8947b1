"""The FHIR door over HTTP: who comes in, what is answered, and what no request may do to the hub."""

from __future__ import annotations

import gzip
import json
import socket
import time
import uuid

import httpx
import pytest
from fastapi.routing import APIRoute
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.app import create_app
from exchange.fhir.validate import check
from tests.passage.live_hub import MAX_BODY_BYTES
from tests.passage.world import entry, patient_of
from tests.sample.observation import an_observation
from tests.sample.requester import HOSPITAL, POST

OPEN = {
    "/fhir/metadata",
    "/fhir/.well-known/smart-configuration",
    "/auth/token",
    "/auth/introspect",
    "/auth/revoke",
    "/.well-known/oauth-authorization-server",
    "/auth/authorize",
    "/auth/callback",
    "/auth/jwks",
    "/.well-known/openid-configuration",
    "/docs",
    "/health/live",
    "/health/ready",
    "/openapi.json",
    "/auth/enrol",
    "/metrics",
}
BESIDE = {"/adapters/state"}
"""What wants a token and is no FHIR act."""


def _routes(routes) -> list:
    """Every route of the application, those of the routers that it includes too."""
    found = []
    for each in routes:
        inner = getattr(each, "original_router", None)
        found += _routes(inner.routes) if inner is not None else [each]
    return found


ALL = _routes(create_app().routes)
ROUTES = [(method, route.path) for route in ALL for method in sorted(route.methods) if route.path not in OPEN]


@pytest.fixture(scope="module")
def post(live):
    client = live.clients["posta"]
    client.request("PUT", "Patient/posta-p1", body=patient_of(POST, 1)).raise_for_status()
    client.request(
        "PUT", "Observation/posta-o1", body=an_observation("posta-o1", "posta-p1")
    ).raise_for_status()
    return client


@pytest.fixture(scope="module")
def hospital(live):
    client = live.clients["hospital"]
    client.request("PUT", "Patient/hospital-p2", body=patient_of(HOSPITAL, 2)).raise_for_status()
    return client


def outcome(answer: httpx.Response, status: int) -> dict:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/fhir+json")
    body = answer.json()
    assert check(body) == []
    assert body["resourceType"] == "OperationOutcome"
    return body


# --- who comes in


def test_only_these_addresses_are_open():
    assert {route.path for route in ALL if isinstance(route, APIRoute)} == OPEN | BESIDE
    assert all(("open" in route.tags) == (route.path in OPEN) for route in ALL if isinstance(route, APIRoute))
    assert len(ROUTES) >= 12


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("authorization", [None, "Bearer x", "Basic eDp4"])
def test_every_other_address_wants_a_token(live, method, path, authorization):
    place = path.format(
        resource_type="Patient",
        resource_id="posta-p1",
        version_id="1",
        operation="everything",
        compartment_type="Patient",
        compartment_id="posta-p1",
    )
    headers = {"Authorization": authorization} if authorization else {}
    answer = live.http(method, place, headers=headers, content=b"{}" if method in ("POST", "PUT") else None)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    if method != "HEAD":
        outcome(answer, 401)


def test_what_is_open_says_nothing_of_anybody(live, post):
    for path in sorted(
        OPEN
        - {
            "/auth/token",
            "/auth/introspect",
            "/auth/revoke",
            "/auth/authorize",
            "/auth/callback",
            "/auth/enrol",
            "/metrics",
        }
    ):
        answer = live.http("GET", path)
        assert answer.status_code == 200
        assert "posta-" not in answer.text
        assert "Quispe" not in answer.text
    assert check(live.http("GET", "/fhir/metadata").json()) == []


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/redoc",
        "/docs/oauth2-redirect",
        "/fhir/a/b/c/d",
        "/admin",
        "/fhir/../etc/passwd",
        "/metrics",
        "/.env",
    ],
)
def test_there_is_nothing_else(live, path):
    outcome(
        live.http("GET", path),
        404 if not path.startswith("/fhir/../") else live.http("GET", path).status_code,
    )


# --- reading


def test_a_read_has_its_version_and_instant(post):
    answer = post.request("GET", "Patient/posta-p1")
    assert answer.status_code == 200
    assert answer.headers["etag"] == f'W/"{answer.json()["meta"]["versionId"]}"'
    assert answer.headers["last-modified"].endswith("GMT")
    assert answer.headers["content-type"] == "application/fhir+json; charset=utf-8"


@pytest.mark.parametrize("etag", ['W/"1"', 'W/"9", W/"1"'])
def test_what_the_caller_has_is_not_sent_again(post, etag):
    post.request(
        "PUT", "Basic/posta-b1", body={"resourceType": "Basic", "id": "posta-b1", "code": {"text": "x"}}
    )
    for place in ("Basic/posta-b1", "Basic/posta-b1/_history/1"):
        answer = post.request("GET", place, headers={"If-None-Match": etag})
        assert (answer.status_code, answer.content) == (304, b"")
    assert post.request("GET", "Basic/posta-b1", headers={"If-None-Match": 'W/"2"'}).status_code == 200


def test_head_says_what_get_says_without_the_body(live, post):
    token = {"Authorization": f"Bearer {post.token()}"}
    for place in ("Patient/posta-p1", "Patient?_id=posta-p1", "Patient/posta-none", "Patient?color=red"):
        head, get = (live.http(method, f"/fhir/{place}", headers=token) for method in ("HEAD", "GET"))
        assert (head.status_code, head.content) == (get.status_code, b"")
        assert head.headers.get("etag") == get.headers.get("etag")


def test_absent_deleted_and_unknown(post, hospital):
    outcome(post.request("GET", "Patient/posta-absent"), 404)
    outcome(post.request("GET", "Pacient/posta-p1"), 404)
    outcome(post.request("GET", "patient/posta-p1"), 404)
    gone = {"resourceType": "Basic", "id": "posta-gone", "code": {"text": "x"}}
    assert post.request("PUT", "Basic/posta-gone", body=gone).status_code == 201
    assert post.request("DELETE", "Basic/posta-gone").status_code == 204
    assert post.request("DELETE", "Basic/posta-gone").status_code == 204
    outcome(post.request("GET", "Basic/posta-gone"), 410)
    outcome(post.request("GET", "Basic/posta-gone/_history/2"), 410)
    assert post.request("GET", "Basic/posta-gone/_history/1").status_code == 200
    outcome(hospital.request("GET", "Basic/posta-gone"), 404)
    outcome(hospital.request("GET", "Basic/posta-gone/_history/1"), 404)
    outcome(post.request("DELETE", "Basic/posta-never"), 404)
    assert post.request("PUT", "Basic/posta-gone", body=gone).status_code == 201
    assert post.request("GET", "Basic/posta-gone").json()["meta"]["versionId"] == "3"


@pytest.mark.parametrize("version", ["0", "99", "x", "-1", "1.0", "9" * 30, "%00", "1%20OR%201=1"])
def test_a_version_that_is_not_there(post, version):
    outcome(post.request("GET", f"Patient/posta-p1/_history/{version}"), 400 if version == "%00" else 404)


# --- writing


def test_a_create_says_where(live, post):
    answer = post.request(
        "POST", "Basic", body={"resourceType": "Basic", "code": {"text": "x"}, "id": "ignored"}
    )
    assert answer.status_code == 201
    assert answer.headers["location"] == f"{live.fhir}/Basic/{answer.json()['id']}/_history/1"
    assert answer.headers["etag"] == 'W/"1"'
    assert answer.json()["id"] != "ignored"


@pytest.mark.parametrize(("prefer", "shown"), [("return=minimal", ""), ("return=representation", "Basic"), ("return=OperationOutcome", "OperationOutcome"),
                                               ("respond-async, return=minimal", ""), ("return=everything", "Basic"), ("", "Basic")])  # fmt: skip
def test_what_the_caller_prefers(post, prefer, shown):
    for status in (201, 200):
        body = {"resourceType": "Basic", "id": f"posta-{abs(hash(prefer))}", "code": {"text": str(status)}}
        answer = post.request("PUT", f"Basic/{body['id']}", body=body, headers={"Prefer": prefer})
        assert answer.status_code == status
        assert (answer.json()["resourceType"] if answer.content else "") == shown


def test_a_version_that_is_not_the_newest_is_not_overwritten(post):
    body = {"resourceType": "Basic", "id": "posta-m1", "code": {"text": "1"}}
    outcome(post.request("PUT", "Basic/posta-m1", body=body, headers={"If-Match": 'W/"1"'}), 412)
    assert post.request("PUT", "Basic/posta-m1", body=body, headers={"If-None-Match": "*"}).status_code == 201
    outcome(post.request("PUT", "Basic/posta-m1", body=body, headers={"If-None-Match": "*"}), 412)
    body["code"] = {"text": "2"}
    assert post.request("PUT", "Basic/posta-m1", body=body, headers={"If-Match": 'W/"1"'}).status_code == 200
    outcome(post.request("PUT", "Basic/posta-m1", body=body, headers={"If-Match": 'W/"1"'}), 412)
    outcome(post.request("DELETE", "Basic/posta-m1", headers={"If-Match": 'W/"1"'}), 412)
    for etag in ("1", "*", 'W/"x"', 'W/"1", W/"2"', ""):
        outcome(post.request("PUT", "Basic/posta-m1", body=body, headers={"If-Match": etag}), 400)
    assert post.request("GET", "Basic/posta-m1").json()["code"] == {"text": "2"}


@pytest.mark.parametrize("body_id", ["posta-other", None, 7, "", "posta-w1 "])
def test_the_body_and_the_address_name_one_id(post, body_id):
    body = {"resourceType": "Basic", "id": body_id, "code": {"text": "x"}}
    outcome(post.request("PUT", "Basic/posta-w1", body={k: v for k, v in body.items() if v is not None}), 400)


@pytest.mark.parametrize(
    "resource_id",
    [
        "other-1",
        "1",
        "posta",
        "POSTA-1",
        "posta_1",
        "posta-" + "x" * 60,
        "posta-%C3%B1",
        "posta-a%20b",
        "%2e%2e",
    ],
)
def test_an_id_outside_of_the_callers_names_is_refused(post, resource_id):
    from urllib.parse import unquote

    body = {"resourceType": "Basic", "id": unquote(resource_id), "code": {"text": "x"}}
    assert post.request("PUT", f"Basic/{resource_id}", body=body).status_code in (400, 404, 405, 422)


@pytest.mark.parametrize("criteria", ["identifier=x", "_id=1", "x", "a&b", "_summary=true"])
def test_criteria_where_there_are_none_are_refused_rather_than_passed_over(post, criteria):
    body = {"resourceType": "Basic", "id": "posta-q1", "code": {"text": "x"}}
    before = post.request("GET", "Basic?_summary=count").json()["total"]
    outcome(post.request("POST", f"Basic?{criteria}", body=body), 400)
    outcome(post.request("PUT", f"Basic/posta-q1?{criteria}", body=body), 400)
    outcome(post.request("DELETE", f"Basic/posta-q1?{criteria}"), 400)
    assert post.request("GET", "Basic?_summary=count").json()["total"] == before


def test_the_base_may_end_with_a_slash(live, post):
    token = {"Authorization": f"Bearer {post.token()}", "Content-Type": "application/fhir+json"}
    body = b'{"resourceType":"Bundle","type":"batch"}'
    assert live.http("POST", "/fhir/", headers=token, content=body).status_code == 200
    assert live.http("POST", "/fhir", headers=token, content=body).status_code == 200
    outcome(live.http("DELETE", "/fhir/", headers=token), 405)


# --- formats


@pytest.mark.parametrize(
    "accept",
    [
        "application/fhir+json",
        "application/json",
        "*/*",
        "text/html, */*;q=0.1",
        "application/*",
        "APPLICATION/JSON; charset=utf-8",
        "",
    ],
)
def test_json_is_answered_to_whoever_takes_it(post, accept):
    assert post.request("GET", "Patient/posta-p1", headers={"Accept": accept}).status_code == 200


@pytest.mark.parametrize(
    "accept", ["text/html", "application/fhir+turtle", "image/png, text/turtle", "application/json;q=0"]
)
def test_nobody_gets_what_he_cannot_read(post, accept):
    outcome(post.request("GET", "Patient/posta-p1", headers={"Accept": accept}), 406)


@pytest.mark.parametrize(
    ("wanted", "status"),
    [
        ("json", 200),
        ("application/fhir+json", 200),
        ("application/fhir%2Bjson", 200),
        ("xml", 200),
        ("ttl", 406),
        ("%00", 400),
    ],
)
def test_the_format_parameter_goes_before_the_header(post, wanted, status):
    assert (
        post.request("GET", f"Patient/posta-p1?_format={wanted}", headers={"Accept": "text/html"}).status_code
        == status
    )


def test_pretty_is_for_people(post):
    plain, pretty = (post.request("GET", f"Patient/posta-p1?_pretty={each}") for each in ("false", "true"))
    assert plain.json() == pretty.json()
    assert pretty.text.count("\n") > plain.text.count("\n")


@pytest.mark.parametrize(
    "kind",
    ["text/html", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""],
)
def test_a_body_says_that_it_is_fhir(post, kind):
    outcome(post.request("POST", "Basic", body=b"{}", headers={"Content-Type": kind}), 415)
    outcome(post.request("POST", "", body=b"{}", headers={"Content-Type": kind}), 415)


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "Patient/posta-p1"), ("TRACE", "Patient"), ("OPTIONS", "Patient/posta-p1"), ("DELETE", "")],
)
def test_a_method_that_is_not_taken(post, method, path):
    outcome(post.request(method, path), 405)


# --- searches by POST


def test_a_posted_search_is_the_same_search(post):
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    get = post.request("GET", "Observation?patient=Patient/posta-p1&code=8480-6")
    posted = post.request(
        "POST", "Observation/_search", body=b"patient=Patient/posta-p1&code=8480-6", headers=form
    )
    mixed = post.request(
        "POST", "Observation/_search?patient=Patient/posta-p1", body=b"code=8480-6", headers=form
    )
    assert get.json()["entry"] == posted.json()["entry"] == mixed.json()["entry"]


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [(b"_id=%00", "", 400), (b"color=red", "", 400), (b'{"a":1}', "application/json", 415), (b"_id=" + b"x" * 20_000, "", 413),
     (b"&".join([b"a"] * 700_000), "", 413), (b"_id=\xff\xfe", "", 200), (b"", "application/json", 200)],
    ids=range(7),
)  # fmt: skip
def test_a_posted_search_is_bounded(post, body, kind, status):
    began = time.monotonic()
    answer = post.request(
        "POST",
        "Observation/_search",
        body=body,
        headers={"Content-Type": kind or "application/x-www-form-urlencoded"},
    )
    assert answer.status_code == status
    assert time.monotonic() - began < 5


# --- bodies


def test_a_body_that_is_too_large_is_refused_before_it_is_read(live, post):
    headers = {"Authorization": f"Bearer {post.token()}", "Content-Type": "application/fhir+json"}
    outcome(live.http("POST", "/fhir/Basic", headers=headers, content=b" " * (MAX_BODY_BYTES + 1)), 413)
    # Without a length it is cut off where it becomes too long: the answer comes while the rest is still to be sent.
    with socket.create_connection(("127.0.0.1", int(live.url.rpartition(":")[2])), timeout=30) as raw:
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        raw.sendall(
            f"POST /fhir/Basic HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n{head}\r\n".encode()
        )
        for _ in range(MAX_BODY_BYTES // 65_536 + 2):
            raw.sendall(b"10000\r\n" + b" " * 65_536 + b"\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 413 ")


MALFORMED = [
    b"", b"{", b"null", b"[]", b'"x"', b"7", b"{}", b'{"resourceType":7}', b'{"resourceType":"Pacient"}', b'{"resourceType":"Basic"}',
    b'{"resourceType":"Basic","code":{"text":"a"},"code":{"text":"b"}}', b'{"resourceType":"Basic","resourceType":"Patient"}',
    b'{"resourceType":"Basic","code":{"text":NaN}}', b'{"resourceType":"Basic","code":Infinity}', b'{"resourceType":"Basic","code":{"text":"\\u0000"}}',
    b'{"resourceType":"Basic","code":{"text":"\x00"}}', b'{"resourceType":"Basic","code":{"text":"\\ud800"}}', b'{"resourceType":"Basic","code":{"text":"\xff"}}',
    b'{"resourceType":"Basic","code":' + b"[" * 100_000 + b"]" * 100_000 + b"}", b'{"a":' * 50_000 + b"1" + b"}" * 50_000, b"[" * 500_000,
    b'{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":1e400000}}',
    b'{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":' + b"9" * 100_000 + b"}}",
    b'{"resourceType":"Basic","code":{"text":"x"},"unknown":1}', b'{"resourceType":"Basic","code":"x"}', b'{"resourceType":"Basic","code":[{"text":"x"}]}',
    b'{"resourceType":"Basic","code":{"text":"x"},"meta":7}', b'{"resourceType":"Basic","code":{"text":"x"},"meta":{"versionId":{}}}',
    b'{"resourceType":"Basic","code":{"text":"x"},"subject":{"reference":7}}', b'{"resourceType":"Basic","code":{"text":"x"},"created":"2026-02-30"}', b'{"resourceType":"Basic","code":{"text":""}}', b'{"resourceType":"Basic","code":{}}',
    b'{"resourceType":"Basic","code":{"text":"x"},"contained":[{"resourceType":"Basic"}]}', gzip.compress(b"{}"),
    b"<Basic xmlns='http://hl7.org/fhir'/>", b'{"resourceType":"Basic","code":{"text":"x"},"extension":[{"url":7}]}',
    b'{"resourceType":"Basic","code":{"text":"x"},"text":{"status":"generated","div":"<script>alert(1)</script>"}}',
]  # fmt: skip


@pytest.mark.parametrize("body", MALFORMED, ids=range(len(MALFORMED)))
@pytest.mark.parametrize("path", ["Basic", "Observation", "Basic/posta-x", ""])
def test_a_malformed_body_is_a_clear_refusal_in_bounded_time(post, path, body):
    began = time.monotonic()
    answer = post.request("PUT" if "/" in path else "POST", path, body=body)
    assert 400 <= answer.status_code < 500, answer.text
    outcome(answer, answer.status_code)
    assert time.monotonic() - began < 5


# --- hostile questions


HOSTILE = [
    "Patient?_id=' OR '1'='1", "Patient?_id=1'; DROP TABLE resource; --", "Patient?' OR 1=1 --=x", "Patient?family'%3B--=x", "Patient?_sort=id;DROP",
    "Patient?_sort=-%27", "Patient?_include=Patient:link;x", "Patient?family=%25", "Patient?family=_", "Patient?family:contains=%25%25%25", "Patient?family=%5C",
    "Patient?family=%5C%5C%5C", "Patient?identifier=%7C%7C", "Patient?identifier=a%7Cb%7Cc", "Patient?identifier=%25%7C%25", "Patient?_count=1000000000",
    "Patient?_count=99999999999999999999", "Patient?_count=-1", "Patient?_count=1e3", "Patient?_count=%D9%A1", "Patient?_count=", "Patient?birthdate=0000-00-00",
    "Patient?birthdate=9999-12-31", "Patient?birthdate=ge9999", "Patient?birthdate=ap0001-01-01", "Patient?birthdate=2026-13", "Patient?_lastUpdated=sa9999-12-31T23:59:59.999999999Z",
    "Patient?_id=" + "a" * 16_000, "Patient?_id=" + "(a+)+" * 1_000, "Patient?family=" + "a" * 10_000 + "!", "Patient?_id=" + ",".join(["x"] * 10_000),
    "Patient?_id=" + ",".join(["x"] * 600), "Patient?" + "&".join(["_id=x"] * 60), "Patient?" + "&".join(["_include=Patient:link"] * 30), "Patient?_id=%00",
    "Patient?%00=1", "Patient?_id=%ED%A0%80", "Patient?_id=%F0%9F%98%80", "Patient?_id=\u202e", "Patient?__proto__=1", "Patient?constructor.name=1", "Patient?{x}=1",
    "Patient?%(p0)s=1", "Patient?_id=%25(p0)s", "Patient?family=%25s%25s", "Patient?_page=" + "A" * 5_000, "Patient?_page=%25", "Patient?_has:Observation:patient:code=x",
    "Patient?_filter=name co (((((((((x", "Patient?organization.organization.name=x", "Patient?_include=*", "Patient?_include:iterate=Patient:link", "Patient?_elements=id",
    "Patient?_summary=true", "Patient?_total=all", "Patient?_text=x", "Patient?_content=x", "Patient?_query=x", "Patient?family:sounds=x", "Patient?gender:in=x",
    "Patient?=1", "Patient?&&&", "Patient?_id", "Patient?_revinclude=Observation", "Patient?_revinclude=Nothing:patient", "Observation?date=ge" + "9" * 400, "Observation?code=" + "%7C" * 50,
    "Observation?patient=" + ",".join(f"Patient/x{n}" for n in range(400)), "Observation?subject=" + "Patient/" * 500, "Patient/(a+)+$", "Patient/" + "a" * 5_000, "Patient/%00",
    "Patient/a%00b/_history", "Patient/posta-p1/$everything?_type=" + "Observation," * 500, "Patient/posta-p1/$everything?start=x", "Patient/posta-p1/_history?_count=" + "9" * 40,
    "Patient/posta-p1/_history?_since=x", "Patient/%2e%2e/%2e%2e", "Patient//", "Patient/posta-p1/", "$export", "Patient/$match", "Patient/posta-p1/$everything/x",
]  # fmt: skip


@pytest.mark.parametrize("path", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_question_is_answered_in_bounded_time(post, path):
    began = time.monotonic()
    answer = post.request("GET", path)
    assert answer.status_code < 500, answer.text
    assert time.monotonic() - began < 5
    if answer.status_code == 200 and "?" in path and "_count" not in path:
        assert answer.json()["resourceType"] == "Bundle"


def test_a_huge_count_is_lowered(post):
    assert post.request("GET", "Patient?_count=999999999").status_code == 200


def test_the_tables_are_still_there(post):
    assert post.request("GET", "Patient/posta-p1").status_code == 200


# --- bundles


def test_a_batch_does_each_for_itself(post):
    said = post.request(
        "POST", "",
        body={"resourceType": "Bundle", "type": "batch", "entry": [
            entry("GET", "Patient/posta-p1"), entry("GET", "Patient/posta-absent"), entry("PUT", "Basic/other-1", {"resourceType": "Basic", "id": "other-1", "code": {"text": "x"}}),
            entry("POST", "Basic", {"resourceType": "Basic", "code": {"text": "x"}}), entry("POST", "Basic", {"resourceType": "Basic"}), entry("GET", "Patient?color=red"),
            entry("DELETE", "Basic/posta-absent"),
        ]},
    )  # fmt: skip
    assert said.status_code == 200
    assert [each["response"]["status"][:3] for each in said.json()["entry"]] == [
        "200",
        "404",
        "422",
        "201",
        "400",
        "400",
        "404",
    ]
    assert check(said.json()) == []
    assert post.request("POST", "", body={"resourceType": "Bundle", "type": "batch"}).json() == {
        "resourceType": "Bundle",
        "type": "batch-response",
    }


def test_a_transaction_is_all_or_nothing(post):
    unique = uuid.uuid4().hex
    good = entry(
        "PUT",
        f"Basic/posta-{unique}",
        {"resourceType": "Basic", "id": f"posta-{unique}", "code": {"text": "x"}},
    )
    for bad in (
        entry("PUT", "Basic/other-1", {"resourceType": "Basic", "id": "other-1", "code": {"text": "x"}}), entry("POST", "Basic", {"resourceType": "Basic"}),
        entry("DELETE", "Basic/posta-absent"), entry("PUT", f"Basic/posta-{unique}", {"resourceType": "Basic", "id": f"posta-{unique}", "code": {"text": "y"}}),
        entry("POST", "Observation", {k: v for k, v in an_observation("x", "posta-absent").items() if k != "id"}),
        entry("POST", "Observation", {k: v for k, v in an_observation("x", "x").items() if k != "id"} | {"subject": {"reference": "urn:uuid:1"}}),
        entry("PUT", "Patient/posta-p1", patient_of(POST, 1), ifMatch='W/"99"'), entry("PATCH", "Patient/posta-p1"), entry("PUT", "Patient", patient_of(POST, 1)), {}, 7,
    ):  # fmt: skip
        for entries in ([good, bad], [bad, good]):
            answer = post.request(
                "POST", "", body={"resourceType": "Bundle", "type": "transaction", "entry": entries}
            )
            body = outcome(answer, answer.status_code)
            assert 400 <= answer.status_code < 500
            assert body["issue"][0].get("expression", ["Bundle.entry"])[0].startswith("Bundle.entry")
            assert post.request("GET", f"Basic/posta-{unique}").status_code == 404


def test_a_transaction_resolves_its_references(post):
    body = {"resourceType": "Bundle", "type": "transaction", "entry": [
        entry("POST", "Observation", {k: v for k, v in an_observation("x", "x").items() if k != "id"} | {
            "subject": {"reference": "urn:uuid:p"}, "encounter": {"reference": "urn:uuid:e"}, "performer": [{"reference": "Organization?identifier=urn:t|1"}]}, "urn:uuid:o"),
        entry("POST", "Encounter", {"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}, "subject": {"reference": "urn:uuid:p"}}, "urn:uuid:e"),
        entry("POST", "Patient", {"resourceType": "Patient", "gender": "female"}, "urn:uuid:p"),
    ]}  # fmt: skip
    outcome(post.request("POST", "", body=body), 422)
    unit = {
        "resourceType": "Organization",
        "id": "posta-u1",
        "name": "U",
        "identifier": [{"system": "urn:t", "value": "1"}],
    }
    post.request("PUT", "Organization/posta-u1", body=unit).raise_for_status()
    said = post.request("POST", "", body=body)
    assert said.status_code == 200
    places = [each["response"]["location"].partition("/_history")[0] for each in said.json()["entry"]]
    stored = post.request("GET", places[0]).json()
    assert (stored["encounter"]["reference"], stored["subject"]["reference"]) == (places[1], places[2])
    assert stored["performer"][0]["reference"] == "Organization/posta-u1"


# --- anything at all


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8) | st.sampled_from(["Patient/posta-p1", "urn:uuid:1", "final"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["resourceType", "id", "meta", "text", "contained", "extension", "status", "code", "subject", "reference", "coding", "value", "entry", "request",
         "method", "url", "resource", "type", "fullUrl", "link", "identifier", "system", "valueString", "_status", "participant", "period", "start"]), inner, max_size=5),
    max_leaves=12,
)  # fmt: skip
CANARY = "zqxcanaryjv"


def _marked(value):
    """The same JSON with a mark on every text that is a value."""
    match value:
        case dict():
            return {
                key: each if key in ("resourceType", "method", "type") else _marked(each)
                for key, each in value.items()
            }
        case list():
            return [_marked(each) for each in value]
        case str():
            return value + CANARY
    return value


@settings(max_examples=120)
@given(body=st.dictionaries(st.sampled_from(["id", "meta", "status", "code", "subject", "text", "contained", "extension", "identifier", "participant", "entry", "type", "value"]), _JSON, max_size=6),
       kind=st.sampled_from(["Patient", "Observation", "Appointment", "Consent", "Bundle", "Binary", "List", "Basic"]),
       is_bundle=st.booleans())  # fmt: skip
def test_any_body_is_refused_or_taken_and_never_echoed(post, body, kind, is_bundle):
    sent = _marked(body) | {"resourceType": kind}
    if is_bundle:
        sent = {"resourceType": "Bundle", "type": "transaction", "entry": [entry("POST", kind, sent)]}
    answer = post.request("POST", "" if is_bundle else kind, body=json.dumps(sent).encode())
    assert answer.status_code < 500, sent
    if answer.status_code >= 400:
        assert CANARY not in answer.text


@settings(max_examples=150)
@given(kind=st.sampled_from(["Patient", "Observation", "Consent", "Appointment", "Organization", "Encounter"]),
       pairs=st.lists(st.tuples(
           st.sampled_from(["_id", "_lastUpdated", "_sort", "_count", "_include", "_revinclude", "_total", "_summary", "_page", "_tag", "identifier", "family", "birthdate", "code", "date",
                            "patient", "subject", "status", "patient:identifier", "code:not", "family:exact", "family:contains", "date:missing", "value-quantity", "_has"]) | st.text(max_size=6),
           st.text(max_size=12) | st.from_regex(r"(eq|ne|gt|ap|sa)?[0-9]{4}(-[0-9]{2}){0,2}(T[0-9:]{5,8}Z?)?", fullmatch=True)
           | st.sampled_from(["Patient/posta-p1", "posta-p1", "http://loinc.org|8480-6", "|x", "x|", "a,b", "a\\,b", "\\", "-date", "Observation:subject", "true"])), max_size=4),
       is_lenient=st.booleans())  # fmt: skip
def test_any_question_is_refused_or_answered(post, kind, pairs, is_lenient):
    answer = post.request(
        "GET", kind, parameters=pairs, headers={"Prefer": "handling=lenient"} if is_lenient else {}
    )
    assert answer.status_code < 500, pairs
    body = answer.json()
    assert body["resourceType"] == ("Bundle" if answer.status_code == 200 else "OperationOutcome")


@pytest.mark.parametrize("path", [f"Patient?birthdate={CANARY}", f"Patient?_id={CANARY}|&x:{CANARY}!=1", f"Patient?_sort={CANARY}!", f"Patient?_include={CANARY}", f"Patient?_total={CANARY}",
                                  f"Patient/{CANARY}", f"Patient/{CANARY}/_history/{CANARY}", f"{CANARY}/1", f"Patient?_page={CANARY}", f"Patient/posta-p1/${CANARY}", f"Patient?_format={CANARY}"])  # fmt: skip
def test_a_refusal_repeats_no_value(post, path):
    answer = post.request("GET", path)
    assert answer.status_code >= 400
    assert CANARY not in answer.text
