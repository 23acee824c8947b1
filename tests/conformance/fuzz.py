"""Requests made up from the API's own description, against a served hub: `make fuzz`.

    python -m tests.conformance.fuzz [--max-examples 200]

Ends with 1 where one of them is answered by a 5xx, or by nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from schemathesis import GenerationMode

from exchange.demo.client import FhirClient

MODES = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]
SECONDS = 20


def fuzz(client: FhirClient, max_examples: int, told: Callable[[str], None] = lambda _: None) -> list[str]:
    """Ask every address in many ways; what failed."""
    schema = schemathesis.openapi.from_dict(client.request("GET", f"{client.base_url}/openapi.json").json())
    schema.config.update(base_url=client.base_url)
    schema.config.generation.update(modes=MODES)
    failed: list[str] = []
    for found in schema.get_all_operations():
        operation = found.ok()
        asked = 0

        def ask(case: Any) -> None:
            nonlocal asked
            asked += 1
            headers = {"Authorization": f"Bearer {client.token()}"}
            answer = case.call(headers=headers, timeout=SECONDS)
            if answer.status_code >= 500:
                failed.append(
                    f"{answer.status_code} {case.method} {case.formatted_path} {case.query} {case.body!r}"[
                        :2_000
                    ]
                )

        strategy = operation.as_strategy()
        shape = hypothesis_settings(
            max_examples=max_examples,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        shape(given(strategy)(ask))()
        told(f"{operation.label}: {asked}")
    return failed


def main(arguments: list[str]) -> int:
    """Run it; 1 where the hub failed."""
    from tests.passage.live_hub import live_hub
    from tests.sample.database import a_server

    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--max-examples", type=int, default=200, help="requests to each address")
    chosen = parser.parse_args(arguments)
    with a_server() as server, live_hub(server) as hub:
        failed = fuzz(hub.clients["posta"], chosen.max_examples, print)
    print(f"{len(failed)} failed", *failed, sep="\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
