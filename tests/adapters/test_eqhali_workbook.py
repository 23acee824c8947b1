"""e-Qhali's Excel workbooks: the same rows as in CSV, and nothing that a workbook could do besides."""

import io
import re
import zipfile
from contextlib import suppress
from datetime import date, datetime, time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook
from openpyxl.utils.datetime import CALENDAR_MAC_1904

from adapters.eqhali import columns as bounds
from adapters.eqhali import map_export, map_record, open_export
from adapters.eqhali import workbook as room
from adapters.source_record import Mapped, Refusal
from adapters.sources.owners import Nobody
from exchange.fhir import peru
from tests.adapters.conftest import as_fhir
from tests.adapters.test_eqhali import AT, CENTER, COLUMNS, LINES, PADDING, check_admitted, codes, fuas

CELLS = dict(zip(COLUMNS, LINES[1].decode("cp1252").strip("\r\n").split(";"), strict=True))


def a_book(*rows, title=False, header=COLUMNS, change=None):
    book = Workbook()
    sheet = book.active
    if title:
        sheet.append(["DETALLE DE FUA"])
        sheet.append([])
    sheet.append(header)
    for cells in rows:
        sheet.append([({**CELLS, **cells})[column] for column in COLUMNS])
    if change:
        change(book)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def read(content, center=CENTER, name="fua.xlsx"):
    return list(map_export(center, open_export(name, io.BytesIO(content)), AT, Nobody()))


def refusal(content):
    with pytest.raises(Refusal) as refused:
        list(open_export("fua.xlsx", io.BytesIO(content)).rows)
    return refused.value.code


def resources(outcomes):
    return [item for outcome in outcomes for item in as_fhir(outcome) if item["resourceType"] != "Provenance"]


def repacked(content, **members):
    """The workbook with members replaced, or added, by what a function makes of their bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            change = members.pop(name.replace("/", "__").replace(".", "_"), None)
            new.writestr(name, change(old.read(name)) if change else old.read(name))
        for name, change in members.items():
            new.writestr(name, change(b""))
    return out.getvalue()


SHEET = "xl__worksheets__sheet1_xml"


def test_text_dates_and_serials_say_what_the_csv_says():
    expected = resources(fuas()[2:4])
    dated = {
        "fecha_atencion": datetime(2026, 3, 6),  # noqa: DTZ001
        "fecha_nacimiento_paciente": date(1988, 8, 17),
        "fecha_probable_parto": datetime(2026, 9, 11),  # noqa: DTZ001
        "hora_registro": time(12, 40),
    }  # fmt: skip
    serial = {
        "fecha_atencion": 46087, "fecha_nacimiento_paciente": 32372, "fecha_probable_parto": 46276.0,
        "hora_registro": 760 / 1440,
    }  # fmt: skip
    for cells in ({}, dated, serial):
        outcomes = read(a_book(cells))
        assert resources(outcomes) == expected
        assert outcomes[-1].record.source_time == "2026-03-06T12:40:00-05:00"
        check_admitted(outcomes)


def test_a_workbook_of_the_other_epoch_counts_from_1904():
    def from_1904(book):
        book.epoch = CALENDAR_MAC_1904

    content = a_book({"fecha_atencion": 46087 - 1462}, change=from_1904)
    assert "2026-03-06" in str(resources(read(content)))


def test_a_number_that_ate_its_zeros_is_refused_unless_the_site_says_so():
    content = a_book({"num_doc_paciente": 1234567})
    assert codes(read(content)) == ["A-284"]
    padded = read(content, PADDING)
    assert padded[-1].record.patient_key == "dni|01234567"
    assert isinstance(map_record(PADDING, read(content)[-1].record), Mapped)


def test_a_title_above_the_header_and_sheets_without_one_are_passed_over():
    def more(book):
        book.create_sheet("portada", 0).append(["Ministerio"])

    outcomes = read(a_book({}, title=True, change=more))
    assert isinstance(outcomes[-1], Mapped)
    assert outcomes[-1].record.location == "fua.xlsx:4"


def test_a_kept_row_can_be_read_again():
    for outcome in read(a_book({"nombres_paciente": 'ROSA "LA;\nFLOR"'})):
        again = map_record(CENTER, outcome.record)
        assert resources([again]) == resources([outcome])


def test_formulas_are_not_run_and_errors_are_words():
    outcomes = read(a_book({"nombres_paciente": "=1+1", "nombre_profesional": "#N/A"}))
    patient = resources(outcomes)[0]
    assert patient["name"][0] == {
        "use": "official", "family": "ÑIQUE DE LA CRUZ",
        "_family": {"extension": [
            {"url": peru.MOTHERS_FAMILY_EXTENSION, "valueString": "DE LA CRUZ"},
            {"url": peru.FATHERS_FAMILY_EXTENSION, "valueString": "ÑIQUE"},
        ]},
    }  # fmt: skip


def test_old_protected_and_damaged_workbooks_have_a_remedy():
    assert refusal(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 600) == "A-280"
    good = a_book({})
    assert refusal(good[: len(good) // 2]) == "A-282"
    assert refusal(b"PK\x03\x04nothing") == "A-282"
    assert refusal(repacked(good, xl__workbook_xml=lambda _: b"<workbook")) == "A-282"
    empty = io.BytesIO()
    zipfile.ZipFile(empty, "w").close()
    assert refusal(b"PK\x03\x04" + empty.getvalue()) == "A-282"


def test_a_sheet_damaged_in_its_middle_gives_what_came_before():
    broken = repacked(a_book({}, {}), **{SHEET: lambda xml: xml[: xml.rindex(b"<row")] + b"<row><c"})
    outcomes = read(broken)
    assert isinstance(outcomes[1], Mapped)
    assert codes(outcomes) == ["A-282"]


def test_a_book_without_header_or_with_a_column_missing_is_named():
    assert refusal(a_book({}, header=["a"] * len(COLUMNS))) == "A-281"
    header = ["otra" if name == "sexo" else name for name in COLUMNS]
    assert refusal(a_book({}, header=header)) == "A-281"


def test_document_types_and_entities_are_never_read():
    def bomb(xml):
        entity = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
        return re.sub(rb"^(<\?xml[^>]*\?>)?", rb"\1" + entity, xml, count=1)

    assert refusal(repacked(a_book({}), **{SHEET: bomb})) == "A-282"
    assert (
        refusal(repacked(a_book({}), **{SHEET: lambda xml: bomb(xml).decode().encode("utf-16")})) == "A-282"
    )


def test_what_unpacks_to_too_much_is_never_unpacked():
    def zeros(_):
        return b"\x00" * (room._MAX_MEMBER_BYTES + 1)

    content = repacked(a_book({}), **{"xl/media/image1.png": zeros})
    assert len(content) < 100_000
    assert refusal(content) == "A-283"
    assert refusal(repacked(a_book({}), **{f"x{n}": lambda _: b"" for n in range(600)})) == "A-283"


def test_rows_columns_and_cells_are_bounded(monkeypatch):
    monkeypatch.setattr(room, "MAX_ROWS", 3)
    outcomes = read(a_book({}, {"fua_id": "2"}, {"fua_id": "3"}))
    assert [type(item) for item in outcomes[:4]] == [Mapped] * 4
    assert codes(outcomes) == ["A-283"]
    assert codes(read(a_book({"nombres_paciente": "A" * 2500}))) == ["A-251"]

    def far(book):
        book.active.cell(row=2, column=16_000, value="x")

    assert isinstance(read(a_book({}, change=far))[-1], Mapped)


def test_a_row_number_far_below_is_no_million_rows(monkeypatch):
    monkeypatch.setattr(room, "MAX_ROWS", 50)

    def far(book):
        book.active.cell(row=1_000_000, column=1, value="x")

    assert codes(read(a_book({}, change=far))) == ["A-283"]


def test_the_bounds_of_both_forms_are_one():
    assert room.MAX_ROWS == bounds.MAX_ROWS


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_damage_ends_in_records_or_a_refusal(data):
    content = bytearray(BOOK)
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    with suppress(Refusal):
        read(bytes(content))


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 3000))
def test_any_sheet_ends_in_records_or_a_refusal(noise, place):
    content = repacked(BOOK, **{SHEET: lambda xml: xml[:place] + noise + xml[place:]})
    with suppress(Refusal):
        read(content)


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**12), 10**12), st.floats(allow_nan=False), st.text("AÑ;\"\n '=", max_size=8),
    st.datetimes(datetime(1901, 1, 1), datetime(2100, 1, 1)), st.times(),  # noqa: DTZ001 - a sheet has no zones
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(st.sampled_from(COLUMNS), VALUES, max_size=12))
def test_any_values_end_in_what_the_hub_admits(cells):
    check_admitted(read(a_book(cells)))


BOOK = a_book({}, {"fua_id": "2"})
