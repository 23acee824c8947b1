"""The commands that load catalogues and packages, as an operator types them."""

from __future__ import annotations

import json
import tarfile
from io import BytesIO

import pytest
from typer.testing import CliRunner

from exchange import cli
from exchange.commands import terminology
from exchange.hub import Hub
from exchange.perform import Spine


@pytest.fixture
def run(store, monkeypatch):
    monkeypatch.setattr(terminology, "opened_hub", lambda: Hub(store, Spine(store)))
    return lambda *words: CliRunner().invoke(cli.app, [str(each) for each in words])


def test_a_catalogue_is_loaded_once_and_listed(run, tmp_path):
    file = tmp_path / "cie.csv"
    file.write_text("Codigo_Item;Descripcion_Item;Fg_Tipo\nX701;INVENTADA;CX\n", "utf-8")
    assert "loaded: 1 concepts" in run("terminology", "load", "cie-10", file, "--version", "2024").output
    assert "loaded before" in run("terminology", "load", "cie-10", file, "--version", "2024").output
    assert "2024" in run("terminology", "list").output


def test_another_kind_of_catalogue_is_a_wrong_use(run, tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("a")
    assert run("terminology", "load", "snomed", file).exit_code == 2
    assert run("terminology", "load", "cie-10", tmp_path / "absent.csv").exit_code == 2


def test_a_package_is_loaded_and_told(run, tmp_path):
    path = tmp_path / "package.tgz"
    files = {"package.json": {"name": "a", "version": "1", "fhirVersions": ["4.0.1"]},
             "ValueSet-v.json": {"resourceType": "ValueSet", "status": "active", "url": "urn:test:v"},
             "Patient-p.json": {"resourceType": "Patient"}}  # fmt: skip
    with tarfile.open(path, "w:gz") as archive:
        for name, told in files.items():
            data = json.dumps(told).encode()
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(data)
            archive.addfile(info, BytesIO(data))
    assert (
        "1 resources stored, 0 were there already, 1 of other types left out"
        in run("package", "load", path).output
    )
