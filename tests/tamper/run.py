"""Carry out every attack, export the log, verify it offline, and say what was detected: `make tamper`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from exchange.audit import export
from exchange.audit.checkpoint import verifier_key
from exchange.settings import settings
from tests.passage.world import World, a_world
from tests.sample.database import a_server
from tests.tamper.attacks import ATTACKS, Attack
from tests.tamper.thief import Thief

VERIFIER = Path(export.__file__).parent / "offline" / "verify.py"


@dataclass(frozen=True)
class Outcome:
    """What the verifier answered: its exit code, and the first thing that it found wrong."""

    code: int
    where: str
    text: str


def verified(world: World, folder: Path, seen: str = "", *more: str) -> Outcome:
    """Export a log and verify it in a process that has nothing but the file, the keys and a head."""
    log, keys, kept = folder / "log", folder / "keys.txt", folder / "kept.note"
    log.unlink(missing_ok=True)
    with world.database_store.transaction() as transaction:
        export.export_log(transaction, log)
        keys.write_text(verifier_key(settings().audit_origin, transaction.crypto.checkpoint_key) + "\n")
    words = [str(log), "--keys", str(keys), *more]
    if seen:
        kept.write_text(seen)
        words += ["--seen", str(kept)]
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(VERIFIER), *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={},
    )
    wrong = [each.removeprefix("WRONG   ") for each in done.stdout.splitlines() if each.startswith("WRONG")]
    return Outcome(done.returncode, wrong[0] if wrong else "", done.stdout + done.stderr)


def carried_out(thief: Thief, each: Attack, folder: Path) -> Outcome:
    """One attack, undone afterwards."""
    try:
        each.do(thief)
        return verified(thief.world, folder, thief.kept_heads[each.seen] if each.seen else "")
    finally:
        thief.undo()


def main() -> int:
    """Print a table; 1 where an attack was missed, or an untouched log does not verify."""
    with a_server() as server, a_world(server) as world, tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        thief = Thief(world)
        untouched = verified(world, folder)
        rows = [(each.kind, each.form, carried_out(thief, each, folder)) for each in ATTACKS]
        again = verified(world, folder, thief.kept_heads[14])
    print(f"{'class':28} {'detected':8}  where")
    for kind, form, outcome in rows:
        print(f"{kind:28} {'yes' if outcome.code == 1 else 'NO':8}  {form}: {outcome.where}")
    missed = sum(outcome.code != 1 for _, _, outcome in rows)
    is_clean = untouched.code == again.code == 0
    kinds = len({kind for kind, _, _ in rows})
    print(
        f"\n{len(rows)} forms of {kinds} classes: {missed} missed; an untouched log {'verifies' if is_clean else 'DOES NOT VERIFY'}"
    )
    return 1 if missed or not is_clean else 0


if __name__ == "__main__":
    sys.exit(main())
