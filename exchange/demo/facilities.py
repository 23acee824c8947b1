"""The facilities of the synthetic region and their staff.

Spec:    PERU.md 2 and 6 in docs; RENIPRESS codes have 8 digits, HIS numbers facilities differently.
Leaves:  who is treated where to people and history.

Every RENIPRESS code lies in 00090000-00090999, a range that the register does not use. Four names of
public hospitals are real; whatever the records say about them is invented.
"""

# ruff: noqa: E501 - a table reads best with one entry a line

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DISA_CODE: Final = "18"
DISA_NAME: Final = "LA LIBERTAD"


@dataclass(frozen=True, slots=True)
class Professional:
    """A member of staff: names, DNI, professional college (HIS code) and college number."""

    paternal: str
    maternal: str
    given: str
    sex: str
    dni: str
    birth_date: str
    college: str
    college_number: str
    profession: str

    @property
    def display(self) -> str:
        """The name as a reader expects it."""
        return f"{self.given} {self.paternal} {self.maternal}"


@dataclass(frozen=True, slots=True)
class Facility:
    """A health facility. Units: renipress 8 digits, ubigeo 6 digits (INEI); `his_id` is HIS's own number."""

    renipress: str
    his_id: str
    name: str
    level: str
    ubigeo: str
    province: str
    district: str
    network_code: str
    network: str
    micro_network_code: str
    micro_network: str
    ugipress: str
    staff: tuple[Professional, ...]

    @property
    def code_of_nine(self) -> str:
        """The code as the HIS master writes it, with nine digits."""
        return self.renipress.rjust(9, "0")


NETWORKS: Final = (
    ("01", "TRUJILLO"),
    ("02", "ASCOPE"),
    ("03", "CHEPEN"),
    ("04", "PACASMAYO"),
    ("05", "SANCHEZ CARRION"),
    ("06", "JULCAN"),
    ("07", "VIRU"),
    ("08", "GRAN CHIMU"),
)
_NETWORK_NAMES: Final = dict(NETWORKS)

# renipress, HIS id, name, level, ubigeo, province, district, network, micro-network
_ROWS: Final = (
    ("00090011", "41058", "PUESTO DE SALUD CERRO SAUSAL", "I-2", "130107", "TRUJILLO", "MOCHE", "01", "MOCHE"),
    ("00090012", "41063", "PUESTO DE SALUD QUEBRADA DEL OSO", "I-1", "130106", "TRUJILLO", "LAREDO", "01", "LAREDO"),
    ("00090013", "41071", "CENTRO DE SALUD VILLA CHIMÚ", "I-3", "130105", "TRUJILLO", "LA ESPERANZA", "01", "LA ESPERANZA"),
    ("00090014", "41088", "CENTRO DE SALUD MATERNO LOS ALGARROBOS", "I-4", "130102", "TRUJILLO", "EL PORVENIR", "01", "EL PORVENIR"),
    ("00090015", "41090", "PUESTO DE SALUD PAMPA DEL ÑANDÚ", "I-2", "131201", "VIRU", "VIRU", "07", "VIRU"),
    ("00090016", "41104", "CENTRO DE SALUD ALTO CONDORMARCA", "I-3", "130901", "SANCHEZ CARRION", "HUAMACHUCO", "05", "HUAMACHUCO"),
    ("00090017", "41112", "PUESTO DE SALUD LA TRANQUERA", "I-1", "130501", "JULCAN", "JULCAN", "06", "JULCAN"),
    ("00090021", "41205", "HOSPITAL VALLE DE CHICAMA", "II-1", "130201", "ASCOPE", "ASCOPE", "02", "ASCOPE"),
    ("00090022", "41219", "HOSPITAL PUERTO DE LAS BALSAS", "II-1", "130701", "PACASMAYO", "SAN PEDRO DE LLOC", "04", "PACASMAYO"),
    ("00090023", "41226", "HOSPITAL SIERRA AZUL", "II-2", "130901", "SANCHEZ CARRION", "HUAMACHUCO", "05", "HUAMACHUCO"),
    ("00090031", "41307", "INSTITUTO REGIONAL DE ESPECIALIDADES DEL NORTE", "III-E", "130111", "TRUJILLO", "VICTOR LARCO HERRERA", "01", "NO PERTENECE"),
    ("00090032", "41311", "HOSPITAL REGIONAL DOCENTE DE TRUJILLO", "III-1", "130101", "TRUJILLO", "TRUJILLO", "01", "NO PERTENECE"),
    ("00090033", "41320", "HOSPITAL BELÉN DE TRUJILLO", "III-1", "130101", "TRUJILLO", "TRUJILLO", "01", "NO PERTENECE"),
    ("00090034", "41338", "INSTITUTO REGIONAL DE OFTALMOLOGÍA", "III-2", "130101", "TRUJILLO", "TRUJILLO", "01", "NO PERTENECE"),
    ("00090035", "41345", "IREN NORTE", "III-2", "130107", "TRUJILLO", "MOCHE", "01", "NO PERTENECE"),
)  # fmt: skip

_SURNAMES: Final = (
    "RODRÍGUEZ",
    "PAREDES",
    "QUISPE",
    "SALDAÑA",
    "VIGO",
    "ALCÁNTARA",
    "ÑIQUE",
    "BENITES",
    "LAVADO",
)
_GIVEN: Final = (
    ("ROSA ELENA", "F"),
    ("JORGE LUIS", "M"),
    ("KARINA", "F"),
    ("SEGUNDO", "M"),
    ("MARÍA PÍA", "F"),
)
_POSTS: Final = (
    ("01", "MEDICO CIRUJANO"),
    ("06", "ENFERMERO"),
    ("05", "OBSTETRA"),
    ("03", "ODONTOLOGO"),
    ("01", "MEDICO CIRUJANO"),
)


def _staff(position: int) -> tuple[Professional, ...]:
    """Five invented professionals of the facility at `position`: DNIs in 0099xxxx, which people never get."""
    staff = []
    for post, (college, profession) in enumerate(_POSTS):
        given, sex = _GIVEN[(position + post) % len(_GIVEN)]
        number = position * len(_POSTS) + post
        staff.append(
            Professional(
                paternal=_SURNAMES[(number * 2 + 1) % len(_SURNAMES)],
                maternal=_SURNAMES[(number * 5 + 3) % len(_SURNAMES)],
                given=given,
                sex=sex,
                dni=f"0099{number * 37 + 1001:04d}",
                birth_date=f"{1965 + number % 30}-{1 + number % 12:02d}-{1 + number * 7 % 28:02d}",
                college=college,
                college_number=f"{90001 + number * 13:06d}",
                profession=profession,
            )
        )
    return tuple(staff)


FACILITIES: Final = tuple(
    Facility(
        renipress=code,
        his_id=his_id,
        name=name,
        level=level,
        ubigeo=ubigeo,
        province=province,
        district=district,
        network_code=network,
        network=_NETWORK_NAMES[network],
        micro_network_code=f"{position % 7 + 1:02d}",
        micro_network=micro_network,
        ugipress="00090900",
        staff=_staff(position),
    )
    for position, (
        code,
        his_id,
        name,
        level,
        ubigeo,
        province,
        district,
        network,
        micro_network,
    ) in enumerate(_ROWS)
)
BY_CODE: Final = {facility.renipress: facility for facility in FACILITIES}
PRIMARY: Final = BY_CODE["00090011"]
SECONDARY: Final = BY_CODE["00090021"]
TERTIARY: Final = BY_CODE["00090031"]
ASKING: Final = BY_CODE["00090032"]
FIRST_LEVEL: Final = tuple(facility for facility in FACILITIES if facility.level.startswith("I-"))
SECOND_LEVEL: Final = tuple(facility for facility in FACILITIES if facility.level.startswith("II-"))
THIRD_LEVEL: Final = tuple(facility for facility in FACILITIES if facility.level.startswith("III-"))
