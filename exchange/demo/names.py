"""Names that are common in Peru, with weights that fall as Zipf's law says, and how they are drawn.

Leaves:  who carries them to people. Lists are written by hand; no list of real people was used.
"""

# ruff: noqa: E501 - word lists

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from itertools import accumulate
from random import Random
from typing import Final


@dataclass(frozen=True, slots=True)
class Name:
    """A person's names in capitals: surnames apart, given names as a tuple, `""` where there is none."""

    paternal: str
    maternal: str
    given: tuple[str, ...]
    third: str = ""

    @property
    def given_text(self) -> str:
        """Given names as one text."""
        return " ".join(self.given)

    @property
    def display(self) -> str:
        """Given names, then surnames."""
        return " ".join(part for part in (*self.given, self.paternal, self.maternal, self.third) if part)


class Weighted:
    """Texts that are drawn by integer weight, so that the draw is equal on every platform."""

    def __init__(self, text: str) -> None:
        pairs = [entry.strip().rsplit(" ", 1) for entry in text.split(",")]
        self.values = tuple(value for value, _ in pairs)
        self._bounds = tuple(accumulate(int(weight) for _, weight in pairs))

    def draw(self, random: Random) -> str:
        """Draw one."""
        return self.values[bisect_right(self._bounds, random.randrange(self._bounds[-1]))]


SURNAMES: Final = Weighted(
    "RODRÍGUEZ 1000, GARCÍA 640, SÁNCHEZ 610, FLORES 560, QUISPE 540, RAMÍREZ 420, CASTILLO 400, DÍAZ 390,"
    "VÁSQUEZ 380, TORRES 370, ROJAS 340, MAMANI 330, HUAMÁN 330, CRUZ 320, CHÁVEZ 310, REYES 300, LÓPEZ 300,"
    "GONZÁLES 290, MENDOZA 280, GUTIÉRREZ 260, PÉREZ 250, RAMOS 250, FERNÁNDEZ 240, ESPINOZA 220, VARGAS 210,"
    "CONDORI 190, SILVA 180, VALVERDE 170, DE LA CRUZ 170, ALVARADO 160, AGUILAR 150, MEDINA 150, ROMERO 140,"
    "CARRANZA 130, POLO 130, ZAVALETA 120, BRICEÑO 120, NÚÑEZ 110, CASTAÑEDA 110, PAREDES 110, HUAMANCHUMO 90,"
    "MARIÑOS 90, ÑIQUE 70, DEL ÁGUILA 60, GAMBOA 60, VENTURA 60, SALDAÑA 60, CCAHUANA 50, GUZMÁN 50, PIMINCHUMO 40,"
    "UCAÑAN 40, CHUQUIPOMA 40, AZABACHE 40, SÁNCHEZ DE LA VEGA 30, ANHUAMÁN 30, CHACÓN 30, LLAJARUNA 25,"
    "DE LOS SANTOS 25, ESQUECHE 20, HUACCHA 20, SANTA MARÍA 18, DELGADO 18, LA ROSA 16, YUPANQUI 14, ZUTA 12,"
    "PONCE DE LEÓN 10, ÑAUPARI 8, CIPIRÁN 8, BAZÁN 8, MOSTACERO 6, CHUMBE 4, DI NATALE 2"
)
INDIGENOUS_SURNAMES: Final = Weighted(
    "TSAMAJAIN 9, SHUPINGAHUA 8, WAJAJAI 6, KAYAP 6, AMPUSH 5, ÑAHUINCHA 5, CCOYLLO 5, TUPAC YUPANQUI 4, INUMA 4, SINACAY 3"
)
VENEZUELAN_SURNAMES: Final = Weighted(
    "GONZÁLEZ 90, RODRÍGUEZ 80, HERNÁNDEZ 60, MÁRQUEZ 40, RONDÓN 35, URDANETA 30, BRICEÑO 30, CAMACARO 20, MONSALVE 5"
)
COMPOUND_SURNAMES: Final = Weighted(
    "DE LA CRUZ 60, DEL ÁGUILA 30, DE LOS SANTOS 20, PONCE DE LEÓN 10, SANTA MARÍA 10"
)

WOMEN: Final = Weighted(
    "MARÍA 900, ROSA 520, ANA 420, LUZ 300, CARMEN 300, JUANA 280, FLOR 240, ELIZABETH 240, LUCÍA 220, MILAGROS 220,"
    "KARINA 200, ISABEL 200, JESSICA 190, VALERIA 180, CAMILA 170, XIMENA 150, NOEMÍ 140, YOLANDA 130, ELENA 130,"
    "SANTOS 110, TERESA 110, DORIS 100, KIARA 90, FÁTIMA 90, ESTHER 80, BEGOÑA 20, AÍDA 40, IRIS 40, ZOILA 30"
)
MEN: Final = Weighted(
    "JOSÉ 900, LUIS 620, JUAN 600, CARLOS 520, JORGE 400, SEGUNDO 330, VÍCTOR 320, MIGUEL 320, MANUEL 300, JESÚS 290,"
    "SANTOS 260, CÉSAR 250, PEDRO 240, WILMER 200, ÁNGEL 190, JHON 170, LIAM 90, THIAGO 160, MATEO 150, FABRIZIO 100,"
    "ELMER 100, RAÚL 100, IVÁN 90, ÍTALO 60, MARTÍN 90, ADRIÁN 80, IÑAKI 10, HÉCTOR 60, EDILBERTO 30, TEODORO 30"
)
VENEZUELAN_WOMEN: Final = Weighted(
    "YULIMAR 9, MARÍA 30, GÉNESIS 12, YUSMARY 8, ORIANA 10, DAYANA 10, NAZARETH 6"
)
VENEZUELAN_MEN: Final = Weighted("JOSÉ 30, YONDER 6, WILKERMAN 4, LUIS 20, ÁNGEL 15, JESÚS 20, YORMAN 5")
INDIGENOUS_GIVEN: Final = {
    "F": Weighted("NANTU 5, YAMANUA 3, MARÍA 6, ROSA 5"),
    "M": Weighted("ANTUN 5, WAJAI 3, SANTOS 5, JUAN 6"),
}
GIVEN: Final = {"F": WOMEN, "M": MEN}
VENEZUELAN_GIVEN: Final = {"F": VENEZUELAN_WOMEN, "M": VENEZUELAN_MEN}

_PLAIN: Final = str.maketrans("ÁÉÍÓÚÜ", "AEIOUU")
_SECOND_GIVEN_OF_TEN: Final = 7
_SHORTEST_FOR_TYPO: Final = 4


def without_accents(text: str) -> str:
    """The text as most registries write it: no accents, Ñ kept."""
    return text.translate(_PLAIN)


def draw_given(random: Random, names: Weighted) -> tuple[str, ...]:
    """One given name, or two different ones seven times out of ten."""
    first = names.draw(random)
    if random.randrange(10) < _SECOND_GIVEN_OF_TEN:
        second = names.draw(random)
        if second != first:
            return (first, second)
    return (first,)


def mistyped(random: Random, text: str) -> str:
    """The text with one slip of the fingers: a letter doubled, dropped, or two exchanged."""
    if len(text) < _SHORTEST_FOR_TYPO:
        return text + text[-1:]
    place = random.randrange(1, len(text) - 1)
    slip = random.randrange(3)
    if slip == 0:
        return text[:place] + text[place] + text[place:]
    if slip == 1 or text[place] == text[place + 1]:
        return text[:place] + text[place + 1 :]
    return text[:place] + text[place + 1] + text[place] + text[place + 2 :]


def transformed(name: Name, change: dict[str, str]) -> Name:
    """The name with some parts replaced."""
    return replace(
        name,
        paternal=change.get("paternal", name.paternal),
        maternal=change.get("maternal", name.maternal),
        third=change.get("third", name.third),
    )
