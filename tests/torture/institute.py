"""An institute that puts a document into a folder now and then."""

from __future__ import annotations

from pathlib import Path

from tests.adapters.conftest import GOLDEN

SURNAME = "TORTURADEAPELLIDO"
_DOCUMENT = (GOLDEN / "institute.xml").read_text("utf-8")


class Institute:
    """What was written: the documents' numbers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.written: list[str] = []

    def write(self) -> None:
        number = f"D{len(self.written) + 1}"
        text = _DOCUMENT.replace('extension="D1"', f'extension="{number}"').replace("ÑIQUE", SURNAME)
        text = text.replace('extension="HC9"', f'extension="HC{len(self.written) % 9}"').replace(
            "01234567", ""
        )
        aside = self.folder / f".{number}.xml"
        aside.write_text(text, "utf-8")
        aside.replace(self.folder / f"{number}.xml")
        self.written.append(number)
