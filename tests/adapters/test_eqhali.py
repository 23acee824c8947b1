"""A health centre's FUA detail as FHIR: what each row says, and what is refused."""

import io
from contextlib import suppress
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.code_map import CodeMap
from adapters.eqhali import Center, map_export, map_record, open_export
from adapters.source_record import Mapped, Origin, Refusal, Refused
from adapters.sources.owners import Nobody
from exchange.fhir.validate import check
from tests.adapters.conftest import GOLDEN, ID_KEY, LIMA, RENIPRESS, as_fhir, check_golden, check_valid

CENTER = Center(Origin(RENIPRESS, "i00005196", "eqhali", ID_KEY), LIMA, CodeMap())
PADDING = Center(CENTER.origin, LIMA, CodeMap(), pads_documents=True)
AT = "2026-04-01T00:00:00Z"
EXPORT = (GOLDEN / "eqhali" / "FUA_202603.csv").read_bytes()
HEADER, *LINES = EXPORT.splitlines(keepends=True)
COLUMNS = HEADER.decode().strip().split(";")


def fuas(content=EXPORT, center=CENTER, owner=None):
    return list(map_export(center, open_export("fua.csv", io.BytesIO(content)), AT, owner or Nobody()))


def row(number=0, **changes):
    cells = dict(zip(COLUMNS, LINES[number].decode("cp1252").strip("\r\n").split(";"), strict=True))
    cells |= changes
    return ";".join(cells[column] for column in COLUMNS).encode("cp1252") + b"\r\n"


def one(number=0, center=CENTER, **changes):
    return fuas(HEADER + row(number, **changes), center)[-1]


def only(outcome, resource_type):
    return [item for item in as_fhir(outcome) if item["resourceType"] == resource_type]


def encounter(outcome):
    return only(outcome, "Encounter")[0]


def codes(outcomes):
    return [outcome.refusal.code for outcome in outcomes if isinstance(outcome, Refused)]


def check_admitted(outcomes):
    """Valid by the independent model, and by the hub's own admission."""
    check_valid(outcomes)
    for outcome in outcomes:
        if isinstance(outcome, Mapped):
            assert [issue for resource in as_fhir(outcome) for issue in check(resource)] == []


def test_the_reviewed_export():
    outcomes = fuas()
    check_admitted(outcomes)
    check_golden("eqhali/FUA_202603", outcomes)
    assert codes(outcomes) == ["A-284", "A-258", "A-256", "A-285"]


def test_both_charsets_separators_and_orders_of_columns_give_the_same_visit():
    cells = [HEADER.decode().strip().split(";"), row().decode("cp1252").strip().split(";")]
    turned = "\n".join(",".join(reversed(line)) for line in cells).replace("05/03/2026", "2026-03-05")
    again = b"\xef\xbb\xbf" + turned.encode()
    first, second = (fuas(content) for content in (HEADER + row(), again))
    for one_way, other in zip(first, second, strict=True):
        resources = [
            [entry.resource for entry in item.entries if entry.resource["resourceType"] != "Provenance"]
            for item in (one_way, other)
        ]
        assert resources[0] == resources[1]


def test_names_of_columns_may_be_written_otherwise():
    header = HEADER.replace(b"fecha_atencion", "Fecha Atención".encode("cp1252")).replace(
        b"fua_id", b"FUA ID"
    )
    assert isinstance(fuas(header + row())[-1], Mapped)


@pytest.mark.parametrize("column", ["fua_id", "num_doc_paciente", "sexo"])
def test_a_missing_column_is_named(column):
    with pytest.raises(Refusal) as refused:
        open_export("fua.csv", io.BytesIO(HEADER.replace(column.encode(), b"otra") + row()))
    assert refused.value.code == "A-281"
    assert column in refused.value.text


def test_a_column_twice_is_no_column():
    with pytest.raises(Refusal) as refused:
        open_export("fua.csv", io.BytesIO(HEADER.replace(b"edad", b"sexo") + row()))
    assert refused.value.code == "A-281"


def test_other_columns_are_counted():
    assert open_export("fua.csv", io.BytesIO(EXPORT)).other_columns == 1


def test_a_document_without_its_zeros_is_never_guessed():
    refused = one(num_doc_paciente="1234567")
    assert refused.refusal.code == "A-284"
    assert "pad_documents" in refused.refusal.text
    patient = only(one(center=PADDING, num_doc_paciente="1234567"), "Patient")[0]
    assert patient["identifier"][0]["value"] == "01234567"
    assert patient["id"] == only(one(num_doc_paciente="01234567"), "Patient")[0]["id"]


@pytest.mark.parametrize(("number", "code"), [("123456789", None), ("ABC", None)])
def test_what_is_no_dni_names_nobody(number, code):
    patient = only(one(num_doc_paciente=number), "Patient")[0]
    assert all("2.16.840.1.113883.4.904" not in item["system"] for item in patient["identifier"])
    assert one(num_doc_paciente=number).record.patient_key == "hc|HC0990001"


def test_a_professional_without_zeros_is_named_only():
    individual = encounter(one(dni_resp_atencion="990001"))["participant"][0]["individual"]
    assert individual == {"display": "JORGE LUIS VIGO BENITES"}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"fua_id": ""}, "A-255"),
        ({"fecha_atencion": ""}, "A-255"),
        ({"fecha_atencion": "ayer"}, "A-256"),
        ({"fecha_atencion": "01/01/1900"}, "A-256"),
        ({"fecha_nacimiento_paciente": "30/02/1990"}, "A-256"),
        ({"fecha_probable_parto": "pronto"}, "A-256"),
        ({"eess": "00005195"}, "A-258"),
        ({"num_doc_paciente": "", "historia_clinica": ""}, "A-285"),
        ({"num_doc_paciente": "99999999", "historia_clinica": "0"}, "A-285"),
        (
            {"num_doc_paciente": "", "apellido_paterno_paciente": "NN", "apellido_materno_paciente": "",
             "nombres_paciente": "NN"}, "A-254",
        ),
        ({"nombres_paciente": "A" * 2001}, "A-251"),
    ],
)  # fmt: skip
def test_impossible_rows_are_refused(changes, code):
    assert one(**changes).refusal.code == code


def test_classes():
    def told(**changes):
        return encounter(one(**changes))["class"]["code"]

    assert told() == "AMB"
    assert told(tipo_atencion="EMERGENCIA") == "EMER"
    assert told(lugar_atencion="Extramural") == "FLD"
    unknown = one(tipo_atencion="TELECONSULTA")
    assert encounter(unknown)["class"] == {
        "system": "http://terminology.hl7.org/CodeSystem/v3-NullFlavor", "code": "UNK", "display": "TELECONSULTA",
    }  # fmt: skip
    assert ("tipo_atencion", "TELECONSULTA") in unknown.unmapped


@pytest.mark.parametrize(
    ("word", "code"),
    [("ALTA", "home"), ("Citado", "home"), ("HOSPITALIZADO", "oth"), ("REFERIDO", "other-hcf"),
     ("CONTRARREFERIDO", "other-hcf"), ("FALLECIDO", "exp"), ("CORTE ADMINISTRATIVO", "oth"),
     ("APOYO AL DIAGNÓSTICO", "oth"), ("CONSULTA EXTERNA", "oth"), ("FUGADO", None)],
)  # fmt: skip
def test_destinations(word, code):
    outcome = one(destino_asegurado=word)
    codings = encounter(outcome)["hospitalization"]["dischargeDisposition"]["coding"]
    standard = [item["code"] for item in codings if "terminology.hl7.org" in item["system"]]
    assert standard == ([code] if code else [])
    assert len(only(outcome, "ServiceRequest")) == (word in {"REFERIDO", "CONTRARREFERIDO"})
    assert bool(outcome.unmapped) == (code is None)


def test_a_referral_names_facility_and_sheet():
    request = only(fuas()[3], "ServiceRequest")[0]
    assert request["performer"][0]["reference"] == "Organization/ipress-00005195"
    assert request["identifier"][0] == {
        "system": "urn:chasqui:ipress:00005196:hoja-referencia", "value": "R-00451",
    }  # fmt: skip


def test_a_counter_referral_answers_the_sheet_that_came():
    outcome = fuas()[5]
    request = only(outcome, "ServiceRequest")[0]
    came = {"system": "urn:chasqui:ipress:00005101:hoja-referencia", "value": "8812"}
    assert request["basedOn"][0]["identifier"] == came
    assert encounter(outcome)["basedOn"][0]["identifier"] == came


def test_an_export_with_one_pair_of_columns_names_where_the_patient_went():
    header = HEADER.replace(b"eess_ref_contra", b"x1").replace(b"nro_hoja_ref_contra", b"x2")
    line = row(destino_asegurado="REFERIDO", eess_ref="00005195", nro_hoja_ref="12")
    outcome = fuas(header + line)[-1]
    request = only(outcome, "ServiceRequest")[0]
    assert request["performer"][0]["reference"] == "Organization/ipress-00005195"
    assert "basedOn" not in encounter(outcome)


def test_no_woman_is_said_not_to_be_pregnant():
    assert only(one(gestante="NO"), "Observation") == []
    found = only(one(gestante="SI", fecha_probable_parto="11/09/2026"), "Observation")
    assert [item["code"]["coding"][0]["code"] for item in found] == ["82810-3", "11778-8"]
    assert found[1]["valueDateTime"] == "2026-09-11"


def test_an_annulled_fua_says_only_that_it_was_an_error():
    outcome = one(estado_fua="Anulado", gestante="SI", destino_asegurado="REFERIDO")
    kinds = [entry.resource["resourceType"] for entry in outcome.entries]
    assert kinds == ["Patient", "Encounter", "Provenance"]
    assert encounter(outcome)["status"] == "entered-in-error"
    assert outcome.record.states_all


def test_a_fua_that_moved_is_withdrawn_from_its_former_patient_first():
    class Known(Nobody):
        def __call__(self, thing_key):
            return "dni|45678909"

    outcomes = fuas(HEADER + row(), owner=Known())
    assert [item.record.patient_key for item in outcomes] == ["dni|45678909", "dni|01234567", "dni|01234567"]
    withdrawn, _, told = (encounter(item) if only(item, "Encounter") else None for item in outcomes)
    assert withdrawn["status"] == "entered-in-error"
    assert told["status"] == "finished"
    assert withdrawn["id"] != told["id"]
    check_admitted(outcomes)


def test_a_patient_told_twice_alike_is_one_statement():
    patients = [item for item in fuas() if item.record.natural_key.startswith("paciente|dni|01234567")]
    assert len(patients) == 2
    assert patients[0].record.content_hash == patients[1].record.content_hash


@pytest.mark.parametrize("number", range(len(LINES)))
def test_a_kept_record_can_be_mapped_again_from_its_bytes(number):
    for outcome in fuas(HEADER + LINES[number]):
        again = map_record(CENTER, outcome.record)
        assert type(again) is type(outcome)
        if isinstance(outcome, Mapped):
            assert [entry.resource for entry in again.entries] == [
                entry.resource for entry in outcome.entries
            ]
        else:
            assert again.refusal.code == outcome.refusal.code
            assert again.refusal.location == outcome.record.location


def test_a_refused_row_can_be_mapped_once_the_setting_is_there():
    refused = one(num_doc_paciente="1234567")
    again = map_record(PADDING, refused.record)
    assert isinstance(again, Mapped)
    assert again.record.patient_key == "dni|01234567"


def test_no_refusal_repeats_a_value():
    for outcome in fuas():
        if isinstance(outcome, Refused):
            assert not any(word in outcome.refusal.text for word in ("1234567", "ROJAS", "45678902", "31/02"))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_end_in_an_export_or_a_refusal(content):
    with suppress(Refusal):
        list(open_export("x", io.BytesIO(content)).rows)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.binary(max_size=150), max_size=5))
def test_any_rows_end_in_records_or_refusals(lines):
    outcomes = fuas(HEADER + b"\r\n".join(lines) + b"\r\n" + LINES[0])
    check_valid(outcomes)
    assert outcomes


CELLS = st.one_of(
    st.text('0123456789/-,.ñ \x00=+"', max_size=12),
    st.sampled_from(
        ["NULL", "DNI", "01234567", "31/12/2025", "2026-01-02 10:00", "REFERIDO", "SI", "00005196"]
    ),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(CELLS, min_size=len(COLUMNS), max_size=len(COLUMNS)))
def test_any_cells_end_in_what_the_hub_admits(cells):
    cells = [cell.replace('"', "") for cell in cells]
    cells[COLUMNS.index("eess")] = "00005196"
    check_admitted(fuas(HEADER + ";".join(cells).encode("cp1252") + b"\r\n"))


DAYS = st.dates(min_value=date(1930, 1, 1), max_value=date(2030, 1, 1))
# Of one letter each would be a placeholder now and then: BB, NN.
WORDS = st.text("ABCDEFGHIJKLMNÑ", min_size=3, max_size=8).filter(lambda word: word != "NNN")


@settings(max_examples=100, deadline=None)
@given(DAYS, DAYS, DAYS, WORDS, st.from_regex(r"\A[1-8][0-9]{7}\Z"), st.from_regex(r"\A[0-9]{6}\Z"))
def test_every_date_and_code_is_found_again(attended, born, due, word, dni, ups):
    outcomes = fuas(
        HEADER
        + row(
            fecha_atencion=f"{attended:%d/%m/%Y}", fecha_nacimiento_paciente=f"{born:%Y-%m-%d}",
            fecha_probable_parto=f"{due:%d/%m/%Y}", gestante="SI", apellido_materno_paciente=word,
            num_doc_paciente=dni, ups=ups, id_servicio=ups[:3], nro_hoja_ref=ups,
        )
    )  # fmt: skip
    told = str([as_fhir(outcome) for outcome in outcomes])
    for text in (attended.isoformat(), born.isoformat(), due.isoformat(), word, dni, ups, ups[:3]):
        assert text in told


def test_a_code_has_no_two_spaces_in_a_row():
    outcome = one(ups="30  16", id_servicio="0 \x07 6")
    check_admitted([outcome])
    assert [item["code"] for item in encounter(outcome)["serviceType"]["coding"]] == ["30 16", "0 6"]


def test_midnight_is_an_instant_too():
    assert (
        one(fecha_registro="06/03/2026", hora_registro="00:00").record.source_time
        == "2026-03-06T00:00:00-05:00"
    )
    assert (
        one(fecha_registro="06/03/2026", hora_registro="0:01").record.source_time
        == "2026-03-06T00:01:00-05:00"
    )
