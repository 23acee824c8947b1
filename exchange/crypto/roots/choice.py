"""The root that the settings name.

Leaves:  what each needs to the files beside; docs/keys.md tells an operator how to set them up.
"""

from __future__ import annotations

from typing import TypeVar

from exchange.crypto.roots.file import FileRoot
from exchange.crypto.roots.provider import DOCUMENTED, Root
from exchange.problems import SealBroken
from exchange.settings import Settings

_Value = TypeVar("_Value")


def open_root(settings: Settings) -> Root:
    """The keeper of the root key. Raises: SealBroken - a setting is missing, or not for production."""
    if settings.root_provider == "pkcs11":
        from exchange.crypto.roots.pkcs11 import Pkcs11Root  # noqa: PLC0415 - a library that others need not have

        return Pkcs11Root(
            _set(settings.pkcs11_module, "EXCHANGE_PKCS11_MODULE"),
            _set(settings.pkcs11_token, "EXCHANGE_PKCS11_TOKEN"),
            _set(settings.pkcs11_pin_file, "EXCHANGE_PKCS11_PIN_FILE"),
            settings.root_key_name,
        )
    if settings.root_provider == "transit":
        from exchange.crypto.roots.transit import TransitRoot  # noqa: PLC0415 - only where it is used

        return TransitRoot(
            _set(settings.transit_url, "EXCHANGE_TRANSIT_URL"),
            _set(settings.transit_token_file, "EXCHANGE_TRANSIT_TOKEN_FILE"),
            settings.root_key_name,
            mount=settings.transit_mount,
            namespace=settings.transit_namespace,
            ca_file=settings.transit_ca_file,
            is_demo=settings.mode == "demo",
        )
    if settings.mode != "demo":
        raise SealBroken(
            "a production hub keeps its root key outside of its own disk: set EXCHANGE_ROOT_PROVIDER to pkcs11 or "
            f"transit ({DOCUMENTED})"
        )
    return FileRoot(settings.root_key_file or settings.data_folder / "root.key")


def _set(value: _Value | None, name: str) -> _Value:
    if value is None:
        raise SealBroken(f"{name} is not set ({DOCUMENTED})")
    return value
