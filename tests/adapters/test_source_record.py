"""What a record is called: the same at one site for ever, and nobody's guess without the site's key."""

import hashlib

from adapters.source_record import Origin
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
