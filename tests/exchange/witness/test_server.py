"""A witness over HTTP: its process, killed between answers; and callers that mean ill."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from exchange.audit.cosignature import read_cosignature, read_key
from exchange.witness.judgement import MOST_BODY_BYTES
from exchange.witness.server import MOST_CALLERS
from tests.simulators.witness_log import WitnessLog

ROOT = Path(__file__).parents[3]


def command(*words: str) -> list[str]:
    return [sys.executable, "-c", "from exchange.cli import main; main()", "witness", *words]


@contextmanager
def running(folder: Path, *logs: WitnessLog):
    keys = [word for log in logs for word in ("--key", log.key.text())]
    process = subprocess.Popen(
        command("serve", "--state", str(folder), *keys, "--port", "0"),
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        told = process.stdout.readline() + process.stdout.readline()
        url = re.search(r"http://\S+", told).group()
        yield url, read_key(told.split("\n")[0]), process
    finally:
        process.kill()
        process.wait(20)
        process.stdout.close()


@pytest.fixture
def folder(tmp_path):
    done = subprocess.run(
        command("init", "--state", str(tmp_path / "w"), "--name", "witness.example/1"),
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert read_key(done.stdout.strip()).name == "witness.example/1"
    return tmp_path / "w"


def post(url: str, body: bytes, **more):
    return httpx.post(f"{url}/add-checkpoint", content=body, trust_env=False, timeout=30, **more)


def test_what_was_cosigned_outlives_a_kill(folder):
    log = WitnessLog().grow(20)
    sizes = [3, 8, 9, 20]
    old = 0
    for size in sizes:
        with running(folder, log) as (url, key, process):
            said = post(url, log.submission(old, size))
            assert said.status_code == 200
            read_cosignature(said.text, log.head(size).body(), key)
            os.kill(process.pid, signal.SIGKILL)
        old = size
    shown = subprocess.run(
        command("show", "--state", str(folder)), cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert log.head(20).body() in shown.stdout
    with running(folder, log) as (url, _, _process):
        said = post(url, log.submission(0, 20))
        assert (said.status_code, said.text, said.headers["content-type"]) == (
            409,
            "20\n",
            "text/x.tlog.size",
        )


def test_kills_in_the_middle_leave_a_history(folder):
    """Killed at any moment: what was answered was kept, and the witness starts again."""
    log = WitnessLog().grow(300)
    answered = 0
    for delay in (0.0, 0.004, 0.011, 0.02):
        with running(folder, log) as (url, _, process):
            killed = threading.Timer(delay, process.kill)
            killed.start()
            known = answered
            try:
                for size in range(answered + 1, 300):
                    said = post(url, log.submission(known, size))
                    if said.status_code == 409:
                        known = int(said.text)
                        continue
                    assert said.status_code == 200
                    answered = known = size
            except httpx.HTTPError:
                pass
            killed.join()
    with running(folder, log) as (url, _, _process):
        said = post(url, log.submission(0, 300))
        kept = int(said.text) if said.status_code == 409 else 0
        assert kept >= answered


def test_two_do_not_run_on_one_folder(folder):
    log = WitnessLog().grow(3)
    with running(folder, log):
        second = subprocess.run(
            command("serve", "--state", str(folder), "--key", log.key.text(), "--port", "0"),
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert second.returncode == 3
        assert "another witness" in second.stderr


def test_stopped_when_told(folder):
    with running(folder, WitnessLog()) as (_, _, process):
        process.terminate()
        assert process.wait(20) == 0


def test_a_key_that_is_none(folder):
    for key in ("x", "witness.example/1"):
        done = subprocess.run(
            command("serve", "--state", str(folder), "--key", key),
            cwd=ROOT,
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 2


def test_callers_that_mean_ill(folder):
    log = WitnessLog().grow(5)
    with running(folder, log) as (url, _, _process):
        host, port = url.removeprefix("http://").split(":")
        assert post(url, b"x" * (MOST_BODY_BYTES + 1)).status_code == 413
        assert post(url, iter([b"old 0\n\n", log.note().encode()])).status_code == 411
        assert httpx.get(f"{url}/add-checkpoint", trust_env=False).status_code == 405
        assert httpx.post(f"{url}/other", trust_env=False).status_code == 404
        for raw in (b"\x00" * 70_000, b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
                    b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: 99\r\n\r\nold", b"GET " + b"a" * 100_000):  # fmt: skip
            with socket.create_connection((host, int(port)), timeout=30) as caller:
                try:
                    caller.sendall(raw)
                    caller.shutdown(socket.SHUT_WR)
                    assert b" 200 " not in caller.recv(65_536)
                except ConnectionError:
                    pass
        silent = [socket.create_connection((host, int(port)), timeout=30) for _ in range(MOST_CALLERS - 1)]
        assert post(url, log.submission(0)).status_code == 200
        # One more than there is room for is turned away; once the silent ones are cut off, there is room again.
        silent += [socket.create_connection((host, int(port)), timeout=30) for _ in range(3)]
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if post(url, log.submission(5)).status_code == 200:
                    break
            except httpx.HTTPError:
                time.sleep(0.5)
        else:
            raise AssertionError("silent callers keep everybody out")
        for each in silent:
            each.close()
