"""Tokens of SoftHSM for tests: in a folder of the test process's own, found by their labels.

Debian's package is `softhsm2`. CHASQUI_SOFTHSM names the library where it lies elsewhere.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

PLACES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
          "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so")  # fmt: skip
MODULE = next(
    (each for each in (os.environ.get("CHASQUI_SOFTHSM", ""), *PLACES) if each and Path(each).exists()), ""
)
IS_HERE = bool(MODULE and shutil.which("softhsm2-util"))
WHY_NOT = "SoftHSM is not installed: apt-get install softhsm2"
PIN = "48211946"


def prepare(folder: Path) -> dict[str, str]:
    """A configuration of its own: its name has to be in the environment before the library is loaded."""
    tokens = folder / "tokens"
    tokens.mkdir(parents=True)
    configuration = folder / "softhsm2.conf"
    configuration.write_text(
        f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n"
    )
    return {"SOFTHSM2_CONF": str(configuration)}


def make_token(label: str, environment: dict[str, str]) -> None:
    command = [
        "softhsm2-util",
        "--init-token",
        "--free",
        "--label",
        label,
        "--so-pin",
        "0" + PIN,
        "--pin",
        PIN,
    ]
    subprocess.run(command, env=os.environ | environment, check=True, capture_output=True)


def write_pin(file: Path, pin: str = PIN) -> Path:
    file.touch(mode=0o600)
    file.write_text(pin + "\n")
    return file
