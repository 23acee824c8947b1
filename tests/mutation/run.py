"""Taking guards away, one at a time: of each, some quick test has to notice.

    python -m tests.mutation.run [--only WORD] [--part 3/8] [--processes 2]

Works on copies of the tree in a temporary folder. Prints each guard, what noticed and how long it took; exits 1 when one
was taken away and nothing noticed, or when a test fails with all guards in their places.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from tests.sample.database import a_server

ROOT = Path(__file__).resolve().parents[2]
TABLE = Path(__file__).with_name("guards.toml")
COPIED = ("exchange", "tests", "migrations", "deploy", "adapters", "docs", "pyproject.toml")
MOST_SECONDS = 600
NO_TESTS = 5


@dataclass(frozen=True)
class Guard:
    """One guard: where it stands, what stands there without it, and what has to notice.

    tests  a test's path with further arguments, or `vectors: WORD` for the decision vectors of a subject
    """

    name: str
    file: str
    text: str
    instead: str
    tests: str

    def removed(self, source: str) -> str:
        """The file's text without the guard."""
        if source.count(self.text) != 1:
            raise ValueError(f"{self.name}: its text stands {source.count(self.text)} times in {self.file}")
        return source.replace(self.text, self.instead)


def guards() -> list[Guard]:
    """The table, in its order."""
    return [Guard(**each) for each in tomllib.loads(TABLE.read_text())["guard"]]


@contextmanager
def a_copy() -> Iterator[Path]:
    """A copy of what tests need, in a folder that is removed."""
    folder = Path(tempfile.mkdtemp(prefix="chmut"))
    try:
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(
                    source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules")
                )
            else:
                shutil.copy(source, folder / name)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def noticed(folder: Path, tests: str, database_url: str) -> bool:
    """Whether the tests fail in a copy."""
    if _is_of_vectors(tests):
        command = [sys.executable, "-m", "tests.vectors.run", *tests.removeprefix("vectors: ").split()]
    else:
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:xdist", *_arguments(tests)]
    environment = os.environ | {
        "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "DATABASE_URL": database_url,
    }  # fmt: skip
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, check=False, capture_output=True, timeout=MOST_SECONDS
        )
    except subprocess.TimeoutExpired:
        return True
    if done.returncode == NO_TESTS:
        raise ValueError(f"no test is chosen by: {tests}")
    return done.returncode != 0


def _arguments(tests: str) -> list[str]:
    """Paths, and `-k` with all that follows it."""
    paths, found, words = tests.partition(" -k ")
    return [*paths.split(), *(["-k", words] if found else [])]


def try_guard(folder: Path, guard: Guard, database_url: str) -> bool:
    """Whether something notices that the guard is gone."""
    place = folder / guard.file
    source = place.read_text()
    place.write_text(guard.removed(source))
    try:
        return noticed(folder, guard.tests, database_url)
    finally:
        place.write_text(source)


def failing_by_themselves(specs: Sequence[str], tried: Callable[[list[str]], Iterable[bool]]) -> set[str]:
    """The tests that fail with every guard in its place: all of them at once first, alone only where that fails."""
    paths = {path for each in specs if not _is_of_vectors(each) for path in each.partition(" -k ")[0].split()}
    together = [
        *(["vectors: "] if any(map(_is_of_vectors, specs)) else []),
        *([" ".join(sorted(paths))] if paths else []),
    ]
    if not any(list(tried(together))):
        return set()
    return {spec for spec, is_failing in zip(specs, tried(list(specs)), strict=True) if is_failing}


def _is_of_vectors(tests: str) -> bool:
    return tests.startswith("vectors: ")


def run(
    chosen: Sequence[Guard], processes: int, *, is_told: bool = True, is_checked: bool = True
) -> list[str]:
    """The guards that nothing missed, and the tests that fail by themselves; the table is printed as it grows."""
    faults: list[str] = []
    copies: SimpleQueue[Path] = SimpleQueue()

    def within_copy(work):
        folder = copies.get()
        started = time.monotonic()
        try:
            return work(folder), time.monotonic() - started
        finally:
            copies.put(folder)

    with a_server() as server:
        url = server.url.render_as_string(hide_password=False)
        folders = [a_copy() for _ in range(processes)]
        try:
            for each in folders:
                copies.put(each.__enter__())
            with ThreadPoolExecutor(processes) as pool:
                broken = failing_by_themselves(
                    sorted({each.tests for each in chosen if is_checked}),
                    lambda specs: pool.map(
                        lambda one: within_copy(lambda folder: noticed(folder, one, url))[0], specs
                    ),
                )
                faults += [f"fails with every guard in its place: {each}" for each in sorted(broken)]
                sound = [each for each in chosen if each.tests not in broken]
                tried = pool.map(lambda one: within_copy(lambda folder: try_guard(folder, one, url)), sound)
                for guard, (is_noticed, seconds) in zip(sound, tried, strict=True):
                    if not is_noticed:
                        faults.append(f"survived: {guard.name}: {guard.file}: {guard.tests}")
                    if is_told:
                        caught = guard.tests if is_noticed else "NOTHING"
                        print(f"{guard.name:62} | {caught[:70]:70} | {seconds:5.1f} s", flush=True)
        finally:
            for each in folders:
                each.__exit__(None, None, None)
    return faults


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation.run")
    parser.add_argument("--only", default="", help="guards whose name has this")
    parser.add_argument(
        "--except", dest="without", default="", help="not those that these tests notice, by a word"
    )
    parser.add_argument("--part", default="1/1", help="such as 3/8: every eighth guard, from the third on")
    parser.add_argument(
        "--unchecked", action="store_true", help="take it that the tests pass with every guard in place"
    )
    parser.add_argument("--processes", type=int, default=2)
    told = parser.parse_args(arguments)
    part, _, parts = told.part.partition("/")
    chosen = [each for each in guards()[int(part) - 1 :: int(parts)] if told.only in each.name]
    chosen = [each for each in chosen if not told.without or told.without not in each.tests]
    started = time.monotonic()
    faults = run(chosen, told.processes, is_checked=not told.unchecked)
    print("\n".join(["", *faults]))
    survived = sum(each.startswith("survived") for each in faults)
    print(
        f"guards {len(chosen)}  survived {survived}  faults {len(faults)}  {time.monotonic() - started:.0f} s"
    )
    return 1 if faults or not chosen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
