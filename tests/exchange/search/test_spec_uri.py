"""R4's uri search: https://hl7.org/fhir/R4/search.html#uri."""

from __future__ import annotations

import pytest

from tests.exchange.search.asking import a_shelf, found, refused

URLS = {
    "a": "http://acme.org/fhir/ValueSet/123", "b": "http://acme.org/fhir/ValueSet/124,ValueSet/125", "c": "http://acme.org/fhir/", "d": "http://acme.org/fhir", "e": "urn:oid:1.2.3.4.5", "f": "http://acme.org/fhirx/ValueSet",
    "g": "http://acme.org/FHIR/ValueSet/123",
}  # fmt: skip


@pytest.fixture(scope="module")
def post(server):
    sets = [{"resourceType": "ValueSet", "id": name, "url": url, "status": "active", "version": "2"} for name, url in URLS.items()]  # fmt: skip
    marked = {"resourceType": "Basic", "id": "m", "code": {"text": "x"}, "meta": {"profile": ["http://acme.org/p|1.0"]}}  # fmt: skip
    with a_shelf(server, *sets, marked, {"resourceType": "ValueSet", "id": "none", "status": "draft"}) as caller:  # fmt: skip
        yield caller


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        # the specification's examples
        ("url=http://acme.org/fhir/ValueSet/123", "a"), ("url:below=http://acme.org/fhir/", "a b c"), ("url:above=http://acme.org/fhir/ValueSet/123/_history/5", "a c d"), ("url=urn:oid:1.2.3.4.5", "e"),
        (r"url=http://acme.org/fhir/ValueSet/124\,ValueSet/125", "b"), ("url=http://acme.org/fhir/ValueSet/123,urn:oid:1.2.3.4.5", "a e"), ("url=http://acme.org/fhir/ValueSet/124,ValueSet/125", ""),
        # precise: case, slashes, beginnings
        ("url=HTTP://acme.org/fhir/ValueSet/123", ""), ("url=http://acme.org/fhir", "d"), ("url=http://acme.org/fhir/", "c"), ("url=http://acme.org", ""), ("url:below=http://acme.org/fhir", "a b c d"), ("url:below=http://acme.org/fh", ""),
        ("url:below=http://acme.org", "a b c d f g"), ("url:below=urn:oid:1.2.3", ""), ("url:above=urn:oid:1.2.3.4.5", "e"), ("url:missing=true", "none"), ("url:missing=false", "a b c d e f g"),
        # a canonical's version is the resource's
        ("url=http://acme.org/fhir/ValueSet/123|2", "a"), ("url=http://acme.org/fhir/ValueSet/123|1", ""), ("url=http://acme.org/fhir/ValueSet/123|2,urn:oid:1.2.3.4.5|2", "a e"), ("url=http://acme.org/fhir/ValueSet/123|2,urn:oid:1.2.3.4.5", "a e"),
    ],
)  # fmt: skip
def test_addresses(post, query, ids):
    assert found(post, f"ValueSet?{query}") == set(ids.split())


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("_profile=http://acme.org/p", "m"),
        ("_profile=http://acme.org/p|1.0", "m"),
        ("_profile=http://acme.org/p|2.0", ""),
        ("_profile:below=http://acme.org", "m"),
    ],
)
def test_profiles(post, query, ids):
    assert found(post, f"Basic?{query}") == set(ids.split())


@pytest.mark.parametrize(
    "query", ["url=", "url:exact=x", "url:contains=x", "url:text=x", "url:not=x", "url=a,,b"]
)
def test_what_is_no_address(post, query):
    refused(post, f"ValueSet?{query}")
