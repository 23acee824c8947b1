"""The adapter on a computer whose clock is wrong: `python -m tests.torture.skewed run SITE`, off by SKEW_SECONDS.

Timers run as ever - the monotonic clock does not jump -, and whoever asks for the date gets the wrong one.
"""

from __future__ import annotations

import datetime  # noqa: ICN001 - what others import is put in its place
import os
import sys
import time

SKEW_SECONDS = float(os.environ.get("SKEW_SECONDS", "0"))
_time, _datetime = time.time, datetime.datetime


class _Skewed(_datetime):
    @classmethod
    def now(cls, tz=None):
        return _datetime.fromtimestamp(_time() + SKEW_SECONDS, tz)


if __name__ == "__main__":
    time.time = lambda: _time() + SKEW_SECONDS
    datetime.datetime = _Skewed
    from adapters.cli import main

    sys.argv[0] = "adapter"
    main()
