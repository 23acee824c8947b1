"""A hospital's GalenHos: its tables with invented people, in any engine; and it misbehaves when it is told to."""

from __future__ import annotations

from contextlib import contextmanager

from sqlalchemy import (
    CHAR,
    Column,
    DateTime,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    delete,
    event,
    insert,
    text,
    update,
)

METADATA = MetaData()


def _table(name: str, *columns: tuple) -> Table:
    return Table(name, METADATA, *(Column(column, kind) for column, kind in columns))


# No primary keys: a view of a hospital has none either, and one of them may repeat a key.
_table(
    "Pacientes",
    ("IdPaciente", Integer), ("ApellidoPaterno", CHAR(20)), ("ApellidoMaterno", CHAR(20)), ("PrimerNombre", CHAR(20)),
    ("SegundoNombre", String(20)), ("TercerNombre", String(20)), ("IdDocIdentidad", Integer),
    ("NroDocumento", CHAR(15)), ("NroHistoriaClinica", Integer), ("FechaNacimiento", DateTime),
    ("IdTipoSexo", Integer), ("IdDistritoDomicilio", CHAR(6)), ("IdDistritoNacimiento", CHAR(6)),
    ("Telefono", String(20)), ("Email", String(60)), ("NroOrdenHijo", Integer), ("MadreTipoDocumento", Integer),
    ("MadreDocumento", CHAR(15)), ("MadreApellidoPaterno", String(20)), ("MadreApellidoMaterno", String(20)),
    ("MadrePrimerNombre", String(20)), ("FechaModificacion", DateTime),
)  # fmt: skip
_table(
    "Atenciones",
    ("IdAtencion", Integer), ("IdPaciente", Integer), ("IdCuentaAtencion", Integer), ("IdTipoServicio", Integer),
    ("IdServicioIngreso", Integer), ("IdEstadoAtencion", Integer), ("FechaIngreso", DateTime), ("HoraIngreso", CHAR(5)),
    ("FechaEgreso", DateTime), ("HoraEgreso", CHAR(5)), ("IdOrigenAtencion", Integer), ("IdDestinoAtencion", Integer),
    ("IdTipoAlta", Integer), ("IdCondicionAlta", Integer), ("FechaModificacion", DateTime),
)  # fmt: skip
_table("Servicios", ("IdServicio", Integer), ("Nombre", String(60)))
_table(
    "AtencionesDiagnosticos",
    ("IdAtencionDiagnostico", Integer), ("IdAtencion", Integer), ("IdClasificacionDx", Integer),
    ("IdDiagnostico", Integer), ("IdSubclasificacionDx", Integer), ("IdOrdenDx", Integer),
)  # fmt: skip
_table("Diagnosticos", ("IdDiagnostico", Integer), ("codigoCIEsinPto", CHAR(7)), ("Descripcion", String(120)))
_table("SubclasificacionDiagnosticos", ("IdSubclasificacionDx", Integer), ("Codigo", CHAR(3)))
_table(
    "FactOrdenServicio",
    ("IdOrden", Integer), ("IdCuentaAtencion", Integer), ("IdEstadoFacturacion", Integer),
    ("FechaCreacion", DateTime), ("IdPuntoCarga", Integer),
)  # fmt: skip
_table(
    "FacturacionServicioDespacho",
    ("IdDespacho", Integer), ("IdOrden", Integer), ("IdProducto", Integer), ("Cantidad", Integer),
    ("FechaDespacho", DateTime),
)  # fmt: skip
_table("FactCatalogoServicios", ("IdProducto", Integer), ("Codigo", CHAR(10)), ("Nombre", String(120)))
_table(
    "farmMovimiento",
    ("MovNumero", CHAR(12)), ("MovTipo", CHAR(1)), ("IdCuentaAtencion", Integer), ("FechaCreacion", DateTime),
    ("IdEstadoMovimiento", Integer),
)  # fmt: skip
_table(
    "farmMovimientoDetalle",
    ("IdDetalle", Integer), ("MovNumero", String(12)), ("IdProducto", Integer), ("Cantidad", String(10)),
)  # fmt: skip
_table("FactCatalogoBienesInsumos", ("IdProducto", Integer), ("Codigo", CHAR(10)), ("Nombre", String(120)))
_table("PacientesAlergias", ("IdAlergia", Integer), ("IdPaciente", Integer), ("Descripcion", String(120)))

T = METADATA.tables


class GalenhosSimulator:
    """The hospital's own side: it writes, as its clerks do. `url` is what its reader gets."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = create_engine(url)
        METADATA.create_all(self.engine)

    def close(self) -> None:
        """Leave nothing open."""
        self.engine.dispose()

    def add(self, table: str, *rows: dict) -> None:
        """Type rows in; what is left out is NULL."""
        with self.engine.begin() as connection:
            for row in rows:
                connection.execute(insert(T[table]).values(row))

    def change(self, table: str, where: dict, **values) -> None:
        """Edit rows in place."""
        with self.engine.begin() as connection:
            statement = update(T[table])
            for column, value in where.items():
                statement = statement.where(T[table].c[column] == value)
            connection.execute(statement.values(values))

    def remove(self, table: str, where: dict) -> None:
        """Delete rows, as a clean-up of the hospital may."""
        with self.engine.begin() as connection:
            statement = delete(T[table])
            for column, value in where.items():
                statement = statement.where(T[table].c[column] == value)
            connection.execute(statement)

    def without_column(self, table: str, column: str) -> None:
        """A hospital whose table lacks a column."""
        with self.engine.begin() as connection:
            connection.execute(text(f'ALTER TABLE "{table}" DROP COLUMN "{column}"'))

    @contextmanager
    def at_statement(self, engine, mention: str, number: int, act):
        """While another reads: something happens just before its n-th statement that mentions a table."""
        count = 0

        def before(*told):
            nonlocal count
            count += f'FROM "{mention}"' in told[2]
            if count == number:
                count += 1
                act()

        event.listen(engine, "before_cursor_execute", before)
        try:
            yield
        finally:
            event.remove(engine, "before_cursor_execute", before)
        assert count > number, "it never came to that statement"

    def drop_readers(self, role: str) -> None:
        """The network goes away under every connection of a role (PostgreSQL)."""
        with self.engine.begin() as connection:
            connection.execute(
                text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = :role"),
                {"role": role},
            )
