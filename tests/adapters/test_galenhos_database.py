"""From a hospital's tables to the hub: everything once, nothing written, whatever happens meanwhile."""

import json
import logging
import threading
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import create_engine, event, make_url, text
from sqlalchemy.dialects import mssql
from sqlalchemy.exc import SQLAlchemyError

from adapters.cycle import Cycle
from adapters.galenhos import database as database_room
from adapters.galenhos import reading
from adapters.galenhos.database import Access, Database, DatabaseUnavailable
from adapters.outbox import Outbox
from adapters.settings import SettingsError
from tests.adapters.galenhos_people import MAP, ROSA, STAY, VISIT, a_hospital, day, fill
from tests.simulators.galenhos import GalenhosSimulator, T

READER = "lector_de_prueba"


@pytest.fixture
def galenhos(tmp_path):
    simulator = GalenhosSimulator(f"sqlite:///{tmp_path}/sigh.db")
    fill(simulator)
    yield simulator
    simulator.close()


class Site:
    """A hospital's adapter, its clock under the test's thumb."""

    def __init__(self, make, url, map_file=MAP, **own):
        lines = {
            "url": url,
            "map": str(map_file),
            "piece_rows": 2,
            "rows_per_minute": 0,
            "poll_seconds": 0.05,
            **own,
        }
        written = "\n".join(f"{name} = {json.dumps(value)}" for name, value in lines.items())
        self.settings = make("galenhos", "II-1", written)
        self.box = Outbox(self.settings.data_folder)
        self.clock = datetime(2026, 3, 20, 12, tzinfo=ZoneInfo("America/Lima"))
        self.waited = []

    def cycle(self):
        cycle = Cycle(self.settings, self.box)
        cycle.source.now = lambda: self.clock
        cycle.source.wait = lambda _, seconds: self.waited.append(seconds)
        return cycle

    def read(self):
        return self.cycle().source.read(self.box)

    def deliver(self):
        self.cycle().run(threading.Event(), once=True, announce=print)
        return self.box.status()

    def close(self):
        self.box.close()


@pytest.fixture
def hospital(tmp_path, hub, monkeypatch):
    from adapters.sender.client_key import make_client_key
    from adapters.settings import read_settings
    from tests.adapters.conftest import SITE

    made = []

    def make(kind, level, lines):
        base = SITE.format(url=hub.url, kind=kind, level=level)
        base = base.replace('folder = "source"\nsettle_seconds = 0\npoll_seconds = 0.05\n', lines + "\n")
        path = tmp_path / "site.toml"
        path.write_text(base.replace("mllp_port = 0\n", ""), "utf-8")
        settings = read_settings(path, {})
        hub.register(settings.client_id, make_client_key(settings.data_folder).public_jwk)
        return settings

    def site(url, map_file=MAP, **own):
        made.append(Site(make, url, map_file, **own))
        return made[-1]

    yield site
    for each in made:
        each.close()


def a_map(tmp_path, *changes):
    content = MAP.read_text()
    for old, new in changes:
        assert old in content
        content = content.replace(old, new, 1)
    path = tmp_path / "map.toml"
    path.write_text(content)
    return path


def statuses(hub, resource_type):
    return sorted(item["status"] for item in hub.of_type(resource_type))


def test_a_week_is_delivered_once(hospital, galenhos, hub):
    site = hospital(galenhos.url)
    status = site.deliver()
    assert (status["pending"], status["quarantined"], status["parked"]) == (0, 2, 0)
    assert statuses(hub, "Encounter") == ["entered-in-error", "finished", "finished", "in-progress"]
    assert hub.written_more_than_once() == []
    transactions = len(hub.transactions)
    site.clock += timedelta(days=2)
    site.deliver()
    site.deliver()
    assert len(hub.transactions) == transactions


def test_reading_goes_on_after_the_last_key(hospital, galenhos, hub):
    site = hospital(galenhos.url)
    site.deliver()
    galenhos.add("Atenciones", {**VISIT, "IdAtencion": 9100})
    assert site.deliver()["pending"] == 0
    assert len(hub.of_type("Encounter")) == 5


def test_an_edit_after_discharge_is_seen_with_the_last_days(hospital, galenhos, hub):
    site = hospital(galenhos.url, reread_hours=24)
    site.deliver()
    galenhos.change("Atenciones", {"IdAtencion": 9001}, IdTipoAlta=4)
    galenhos.change("FactOrdenServicio", {"IdOrden": 4001}, IdEstadoFacturacion=9)
    site.clock += timedelta(hours=23)
    site.deliver()
    assert statuses(hub, "Procedure") == ["completed"]
    site.clock += timedelta(hours=2)
    site.deliver()
    stay = next(item for item in hub.of_type("Encounter") if item["identifier"][0]["value"] == "9001")
    assert stay["hospitalization"]["dischargeDisposition"]["coding"][0]["code"] == "exp"
    # The bill is void: what was asked is revoked, what was told as done is withdrawn, the stay is there.
    assert stay["status"] == "finished"
    assert statuses(hub, "Procedure") == ["entered-in-error"]
    assert statuses(hub, "ServiceRequest") == ["revoked", "revoked"]
    assert set(statuses(hub, "MedicationDispense")) == {"completed"}


def test_days_beyond_the_window_are_not_read_again(hospital, galenhos, hub):
    site = hospital(galenhos.url, reread_days=5)
    site.deliver()
    galenhos.change("Atenciones", {"IdAtencion": 9001}, IdEstadoAtencion=0)
    site.clock += timedelta(days=2)
    site.deliver()
    assert "entered-in-error" not in statuses(hub, "Procedure")


def test_a_clinical_void_withdraws_everything(hospital, galenhos, hub):
    site = hospital(galenhos.url)
    site.deliver()
    galenhos.change("Atenciones", {"IdAtencion": 9001}, IdEstadoAtencion=0)
    site.clock += timedelta(days=2)
    site.deliver()
    for resource_type in ("Procedure", "ServiceRequest", "MedicationDispense"):
        assert set(statuses(hub, resource_type)) == {"entered-in-error"}
    verified = {item["verificationStatus"]["coding"][0]["code"] for item in hub.of_type("Condition")}
    assert verified == {"entered-in-error"}
    assert statuses(hub, "Encounter").count("entered-in-error") == 2


def test_an_attention_that_moves_is_withdrawn_from_the_first_patient(hospital, galenhos, hub):
    site = hospital(galenhos.url)
    site.deliver()
    galenhos.change("Atenciones", {"IdAtencion": 9001}, IdPaciente=503)
    site.clock += timedelta(days=2)
    assert site.deliver()["pending"] == 0
    told = {}
    for item in hub.of_type("Encounter"):
        if item["identifier"][0]["value"] == "9001":
            told[item["subject"]["reference"]] = item["status"]
    assert sorted(told.values()) == ["entered-in-error", "finished"]
    for item in hub.of_type("Procedure"):
        is_old = told[item["subject"]["reference"]] == "entered-in-error"
        assert (item["status"] == "entered-in-error") == is_old


def test_a_key_used_again_is_another_attention(hospital, galenhos, hub):
    site = hospital(galenhos.url)
    site.deliver()
    galenhos.remove("Atenciones", {"IdAtencion": 9003})
    galenhos.add("Atenciones", {**STAY, "IdAtencion": 9003, "IdPaciente": 502, "IdCuentaAtencion": 7999})
    site.clock += timedelta(days=2)
    site.deliver()
    told = [item["status"] for item in hub.of_type("Encounter") if item["identifier"][0]["value"] == "9003"]
    assert sorted(told) == ["entered-in-error", "finished"]


def test_an_attention_that_is_gone_stays_where_it_was_told(hospital, galenhos, hub):
    site = hospital(galenhos.url)
    site.deliver()
    galenhos.remove("Atenciones", {"IdAtencion": 9003})
    site.clock += timedelta(days=2)
    site.deliver()
    assert "finished" in [
        item["status"] for item in hub.of_type("Encounter") if item["identifier"][0]["value"] == "9003"
    ]


def test_changes_are_read_by_their_column(hospital, galenhos, hub, tmp_path):
    for number in (9001, 9002, 9003, 9004):
        galenhos.change("Atenciones", {"IdAtencion": number}, FechaModificacion=day(12))
    galenhos.change("Pacientes", {"IdPaciente": 503}, FechaModificacion=day(12))
    changed = ('key = "IdAtencion"\n', 'key = "IdAtencion"\nchanged_at = "FechaModificacion"\n')
    patients = ('# changed_at = "FechaModificacion"', 'changed_at = "FechaModificacion"')
    site = hospital(galenhos.url, a_map(tmp_path, changed, patients), reread_days=0)
    site.deliver()
    galenhos.change("Atenciones", {"IdAtencion": 9002}, IdEstadoAtencion=0, FechaModificacion=day(13))
    galenhos.change("Pacientes", {"IdPaciente": 503}, PrimerNombre="JOSÉ MARÍA", FechaModificacion=day(13))
    site.deliver()
    assert statuses(hub, "Encounter").count("entered-in-error") == 2
    assert ["JOSÉ", "MARÍA"] in [item["name"][0].get("given") for item in hub.of_type("Patient")]
    # A row older than what was told, as from a backup that was put back, replaces nothing.
    galenhos.change("Atenciones", {"IdAtencion": 9002}, IdEstadoAtencion=2, FechaModificacion=day(12))
    galenhos.change("Atenciones", {"IdAtencion": 9001}, FechaModificacion=day(14))
    site.deliver()
    assert statuses(hub, "Encounter").count("entered-in-error") == 2


def test_reading_begins_where_the_site_says(hospital, galenhos, hub):
    hospital(galenhos.url, since="2026-03-11").deliver()
    assert sorted(item["identifier"][0]["value"] for item in hub.of_type("Encounter")) == ["9003", "9004"]


def test_a_power_cut_after_any_piece_loses_nothing_and_doubles_nothing(hospital, galenhos, hub):
    site = hospital(galenhos.url, piece_rows=1)
    taken = []
    real = site.box.accept

    def once(outcomes, checkpoints=None):
        if checkpoints and len(taken) == 2:
            taken.append("cut")
            raise PermissionError
        answers = real(outcomes, checkpoints)
        taken.append(checkpoints)
        return answers

    site.box.accept = once
    with pytest.raises(PermissionError):
        site.read()
    site.box.accept = real
    site.deliver()
    assert len(hub.of_type("Encounter")) == 4
    assert hub.written_more_than_once() == []


def test_two_rows_of_one_key_are_nobodys(hospital, galenhos, hub):
    galenhos.add("Atenciones", {**VISIT, "IdPaciente": 502})
    site = hospital(galenhos.url)
    status = site.deliver()
    assert {"reason_class": "identity", "code": "A-291", "times": 1} in status["quarantine_reasons"]
    galenhos.remove("Atenciones", {"IdAtencion": 9003, "IdPaciente": 502})
    site.clock += timedelta(days=2)
    status = site.deliver()
    assert "A-291" not in [item["code"] for item in status["quarantine_reasons"]]


def test_rows_that_change_while_they_are_read_are_read_again(hospital, galenhos, hub):
    site = hospital(galenhos.url, piece_rows=10)
    cycle = site.cycle()
    engine = cycle.source.database._engine

    def discharge():
        galenhos.change("Atenciones", {"IdAtencion": 9002}, FechaEgreso=day(14), HoraEgreso="10:00")

    with galenhos.at_statement(engine, "AtencionesDiagnosticos", 1, discharge):
        cycle.source.read(site.box)
    site.clock += timedelta(days=2)
    site.deliver()
    assert "in-progress" not in statuses(hub, "Encounter")


def test_a_value_that_cannot_be_read_sets_one_attention_aside(hospital, galenhos, hub, monkeypatch):
    real = reading.as_text

    def broken(value):
        if value == "GINECO-OBSTETRICIA":
            raise ValueError
        return real(value)

    monkeypatch.setattr(reading, "as_text", broken)
    status = hospital(galenhos.url, piece_rows=10).deliver()
    assert {"reason_class": "mapping", "code": "A-294", "times": 1} in status["quarantine_reasons"]
    assert len(hub.of_type("Encounter")) == 3


def test_more_rows_than_are_held_at_once_are_read_by_fewer_attentions(hospital, galenhos, hub, monkeypatch):
    monkeypatch.setattr(reading, "_MAX_ROWS_UNDER_A_PIECE", 25)
    hospital(galenhos.url, piece_rows=5).deliver()
    assert len(hub.of_type("Encounter")) == 4


def test_reading_keeps_to_its_hours(hospital, galenhos, hub):
    site = hospital(galenhos.url, hours="20:00-06:00")
    site.deliver()
    assert hub.of_type("Encounter") == []
    site.clock = site.clock.replace(hour=23)
    site.deliver()
    assert len(hub.of_type("Encounter")) == 4


def test_hours_that_end_stop_a_round_in_its_middle(hospital, galenhos, hub):
    site = hospital(galenhos.url, hours="08:00-18:00", piece_rows=1, rows_per_minute=60)
    cycle = site.cycle()

    def closing(_, seconds):
        site.waited.append(seconds)
        site.clock = site.clock.replace(hour=18)

    cycle.source.wait = closing
    cycle.source.read(site.box)
    assert json.loads(site.box.checkpoint("attention.new"))[1] == 9001


def test_rows_a_minute_are_bounded(hospital, galenhos):
    site = hospital(galenhos.url, rows_per_minute=60)
    site.read()
    assert site.waited
    assert all(seconds >= 2 for seconds in site.waited)


@pytest.mark.parametrize(
    ("table", "column", "place"),
    [("Atenciones", "HoraEgreso", 'left_time = "HoraEgreso"'), ("Servicios", "Nombre", "[[attention.join]]")],
)
def test_a_missing_column_is_named_with_the_maps_line(hospital, galenhos, table, column, place):
    galenhos.without_column(table, column)
    with pytest.raises(SettingsError) as refused:
        hospital(galenhos.url).read()
    fault = refused.value.faults[0]
    assert (fault.code, column in fault.text, table in fault.text) == ("A-144", True, True)
    assert MAP.read_text().splitlines()[fault.line - 1].startswith(place)


def test_a_missing_table_is_named(hospital, galenhos, tmp_path):
    path = a_map(tmp_path, ('"FactOrdenServicio"', '"FactOrden"'))
    with pytest.raises(SettingsError) as refused:
        hospital(galenhos.url, path).read()
    assert "FactOrden" in refused.value.faults[0].text


def test_nothing_can_be_written_and_no_file_is_made(galenhos, tmp_path):
    database = Database(Access(galenhos.url, "", 5))
    with database.reading() as connection, pytest.raises(SQLAlchemyError):
        connection.execute(text('DELETE FROM "Pacientes"'))
    database.close()
    absent = Database(Access(f"sqlite:///{tmp_path}/absent.db", "", 5))
    with pytest.raises(DatabaseUnavailable), absent.reading():
        pass
    assert not (tmp_path / "absent.db").exists()


def test_every_statement_only_selects(hospital, galenhos):
    site = hospital(galenhos.url)
    cycle = site.cycle()
    seen = []
    event.listen(cycle.source.database._engine, "before_cursor_execute", lambda *told: seen.append(told[2]))
    cycle.source.read(site.box)
    assert seen
    assert all(statement.split()[0] in {"SELECT", "PRAGMA"} for statement in seen)


def test_nothing_of_a_patient_is_readable_on_disk_or_in_the_log(hospital, galenhos, caplog):
    caplog.set_level(logging.DEBUG)
    site = hospital(galenhos.url)
    site.deliver()
    content = b"".join(
        path.read_bytes() for path in site.settings.data_folder.iterdir() if path.suffix != ".key"
    )
    for word in (b"01234567", b"ROSA", "ÑIQUE".encode(), b"AB123456", b"GINECO", b"rosa@example.org"):
        assert word not in content
        assert word.decode() not in caplog.text


# --- SQL Server, whose statements are looked at without one -------------------------------------


def test_sql_server_gets_ranges_of_keys_with_top_and_brackets():
    entity = a_hospital().column_map["attention"]
    statement = reading.keys_after(entity, 5, 100, start=1, until=9)
    sql = str(statement.compile(dialect=mssql.dialect(), compile_kwargs={"literal_binds": True}))
    assert " ".join(sql.split()) == (
        "SELECT TOP 100 [IdAtencion] FROM [Atenciones] WHERE [IdAtencion] >= 1 AND [IdAtencion] > 5"
        " AND [IdAtencion] <= 9 GROUP BY [IdAtencion] ORDER BY [IdAtencion]"
    )


def test_sql_server_never_wins_a_deadlock_nor_waits_long():
    assert database_room._settings_of("mssql", 30) == ("SET DEADLOCK_PRIORITY LOW", "SET LOCK_TIMEOUT 5000")


def test_sql_server_is_asked_for_each_right():
    class Answers:
        def __init__(self, roles, writable):
            self.roles, self.writable, self.asked = roles, writable, []

        def execute(self, statement, values=None):
            self.asked.append(values)
            return self

        def one(self):
            return self.roles

        def scalar(self):
            return int(self.asked[-1] in self.writable)

    nothing = Answers((0, 0, 0, 0, 0), [])
    assert list(database_room._mssql_writable(nothing, ["dbo.Pacientes"])) == []
    assert {value["right"] for value in nothing.asked if value} == {"INSERT", "UPDATE", "DELETE", "ALTER"}
    assert list(database_room._mssql_writable(Answers((0, 1, 0, 0, 0), []), ["a"])) == ["la base de datos"]
    one = Answers((0, 0, 0, 0, 0), [{"name": "a", "right": "UPDATE"}])
    assert list(database_room._mssql_writable(one, ["a"])) == ["a"]


# --- PostgreSQL, where accounts and connections are real -----------------------------------------


@pytest.fixture
def postgres(server):
    name = f"{server.prefix}_galenhos"
    url = make_url(server.empty(name)).set(drivername="postgresql+psycopg2")
    simulator = GalenhosSimulator(url.render_as_string(hide_password=False))
    fill(simulator)
    with simulator.engine.begin() as connection:
        connection.execute(text(f"CREATE ROLE {READER} LOGIN PASSWORD 'de-lectura'"))
        connection.execute(text(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {READER}"))
    simulator.reader = url.set(username=READER, password=None).render_as_string(hide_password=False)
    yield simulator
    with simulator.engine.begin() as connection:
        connection.execute(text(f"DROP OWNED BY {READER}"))
        connection.execute(text(f"DROP ROLE {READER}"))
    simulator.close()
    server.drop(name)


@pytest.fixture
def secret(monkeypatch):
    monkeypatch.setenv("ADAPTER_DATABASE_PASSWORD", "de-lectura")


@pytest.mark.usefixtures("secret")
def test_a_reading_account_of_postgresql_delivers_the_same_week(hospital, postgres, hub):
    hospital(postgres.reader).deliver()
    assert statuses(hub, "Encounter") == ["entered-in-error", "finished", "finished", "in-progress"]
    assert {"01234567"} <= {i["value"] for p in hub.of_type("Patient") for i in p["identifier"]}


@pytest.mark.usefixtures("secret")
@pytest.mark.parametrize(
    "grant",
    [f'GRANT INSERT ON "Pacientes" TO {READER}', f'GRANT UPDATE ("Codigo") ON "Diagnosticos" TO {READER}'.replace("Codigo", "Descripcion"),
     f'GRANT TRUNCATE ON "Servicios" TO {READER}', f"ALTER ROLE {READER} SUPERUSER"],
)  # fmt: skip
def test_an_account_that_may_write_is_refused(hospital, postgres, grant):
    with postgres.engine.begin() as connection:
        connection.execute(text(grant))
    with pytest.raises(SettingsError) as refused:
        hospital(postgres.reader).read()
    assert refused.value.faults[0].code == "A-143"
    if "SUPERUSER" in grant:
        with postgres.engine.begin() as connection:
            connection.execute(text(f"ALTER ROLE {READER} NOSUPERUSER"))


@pytest.mark.usefixtures("secret")
def test_a_transaction_of_postgresql_cannot_write_and_ends_in_time(postgres):
    database = Database(Access(postgres.reader, "de-lectura", 1))
    with database.reading() as connection:
        told = [connection.execute(text(f"SHOW {name}")).scalar() for name in (
            "transaction_read_only", "transaction_isolation", "statement_timeout", "lock_timeout",
        )]  # fmt: skip
    assert told == ["on", "repeatable read", "1s", "5s"]
    with pytest.raises(DatabaseUnavailable), database.reading() as connection:
        connection.execute(text("SELECT pg_sleep(30)"))
    database.close()


@pytest.mark.usefixtures("secret")
def test_a_connection_that_drops_while_it_is_read_loses_nothing(hospital, postgres, hub):
    site = hospital(postgres.reader, piece_rows=1)
    cycle = site.cycle()
    engine = cycle.source.database._engine
    with (
        postgres.at_statement(engine, "Pacientes", 3, lambda: postgres.drop_readers(READER)),
        pytest.raises(DatabaseUnavailable) as lost,
    ):
        cycle.source.read(site.box)
    assert READER not in str(lost.value)
    site.deliver()
    assert len(hub.of_type("Encounter")) == 4
    assert hub.written_more_than_once() == []


@pytest.mark.usefixtures("secret")
def test_a_table_that_another_holds_is_not_waited_for(hospital, postgres, hub, monkeypatch):
    monkeypatch.setattr(database_room, "_settings_of", lambda *_: ("SET LOCAL lock_timeout = 50",))
    site = hospital(postgres.reader)
    with postgres.engine.connect() as clerk:
        clerk.execute(text('LOCK TABLE "Atenciones" IN ACCESS EXCLUSIVE MODE'))
        with pytest.raises(DatabaseUnavailable):
            site.read()
        clerk.rollback()
    assert site.deliver()["pending"] == 0


def test_no_password_of_ours_is_in_what_is_said(hospital, postgres, monkeypatch, caplog):
    monkeypatch.setenv("ADAPTER_DATABASE_PASSWORD", "equivocada-123")
    url = make_url(postgres.reader).set(database="no_existe").render_as_string(hide_password=False)
    with pytest.raises(DatabaseUnavailable) as lost:
        hospital(url).read()
    assert "equivocada" not in repr(lost.value) + caplog.text
    assert lost.value.__cause__ is None


def test_the_tables_are_as_the_clerks_left_them(hospital, galenhos):
    def everything():
        engine = create_engine(galenhos.url)
        with engine.connect() as connection:
            found = {name: connection.execute(T[name].select()).all() for name in T}
            found |= {
                "master": connection.execute(text("SELECT name, sql FROM sqlite_master ORDER BY name")).all()
            }
        engine.dispose()
        return found

    before = everything()
    hospital(galenhos.url).deliver()
    assert everything() == before
    assert ROSA["IdPaciente"] == 501
