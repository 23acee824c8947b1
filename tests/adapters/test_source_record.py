"""What a record is called: the same at one site for ever, and nobody's guess without the site's key."""

import hashlib
from zoneinfo import ZoneInfo

from adapters.source_record import Origin
from adapters.source_record.moment import as_instant, written_date
from adapters.source_record.person import is_dni
from tests.adapters.conftest import ID_KEY, ORIGIN, RENIPRESS, a_mapped, a_record

OTHER = Origin(RENIPRESS, "00005196", "his", bytes(32))


def test_an_id_is_the_same_at_one_site_and_another_elsewhere():
    same = Origin(RENIPRESS, "00005196", "his", bytes(range(32)))
    assert ORIGIN.resource_id("Patient", "0123456739058") == same.resource_id("Patient", "0123456739058")
    assert ORIGIN.resource_id("Patient", "0123456739058") != OTHER.resource_id("Patient", "0123456739058")
    assert ORIGIN.resource_id("Patient", "1") != ORIGIN.resource_id("Encounter", "1")


def test_no_hash_that_anybody_can_make_gives_an_id():
    digest = ORIGIN.resource_id("Patient", "0123456739058").partition("-")[2]
    for text in ("0123456739058", "his|0123456739058|Patient", "resource|his|Patient|0123456739058"):
        assert digest != hashlib.sha256(text.encode()).hexdigest()[:32]


def test_messages_and_provenance_are_named_under_the_key_too():
    record = a_record()
    assert record.message_id(ID_KEY) == a_record().message_id(ID_KEY)
    assert record.message_id(ID_KEY) != record.message_id(bytes(32))
    provenance = a_mapped().entries[-1].resource
    told = provenance["entity"][0]["what"]["identifier"]["value"]
    assert told == record.message_id(ID_KEY)


def test_the_key_is_in_no_repr():
    assert "id_key" not in repr(ORIGIN)


def test_a_moment_before_1908_has_an_offset_that_fhir_can_write():
    assert written_date("01/05/1901 10:00", ZoneInfo("America/Lima")) == "1901-05-01T10:00:00-05:09"
    assert as_instant("1901-05", ZoneInfo("America/Lima")) == "1901-05-01T00:00:00-05:09"


def test_digits_of_other_scripts_are_no_dni():
    assert is_dni("01234567")
    assert not is_dni("0123456\u0667")
