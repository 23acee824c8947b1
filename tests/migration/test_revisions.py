"""The chain of migrations: one line, from the first to the newest."""

from __future__ import annotations

import ast

from exchange.store.migrate import FOLDER, head

FILES = sorted((FOLDER / "versions").glob("*.py"))


def declared(path) -> dict[str, str | None]:
    found = {}
    for node in ast.parse(path.read_text()).body:
        name = getattr(getattr(node, "target", None), "id", "")
        if isinstance(node, ast.AnnAssign) and name in ("revision", "down_revision"):
            found[name] = ast.literal_eval(node.value)
    return found


def test_numbers_count_up_and_each_revises_the_one_before():
    before = None
    for number, path in enumerate(FILES, start=1):
        assert path.name.startswith(f"{number:04d}_"), f"{path.name} is out of the count"
        assert declared(path) == {"revision": f"{number:04d}", "down_revision": before}
        before = f"{number:04d}"


def test_there_is_one_head():
    revised = {declared(path)["down_revision"] for path in FILES}
    assert [declared(path)["revision"] for path in FILES if declared(path)["revision"] not in revised] == [
        head()
    ]
