"""Tokens of SoftHSM for tests: in a folder of the test process's own, found by their labels.

Debian's package is `softhsm2`. CHASQUI_SOFTHSM names the library where it lies elsewhere.
"""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

PLACES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
          "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so")  # fmt: skip
MODULE = next(
    (each for each in (os.environ.get("CHASQUI_SOFTHSM", ""), *PLACES) if each and Path(each).exists()), ""
)
IS_HERE = bool(MODULE and shutil.which("softhsm2-util"))
WHY_NOT = "SoftHSM is not installed: apt-get install softhsm2"
PIN = "48211946"
_NUMBERS = itertools.count(1)


@cache
def tokens() -> Path:
    """The folder of this process's tokens. The library reads the environment when it is loaded: once for all tests."""
    folder = Path(tempfile.mkdtemp(prefix="chhsm"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    configuration = folder / "softhsm2.conf"
    (folder / "tokens").mkdir()
    configuration.write_text(
        f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\nlog.level = ERROR\n"
    )
    os.environ["SOFTHSM2_CONF"] = str(configuration)
    return folder


def make_token() -> str:
    """The label of a new token."""
    tokens()
    label = f"chasqui-{next(_NUMBERS)}"
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
    subprocess.run(command, check=True, capture_output=True)
    return label


def write_pin(file: Path, pin: str = PIN) -> Path:
    file.touch(mode=0o600)
    file.write_text(pin + "\n")
    return file
