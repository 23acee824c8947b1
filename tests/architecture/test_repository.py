"""The project speaks of itself alone, and its pages of settings and commands say what the code does."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.architecture.settings_page import PAGE, written
from tests.architecture.sources import ROOT, shown

# Pieces of a path or a tool of somebody's machine, and what only a draft says. Joined here so as not to find itself.
FORBIDDEN = [
    "/work" + "/",
    "/root" + "/",
    "co-" + "authored-by",
    "lorem " + "ipsum",
    "FIX" + "ME",
    "XX" + "X:",
]
BINARY = {".zdict", ".png", ".gz", ".dcm", ".ico", ".woff2"}


def tracked():
    told = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if told.returncode:
        return []
    return [
        path
        for path in map(ROOT.joinpath, told.stdout.splitlines())
        if path.is_file() and path.suffix not in BINARY
    ]


@pytest.mark.parametrize("path", tracked(), ids=shown)
def test_no_file_speaks_of_how_it_was_made(path):
    text = path.read_text("utf-8", errors="replace").lower()
    for word in FORBIDDEN:
        assert word.lower() not in text, f"{shown(path)} contains {word!r}"


def test_no_file_names_a_package_index():
    hosts = re.compile(
        r"files\.python" + r"hosted|--(?:extra-)?index-" + r"url|--find-" + r"links [^-]", re.IGNORECASE
    )
    for path in tracked():
        assert not hosts.search(path.read_text("utf-8", errors="replace")), shown(path)


def test_the_lock_pins_every_package_by_hash():
    lock = (ROOT / "requirements.lock").read_text()
    pinned = re.findall(r"(?m)^[a-zA-Z0-9._-]+==\S+ \\\n    --hash=sha256:", lock)
    assert len(pinned) == len(re.findall(r"(?m)^[a-zA-Z0-9]", lock))


def test_the_page_of_settings_is_the_code_s():
    assert PAGE.read_text("utf-8") == written(), "run: python -m tests.architecture.settings_page"


def test_the_licence_is_apache_2():
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
