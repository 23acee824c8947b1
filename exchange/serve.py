"""The server processes of one hub: started, watched, started again, ended together.

Spec:    https://man7.org/linux/man-pages/man7/socket.7.html (SO_REUSEPORT)
Leaves:  the application to app.

Each process listens on a socket of its own on the same port, so that the kernel spreads connections. With one socket
shared by all, whichever process wakes first takes them all, and the others idle.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Final

import uvicorn

from exchange.problems import Unavailable
from exchange.rest.wire import BoundedHttp
from exchange.settings import Settings, settings

LOG: Final = logging.getLogger("exchange.serve")
WATCH_SECONDS: Final = 0.5
STOP_SECONDS: Final = 10
RESTART_SECONDS: Final = 1.0
BACKLOG: Final = 1_024
CONCURRENCY: Final = 1_000
KEEP_ALIVE_SECONDS: Final = 75


def serve(chosen: Settings) -> None:
    """Run the server processes until SIGTERM or SIGINT. Raises: Unavailable - the port is another's."""
    _listener(chosen, is_shared=False).close()
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    running = [_start() for _ in range(chosen.workers)]
    try:
        while not stopped.wait(WATCH_SECONDS):
            for place, process in enumerate(running):
                if process.poll() is not None and not stopped.is_set():
                    LOG.error("E-401 a server process ended with %d; starting another", process.returncode)
                    time.sleep(RESTART_SECONDS)
                    running[place] = _start()
    finally:
        _stop(running)


def serve_one() -> None:
    """One server process: ends when its supervisor does."""
    config = uvicorn.Config(
        "exchange.app:create_app",
        factory=True,
        http=BoundedHttp,
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
        limit_concurrency=CONCURRENCY,
    )
    threading.Thread(target=_end_with_supervisor, daemon=True).start()
    uvicorn.Server(config).run(sockets=[_listener(settings(), is_shared=True)])


def _start() -> subprocess.Popen[bytes]:
    # The pipe to the child's standard input closes when this process ends, however it ends.
    return subprocess.Popen([sys.executable, "-m", "exchange.serve"], stdin=subprocess.PIPE)


def _stop(running: list[subprocess.Popen[bytes]]) -> None:
    for process in running:
        if process.poll() is None:
            process.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for process in running:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listener(chosen: Settings, *, is_shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in chosen.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if is_shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((chosen.host, chosen.port))
    except OSError as error:
        listener.close()
        raise Unavailable(
            f"cannot listen on {chosen.host} port {chosen.port}: {error.strerror}; see EXCHANGE_HOST and EXCHANGE_PORT"
        ) from None
    if is_shared:
        listener.listen(BACKLOG)
    return listener


def _end_with_supervisor() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    serve_one()
