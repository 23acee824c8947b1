"""The few codes that the synthetic region uses, with short Spanish labels of our own.

Spec:    https://hl7.org/fhir/R4/terminologies-systems.html
Leaves:  real code systems to the site (CIE-10 and CPMS texts are not ours to ship).

LOINC codes are used under the LOINC licence (https://loinc.org/license/). Procedure codes are invented.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Disease:
    """A CIE-10 code: `code` with its dot, `his` as HIS-MINSA writes it, who gets it and how.

    Units:  from_age and to_age years; weight relative frequency.
    """

    code: str
    his: str
    label: str
    weight: int
    from_age: int = 0
    to_age: int = 110
    sex: str = ""
    chronic: bool = False
    sensitive: bool = False
    treatments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Measurement:
    """A numeric observation: LOINC, labels, UCUM unit, reference range and the range that values fall in.

    Units:  low, high, least and most in tenths or hundredths of the unit, as `decimals` says.
    """

    code: str
    display: str
    label: str
    unit: str
    low: int
    high: int
    least: int
    most: int
    decimals: int = 0


@dataclass(frozen=True, slots=True)
class Panel:
    """A laboratory order and the measurements that answer it."""

    code: str
    display: str
    label: str
    measurements: tuple[Measurement, ...]


@dataclass(frozen=True, slots=True)
class Drug:
    """A generic medicine with the dose text that goes on a prescription."""

    key: str
    label: str
    dose: str


@dataclass(frozen=True, slots=True)
class Vaccine:
    """A vaccine: CVX code, label, invented HIS item, and the ages in months at which doses are due."""

    cvx: str
    label: str
    his: str
    months: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Act:
    """A procedure: an invented code in the form of CPMS, and its label."""

    code: str
    label: str


DISEASES: Final = (
    Disease("J06.9", "J069", "Infección respiratoria alta", 90, treatments=("paracetamol",)),
    Disease("J02.9", "J029", "Faringitis aguda", 45, 2, treatments=("paracetamol", "amoxicilina")),
    Disease("A09.9", "A099", "Diarrea aguda infecciosa", 40, treatments=("sales-rehidratacion",)),
    Disease("N39.0", "N390", "Infección urinaria", 30, 12, treatments=("ciprofloxacino",)),
    Disease("K29.7", "K297", "Gastritis", 34, 15, treatments=("omeprazol",)),
    Disease("M54.5", "M545", "Dolor lumbar", 30, 20, treatments=("ibuprofeno",)),
    Disease("D50.9", "D509", "Anemia por falta de hierro", 32, 0, 60, treatments=("sulfato-ferroso",)),
    Disease("B82.9", "B829", "Parasitosis intestinal", 18, 1, 40, treatments=("albendazol",)),
    Disease("K02.9", "K029", "Caries dental", 34, 3, treatments=("ibuprofeno",)),
    Disease("L30.9", "L309", "Dermatitis", 15, treatments=("hidrocortisona",)),
    Disease("A15.0", "A150", "Tuberculosis pulmonar", 4, 15, sensitive=True, treatments=("isoniazida",)),
    Disease("A97.0", "A970", "Dengue sin signos de alarma", 12, 1, treatments=("paracetamol",)),
    Disease(
        "I10", "I10X", "Hipertensión arterial", 40, 35, chronic=True, treatments=("losartan", "enalapril")
    ),
    Disease(
        "E11.9", "E119", "Diabetes tipo 2", 32, 35, chronic=True, treatments=("metformina", "glibenclamida")
    ),
    Disease("E66.9", "E669", "Obesidad", 22, 10, chronic=True),
    Disease("E78.5", "E785", "Dislipidemia", 20, 30, chronic=True, treatments=("atorvastatina",)),
    Disease("J45.9", "J459", "Asma", 16, 4, chronic=True, treatments=("salbutamol",)),
    Disease("E03.9", "E039", "Hipotiroidismo", 10, 20, chronic=True, treatments=("levotiroxina",)),
    Disease(
        "N18.3", "N183", "Enfermedad renal crónica, etapa 3", 6, 50, chronic=True, treatments=("losartan",)
    ),
    Disease("F32.9", "F329", "Episodio depresivo", 10, 14, sensitive=True, treatments=("fluoxetina",)),
    Disease("F41.1", "F411", "Ansiedad generalizada", 12, 14, sensitive=True, treatments=("fluoxetina",)),
    Disease("F10.1", "F101", "Consumo perjudicial de alcohol", 6, 16, sensitive=True),
    Disease(
        "B24", "B24X", "Infección por VIH", 2, 16, chronic=True, sensitive=True, treatments=("tenofovir",)
    ),
    Disease(
        "O23.4", "O234", "Infección urinaria en el embarazo", 10, 15, 45, "F", treatments=("cefalexina",)
    ),
    Disease("Z34.9", "Z349", "Control de embarazo", 26, 15, 45, "F", treatments=("acido-folico",)),
    Disease("N40", "N40X", "Crecimiento de la próstata", 12, 50, sex="M", treatments=("tamsulosina",)),
    Disease("C53.9", "C539", "Cáncer de cuello uterino", 2, 30, sex="F", chronic=True),
    Disease("H52.1", "H521", "Miopía", 12, 6),
)
CHILD_CHECK: Final = Disease("Z00.1", "Z001", "Control de crecimiento y desarrollo", 0, 0, 11)
VACCINATION: Final = Disease("Z23.8", "Z238", "Consulta para vacunación", 0)

HEMOGLOBIN: Final = Measurement(
    "718-7", "Hemoglobin [Mass/volume] in Blood", "Hemoglobina", "g/dL", 120, 160, 82, 172, 1
)
GLUCOSE: Final = Measurement(
    "2345-7", "Glucose [Mass/volume] in Serum or Plasma", "Glucosa", "mg/dL", 70, 110, 62, 245
)
CREATININE: Final = Measurement(
    "2160-0", "Creatinine [Mass/volume] in Serum or Plasma", "Creatinina", "mg/dL", 60, 120, 40, 260, 2
)
PANELS: Final = (
    Panel(
        "58410-2",
        "CBC panel - Blood by Automated count",
        "Hemograma",
        (
            HEMOGLOBIN,
            Measurement(
                "4544-3",
                "Hematocrit [Volume Fraction] of Blood by Automated count",
                "Hematocrito",
                "%",
                360,
                480,
                260,
                520,
                1,
            ),
            Measurement(
                "6690-2",
                "Leukocytes [#/volume] in Blood by Automated count",
                "Leucocitos",
                "10*3/uL",
                40,
                100,
                30,
                165,
                1,
            ),
            Measurement(
                "777-3",
                "Platelets [#/volume] in Blood by Automated count",
                "Plaquetas",
                "10*3/uL",
                150,
                400,
                95,
                470,
            ),
        ),
    ),
    Panel(
        "24323-8",
        "Comprehensive metabolic 2000 panel - Serum or Plasma",
        "Bioquímica",
        (
            GLUCOSE,
            CREATININE,
            Measurement(
                "3094-0",
                "Urea nitrogen [Mass/volume] in Serum or Plasma",
                "Nitrógeno ureico",
                "mg/dL",
                7,
                20,
                5,
                48,
            ),
            Measurement(
                "2951-2", "Sodium [Moles/volume] in Serum or Plasma", "Sodio", "mmol/L", 136, 145, 128, 150
            ),
            Measurement(
                "2823-3",
                "Potassium [Moles/volume] in Serum or Plasma",
                "Potasio",
                "mmol/L",
                35,
                51,
                30,
                59,
                1,
            ),
        ),
    ),
    Panel(
        "24331-1",
        "Lipid 1996 panel - Serum or Plasma",
        "Perfil lipídico",
        (
            Measurement(
                "2093-3",
                "Cholesterol [Mass/volume] in Serum or Plasma",
                "Colesterol total",
                "mg/dL",
                120,
                200,
                110,
                310,
            ),
            Measurement(
                "2571-8",
                "Triglyceride [Mass/volume] in Serum or Plasma",
                "Triglicéridos",
                "mg/dL",
                40,
                150,
                45,
                420,
            ),
            Measurement(
                "2085-9",
                "Cholesterol in HDL [Mass/volume] in Serum or Plasma",
                "Colesterol HDL",
                "mg/dL",
                40,
                80,
                24,
                85,
            ),
        ),
    ),
    Panel(
        "55454-3",
        "Hemoglobin A1c in Blood",
        "Hemoglobina glicosilada",
        (
            Measurement(
                "4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood", "HbA1c", "%", 40, 57, 46, 118, 1
            ),
        ),
    ),
)

SYSTOLIC: Final = Measurement(
    "8480-6", "Systolic blood pressure", "Presión sistólica", "mm[Hg]", 90, 139, 88, 178
)
DIASTOLIC: Final = Measurement(
    "8462-4", "Diastolic blood pressure", "Presión diastólica", "mm[Hg]", 60, 89, 52, 104
)
VITAL_SIGNS: Final = (
    SYSTOLIC,
    DIASTOLIC,
    Measurement("8867-4", "Heart rate", "Frecuencia cardíaca", "/min", 60, 100, 54, 124),
    Measurement("9279-1", "Respiratory rate", "Frecuencia respiratoria", "/min", 12, 20, 11, 29),
    Measurement("8310-5", "Body temperature", "Temperatura", "Cel", 360, 375, 357, 396, 1),
    Measurement(
        "2708-6", "Oxygen saturation in Arterial blood", "Saturación de oxígeno", "%", 94, 100, 87, 100
    ),
)
WEIGHT: Final = Measurement("29463-7", "Body weight", "Peso", "kg", 0, 0, 0, 0, 1)
HEIGHT: Final = Measurement("8302-2", "Body height", "Talla", "cm", 0, 0, 0, 0, 1)

DRUGS: Final = {
    drug.key: drug
    for drug in (
        Drug("paracetamol", "Paracetamol 500 mg tableta", "1 tableta cada 8 horas por 3 días"),
        Drug("amoxicilina", "Amoxicilina 500 mg cápsula", "1 cápsula cada 8 horas por 7 días"),
        Drug(
            "sales-rehidratacion",
            "Sales de rehidratación oral",
            "1 sobre en 1 litro de agua, a libre demanda",
        ),
        Drug("ciprofloxacino", "Ciprofloxacino 500 mg tableta", "1 tableta cada 12 horas por 5 días"),
        Drug("omeprazol", "Omeprazol 20 mg cápsula", "1 cápsula en ayunas por 30 días"),
        Drug("ibuprofeno", "Ibuprofeno 400 mg tableta", "1 tableta cada 8 horas por 5 días"),
        Drug("sulfato-ferroso", "Sulfato ferroso 300 mg tableta", "1 tableta al día por 90 días"),
        Drug("albendazol", "Albendazol 200 mg tableta", "2 tabletas, dosis única"),
        Drug("hidrocortisona", "Hidrocortisona 1 % crema", "Aplicar cada 12 horas por 7 días"),
        Drug("isoniazida", "Isoniazida 300 mg tableta", "1 tableta al día, supervisada"),
        Drug("losartan", "Losartán 50 mg tableta", "1 tableta cada 24 horas"),
        Drug("enalapril", "Enalapril 10 mg tableta", "1 tableta cada 12 horas"),
        Drug("metformina", "Metformina 850 mg tableta", "1 tableta con el almuerzo y la cena"),
        Drug("glibenclamida", "Glibenclamida 5 mg tableta", "1 tableta antes del desayuno"),
        Drug("atorvastatina", "Atorvastatina 20 mg tableta", "1 tableta por la noche"),
        Drug("salbutamol", "Salbutamol 100 µg/dosis inhalador", "2 inhalaciones si hay falta de aire"),
        Drug("levotiroxina", "Levotiroxina 50 µg tableta", "1 tableta en ayunas"),
        Drug("fluoxetina", "Fluoxetina 20 mg cápsula", "1 cápsula por la mañana"),
        Drug("tenofovir", "Tenofovir, lamivudina y dolutegravir", "1 tableta al día"),
        Drug("cefalexina", "Cefalexina 500 mg cápsula", "1 cápsula cada 6 horas por 7 días"),
        Drug("acido-folico", "Ácido fólico 0.5 mg tableta", "1 tableta al día"),
        Drug("tamsulosina", "Tamsulosina 0.4 mg cápsula", "1 cápsula por la noche"),
    )
}

VACCINES: Final = (
    Vaccine("19", "BCG", "99801.01", (0,)),
    Vaccine("08", "Hepatitis B, pediátrica", "99801.02", (0,)),
    Vaccine("198", "Pentavalente", "99801.03", (2, 4, 6)),
    Vaccine("10", "Polio inactivada", "99801.04", (2, 4, 6)),
    Vaccine("119", "Rotavirus", "99801.05", (2, 4)),
    Vaccine("133", "Neumococo conjugada", "99801.06", (2, 4, 12)),
    Vaccine("03", "Sarampión, paperas y rubéola", "99801.07", (12, 18)),
    Vaccine("141", "Influenza estacional", "99801.08", (300, 420, 540, 660, 780, 900)),
    Vaccine("113", "Tétanos y difteria, adultos", "99801.09", (216, 336, 456)),
    Vaccine("62", "Virus del papiloma humano", "99801.10", (120,)),
)

ACTS: Final = (
    Act("99802.01", "Consejería nutricional"),
    Act("99802.02", "Toma de presión arterial"),
    Act("99802.03", "Tamizaje de hemoglobina"),
    Act("99802.04", "Visita domiciliaria"),
    Act("99802.05", "Atención de herida menor"),
    Act("99802.06", "Electrocardiograma"),
    Act("99802.07", "Ecografía abdominal"),
    Act("99802.08", "Radiografía de tórax"),
)
GROUP_ACTS: Final = (
    Act("APP104", "Actividad con agentes comunitarios"),
    Act("APP138", "Sesión educativa en institución"),
    Act("APP150", "Actividad con familias"),
)

ALLERGENS: Final = (
    ("penicilina", "Penicilina", "medication", "Erupción en la piel"),
    ("aines", "Antiinflamatorios no esteroideos", "medication", "Urticaria"),
    ("sulfas", "Sulfamidas", "medication", "Erupción en la piel"),
    ("mariscos", "Mariscos", "food", "Hinchazón de labios"),
    ("mani", "Maní", "food", "Urticaria"),
    ("polvo", "Polvo doméstico", "environment", "Rinitis"),
)

SPECIALTIES: Final = (
    "Medicina interna",
    "Cardiología",
    "Endocrinología",
    "Cirugía general",
    "Pediatría",
    "Ginecología",
)
