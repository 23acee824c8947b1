"""One adapter of the demonstration: its site file, its ids, the environment that it runs in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exchange.demo.galenhos import DATABASE

_ASKED: Final = {"dicomweb": "dicom-web", "fhir": "fhir"}
SITES: Final = Path(__file__).resolve().parents[2] / "deploy" / "sites"


@dataclass(frozen=True, slots=True)
class Site:
    """One adapter of the demonstration."""

    name: str
    renipress: str

    @property
    def file(self) -> Path:
        """Its site file."""
        return SITES / f"{self.name}.toml"

    @property
    def id_prefix(self) -> str:
        """What its ids begin with: letters first, so that no id of the hub's own begins so."""
        return f"i{self.renipress}"

    @property
    def client_id(self) -> str:
        """The client that its adapter is registered as."""
        return f"adapter-{self.renipress}"

    def environment(
        self, hub_url: str, data: Path, source: Path | None, mllp_port: int, sources_url: str = ""
    ) -> dict[str, str]:
        """What its adapter finds in its environment; `source` is None where it listens instead of reading."""
        told = {
            "ADAPTER_HUB_URL": hub_url,
            "ADAPTER_CLIENT_ID": self.client_id,
            "ADAPTER_ID_PREFIX": self.id_prefix,
            "ADAPTER_DATA_FOLDER": str(data / self.name),
            "ADAPTER_SETTLE_SECONDS": "1",
            "ADAPTER_POLL_SECONDS": "1",
        }
        if source is None:
            return told | {"ADAPTER_MLLP_PORT": str(mllp_port)}
        if self.name == "galenhos":
            return told | {"ADAPTER_DATABASE_URL": f"sqlite:///{source / DATABASE}"}
        if path := _ASKED.get(self.name):
            return told | {"ADAPTER_SOURCE_URL": f"{sources_url}/{path}"}
        return told | {"ADAPTER_SOURCE_FOLDER": str(source)}
