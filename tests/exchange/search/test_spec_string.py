"""R4's string search: https://hl7.org/fhir/R4/search.html#string."""

from __future__ import annotations

import pytest

from tests.exchange.search.asking import a_shelf, found, refused
from tests.sample.patient import a_patient


def _patient(name: str, **name_parts) -> dict:
    patient = a_patient(name, dni=None, birth_date=None, family=None, given=())
    return patient | {"name": [name_parts]}


PATIENTS = (
    _patient("a", family="Carreño Quiñones", given=["Eve"], prefix=["Dra."]), _patient("b", family="Quispe", given=["Evelyn", "María José"]), _patient("c", family="Ramos", given=["Severine"], suffix=["Jr."]),
    _patient("d", text="Peter James Chalmers"), _patient("e", family="O'Higgins", given=["EVE"]), _patient("f", family="Sánchez-Carrión"), _patient("g", family="de la Cruz", given=["Éve"]),
    _patient("h", family="Two  Spaces"), _patient("i", family="100%_x"), a_patient("none", dni=None, birth_date=None, family=None, given=()),
)  # fmt: skip
PLACES = (
    {"resourceType": "Location", "id": "l1", "name": "Posta Médica Ñaña", "address": {"line": ["Jr. Bolívar 123"], "city": "Otuzco", "district": "Usquil", "state": "La Libertad", "postalCode": "13450", "country": "PE", "use": "work"}},
    {"resourceType": "Location", "id": "l2", "name": "Hospital, Belén", "alias": ["HBT"], "address": {"text": "Av. Otuzco 5"}},
)  # fmt: skip


@pytest.fixture(scope="module")
def post(server):
    with a_shelf(server, *PATIENTS, *PLACES) as caller:
        yield caller


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        # the specification's table
        ("given=eve", "a b e g"), ("given:contains=eve", "a b c e g"), ("given:exact=Eve", "a"), ("given:exact=EVE", "e"), ("given:exact=eve", ""), ("given:exact=Éve", "g"),
        # either part of a family name
        ("family=Carreno", "a"), ("family=Quinones", "a"), ("family=QUIÑONES", "a"), ("family=cruz", "g"), ("family=de la", "g"), ("family=ruz", ""), ("family:contains=ruz", "g"),
        ("family=quispe,ramos", "b c"), ("family=qui", "a b"), ("family=q", "a b"), ("family=o'h", "e"), ("family=sanchez", "f"), ("family:exact=Sánchez-Carrión", "f"), ("family:exact=Sanchez-Carrion", ""), ("family:contains=CARRION", "f"),
        # space is one blank
        ("family=two spaces", "h"), ("family=Two  Spaces", "h"), ("family:exact=Two  Spaces", "h"), ("family:exact=Two Spaces", ""), ("family:contains=o s", "h"),
        # nothing is a pattern
        ("family=%25", ""), ("family:contains=%25", "i"), ("family:contains=_", "i"), ("family=100%25", "i"), ("family:contains=.", ""), ("family=Q.ispe", ""), ("family:contains=*", ""),
        # name looks at every part
        ("name=peter", "d"), ("name=chalmers", "d"), ("name=dra", "a"), ("name=jr", "c"), ("name=maria", "b"), ("name=jose", "b"), ("name:contains=ames", "d"), ("name:missing=true", "none"), ("family:missing=true", "d none"),
        ("name=eve&name=quispe", "b"), ("name=eve&family=carreno,cruz", "a g"),
    ],
)  # fmt: skip
def test_names(post, query, ids):
    assert found(post, f"Patient?{query}") == set(ids.split())


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("name=posta", "l1"), ("name=medica", "l1"), ("name:exact=Posta Médica Ñaña", "l1"), ("name=hbt", "l2"), ("name=nana", "l1"), (r"name=hospital\, bel", "l2"), ("name=hospital, bel", "l2"),
        ("address=otuzco", "l1 l2"), ("address=bolivar", "l1"), ("address=usquil", "l1"), ("address=13450", "l1"), ("address=pe", "l1"), ("address=work", ""), ("address:contains=IBERTA", "l1"), ("address-city=otuzco", "l1"),
        ("address-state=la lib", "l1"), ("address-postalcode=134", "l1"), ("address-country=PE", "l1"),
    ],
)  # fmt: skip
def test_texts_and_addresses(post, query, ids):
    assert found(post, f"Location?{query}") == set(ids.split())


@pytest.mark.parametrize(
    "query",
    ["family=", "family:exact=", "family:text=x", "family:not=x", "family:in=x", "family:startswith=x", "family:missing=1", "name=,x"],
)  # fmt: skip
def test_what_is_no_string(post, query):
    refused(post, f"Patient?{query}")
