"""Asking a hub that holds the resources of one file of tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.passage.world import Caller, Said, a_world
from tests.sample.database import Server

P = "posta-"


@contextmanager
def a_shelf(server: Server, *resources: dict[str, Any]) -> Iterator[Caller]:
    """A facility's system before a hub that holds these resources of its own; ids are given without their prefix."""
    with a_world(server) as world:
        world.post.store(*(_prefixed(each) for each in resources))
        yield world.post


def found(caller: Caller, query: str, **more: Any) -> set[str]:
    """The ids of all matches, over all pages, without prefix. Fails where one stands twice."""
    walk = walked(caller, query, **more)
    assert len(walk) == len(set(walk))
    return set(walk)


def walked(caller: Caller, query: str, **more: Any) -> list[str]:
    """The ids of all matches in their order, over all pages."""
    return [each["id"].removeprefix(P) for page in pages(caller, query, **more) for each in page.matches]


def pages(caller: Caller, query: str, **more: Any) -> Iterator[Said]:
    """Every page of a search. A plus sign in the query is one."""
    path, pairs = query.replace("+", "%2B").partition("?")[::2]
    while True:
        said = caller.get(f"{path}?{pairs}", **more)
        assert said.status == 200, (query, said.text)
        yield said
        following = [each["url"] for each in said.body["link"] if each["relation"] == "next"]
        if not following:
            return
        pairs = urlsplit(following[0]).query
        assert parse_qsl(pairs)[-1][0] == "_page"


def refused(caller: Caller, query: str, **more: Any) -> str:
    """What a search is refused with. Fails where it is not, or where it says the value."""
    said = caller.get(query.replace("+", "%2B"), **more)
    assert said.status == 400, (query, said.status, said.text)
    return said.body["issue"][0]["diagnostics"]


def _prefixed(node: Any) -> Any:
    """A resource with ids and relative references of the facility that stores it."""
    if isinstance(node, list):
        return [_prefixed(each) for each in node]
    if not isinstance(node, dict):
        return node
    made = {key: _prefixed(value) for key, value in node.items()}
    if "resourceType" in made and not made.get("id", "").startswith(P) and "_contained" not in made:
        made["id"] = P + made["id"]
    text = made.get("reference")
    if isinstance(text, str) and text.count("/") in (1, 3) and ":" not in text and not text.startswith("#"):
        kind, _, rest = text.partition("/")
        made["reference"] = f"{kind}/{rest if rest.startswith(P) else P + rest}"
    if "contained" in node:
        made["contained"] = node["contained"]
    return made
