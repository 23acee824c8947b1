"""Look for a thousand texts of patients wherever a hub and an adapter leave bytes: `make plaintext-scan NEEDLES=1000`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter

from tests.plaintext.places import PLACES
from tests.plaintext.scan import a_scan

MOST_SHOWN = 40
LEFT_OUT = "evidence packs (made to be read)"


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("needles", type=int, nargs="?", default=1000)
    arguments.add_argument("--seed", type=int, default=11)
    chosen = arguments.parse_args()
    # What is asked here names more people in an hour than any client may.
    os.environ["EXCHANGE_DISTINCT_VALUES_PER_HOUR"] = "0"
    began = time.monotonic()
    with a_scan(chosen.needles, chosen.seed) as scan:
        scanned = time.monotonic()
        found = scan.everywhere()
        for place, needle, hit in found.hits[:MOST_SHOWN]:
            print(f"FOUND   {place}: {needle.kind} '{needle.text}' in {hit.file.name} at {hit.offset}")
        for (place, kind), count in sorted(found.by_place().items()):
            print(f"HITS    {count:6} {kind} in {place}")
        for place in PLACES:
            print(f"{place:16} {found.files[place]:5} files {found.bytes_read[place] / 1e6:8.1f} MB"
                  f" {sum(each[0] == place for each in found.hits):6} hits {found.allowed[place]:4} allowed")  # fmt: skip
        kinds = Counter(each.kind for each in scan.needles)
        print("needles: " + ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()))
        print(f"not looked for, since an empty hub holds them: {scan.held} words")
        print(f"not told or not scanned: {LEFT_OUT}")
        print(f"{scan.filled_seconds:.0f} s to fill, {time.monotonic() - scanned:.0f} s to scan,"
              f" {time.monotonic() - began:.0f} s in all")  # fmt: skip
        print(
            f"{len(scan.needles)} needles, {sum(found.bytes_read.values()) / 1e6:.0f} MB, {len(found.hits)} hits"
        )
    return 1 if found.hits else 0


if __name__ == "__main__":
    sys.exit(main())
