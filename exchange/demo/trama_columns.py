"""The columns of HIS-MINSA's trama nominal and masters, in their exact order.

Spec:    HIS-MINSA trama nominal, older and newer shape; `Ubigueo` is the source's own spelling.
Leaves:  filling them to trama.
"""

from __future__ import annotations

from typing import Final


def _columns(text: str) -> tuple[str, ...]:
    """Column names from a text that lists them."""
    return tuple(text.split())


OLDER_COLUMNS: Final = _columns(
    """
    Id_Cita Id_Correlativo Fecha_Atencion Anio Mes Dia Id_Paciente Id_Personal Id_Registrador Id_Ups
    Id_Establecimiento Id_Financiador Id_Condicion_Establecimiento Id_Condicion_Servicio Id_Turno
    Codigo_Item Tipo_Diagnostico Valor_Lab Id_Correlativo_Lab Edad_Reg Tipo_Edad Peso Talla
    Hemoglobina Fecha_Registro Fecha_Modificacion
    """
)
NEWER_COLUMNS: Final = _columns(
    """
    Id_Cita Anio Mes Dia Fecha_Atencion Lote Num_Pag Num_Reg Id_Ups Id_Establecimiento Id_Paciente
    Id_Personal Id_Registrador Id_Financiador Id_Condicion_Establecimiento Id_Condicion_Servicio
    Edad_Reg Tipo_Edad Anio_Actual_Paciente Mes_Actual_Paciente Dia_Actual_Paciente Id_Turno
    Codigo_Item Tipo_Diagnostico Valor_Lab Id_Correlativo_Item Id_Correlativo_Lab Peso Talla
    Hemoglobina Perimetro_Abdominal Perimetro_Cefalico Id_Otra_Condicion Id_Centro_Poblado
    Fecha_Ultima_Regla Fecha_Solicitud_Hb Fecha_Resultado_Hb Fecha_Registro Fecha_Modificacion
    Id_Pais gruporiesgo_desc condicion_gestante Peso_Pregestacional Id_Dosis renipress
    Id_Institucion_Edu Id_AplicacionOrigen Alerta
    """
)
PATIENT_COLUMNS: Final = _columns(
    """
    Id_Paciente Id_Tipo_Documento_Paciente Numero_Documento_Paciente Apellido_Paterno_Paciente
    Apellido_Materno_Paciente Nombres_Paciente Fecha_Nacimiento_Paciente Id_Genero Id_Etnia
    Historia_Clinica Ficha_Familiar Ubigeo_Nacimiento Ubigeo_Reniec Domicilio_Reniec
    Ubigeo_Declarado Domicilio_Declarado Referencia_Domicilio Id_Pais Id_Establecimiento Fecha_Alta
    Fecha_Modificacion
    """
)
STAFF_COLUMNS: Final = _columns(
    """
    Id_Personal Id_Tipo_Documento_Personal Numero_Documento_Personal Apellido_Paterno_Personal
    Apellido_Materno_Personal Nombres_Personal Fecha_Nacimiento_Personal Id_Condicion Id_Profesion
    Id_Colegio Numero_Colegiatura Id_Establecimiento Fecha_Alta Fecha_Baja
    """
)
FACILITY_COLUMNS: Final = _columns(
    """
    Id_Establecimiento Nombre_Establecimiento Ubigueo_Establecimiento Codigo_Disa Disa Codigo_Red
    Red Codigo_MicroRed MicroRed Codigo_Unico Codigo_Sector Descripcion_Sector Departamento
    Provincia Distrito Categoria_Establecimiento
    """
)
ITEM_COLUMNS: Final = ("Codigo_Item", "Descripcion_Item", "Fg_Tipo", "Codigo_CVX")
