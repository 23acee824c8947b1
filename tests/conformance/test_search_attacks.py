"""Hostile searches over HTTP: each a clear refusal or a bounded answer, and the next request is served."""

from __future__ import annotations

import time
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from tests.passage.live_hub import live_hub
from tests.passage.world import entry, patient_of
from tests.sample.observation import an_observation
from tests.sample.requester import POST

U = "http://unitsofmeasure.org"
MOST_SECONDS = 8
MOST_BYTES = 3_000_000
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def _unit(name: str, code: str) -> dict:
    return an_observation(f"posta-{name}", "posta-p1", valueQuantity={"value": 5, "system": U, "code": code})


def _part(name: str, whole: str) -> dict:
    return {"resourceType": "Organization", "id": f"posta-{name}", "name": name, "partOf": {"reference": f"Organization/posta-{whole}"}}  # fmt: skip


@pytest.fixture(scope="module")
def live(server):
    """A hub of these tests' own: how much an answer holds shall not depend on what others have stored."""
    with live_hub(server) as hub:
        yield hub


@pytest.fixture(scope="module")
def post(live):
    """A facility's system, whose own resources are hostile, too: what is stored is compared with what is asked."""
    client = live.clients["posta"]
    long_list = {
        "resourceType": "List", "id": "posta-long", "status": "current", "mode": "working",
        "entry": [{"item": {"reference": f"Observation/posta-x{number}"}} for number in range(9_000)],
    }  # fmt: skip
    stored = [
        patient_of(POST, 1), _part("ring1", "ring2"), _part("ring2", "ring3"), _part("ring3", "ring1"), {"resourceType": "Organization", "id": "posta-ring0", "name": "self", "partOf": {"reference": "Organization/posta-ring0"}},
        long_list, _unit("u1", "10*1000000000"), _unit("u2", "[foz_us]999999999"), _unit("u3", "(" * 45 + "m" + ")" * 45), _unit("u4", "m" * 5_000), _unit("u5", "mg"), _unit("u6", "10^99999999"),
        an_observation("posta-text", "posta-p1", valueString="a" * 20_000) | {"valueQuantity": None},
    ]  # fmt: skip
    del stored[-1]["valueQuantity"]
    for each in stored:
        client.request("PUT", f"{each['resourceType']}/{each['id']}", body=each).raise_for_status()
    return client


@pytest.fixture(autouse=True)
def and_the_next_is_served(live, post):
    began = time.monotonic()
    yield
    assert time.monotonic() - began < MOST_SECONDS
    answer = post.request("GET", "Patient", parameters=[("_id", "posta-p1")])
    assert (answer.status_code, answer.json()["total"]) == (200, 1)
    assert time.monotonic() - began < MOST_SECONDS


def ask(post, path: str, *pairs: tuple[str, str], by_form: bool = False):
    if by_form:
        return post.request("POST", f"{path}/_search", body=urlencode(pairs).encode(), headers=FORM)
    return post.request("GET", path, parameters=pairs)


def refused(answer) -> None:
    assert answer.status_code in range(400, 500), (answer.status_code, answer.text[:300])
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert len(answer.content) < 5_000


def bounded(answer) -> dict:
    """A refusal, or an answer of bounded size."""
    if answer.status_code != 200:
        refused(answer)
        return {}
    assert len(answer.content) < MOST_BYTES
    return answer.json()


def ids(bundle: dict, mode: str = "match") -> list[str]:
    return [each["resource"]["id"] for each in bundle.get("entry", ()) if each["search"]["mode"] == mode]


def _has(depth: int) -> str:
    return "_has:Patient:link:" * depth + "family"


REFUSED = {
    "10,000 alternatives": [("code", ",".join(["x"] * 8_000))], "501 alternatives": [("code", ",".join(["x"] * 501))], "51 criteria": [("code", "x")] * 51, "a chain of 50": [("derived-from." * 50 + "code", "x")],
    "a chain of 3,000": [("derived-from." * 1_200 + "code", "x")], "a typed chain of 50": [("derived-from:Observation." * 50 + "code", "x")], "_has in _has, 50 deep": [("_has:Observation:derived-from:" * 50 + "code", "x")], "500 value sets": [("code:in", ",".join(["http://x.org/v"] * 500))],
    "1,000 value sets": [("code:in", ",".join(f"http://x.org/{n}" for n in range(700)))], "a filter of 16 kB": [("_filter", "code eq x or " * 1_200 + "code eq x")], "a filter of 51 parts": [("_filter", " and ".join(["code eq x"] * 51))],
    "a filter nested 11 deep": [("_filter", "(" * 11 + "code eq x" + ")" * 11)], "a filter of parentheses": [("_filter", "(" * 4_000)], "not of not": [("_filter", "not (" * 600 + "code eq x" + ")" * 600)], "a filter's path": [("_filter", "derived-from." * 300 + "code eq x")],
    "a filter's string without an end": [("_filter", 'code eq "' + "\\a" * 1_900)], "a filter of backslashes": [("_filter", 'code eq "' + "\\" * 3_001 + '"')], "a filter of blanks": [("_filter", " " * 4_000 + "(" + " " * 90)], "a filter with a control": [("_filter", "code eq \x00")],
    "1,000 sorts": [("_sort", ",".join(["date"] * 1_000))], "1,000 elements": [("_elements", ",".join(["status"] * 1_000))], "21 includes": [("_include", "Observation:subject")] * 21, "a huge exponent": [("value-quantity", "1e999999999")], "a huge number": [("value-quantity", "9" * 10_000)],
    "many digits after the point": [("value-quantity", "1." + "0" * 10_000)], "a negative count": [("_count", "-1")], "a count of 400 digits": [("_count", "9" * 400)], "NaN": [("value-quantity", "NaN")], "a date beyond": [("date", "99999-01-01")], "a year 0": [("date", "0000")], "a date of digits": [("date", "9" * 5_000)],
    "a fraction of a second of 5,000 digits": [("date", "2026-01-01T00:00:00." + "9" * 5_000 + "Z")], "NUL in a name": [("code\x00", "x")], "NUL in a value": [("code", "a\x00b")], "a statement in a name": [("code'; DROP TABLE resource; --", "x")], "a statement in a sort": [("_sort", "date; DROP TABLE resource")],
    "a statement in an include": [("_include", "Observation:subject'--")], "a format in a name": [("%(id)s", "x")], "a page of nobody": [("_page", "AAAA")], "a page of 10 kB": [("_page", "A" * 10_000)], "a page that is no base64": [("_page", "é%%%")], "half a pair": [("code", "x|y|z|" * 100)],
    "1,000 words": [("_content", "a " * 1_000)], "no word": [("_text", "!!!")], "modifiers of modifiers": [("code:in:in:in", "x")], "a modifier of 10 kB": [("code:" + "x" * 10_000, "x")], "an unknown value set": [("code:in", "http://169.254.169.254/latest/meta-data")], "a file": [("code:in", "file:///etc/passwd")],
    "a list of nothing": [("_list", ",")], "501 lists": [("_list", ",".join(f"l{n}" for n in range(501)))], "a list by function": [("_list", "$current-problems")], "_query": [("_query", "x")], "a composite of 1,000 parts": [("code-value-quantity", "$".join(["x"] * 1_000))],
    "an escape of nothing": [("code", "a\\b")],
    "an escape at the end": [("value-quantity", "5||mg\\")], "a date of another script": [("date", "٢٠٢٦")], "a chain to itself": [("subject.subject.subject.name", "x")],
}  # fmt: skip


@pytest.mark.parametrize("by_form", [False, True], ids=["get", "form"])
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(post, name, by_form):
    refused(ask(post, "Observation", *REFUSED[name], by_form=by_form))


BOUNDED = {
    "a page of a billion": ("Observation", [("_count", "999999999")]), "500 alternatives": ("Observation", [("code", ",".join(f"c{n}" for n in range(500)))]), "50 criteria": ("Observation", [("code:not", "x")] * 50), "500 ids": ("Observation", [("_id", ",".join(f"i{n}" for n in range(500)))]),
    "percent": ("Organization", [("name:contains", "%")]), "underscore": ("Organization", [("name:contains", "_")]), "a statement in a value": ("Observation", [("code", "x'; DROP TABLE resource; --")]), "another": ("Patient", [("family", "' OR 1=1 --")]), "in an id": ("Patient", [("_id", "x' OR '1'='1")]),
    "a pattern that backtracks": ("Patient", [("family:contains", "(a+)+$" * 50)]), "a filter's pattern": ("Observation", [("_filter", 'value-string co "(a+)+$"')]), "a long text": ("Observation", [("value-string:contains", "a" * 5_000 + "b")]), "a filter's long text": ("Observation", [("_filter", f'value-string ew "{"a" * 1_900}b"')]),
    "50 comparisons": ("Observation", [("_filter", " or ".join(["code eq x"] * 50))]), "a filter nested 10 deep": ("Observation", [("_filter", "(" * 10 + "code eq x" + ")" * 10)]), "everything included": ("Observation", [("_include", "*"), ("_revinclude", "*")]), "all that points to a patient": ("Patient", [("_revinclude", "*"), ("_include", "*")]),
    "all that points to an organization": ("Organization", [("_revinclude", "*")]), "everything, again and again": ("Organization", [("_include:iterate", "*"), ("_revinclude:iterate", "*")]), "everything of all types": ("", [("_type", "Patient,Organization,Observation,List"), ("_include", "*"), ("_revinclude", "*")]),
    "a ring": ("Organization", [("_include:iterate", "Organization:partof")]), "a ring backwards": ("Organization", [("_revinclude:iterate", "Organization:partof")]), "a ring as a hierarchy": ("Organization", [("partof:below", "posta-ring1")]), "a ring upwards": ("Organization", [("partof:above", "posta-ring0")]),
    "a ring as a chain": ("Organization", [("partof.partof.partof.partof.partof.partof.name", "ring1")]), "_has around a ring": ("Organization", [("_has:Organization:partof:" * 7 + "name", "ring1")]), "a long list": ("Observation", [("_list", "posta-long")]), "all its items": ("List", [("_id", "posta-long"), ("_include", "List:item")]),
    "a unit that would be worked out": ("Observation", [("value-quantity", f"5|{U}|10*1000000000")]), "a unit that is compared with it": ("Observation", [("value-quantity", f"5|{U}|mg")]), "a power of a name": ("Observation", [("value-quantity", f"5|{U}|[foz_us]999999999")]),
    "parentheses": ("Observation", [("value-quantity", f"5|{U}|{'(' * 49}m{')' * 49}")]), "1,000 parentheses": ("Observation", [("value-quantity", f"5|{U}|{'(' * 1_000}m")]), "products": ("Observation", [("value-quantity", f"5|{U}|{'m.' * 49}m")]), "a power of powers": ("Observation", [("value-quantity", f"5|{U}|10^10^10^10")]),
    "sorted by such units": ("Observation", [("_sort", "value-quantity,-value-quantity")]), "an exponent that is one": ("Observation", [("value-quantity", f"gt1e-999|{U}|10*99")]), "the largest exponent": ("Observation", [("value-quantity", f"lt9e999|{U}|10*99")]), "the first day": ("Observation", [("date", "ap0001-01-01")]),
    "the last day": ("Observation", [("date", "gt9999-12-31")]), "an open end": ("Observation", [("date", "le9999")]), "near everything": ("Location", [("near", "0|0|9e999|km")]), "far away": ("Location", [("near", "0|0|-5|km")]), "all at once": ("", [("_lastUpdated", "gt2000"), ("_count", "999999999")]),
    "letters of all kinds": ("Patient", [("family", "ﷺ" * 500)]), "combining letters": ("Patient", [("family", "a" + "\u0301" * 1_500)]), "20 words": ("Observation", [("_content", "a " * 20)]), "a text of sets": ("Observation", [("code:not-in", ",".join(["http://hl7.org/fhir/ValueSet/observation-status"] * 300))]),
    "500 names": ("Patient", [("family:contains", ",".join(["a"] * 500))]), "a bare year": ("Patient", [("birthdate", ",".join(["ne1990"] * 500))]),
}  # fmt: skip


@pytest.mark.parametrize("name", BOUNDED)
def test_what_is_bounded(post, name):
    path, pairs = BOUNDED[name]
    bounded(ask(post, path, *pairs))


def test_a_page_is_never_larger_than_the_hub_allows(post):
    said = bounded(ask(post, "Observation", ("_count", "999999999")))
    assert len(ids(said)) <= 1_000


def test_nothing_is_a_pattern(post):
    assert ids(bounded(ask(post, "Organization", ("name:contains", "%")))) == []
    assert ids(bounded(ask(post, "Organization", ("name:contains", "r_ng")))) == []
    assert ids(bounded(ask(post, "Patient", ("family", "' OR 1=1 --")))) == []


def test_rings_end(post):
    said = bounded(ask(post, "Organization", ("_id", "posta-ring1"), ("_include:iterate", "Organization:partof")))  # fmt: skip
    assert sorted(ids(said, "include")) == ["posta-ring2", "posta-ring3"]
    below = bounded(ask(post, "Organization", ("partof:below", "posta-ring1")))
    assert sorted(ids(below)) == ["posta-ring1", "posta-ring2", "posta-ring3"]
    alone = bounded(ask(post, "Organization", ("_id", "posta-ring0"), ("_include:iterate", "Organization:partof")))  # fmt: skip
    assert ids(alone, "include") == []


def test_a_unit_of_somebody_else_does_not_stop_a_search(post):
    said = bounded(ask(post, "Observation", ("value-quantity", f"0.005|{U}|g")))
    assert ids(said) == ["posta-u5"]


def test_a_page_is_of_one_caller_one_search_and_one_place(live, post):
    first = ask(post, "Observation", ("patient", "posta-p1"), ("_count", "2"))
    following = next(each["url"] for each in first.json()["link"] if each["relation"] == "next")
    pairs = parse_qsl(urlsplit(following).query)
    token = dict(pairs)["_page"]
    assert ask(post, "Observation", *pairs).status_code == 200
    refused(ask(live.clients["hospital"], "Observation", *pairs))
    refused(ask(post, "Observation", ("patient", "posta-p1"), ("_count", "3"), ("_page", token)))
    refused(ask(post, "Patient/posta-p1/Observation", ("_count", "2"), ("_page", token)))
    refused(ask(post, "Patient/posta-p1/Observation", *pairs))
    refused(ask(post, "", *pairs))
    refused(ask(post, "Observation/_history", ("_count", "2"), ("_page", token)))
    refused(
        ask(
            post,
            "Observation",
            *pairs[:-1],
            ("_page", token[:9] + ("A" if token[9] != "A" else "B") + token[10:]),
        )
    )
    refused(ask(post, "Observation", *pairs[:-1], ("_page", token[::-1])))


def test_a_query_has_an_end(post):
    for path in ("Observation", "Observation/_search"):
        refused(post.request("GET", f"Observation?code={'x' * 20_000}"))
        refused(post.request("POST", path, body=b"code=" + b"x" * 20_000, headers=FORM))


def test_searches_inside_of_a_batch(post):
    """Bounds hold for each entry, and the others are answered."""
    hostile = [f"Observation?{urlencode(pairs)}" for pairs in list(REFUSED.values())[:20]]
    body = {"resourceType": "Bundle", "type": "batch", "entry": [entry("GET", each) for each in (*hostile, "Patient?_id=posta-p1")]}  # fmt: skip
    answer = post.request("POST", "", body=body)
    assert answer.status_code == 200
    said = [each["response"]["status"][0] for each in answer.json()["entry"]]
    assert said == ["4"] * len(hostile) + ["2"]


@pytest.mark.parametrize("criteria", ["_has:Observation:patient:" + "_has:Observation:derived-from:" * 20 + "code=x", "code=" + "x," * 900, "_filter=" + "(" * 500, "value-quantity=1e999999999", "_list=posta-long", "_sort=date", "_count=5", "_page=x", "_revinclude=*"])  # fmt: skip
def test_searches_as_conditions(post, criteria):
    body = an_observation("x", "posta-p1")
    del body["id"]
    answer = post.request("POST", "Observation", body=body, headers={"If-None-Exist": criteria})
    if criteria.startswith("_list"):  # a search like any other
        assert answer.status_code in (200, 201)
    else:
        refused(answer)
    refused(post.request("DELETE", f"Observation?{criteria}")) if not criteria.startswith("_list") else None
