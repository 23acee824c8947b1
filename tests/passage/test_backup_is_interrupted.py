"""A backup that is cut off - killed, or by a full disk - leaves nothing under its name, and the next one goes well."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from tests.architecture.sources import ROOT
from tests.passage.live_hub import live_hub
from tests.passage.world import patient_of
from tests.sample.requester import POST

LIMIT_BYTES = 40_000


def started(hub, *words: str, first: str = "") -> subprocess.Popen:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EXCHANGE_")}
    return subprocess.Popen(
        [sys.executable, "-c", f"{first}from exchange.cli import main; main()", *words], env=environment | hub.environment,
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


def lengthen(hub) -> None:
    """Rows enough that making a backup takes a moment."""
    with hub.world.sql() as cursor:
        cursor.execute(
            "INSERT INTO token_entry SELECT n, n::bigint * 7919 FROM generate_series(1, 400000) n ON CONFLICT DO NOTHING"
        )


def test_a_backup_that_is_killed_midway_leaves_no_file_of_its_name(server):
    with live_hub(server) as hub:
        hub.world.post.store(*(patient_of(POST, number) for number in range(1, 4)))
        lengthen(hub)
        path, partial = hub.folder / "a.backup", hub.folder / ".a.backup.partial"
        for size in (1, 600_000):
            process = started(hub, "backup", str(path), "--no-verify")
            deadline = time.monotonic() + 60
            while process.poll() is None and not (partial.exists() and partial.stat().st_size >= size):
                assert time.monotonic() < deadline
                time.sleep(0.002)
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            assert process.returncode == -signal.SIGKILL, "it was over before it was killed"
            assert not path.exists()
            assert b"PGDMP" not in partial.read_bytes()
        # The next one takes over what was left, and is good.
        process = started(hub, "backup", str(path), "--server", hub.environment["EXCHANGE_DATABASE_URL"])
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 0, said
        assert "The backup is verified." in said
        assert path.exists()
        assert not partial.exists()


def test_a_disk_that_is_full_midway_leaves_no_file(server):
    with live_hub(server) as hub:
        lengthen(hub)
        path = hub.folder / "a.backup"
        process = started(
            hub, "backup", str(path), "--no-verify",
            first=f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({LIMIT_BYTES}, {LIMIT_BYTES})); ",
        )  # fmt: skip
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 3, said
        assert "cannot be written" in said
        assert "Traceback" not in said
        assert not [each.name for each in hub.folder.iterdir() if "a.backup" in each.name]


def test_a_backup_shows_nothing_of_a_patient_and_no_dump_lies_beside_it(server):
    with live_hub(server) as hub:
        patient = patient_of(POST, 1)
        hub.world.post.store(patient)
        path = hub.folder / "a.backup"
        process = started(hub, "backup", str(path), "--no-verify")
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 0, said
        content = path.read_bytes()
        for word in (patient["id"], "PGDMP", "patient_record", "COPY", patient["name"][0]["family"]):
            assert word.encode() not in content
            assert word not in said
